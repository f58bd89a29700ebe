/* What a tensor is inside: a counted handle (dtype, extents, strides) on counted storage. */
#ifndef WORKER_TENSOR_TENSOR_H
#define WORKER_TENSOR_TENSOR_H

#include <stdatomic.h>
#include <stddef.h>
#include <syncline/tensor.h>

/* A block of memory that handles share. `version` counts writes, so that the tape notices a saved
 * tensor that changed. */
typedef struct syn_storage {
    atomic_int refs;
    atomic_uint version;
    atomic_uint graph_version; /* counts the writes that the tape recorded */
    void *data;
    size_t size_bytes;
    void (*release)(void *); /* for foreign memory; NULL: `data` is ours */
    void *owner;             /* what `release` gets */
    const char *writer;      /* the operator that last wrote in place, for error sentences */
} syn_storage;

struct syn_node; /* worker/autograd/node.h */
struct syn_leaf;

struct syn_tensor {
    atomic_int refs;
    unsigned char dtype; /* syn_dtype */
    unsigned char ndim;
    bool requires_grad;
    bool is_number;         /* a Python number made 0-d: weakest in promotion */
    bool is_view;           /* shares its storage with the tensor it was taken from */
    int scope_slot;         /* where the owning thread's scope stack holds it, -1 if nowhere */
    int output_index;       /* which output of grad_fn this is */
    unsigned graph_version; /* of the storage, when this handle was made or last written through */
    void *data;           /* first element; NULL for a tensor without data (shape and dtype only) */
    syn_storage *storage; /* shared; NULL likewise */
    struct syn_node *grad_fn; /* shared; what computed it */
    struct syn_leaf *leaf;    /* owned; gradient and hook of a leaf */
    int64_t numel;
    int64_t dims[SYN_MAX_DIMS];
    int64_t strides[SYN_MAX_DIMS]; /* in elements; may be 0 (expanded) or negative */
};

/* Handles as expressions make them: owned by the innermost scope. NULL with a recorded sentence
 * when out of memory. */
syn_tensor *syn_tensor_new(syn_dtype dtype, int ndim, const int64_t *dims);
/* The same, not owned by a scope: the caller has the one reference. */
syn_tensor *syn_tensor_new_owned(syn_dtype dtype, int ndim, const int64_t *dims);
/* Shape and dtype without data, owned by the caller. */
syn_tensor *syn_tensor_new_meta(syn_dtype dtype, int ndim, const int64_t *dims);
/* A handle on foreign memory, owned by the caller; `release(owner)` runs at the end unless NULL. */
syn_tensor *syn_tensor_wrap_owned(void *data, syn_shape shape, syn_dtype dtype,
                                  void (*release)(void *), void *owner);
/* Another handle on the same elements, without autograd state, owned by the caller. */
syn_tensor *syn_tensor_alias(const syn_tensor *tensor);
/* A handle on base's storage: `offset` in elements from base's first element; owned by the caller.
 */
syn_tensor *syn_tensor_view_of(const syn_tensor *base, int ndim, const int64_t *dims,
                               const int64_t *strides, int64_t offset);
/* A 0-d tensor that promotes as a Python number; scope-owned. */
syn_tensor *syn_number(double value, syn_dtype dtype);
/* Gives the caller's reference to the innermost scope and returns the tensor; NULL (and unref'd) if
 * there is no memory. */
syn_tensor *syn_scope_take(syn_tensor *tensor);

/* One reference for the caller: the innermost scope's if that owns the tensor, else one more. */
syn_tensor *syn_keep_innermost(syn_tensor *tensor);

/* Checks extents and overflow; fills numel. Records a sentence naming the shape. */
syn_status syn_shape_check(int ndim, const int64_t *dims, syn_dtype dtype, int64_t *numel_out);
bool syn_is_contiguous(const syn_tensor *tensor);
/* "(64, 3)" into `buffer`, which is returned; long ones end in "...". */
char *syn_shape_format(char *buffer, size_t size, int ndim, const int64_t *dims);

static inline bool syn_is_floating(const syn_tensor *tensor)
{
    return syn_dtype_get_kind((syn_dtype)tensor->dtype) >= SYN_KIND_FLOAT;
}

static inline bool syn_same_shape(const syn_tensor *a, const syn_tensor *b)
{
    if (a->ndim != b->ndim)
        return false;
    for (int d = 0; d < a->ndim; d++)
        if (a->dims[d] != b->dims[d])
            return false;
    return true;
}

static inline unsigned syn_tensor_version(const syn_tensor *tensor)
{
    return tensor->storage ? atomic_load_explicit(&tensor->storage->version, memory_order_relaxed)
                           : 0;
}

/* Says that the elements were overwritten, by the operator of that (static) name. */
static inline void syn_tensor_bump_version(syn_tensor *tensor, const char *writer)
{
    if (!tensor->storage)
        return;
    tensor->storage->writer = writer;
    atomic_fetch_add_explicit(&tensor->storage->version, 1, memory_order_relaxed);
}

/* Sticks the thread's recorded sentence (syn_fail) as the error of expressions, with that status.
 * Returns NULL. */
syn_tensor *syn_stick(syn_status status);
/* How many expressions have failed on this thread; grows with every syn_stick. */
unsigned long syn_stick_count(void);
/* "net.c:14" or "" where the caller is unknown. */
const char *syn_caller_file(int *line_out);

/* Run by syn_finish after the outermost scope ended (MPI's end, if syn_init_mpi began it); NULL for
 * nothing. */
extern void (*syn_finish_hook)(void);

/* Autograd's release of grad_fn and leaf, installed when the program loads (the rooms below do not
 * know it). */
extern void (*syn_tensor_release_autograd)(syn_tensor *tensor);
/* The name of the operator that computed the tensor, set likewise. */
extern const char *(*syn_tensor_grad_name)(const syn_tensor *tensor);

#endif
