/* Data sets: what a job's `data:` section names, opened once per rank and read by sample index. */
#ifndef WORKER_DATA_DATASET_H
#define WORKER_DATA_DATASET_H

#include "common/format/job_spec.h"

#include <stdbool.h>
#include <stdint.h>
#include <syncline/status.h>
#include <syncline/tensor.h>

typedef struct syn_dataset syn_dataset;

/* The part of the data set that samples are taken from: `test` is the validation part of a text. */
typedef enum syn_split { SYN_SPLIT_TRAIN, SYN_SPLIT_TEST } syn_split;

/* What a model and a manifest need to know. All of it is equal on ranks that see the same files.
 *   images (digits, idx): sample i is image i, x (1, height, width) of the job's dtype, (pixel /
 * 255 - mean) / std; y one label. text: x and y are `block` tokens, y one further on. A training
 * sample is named by the offset of its first token (0 <= i < n_train = tokens - block); test sample
 * i starts at token i * block (windows that do not overlap). */
typedef struct syn_dataset_info {
    syn_data_kind kind;
    int64_t n_train, n_test; /* valid sample indices are 0..n-1 */
    int64_t
        epoch_samples; /* samples of one epoch: n_train, or the windows that cover the text once */
    syn_shape x_shape; /* of one sample: (1, h, w) or (block) */
    syn_dtype x_dtype; /* f32 or f64 for images, u8 for tokens */
    int64_t n_targets; /* i64 targets of one sample: 1 or block */
    int64_t n_classes; /* classes or vocabulary */
    double mean, std;  /* images: of the first training pixels, scaled to 0..1 */
    uint8_t vocabulary[256]; /* text: the byte of each token */
    int64_t augment_shift;   /* pixels; 0: none */
    char fingerprint[65];    /* SHA-256 in hexadecimal of what identifies the data */
} syn_dataset_info;

/* Opens the data of a job. Errors: one sentence with the path and the numbers. Free with
 * syn_dataset_free. */
syn_status syn_dataset_open(const syn_job_spec *spec, syn_dataset **dataset_out);
void syn_dataset_free(syn_dataset *dataset);
/* Borrowed from the data set. */
const syn_dataset_info *syn_dataset_get_info(const syn_dataset *dataset);

/* Room for the samples of one batch, owned by the caller of syn_batch_init. Wrap it as tensors
 * without copying: x of shape (n, x_shape...) and x_dtype; y of shape (n) or (n, block) and i64. */
typedef struct syn_batch {
    int64_t n, capacity; /* samples in it; samples it has room for */
    void *x;             /* owned: x_dtype */
    int64_t *y;          /* owned */
    size_t x_bytes;      /* of one sample */
    int64_t n_targets;   /* of one sample */
    /* Filled by the prefetcher: which batch this is. */
    int64_t step, epoch; /* the global step; epoch of it */
    int64_t n_global;    /* samples of the global batch, over all ranks */
    int64_t first;       /* where this rank's slice begins in the global batch */
} syn_batch;

syn_status syn_batch_init(syn_batch *batch, const syn_dataset *dataset, int64_t capacity);
void syn_batch_release(syn_batch *batch);

typedef struct syn_batch_request {
    syn_split split;
    const int64_t *samples; /* borrowed: n sample indices */
    int64_t n;              /* at most the batch's capacity; may be 0 */
    bool augment; /* shift images at random by info.augment_shift, keyed by (augment_key, sample) */
    uint64_t augment_key; /* syn_random_key(seed, epoch) */
} syn_batch_request;

/* Reads the samples in the order given. Pure in (data set, request) and safe to call from several
 * threads. */
syn_status syn_dataset_batch(const syn_dataset *dataset, const syn_batch_request *request,
                             syn_batch *batch);

#endif
