/* Broadcast, gathering, barrier: what start-up, manifests and checkpoints need besides all-reduce.
 */
#include "worker/comm/internal.h"

#include "common/base/mem.h"
#include "common/base/str.h"

#include <limits.h>
#include <stdatomic.h>
#include <string.h>

static atomic_size_t chunk_bytes = (size_t)1 << 30;

size_t comm_chunk_bytes(void)
{
    return atomic_load(&chunk_bytes);
}

void syn_comm_set_chunk_bytes(size_t bytes)
{
    size_t most = (size_t)1 << 30;
    atomic_store(&chunk_bytes, bytes < 16 ? 16 : bytes > most ? most : bytes);
}

syn_status comm_check(int mpi_error, const syn_comm *comm, const char *function, size_t bytes)
{
    char reason[MPI_MAX_ERROR_STRING + 1] = "unknown MPI error", size[32];
    int class = MPI_ERR_OTHER, length = 0;

    if (mpi_error == MPI_SUCCESS)
        return SYN_OK;
    (void)MPI_Error_class(mpi_error, &class);
    (void)MPI_Error_string(mpi_error, reason, &length);
    syn_status code = class == MPI_ERR_NO_MEM ? SYN_RESOURCE_EXHAUSTED
                      : class == MPI_ERR_ARG || class == MPI_ERR_COUNT || class == MPI_ERR_COMM ||
                              class == MPI_ERR_TYPE
                          ? SYN_INTERNAL
                          : SYN_UNAVAILABLE;
    return SYN_FAIL(code, "%s over %d ranks (%s) failed: %s", function, comm->size,
                    syn_format_bytes(size, bytes), reason);
}

static syn_status run_barrier(syn_comm_work *work)
{
    syn_comm *comm = work->engine.comm;
    return comm_check(MPI_Barrier(comm->mpi), comm, "MPI_Barrier", 0);
}

syn_status syn_comm_barrier(syn_comm *comm)
{
    syn_comm_work work = {.engine = {.run = run_barrier, .comm = comm}, .algorithm = "barrier"};
    return comm_run(&work);
}

static syn_status run_broadcast(syn_comm_work *work)
{
    syn_comm *comm = work->engine.comm;
    size_t most = comm_chunk_bytes();

    for (size_t done = 0; done < work->bytes;) {
        size_t n = work->bytes - done < most ? work->bytes - done : most;
        int error = MPI_Bcast((char *)work->engine.buffer + done, (int)n, MPI_BYTE,
                              work->engine.root, comm->mpi);
        SYN_TRY(comm_check(error, comm, "MPI_Bcast", n));
        done += n;
    }
    return SYN_OK;
}

syn_status syn_comm_broadcast(syn_comm *comm, void *buffer, size_t size_bytes, int root)
{
    syn_comm_work work = {
        .engine = {.run = run_broadcast, .comm = comm, .buffer = buffer, .root = root},
        .bytes = size_bytes,
        .algorithm = "broadcast"};
    if (root < 0 || root >= comm->size)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "broadcast from rank %d of a group of %d", root,
                        comm->size);
    return comm_run(&work);
}

struct gather {
    const void *mine;
    size_t size_bytes;
    char *all;       /* allgather: the caller's; allgatherv: allocated here */
    size_t *offsets; /* allgatherv: size + 1 */
};

/* Piece by piece: a piece of every rank lands in that rank's row, rows being size_bytes apart. */
static syn_status run_allgather(syn_comm_work *work)
{
    struct gather *g = work->engine.buffer;
    syn_comm *comm = work->engine.comm;
    size_t most = comm_chunk_bytes();

    for (size_t done = 0; done < g->size_bytes;) {
        size_t n = g->size_bytes - done < most ? g->size_bytes - done : most;
        MPI_Datatype piece, row;
        (void)MPI_Type_contiguous((int)n, MPI_BYTE, &piece);
        (void)MPI_Type_create_resized(piece, 0, (MPI_Aint)g->size_bytes, &row);
        (void)MPI_Type_commit(&row);
        int error = MPI_Allgather((const char *)g->mine + done, (int)n, MPI_BYTE, g->all + done, 1,
                                  row, comm->mpi);
        (void)MPI_Type_free(&row);
        (void)MPI_Type_free(&piece);
        SYN_TRY(comm_check(error, comm, "MPI_Allgather", n));
        done += n;
    }
    return SYN_OK;
}

