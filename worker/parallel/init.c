/* Start-up as embedders see it. */
#include "common/base/log.h"
#include "worker/comm/comm.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <syncline/parallel.h>

syn_status syn_init_mpi(int *argc, char ***argv)
{
    char prefix[32];

    SYN_TRY(syn_comm_start(argc, argv));
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
