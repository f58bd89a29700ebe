/* What the files of this room share: the group's insides, the thread's queue, error sentences. */
#ifndef WORKER_COMM_INTERNAL_H
#define WORKER_COMM_INTERNAL_H

#include "worker/comm/comm.h"

#include <mpi.h>

enum { HOST_BYTES = 256 };

struct syn_comm {
    MPI_Comm mpi; /* owned */
    int rank, size;
    int *world_ranks; /* owned; size entries */
    int local_rank, local_size;
    uint64_t sequence;          /* collectives entered; touched where MPI calls are made */
    struct comm_window *window; /* owned; NULL before it is needed, and when there is none */
    bool window_is_decided;
};

/* start.c: the world group and the host name of every world rank. */
extern syn_comm *comm_world;
const char *comm_world_host(int world_rank);

/* sanitize.c: around MPI_Init, so that sanitizers tell MPI's faults from ours; nothing in other
 * builds. */
void comm_sanitize_begin(void);
void comm_sanitize_end(void);

/* group.c */
syn_status comm_group_new(int size, syn_comm **comm_out);
void comm_group_locate(syn_comm *comm);
void comm_group_free_memory(syn_comm *comm);

/* engine.c: runs works one after the other on the comm thread, or at once in the caller without
 * `threaded`. */
syn_status comm_engine_start(bool threaded);
void comm_engine_stop(void);
void comm_post(syn_comm_work *work);
/* Posts and waits. */
syn_status comm_run(syn_comm_work *work);

/* progress.c */
void comm_progress_enter(const syn_comm_work *work, const char *what);
void comm_progress_leave(void);

/* collective.c */
size_t comm_chunk_bytes(void);
/* Turns MPI's error into a status and a sentence: "MPI_Allreduce over 4 ranks (of 25.0 MiB) failed:
 * its reason". */
syn_status comm_check(int mpi_error, const syn_comm *comm, const char *function, size_t bytes);

/* shared.c: memory that ranks of one host share, as anonymous files that the others open through
 * /proc. */
typedef struct comm_shared {
    void **maps; /* owned; rank r's memory as mapped here; in a block of `bytes` for each */
    int n;
    size_t bytes;
} comm_shared;
/* Every rank's block of `bytes` mapped by every rank; false on all ranks if it failed on one. On
 * the comm thread. Collective. */
bool comm_shared_map(comm_shared *shared, syn_comm *comm, size_t bytes);
void comm_shared_unmap(comm_shared *shared);
/* The group's ranks' memories of which `buffer` is this rank's part, and where in them it lies;
 * NULL if it is not from syn_comm_alloc. The memories stay until syn_comm_dealloc. */
void *const *comm_shared_find(const syn_comm *comm, const void *buffer, size_t bytes,
                              size_t *offset_out);
/* The group goes: its memories stay but are found no more. */
void comm_shared_forget(const syn_comm *comm);

/* window.c: sums through shared memory. */
/* Whether the group's ranks can share memory. On the comm thread. Collective. */
bool comm_window_is_possible(syn_comm *comm);
/* Whether the buffer is shared by the group. */
bool comm_window_fits(syn_comm *comm, const void *buffer, size_t bytes);
syn_status comm_window_run(syn_comm *comm, void *buffer, size_t count, syn_dtype dtype,
                           syn_reduction op);
void comm_window_free(syn_comm *comm);

/* reduce.c: out[k][i] = in[0][i] op in[1][i] op ... in that order, for i in [begin, end) and k in
 * [0, n). in and out may be the same. */
void comm_reduce(void *const *in_out, int n, size_t begin, size_t end, syn_dtype dtype,
                 syn_reduction op);

/* allreduce.c: one way of summing over the ranks. All ranks of a group choose the same way from the
 * same facts. */
typedef struct comm_allreduce {
    const char *name;
    bool (*fits)(syn_comm *comm, const void *buffer, size_t bytes);
    syn_status (*run)(syn_comm *comm, void *buffer, size_t count, syn_dtype dtype,
                      syn_reduction op);
} comm_allreduce;
syn_status comm_allreduce_run(syn_comm_work *work);

#endif
