/* Workers and pools. */
#include "server/cluster/cluster.h"

#include "common/base/mem.h"
#include "common/base/vec.h"

#include <string.h>

struct syn_cluster {
    SYN_VEC(syn_worker *) workers;
    SYN_VEC(syn_pool *) pools;
    uint64_t n_pool_ranks;
};

syn_cluster *syn_cluster_new(void)
{
    return syn_calloc(1, sizeof(syn_cluster));
}

static void free_worker(syn_worker *worker)
{
    if (!worker)
        return;
    syn_free(worker->worker_id);
    syn_free(worker->host);
    syn_free(worker);
}

static void free_pool(syn_pool *pool)
{
    if (!pool)
        return;
    syn_free(pool->pool_id);
    syn_free(pool->workers);
    syn_free(pool);
}

void syn_cluster_free(syn_cluster *cluster)
{
    if (!cluster)
        return;
    for (size_t i = 0; i < cluster->workers.n; i++)
        free_worker(cluster->workers.items[i]);
    for (size_t i = 0; i < cluster->pools.n; i++)
        free_pool(cluster->pools.items[i]);
    syn_vec_release(&cluster->workers);
    syn_vec_release(&cluster->pools);
    syn_free(cluster);
}

size_t syn_cluster_n_workers(const syn_cluster *cluster)
{
    return cluster->workers.n;
}

syn_worker *syn_cluster_worker(const syn_cluster *cluster, size_t i)
{
    return cluster->workers.items[i];
}

size_t syn_cluster_n_pools(const syn_cluster *cluster)
{
    return cluster->pools.n;
}

syn_pool *syn_cluster_pool(const syn_cluster *cluster, size_t i)
{
    return cluster->pools.items[i];
}

syn_worker *syn_cluster_find(const syn_cluster *cluster, const char *worker_id)
{
    for (size_t i = 0; i < cluster->workers.n; i++)
        if (strcmp(cluster->workers.items[i]->worker_id, worker_id) == 0)
            return cluster->workers.items[i];
    return NULL;
}

syn_pool *syn_cluster_find_pool(const syn_cluster *cluster, const char *pool_id)
{
    for (size_t i = 0; i < cluster->pools.n; i++)
        if (strcmp(cluster->pools.items[i]->pool_id, pool_id) == 0)
            return cluster->pools.items[i];
    return NULL;
}

bool syn_pool_is_complete(const syn_pool *pool)
{
    return pool->n_registered == pool->n_ranks;
}

static bool is_silent(const syn_worker *worker, uint64_t now_ns, uint64_t grace_ns)
{
    return !worker->session && now_ns - worker->contact_ns > grace_ns;
}

const syn_worker *syn_pool_lost_rank(const syn_pool *pool, uint64_t now_ns, uint64_t grace_ns)
{
    for (uint32_t r = 0; r < pool->n_ranks; r++)
        if (pool->workers[r] && is_silent(pool->workers[r], now_ns, grace_ns))
            return pool->workers[r];
    return NULL;
}

static void remove_pool(syn_cluster *cluster, syn_pool *pool)
{
    syn_pool *last = cluster->pools.items[--cluster->pools.n];
    cluster->pools.items[pool->index] = last;
    last->index = pool->index;
    cluster->n_pool_ranks -= pool->n_ranks;
    free_pool(pool);
}

void syn_cluster_remove(syn_cluster *cluster, syn_worker *worker)
{
    syn_pool *pool = worker->pool;
    syn_worker *last = cluster->workers.items[--cluster->workers.n];
    cluster->workers.items[worker->index] = last;
    last->index = worker->index;
    if (pool) {
        pool->workers[worker->rank] = NULL;
        if (--pool->n_registered == 0)
            remove_pool(cluster, pool);
    }
    free_worker(worker);
}

static syn_status check_identity(const syn_worker_identity *who)
{
    if (!who->worker_id || !*who->worker_id || strlen(who->worker_id) > SYN_CLUSTER_ID_MAX)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "a worker_id has 1 to %d bytes, this one has %zu",
                        SYN_CLUSTER_ID_MAX, who->worker_id ? strlen(who->worker_id) : 0);
    if (who->pool_id && strlen(who->pool_id) > SYN_CLUSTER_ID_MAX)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "a pool_id has at most %d bytes, this one has %zu",
                        SYN_CLUSTER_ID_MAX, strlen(who->pool_id));
    if (who->host && strlen(who->host) > SYN_CLUSTER_HOST_MAX)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "a host name has at most %d bytes, this one has %zu",
                        SYN_CLUSTER_HOST_MAX, strlen(who->host));
    if (who->n_ranks == 0 || who->n_ranks > SYN_CLUSTER_MAX_RANKS || who->rank >= who->n_ranks)
        return SYN_FAIL(SYN_INVALID_ARGUMENT,
                        "rank %u of %u ranks cannot be: ranks run from 0, and at most %d are taken",
                        who->rank, who->n_ranks, SYN_CLUSTER_MAX_RANKS);
    return SYN_OK;
}

