/* All-reduce: the ways there are, one table, and the choice between them. */
#include "worker/comm/internal.h"

static MPI_Datatype mpi_type(syn_dtype dtype)
{
    switch (dtype) {
    case SYN_F32:
        return MPI_FLOAT;
    case SYN_F64:
        return MPI_DOUBLE;
    case SYN_I64:
        return MPI_INT64_T;
    default:
        return MPI_DATATYPE_NULL;
    }
}

static MPI_Op mpi_op(syn_reduction op)
{
    return op == SYN_REDUCE_SUM ? MPI_SUM : op == SYN_REDUCE_MAX ? MPI_MAX : MPI_MIN;
}

static bool always_fits(syn_comm *comm, const void *buffer, size_t bytes)
{
    (void)comm, (void)buffer, (void)bytes;
    return true;
}

/* The library's. Its algorithms depend on the number of ranks and bytes only, so the bits repeat;
 * each combines the same two partial sums everywhere, so they are the same on all ranks. */
static syn_status library_run(syn_comm *comm, void *buffer, size_t count, syn_dtype dtype,
                              syn_reduction op)
{
    size_t size = syn_dtype_size(dtype), most = comm_chunk_bytes() / size;

    for (size_t done = 0; done < count;) {
        size_t n = count - done < most ? count - done : most;
        int error = MPI_Allreduce(MPI_IN_PLACE, (char *)buffer + done * size, (int)n,
                                  mpi_type(dtype), mpi_op(op), comm->mpi);
        SYN_TRY(comm_check(error, comm, "MPI_Allreduce", n * size));
        done += n;
    }
    return SYN_OK;
}

static bool is_alone(syn_comm *comm, const void *buffer, size_t bytes)
{
    (void)buffer, (void)bytes;
    return comm->size == 1;
}

static syn_status alone_run(syn_comm *comm, void *buffer, size_t count, syn_dtype dtype,
                            syn_reduction op)
{
    (void)comm, (void)buffer, (void)count, (void)dtype, (void)op;
    return SYN_OK;
}

/* In order of preference: the first that fits is taken; the last always does. */
static const comm_allreduce ways[] = {
    {"alone", is_alone, alone_run},
    {"shared window", comm_window_fits, comm_window_run},
    {"library", always_fits, library_run},
};

syn_status comm_allreduce_run(syn_comm_work *work)
{
    syn_comm *comm = work->engine.comm;
    syn_dtype dtype = (syn_dtype)work->engine.dtype;

    if (mpi_type(dtype) == MPI_DATATYPE_NULL)
        return SYN_FAIL(SYN_UNIMPLEMENTED,
                        "all-reduce of %s is not supported: f32, f64 and i64 are",
                        syn_dtype_name(dtype));
    const comm_allreduce *way = ways;
    while (!way->fits(comm, work->engine.buffer, work->bytes))
        way++; /* the last one always fits */
    work->algorithm = way->name;
    return way->run(comm, work->engine.buffer, work->engine.count, dtype,
                    (syn_reduction)work->engine.op);
}

void syn_comm_post_allreduce(syn_comm *comm, void *buffer, size_t count, syn_dtype dtype,
                             syn_reduction op, syn_comm_work *work)
{
    work->engine.run = comm_allreduce_run;
    work->engine.comm = comm;
    work->engine.buffer = buffer;
    work->engine.count = count;
    work->engine.dtype = (int)dtype;
    work->engine.op = (int)op;
    work->bytes = count * syn_dtype_size(dtype);
    work->algorithm = "all-reduce";
    comm_post(work);
}

syn_status syn_comm_allreduce(syn_comm *comm, void *buffer, size_t count, syn_dtype dtype,
                              syn_reduction op)
{
    syn_comm_work work = {0};
    syn_comm_post_allreduce(comm, buffer, count, dtype, op, &work);
    return syn_comm_wait(&work);
}
