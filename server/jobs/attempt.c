/* The live attempt of a job: its ranks, their workers, what they are told. */
#include "server/jobs/internal.h"

#include "common/base/mem.h"
#include "common/base/str.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

syn_attempt *syn_attempt_new(uint32_t n_ranks, uint64_t epoch)
{
    syn_attempt *attempt = syn_calloc(1, sizeof *attempt);
    if (!attempt)
        return NULL;
    attempt->n_ranks = n_ranks;
    attempt->epoch = epoch;
    attempt->ranks = syn_calloc(n_ranks, sizeof *attempt->ranks);
    if (!attempt->ranks) {
        syn_free(attempt);
        return NULL;
    }
    return attempt;
}

void syn_attempt_free(syn_attempt *attempt)
{
    if (!attempt)
        return;
    syn_free(attempt->members);
    syn_free(attempt->ranks);
    syn_free(attempt->launch_error);
    syn_free(attempt->resume_from);
    syn_free(attempt->failure.host);
    syn_free(attempt->failure.message);
    syn_free(attempt->lost_text);
    syn_free(attempt);
}

/* Workers launched for the attempt are forgotten, those of a pool become idle. */
static void let_go(syn_job *job, syn_attempt_rank *rank)
{
    syn_worker *worker = rank->worker;
    rank->worker = NULL;
    if (!worker)
        return;
    if (worker->pool) {
        if (rank->outcome != SYN_JOB_UNSPECIFIED)
            worker->job = worker->epoch = 0; /* else it is busy until it says that it is idle */
        return;
    }
    if (worker->session)
        job->jobs->options.sessions.end(worker->session, SYN_OK, "the job has ended");
    syn_cluster_remove(job->jobs->cluster, worker);
}

void syn_job_end_attempt(syn_job *job)
{
    syn_attempt *attempt = job->attempt;
    if (!attempt)
        return;
    for (uint32_t r = 0; r < attempt->n_ranks; r++)
        let_go(job, &attempt->ranks[r]);
    syn_attempt_free(attempt);
    job->attempt = NULL;
}

syn_status syn_members_parse(const char *text, uint32_t n, uint32_t **members_out)
{
    uint32_t *members = syn_malloc(n * sizeof *members);
    if (!members)
        return syn_fail_memory(n * sizeof *members, "the ranks of a job");
    for (uint32_t i = 0; i < n; i++) {
        char *end;
        unsigned long value = strtoul(text, &end, 10);
        if (end == text || value >= SYN_CLUSTER_MAX_RANKS || *end != (i + 1 < n ? ',' : '\0')) {
            syn_free(members);
            return SYN_FAIL(SYN_DATA_LOSS, "the list of pool ranks of a job is damaged");
        }
        members[i] = (uint32_t)value;
        text = end + 1;
    }
    *members_out = members;
    return SYN_OK;
}

char *syn_members_format(const uint32_t *members, uint32_t n)
{
    syn_str text = {0};
    for (uint32_t i = 0; i < n; i++)
        syn_str_appendf(&text, "%s%" PRIu32, i ? "," : "", members[i]);
    return syn_str_take(&text);
}

bool syn_job_is_pooled(const syn_job *job)
{
    return job->record.members != NULL;
}

syn_pool *syn_job_pool(const syn_job *job)
{
    return syn_job_is_pooled(job)
               ? syn_cluster_find_pool(job->jobs->cluster, syn_text_get(job->record.placement))
               : NULL;
}

void syn_job_fill_assignment(const syn_job *job, syn_assignment *assignment_out)
{
    *assignment_out =
        (syn_assignment){.job_id = job->id,
                         .job_json = job->spec_json,
                         .run_dir = syn_text_get(job->record.run_dir),
                         .resume_from = syn_text_get(job->attempt->resume_from),
                         .epoch = job->record.epoch,
                         .attempt = job->record.attempt,
                         .members = job->attempt->members,
                         .n_members = job->attempt->members ? job->attempt->n_ranks : 0};
}

uint64_t syn_attempt_step(const syn_job *job)
{
    uint64_t step = job->record.progress.step;
    for (uint32_t r = 0; job->attempt && r < job->attempt->n_ranks; r++) {
        const syn_worker *worker = job->attempt->ranks[r].worker;
        if (worker && worker->status.step > step)
            step = worker->status.step;
    }
    return step;
}

void syn_job_send_stop(syn_job *job)
{
    syn_attempt *attempt = job->attempt;
    syn_directive stop = {.kind = SYN_DIRECTIVE_STOP,
                          .reason = job->record.reason,
                          .text = syn_text_get(job->record.reason_text)};
    if (!attempt)
        return;
    attempt->stop_sent = true;
    stop.assignment.job_id = job->id;
    stop.assignment.epoch = attempt->epoch;
    for (uint32_t r = 0; r < attempt->n_ranks; r++) {
        syn_worker *worker = attempt->ranks[r].worker;
        if (worker && worker->session && attempt->ranks[r].outcome == SYN_JOB_UNSPECIFIED)
            job->jobs->options.sessions.send(worker->session, &stop);
    }
}

void syn_attempt_set_outcome(syn_attempt *attempt, uint32_t rank, syn_job_state outcome)
{
    SYN_BUG_ON(rank >= attempt->n_ranks);
    if (attempt->ranks[rank].outcome == SYN_JOB_UNSPECIFIED)
        attempt->n_outcomes++;
    attempt->ranks[rank].outcome = outcome;
}
