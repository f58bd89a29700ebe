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
    uint64_t sequence; /* collectives entered; touched where MPI calls are made */
};

/* start.c: the world group and the host name of every world rank. */
extern syn_comm *comm_world;
const char *comm_world_host(int world_rank);

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

/* allreduce.c: one way of summing over the ranks. All ranks of a group choose the same way from the
 * same facts. */
typedef struct comm_allreduce {
    const char *name;
    bool (*fits)(const syn_comm *comm, size_t bytes, syn_dtype dtype);
    syn_status (*run)(syn_comm *comm, void *buffer, size_t count, syn_dtype dtype,
                      syn_reduction op);
} comm_allreduce;
syn_status comm_allreduce_run(syn_comm_work *work);

#endif
