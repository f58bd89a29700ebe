/* Which samples a step takes, and which of them a rank takes. */
#include "worker/data/sampler.h"

#include "common/base/mem.h"

#include <syncline/random.h>

/* Streams of the job's seed, so that drawing windows, shuffling and shifting never share numbers.
 */
enum { STREAM_ORDER = 0x0bd3, STREAM_WINDOW = 0x71d0, STREAM_AUGMENT = 0xa096 };

syn_status syn_sampler_init(syn_sampler *sampler, const syn_dataset *dataset, uint64_t seed,
                            int64_t batch_size)
{
    const syn_dataset_info *info = syn_dataset_get_info(dataset);

    if (batch_size < 1)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "batch_size is %lld, it must be at least 1",
                        (long long)batch_size);
    if (batch_size > info->epoch_samples)
        return SYN_FAIL(SYN_INVALID_ARGUMENT,
                        "batch_size %lld is larger than the data set, which has %lld training %s",
                        (long long)batch_size, (long long)info->epoch_samples,
                        info->kind == SYN_DATA_TEXT ? "windows" : "samples");
    *sampler = (syn_sampler){
        .seed = seed,
        .n = info->epoch_samples,
        .n_range = info->kind == SYN_DATA_TEXT ? info->n_train : 0,
        .batch_size = batch_size,
        .cached_epoch = -1,
    };
    return SYN_OK;
}

void syn_sampler_release(syn_sampler *sampler)
{
    syn_free(sampler->order);
    *sampler = (syn_sampler){.cached_epoch = -1};
}

int64_t syn_sampler_steps_per_epoch(const syn_sampler *sampler)
{
    if (sampler->n_range)
        return sampler->n / sampler->batch_size;
    return (sampler->n + sampler->batch_size - 1) / sampler->batch_size;
}

int64_t syn_sampler_epoch_of(const syn_sampler *sampler, int64_t step)
{
    return step / syn_sampler_steps_per_epoch(sampler);
}

int64_t syn_sampler_batch_n(const syn_sampler *sampler, int64_t step)
{
    if (sampler->n_range)
        return sampler->batch_size;

    int64_t begin = step % syn_sampler_steps_per_epoch(sampler) * sampler->batch_size;
    int64_t left = sampler->n - begin;
    return left < sampler->batch_size ? left : sampler->batch_size;
}

uint64_t syn_sampler_augment_key(const syn_sampler *sampler, int64_t step)
{
    return syn_random_key(syn_random_key(sampler->seed, STREAM_AUGMENT),
                          (uint64_t)syn_sampler_epoch_of(sampler, step));
}

static syn_status order_of_epoch(syn_sampler *sampler, int64_t epoch)
{
    if (sampler->cached_epoch == epoch)
        return SYN_OK;
    if (!sampler->order) {
        sampler->order = syn_malloc((size_t)sampler->n * sizeof *sampler->order);
        if (!sampler->order)
            return syn_fail_memory((size_t)sampler->n * sizeof *sampler->order,
                                   "the order of an epoch");
    }
    syn_random_permutation(
        syn_random_key(syn_random_key(sampler->seed, STREAM_ORDER), (uint64_t)epoch), sampler->n,
        sampler->order);
    sampler->cached_epoch = epoch;
    return SYN_OK;
}

syn_status syn_sampler_indices(syn_sampler *sampler, int64_t step, int64_t first, int64_t n,
                               int64_t *samples_out)
{
    if (step < 0 || first < 0 || n < 0 || first + n > syn_sampler_batch_n(sampler, step))
        return SYN_FAIL(SYN_OUT_OF_RANGE,
                        "samples %lld..%lld of step %lld do not exist: its batch has %lld",
                        (long long)first, (long long)(first + n), (long long)step,
                        (long long)(step < 0 ? 0 : syn_sampler_batch_n(sampler, step)));
    if (sampler->n_range) {
        uint64_t key = syn_random_key(syn_random_key(sampler->seed, STREAM_WINDOW), (uint64_t)step);
        for (int64_t i = 0; i < n; i++)
            samples_out[i] =
                (int64_t)syn_random_below(key, (uint64_t)(first + i), (uint64_t)sampler->n_range);
        return SYN_OK;
    }

    SYN_TRY(order_of_epoch(sampler, syn_sampler_epoch_of(sampler, step)));
    int64_t begin = step % syn_sampler_steps_per_epoch(sampler) * sampler->batch_size + first;
    for (int64_t i = 0; i < n; i++)
        samples_out[i] = sampler->order[begin + i];
    return SYN_OK;
}

syn_slice_range syn_slice_even(int64_t n, int64_t part, int64_t n_parts)
{
    int64_t each = n / n_parts, larger = n % n_parts;

    return (syn_slice_range){
        .first = part * each + (part < larger ? part : larger),
        .n = each + (part < larger),
    };
}

/* The product of a batch and a sum of weights may pass 63 bits. */
__extension__ typedef __int128 wide;

syn_slice_range syn_slice_weighted(int64_t n, int64_t part, const int64_t *weights, int64_t n_parts)
{
    int64_t before = 0, total = 0;

    for (int64_t i = 0; i < n_parts; i++) {
        if (i < part)
            before += weights[i];
        total += weights[i];
    }
    int64_t first = (int64_t)((wide)n * before / total);
    int64_t end = (int64_t)((wide)n * (before + weights[part]) / total);
    return (syn_slice_range){.first = first, .n = end - first};
}
