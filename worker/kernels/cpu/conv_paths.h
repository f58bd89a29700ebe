/* The ways a convolution can be computed on the CPU; worker/kernels/cpu/conv.c chooses. */
#ifndef WORKER_KERNELS_CPU_CONV_PATHS_H
#define WORKER_KERNELS_CPU_CONV_PATHS_H

#include "worker/kernels/conv.h"
#include <stdbool.h>

/* Which of the three arrays is computed. */
typedef enum syn_conv_kind {
    SYN_CONV_FORWARD,
    SYN_CONV_GRAD_INPUT,
    SYN_CONV_GRAD_WEIGHT,
} syn_conv_kind;

/* x, w, y in this order whatever the kind; the computed one is written. bias is for the forward
 * kind, or NULL. */
typedef struct syn_conv_arrays {
    void *x, *w, *bias, *y;
} syn_conv_arrays;

/* oneDNN in its blocked layouts, f32. UNIMPLEMENTED (without a sentence) when oneDNN has no kernel
 * for these extents. */
syn_status syn_conv_dnnl(syn_conv_kind kind, const syn_conv_dims *dims, const syn_conv_arrays *a);
/* Releases all cached primitives. Not while convolutions run. */
void syn_conv_dnnl_clear(void);

/* Own loops for few channels, f32; whether they can compute this convolution and are expected to be
 * the fastest. */
bool syn_conv_direct_suits(syn_conv_kind kind, const syn_conv_dims *dims);
syn_status syn_conv_direct(syn_conv_kind kind, const syn_conv_dims *dims, const syn_conv_arrays *a);

/* im2col and BLAS; a product alone for 1 x 1 kernels with stride 1. */
syn_status syn_conv_gemm_f32(syn_conv_kind kind, const syn_conv_dims *dims,
                             const syn_conv_arrays *a);
syn_status syn_conv_gemm_f64(syn_conv_kind kind, const syn_conv_dims *dims,
                             const syn_conv_arrays *a);

#endif
