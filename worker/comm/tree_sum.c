/* Sums in a fixed shape: every segment's owner receives all ranks' parts of it, adds them in order,
 * and the segments are gathered back. */
#include "worker/comm/internal.h"

#include "common/base/mem.h"

#include <string.h>

/* Buffers are summed so many bytes at a time: what the parts of all ranks are received into stays
 * small. */
enum { PIECE_BYTES = 8 << 20 };

struct syn_comm_tree {
    syn_comm *comm; /* borrowed */
    int *n_parts;   /* owned; per rank */
    int *merges;    /* owned; per part */
    int n_all;      /* parts of all ranks */
    int *counts;    /* owned; twice the ranks: sizes of the segments of a piece, and their places */
    char *received; /* owned; a row for each part of other ranks */
    size_t row_bytes;
    void **sums;           /* owned; the stack */
    MPI_Request *requests; /* owned; all that a piece needs */
    size_t piece_bytes;
};

static syn_status check_shape(const syn_comm_tree *tree)
{
    int height = 0;

    for (int i = 0; i < tree->n_all; i++) {
        height += 1 - tree->merges[i];
        if (tree->merges[i] < 0 || height < 1)
            return SYN_FAIL(SYN_INVALID_ARGUMENT,
                            "%d additions follow part %d, which leaves nothing to add",
                            tree->merges[i], i);
    }
    return height == 1 ? SYN_OK
                       : SYN_FAIL(SYN_INVALID_ARGUMENT, "%d sums remain of %d parts, not one",
                                  height, tree->n_all);
}

syn_status syn_comm_tree_new(syn_comm *comm, const int *n_parts, const int *merges,
                             syn_comm_tree **tree_out)
{
    size_t size = (size_t)comm->size, n_all = 0;
    syn_status status;

    for (size_t r = 0; r < size; r++)
        n_all += (size_t)n_parts[r];
    syn_comm_tree *tree = syn_calloc(1, sizeof *tree);
    if (!tree)
        return syn_fail_memory(sizeof *tree, "a sum");
    size_t others = n_all - (size_t)n_parts[comm->rank];
    size_t n_requests = others + (size_t)n_parts[comm->rank] * (size - 1);
    tree->comm = comm;
    tree->n_all = (int)n_all;
    tree->piece_bytes = comm_chunk_bytes() < PIECE_BYTES ? comm_chunk_bytes() : PIECE_BYTES;
    tree->row_bytes = (tree->piece_bytes / size + 2 * sizeof(double)) / 64 * 64 + 64;
    tree->n_parts = syn_calloc(size, sizeof *tree->n_parts);
    tree->merges = syn_calloc(n_all + 1, sizeof *tree->merges);
    tree->counts = syn_calloc(2 * size, sizeof *tree->counts);
    tree->sums = syn_calloc(n_all + 1, sizeof *tree->sums);
    tree->received = syn_malloc(others * tree->row_bytes + 1);
    tree->requests = syn_calloc(n_requests + 1, sizeof(MPI_Request));
    if (!tree->n_parts || !tree->merges || !tree->counts || !tree->sums || !tree->received ||
        !tree->requests)
        SYN_GOTO(syn_fail_memory(others * tree->row_bytes, "a sum over the ranks"));
    memcpy(tree->n_parts, n_parts, size * sizeof *n_parts);
    memcpy(tree->merges, merges, n_all * sizeof *merges);
    SYN_GOTO(check_shape(tree));
    *tree_out = tree;
    return SYN_OK;
out:
    syn_comm_tree_free(tree);
    return status;
}

void syn_comm_tree_free(syn_comm_tree *tree)
{
    if (!tree)
        return;
    syn_free(tree->n_parts);
    syn_free(tree->merges);
    syn_free(tree->counts);
    syn_free(tree->sums);
    syn_free(tree->received);
    syn_free(tree->requests);
    syn_free(tree);
}

void syn_comm_add(void *sum, const void *term, size_t count, syn_dtype dtype)
{
    if (dtype == SYN_F64) {
        double *restrict a = sum;        /* (count) */
        const double *restrict b = term; /* (count) */
        for (size_t i = 0; i < count; i++)
            a[i] += b[i];
    } else {
        float *restrict a = sum;        /* (count) */
        const float *restrict b = term; /* (count) */
        for (size_t i = 0; i < count; i++)
            a[i] += b[i];
    }
}

/* Cuts n elements into a segment for each rank. */
static void cut(syn_comm_tree *tree, size_t n)
{
    size_t size = (size_t)tree->comm->size;
    for (size_t q = 0; q < size; q++) {
        size_t begin = n * q / size, end = n * (q + 1) / size;
        tree->counts[q] = (int)(end - begin);
        tree->counts[size + q] = (int)begin;
    }
}

