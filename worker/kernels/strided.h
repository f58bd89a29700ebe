/* Operands of element-wise kernels: pointers and byte strides over one index space. */
#ifndef WORKER_KERNELS_STRIDED_H
#define WORKER_KERNELS_STRIDED_H

#include <stdint.h>
#include <syncline/tensor.h>

enum { SYN_MAX_OPERANDS = 5 };

/* Operand 0 is written, the others are read. The index space is dims[0 .. ndim), row-major;
 * neighbouring axes that all operands traverse alike are merged by syn_strided_simplify, so the
 * last axis is usually long. ndim is at least 1. */
typedef struct syn_strided {
    int ndim, n_operands;
    char *data[SYN_MAX_OPERANDS];
    int64_t dims[SYN_MAX_DIMS];
    int64_t strides[SYN_MAX_OPERANDS][SYN_MAX_DIMS]; /* in bytes */
} syn_strided;

/* Drops axes of extent 1, merges neighbours, and orders axes by the output's strides. */
void syn_strided_simplify(syn_strided *it);

#endif
