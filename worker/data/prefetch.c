/* The prefetcher: one thread fills a ring of batches, the caller empties it. */
#include "worker/data/prefetch.h"

#include "common/base/mem.h"

#include <pthread.h>
#include <string.h>

enum { DEPTH_MAX = 64, MESSAGE_MAX = 1024 };

struct syn_prefetch {
    const syn_dataset *dataset;   /* borrowed */
    syn_prefetch_options options; /* `weights` points to our copy */
    int64_t *weights;             /* owned */
    syn_sampler sampler;          /* of the thread */
    int64_t *samples;             /* owned, of the thread */
    syn_batch *ring;              /* owned: depth + 1, one of which the caller may be reading */
    int n_ring;
    pthread_t thread;
    bool is_started;

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    int64_t n_filled, n_taken, n_returned; /* counts since the start */
    bool stop;
    syn_status status; /* of the thread; the sentence is in `message` */
    char message[MESSAGE_MAX];
};

static syn_slice_range slice_of(const syn_prefetch *p, int64_t n)
{
    const syn_prefetch_options *o = &p->options;

    if (o->n_shards > 0) {
        int64_t first = syn_slice_even(n, o->first_shard, o->n_shards).first;
        int64_t end = syn_slice_even(n, o->first_shard + o->n_own_shards, o->n_shards).first;
        return (syn_slice_range){.first = first, .n = end - first};
    }
    return o->weights ? syn_slice_weighted(n, o->rank, o->weights, o->size)
                      : syn_slice_even(n, o->rank, o->size);
}

static syn_status fill(syn_prefetch *p, int64_t step, syn_batch *batch)
{
    int64_t n_global = syn_sampler_batch_n(&p->sampler, step);
    syn_slice_range slice = slice_of(p, n_global);

    SYN_TRY(syn_sampler_indices(&p->sampler, step, slice.first, slice.n, p->samples));
    SYN_TRY(syn_dataset_batch(p->dataset,
                              &(syn_batch_request){
                                  .split = SYN_SPLIT_TRAIN,
                                  .samples = p->samples,
                                  .n = slice.n,
                                  .augment = p->options.augment,
                                  .augment_key = syn_sampler_augment_key(&p->sampler, step),
                              },
                              batch));
    batch->step = step;
    batch->epoch = syn_sampler_epoch_of(&p->sampler, step);
    batch->n_global = n_global;
    batch->first = slice.first;
    return SYN_OK;
}

/* Waits for a free place in the ring; false when there is nothing more to do. */
static bool wait_for_room(syn_prefetch *p, int64_t step)
{
    if (p->options.last_step && step >= p->options.last_step)
        return false;
    (void)pthread_mutex_lock(&p->mutex);
    while (!p->stop && p->n_filled - p->n_returned >= p->n_ring)
        (void)pthread_cond_wait(&p->changed, &p->mutex);
    bool go_on = !p->stop;
    (void)pthread_mutex_unlock(&p->mutex);
    return go_on;
}

static void *run(void *argument)
{
    syn_prefetch *p = argument;

    for (int64_t i = 0; wait_for_room(p, p->options.first_step + i); i++) {
        syn_status status = fill(p, p->options.first_step + i, &p->ring[i % p->n_ring]);

        (void)pthread_mutex_lock(&p->mutex);
        if (status == SYN_OK) {
            p->n_filled++;
        } else {
            p->status = status;
            (void)snprintf(p->message, sizeof p->message, "%s", syn_error_message());
        }
        (void)pthread_cond_broadcast(&p->changed);
        (void)pthread_mutex_unlock(&p->mutex);
        if (status != SYN_OK)
            break;
    }
    return NULL;
}

static syn_status check_options(const syn_prefetch_options *o)
{
    int64_t total = 0;

    if (o->n_shards > 0 && (o->first_shard < 0 || o->n_own_shards < 0 ||
                            o->n_own_shards > o->n_shards - o->first_shard))
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "there are no shards %lld to %lld of %lld",
                        (long long)o->first_shard,
                        (long long)(o->first_shard + o->n_own_shards - 1), (long long)o->n_shards);
    if (o->size < 1 || o->rank < 0 || o->rank >= o->size)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "there is no rank %d of %d", o->rank, o->size);
    if (o->first_step < 0 || o->depth < 0 || o->depth > DEPTH_MAX)
        return SYN_FAIL(
            SYN_INVALID_ARGUMENT,
            "prefetching from step %lld, %d deep: steps begin at 0, depth is at most %d",
            (long long)o->first_step, o->depth, DEPTH_MAX);
    for (int i = 0; o->weights && i < o->size; i++) {
        if (o->weights[i] < 0)
            return SYN_FAIL(SYN_INVALID_ARGUMENT, "rank %d has the negative share %lld", i,
                            (long long)o->weights[i]);
        total += o->weights[i];
    }
    if (o->weights && total == 0)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "the shares of all %d ranks are 0", o->size);
    return SYN_OK;
}

