/* The oracle of copies: one element at a time. */
#include "worker/kernels/copy.h"

#include "worker/kernels/element.h"

#include <string.h>

static void convert_one(syn_dtype to, void *out, syn_dtype from, const void *in)
{
    syn_dtype_kind kind = syn_dtype_get_kind(from);
    if (to == from)
        memcpy(out, in, syn_dtype_size(to));
    else if (kind == SYN_KIND_COMPLEX)
        syn_element_set_complex(to, out, syn_element_get(from, in), syn_element_get_imag(from, in));
    else if (kind < SYN_KIND_FLOAT)
        syn_element_set_int(to, out, syn_element_get_int(from, in));
    else
        syn_element_set(to, out, syn_element_get(from, in));
}

static void walk(const syn_strided *it, syn_dtype to, syn_dtype from, const void *value)
{
    int64_t index[SYN_MAX_DIMS] = {0}, total = 1;
    for (int d = 0; d < it->ndim; d++)
        total *= it->dims[d];
    for (int64_t i = 0; i < total; i++) {
        char *out = it->data[0], *in = it->data[1];
        for (int d = 0; d < it->ndim; d++) {
            out += index[d] * it->strides[0][d];
            in += value ? 0 : index[d] * it->strides[1][d];
        }
        convert_one(to, out, from, value ? value : in);
        for (int d = it->ndim - 1; d >= 0 && ++index[d] == it->dims[d]; d--)
            index[d] = 0;
    }
}

static void copy(const syn_strided *it, syn_dtype to, syn_dtype from)
{
    walk(it, to, from, NULL);
}

static void fill(const syn_strided *it, syn_dtype dtype, const void *value)
{
    syn_strided both = *it;
    both.data[1] = NULL;
    walk(&both, dtype, dtype, value);
}

const syn_copy_kernels syn_copy_ref[] = {{.copy = copy, .fill = fill}};
