/* Extents: checking, formatting, contiguity. */
#include "worker/tensor/tensor.h"

#include <stdint.h>
#include <stdio.h>

char *syn_shape_format(char *buffer, size_t size, int ndim, const int64_t *dims)
{
    size_t used = (size_t)snprintf(buffer, size, "(");
    for (int d = 0; d < ndim && used + 24 < size; d++) {
        int n = snprintf(buffer + used, size - used, "%s%lld", d ? ", " : "", (long long)dims[d]);
        used += n > 0 ? (size_t)n : 0;
    }
    (void)snprintf(buffer + used, size - used, used + 24 < size ? ")" : "...)");
    return buffer;
}

syn_status syn_shape_check(int ndim, const int64_t *dims, syn_dtype dtype, int64_t *numel_out)
{
    int64_t limit = INT64_MAX / 64 / 16, numel = 1;
    char text[160];
    if (ndim < 0 || ndim > SYN_MAX_DIMS)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "a tensor has 0 to %d axes, not %d", SYN_MAX_DIMS,
                        ndim);
    if ((unsigned)dtype >= SYN_N_DTYPES)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "there is no dtype number %d", (int)dtype);
    bool is_empty = false;
    for (int d = 0; d < ndim; d++) {
        if (dims[d] < 0)
            return SYN_FAIL(SYN_INVALID_ARGUMENT, "shape %s has a negative extent",
                            syn_shape_format(text, sizeof text, ndim, dims));
        is_empty |= dims[d] == 0;
    }
    for (int d = 0; d < ndim; d++) {
        if (dims[d] && numel > limit / dims[d])
            return SYN_FAIL(SYN_INVALID_ARGUMENT, "shape %s has too many elements",
                            syn_shape_format(text, sizeof text, ndim, dims));
        numel *= dims[d] ? dims[d] : 1;
    }
    *numel_out = is_empty ? 0 : numel;
    return SYN_OK;
}

bool syn_is_contiguous(const syn_tensor *tensor)
{
    int64_t expected = 1;
    if (tensor->numel == 0)
        return true;
    for (int d = tensor->ndim - 1; d >= 0; d--) {
        if (tensor->dims[d] == 1)
            continue;
        if (tensor->strides[d] != expected)
            return false;
        expected *= tensor->dims[d];
    }
    return true;
}
