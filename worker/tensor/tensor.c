/* Handles and storage: making, viewing, counting and releasing tensors. */
#include "worker/tensor/tensor.h"

#include "common/base/mem.h"
#include "worker/tensor/block.h"
#include "worker/tensor/thread.h"

#include <stdint.h>
#include <string.h>

enum {
    STORAGE_HEADER = 64, /* so that data behind it is aligned */
    INLINE_BYTES = 4096, /* up to here data lies behind its header, in one block */
};
_Static_assert(sizeof(syn_storage) <= STORAGE_HEADER, "the header has to fit before the data");

void (*syn_tensor_release_autograd)(syn_tensor *tensor);
const char *(*syn_tensor_grad_name)(const syn_tensor *tensor);

/* ---- Storage ---- */

static syn_storage *storage_new(size_t size)
{
    syn_storage *storage;
    if (size <= INLINE_BYTES) {
        storage = syn_block_alloc(STORAGE_HEADER + size);
        if (!storage)
            return NULL;
        storage->data = (char *)storage + STORAGE_HEADER;
    } else {
        storage = syn_block_alloc(STORAGE_HEADER);
        if (!storage)
            return NULL;
        storage->data = syn_block_alloc(size);
        if (!storage->data) {
            syn_block_free(storage, STORAGE_HEADER);
            return NULL;
        }
    }
    atomic_init(&storage->refs, 1);
    atomic_init(&storage->version, 0);
    atomic_init(&storage->graph_version, 0);
    storage->size_bytes = size;
    storage->release = NULL;
    storage->owner = NULL;
    storage->writer = NULL;
    return storage;
}

static void storage_unref(syn_storage *storage)
{
    if (atomic_fetch_sub_explicit(&storage->refs, 1, memory_order_acq_rel) != 1)
        return;
    /* A block of its own, or foreign memory, may happen to follow the header. */
    if (storage->data == (char *)storage + STORAGE_HEADER && storage->size_bytes <= INLINE_BYTES &&
        !storage->release) {
        syn_block_free(storage, STORAGE_HEADER + storage->size_bytes);
        return;
    }
    if (storage->release)
        storage->release(storage->owner);
    else if (storage->size_bytes)
        syn_block_free(storage->data, storage->size_bytes);
    syn_block_free(storage, STORAGE_HEADER);
}

/* ---- Handles ---- */

static syn_tensor *handle_new(syn_dtype dtype, int ndim, const int64_t *dims)
{
    syn_tensor *tensor = syn_block_alloc(sizeof *tensor);
    if (!tensor) {
        (void)syn_fail_memory(sizeof *tensor, "a tensor");
        return NULL;
    }
    atomic_init(&tensor->refs, 1);
    tensor->dtype = (unsigned char)dtype;
    tensor->ndim = (unsigned char)ndim;
    tensor->requires_grad = tensor->is_number = tensor->is_view = false;
    tensor->scope_slot = -1;
    tensor->output_index = 0;
    tensor->graph_version = 0;
    tensor->data = NULL;
    tensor->storage = NULL;
    tensor->grad_fn = NULL;
    tensor->leaf = NULL;
    int64_t numel = 1;
    for (int d = ndim - 1; d >= 0; d--) {
        tensor->dims[d] = dims[d];
        tensor->strides[d] = numel;
        numel *= dims[d] > 0 ? dims[d] : 1;
    }
    for (int d = 0; d < ndim; d++)
        if (dims[d] == 0)
            numel = 0;
    tensor->numel = numel;
    return tensor;
}

syn_tensor *syn_tensor_new_meta(syn_dtype dtype, int ndim, const int64_t *dims)
{
    return handle_new(dtype, ndim, dims);
}

syn_tensor *syn_tensor_new_owned(syn_dtype dtype, int ndim, const int64_t *dims)
{
    int64_t numel;
    if (syn_shape_check(ndim, dims, dtype, &numel) != SYN_OK)
        return NULL;
    syn_tensor *tensor = handle_new(dtype, ndim, dims);
    if (!tensor)
        return NULL;
    size_t bytes = (size_t)numel * syn_dtype_size(dtype);
    tensor->storage = storage_new(bytes);
    if (!tensor->storage) {
        (void)syn_fail_memory(bytes, "a tensor's elements");
        syn_tensor_unref(tensor);
        return NULL;
    }
    tensor->data = tensor->storage->data;
    return tensor;
}

syn_tensor *syn_tensor_new(syn_dtype dtype, int ndim, const int64_t *dims)
{
    syn_tensor *tensor = syn_tensor_new_owned(dtype, ndim, dims);
    return tensor ? syn_scope_take(tensor) : NULL;
}

syn_tensor *syn_tensor_wrap_owned(void *data, syn_shape shape, syn_dtype dtype,
                                  void (*release)(void *), void *owner)
{
    int64_t numel;
    if (syn_shape_check(shape.ndim, shape.dims, dtype, &numel) != SYN_OK)
        return NULL;
    syn_tensor *tensor = handle_new(dtype, shape.ndim, shape.dims);
    if (!tensor)
        return NULL;
    syn_storage *storage = syn_block_alloc(STORAGE_HEADER);
    if (!storage) {
        (void)syn_fail_memory(STORAGE_HEADER, "a tensor's storage");
        syn_tensor_unref(tensor);
        return NULL;
    }
    atomic_init(&storage->refs, 1);
    atomic_init(&storage->version, 0);
    atomic_init(&storage->graph_version, 0);
    storage->data = data;
    storage->size_bytes = 0; /* not ours to free */
    storage->release = release;
    storage->owner = owner;
    storage->writer = NULL;
    tensor->storage = storage;
    tensor->data = data;
    return tensor;
}

syn_tensor *syn_tensor_view_of(const syn_tensor *base, int ndim, const int64_t *dims,
                               const int64_t *strides, int64_t offset)
{
    syn_tensor *tensor = handle_new((syn_dtype)base->dtype, ndim, dims);
    if (!tensor)
        return NULL;
    memcpy(tensor->strides, strides, (size_t)ndim * sizeof *strides);
    if (base->storage) {
        tensor->storage = base->storage;
        tensor->graph_version =
            atomic_load_explicit(&base->storage->graph_version, memory_order_relaxed);
        atomic_fetch_add_explicit(&base->storage->refs, 1, memory_order_relaxed);
        tensor->data =
            (char *)base->data + offset * (int64_t)syn_dtype_size((syn_dtype)base->dtype);
    }
    tensor->is_view = true;
    return tensor;
}

syn_tensor *syn_tensor_alias(const syn_tensor *tensor)
{
    syn_tensor *alias = syn_tensor_view_of(tensor, tensor->ndim, tensor->dims, tensor->strides, 0);
    if (alias) {
        alias->is_view = tensor->is_view;
        alias->is_number = tensor->is_number;
    }
    return alias;
}

syn_tensor *syn_tensor_ref(syn_tensor *tensor)
{
    if (tensor)
        atomic_fetch_add_explicit(&tensor->refs, 1, memory_order_relaxed);
    return tensor;
}

void syn_tensor_unref(syn_tensor *tensor)
{
    if (!tensor)
        return;
    if (atomic_load_explicit(&tensor->refs, memory_order_acquire) != 1 &&
        atomic_fetch_sub_explicit(&tensor->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (tensor->grad_fn || tensor->leaf)
        syn_tensor_release_autograd(tensor);
    if (tensor->storage)
        storage_unref(tensor->storage);
    syn_block_free(tensor, sizeof *tensor);
}
