/* Tensors: typed, strided views of shared storage, owned by scopes; and the sticky error of
 * expressions. */
#ifndef SYNCLINE_TENSOR_H
#define SYNCLINE_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <syncline/dtype.h>
#include <syncline/status.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { SYN_MAX_DIMS = 16 };

typedef struct syn_tensor syn_tensor;

/* The extents of a tensor; ndim 0 is a scalar. Extents may be 0. */
typedef struct syn_shape {
    int ndim;
    int64_t dims[SYN_MAX_DIMS];
} syn_shape;

/* SYN_SHAPE(2, 3) */
#define SYN_SHAPE(...) \
    ((syn_shape){(int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), {__VA_ARGS__}})
#define SYN_SCALAR ((syn_shape){0, {0}})

/* ---- Scopes ----
 * Every expression returns a tensor owned by the innermost open scope of the thread (there always
 * is one: the outermost ends with syn_finish). Ending a scope releases what it owns. */

/* SYN_SCOPE { ... }: a block whose tensors are released at its end. Leave it by running off its
 * end, `continue`d once at most, `break` or `return` (the cleanup attribute ends the scope in each
 * case). */
#define SYN_SCOPE \
    SYN_SCOPE_NAMED(SYN_JOIN(syn_scope_guard_, __LINE__), SYN_JOIN(syn_scope_once_, __LINE__))
#define SYN_SCOPE_NAMED(guard, once)                                                          \
    for (int guard __attribute__((cleanup(syn_scope_cleanup))) = syn_scope_begin(), once = 1; \
         once; once = 0)
/* Names of their own, so that nested blocks do not shadow each other. */
#define SYN_JOIN(a, b)  SYN_JOIN_(a, b)
#define SYN_JOIN_(a, b) a##b

int syn_scope_begin(void);
/* Ends the scope `depth` that syn_scope_begin returned, and those opened inside it. */
void syn_scope_end(int depth);
void syn_scope_cleanup(int *depth);
/* Takes a tensor out of its scope: the caller owns one reference (syn_tensor_unref). Returns
 * `tensor`; NULL stays NULL. */
syn_tensor *syn_keep(syn_tensor *tensor);

/* One more reference, or one less; the last frees. NULL is accepted. Thread-safe. */
syn_tensor *syn_tensor_ref(syn_tensor *tensor);
void syn_tensor_unref(syn_tensor *tensor);

/* ---- Errors of expressions ----
 * A failing expression returns NULL and the thread's *first* sentence sticks until syn_clear_error.
 * Expressions given NULL return NULL and record nothing. */
bool syn_failed(void);
/* The sticky sentence, "" if none. Borrowed. */
const char *syn_error(void);
syn_status syn_error_status(void);
void syn_clear_error(void);
/* Prints the first error, if any, to standard error, ends the outermost scope (and MPI if
 * syn_init_mpi began it), and returns the exit code: 0 or 1. */
int syn_finish(void);

/* Where the calling expression stands in the user's source; the macros of ops.h set it. */
void syn_set_caller(const char *file, int line);
#define SYN_AT(call) (syn_set_caller(__FILE__, __LINE__), (call))

/* ---- Making tensors ---- */
syn_tensor *syn_empty(syn_shape shape, syn_dtype dtype); /* contents undefined */
syn_tensor *syn_zeros(syn_shape shape, syn_dtype dtype);
syn_tensor *syn_ones(syn_shape shape, syn_dtype dtype);
syn_tensor *syn_full(syn_shape shape, double value, syn_dtype dtype);
syn_tensor *syn_scalar(double value, syn_dtype dtype);
/* 0, 1, ... n-1 */
syn_tensor *syn_arange(int64_t n, syn_dtype dtype);
/* Copies row-major elements of `dtype` from `data`. */
syn_tensor *syn_from_data(const void *data, syn_shape shape, syn_dtype dtype);
/* Wraps the caller's row-major memory without copying; it must outlive the tensor. `release(data)`
 * is called at the end unless NULL. */
syn_tensor *syn_wrap_data(void *data, syn_shape shape, syn_dtype dtype, void (*release)(void *));

/* ---- Looking at tensors (never fail; NULL gives 0/NULL) ---- */
syn_dtype syn_tensor_dtype(const syn_tensor *tensor);
syn_shape syn_tensor_shape(const syn_tensor *tensor);
int syn_tensor_ndim(const syn_tensor *tensor);
/* Extent of axis `dim`; negative counts from the end. */
int64_t syn_tensor_size(const syn_tensor *tensor, int dim);
/* Stride of axis `dim` in elements. */
int64_t syn_tensor_stride(const syn_tensor *tensor, int dim);
int64_t syn_tensor_numel(const syn_tensor *tensor);
bool syn_tensor_is_contiguous(const syn_tensor *tensor);
/* The first element. Elements lie at sum(index[i] * stride[i]). Writing through it bypasses the
 * version check. */
void *syn_tensor_data(const syn_tensor *tensor);
/* Copies all elements in row-major order to `out` (numel * dtype size bytes). */
syn_status syn_tensor_read(const syn_tensor *tensor, void *out);
/* Overwrites all elements from row-major `data` of the tensor's dtype. Not differentiable; bumps
 * the version. */
syn_status syn_tensor_write(syn_tensor *tensor, const void *data);
/* The single element as a double; records an error and returns NaN if there is not exactly one. */
double syn_item(const syn_tensor *tensor);
/* Prints as PyTorch does: tensor([[1., 2.], [3., 4.]]), summarised past 1000 elements. */
void syn_print(const syn_tensor *tensor);
void syn_tensor_print(const syn_tensor *tensor, FILE *out);

#ifdef __cplusplus
}
#endif
#endif
