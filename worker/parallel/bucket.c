/* Planning and making buckets. */
#include "worker/parallel/bucket.h"

#include "worker/tensor/tensor.h"

#include <string.h>
#include <syncline/autograd.h>

/* Gradients begin at multiples of this, so that vector kernels see aligned memory. */
enum { ALIGN_BYTES = 64 };

int syn_bucket_plan(const size_t *size_bytes, const syn_dtype *dtypes, int n, size_t first_limit,
                    size_t limit, int *bucket_out)
{
    int bucket = 0;
    size_t filled = 0;

    for (int i = n - 1; i >= 0; i--) {
        bool is_full = filled >= (bucket == 0 ? first_limit : limit);
        bool is_other_type = i < n - 1 && dtypes[i] != dtypes[i + 1];
        if (i < n - 1 && (is_full || is_other_type)) {
            bucket++;
            filled = 0;
        }
        bucket_out[i] = bucket;
        filled += size_bytes[i];
    }
    return n > 0 ? bucket + 1 : 0;
}

/* Takes the list over: names, references, buckets. */
static syn_status copy_parameters(syn_buckets *buckets, syn_parameters parameters,
                                  size_t first_limit, size_t limit)
{
    size_t n = (size_t)parameters.n;
    size_t *size_bytes = syn_calloc(n, sizeof *size_bytes);
    syn_dtype *dtypes = syn_calloc(n, sizeof *dtypes);
    int *bucket = syn_calloc(n, sizeof *bucket);
    syn_status status = SYN_OK;

    buckets->parameters = syn_calloc(n, sizeof *buckets->parameters);
    if (!size_bytes || !dtypes || !bucket || !buckets->parameters) {
        status = syn_fail_memory(n * sizeof *buckets->parameters, "the list of parameters");
        goto out;
    }
    for (int i = 0; i < parameters.n; i++) {
        const syn_named_tensor *item = &parameters.items[i];
        dtypes[i] = syn_tensor_dtype(item->tensor);
        size_bytes[i] = (size_t)syn_tensor_numel(item->tensor) * syn_dtype_size(dtypes[i]);
        if (dtypes[i] != SYN_F32 && dtypes[i] != SYN_F64) {
            status =
                SYN_FAIL(SYN_UNIMPLEMENTED,
                         "parameter %s is %s; gradients of f32 and f64 can be summed over ranks",
                         item->name, syn_dtype_name(dtypes[i]));
            goto out;
        }
        const char *name = syn_arena_strdup(&buckets->names, item->name);
        if (!name) {
            status = syn_fail_memory(strlen(item->name), "the name of a parameter");
            goto out;
        }
        buckets->parameters[buckets->n_parameters++] =
            (syn_bucket_parameter){.name = name, .tensor = syn_tensor_ref(item->tensor)};
    }
    buckets->n = syn_bucket_plan(size_bytes, dtypes, parameters.n, first_limit, limit, bucket);
    for (int i = 0; i < parameters.n; i++)
        buckets->parameters[i].bucket = bucket[i];
out:
    syn_free(size_bytes);
    syn_free(dtypes);
    syn_free(bucket);
    return status;
}

/* Places the gradients, those that are ready first in front. */
static syn_status place_gradients(syn_buckets *buckets)
{
    buckets->items = syn_calloc((size_t)buckets->n, sizeof *buckets->items);
    if (!buckets->items)
        return syn_fail_memory((size_t)buckets->n * sizeof *buckets->items, "gradient buckets");
    for (int i = buckets->n_parameters - 1; i >= 0; i--) {
        syn_bucket_parameter *p = &buckets->parameters[i];
        syn_bucket *bucket = &buckets->items[p->bucket];
        bucket->dtype = syn_tensor_dtype(p->tensor);
        int64_t align = ALIGN_BYTES / (int64_t)syn_dtype_size(bucket->dtype);
        p->offset = (bucket->n_elements + align - 1) / align * align;
        bucket->n_elements = p->offset + syn_tensor_numel(p->tensor);
        bucket->n_parameters++;
        bucket->n_pending++;
        bucket->first_name = p->name; /* in the end the one registered first */
    }
    for (int b = 0; b < buckets->n; b++) {
        syn_bucket *bucket = &buckets->items[b];
        bucket->label =
            syn_arena_printf(&buckets->names, "bucket %d (%s)", b + 1, bucket->first_name);
        if (!bucket->label)
            return syn_fail_memory(strlen(bucket->first_name), "the name of a bucket");
    }
    return SYN_OK;
}

