/* Looking into tensors: extents, elements in and out. */
#include "worker/kernels/element.h"
#include "worker/tensor/tensor.h"

#include <math.h>
#include <string.h>

syn_dtype syn_tensor_dtype(const syn_tensor *tensor)
{
    return tensor ? (syn_dtype)tensor->dtype : SYN_BOOL;
}

syn_shape syn_tensor_shape(const syn_tensor *tensor)
{
    syn_shape shape = {0};
    if (tensor) {
        shape.ndim = tensor->ndim;
        memcpy(shape.dims, tensor->dims, (size_t)tensor->ndim * sizeof *tensor->dims);
    }
    return shape;
}

int syn_tensor_ndim(const syn_tensor *tensor)
{
    return tensor ? tensor->ndim : 0;
}

int64_t syn_tensor_size(const syn_tensor *tensor, int dim)
{
    if (!tensor)
        return 0;
    dim += dim < 0 ? tensor->ndim : 0;
    return dim >= 0 && dim < tensor->ndim ? tensor->dims[dim] : 0;
}

int64_t syn_tensor_stride(const syn_tensor *tensor, int dim)
{
    if (!tensor)
        return 0;
    dim += dim < 0 ? tensor->ndim : 0;
    return dim >= 0 && dim < tensor->ndim ? tensor->strides[dim] : 0;
}

int64_t syn_tensor_numel(const syn_tensor *tensor)
{
    return tensor ? tensor->numel : 0;
}

bool syn_tensor_is_contiguous(const syn_tensor *tensor)
{
    return tensor && syn_is_contiguous(tensor);
}

void *syn_tensor_data(const syn_tensor *tensor)
{
    return tensor ? tensor->data : NULL;
}

/* Walks the elements in row-major order; `row_major` advances by one element each. */
static void copy_elements(const syn_tensor *tensor, char *row_major, bool is_write)
{
    size_t size = syn_dtype_size((syn_dtype)tensor->dtype);
    int64_t index[SYN_MAX_DIMS] = {0};
    char *at = tensor->data;
    for (int64_t i = 0; i < tensor->numel; i++, row_major += size) {
        if (is_write)
            memcpy(at, row_major, size);
        else
            memcpy(row_major, at, size);
        for (int d = tensor->ndim - 1; d >= 0; d--) {
            at += tensor->strides[d] * (int64_t)size;
            if (++index[d] < tensor->dims[d])
                break;
            at -= tensor->strides[d] * (int64_t)size * tensor->dims[d];
            index[d] = 0;
        }
    }
}

static syn_status copy_all(const syn_tensor *tensor, void *row_major, bool is_write)
{
    if (!tensor)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "there is no tensor to %s",
                        is_write ? "write" : "read");
    if (tensor->numel == 0)
        return SYN_OK;
    if (!row_major)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "no memory was given to %s a tensor",
                        is_write ? "write" : "read");
    size_t bytes = (size_t)tensor->numel * syn_dtype_size((syn_dtype)tensor->dtype);
    if (!syn_is_contiguous(tensor))
        copy_elements(tensor, row_major, is_write);
    else if (is_write)
        memcpy(tensor->data, row_major, bytes);
    else
        memcpy(row_major, tensor->data, bytes);
    return SYN_OK;
}

syn_status syn_tensor_read(const syn_tensor *tensor, void *out)
{
    return copy_all(tensor, out, false);
}

syn_status syn_tensor_write(syn_tensor *tensor, const void *data)
{
    SYN_TRY(copy_all(tensor, (void *)(uintptr_t)data, true));
    syn_tensor_bump_version(tensor, "syn_tensor_write");
    return SYN_OK;
}

double syn_item(const syn_tensor *tensor)
{
    if (!tensor)
        return NAN;
    if (tensor->numel != 1) {
        char text[160];
        int line;
        const char *file = syn_caller_file(&line);
        syn_status status =
            SYN_FAIL(SYN_INVALID_ARGUMENT,
                     "item: %s: there are %lld elements, not one (last expression: %s:%d)",
                     syn_shape_format(text, sizeof text, tensor->ndim, tensor->dims),
                     (long long)tensor->numel, file, line);
        (void)syn_stick(status);
        return NAN;
    }
    return syn_element_get((syn_dtype)tensor->dtype, tensor->data);
}
