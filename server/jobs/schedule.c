/* The queue: which jobs start now, and why the others wait. */
#include "server/jobs/internal.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int64_t syn_jobs_local_used(const syn_jobs *jobs)
{
    int64_t used = 0;
    for (size_t i = 0; i < jobs->open.n; i++) {
        const syn_job *job = jobs->open.items[i];
        if (syn_job_state_is_live(job->record.state) && !syn_job_is_pooled(job))
            used += job->record.n_ranks;
    }
    return used;
}

void syn_jobs_describe_cluster(syn_jobs *jobs, syn_sched_cluster *cluster_out)
{
    *cluster_out = (syn_sched_cluster){.local_slots = jobs->options.slots,
                                       .local_used = syn_jobs_local_used(jobs),
                                       .oversubscribe = jobs->options.oversubscribe};
}

/* Pools that are complete, with their idle ranks. Heap; released by release_pools. */
static syn_status add_pools(syn_jobs *jobs, syn_sched_cluster *c, syn_pool ***handles_out)
{
    size_t n = syn_cluster_n_pools(jobs->cluster);
    syn_pool **handles = syn_calloc(n, sizeof(syn_pool *));
    c->pools = syn_calloc(n, sizeof *c->pools);
    *handles_out = handles;
    if (!handles || !c->pools)
        return syn_fail_memory(n * sizeof *c->pools, "the pools");
    for (size_t i = 0; i < n; i++) {
        syn_pool *pool = syn_cluster_pool(jobs->cluster, i);
        if (!syn_pool_is_complete(pool))
            continue;
        bool *is_idle = syn_calloc(pool->n_ranks, sizeof *is_idle);
        if (!is_idle)
            return syn_fail_memory(pool->n_ranks, "a pool");
        for (uint32_t r = 0; r < pool->n_ranks; r++)
            is_idle[r] = pool->workers[r]->job == 0 && pool->workers[r]->session;
        handles[c->n_pools] = pool;
        c->pools[c->n_pools++] = (syn_sched_pool){pool->n_ranks, is_idle};
    }
    return SYN_OK;
}

static void release_pools(syn_sched_cluster *c, syn_pool **handles)
{
    for (size_t i = 0; i < c->n_pools; i++)
        syn_free(c->pools[i].is_idle);
    syn_free(c->pools);
    syn_free(handles);
}

