/* The writer thread, group commit, and the way back to the loop. */
#include "server/store/store_internal.h"

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#include <stdio.h>
#include <string.h>

enum { MAX_GROUP = 256, RETRY_NS = 1000000000, PROBE_FACTOR = 5 };

void syn_job_event_free(syn_job_event *event)
{
    if (event)
        syn_free(event->text);
    syn_free(event);
}

syn_change *syn_change_new(void)
{
    return syn_calloc(1, sizeof(syn_change));
}

void syn_change_free(syn_change *change)
{
    if (!change)
        return;
    syn_job_record_free(change->record);
    for (size_t i = 0; i < change->n_events; i++)
        syn_job_event_free(change->events[i]);
    syn_free(change->spec_json);
    syn_free(change->checkpoint.path);
    syn_free(change);
}

static void list_init(syn_change_list *list)
{
    list->first = NULL;
    list->last = &list->first;
}

static void list_append(syn_change_list *list, syn_change *change)
{
    change->next = NULL;
    *list->last = change;
    list->last = &change->next;
}

static syn_change *list_take(syn_change_list *list)
{
    syn_change *change = list->first;
    if (!change)
        return NULL;
    list->first = change->next;
    if (!list->first)
        list->last = &list->first;
    return change;
}

/* `front` goes before what is in `list`. */
static void list_prepend_all(syn_change_list *list, syn_change_list *front)
{
    if (!front->first)
        return;
    *front->last = list->first;
    if (!list->first)
        list->last = front->last;
    list->first = front->first;
    list_init(front);
}

/* ---- the writer thread ---- */

static syn_status write_group(syn_store *store, const syn_change_list *group)
{
    syn_status status = syn_database_run(&store->db, SYN_SQL_BEGIN);
    for (const syn_change *c = group->first; c && status == SYN_OK; c = c->next)
        status = syn_database_apply(&store->db, c);
    if (status == SYN_OK)
        status = syn_database_run(&store->db, SYN_SQL_COMMIT);
    if (status != SYN_OK)
        syn_database_rollback(&store->db);
    return status;
}

/* What a finished group means; the mutex is held. */
static void settle_group(syn_store *store, syn_change_list *group, syn_status status,
                         double seconds)
{
    syn_change_list kept;
    list_init(&kept);
    if (status == SYN_OK && store->n_last_commits < 64)
        store->last_commits[store->n_last_commits++] = seconds;
    store->is_full = status == SYN_RESOURCE_EXHAUSTED;
    if (status != SYN_OK && !store->is_full) {
        store->is_broken = true;
        (void)snprintf(store->broken_sentence, sizeof store->broken_sentence, "%s",
                       syn_error_message());
    }
    for (syn_change *c; (c = list_take(group));) {
        if (store->is_full && !c->may_refuse && !store->is_closing) {
            list_append(&kept, c);
            continue;
        }
        c->status = status == SYN_OK                  ? SYN_OK
                    : store->is_full && c->may_refuse ? SYN_RESOURCE_EXHAUSTED
                                                      : SYN_UNAVAILABLE;
        list_append(&store->done, c);
    }
    list_prepend_all(&store->waiting, &kept);
    (void)uv_async_send(&store->finished);
}

/* Whether there is room again; keeps the answer to /readyz true while nobody submits. */
static void probe_room(syn_store *store)
{
    uv_mutex_unlock(&store->mutex);
    syn_status status = syn_database_run(&store->db, SYN_SQL_PROBE);
    syn_database_rollback(&store->db);
    uv_mutex_lock(&store->mutex);
    if (status == SYN_OK)
        store->is_full = false;
    (void)uv_async_send(&store->finished);
}

static void write_changes(void *argument)
{
    syn_store *store = argument;
    uv_mutex_lock(&store->mutex);
    while (!store->is_broken) {
        if (store->is_full && !store->is_closing) {
            bool is_idle = !store->waiting.first;
            uint64_t ns = is_idle ? (uint64_t)RETRY_NS * PROBE_FACTOR : RETRY_NS;
            bool has_refusable = false;
            for (syn_change *c = store->waiting.first; c; c = c->next)
                has_refusable = has_refusable || c->may_refuse;
            if (!has_refusable &&
                uv_cond_timedwait(&store->wake, &store->mutex, ns) == UV_ETIMEDOUT && is_idle &&
                !store->waiting.first && !store->is_closing)
                probe_room(store);
        }
        while (!store->waiting.first && !store->is_closing && !store->is_full)
            uv_cond_wait(&store->wake, &store->mutex);
        if (!store->waiting.first) {
            if (store->is_closing)
                break;
            continue;
        }
        syn_change_list group;
        list_init(&group);
        for (int n = 0; n < MAX_GROUP && store->waiting.first; n++)
            list_append(&group, list_take(&store->waiting));
        uv_mutex_unlock(&store->mutex);
        uint64_t start = syn_clock_monotonic_ns();
        syn_status status = write_group(store, &group);
        double seconds = (double)(syn_clock_monotonic_ns() - start) * 1e-9;
        uv_mutex_lock(&store->mutex);
        settle_group(store, &group, status, seconds);
    }
    uv_mutex_unlock(&store->mutex);
}

