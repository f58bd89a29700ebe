/* The ranks of an attempt are gone: the job ends, or is tried again. */
#include "server/jobs/internal.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "server/jobs/verdict.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What the rank that the launcher names said last. */
static void add_culprit(const syn_job *job, syn_attempt_facts *facts)
{
    const syn_attempt *attempt = job->attempt;
    if (!facts->exit || !facts->exit->rank_known || facts->exit->rank >= attempt->n_ranks)
        return;
    const syn_worker *worker = attempt->ranks[facts->exit->rank].worker;
    if (!worker)
        return;
    facts->culprit_host = worker->host;
    facts->culprit_pid = worker->pid;
    facts->culprit_step = worker->status.step;
    facts->culprit_phase = worker->status.phase;
}

static void gather_facts(const syn_job *job, syn_attempt_facts *facts)
{
    const syn_attempt *attempt = job->attempt;
    *facts = (syn_attempt_facts){
        .n_ranks = attempt->n_ranks,
        .n_registered = attempt->was_adopted && job->record.state != SYN_JOB_LAUNCHING
                            ? attempt->n_ranks
                            : attempt->n_registered,
        .rank0_succeeded = attempt->ranks[0].outcome == SYN_JOB_SUCCEEDED,
        .is_pooled = syn_job_is_pooled(job),
        .launch_state = attempt->launch_state,
        .exit = attempt->launch_state == SYN_LAUNCH_EXITED ? &attempt->exit : NULL,
        .launch_error = attempt->launch_error,
        .was_killed = attempt->n_signals > 0,
        .failure = attempt->failure.is_set ? &attempt->failure : NULL,
        .lost_reason = attempt->lost_reason,
        .lost_text = attempt->lost_text,
        .step = syn_attempt_step(job),
    };
    for (uint32_t r = 0; r < attempt->n_ranks; r++) {
        facts->n_succeeded += attempt->ranks[r].outcome == SYN_JOB_SUCCEEDED;
        facts->n_failed += attempt->ranks[r].outcome == SYN_JOB_FAILED;
        facts->n_cancelled += attempt->ranks[r].outcome == SYN_JOB_CANCELLED;
    }
    add_culprit(job, facts);
}

static void record_failure(syn_job *job, const syn_verdict *verdict)
{
    syn_job_failure *failure = &job->record.failure;
    if (!verdict->has_failure)
        return;
    failure->is_set = true;
    failure->rank_known = verdict->rank_known;
    failure->rank = verdict->rank;
    failure->attempt = job->record.attempt;
    failure->signal = verdict->signal;
    failure->exit_code = verdict->exit_code;
    failure->step = verdict->step;
    failure->phase = verdict->phase;
    (void)syn_text_set(&failure->host, verdict->host);
    (void)syn_text_set(&failure->message, verdict->message);
}

/* An end seen late passes through the states that the job must have been in. */
static void pass_to_running(syn_job *job)
{
    if (job->record.state == SYN_JOB_LAUNCHING)
        syn_job_move(job, SYN_JOB_STARTING, SYN_REASON_NONE, "all ranks have registered");
    if (job->record.state == SYN_JOB_STARTING) {
        if (!job->record.started_ns)
            job->record.started_ns = syn_clock_wall_ns();
        syn_job_move(job, SYN_JOB_RUNNING, SYN_REASON_NONE, "%s", "");
    }
}

static void delay_retry(syn_job *job)
{
    uint64_t n = job->record.restarts_used < 30 ? job->record.restarts_used : 30;
    job->not_before_ns = syn_clock_monotonic_ns() + n * job->jobs->options.retry_ms * 1000000u;
}

/* RECOVERING with nothing left running: QUEUED for the next attempt, or FAILED. */
static void requeue_or_fail(syn_job *job)
{
    syn_job_record *record = &job->record;
    uint64_t step = syn_attempt_step(job), resume_step = 0;
    syn_retry retry;
    char why[1500];
    (void)snprintf(why, sizeof why, "%s", syn_text_get(record->reason_text));
    syn_retry_decide(record, record->reason, step, &retry);
    record->n_failed_there = retry.n_failed_there;
    record->last_failed_step = step;
    if (!retry.again) {
        syn_job_move(job, SYN_JOB_FAILED, retry.reason, "%s%s%s", why, *retry.text ? "; " : "",
                     retry.text);
        return;
    }
    if (!retry.is_free)
        record->restarts_used++;
    record->attempt++;
    char *resume = syn_job_find_resume(job, &resume_step);
    if (resume && *resume)
        syn_job_move(job, SYN_JOB_QUEUED, record->reason,
                     "attempt %u goes on from the checkpoint of step %" PRIu64 ": %s",
                     record->attempt, resume_step, why);
    else
        syn_job_move(job, SYN_JOB_QUEUED, record->reason,
                     "attempt %u starts from the beginning: %s", record->attempt, why);
    syn_free(resume);
    record->progress.step =
        resume_step; /* else an early end of the next attempt would count at the old step */
    record->progress.samples_per_s = 0;
    record->progress.eta_s = -1;
    delay_retry(job);
}

