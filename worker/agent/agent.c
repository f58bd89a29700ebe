/* The agent's thread, its mailbox towards the main thread, and its life. */
#include "worker/agent/agent.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "syncline/v1/workers.pb-c.h"
#include "worker/agent/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

bool syn_agent_is_final(syn_status status)
{
    switch (status) {
    case SYN_INVALID_ARGUMENT:
    case SYN_NOT_FOUND:
    case SYN_ALREADY_EXISTS:
    case SYN_PERMISSION_DENIED:
    case SYN_FAILED_PRECONDITION:
    case SYN_UNIMPLEMENTED:
    case SYN_UNAUTHENTICATED:
        return true;
    default:
        return false;
    }
}

uint32_t syn_agent_next_backoff(uint32_t backoff_ms)
{
    uint32_t next = backoff_ms * 2;
    return next > SYN_AGENT_LAST_BACKOFF_MS ? SYN_AGENT_LAST_BACKOFF_MS : next;
}

void syn_assignment_release(syn_assignment *assignment)
{
    syn_free(assignment->job_id);
    syn_free(assignment->job_json);
    syn_free(assignment->run_dir);
    syn_free(assignment->resume_from);
    syn_free(assignment->members);
    *assignment = (syn_assignment){0};
}

static char *copy_bytes(ProtobufCBinaryData bytes)
{
    return syn_strndup(bytes.data ? (const char *)bytes.data : "", bytes.len);
}

/* A copy of the wire's assignment; false when out of memory. */
static bool copy_assignment(const Syncline__V1__Assignment *from, syn_assignment *to)
{
    *to = (syn_assignment){.job_id = syn_strdup(from->job_id),
                           .epoch = from->epoch,
                           .attempt = from->attempt,
                           .job_json = copy_bytes(from->job_json),
                           .run_dir = copy_bytes(from->run_dir),
                           .resume_from = copy_bytes(from->resume_from),
                           .members = syn_calloc(from->n_members + 1, sizeof *to->members),
                           .n_members = (int)from->n_members};
    if (!to->job_id || !to->job_json || !to->run_dir || !to->resume_from || !to->members) {
        syn_assignment_release(to);
        return false;
    }
    for (size_t i = 0; i < from->n_members; i++)
        to->members[i] = (int)from->members[i];
    return true;
}

void syn_agent_add_assignment(syn_agent *agent, const void *message)
{
    const Syncline__V1__Assignment *from = message;
    syn_assignment copy;

    (void)pthread_mutex_lock(&agent->mutex);
    bool seen = agent->seen_job && strcmp(agent->seen_job, from->job_id) == 0 &&
                agent->seen_epoch == from->epoch;
    if (!seen && copy_assignment(from, &copy)) {
        syn_free(agent->seen_job);
        agent->seen_job = syn_strdup(from->job_id);
        agent->seen_epoch = from->epoch;
        if (!syn_vec_push(&agent->assignments, copy))
            syn_assignment_release(&copy);
        (void)pthread_cond_broadcast(&agent->changed);
    }
    (void)pthread_mutex_unlock(&agent->mutex);
}

/* ---- the thread ---- */

static void on_closed(uv_handle_t *handle)
{
    (void)handle;
}

static void on_channel_closed(void *user)
{
    syn_agent *agent = user;
    uv_close((uv_handle_t *)&agent->wake, on_closed);
    uv_close((uv_handle_t *)&agent->attach_timer, on_closed);
    uv_close((uv_handle_t *)&agent->report_timer, on_closed);
    uv_close((uv_handle_t *)&agent->deliver_timer, on_closed);
}

static void on_wake(uv_async_t *wake)
{
    syn_agent *agent = wake->data;
    (void)pthread_mutex_lock(&agent->mutex);
    bool closing = agent->closing;
    (void)pthread_mutex_unlock(&agent->mutex);
    if (closing && !agent->has_closed) {
        agent->has_closed = true;
        (void)uv_timer_stop(&agent->attach_timer);
        (void)uv_timer_stop(&agent->report_timer);
        (void)uv_timer_stop(&agent->deliver_timer);
        syn_rpc_channel_close(agent->channel, on_channel_closed, agent);
        agent->channel = NULL;
    } else if (!closing && agent->session && !uv_is_active((uv_handle_t *)&agent->deliver_timer)) {
        syn_agent_deliver(agent);
    }
}

static void *run_thread(void *user)
{
    syn_agent *agent = user;
    syn_agent_attach(agent);
    (void)uv_run(&agent->loop, UV_RUN_DEFAULT);
    return NULL;
}

/* The thread takes no signals: they belong to the step loop. */
static syn_status start_thread(syn_agent *agent)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    int error = pthread_create(&agent->thread, NULL, run_thread, agent);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error ? SYN_FAIL(SYN_RESOURCE_EXHAUSTED, "cannot start the agent's thread: %s",
                            strerror(error))
                 : SYN_OK;
}

