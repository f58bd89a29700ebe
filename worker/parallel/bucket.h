/* Gradient buckets: flat buffers that the parameters' gradients are views of. */
#ifndef WORKER_PARALLEL_BUCKET_H
#define WORKER_PARALLEL_BUCKET_H

#include "common/base/mem.h"
#include "worker/comm/comm.h"

#include <syncline/nn.h>

/* A parameter of the module, in registration order. */
typedef struct syn_bucket_parameter {
    const char *name;   /* in the arena */
    syn_tensor *tensor; /* shared */
    int bucket;
    int64_t offset; /* of its gradient in the bucket, in elements */
} syn_bucket_parameter;

typedef struct syn_bucket {
    syn_tensor *flat; /* owned; one dimension; NULL before it is allocated */
    syn_dtype dtype;
    int64_t n_elements; /* gradients and the gaps that align them, without the extras */
    int n_parameters;
    int n_pending;          /* parameters whose gradient is not ready in this step */
    const char *label;      /* in the arena: "bucket 3 (conv4.weight)", from 1 */
    const char *first_name; /* in the arena */
    unsigned version;       /* of the storage right after the last reduction */
    syn_comm_work work;
} syn_bucket;

typedef struct syn_buckets {
    syn_bucket_parameter *parameters; /* owned */
    int n_parameters;
    syn_bucket *items; /* owned; in launch order */
    int n;
    syn_arena names;
} syn_buckets;

/* Numbers after the gradients of the last bucket: how many ranks failed in the step, and the sum of
 * (their rank + 1). */
enum { SYN_BUCKET_EXTRAS = 2 };

/* Which bucket each of n parameters (in registration order) belongs to: from the last parameter to
 * the first, a bucket is full once it has reached its limit, and holds one dtype. Pure, so that all
 * ranks plan the same. Returns the number of buckets. */
int syn_bucket_plan(const size_t *size_bytes, const syn_dtype *dtypes, int n, size_t first_limit,
                    size_t limit, int *bucket_out);

/* Plans the buckets of these parameters, f32 and f64 only. Limits in bytes. Nothing is allocated
 * for gradients yet. */
syn_status syn_buckets_init(syn_buckets *buckets, syn_parameters parameters, size_t first_limit,
                            size_t limit);
/* Allocates the buckets, zeroed, and sets the parameters' gradients to views of them. The same plan
 * on all ranks. A failure may be this rank's alone: agree afterwards. Collective. */
syn_status syn_buckets_allocate(syn_buckets *buckets, syn_comm *comm);
/* Drops the buffers; the gradients that are views of them keep them alive while they are in use. */
void syn_buckets_release(syn_buckets *buckets);

/* Multiplies the bucket's gradients by a number. */
void syn_bucket_scale(syn_bucket *bucket, double factor);
void syn_bucket_set_extra(syn_bucket *bucket, int index, double value);
double syn_bucket_get_extra(const syn_bucket *bucket, int index);

#endif
