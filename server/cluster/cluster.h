/* Who is in: the worker processes that have registered, the pools they form, when each was last
 * heard of.
 *
 * No clock, no network: the time is an argument (nanoseconds of one monotonic clock, the
 * coordinator's own), and a worker's session is a pointer that this room only keeps. */
#ifndef SERVER_CLUSTER_CLUSTER_H
#define SERVER_CLUSTER_CLUSTER_H

#include "server/sched/state.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <syncline/status.h>

enum {
    SYN_CLUSTER_MAX_RANKS = 65536, /* of one mpirun, and of all pools together */
    SYN_CLUSTER_MAX_WORKERS = 131072,
    SYN_CLUSTER_ID_MAX = 128, /* bytes of a worker or pool id */
    SYN_CLUSTER_HOST_MAX = 256,
};

typedef struct syn_cluster syn_cluster;
typedef struct syn_pool syn_pool;

/* What one rank reports of itself. */
typedef struct syn_rank_status {
    uint64_t pid, step, collective, resident_bytes;
    syn_phase phase;
    int64_t since_ns; /* wall clock of the rank: in this phase since */
} syn_rank_status;

/* One process. Read freely; changed by this room's functions, except `job` and `job_rank`, which
 * are the caller's. */
typedef struct syn_worker {
    char *worker_id, *host; /* owned */
    uint64_t pid;
    syn_pool *pool;      /* NULL: launched for one job */
    uint32_t rank;       /* in its mpirun */
    uint64_t job, epoch; /* what it works for; 0: an idle pool rank */
    uint32_t job_rank;
    void *session;            /* NULL: not connected */
    uint64_t contact_ns;      /* last sign of life */
    uint64_t phase_change_ns; /* when step, phase or collective last changed, by our clock */
    syn_rank_status status;
    char label[128]; /* of the collective that it is in, "" when in none: "bucket 3 (conv4.weight)"
                      */
    size_t index;    /* in the cluster */
} syn_worker;

struct syn_pool {
    char *pool_id; /* owned */
    uint32_t n_ranks, n_registered;
    syn_worker **workers; /* (n_ranks), NULL where nobody has registered yet */
    uint64_t born_ns;
    size_t index;
};

/* Who wants to register; texts are borrowed. */
typedef struct syn_worker_identity {
    const char *worker_id, *host;
    const char *pool_id; /* NULL or "": launched for `job` */
    uint64_t pid, job, epoch;
    uint32_t rank, n_ranks;
} syn_worker_identity;

syn_cluster *syn_cluster_new(void);
void syn_cluster_free(syn_cluster *cluster);

/* Takes a process in, or finds it again by its worker_id (which must then say the same as before).
 * Errors name the value: INVALID_ARGUMENT for an impossible rank or an over-long id, ALREADY_EXISTS
 * when another living process has this rank of the pool, RESOURCE_EXHAUSTED beyond the limits. A
 * process that was not heard of for `grace_ns` gives way. */
syn_status syn_cluster_register(syn_cluster *cluster, const syn_worker_identity *identity,
                                uint64_t now_ns, syn_worker **worker_out);
/* NULL if there is none. */
syn_worker *syn_cluster_find(const syn_cluster *cluster, const char *worker_id);
/* The session of a worker begins or ends (NULL). */
void syn_cluster_attach(syn_worker *worker, void *session, uint64_t now_ns);
/* Takes a report in. */
void syn_cluster_report(syn_worker *worker, const syn_rank_status *status, uint64_t now_ns);
/* Forgets a process. A pool that loses its last goes with it. */
void syn_cluster_remove(syn_cluster *cluster, syn_worker *worker);

size_t syn_cluster_n_workers(const syn_cluster *cluster);
syn_worker *syn_cluster_worker(const syn_cluster *cluster, size_t i);
size_t syn_cluster_n_pools(const syn_cluster *cluster);
syn_pool *syn_cluster_pool(const syn_cluster *cluster, size_t i);
syn_pool *syn_cluster_find_pool(const syn_cluster *cluster, const char *pool_id);
/* All ranks have registered. */
bool syn_pool_is_complete(const syn_pool *pool);
/* A rank without a session that was last heard of more than grace_ns ago; NULL if there is none. */
const syn_worker *syn_pool_lost_rank(const syn_pool *pool, uint64_t now_ns, uint64_t grace_ns);

#endif
