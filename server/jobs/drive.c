/* What is due for a job that runs: start it, follow its ranks, keep its deadlines, see its end. */
#include "server/jobs/internal.h"

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/format/job_spec.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static uint64_t ms(uint32_t milliseconds)
{
    return (uint64_t)milliseconds * 1000000u;
}

/* ---- starting ---- */

/* The complete job beside its results, for people. */
static syn_status write_job_file(syn_job *job, int64_t *threads_out)
{
    syn_status status = SYN_OK;
    syn_job_spec spec = {0};
    char *yaml = NULL, *path = NULL;
    SYN_GOTO(syn_job_spec_parse(job->spec_json, strlen(job->spec_json), "job.json", "/", "/", NULL,
                                0, &spec));
    yaml = syn_job_spec_to_yaml(&spec);
    path = syn_path_join(job->record.run_dir, "job.yaml");
    if (!yaml || !path) {
        status = syn_fail_memory(4096, "job.yaml");
        goto out;
    }
    SYN_GOTO(syn_dir_make(job->record.run_dir));
    SYN_GOTO(syn_file_write_atomic(path, yaml, strlen(yaml)));
    *threads_out = spec.threads;
out:
    syn_free(yaml);
    syn_free(path);
    syn_job_spec_release(&spec);
    return status;
}

static void start_local(syn_job *job, int64_t threads)
{
    syn_jobs *jobs = job->jobs;
    syn_attempt *attempt = job->attempt;
    const syn_launch_request request = {.job_id = job->id,
                                        .epoch = job->record.epoch,
                                        .attempt = job->record.attempt,
                                        .n_ranks = job->record.n_ranks,
                                        .run_dir = job->record.run_dir,
                                        .address = jobs->address,
                                        .threads = threads,
                                        .die_with_parent = jobs->options.is_private};
    if (jobs->options.launcher.start(&request, &attempt->handle) != SYN_OK) {
        attempt->launch_error = syn_strdup(syn_error_message());
        return;
    }
    attempt->has_handle = true;
    attempt->launch_state = SYN_LAUNCH_ALIVE;
    syn_change *change = syn_job_draft(job);
    if (!change)
        return;
    change->has_launch = true;
    change->launch = (syn_store_launch){.number = job->record.number,
                                        .epoch = job->record.epoch,
                                        .attempt = job->record.attempt,
                                        .pid = attempt->handle.pid,
                                        .start_ticks = attempt->handle.start_ticks};
}

static void assign_members(syn_job *job)
{
    syn_directive directive = {.kind = SYN_DIRECTIVE_ASSIGN};
    syn_job_fill_assignment(job, &directive.assignment);
    for (uint32_t r = 0; r < job->attempt->n_ranks; r++) {
        const syn_worker *worker = job->attempt->ranks[r].worker;
        if (worker && worker->session) /* the others get it when they are back */
            job->jobs->options.sessions.send(worker->session, &directive);
    }
}

/* LAUNCHING is committed: the ranks may start. */
static void begin(syn_job *job)
{
    syn_attempt *attempt = job->attempt;
    int64_t threads = 0;
    attempt->has_begun = true;
    attempt->watched_ns = syn_clock_monotonic_ns();
    attempt->resume_from = syn_job_find_resume(job, &(uint64_t){0});
    if (!attempt->resume_from || write_job_file(job, &threads) != SYN_OK) {
        attempt->launch_error = syn_strdup(syn_error_message());
        return;
    }
    if (syn_job_is_pooled(job))
        assign_members(job);
    else
        start_local(job, threads);
}

/* A launch of an earlier life is looked for on disk until its supervisor must have written its
 * record. False: wait. */
static bool find_earlier_launch(syn_job *job)
{
    syn_attempt *attempt = job->attempt;
    if (!job->find_until_ns || syn_job_is_pooled(job) || attempt->has_handle)
        return true;
    if (job->jobs->options.launcher.find(job->record.run_dir, job->record.attempt,
                                         job->record.epoch, &attempt->handle) == SYN_OK) {
        attempt->has_handle = true;
        attempt->has_begun = true;
        job->find_until_ns = 0;
        return true;
    }
    if (syn_clock_monotonic_ns() < job->find_until_ns)
        return false;
    job->find_until_ns = 0;
    return true;
}

/* ---- ending ---- */

