/* Start: the jobs of an earlier life are read back, and each that had not ended is taken up. */
#include "server/jobs/internal.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#include <dirent.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- reading ---- */

static bool on_job(syn_job_record *record, void *user)
{
    syn_jobs *jobs = user;
    syn_job *job = NULL;
    syn_job_record *shown = syn_job_record_copy(record);
    bool is_new = record->number > jobs->by_number.n;
    if (shown && is_new)
        job = syn_job_new(jobs, record->number);
    if (!job) {
        syn_job_record_free(record);
        syn_job_record_free(shown);
        return false;
    }
    job->record = *record;
    job->shown = shown;
    syn_free(record);
    if (syn_jobs_add(jobs, job) != SYN_OK) {
        syn_job_free(job);
        return false;
    }
    jobs->stats.by_state[job->record.state]++;
    return true;
}

static bool on_spec(uint64_t number, const char *spec_json, void *user)
{
    syn_job *job = syn_jobs_get(user, number);
    return job && syn_text_set(&job->spec_json, spec_json);
}

static bool on_event(syn_job_event *event, void *user)
{
    syn_jobs *jobs = user;
    syn_job *job = syn_jobs_get(jobs, event->number);
    bool makes_sense = job && (unsigned)event->from < SYN_JOB_N_STATES &&
                       (unsigned)event->to < SYN_JOB_N_STATES &&
                       (unsigned)event->reason < SYN_N_REASONS;
    if (event->sequence > jobs->last_sequence)
        jobs->last_sequence = event->sequence;
    if (!makes_sense || !syn_vec_push(&jobs->log, event)) {
        syn_job_event_free(event);
        return false;
    }
    return syn_vec_push(&job->events, event);
}

static bool on_request(const syn_store_request *request, void *user)
{
    syn_jobs *jobs = user;
    return !syn_request_map_find(&jobs->requests, request->id) &&
           syn_request_map_add(&jobs->requests, request);
}

/* The attempt as far as the store knows it; made for every job in a live state. */
static syn_attempt *get_attempt(syn_job *job)
{
    syn_attempt *attempt = job->attempt;
    if (attempt || !syn_job_state_is_live(job->record.state))
        return attempt;
    attempt = syn_attempt_new(job->record.n_ranks, job->record.epoch);
    if (!attempt)
        return NULL;
    attempt->was_adopted = true;
    if (job->record.members &&
        syn_members_parse(job->record.members, job->record.n_ranks, &attempt->members) != SYN_OK) {
        SYN_WARN("%s: %s", job->id, syn_error_message());
        attempt->pool_is_gone = true;
    }
    job->attempt = attempt;
    return attempt;
}

static bool on_launch(const syn_store_launch *launch, void *user)
{
    syn_job *job = syn_jobs_get(user, launch->number);
    if (!job)
        return false;
    if (launch->epoch != job->record.epoch || !get_attempt(job))
        return true; /* of an earlier attempt */
    job->attempt->has_handle = job->attempt->has_begun = true;
    job->attempt->handle = (syn_launch_handle){(pid_t)launch->pid, launch->start_ticks};
    return true;
}

static bool on_outcome(const syn_store_outcome *outcome, void *user)
{
    syn_job *job = syn_jobs_get(user, outcome->number);
    if (!job)
        return false;
    if (outcome->epoch != job->record.epoch || !get_attempt(job))
        return true;
    if (outcome->rank >= job->record.n_ranks)
        return false;
    syn_attempt_set_outcome(job->attempt, outcome->rank, outcome->state);
    return true;
}

/* After the store was lost, numbers that still have a run directory are not given again. */
static void skip_used_numbers(syn_jobs *jobs)
{
    syn_str folder = {0};
    syn_str_appendf(&folder, "%s/runs", jobs->state_dir);
    DIR *dir = folder.failed ? NULL : opendir(folder.data);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        uint64_t number = syn_job_id_parse(entry->d_name);
        if (number > jobs->last_number && number < (uint64_t)1 << 32)
            jobs->last_number = number;
    }
    if (dir)
        (void)closedir(dir);
    syn_str_release(&folder);
}

