/* Copying, converting and filling strided arrays. */
#ifndef WORKER_KERNELS_COPY_H
#define WORKER_KERNELS_COPY_H

#include "worker/kernels/strided.h"

#include <syncline/dtype.h>

typedef struct syn_copy_kernels {
    /* Operand 0 (of dtype `to`) takes operand 1 (of dtype `from`), converted as C does; floats to
     * integers saturate. */
    void (*copy)(const syn_strided *it, syn_dtype to, syn_dtype from);
    /* Operand 0 takes the element at `value` everywhere. */
    void (*fill)(const syn_strided *it, syn_dtype dtype, const void *value);
} syn_copy_kernels;

extern const syn_copy_kernels syn_copy_ref[], syn_copy_cpu[];

#endif