static syn_status allocate(syn_prefetch *p)
{
    const syn_prefetch_options *o = &p->options;

    if (o->weights) {
        p->weights = syn_malloc((size_t)o->size * sizeof *p->weights);
        if (!p->weights)
            return syn_fail_memory((size_t)o->size * sizeof *p->weights, "a prefetcher");
        memcpy(p->weights, o->weights, (size_t)o->size * sizeof *p->weights);
        p->options.weights = p->weights;
    }
    /* One more than the even or weighted share: rounding moves with the size of the last batch. */
    int64_t most = slice_of(p, o->batch_size).n + 1;
    int n_ring = (o->depth ? o->depth : 2) + 1;
    p->samples = syn_malloc((size_t)most * sizeof *p->samples);
    p->ring = syn_calloc((size_t)n_ring, sizeof *p->ring);
    if (!p->samples || !p->ring)
        return syn_fail_memory((size_t)most * sizeof *p->samples, "a prefetcher");
    for (p->n_ring = 0; p->n_ring < n_ring; p->n_ring++)
        SYN_TRY(syn_batch_init(&p->ring[p->n_ring], p->dataset, most));
    return SYN_OK;
}

syn_status syn_prefetch_new(const syn_dataset *dataset, const syn_prefetch_options *options,
                            syn_prefetch **prefetch_out)
{
    syn_status status = SYN_OK;

    SYN_TRY(check_options(options));
    syn_prefetch *p = syn_calloc(1, sizeof *p);
    if (!p)
        return syn_fail_memory(sizeof *p, "a prefetcher");
    p->dataset = dataset;
    p->options = *options;
    (void)pthread_mutex_init(&p->mutex, NULL);
    (void)pthread_cond_init(&p->changed, NULL);
    SYN_GOTO(syn_sampler_init(&p->sampler, dataset, options->seed, options->batch_size));
    SYN_GOTO(allocate(p));
    int error = pthread_create(&p->thread, NULL, run, p);
    if (error)
        SYN_GOTO(SYN_FAIL(SYN_RESOURCE_EXHAUSTED, "cannot start the prefetching thread: %s",
                          strerror(error)));
    p->is_started = true;
    *prefetch_out = p;
    return SYN_OK;
out:
    syn_prefetch_free(p);
    return status;
}

syn_status syn_prefetch_next(syn_prefetch *p, const syn_batch **batch_out)
{
    syn_status status = SYN_OK;

    (void)pthread_mutex_lock(&p->mutex);
    p->n_returned = p->n_taken; /* the batch of the last call */
    (void)pthread_cond_broadcast(&p->changed);
    int64_t step = p->options.first_step + p->n_taken;
    if (p->options.last_step && step >= p->options.last_step) {
        status = SYN_FAIL(SYN_OUT_OF_RANGE, "there is no batch for step %lld: the last is %lld",
                          (long long)step, (long long)p->options.last_step - 1);
        goto out;
    }
    while (p->n_filled == p->n_taken && p->status == SYN_OK)
        (void)pthread_cond_wait(&p->changed, &p->mutex);
    if (p->n_filled == p->n_taken) {
        status = SYN_FAIL(p->status, "%s", p->message);
        goto out;
    }
    *batch_out = &p->ring[p->n_taken++ % p->n_ring];
out:
    (void)pthread_mutex_unlock(&p->mutex);
    return status;
}

void syn_prefetch_free(syn_prefetch *p)
{
    if (!p)
        return;
    if (p->is_started) {
        (void)pthread_mutex_lock(&p->mutex);
        p->stop = true;
        (void)pthread_cond_broadcast(&p->changed);
        (void)pthread_mutex_unlock(&p->mutex);
        (void)pthread_join(p->thread, NULL);
    }
    for (int i = 0; p->ring && i < p->n_ring; i++)
        syn_batch_release(&p->ring[i]);
    syn_free(p->ring);
    syn_free(p->samples);
    syn_free(p->weights);
    syn_sampler_release(&p->sampler);
    (void)pthread_cond_destroy(&p->changed);
    (void)pthread_mutex_destroy(&p->mutex);
    syn_free(p);
}