syn_status syn_jobs_load(syn_jobs *jobs)
{
    const syn_store_visitor visitor = {.on_job = on_job,
                                       .on_spec = on_spec,
                                       .on_event = on_event,
                                       .on_request = on_request,
                                       .on_launch = on_launch,
                                       .on_outcome = on_outcome,
                                       .user = jobs};
    SYN_TRY(syn_store_load(jobs->options.store, &visitor));
    if (syn_store_is_new(jobs->options.store))
        skip_used_numbers(jobs);
    return SYN_OK;
}

/* ---- taking up ---- */

/* For how long the attempt has run. A supervisor's start is known on the clock since boot, which
 * nobody sets; a pool's assignment only on the wall clock. */
static uint64_t running_ns(const syn_job *job, uint64_t now)
{
    const syn_attempt *attempt = job->attempt;
    int64_t ran_ns = syn_clock_wall_ns() - job->record.attempt_started_ns;
    struct timespec boot;
    if (attempt->has_handle && clock_gettime(CLOCK_BOOTTIME, &boot) == 0) {
        uint64_t start_s = attempt->handle.start_ticks / (uint64_t)sysconf(_SC_CLK_TCK);
        ran_ns = ((int64_t)boot.tv_sec - (int64_t)start_s) * 1000000000;
    }
    return ran_ns < 0 || (uint64_t)ran_ns > now ? 0 : (uint64_t)ran_ns;
}

/* A rank's own error that was acknowledged before the restart is the culprit still. */
static void restore_failure(syn_job *job)
{
    syn_attempt *attempt = job->attempt;
    const syn_job_failure *failure = &job->record.failure;
    bool has_failed = false;
    for (uint32_t r = 0; r < attempt->n_ranks; r++)
        has_failed = has_failed || attempt->ranks[r].outcome == SYN_JOB_FAILED;
    if (has_failed && failure->is_set && failure->attempt == job->record.attempt &&
        job->record.state != SYN_JOB_RECOVERING)
        (void)syn_job_failure_copy(&attempt->failure, failure);
}

static void take_up(syn_job *job)
{
    syn_jobs *jobs = job->jobs;
    uint64_t now = syn_clock_monotonic_ns();
    syn_attempt *attempt = get_attempt(job);
    if (!attempt) {
        syn_jobs_fatal(
            jobs, "the coordinator is out of memory while it takes up the jobs of an earlier life");
        return;
    }
    attempt->began_ns = now - running_ns(job, now);
    attempt->watched_ns = now;
    if (syn_job_is_pooled(job)) {
        attempt->has_begun =
            true; /* an assignment that was not sent is sent when its rank comes back idle */
        attempt->resume_from = syn_job_find_resume(job, &(uint64_t){0});
    } else if (!attempt->has_handle) {
        job->find_until_ns = now + (uint64_t)jobs->options.find_ms * 1000000u;
    }
    restore_failure(job);
    attempt->resume_from = attempt->resume_from ? attempt->resume_from : syn_strdup("");
    jobs->stats.recovered_adopted++;
    SYN_INFO("%s: taken up in state %s, attempt %u", job->id, syn_job_state_name(job->record.state),
             job->record.attempt);
}

void syn_jobs_recover(syn_jobs *jobs)
{
    uint64_t start = syn_clock_monotonic_ns();
    size_t n_live = 0;
    for (size_t i = jobs->open.n; i-- > 0;) {
        syn_job *job = jobs->open.items[i];
        if (syn_job_state_is_live(job->record.state)) {
            take_up(job);
            n_live++;
        } else if (!job->spec_json) {
            SYN_WARN("%s: its description is gone from the store, it is cancelled", job->id);
            syn_job_move(job, SYN_JOB_CANCELLED, SYN_REASON_COORDINATOR_RECOVERED,
                         "its description was lost");
            syn_job_flush(job);
        }
    }
    if (jobs->last_number > 0)
        SYN_INFO("%llu jobs were read back, %zu of them had not ended, %zu were running; %.3f s",
                 (unsigned long long)jobs->last_number, jobs->open.n, n_live,
                 (double)(syn_clock_monotonic_ns() - start) * 1e-9);
}
