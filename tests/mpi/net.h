/* A small f64 network with its data, for comparing gradients over ranks with those of one process.
 */
#ifndef TESTS_MPI_NET_H
#define TESTS_MPI_NET_H

#include "tests/mpi/check.h"
#include "worker/parallel/data_parallel.h"

#include <math.h>
#include <syncline/syncline.h>

enum { N_SAMPLES = 11, N_IN = 3, N_OUT = 2, MAX_VALUES = 4096 };

/* Three layers; the same values for the same seed. */
static inline syn_module *net_new(uint64_t seed)
{
    syn_manual_seed(seed);
    syn_module *net = syn_sequential(syn_linear(N_IN, 7), syn_tanh_module(), syn_linear(7, 5),
                                     syn_tanh_module(), syn_linear(5, N_OUT));
    CHECK(net);
    CHECK_OK(syn_module_to(net, SYN_F64));
    return net;
}

static inline double net_number(int64_t i)
{
    return sin((double)(i * i) + 0.37 * (double)i);
}

/* Samples begin <= i < end as a tensor of `width` columns; scope-owned. */
static inline syn_tensor *net_samples(int begin, int end, int width, int salt)
{
    double values[N_SAMPLES * 8];
    for (int i = begin; i < end; i++)
        for (int k = 0; k < width; k++)
            values[(i - begin) * width + k] = net_number((int64_t)i * width + k + salt);
    return syn_from_data(values, SYN_SHAPE(end - begin, width), SYN_F64);
}

/* The loss of these samples as their share of the mean over all N_SAMPLES. */
static inline syn_tensor *net_loss(syn_module *net, int begin, int end)
{
    syn_tensor *x = net_samples(begin, end, N_IN, 0), *y = net_samples(begin, end, N_OUT, 1000);
    syn_tensor *loss = syn_mse_loss(syn_module_forward(net, x), y);
    return syn_mul_scalar(loss, (double)(end - begin) / N_SAMPLES);
}

/* Samples of rank r of n: uneven, and none for the last of more than two ranks. */
static inline void net_share(int rank, int size, int *begin_out, int *end_out)
{
    int workers = size > 2 ? size - 1 : size;
    *begin_out = rank < workers ? N_SAMPLES * rank / workers : N_SAMPLES;
    *end_out = rank < workers ? N_SAMPLES * (rank + 1) / workers : N_SAMPLES;
}

/* All gradients one after the other; returns how many numbers. */
static inline int net_gradients(syn_module *net, double *values_out)
{
    syn_parameters p = syn_module_parameters(net);
    int n = 0;
    for (int i = 0; i < p.n; i++) {
        int numel = (int)syn_tensor_numel(p.items[i].tensor);
        CHECK(n + numel <= MAX_VALUES);
        syn_tensor *grad = syn_grad_of(p.items[i].tensor);
        if (grad)
            CHECK_OK(syn_tensor_read(grad, values_out + n));
        else
            memset(values_out + n, 0, (size_t)numel * sizeof(double));
        n += numel;
    }
    return n;
}

static inline int net_parameters(syn_module *net, double *values_out)
{
    syn_parameters p = syn_module_parameters(net);
    int n = 0;
    for (int i = 0; i < p.n; i++) {
        CHECK_OK(syn_tensor_read(p.items[i].tensor, values_out + n));
        n += (int)syn_tensor_numel(p.items[i].tensor);
    }
    return n;
}

static inline void net_zero_grad(syn_module *net)
{
    syn_parameters p = syn_module_parameters(net);
    for (int i = 0; i < p.n; i++)
        syn_zero_grad(p.items[i].tensor);
}

/* Every number within a few roundings of the expected one. */
static inline void check_close(const double *values, const double *expected, int n)
{
    for (int i = 0; i < n; i++)
        CHECK(fabs(values[i] - expected[i]) <= 1e-14 + 1e-13 * fabs(expected[i]));
}

/* Rank 0's bytes everywhere. */
static inline void check_same_on_all_ranks(syn_comm *comm, const double *values, int n)
{
    double theirs[MAX_VALUES];
    memcpy(theirs, values, (size_t)n * sizeof *values);
    CHECK_OK(syn_comm_broadcast(comm, theirs, (size_t)n * sizeof *values, 0));
    CHECK(memcmp(theirs, values, (size_t)n * sizeof *values) == 0);
}

#endif
