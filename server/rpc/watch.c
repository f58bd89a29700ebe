/* WatchJobs: events from a sequence number on, then as they come, and progress in between. */
#include "server/rpc/internal.h"

#include "common/base/clock.h"

#include <string.h>

enum { MIN_INTERVAL_MS = 50, MAX_INTERVAL_MS = 3600000 };

typedef struct watcher {
    syn_stream stream; /* first */
    uint64_t after;    /* sequence of the last event sent */
    syn_job *job;      /* NULL: all jobs */
    size_t next;       /* of the job's events */
    int64_t last_progress_ns;
    uv_timer_t timer;
    bool has_timer, has_ended, is_pumping;
} watcher;

static void free_watcher(uv_handle_t *handle)
{
    syn_free(handle->data);
}

static const syn_job_event *next_event(const watcher *w)
{
    if (!w->job)
        return syn_jobs_event_after(w->stream.services->jobs, w->after);
    for (size_t i = w->next;; i++) {
        const syn_job_event *event = syn_job_event_at(w->job, i);
        if (!event || event->sequence > w->after)
            return event;
    }
}

static void send_record(watcher *w, syn_job *job, const syn_job_event *event, bool is_last)
{
    Syncline__V1__WatchJobsResponse response = SYNCLINE__V1__WATCH_JOBS_RESPONSE__INIT;
    Syncline__V1__Event message;
    syn_arena arena = {0};
    char id[SYN_JOB_ID_MAX];
    response.job = syn_convert_job(&arena, job, w->job != NULL);
    if (event) {
        syn_convert_event(event, id, &message);
        response.event = &message;
    }
    response.is_last = is_last;
    w->last_progress_ns = syn_job_shown(job)->progress.updated_ns;
    if (response.job)
        (void)syn_rpc_call_send(w->stream.call, &response.base);
    else
        syn_rpc_call_fail(w->stream.call, syn_fail_memory(4096, "a record"));
    syn_arena_release(&arena);
}

static void finish(watcher *w)
{
    w->has_ended = true;
    syn_rpc_call_finish(w->stream.call, SYN_OK, NULL);
}

/* Sends what there is, as long as the client takes it. */
static void pump(watcher *w)
{
    const syn_job_event *event;
    if (w->is_pumping)
        return;
    w->is_pumping = true;
    while (!w->has_ended && syn_rpc_call_is_writable(w->stream.call) && (event = next_event(w))) {
        syn_job *job = w->job ? w->job : syn_jobs_get(w->stream.services->jobs, event->number);
        w->after = event->sequence;
        if (w->job)
            while (syn_job_event_at(job, w->next) &&
                   syn_job_event_at(job, w->next)->sequence <= w->after)
                w->next++;
        bool is_last = w->job && syn_job_state_is_terminal(event->to);
        if (job)
            send_record(w, job, event, is_last);
        if (is_last)
            finish(w);
    }
    w->is_pumping = false;
}

static void on_interval(uv_timer_t *timer)
{
    watcher *w = timer->data;
    if (w->has_ended || !syn_rpc_call_is_writable(w->stream.call) || next_event(w))
        return;
    if (w->job) {
        if (syn_job_shown(w->job)->progress.updated_ns != w->last_progress_ns)
            send_record(w, w->job, NULL, false);
        return;
    }
    int64_t last = w->last_progress_ns, newest = last;
    for (uint64_t n = syn_jobs_last_number(w->stream.services->jobs); n > 0; n--) {
        syn_job *job = syn_jobs_get(w->stream.services->jobs, n);
        if (!job || syn_job_shown(job)->state != SYN_JOB_RUNNING ||
            syn_job_shown(job)->progress.updated_ns <= last)
            continue;
        send_record(w, job, NULL, false);
        if (w->last_progress_ns > newest)
            newest = w->last_progress_ns;
    }
    w->last_progress_ns = newest;
}

static syn_status start_timer(watcher *w, uint32_t interval_ms)
{
    uint32_t interval = interval_ms < MIN_INTERVAL_MS   ? MIN_INTERVAL_MS
                        : interval_ms > MAX_INTERVAL_MS ? MAX_INTERVAL_MS
                                                        : interval_ms;
    if (uv_timer_init(w->stream.services->loop, &w->timer) != 0)
        return SYN_FAIL(SYN_RESOURCE_EXHAUSTED, "no timer is left");
    w->has_timer = true;
    w->timer.data = w;
    (void)uv_timer_start(&w->timer, on_interval, interval, interval);
    return SYN_OK;
}

void syn_watch_start(syn_rpc_call *call, const ProtobufCMessage *message, void *user)
{
    syn_services *services = user;
    const Syncline__V1__WatchJobsRequest *request = (const Syncline__V1__WatchJobsRequest *)message;
    syn_job *job = NULL;
    if (*request->job_id && !(job = syn_jobs_find(services->jobs, request->job_id))) {
        syn_rpc_call_fail(call, SYN_FAIL(SYN_NOT_FOUND, "there is no job %.40s", request->job_id));
        return;
    }
    watcher *w = syn_calloc(1, sizeof *w);
    if (!w) {
        syn_rpc_call_fail(call, syn_fail_memory(sizeof *w, "a watcher"));
        return;
    }
    *w = (watcher){.stream = {.services = services, .call = call},
                   .after = request->after_sequence,
                   .job = job};
    syn_rpc_call_set_data(call, w);
    syn_stream_link(&w->stream, &services->watchers);
    pump(w);
    if (!w->has_ended && job && syn_job_state_is_terminal(syn_job_shown(job)->state) &&
        !next_event(w)) { /* all was seen before */
        send_record(w, job, NULL, true);
        finish(w);
    }
    if (!w->has_ended && request->progress_interval_ms > 0 &&
        start_timer(w, request->progress_interval_ms) != SYN_OK)
        syn_rpc_call_fail(call, SYN_RESOURCE_EXHAUSTED);
}

void syn_watch_drain(syn_rpc_call *call, void *user)
{
    (void)user;
    watcher *w = syn_rpc_call_data(call);
    if (w)
        pump(w);
}

void syn_watch_end(syn_rpc_call *call, syn_status status, void *user)
{
    (void)status, (void)user;
    watcher *w = syn_rpc_call_data(call);
    if (!w)
        return;
    syn_rpc_call_set_data(call, NULL);
    syn_stream_unlink(&w->stream);
    w->has_ended = true;
    if (w->has_timer)
        uv_close((uv_handle_t *)&w->timer, free_watcher);
    else
        syn_free(w);
}

void syn_watch_notify(syn_job *job, const syn_job_event *event, void *user)
{
    syn_services *services = user;
    (void)event;
    for (syn_stream *s = services->watchers, *next; s; s = next) {
        watcher *w = (watcher *)s;
        next = s->next;
        if (!w->job || w->job == job)
            pump(w);
    }
}
