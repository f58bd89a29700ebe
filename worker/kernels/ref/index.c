/* The oracle of rows by index. */
#include "worker/kernels/index.h"

#include "worker/kernels/element.h"

#include <string.h>

static void take_rows(const syn_rows_args *a, size_t element_bytes)
{
    size_t bytes = (size_t)a->width * element_bytes;
    for (int64_t i = 0; i < a->n_index; i++)
        memcpy((char *)a->to + (size_t)i * bytes,
               (const char *)a->from + (size_t)a->index[i] * bytes, bytes);
}

static void add_rows(const syn_rows_args *a, syn_dtype dtype)
{
    int64_t size = (int64_t)syn_dtype_size(dtype);
    for (int64_t i = 0; i < a->n_index; i++)
        for (int64_t j = 0; j < a->width; j++) {
            char *to = (char *)a->to + (a->index[i] * a->width + j) * size;
            const char *from = (const char *)a->from + (i * a->width + j) * size;
            syn_element_set(dtype, to, syn_element_get(dtype, to) + syn_element_get(dtype, from));
        }
}

static void add_rows_f32(const syn_rows_args *a)
{
    add_rows(a, SYN_F32);
}

static void add_rows_f64(const syn_rows_args *a)
{
    add_rows(a, SYN_F64);
}

const syn_index_kernels syn_index_ref[] = {
    {.take_rows = take_rows, .add_rows = {[SYN_F32] = add_rows_f32, [SYN_F64] = add_rows_f64}}};