/* Sends the others their segments of this rank's parts and receives its own segment of theirs;
 * fills `sums` with the places of all parts of the segment. `parts_at` is in bytes. */
static syn_status exchange(syn_comm_tree *tree, void *const *parts, size_t parts_at,
                           MPI_Datatype type, size_t size)
{
    syn_comm *comm = tree->comm;
    int n_requests = 0, error = MPI_SUCCESS, part = 0, me = comm->rank;
    const int *counts = tree->counts, *places = tree->counts + comm->size;
    char *row = tree->received;

    for (int r = 0; r < comm->size; r++) {
        for (int i = 0; i < tree->n_parts[r]; i++) {
            if (r == me) {
                tree->sums[part++] = (char *)parts[i] + parts_at + (size_t)places[me] * size;
                continue;
            }
            tree->sums[part++] = row;
            if (counts[me] > 0 && error == MPI_SUCCESS)
                error = MPI_Irecv(row, counts[me], type, r, i, comm->mpi,
                                  &tree->requests[n_requests++]);
            row += tree->row_bytes;
        }
    }
    for (int step = 1; step < comm->size; step++) {
        int to = (me + step) % comm->size; /* not all to rank 0 first */
        for (int i = 0; i < tree->n_parts[me] && counts[to] > 0 && error == MPI_SUCCESS; i++)
            error = MPI_Isend((char *)parts[i] + parts_at + (size_t)places[to] * size, counts[to],
                              type, to, i, comm->mpi, &tree->requests[n_requests++]);
    }
    if (error == MPI_SUCCESS)
        error = MPI_Waitall(n_requests, tree->requests, MPI_STATUSES_IGNORE);
    return comm_check(error, comm, "exchanging partial sums", (size_t)counts[me] * size);
}

/* Adds the parts in the order of the tree; the sum's place. */
static void *combine(syn_comm_tree *tree, syn_dtype dtype)
{
    size_t count = (size_t)tree->counts[tree->comm->rank];
    int height = 0;

    for (int i = 0; i < tree->n_all; i++) {
        tree->sums[height++] = tree->sums[i]; /* height <= i: what is overwritten was taken */
        for (int m = tree->merges[i]; m > 0; m--, height--)
            syn_comm_add(tree->sums[height - 2], tree->sums[height - 1], count, dtype);
    }
    return tree->sums[0];
}

static syn_status run_tree_sum(syn_comm_work *work)
{
    syn_comm_tree *tree = work->engine.tree;
    syn_comm *comm = tree->comm;
    syn_dtype dtype = (syn_dtype)work->engine.dtype;
    MPI_Datatype type = dtype == SYN_F64 ? MPI_DOUBLE : MPI_FLOAT;
    size_t size = syn_dtype_size(dtype), most = tree->piece_bytes / size, n;

    if (dtype != SYN_F32 && dtype != SYN_F64)
        return SYN_FAIL(SYN_UNIMPLEMENTED, "sums of %s in a fixed shape: f32 and f64 are supported",
                        syn_dtype_name(dtype));
    for (size_t done = 0; done < work->engine.count; done += n) {
        char *out = (char *)work->engine.buffer + done * size;
        n = work->engine.count - done < most ? work->engine.count - done : most;
        cut(tree, n);
        SYN_TRY(exchange(tree, work->engine.parts, done * size, type, size));
        const void *sum = combine(tree, dtype);
        memcpy(out + (size_t)tree->counts[comm->size + comm->rank] * size, sum,
               (size_t)tree->counts[comm->rank] * size);
        if (comm->size > 1)
            SYN_TRY(comm_check(MPI_Allgatherv(MPI_IN_PLACE, 0, type, out, tree->counts,
                                              tree->counts + comm->size, type, comm->mpi),
                               comm, "MPI_Allgatherv", n * size));
    }
    return SYN_OK;
}

void syn_comm_post_tree_sum(syn_comm_tree *tree, void *const *parts, void *out, size_t count,
                            syn_dtype dtype, syn_comm_work *work)
{
    work->engine.run = run_tree_sum;
    work->engine.comm = tree->comm;
    work->engine.tree = tree;
    work->engine.parts = parts;
    work->engine.buffer = out;
    work->engine.count = count;
    work->engine.dtype = (int)dtype;
    work->bytes = count * syn_dtype_size(dtype);
    work->algorithm = "tree of shards";
    comm_post(work);
}