static void conclude_drained(syn_job *job)
{
    syn_job_record *record = &job->record;
    char why[1500];
    (void)snprintf(why, sizeof why, "%s", syn_text_get(record->reason_text));
    if (record->reason == SYN_REASON_TIME_LIMIT) {
        syn_job_move(job, SYN_JOB_TIMED_OUT, record->reason, "%s", why);
    } else if (record->reason == SYN_REASON_PREEMPTED) {
        record->attempt++;
        syn_job_move(job, SYN_JOB_QUEUED, record->reason, "%s", why);
    } else {
        syn_job_move(job, SYN_JOB_CANCELLED, record->reason, "%s", why);
    }
}

static void apply(syn_job *job, const syn_verdict *verdict)
{
    switch (verdict->kind) {
    case SYN_VERDICT_SUCCEEDED:
        pass_to_running(job);
        syn_job_move(job, SYN_JOB_SUCCEEDED, SYN_REASON_NONE, "%s", "");
        break;
    case SYN_VERDICT_FAILED:
        record_failure(job, verdict);
        syn_job_move(job, SYN_JOB_FAILED, verdict->reason, "%s", verdict->text);
        break;
    case SYN_VERDICT_RECOVER:
        record_failure(job, verdict);
        syn_job_move(job, SYN_JOB_RECOVERING, verdict->reason, "%s", verdict->text);
        requeue_or_fail(job);
        break;
    }
}

void syn_job_conclude(syn_job *job)
{
    syn_attempt_facts facts;
    syn_verdict verdict;
    if (job->record.state == SYN_JOB_DRAINING) {
        conclude_drained(job);
    } else if (job->record.state == SYN_JOB_RECOVERING) {
        requeue_or_fail(job);
    } else {
        gather_facts(job, &facts);
        syn_attempt_judge(&facts, &verdict);
        apply(job, &verdict);
    }
    if (job->attempt->was_adopted) {
        if (syn_job_state_is_terminal(job->record.state))
            job->jobs->stats.recovered_ended++;
        else
            job->jobs->stats.recovered_requeued++;
    }
    syn_job_end_attempt(job);
    syn_job_flush(job);
}

/* ---- outcomes ---- */

static bool take_results(syn_job_record *record, const syn_rank_outcome *outcome)
{
    bool is_complete = true;
    for (size_t i = 0; i < outcome->n_metrics; i++)
        is_complete = syn_job_record_set_metric(record, outcome->metrics[i].name,
                                                outcome->metrics[i].value) &&
                      is_complete;
    is_complete = syn_text_set(&record->weights_sha256, outcome->weights_sha256) && is_complete;
    record->steps = outcome->steps;
    record->elapsed_s = outcome->elapsed_s;
    record->samples_per_s = outcome->samples_per_s;
    record->hidden_ms = outcome->hidden_ms;
    record->exposed_ms = outcome->exposed_ms;
    if (outcome->steps > record->progress.step)
        record->progress.step = outcome->steps;
    if (outcome->progress && outcome->progress->has_loss) {
        record->progress.has_loss = true;
        record->progress.train_loss = outcome->progress->train_loss;
    }
    return is_complete;
}

syn_status syn_job_take_outcome(syn_job *job, const syn_rank_outcome *outcome)
{
    syn_attempt *attempt = job->attempt;
    syn_job_failure *failure = &attempt->failure;
    syn_attempt_set_outcome(attempt, outcome->rank, outcome->state);
    if (outcome->rank == 0 && !take_results(&job->record, outcome))
        return syn_fail_memory(256, "the results of a job");
    if (outcome->state != SYN_JOB_FAILED || !outcome->failure || failure->is_set)
        return SYN_OK;
    /* Into the record at once, so that a restart of the coordinator does not lose it. */
    if (!syn_job_failure_copy(failure, outcome->failure) ||
        !syn_job_failure_copy(&job->record.failure, failure))
        return syn_fail_memory(256, "a failure");
    job->record.failure.attempt = job->record.attempt;
    return SYN_OK;
}
