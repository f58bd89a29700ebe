/* Start and end: MPI's initialisation, the cores this process may use, the world group, the comm
 * thread. */
#include "worker/comm/internal.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "worker/comm/binding.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

syn_comm *comm_world;
static char (*hosts)[HOST_BYTES]; /* owned; one per world rank */
static bool we_initialised;

bool syn_comm_is_started(void)
{
    return comm_world != NULL;
}

syn_comm *syn_comm_world(void)
{
    return comm_world;
}

const char *comm_world_host(int world_rank)
{
    return hosts[world_rank];
}

/* Defaults that must stand before MPI_Init; what the user or mpirun set stays. */
static void set_mpi_defaults(void)
{
    /* A waiting comm thread must leave its core to the computing one. */
    (void)setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0);
    /* Without a launcher there is nobody to talk to, so no daemon is needed beside the program. */
    if (!getenv("OMPI_COMM_WORLD_SIZE") && !getenv("PMIX_RANK") && !getenv("PMI_RANK"))
        (void)setenv("OMPI_MCA_ess_singleton_isolated", "1", 0);
}

static syn_status init_mpi(int *argc, char ***argv, bool *threaded_out)
{
    int is_initialised = 0, is_finalised = 0, level = MPI_THREAD_SINGLE, is_main = 0;

    (void)MPI_Initialized(&is_initialised);
    (void)MPI_Finalized(&is_finalised);
    if (is_finalised)
        return SYN_FAIL(SYN_FAILED_PRECONDITION,
                        "MPI was finalised already and cannot be started again in one process");
    if (!is_initialised) {
        set_mpi_defaults();
        comm_sanitize_begin();
        int error = MPI_Init_thread(argc, argv, MPI_THREAD_SERIALIZED, &level);
        comm_sanitize_end();
        if (error != MPI_SUCCESS)
            return SYN_FAIL(SYN_UNAVAILABLE, "MPI_Init_thread failed");
        we_initialised = true;
    }
    (void)MPI_Query_thread(&level);
    (void)MPI_Is_thread_main(&is_main);
    *threaded_out = level >= MPI_THREAD_SERIALIZED;
    if (!*threaded_out && !is_main)
        return SYN_FAIL(SYN_FAILED_PRECONDITION,
                        "MPI was initialised without thread support by another thread: call "
                        "syn_init_mpi there, or initialise with MPI_THREAD_SERIALIZED");
    return SYN_OK;
}

/* Everybody's host name, and the world group from a duplicate of MPI_COMM_WORLD. */
static syn_status make_world(void)
{
    char mine[HOST_BYTES] = {0};
    syn_comm *world = NULL;
    int size;

    (void)MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (gethostname(mine, sizeof mine - 1) != 0)
        (void)snprintf(mine, sizeof mine, "unknown-host");
    SYN_TRY(comm_group_new(size, &world));
    hosts = syn_calloc((size_t)size, sizeof *hosts);
    if (!hosts) {
        comm_group_free_memory(world);
        return syn_fail_memory((size_t)size * sizeof *hosts, "the host names of the ranks");
    }
    int error = MPI_Comm_dup(MPI_COMM_WORLD, &world->mpi);
    if (error == MPI_SUCCESS) {
        (void)MPI_Comm_set_errhandler(world->mpi, MPI_ERRORS_RETURN);
        error = MPI_Allgather(mine, HOST_BYTES, MPI_CHAR, hosts, HOST_BYTES, MPI_CHAR, world->mpi);
    }
    if (error != MPI_SUCCESS) {
        syn_status status = comm_check(error, world, "making the world group", HOST_BYTES);
        comm_group_free_memory(world);
        return status;
    }
    (void)MPI_Comm_rank(world->mpi, &world->rank);
    for (int i = 0; i < size; i++)
        world->world_ranks[i] = i;
    comm_group_locate(world);
    comm_world = world;
    return SYN_OK;
}

syn_status syn_comm_start(int *argc, char ***argv)
{
    bool threaded;
    syn_status status;

    if (comm_world)
        return SYN_OK;
    comm_binding binding = comm_binding_undo();
    SYN_TRY(init_mpi(argc, argv, &threaded));
    SYN_GOTO(make_world());
    SYN_GOTO(comm_engine_start(threaded));
    if (comm_world->rank == 0) {
        comm_binding_report(&binding);
        if (!threaded && comm_world->size > 1)
            SYN_WARN(
                "MPI was initialised without thread support, so communication will not overlap "
                "with computing; MPI_Init_thread with MPI_THREAD_SERIALIZED allows it");
    }
out:
    /* A rank that cannot start cannot tell the others either: they are inside collectives of their
     * start-up. */
    if (status != SYN_OK)
        syn_comm_abort(1, syn_error_message());
    return status;
}

int syn_comm_cores_per_rank(void)
{
    int cores = comm_binding_cores() / (comm_world ? comm_world->local_size : 1);
    return cores > 0 ? cores : 1;
}

void syn_comm_stop(void)
{
    if (!comm_world)
        return;
    comm_engine_stop();
    (void)MPI_Comm_free(&comm_world->mpi);
    comm_group_free_memory(comm_world);
    comm_world = NULL;
    syn_free(hosts);
    hosts = NULL;
    if (we_initialised)
        (void)MPI_Finalize();
    we_initialised = false;
}

_Noreturn void syn_comm_abort(int exit_code, const char *sentence)
{
    int is_initialised = 0, is_finalised = 0;
    if (comm_world)
        SYN_ERROR("rank %d (%s): %s", comm_world->rank, hosts[comm_world->rank], sentence);
    else
        SYN_ERROR("%s", sentence);
    (void)MPI_Initialized(&is_initialised);
    (void)MPI_Finalized(&is_finalised);
    if (is_initialised && !is_finalised)
        (void)MPI_Abort(MPI_COMM_WORLD, exit_code);
    _exit(exit_code);
}
