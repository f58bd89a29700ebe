/* A program that initialises MPI itself, without thread support: everything works from its own
 * thread. */
#include "tests/mpi/check.h"

#include <mpi.h>

static void collectives_run_in_the_calling_thread(void)
{
    double value = world_rank();
    syn_comm_work work = {0};

    CHECK(!syn_comm_is_threaded());
    syn_comm_post_allreduce(syn_comm_world(), &value, 1, SYN_F64, SYN_REDUCE_SUM, &work);
    CHECK(syn_comm_is_done(&work));
    CHECK_OK(syn_comm_wait(&work));

    CHECK(value == world_size() * (world_size() - 1) / 2.0);
}

static void the_programs_own_messages_do_not_mix_with_ours(void)
{
    int mine = world_rank(), theirs = -1, sum = 0;
    int next = (world_rank() + 1) % world_size();
    int before = (world_rank() + world_size() - 1) % world_size();
    MPI_Request request;
    CHECK(MPI_Irecv(&theirs, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &request) ==
          MPI_SUCCESS);

    int64_t max = world_rank();
    CHECK_OK(syn_comm_allreduce(syn_comm_world(), &max, 1, SYN_I64, SYN_REDUCE_MAX));
    CHECK(MPI_Send(&mine, 1, MPI_INT, next, 0, MPI_COMM_WORLD) == MPI_SUCCESS);
    CHECK(MPI_Wait(&request, MPI_STATUS_IGNORE) == MPI_SUCCESS);
    CHECK(MPI_Allreduce(&mine, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD) == MPI_SUCCESS);

    CHECK(theirs == before && max == world_size() - 1);
}

int main(int argc, char **argv)
{
    int is_finalised = 1;
    MPI_Init(&argc, &argv);
    if (syn_comm_start(&argc, &argv) != SYN_OK)
        return 1;
    RUN(collectives_run_in_the_calling_thread);
    RUN(the_programs_own_messages_do_not_mix_with_ours);
    syn_comm_stop();
    MPI_Finalized(&is_finalised);
    if (is_finalised)
        return 1; /* it is the program's to end */
    if (syn_comm_start(NULL, NULL) != SYN_OK)
        return 1; /* and we can come back */
    CHECK_OK(syn_comm_barrier(syn_comm_world()));
    syn_comm_stop();
    MPI_Finalize();
    return syn_comm_start(NULL, NULL) == SYN_FAILED_PRECONDITION ? 0 : 1;
}
