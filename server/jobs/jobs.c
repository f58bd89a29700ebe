/* The room's life: opening, closing, looking jobs up. */
#include "server/jobs/internal.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#include <string.h>

/* ---- jobs ---- */

syn_job *syn_job_new(syn_jobs *jobs, uint64_t number)
{
    syn_job *job = syn_calloc(1, sizeof *job);
    if (!job)
        return NULL;
    job->jobs = jobs;
    job->record.number = number;
    (void)syn_job_id_format(job->id, number);
    return job;
}

void syn_job_free(syn_job *job)
{
    if (!job)
        return;
    syn_job_record_release(&job->record);
    syn_job_record_free(job->shown);
    syn_free(job->spec_json);
    syn_vec_release(&job->events);
    syn_attempt_free(job->attempt);
    syn_change_free(job->draft);
    if (job->draft_commit)
        syn_vec_release(&job->draft_commit->replies);
    syn_free(job->draft_commit);
    syn_free(job);
}

syn_status syn_jobs_add(syn_jobs *jobs, syn_job *job)
{
    uint64_t number = job->record.number;
    if (number > (uint64_t)1 << 40)
        return SYN_FAIL(SYN_OUT_OF_RANGE, "job number %llu is too large",
                        (unsigned long long)number);
    while (jobs->by_number.n < number)
        if (!syn_vec_push(&jobs->by_number, NULL))
            return syn_fail_memory(number * sizeof(syn_job *), "the table of jobs");
    SYN_BUG_ON(jobs->by_number.items[number - 1]);
    if (!syn_job_state_is_terminal(job->record.state)) {
        if (!syn_vec_push(&jobs->open, job))
            return syn_fail_memory(jobs->open.n * sizeof(syn_job *), "the table of open jobs");
        job->is_open = true;
    }
    jobs->by_number.items[number - 1] = job;
    if (number > jobs->last_number)
        jobs->last_number = number;
    return SYN_OK;
}

void syn_jobs_drop(syn_jobs *jobs, syn_job *job)
{
    for (size_t i = 0; i < jobs->open.n && job->is_open; i++)
        if (jobs->open.items[i] == job) {
            jobs->open.items[i] = jobs->open.items[--jobs->open.n];
            job->is_open = false;
        }
}

syn_job *syn_jobs_get(syn_jobs *jobs, uint64_t number)
{
    syn_job *job =
        number > 0 && number <= jobs->by_number.n ? jobs->by_number.items[number - 1] : NULL;
    return job && job->shown ? job : NULL;
}

syn_job *syn_jobs_find(syn_jobs *jobs, const char *job_id)
{
    return syn_jobs_get(jobs, syn_job_id_parse(job_id));
}

uint64_t syn_jobs_last_number(const syn_jobs *jobs)
{
    return jobs->last_number;
}

const syn_job_record *syn_job_shown(const syn_job *job)
{
    return job->shown;
}

const char *syn_job_id(const syn_job *job)
{
    return job->id;
}

const syn_job_event *syn_job_event_at(const syn_job *job, size_t i)
{
    return i < job->events.n ? job->events.items[i] : NULL;
}

const syn_worker *syn_job_rank(const syn_job *job, uint32_t rank)
{
    if (!job->attempt || rank >= job->attempt->n_ranks)
        return NULL;
    return job->attempt->ranks[rank].worker;
}

const syn_job_event *syn_jobs_event_after(const syn_jobs *jobs, uint64_t after)
{
    size_t low = 0, high = jobs->log.n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (jobs->log.items[middle]->sequence <= after)
            low = middle + 1;
        else
            high = middle;
    }
    return low < jobs->log.n ? jobs->log.items[low] : NULL;
}

/* ---- the room ---- */

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value ? value : fallback;
}