/* ---- the loop ---- */

static const char *message_of(syn_store *store, syn_status status)
{
    return status == SYN_OK                   ? ""
           : status == SYN_RESOURCE_EXHAUSTED ? store->full_sentence
           : store->is_broken                 ? store->broken_sentence
                                              : "the coordinator is ending";
}

static void deliver(syn_store *store)
{
    double commits[64];
    uv_mutex_lock(&store->mutex);
    size_t n_commits = store->n_last_commits;
    memcpy(commits, store->last_commits, n_commits * sizeof *commits);
    store->n_last_commits = 0;
    bool is_broken = store->is_broken;
    for (syn_change *c; (c = list_take(&store->done));) {
        uv_mutex_unlock(&store->mutex);
        if (c->done)
            c->done(c, c->status, message_of(store, c->status), c->user);
        syn_change_free(c);
        uv_mutex_lock(&store->mutex);
    }
    uv_mutex_unlock(&store->mutex);
    for (size_t i = 0; i < n_commits; i++)
        syn_histogram_observe(&store->commit_seconds, commits[i]);
    if (is_broken && !store->told_broken) {
        store->told_broken = true;
        if (store->on_broken)
            store->on_broken(store->broken_sentence, store->user);
    }
}

static void on_finished(uv_async_t *async)
{
    deliver(async->data);
}

syn_status syn_store_open(const syn_store_options *options, syn_store **store_out)
{
    syn_store *store = syn_calloc(1, sizeof *store);
    char *path = syn_path_join(options->dir, "coordinator.db");
    syn_status status = SYN_OK;
    if (!store || !path) {
        status = syn_fail_memory(sizeof *store, "the job store");
        goto out;
    }
    SYN_GOTO(syn_database_open(path, options->max_pages, &store->db));
    list_init(&store->waiting);
    list_init(&store->done);
    store->on_broken = options->on_broken;
    store->user = options->user;
    (void)snprintf(store->full_sentence, sizeof store->full_sentence,
                   "the disk that holds %.300s is full: no job can be taken until there is room",
                   options->dir);
    if (uv_mutex_init(&store->mutex) != 0 || uv_cond_init(&store->wake) != 0 ||
        uv_async_init(options->loop, &store->finished, on_finished) != 0) {
        syn_database_close(&store->db);
        status = SYN_FAIL(SYN_RESOURCE_EXHAUSTED,
                          "cannot start the job store: no more threads or files");
        goto out;
    }
    store->finished.data = store;
    *store_out = store;
    store = NULL;
out:
    syn_free(store);
    syn_free(path);
    return status;
}

bool syn_store_is_new(const syn_store *store)
{
    return store->db.is_new;
}

void syn_store_commit(syn_store *store, syn_change *change)
{
    uv_mutex_lock(&store->mutex);
    if (!store->has_writer && !store->is_closing) {
        store->has_writer = uv_thread_create(&store->writer, write_changes, store) == 0;
        if (!store->has_writer) {
            store->is_broken = true;
            (void)snprintf(store->broken_sentence, sizeof store->broken_sentence,
                           "cannot start the thread that writes the job store");
        }
    }
    if (store->is_closing || store->is_broken) {
        change->status = SYN_UNAVAILABLE;
        list_append(&store->done, change);
        if (!store->is_closed)
            (void)uv_async_send(&store->finished);
    } else {
        list_append(&store->waiting, change);
        uv_cond_signal(&store->wake);
    }
    uv_mutex_unlock(&store->mutex);
}

const char *syn_store_degraded(const syn_store *store)
{
    uv_mutex_t *mutex = (uv_mutex_t *)&store->mutex;
    uv_mutex_lock(mutex);
    bool is_full = store->is_full;
    uv_mutex_unlock(mutex);
    return is_full ? store->full_sentence : NULL;
}

const syn_histogram *syn_store_commit_seconds(const syn_store *store)
{
    return &store->commit_seconds;
}

static void on_closed(uv_handle_t *handle)
{
    syn_store *store = handle->data;
    deliver(store);
    for (syn_change *c; (c = list_take(&store->waiting));)
        list_append(&store->done, c), c->status = SYN_UNAVAILABLE;
    deliver(store);
    syn_database_close(&store->db);
    uv_cond_destroy(&store->wake);
    uv_mutex_destroy(&store->mutex);
    if (store->on_closed)
        store->on_closed(store->closed_user);
    syn_free(store);
}

void syn_store_close(syn_store *store, void (*done)(void *user), void *user)
{
    if (!store)
        return;
    uv_mutex_lock(&store->mutex);
    store->is_closing = true;
    store->is_closed = true;
    uv_cond_signal(&store->wake);
    uv_mutex_unlock(&store->mutex);
    if (store->has_writer)
        (void)uv_thread_join(&store->writer);
    store->on_closed = done;
    store->closed_user = user;
    uv_close((uv_handle_t *)&store->finished, on_closed);
}