/* A tensor that gives the memory back at its end. */
static syn_tensor *wrap_memory(void *memory, int64_t n, syn_dtype dtype)
{
    syn_tensor *flat = NULL;
    int depth = syn_scope_begin();
    flat = syn_keep(syn_wrap_data(memory, SYN_SHAPE(n), dtype, syn_comm_dealloc));
    syn_scope_end(depth);
    return flat;
}

static syn_status set_gradients(syn_buckets *buckets)
{
    for (int i = 0; i < buckets->n_parameters; i++) {
        syn_bucket_parameter *p = &buckets->parameters[i];
        syn_shape shape = syn_tensor_shape(p->tensor);
        int64_t strides[SYN_MAX_DIMS], stride = 1;
        for (int d = shape.ndim - 1; d >= 0; d--) {
            strides[d] = stride;
            stride *= shape.dims[d];
        }
        syn_tensor *view = syn_tensor_view_of(buckets->items[p->bucket].flat, shape.ndim,
                                              shape.dims, strides, p->offset);
        if (!view)
            return syn_fail_memory(sizeof *view, "a view of a gradient bucket");
        syn_status status = syn_set_grad(p->tensor, view);
        syn_tensor_unref(view);
        if (status != SYN_OK)
            return syn_fail_context(status, "parameter %s", p->name);
    }
    return SYN_OK;
}

syn_status syn_buckets_init(syn_buckets *buckets, syn_parameters parameters, size_t first_limit,
                            size_t limit)
{
    *buckets = (syn_buckets){0};
    if (parameters.n <= 0)
        return SYN_FAIL(SYN_INVALID_ARGUMENT,
                        "a module without parameters cannot be made data parallel");
    syn_status status;
    SYN_GOTO(copy_parameters(buckets, parameters, first_limit, limit));
    SYN_GOTO(place_gradients(buckets));
    return SYN_OK;
out:
    syn_buckets_release(buckets);
    return status;
}

syn_status syn_buckets_allocate(syn_buckets *buckets, syn_comm *comm)
{
    syn_status status = SYN_OK;

    for (int b = 0; b < buckets->n; b++) {
        syn_bucket *bucket = &buckets->items[b];
        int64_t n = bucket->n_elements + (b == buckets->n - 1 ? SYN_BUCKET_EXTRAS : 0);
        size_t bytes = (size_t)n * syn_dtype_size(bucket->dtype);
        void *memory;
        SYN_TRY(syn_comm_alloc(comm, bytes ? bytes : ALIGN_BYTES, &memory));
        bucket->flat = wrap_memory(memory, n, bucket->dtype);
        if (!bucket->flat) /* the others go on allocating */
            status = syn_error_status();
    }
    return status == SYN_OK ? set_gradients(buckets) : status;
}

void syn_buckets_release(syn_buckets *buckets)
{
    for (int i = 0; i < buckets->n_parameters; i++)
        syn_tensor_unref(buckets->parameters[i].tensor);
    for (int b = 0; buckets->items && b < buckets->n; b++)
        syn_tensor_unref(buckets->items[b].flat);
    syn_free(buckets->parameters);
    syn_free(buckets->items);
    syn_arena_release(&buckets->names);
    *buckets = (syn_buckets){0};
}

void syn_bucket_scale(syn_bucket *bucket, double factor)
{
    void *data = syn_tensor_data(bucket->flat);
    if (syn_tensor_dtype(bucket->flat) == SYN_F64) {
        double *x = data; /* (n_elements) */
        for (int64_t i = 0; i < bucket->n_elements; i++)
            x[i] *= factor;
    } else {
        float *x = data; /* (n_elements) */
        for (int64_t i = 0; i < bucket->n_elements; i++)
            x[i] = (float)((double)x[i] * factor);
    }
}

void syn_bucket_set_extra(syn_bucket *bucket, int index, double value)
{
    void *data = syn_tensor_data(bucket->flat);
    if (syn_tensor_dtype(bucket->flat) == SYN_F64)
        ((double *)data)[bucket->n_elements + index] = value;
    else
        ((float *)data)[bucket->n_elements + index] = (float)value;
}

double syn_bucket_get_extra(const syn_bucket *bucket, int index)
{
    const void *data = syn_tensor_data(bucket->flat);
    if (syn_tensor_dtype(bucket->flat) == SYN_F64)
        return ((const double *)data)[bucket->n_elements + index];
    return (double)((const float *)data)[bucket->n_elements + index];
}