/* Waiting reasons are not transitions: they are shown, not stored. */
static void explain(syn_job *job, syn_reason reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void explain(syn_job *job, syn_reason reason, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    syn_job_record *faces[] = {&job->record, job->shown};
    for (int i = 0; i < 2; i++) {
        if (!faces[i] || faces[i]->state != SYN_JOB_QUEUED ||
            (faces[i]->reason == reason && strcmp(syn_text_get(faces[i]->reason_text), text) == 0))
            continue;
        faces[i]->reason = reason;
        (void)syn_text_set(&faces[i]->reason_text, text);
    }
}

static void explain_waiting(const syn_jobs *jobs, const syn_sched_job *entry,
                            const syn_sched_choice *choice, const syn_sched_job *queue,
                            const syn_sched_cluster *c)
{
    syn_job *job = entry->user;
    if (choice->verdict == SYN_SCHED_BEHIND)
        explain(job, SYN_REASON_PRIORITY, "waits behind job %s",
                ((const syn_job *)queue[choice->behind].user)->id);
    else if (choice->verdict == SYN_SCHED_RESOURCES)
        explain(job, SYN_REASON_RESOURCES, "waits for %u free rank%s, %u %s free", entry->n_ranks,
                entry->n_ranks == 1 ? "" : "s", choice->free_ranks,
                choice->free_ranks == 1 ? "is" : "are");
    else if (jobs->options.slots <= 0 && c->n_pools == 0)
        explain(job, SYN_REASON_RESOURCES, "waits for a pool of %u ranks or more", entry->n_ranks);
    else
        explain(job, SYN_REASON_RESOURCES,
                "waits for a pool of %u ranks or more: no place here is large enough",
                entry->n_ranks);
}

/* QUEUED -> LAUNCHING on what the queue gave it. Takes `choice->members`. */
static void start_job(syn_job *job, syn_sched_choice *choice, syn_pool *pool)
{
    SYN_BUG_ON(pool && !choice->members);
    syn_job_record *record = &job->record;
    syn_attempt *attempt = syn_attempt_new(record->n_ranks, record->epoch + 1);
    char *members = choice->members ? syn_members_format(choice->members, record->n_ranks) : NULL;
    if (!attempt || (choice->members && !members) ||
        !syn_text_set(&record->placement, pool ? pool->pool_id : "local")) {
        syn_attempt_free(attempt);
        syn_free(members);
        syn_free(choice->members);
        SYN_WARN("%s: no memory to start it, it is tried again", job->id);
        return;
    }
    syn_free(record->members);
    record->members = members;
    record->epoch++;
    record->attempt_started_ns = syn_clock_wall_ns();
    attempt->members = choice->members;
    attempt->began_ns = attempt->watched_ns = syn_clock_monotonic_ns();
    job->attempt = attempt;
    for (uint32_t r = 0; pool && r < record->n_ranks; r++) {
        syn_worker *worker = pool->workers[attempt->members[r]];
        worker->job = record->number;
        worker->epoch = record->epoch;
        worker->job_rank = r;
        worker->status = (syn_rank_status){.pid = worker->pid};
        attempt->ranks[r].worker = worker;
    }
    if (record->attempt == 1)
        syn_histogram_observe(&job->jobs->stats.queue_wait_s,
                              (double)(record->attempt_started_ns - record->submitted_ns) * 1e-9);
    syn_job_move(job, SYN_JOB_LAUNCHING, SYN_REASON_NONE, "%u rank%s on %s%s", record->n_ranks,
                 record->n_ranks == 1 ? "" : "s", pool ? "pool " : "this machine",
                 pool ? pool->pool_id : "");
    syn_job_flush(job);
}

/* Jobs that may start now; those that wait for their retry are not in the queue yet. */
static size_t collect_queue(syn_jobs *jobs, syn_sched_job *queue)
{
    uint64_t now = syn_clock_monotonic_ns();
    size_t n = 0;
    for (size_t i = 0; i < jobs->open.n; i++) {
        syn_job *job = jobs->open.items[i];
        if (job->record.state != SYN_JOB_QUEUED || job->n_pending || !job->shown ||
            now < job->not_before_ns)
            continue;
        queue[n++] = (syn_sched_job){.number = job->record.number,
                                     .priority = job->record.priority,
                                     .n_ranks = job->record.n_ranks,
                                     .user = job};
    }
    return n;
}

void syn_jobs_schedule(syn_jobs *jobs)
{
    syn_sched_cluster cluster;
    syn_pool **handles = NULL;
    if (!jobs->is_started || jobs->is_stopping || jobs->is_broken || jobs->open.n == 0)
        return;
    syn_sched_job *queue = syn_malloc(jobs->open.n * sizeof *queue);
    syn_sched_choice *choices = syn_calloc(jobs->open.n, sizeof *choices);
    size_t n = queue && choices ? collect_queue(jobs, queue) : 0;
    syn_jobs_describe_cluster(jobs, &cluster);
    if (n == 0)
        goto out;
    syn_sched_sort(queue, n);
    if (add_pools(jobs, &cluster, &handles) != SYN_OK ||
        syn_sched_place(queue, n, &cluster, choices) != SYN_OK) {
        SYN_WARN("the queue waits: %s", syn_error_message());
        goto out;
    }
    for (size_t i = 0; i < n; i++) {
        if (choices[i].verdict == SYN_SCHED_LOCAL)
            start_job(queue[i].user, &choices[i], NULL);
        else if (choices[i].verdict == SYN_SCHED_POOL)
            start_job(queue[i].user, &choices[i], handles[choices[i].pool]);
        else
            explain_waiting(jobs, &queue[i], &choices[i], queue, &cluster);
    }
out:
    release_pools(&cluster, handles);
    syn_free(queue);
    syn_free(choices);
}
