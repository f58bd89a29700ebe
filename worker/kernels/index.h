/* Rows picked and added by index. */
#ifndef WORKER_KERNELS_INDEX_H
#define WORKER_KERNELS_INDEX_H

#include <stddef.h>
#include <stdint.h>
#include <syncline/dtype.h>

/* index holds n_index numbers in [0, n_rows), checked by the caller; rows are dense. */
typedef struct syn_rows_args {
    int64_t n_index, n_rows, width;
    const int64_t *index;
    const void *from;
    void *to;
} syn_rows_args;

typedef struct syn_index_kernels {
    /* to[i] = from[index[i]]: rows of `width` elements of `element_bytes`. */
    void (*take_rows)(const syn_rows_args *args, size_t element_bytes);
    /* to[index[i]] += from[i], in the order of i: the same bits with any number of threads. */
    void (*add_rows[SYN_N_DTYPES])(const syn_rows_args *args);
} syn_index_kernels;

extern const syn_index_kernels syn_index_ref[], syn_index_cpu[];

#endif
