/* Making tensors from extents, numbers and the caller's memory. */
#include "worker/kernels/element.h"
#include "worker/tensor/tensor.h"

#include <string.h>

/* A scope-owned tensor, or NULL with the sticky error set. */
static syn_tensor *make(syn_shape shape, syn_dtype dtype)
{
    int64_t numel;
    syn_status status = syn_shape_check(shape.ndim, shape.dims, dtype, &numel);
    if (status != SYN_OK)
        return syn_stick(status);
    syn_tensor *tensor = syn_tensor_new(dtype, shape.ndim, shape.dims);
    return tensor ? tensor : syn_stick(SYN_RESOURCE_EXHAUSTED);
}

/* Repeats the first element over the rest. */
static void spread(char *data, size_t element_bytes, size_t total_bytes)
{
    for (size_t done = element_bytes; done < total_bytes;) {
        size_t n = done < total_bytes - done ? done : total_bytes - done;
        n = n > 65536 ? 65536 : n;
        memcpy(data + done, data, n);
        done += n;
    }
}

syn_tensor *syn_empty(syn_shape shape, syn_dtype dtype)
{
    return make(shape, dtype);
}

syn_tensor *syn_zeros(syn_shape shape, syn_dtype dtype)
{
    syn_tensor *tensor = make(shape, dtype);
    if (tensor && tensor->numel)
        memset(tensor->data, 0, (size_t)tensor->numel * syn_dtype_size(dtype));
    return tensor;
}

syn_tensor *syn_ones(syn_shape shape, syn_dtype dtype)
{
    return syn_full(shape, 1, dtype);
}

syn_tensor *syn_full(syn_shape shape, double value, syn_dtype dtype)
{
    syn_tensor *tensor = make(shape, dtype);
    if (tensor && tensor->numel) {
        syn_element_set(dtype, tensor->data, value);
        spread(tensor->data, syn_dtype_size(dtype), (size_t)tensor->numel * syn_dtype_size(dtype));
    }
    return tensor;
}

syn_tensor *syn_scalar(double value, syn_dtype dtype)
{
    return syn_full(SYN_SCALAR, value, dtype);
}

syn_tensor *syn_number(double value, syn_dtype dtype)
{
    syn_tensor *tensor = syn_scalar(value, dtype);
    if (tensor)
        tensor->is_number = true;
    return tensor;
}

syn_tensor *syn_arange(int64_t n, syn_dtype dtype)
{
    syn_tensor *tensor = make(SYN_SHAPE(n), dtype);
    if (tensor)
        for (int64_t i = 0; i < n; i++)
            syn_element_set_int(dtype, (char *)tensor->data + i * (int64_t)syn_dtype_size(dtype),
                                i);
    return tensor;
}

syn_tensor *syn_from_data(const void *data, syn_shape shape, syn_dtype dtype)
{
    syn_tensor *tensor = make(shape, dtype);
    if (tensor && tensor->numel)
        memcpy(tensor->data, data, (size_t)tensor->numel * syn_dtype_size(dtype));
    return tensor;
}

syn_tensor *syn_wrap_data(void *data, syn_shape shape, syn_dtype dtype, void (*release)(void *))
{
    int64_t numel;
    syn_status status = syn_shape_check(shape.ndim, shape.dims, dtype, &numel);
    if (status != SYN_OK)
        return syn_stick(status);
    syn_tensor *tensor = syn_tensor_wrap_owned(data, shape, dtype, release, data);
    tensor = tensor ? syn_scope_take(tensor) : NULL;
    return tensor ? tensor : syn_stick(SYN_RESOURCE_EXHAUSTED);
}