static void set_defaults(syn_jobs_options *options)
{
    options->poll_ms = or_default(options->poll_ms, 200);
    options->grace_ms = or_default(options->grace_ms, 10000);
    options->lost_ms = or_default(options->lost_ms, 60000);
    options->start_timeout_ms = or_default(options->start_timeout_ms, 300000);
    options->retry_ms = or_default(options->retry_ms, 1000);
    options->find_ms = or_default(options->find_ms, 2000);
    options->stall_ms = or_default(options->stall_ms, 30000);
    options->report_interval_ms = or_default(options->report_interval_ms, 500);
}

static void free_jobs(syn_jobs *jobs)
{
    for (size_t i = 0; i < jobs->by_number.n; i++)
        syn_job_free(jobs->by_number.items[i]);
    for (size_t i = 0; i < jobs->log.n; i++)
        syn_job_event_free(jobs->log.items[i]);
    syn_vec_release(&jobs->by_number);
    syn_vec_release(&jobs->open);
    syn_vec_release(&jobs->log);
    syn_request_map_release(&jobs->requests);
    syn_cluster_free(jobs->cluster);
    syn_free(jobs->state_dir);
    syn_free(jobs->address);
    syn_free(jobs);
}

syn_status syn_jobs_new(const syn_jobs_options *options, syn_jobs **jobs_out)
{
    syn_jobs *jobs = syn_calloc(1, sizeof *jobs);
    if (!jobs)
        return syn_fail_memory(sizeof *jobs, "the jobs");
    jobs->options = *options;
    set_defaults(&jobs->options);
    jobs->state_dir = syn_strdup(options->state_dir);
    jobs->cluster = syn_cluster_new();
    jobs->started_ns = syn_clock_wall_ns();
    syn_status status = SYN_OK;
    if (!jobs->state_dir || !jobs->cluster)
        status = syn_fail_memory(sizeof *jobs, "the jobs");
    if (status == SYN_OK)
        status = syn_jobs_load(jobs);
    if (status != SYN_OK) {
        free_jobs(jobs);
        return status;
    }
    *jobs_out = jobs;
    return SYN_OK;
}

void syn_jobs_fatal(syn_jobs *jobs, const char *sentence)
{
    if (jobs->is_broken)
        return;
    jobs->is_broken = true;
    if (jobs->options.on_fatal)
        jobs->options.on_fatal(sentence, jobs->options.user);
}

static void check_stopped(syn_jobs *jobs)
{
    if (!jobs->is_stopping || !jobs->on_stopped)
        return;
    for (size_t i = 0; jobs->options.is_private && !jobs->is_broken && i < jobs->open.n; i++)
        if (!syn_job_state_is_terminal(jobs->open.items[i]->record.state) ||
            jobs->open.items[i]->n_pending)
            return;
    void (*on_stopped)(void *) = jobs->on_stopped;
    jobs->on_stopped = NULL;
    on_stopped(jobs->stopped_user);
}

/* Every poll interval: launches, deadlines, pools, the queue. */
static void on_poll(uv_timer_t *timer)
{
    syn_jobs *jobs = timer->data;
    syn_jobs_expire_pools(jobs);
    for (size_t i = jobs->open.n; i-- > 0;)
        if (i < jobs->open.n)
            syn_job_drive(jobs->open.items[i]);
    syn_jobs_schedule(jobs);
    check_stopped(jobs);
}

static void on_kick(uv_timer_t *timer)
{
    syn_jobs *jobs = timer->data;
    syn_jobs_schedule(jobs);
    check_stopped(jobs);
}

void syn_jobs_kick(syn_jobs *jobs)
{
    if (jobs->has_timers && !jobs->is_broken && !uv_is_active((uv_handle_t *)&jobs->kick_timer) &&
        !uv_is_closing((uv_handle_t *)&jobs->kick_timer))
        (void)uv_timer_start(&jobs->kick_timer, on_kick, 0, 0);
}