/* The pool of this identity, made if it is new. */
static syn_status get_pool(syn_cluster *cluster, const syn_worker_identity *who, uint64_t now_ns,
                           syn_pool **pool_out)
{
    syn_pool *pool = syn_cluster_find_pool(cluster, who->pool_id);
    if (pool) {
        if (pool->n_ranks != who->n_ranks)
            return SYN_FAIL(SYN_INVALID_ARGUMENT, "pool %s has %u ranks, rank %u says %u",
                            who->pool_id, pool->n_ranks, who->rank, who->n_ranks);
        *pool_out = pool;
        return SYN_OK;
    }
    if (cluster->n_pool_ranks + who->n_ranks > SYN_CLUSTER_MAX_RANKS)
        return SYN_FAIL(SYN_RESOURCE_EXHAUSTED,
                        "pool %s has %u ranks; with %llu ranks in other pools that is more than %d",
                        who->pool_id, who->n_ranks, (unsigned long long)cluster->n_pool_ranks,
                        SYN_CLUSTER_MAX_RANKS);
    pool = syn_calloc(1, sizeof *pool);
    if (!pool)
        return syn_fail_memory(sizeof *pool, "a pool");
    *pool = (syn_pool){.pool_id = syn_strdup(who->pool_id),
                       .n_ranks = who->n_ranks,
                       .workers = syn_calloc(who->n_ranks, sizeof(syn_worker *)),
                       .born_ns = now_ns,
                       .index = cluster->pools.n};
    if (!pool->pool_id || !pool->workers || !syn_vec_push(&cluster->pools, pool)) {
        free_pool(pool);
        return syn_fail_memory(who->n_ranks * sizeof(syn_worker *), "a pool");
    }
    cluster->n_pool_ranks += who->n_ranks;
    *pool_out = pool;
    return SYN_OK;
}

static syn_status check_again(const syn_worker *worker, const syn_worker_identity *who)
{
    const char *pool_id = who->pool_id ? who->pool_id : "";
    if (strcmp(worker->pool ? worker->pool->pool_id : "", pool_id) != 0 ||
        worker->rank != who->rank || (!worker->pool && worker->job != who->job))
        return SYN_FAIL(
            SYN_ALREADY_EXISTS,
            "worker %s has registered before as rank %u, and now says rank %u of something else",
            who->worker_id, worker->rank, who->rank);
    return SYN_OK;
}

static syn_worker *new_worker(const syn_worker_identity *who)
{
    syn_worker *worker = syn_calloc(1, sizeof *worker);
    if (!worker)
        return NULL;
    *worker = (syn_worker){.worker_id = syn_strdup(who->worker_id),
                           .host = syn_strdup(who->host ? who->host : ""),
                           .pid = who->pid,
                           .rank = who->rank};
    if (!worker->worker_id || !worker->host) {
        free_worker(worker);
        return NULL;
    }
    return worker;
}

syn_status syn_cluster_register(syn_cluster *cluster, const syn_worker_identity *who,
                                uint64_t now_ns, syn_worker **worker_out)
{
    syn_pool *pool = NULL;
    SYN_TRY(check_identity(who));
    syn_worker *worker = syn_cluster_find(cluster, who->worker_id);
    if (worker) {
        SYN_TRY(check_again(worker, who));
        worker->contact_ns = now_ns;
        *worker_out = worker;
        return SYN_OK;
    }
    if (cluster->workers.n >= SYN_CLUSTER_MAX_WORKERS)
        return SYN_FAIL(SYN_RESOURCE_EXHAUSTED, "%d workers have registered, more are not taken",
                        SYN_CLUSTER_MAX_WORKERS);
    worker = new_worker(who);
    if (!worker || !syn_vec_push(&cluster->workers, worker)) {
        free_worker(worker);
        return syn_fail_memory(sizeof *worker, "a worker");
    }
    worker->index = cluster->workers.n - 1;
    if (who->pool_id && *who->pool_id) {
        syn_status status = get_pool(cluster, who, now_ns, &pool);
        syn_worker *other = status == SYN_OK ? pool->workers[who->rank] : NULL;
        if (other)
            status =
                SYN_FAIL(SYN_ALREADY_EXISTS, "rank %u of pool %s is process %llu on %s already",
                         who->rank, who->pool_id, (unsigned long long)other->pid, other->host);
        if (status != SYN_OK) {
            cluster->workers.n--;
            free_worker(worker);
            return status;
        }
        worker->pool = pool;
        pool->n_registered++;
        pool->workers[who->rank] = worker;
    } else {
        worker->job = who->job;
        worker->epoch = who->epoch;
        worker->job_rank = who->rank;
    }
    worker->contact_ns = worker->phase_change_ns = now_ns;
    *worker_out = worker;
    return SYN_OK;
}

void syn_cluster_attach(syn_worker *worker, void *session, uint64_t now_ns)
{
    worker->session = session;
    worker->contact_ns = now_ns;
}

void syn_cluster_report(syn_worker *worker, const syn_rank_status *status, uint64_t now_ns)
{
    if (status->step != worker->status.step || status->phase != worker->status.phase ||
        status->collective != worker->status.collective)
        worker->phase_change_ns = now_ns;
    worker->status = *status;
    worker->contact_ns = now_ns;
}
