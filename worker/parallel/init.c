/* Start-up as embedders see it. */
#include "common/base/log.h"
#include "worker/comm/comm.h"
#include "worker/tensor/tensor.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <syncline/parallel.h>

/* The end of the program. After a failure of this rank the others may be waiting in a collective
 * and would never reach MPI_Finalize: ending without it makes the launcher end them. */
static void finish(void)
{
    if (!syn_failed() || syn_size() == 1)
        syn_comm_stop();
}

syn_status syn_init_mpi(int *argc, char ***argv)
{
    char prefix[32];

    SYN_TRY(syn_comm_start(argc, argv));
    syn_finish_hook = finish;
    /* OpenMP counted the cores before the launcher's binding was undone, and takes all of them for
     * each rank. */
    if (!getenv("OMP_NUM_THREADS"))
        omp_set_num_threads(syn_comm_cores_per_rank());
    if (syn_size() > 1) {
        (void)snprintf(prefix, sizeof prefix, "rank %d", syn_rank());
        syn_log_set_prefix(prefix);
    }
    return SYN_OK;
}

int syn_rank(void)
{
    return syn_comm_world() ? syn_comm_rank(syn_comm_world()) : 0;
}

int syn_size(void)
{
    return syn_comm_world() ? syn_comm_size(syn_comm_world()) : 1;
}