void syn_job_give_up(syn_job *job, syn_reason reason, const char *format, ...)
{
    char text[1024];
    va_list args;
    syn_attempt *attempt = job->attempt;
    syn_job_failure *failure = &job->record.failure;
    if (job->record.state == SYN_JOB_DRAINING || job->record.state == SYN_JOB_RECOVERING)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    attempt->lost_reason = reason;
    (void)syn_text_set(&attempt->lost_text, text);
    failure->is_set = true;
    failure->rank_known = false;
    failure->rank = failure->signal = 0;
    failure->exit_code = 0;
    failure->attempt = job->record.attempt;
    failure->step = syn_attempt_step(job);
    failure->phase = SYN_PHASE_UNSPECIFIED;
    (void)syn_text_set(&failure->host, NULL);
    (void)syn_text_set(&failure->message, text);
    syn_job_move(job, SYN_JOB_RECOVERING, reason, "%s", text);
}

/* The ranks had their time: a signal, or the end of the pool that does not let go. */
static void escalate(syn_job *job)
{
    syn_attempt *attempt = job->attempt;
    attempt->end_by_ns = syn_clock_monotonic_ns() + ms(job->jobs->options.grace_ms);
    if (!syn_job_is_pooled(job)) {
        if (attempt->has_handle)
            job->jobs->options.launcher.kill(&attempt->handle, attempt->n_signals > 0);
        attempt->n_signals++;
        return;
    }
    syn_pool *pool = syn_job_pool(job);
    char why[128];
    (void)snprintf(why, sizeof why, "its ranks did not let go of job %s", job->id);
    if (pool)
        syn_jobs_remove_pool(job->jobs, pool, why);
    else
        attempt->pool_is_gone = true; /* it never came back after a restart of the coordinator */
}

static bool has_sessions(const syn_attempt *attempt)
{
    for (uint32_t r = 0; r < attempt->n_ranks; r++)
        if (attempt->ranks[r].worker && attempt->ranks[r].worker->session)
            return true;
    return false;
}

/* Sets and keeps the time by which the ranks must be gone. */
static void press_for_end(syn_job *job)
{
    syn_attempt *attempt = job->attempt;
    uint64_t now = syn_clock_monotonic_ns();
    bool is_leaving =
        job->record.state == SYN_JOB_DRAINING || job->record.state == SYN_JOB_RECOVERING;
    bool is_done = attempt->failure.is_set || attempt->n_outcomes == attempt->n_ranks;
    if (!is_leaving && !is_done)
        return;
    if (is_leaving && !attempt->stop_sent)
        syn_job_send_stop(job);
    if (!attempt->end_by_ns) {
        bool at_once = is_leaving && !syn_job_is_pooled(job) &&
                       (job->record.state == SYN_JOB_RECOVERING || !has_sessions(attempt));
        attempt->end_by_ns = at_once ? now : now + ms(job->jobs->options.grace_ms);
    }
    if (now >= attempt->end_by_ns)
        escalate(job);
}

/* Whether no process works for the attempt any more. */
static bool has_ended(syn_job *job)
{
    syn_attempt *attempt = job->attempt;
    bool is_leaving =
        job->record.state == SYN_JOB_DRAINING || job->record.state == SYN_JOB_RECOVERING;
    if (attempt->launch_error || (is_leaving && !attempt->has_begun))
        return true;
    if (syn_job_is_pooled(job))
        return attempt->n_outcomes == attempt->n_ranks || attempt->pool_is_gone;
    if (!attempt->has_handle) {
        bool is_lost = attempt->was_adopted && job->record.state != SYN_JOB_LAUNCHING;
        if (is_lost) /* looked for, and not found */
            attempt->launch_state = SYN_LAUNCH_LOST;
        return is_lost;
    }
    attempt->launch_state = job->jobs->options.launcher.poll(&attempt->handle, job->record.run_dir,
                                                             job->record.attempt, &attempt->exit);
    return attempt->launch_state != SYN_LAUNCH_ALIVE;
}

/* ---- following ---- */

static bool is_stepping(const syn_attempt *attempt)
{
    for (uint32_t r = 0; r < attempt->n_ranks; r++) {
        const syn_worker *worker = attempt->ranks[r].worker;
        if (worker && worker->epoch == attempt->epoch &&
            (worker->status.step > 0 || worker->status.phase > SYN_PHASE_INIT))
            return true;
    }
    return false;
}

