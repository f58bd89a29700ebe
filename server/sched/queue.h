/* Which waiting job starts next, and where: pure functions of jobs, slots and pools.
 *
 * The rule: higher priority first, then the order of submission. Jobs are looked at in that order,
 * and a job that cannot start now keeps every place on which it could ever run (this machine, a
 * pool that is large enough) closed to the jobs behind it. So a later, smaller job starts before an
 * earlier one only on places that the earlier one can never use: nobody starves, and nothing is
 * guessed about how long a job runs. */
#ifndef SERVER_SCHED_QUEUE_H
#define SERVER_SCHED_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <syncline/status.h>

typedef struct syn_sched_job {
    uint64_t number; /* order of submission */
    int32_t priority;
    uint32_t n_ranks;
    void *user;
} syn_sched_job;

typedef struct syn_sched_pool {
    uint32_t n_ranks;
    bool *is_idle; /* (n_ranks); borrowed, set to false for the ranks that are given out */
} syn_sched_pool;

typedef struct syn_sched_cluster {
    int64_t local_slots; /* -1: no jobs on this machine */
    int64_t local_used;
    bool oversubscribe;    /* a job with more ranks than slots may run here, alone */
    syn_sched_pool *pools; /* (n_pools) */
    size_t n_pools;
} syn_sched_cluster;

typedef enum syn_sched_verdict {
    SYN_SCHED_LOCAL,     /* starts on this machine */
    SYN_SCHED_POOL,      /* starts on `members` of pool `pool` */
    SYN_SCHED_RESOURCES, /* the first that waits for a place: `free_ranks` is the most it could get
                            now */
    SYN_SCHED_NO_PLACE,  /* no place here is large enough, or there is none yet */
    SYN_SCHED_BEHIND,    /* waits behind job `behind` */
} syn_sched_verdict;

typedef struct syn_sched_choice {
    syn_sched_verdict verdict;
    size_t pool;
    uint32_t *members; /* (n_ranks) ascending pool ranks for SYN_SCHED_POOL, owned by the caller;
                          else NULL */
    uint32_t free_ranks;
    size_t behind; /* index into jobs */
} syn_sched_choice;

/* Sorts jobs into queue order. */
void syn_sched_sort(syn_sched_job *jobs, size_t n_jobs);
/* Decides for every job of a sorted queue; `choices_out` has n_jobs places. `cluster` is changed:
 * what is given out is no longer free. Fails only when out of memory, and then no choice holds
 * memory. */
syn_status syn_sched_place(const syn_sched_job *jobs, size_t n_jobs, syn_sched_cluster *cluster,
                           syn_sched_choice *choices_out);
/* OK when a job of so many ranks can run here, now or later, or when there is no place at all yet
 * and pools may come (local_slots is -1). Else FAILED_PRECONDITION; the sentence says the largest
 * that fits. */
syn_status syn_sched_check_ranks(const syn_sched_cluster *cluster, uint32_t n_ranks);

#endif
