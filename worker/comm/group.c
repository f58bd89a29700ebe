/* Groups of ranks: made among their members only, and what is known about each member. */
#include "worker/comm/internal.h"

#include "common/base/mem.h"

#include <string.h>

syn_status comm_group_new(int size, syn_comm **comm_out)
{
    syn_comm *comm = syn_calloc(1, sizeof *comm);
    int *ranks = syn_calloc((size_t)size, sizeof *ranks);
    if (!comm || !ranks) {
        syn_free(comm);
        syn_free(ranks);
        return syn_fail_memory((size_t)size * sizeof *ranks, "a group of ranks");
    }
    comm->mpi = MPI_COMM_NULL;
    comm->size = size;
    comm->world_ranks = ranks;
    *comm_out = comm;
    return SYN_OK;
}

void comm_group_free_memory(syn_comm *comm)
{
    if (!comm)
        return;
    comm_window_free(comm);
    comm_shared_forget(comm);
    syn_free(comm->world_ranks);
    syn_free(comm);
}

/* Fills in where this rank stands among those on its host. */
void comm_group_locate(syn_comm *comm)
{
    const char *mine = syn_comm_host(comm, comm->rank);
    comm->local_rank = comm->local_size = 0;
    for (int i = 0; i < comm->size; i++) {
        if (strcmp(syn_comm_host(comm, i), mine) != 0)
            continue;
        comm->local_size++;
        comm->local_rank += i < comm->rank;
    }
}

int syn_comm_rank(const syn_comm *comm)
{
    return comm->rank;
}

int syn_comm_size(const syn_comm *comm)
{
    return comm->size;
}

int syn_comm_world_rank(const syn_comm *comm, int rank)
{
    return comm->world_ranks[rank];
}

const char *syn_comm_host(const syn_comm *comm, int rank)
{
    return comm_world_host(comm->world_ranks[rank]);
}

int syn_comm_local_rank(const syn_comm *comm)
{
    return comm->local_rank;
}

int syn_comm_local_size(const syn_comm *comm)
{
    return comm->local_size;
}

/* Checks the list and finds the caller in it. */
static syn_status check_members(const int *world_ranks, int n, int *rank_out)
{
    int n_world = comm_world->size;
    bool *is_member = syn_calloc((size_t)n_world, sizeof *is_member);
    syn_status status = SYN_OK;

    if (!is_member)
        return syn_fail_memory((size_t)n_world, "a group of ranks");
    *rank_out = -1;
    for (int i = 0; i < n && status == SYN_OK; i++) {
        int r = world_ranks[i];
        if (r < 0 || r >= n_world)
            status = SYN_FAIL(SYN_INVALID_ARGUMENT,
                              "a group names rank %d, but the ranks are 0 to %d", r, n_world - 1);
        else if (is_member[r])
            status = SYN_FAIL(SYN_INVALID_ARGUMENT, "a group names rank %d twice", r);
        else
            is_member[r] = true;
        if (r == comm_world->rank)
            *rank_out = i;
    }
    syn_free(is_member);
    if (status == SYN_OK && *rank_out < 0)
        status = SYN_FAIL(SYN_INVALID_ARGUMENT, "rank %d is not in the group it is to make",
                          comm_world->rank);
    return status;
}

/* On the comm thread: `buffer` is the new group, `root` the tag. */
static syn_status run_create(syn_comm_work *work)
{
    syn_comm *comm = work->engine.buffer;
    MPI_Group world = MPI_GROUP_NULL, group = MPI_GROUP_NULL;

    int error = MPI_Comm_group(comm_world->mpi, &world);
    if (error == MPI_SUCCESS)
        error = MPI_Group_incl(world, comm->size, comm->world_ranks, &group);
    if (error == MPI_SUCCESS)
        error = MPI_Comm_create_group(comm_world->mpi, group, work->engine.root, &comm->mpi);
    if (error == MPI_SUCCESS)
        (void)MPI_Comm_set_errhandler(comm->mpi, MPI_ERRORS_RETURN);
    if (group != MPI_GROUP_NULL)
        (void)MPI_Group_free(&group);
    if (world != MPI_GROUP_NULL)
        (void)MPI_Group_free(&world);
    return comm_check(error, comm, "MPI_Comm_create_group", 0);
}

static syn_status run_free(syn_comm_work *work)
{
    syn_comm *comm = work->engine.buffer;
    return comm_check(MPI_Comm_free(&comm->mpi), comm, "MPI_Comm_free", 0);
}

syn_status syn_comm_new(const int *world_ranks, int n, int tag, syn_comm **comm_out)
{
    syn_comm *comm = NULL;
    int rank = -1;

    if (!comm_world)
        return SYN_FAIL(SYN_FAILED_PRECONDITION, "communication was not started");
    if (n < 1 || tag < 0 || tag > 32767)
        return SYN_FAIL(
            SYN_INVALID_ARGUMENT,
            "a group needs a member and a tag from 0 to 32767, not %d members and tag %d", n, tag);
    SYN_TRY(check_members(world_ranks, n, &rank));
    syn_status allocated = comm_group_new(n, &comm);
    if (allocated != SYN_OK && n > 1) /* there is no group yet to tell the others by */
        syn_comm_abort(1, syn_error_message());
    SYN_TRY(allocated);
    memcpy(comm->world_ranks, world_ranks, (size_t)n * sizeof *world_ranks);
    comm->rank = rank;
    comm_group_locate(comm);

    syn_comm_work work = {.engine = {.run = run_create, .comm = comm, .buffer = comm, .root = tag},
                          .algorithm = "making a group"};
    syn_status status = comm_run(&work);
    if (status != SYN_OK) {
        comm_group_free_memory(comm);
        return status;
    }
    *comm_out = comm;
    return SYN_OK;
}

void syn_comm_free(syn_comm *comm)
{
    if (!comm || comm == comm_world)
        return;
    syn_comm_work work = {.engine = {.run = run_free, .comm = comm, .buffer = comm},
                          .algorithm = "freeing a group"};
    (void)comm_run(&work);
    comm_group_free_memory(comm);
}