static void follow_start(syn_job *job)
{
    syn_attempt *attempt = job->attempt;
    if (job->record.state == SYN_JOB_LAUNCHING && attempt->n_registered == attempt->n_ranks)
        syn_job_move(job, SYN_JOB_STARTING, SYN_REASON_NONE,
                     attempt->n_ranks == 1 ? "its %u rank has come up"
                                           : "all %u ranks have come up",
                     attempt->n_ranks);
    if (job->record.state == SYN_JOB_STARTING && is_stepping(attempt)) {
        if (!job->record.started_ns)
            job->record.started_ns = syn_clock_wall_ns();
        syn_job_move(job, SYN_JOB_RUNNING, SYN_REASON_NONE, "%s", "");
    }
}

static void check_time_limit(syn_job *job, uint64_t now)
{
    char limit[32];
    double elapsed_s = (double)(now - job->attempt->began_ns) * 1e-9;
    if (job->record.time_limit_s > 0 && elapsed_s > job->record.time_limit_s)
        syn_job_move(job, SYN_JOB_DRAINING, SYN_REASON_TIME_LIMIT,
                     "the time limit of %s was reached in step %llu",
                     syn_format_duration(limit, job->record.time_limit_s),
                     (unsigned long long)syn_attempt_step(job));
}

/* Connected and mute for so many times as long as a rank without connection may be: stopped, not
 * merely away. */
enum { MUTE_FACTOR = 3 };

/* A rank of a living launch that nobody hears of any more. */
static void check_contact(syn_job *job, uint64_t now)
{
    syn_attempt *attempt = job->attempt;
    uint64_t lost = ms(job->jobs->options.lost_ms), start = ms(job->jobs->options.start_timeout_ms);
    if (job->record.state == SYN_JOB_LAUNCHING) {
        if (now - attempt->watched_ns > start)
            syn_job_give_up(job, SYN_REASON_LAUNCH_FAILED,
                            "only %u of %u ranks had come up after %u s", attempt->n_registered,
                            attempt->n_ranks, job->jobs->options.start_timeout_ms / 1000);
        return;
    }
    for (uint32_t r = 0; r < attempt->n_ranks && job->record.state != SYN_JOB_RECOVERING; r++) {
        const syn_worker *worker = attempt->ranks[r].worker;
        uint64_t since = worker ? worker->contact_ns : attempt->watched_ns;
        uint64_t limit = worker && worker->session ? MUTE_FACTOR * lost : lost;
        syn_job_check_idle_rank(job, r, now);
        if (attempt->ranks[r].outcome != SYN_JOB_UNSPECIFIED || now < since || now - since <= limit)
            continue;
        char duration[32];
        syn_job_give_up(job, SYN_REASON_NODE_LOST, "rank %u%s%s%s has not been heard of for %s", r,
                        worker ? " (" : "", worker ? worker->host : "", worker ? ")" : "",
                        syn_format_duration(duration, (double)(now - since) * 1e-9));
    }
}

void syn_job_drive(syn_job *job)
{
    syn_jobs *jobs = job->jobs;
    if (jobs->is_broken || !jobs->is_started || job->n_pending ||
        !syn_job_state_is_live(job->record.state))
        return;
    SYN_BUG_ON(!job->attempt);
    if (!find_earlier_launch(job))
        return;
    if (job->record.state == SYN_JOB_LAUNCHING && !job->attempt->has_begun) {
        if (job->attempt->was_adopted && !syn_job_is_pooled(job))
            syn_job_give_up(job, SYN_REASON_COORDINATOR_RECOVERED,
                            "the coordinator ended before the launch had begun");
        else
            begin(job);
    }
    if (has_ended(job)) {
        syn_job_read_outcome_files(job);
        syn_job_conclude(job);
        return;
    }
    uint64_t now = syn_clock_monotonic_ns();
    follow_start(job);
    if (job->record.state <= SYN_JOB_RUNNING && !job->attempt->failure.is_set)
        check_time_limit(job, now);
    if (job->record.state <= SYN_JOB_RUNNING)
        check_contact(job, now);
    if (job->record.state == SYN_JOB_RUNNING)
        syn_job_watch_progress(job);
    press_for_end(job);
    syn_job_flush(job);
}