static syn_status init_loop(syn_agent *agent)
{
    int error = uv_loop_init(&agent->loop);
    if (error)
        return SYN_FAIL(SYN_RESOURCE_EXHAUSTED, "cannot make the agent's loop: %s",
                        uv_strerror(error));
    (void)uv_async_init(&agent->loop, &agent->wake, on_wake);
    (void)uv_timer_init(&agent->loop, &agent->attach_timer);
    (void)uv_timer_init(&agent->loop, &agent->report_timer);
    (void)uv_timer_init(&agent->loop, &agent->deliver_timer);
    agent->wake.data = agent->attach_timer.data = agent->report_timer.data =
        agent->deliver_timer.data = agent;
    return SYN_OK;
}

/* ---- life ---- */

static void release_texts(syn_agent *agent)
{
    for (size_t i = 0; i < agent->assignments.n; i++)
        syn_assignment_release(&agent->assignments.items[i]);
    syn_vec_release(&agent->assignments);
    for (delivery *item = agent->first; item;) {
        delivery *next = item->next;
        syn_agent_delivery_free(item);
        item = next;
    }
    syn_free(agent->address);
    syn_free(agent->job_id);
    syn_free(agent->pool_id);
    syn_free(agent->host);
    syn_free(agent->seen_job);
    syn_free(agent->stopped_job);
    syn_free(agent->job.job_id);
    (void)pthread_mutex_destroy(&agent->mutex);
    (void)pthread_cond_destroy(&agent->changed);
    syn_free(agent);
}