syn_status syn_comm_allgather(syn_comm *comm, const void *mine, size_t size_bytes, void *all_out)
{
    struct gather g = {.mine = mine, .size_bytes = size_bytes, .all = all_out};
    syn_comm_work work = {.engine = {.run = run_allgather, .comm = comm, .buffer = &g},
                          .bytes = size_bytes,
                          .algorithm = "all-gather"};
    return comm_run(&work);
}

/* Fills counts and displacements from the offsets; false when they do not fit MPI's ints. */
static bool split_offsets(const size_t *offsets, int n, int *counts, int *displacements)
{
    if (offsets[n] > INT_MAX)
        return false;
    for (int i = 0; i < n; i++) {
        counts[i] = (int)(offsets[i + 1] - offsets[i]);
        displacements[i] = (int)offsets[i];
    }
    return true;
}

static syn_status run_allgatherv(syn_comm_work *work)
{
    struct gather *g = work->engine.buffer;
    syn_comm *comm = work->engine.comm;
    size_t n = (size_t)comm->size;
    uint64_t mine = g->size_bytes;
    int *counts = NULL;
    char *all = NULL;
    syn_status status;

    SYN_GOTO(comm_check(
        MPI_Allgather(&mine, 1, MPI_UINT64_T, g->offsets + 1, 1, MPI_UINT64_T, comm->mpi), comm,
        "MPI_Allgather", sizeof mine));
    g->offsets[0] = 0;
    for (size_t i = 0; i < n; i++)
        g->offsets[i + 1] += g->offsets[i];
    counts = syn_calloc(2 * n, sizeof *counts);
    all = g->offsets[n] <= INT_MAX ? syn_malloc(g->offsets[n] + 1) : NULL;
    /* A rank without memory must not leave the others inside. */
    int is_ready = counts && all && split_offsets(g->offsets, comm->size, counts, counts + n);
    SYN_GOTO(comm_check(MPI_Allreduce(MPI_IN_PLACE, &is_ready, 1, MPI_INT, MPI_MIN, comm->mpi),
                        comm, "MPI_Allreduce", sizeof is_ready));
    if (!is_ready) {
        status = SYN_FAIL(SYN_RESOURCE_EXHAUSTED,
                          "gathering %zu bytes of %d ranks: more than 2 GiB or out of memory",
                          g->offsets[n], comm->size);
        goto out;
    }
    SYN_GOTO(comm_check(MPI_Allgatherv(g->mine, (int)g->size_bytes, MPI_BYTE, all, counts,
                                       counts + n, MPI_BYTE, comm->mpi),
                        comm, "MPI_Allgatherv", g->offsets[n]));
    all[g->offsets[n]] = '\0';
    g->all = all;
    all = NULL;
out:
    syn_free(counts);
    syn_free(all);
    return status;
}

syn_status syn_comm_allgatherv(syn_comm *comm, const void *mine, size_t size_bytes, char **all_out,
                               size_t *offsets_out)
{
    struct gather g = {.mine = mine, .size_bytes = size_bytes, .offsets = offsets_out};
    syn_comm_work work = {.engine = {.run = run_allgatherv, .comm = comm, .buffer = &g},
                          .bytes = size_bytes,
                          .algorithm = "all-gather"};
    SYN_TRY(comm_run(&work));
    *all_out = g.all;
    return SYN_OK;
}

syn_status syn_comm_gather_texts(syn_comm *comm, const char *mine, syn_comm_texts *texts_out)
{
    size_t n = (size_t)comm->size;
    size_t *offsets = syn_calloc(n + 1, sizeof *offsets);
    const char **items = syn_calloc(n, sizeof *items);
    char *all = NULL;
    syn_status status;

    if (!offsets || !items)
        syn_comm_abort(1,
                       "out of memory for the offsets of a gathering"); /* the others wait inside */
    SYN_GOTO(syn_comm_allgatherv(comm, mine, strlen(mine) + 1, &all, offsets));
    for (size_t i = 0; i < n; i++)
        items[i] = all + offsets[i];
    *texts_out = (syn_comm_texts){.n = comm->size, .items = items, .memory = all};
    items = NULL;
out:
    syn_free(items);
    syn_free(offsets);
    return status;
}

void syn_comm_texts_release(syn_comm_texts *texts)
{
    syn_free(texts->items);
    syn_free(texts->memory);
    *texts = (syn_comm_texts){0};
}
