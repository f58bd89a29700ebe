/* The table of kernels a device brings: pointers and ints, no tensors. What a device lacks falls
 * back to `ref`. */
#ifndef WORKER_KERNELS_BACKEND_H
#define WORKER_KERNELS_BACKEND_H

#include "worker/kernels/strided.h"

#include <stddef.h>
#include <stdint.h>
#include <syncline/dtype.h>

/* Families are structs of function pointers (NULL: use ref's), each declared in its own header: a
 * family is added by declaring its struct there, a pointer here, and an entry in
 * SYN_KERNEL_FAMILIES. */
struct syn_elementwise_kernels; /* worker/kernels/elementwise.h */
struct syn_reduce_kernels;      /* worker/kernels/reduce.h */
struct syn_copy_kernels;        /* worker/kernels/copy.h */
struct syn_matmul_kernels;      /* worker/kernels/matmul.h */
struct syn_index_kernels;       /* worker/kernels/index.h */
struct syn_random_kernels;      /* worker/kernels/random.h */
struct syn_conv_kernels;        /* worker/kernels/conv.h */
struct syn_pool_kernels;        /* worker/kernels/pool.h */
struct syn_norm_kernels;        /* worker/kernels/norm.h */
struct syn_softmax_kernels;     /* worker/kernels/softmax.h */
struct syn_attention_kernels;   /* worker/kernels/attention.h */
struct syn_rnn_kernels;         /* worker/kernels/rnn.h */
struct syn_gelu_kernels;        /* worker/kernels/gelu.h */
struct syn_loss_kernels;        /* worker/kernels/loss.h */

/* X(family, n): the member's name, its type is struct syn_<family>_kernels; and the length of the
 * array it points at (2 where there is a table for f32 and one for f64). */
#define SYN_KERNEL_FAMILIES(X) \
    X(elementwise, 1)          \
    X(reduce, 1)               \
    X(copy, 1)                 \
    X(matmul, 1)               \
    X(index, 1)                \
    X(random, 1)               \
    X(conv, 2)                 \
    X(pool, 2)                 \
    X(norm, 2)                 \
    X(softmax, 2)              \
    X(attention, 2)            \
    X(rnn, 2)                  \
    X(gelu, 2)                 \
    X(loss, 2)

typedef struct syn_backend {
    const char *name; /* "cpu" */
#define SYN_BACKEND_MEMBER(family, n) const struct syn_##family##_kernels *family;
    SYN_KERNEL_FAMILIES(SYN_BACKEND_MEMBER)
#undef SYN_BACKEND_MEMBER
} syn_backend;

/* The kernels in use, complete: fast ones with the gaps filled from ref. */
extern const syn_backend *syn_kernels;
/* The readable oracle, complete. */
extern const syn_backend syn_backend_ref;
extern const syn_backend syn_backend_cpu;
/* Uses "ref" or "cpu" from now on (tests, SYNCLINE_BACKEND). Not while operators run. False if
 * there is none of that name. */
int syn_backend_use(const char *name);

/* 1: no result depends on the number of threads, at the price of speed where that costs some
 * (Winograd's convolution). 0, the default: where it costs nothing. Not while operators run. */
extern int syn_kernels_reproducible;

/* Clones of a function for the instruction sets of today's servers, chosen when the program loads.
 */
#if defined(SYN_SANITIZED) || !defined(__x86_64__) || defined(__clang__)
#define SYN_MULTIARCH
#else
#define SYN_MULTIARCH __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#endif

/* A pragma inside a macro: SYN_PRAGMA(omp parallel for if (n > 1)) */
#define SYN_PRAGMA(...) _Pragma(#__VA_ARGS__)

/* A helper of such functions has to become part of each clone: on its own it would be compiled for
 * the oldest processor. */
#define SYN_INLINE static inline __attribute__((always_inline))

/* Below so many elements a second thread costs more than it brings. */
enum { SYN_PARALLEL_MIN = 32768 };

#endif