static syn_agent *allocate(const syn_agent_options *options)
{
    syn_agent *agent = syn_calloc(1, sizeof *agent);
    pthread_condattr_t monotonic;
    if (!agent)
        return NULL;
    (void)pthread_mutex_init(&agent->mutex, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&agent->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    agent->address = syn_strdup(options->address);
    agent->job_id = syn_strdup(options->job_id ? options->job_id : "");
    agent->pool_id = syn_strdup(options->pool_id ? options->pool_id : "");
    agent->host = syn_strdup(options->host);
    agent->epoch = options->epoch;
    agent->attempt = options->attempt;
    agent->rank = options->rank;
    agent->n_ranks = options->n_ranks;
    agent->monitor = options->monitor;
    agent->report_ms = SYN_AGENT_REPORT_MS;
    agent->attach_backoff_ms = agent->deliver_backoff_ms = SYN_AGENT_FIRST_BACKOFF_MS;
    (void)snprintf(agent->worker_id, sizeof agent->worker_id, "%.80s-%ld-%" PRIx64, options->host,
                   (long)getpid(), (uint64_t)syn_clock_wall_ns());
    if (agent->address && agent->job_id && agent->pool_id && agent->host)
        return agent;
    release_texts(agent);
    return NULL;
}

syn_status syn_agent_new(const syn_agent_options *options, syn_agent **agent_out)
{
    SYN_TRY(syn_rpc_address_check(options->address));
    syn_agent *agent = allocate(options);
    if (!agent)
        return syn_fail_memory(sizeof *agent, "the agent");
    syn_status status = init_loop(agent);
    if (status != SYN_OK) {
        release_texts(agent);
        return status;
    }
    status = syn_rpc_channel_new(&agent->loop, agent->address, NULL, &agent->channel);
    if (status == SYN_OK)
        status = start_thread(agent);
    if (status != SYN_OK) {
        if (agent->channel)
            syn_rpc_channel_close(agent->channel, on_channel_closed, agent);
        else
            on_channel_closed(agent);
        (void)uv_run(&agent->loop, UV_RUN_DEFAULT);
        (void)uv_loop_close(&agent->loop);
        release_texts(agent);
        return status;
    }
    *agent_out = agent;
    return SYN_OK;
}

void syn_agent_free(syn_agent *agent)
{
    if (!agent)
        return;
    (void)pthread_mutex_lock(&agent->mutex);
    agent->closing = true;
    (void)pthread_mutex_unlock(&agent->mutex);
    (void)uv_async_send(&agent->wake);
    (void)pthread_join(agent->thread, NULL);
    (void)uv_loop_close(&agent->loop);
    release_texts(agent);
}

/* ---- the main thread's calls ---- */

static struct timespec deadline_after(uint32_t timeout_ms)
{
    uint64_t at = syn_clock_monotonic_ns() + (uint64_t)timeout_ms * 1000000;
    return (struct timespec){.tv_sec = (time_t)(at / 1000000000),
                             .tv_nsec = (long)(at % 1000000000)};
}

syn_agent_event syn_agent_wait(syn_agent *agent, uint32_t timeout_ms,
                               syn_assignment *assignment_out)
{
    struct timespec deadline = deadline_after(timeout_ms);
    syn_agent_event event = SYN_AGENT_NOTHING;
    int waited = 0;

    (void)pthread_mutex_lock(&agent->mutex);
    while (agent->assignments.n == 0 && !agent->leave && !agent->refused && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&agent->changed, &agent->mutex, &deadline);
    if (agent->assignments.n > 0) {
        *assignment_out = agent->assignments.items[0];
        agent->assignments.n--;
        memmove(agent->assignments.items, agent->assignments.items + 1,
                agent->assignments.n * sizeof *agent->assignments.items);
        event = SYN_AGENT_ASSIGNED;
    } else if (agent->refused) {
        (void)SYN_FAIL(SYN_FAILED_PRECONDITION, "%s", agent->sentence);
        event = SYN_AGENT_REFUSED;
    } else if (agent->leave) {
        event = SYN_AGENT_LEAVE;
    }
    (void)pthread_mutex_unlock(&agent->mutex);
    return event;
}

bool syn_agent_was_attached(syn_agent *agent)
{
    (void)pthread_mutex_lock(&agent->mutex);
    bool was_attached = agent->was_attached;
    (void)pthread_mutex_unlock(&agent->mutex);
    return was_attached;
}

char *syn_agent_last_error(syn_agent *agent, char *buffer, size_t size)
{
    (void)pthread_mutex_lock(&agent->mutex);
    (void)snprintf(buffer, size, "%s", agent->last_error);
    (void)pthread_mutex_unlock(&agent->mutex);
    return buffer;
}

void syn_agent_begin_job(syn_agent *agent, const syn_assignment *assignment, int job_rank)
{
    char text[256] = "";
    (void)pthread_mutex_lock(&agent->mutex);
    syn_free(agent->job.job_id);
    agent->job = (current_job){.job_id = syn_strdup(assignment->job_id),
                               .epoch = assignment->epoch,
                               .attempt = assignment->attempt,
                               .rank = job_rank};
    bool stopped = agent->stopped_job && strcmp(agent->stopped_job, assignment->job_id) == 0 &&
                   agent->stopped_epoch == assignment->epoch;
    if (stopped)
        memcpy(text, agent->stop_text, sizeof text);
    (void)pthread_mutex_unlock(&agent->mutex);
    if (stopped)
        syn_train_monitor_ask_stop(agent->monitor, text);
}

void syn_agent_end_job(syn_agent *agent)
{
    (void)pthread_mutex_lock(&agent->mutex);
    syn_free(agent->job.job_id);
    agent->job = (current_job){0};
    (void)pthread_mutex_unlock(&agent->mutex);
}

/* Takes the item, fills in the current job and hands it to the thread. */
static syn_status enqueue(syn_agent *agent, delivery *item)
{
    (void)pthread_mutex_lock(&agent->mutex);
    item->job_id = syn_strdup(agent->job.job_id ? agent->job.job_id : "");
    item->epoch = agent->job.epoch;
    item->attempt = agent->job.attempt;
    item->rank = agent->job.rank;
    bool ok = item->job_id != NULL;
    if (ok && agent->last)
        agent->last->next = item;
    else if (ok)
        agent->first = item;
    if (ok)
        agent->last = item;
    (void)pthread_mutex_unlock(&agent->mutex);
    if (!ok) {
        syn_agent_delivery_free(item);
        return syn_fail_memory(sizeof *item, "an outcome");
    }
    (void)uv_async_send(&agent->wake);
    return SYN_OK;
}

syn_status syn_agent_report_outcome(syn_agent *agent, const syn_train_result *result)
{
    delivery *item = syn_calloc(1, sizeof *item);
    if (!item)
        return syn_fail_memory(sizeof *item, "an outcome");
    item->result = *result;
    return enqueue(agent, item);
}

syn_status syn_agent_commit_checkpoint(syn_agent *agent, int64_t step, const char *path,
                                       const char *manifest_sha256)
{
    delivery *item = syn_calloc(1, sizeof *item);
    if (!item)
        return syn_fail_memory(sizeof *item, "a checkpoint's announcement");
    item->step = step;
    item->path = syn_strdup(path);
    (void)snprintf(item->digest, sizeof item->digest, "%s", manifest_sha256);
    if (!item->path) {
        syn_agent_delivery_free(item);
        return syn_fail_memory(strlen(path), "a checkpoint's announcement");
    }
    return enqueue(agent, item);
}

bool syn_agent_flush(syn_agent *agent, uint32_t timeout_ms)
{
    struct timespec deadline = deadline_after(timeout_ms);
    int waited = 0;

    (void)pthread_mutex_lock(&agent->mutex);
    while (agent->first && !agent->refused && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&agent->changed, &agent->mutex, &deadline);
    bool done = !agent->first;
    (void)pthread_mutex_unlock(&agent->mutex);
    return done;
}
