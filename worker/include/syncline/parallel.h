/* Training over MPI ranks: start-up, data parallelism, and what communication cost. */
#ifndef SYNCLINE_PARALLEL_H
#define SYNCLINE_PARALLEL_H

#include <syncline/nn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Starts MPI (unless the program already did) and the communication thread. Collective. Without
 * mpirun: one rank. */
syn_status syn_init_mpi(int *argc, char ***argv);
int syn_rank(void); /* 0 before syn_init_mpi */
int syn_size(void); /* 1 before syn_init_mpi */

typedef struct syn_data_parallel_options {
    double first_bucket_mb, bucket_mb; /* MiB; 0 means 1 and 25 */
    bool no_overlap;                   /* reduce after backward instead of during it */
    bool average; /* divide by the number of ranks; false: the sum (losses scaled by the caller) */
} syn_data_parallel_options;

/* Makes backward sum (here: average) the gradients of `module` over all ranks, in buckets launched
 * while backward runs, and copies rank 0's parameters and buffers to all. Compares the manifest
 * (names, shapes, dtypes, buckets) over the ranks first and fails on every rank with one sentence
 * if they differ. Collective. The module owns the engine. */
syn_status syn_data_parallel(syn_module *module);
syn_status syn_data_parallel_with(syn_module *module, syn_data_parallel_options options);

/* Gradient accumulation: false, and the next backward passes only accumulate on this rank; true (as
 * at the start), and the end of each backward pass waits until the gradients are reduced over the
 * ranks. Between two reductions the gradients must be zeroed. */
void syn_data_parallel_set_sync(syn_module *module, bool sync);
/* Makes sure that this step's gradients are reduced, also on a rank whose backward reached no
 * parameter of the module (an empty batch). Otherwise not needed: backward does it. At most once
 * per step. SYN_ABORTED names a rank that could not complete its backward pass. Collective with the
 * others' backward. */
syn_status syn_data_parallel_finish(syn_module *module);

#ifdef __cplusplus
}
#endif
#endif