syn_status syn_jobs_start(syn_jobs *jobs, const char *address)
{
    jobs->address = syn_strdup(address);
    if (!jobs->address)
        return syn_fail_memory(strlen(address), "an address");
    (void)uv_timer_init(jobs->options.loop, &jobs->poll_timer);
    (void)uv_timer_init(jobs->options.loop, &jobs->kick_timer);
    jobs->poll_timer.data = jobs->kick_timer.data = jobs;
    jobs->has_timers = true;
    uv_update_time(jobs->options.loop);
    syn_jobs_recover(jobs);
    jobs->is_started = true;
    (void)uv_timer_start(&jobs->poll_timer, on_poll, jobs->options.poll_ms, jobs->options.poll_ms);
    syn_jobs_kick(jobs);
    return SYN_OK;
}

static void ignore_reply(syn_status status, const char *message, syn_job *job, void *user)
{
    (void)status, (void)message, (void)job, (void)user;
}

void syn_jobs_stop(syn_jobs *jobs, void (*done)(void *user), void *user)
{
    jobs->is_stopping = true;
    jobs->on_stopped = done;
    jobs->stopped_user = user;
    if (jobs->options.is_private)
        for (size_t i = jobs->open.n; i-- > 0;)
            syn_jobs_cancel(jobs, jobs->open.items[i]->id, "the coordinator is ending",
                            ignore_reply, NULL);
    syn_jobs_kick(jobs);
}

void syn_jobs_halt(syn_jobs *jobs)
{
    jobs->is_broken = true;
    if (!jobs->has_timers)
        return;
    (void)uv_timer_stop(&jobs->poll_timer);
    (void)uv_timer_stop(&jobs->kick_timer);
}

static void on_timer_closed(uv_handle_t *handle)
{
    syn_jobs *jobs = handle->data;
    if (--jobs->n_closing > 0)
        return;
    void (*on_closed)(void *) = jobs->on_closed;
    void *user = jobs->closed_user;
    free_jobs(jobs);
    if (on_closed)
        on_closed(user);
}

void syn_jobs_close(syn_jobs *jobs, void (*done)(void *user), void *user)
{
    if (!jobs)
        return;
    jobs->on_closed = done;
    jobs->closed_user = user;
    if (!jobs->has_timers) { /* never started: the timers only carry the callback */
        (void)uv_timer_init(jobs->options.loop, &jobs->poll_timer);
        (void)uv_timer_init(jobs->options.loop, &jobs->kick_timer);
        jobs->poll_timer.data = jobs->kick_timer.data = jobs;
    }
    jobs->n_closing = 2;
    uv_close((uv_handle_t *)&jobs->poll_timer, on_timer_closed);
    uv_close((uv_handle_t *)&jobs->kick_timer, on_timer_closed);
}

void syn_jobs_set_listener(syn_jobs *jobs,
                           void (*on_event)(syn_job *job, const syn_job_event *event, void *user),
                           void *user)
{
    jobs->on_event = on_event;
    jobs->listener_user = user;
}

syn_cluster *syn_jobs_cluster(syn_jobs *jobs)
{
    return jobs->cluster;
}

int64_t syn_jobs_local_slots(const syn_jobs *jobs)
{
    return jobs->options.slots > 0 ? jobs->options.slots : 0;
}

const char *syn_jobs_state_dir(const syn_jobs *jobs)
{
    return jobs->state_dir;
}

int64_t syn_jobs_started_ns(const syn_jobs *jobs)
{
    return jobs->started_ns;
}

uint64_t syn_jobs_now_ns(const syn_jobs *jobs)
{
    (void)jobs;
    return syn_clock_monotonic_ns();
}

uint32_t syn_jobs_report_interval_ms(const syn_jobs *jobs)
{
    return jobs->options.report_interval_ms;
}

const char *syn_jobs_not_ready(const syn_jobs *jobs)
{
    return jobs->is_broken     ? "the job store is broken"
           : !jobs->is_started ? "jobs of an earlier life are being taken up"
           : jobs->is_stopping ? "the coordinator is ending"
                               : syn_store_degraded(jobs->options.store);
}

const syn_jobs_stats *syn_jobs_get_stats(const syn_jobs *jobs)
{
    return &jobs->stats;
}
