/* Queue order and placement. */
#include "server/sched/queue.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

static int compare_jobs(const void *a, const void *b)
{
    const syn_sched_job *x = a, *y = b;
    if (x->priority != y->priority)
        return x->priority > y->priority ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

void syn_sched_sort(syn_sched_job *jobs, size_t n_jobs)
{
    if (n_jobs > 1)
        qsort(jobs, n_jobs, sizeof *jobs, compare_jobs);
}

static uint32_t count_idle(const syn_sched_pool *pool)
{
    uint32_t n = 0;
    for (uint32_t r = 0; r < pool->n_ranks; r++)
        n += pool->is_idle[r];
    return n;
}

/* The start of the shortest run of idle ranks that holds n, so that long runs stay whole; n_ranks
 * if there is none. */
static uint32_t find_run(const syn_sched_pool *pool, uint32_t n)
{
    uint32_t best = pool->n_ranks, best_length = UINT32_MAX;
    for (uint32_t r = 0; r < pool->n_ranks;) {
        uint32_t end = r;
        while (end < pool->n_ranks && pool->is_idle[end])
            end++;
        if (end - r >= n && end - r < best_length) {
            best = r;
            best_length = end - r;
        }
        r = end + 1;
    }
    return best;
}

static syn_status give_ranks(syn_sched_pool *pool, uint32_t n, uint32_t **members_out)
{
    uint32_t *members = syn_malloc(n * sizeof *members);
    if (!members)
        return syn_fail_memory(n * sizeof *members, "the ranks of a job");
    uint32_t at = find_run(pool, n);
    if (at == pool->n_ranks)
        at = 0;
    for (uint32_t taken = 0; taken < n; at++) {
        if (!pool->is_idle[at])
            continue;
        pool->is_idle[at] = false;
        members[taken++] = at;
    }
    *members_out = members;
    return SYN_OK;
}

static bool fits_local_ever(const syn_sched_cluster *c, uint32_t n_ranks)
{
    return c->local_slots > 0 && (n_ranks <= c->local_slots || c->oversubscribe);
}

static bool fits_local_now(const syn_sched_cluster *c, uint32_t n_ranks)
{
    if (!fits_local_ever(c, n_ranks))
        return false;
    return n_ranks <= c->local_slots ? n_ranks + c->local_used <= c->local_slots
                                     : c->local_used == 0;
}

/* What is closed to the jobs behind, and by whom. */
typedef struct closures {
    bool local;
    size_t local_by;
    bool *pools;
    size_t *pools_by;
} closures;

/* Tries the places in order: pools first, which are there for nothing else, then this machine. */
static syn_status place_one(const syn_sched_job *job, size_t index, syn_sched_cluster *c,
                            closures *closed, syn_sched_choice *choice)
{
    bool fits_somewhere = false, is_behind = false;
    *choice = (syn_sched_choice){.verdict = SYN_SCHED_NO_PLACE};
    for (size_t p = 0; p < c->n_pools; p++) {
        syn_sched_pool *pool = &c->pools[p];
        if (job->n_ranks > pool->n_ranks)
            continue;
        fits_somewhere = true;
        if (closed->pools[p]) {
            is_behind = true;
            choice->behind = closed->pools_by[p];
            continue;
        }
        uint32_t n_idle = count_idle(pool);
        if (n_idle >= job->n_ranks) {
            choice->verdict = SYN_SCHED_POOL;
            choice->pool = p;
            return give_ranks(pool, job->n_ranks, &choice->members);
        }
        choice->free_ranks = n_idle > choice->free_ranks ? n_idle : choice->free_ranks;
    }
    if (fits_local_ever(c, job->n_ranks)) {
        fits_somewhere = true;
        if (closed->local) {
            is_behind = true;
            choice->behind = closed->local_by;
        } else if (fits_local_now(c, job->n_ranks)) {
            choice->verdict = SYN_SCHED_LOCAL;
            c->local_used += job->n_ranks;
            return SYN_OK;
        } else {
            int64_t n_free = c->local_slots - c->local_used;
            if (n_free > choice->free_ranks)
                choice->free_ranks = (uint32_t)n_free;
        }
    }
    if (!fits_somewhere)
        return SYN_OK;
    choice->verdict = is_behind ? SYN_SCHED_BEHIND : SYN_SCHED_RESOURCES;
    for (size_t p = 0; p < c->n_pools; p++)
        if (job->n_ranks <= c->pools[p].n_ranks && !closed->pools[p]) {
            closed->pools[p] = true;
            closed->pools_by[p] = index;
        }
    if (fits_local_ever(c, job->n_ranks) && !closed->local) {
        closed->local = true;
        closed->local_by = index;
    }
    return SYN_OK;
}

syn_status syn_sched_place(const syn_sched_job *jobs, size_t n_jobs, syn_sched_cluster *cluster,
                           syn_sched_choice *choices_out)
{
    syn_status status = SYN_OK;
    size_t n_done = 0;
    closures closed = {.pools = syn_calloc(cluster->n_pools, sizeof *closed.pools),
                       .pools_by = syn_calloc(cluster->n_pools, sizeof *closed.pools_by)};
    if (!closed.pools || !closed.pools_by) {
        status = syn_fail_memory(cluster->n_pools * sizeof *closed.pools_by, "the queue's order");
        goto out;
    }
    for (; n_done < n_jobs; n_done++)
        SYN_GOTO(place_one(&jobs[n_done], n_done, cluster, &closed, &choices_out[n_done]));
out:
    if (status != SYN_OK)
        for (size_t i = 0; i < n_done; i++)
            syn_free(choices_out[i].members);
    syn_free(closed.pools);
    syn_free(closed.pools_by);
    return status;
}

syn_status syn_sched_check_ranks(const syn_sched_cluster *c, uint32_t n_ranks)
{
    if (n_ranks == 0)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "a job needs at least one rank");
    if (c->local_slots <= 0 && c->n_pools == 0)
        return SYN_OK;
    if (fits_local_ever(c, n_ranks))
        return SYN_OK;
    uint32_t largest = 0;
    for (size_t p = 0; p < c->n_pools; p++)
        if (c->pools[p].n_ranks > largest)
            largest = c->pools[p].n_ranks;
    if (n_ranks <= largest)
        return SYN_OK;
    if (c->local_slots > largest)
        return SYN_FAIL(
            SYN_FAILED_PRECONDITION,
            "the job asks for %u ranks, the largest that fits is %lld (the slots of this "
            "machine; a coordinator that oversubscribes takes more)",
            n_ranks, (long long)c->local_slots);
    return SYN_FAIL(SYN_FAILED_PRECONDITION,
                    "the job asks for %u ranks, the largest that fits is %u (the largest pool)",
                    n_ranks, largest);
}
