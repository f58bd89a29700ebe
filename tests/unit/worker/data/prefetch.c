/* The prefetcher: the batches a sampler would give, in order, and a clean end at any moment. */
#include "worker/data/prefetch.h"

#include "tests/unit/worker/data/support.h"

#include <syncline/random.h>

static const syn_batch *next(syn_prefetch *prefetch)
{
    const syn_batch *batch = NULL;

    if (syn_prefetch_next(prefetch, &batch) != SYN_OK)
        fail_msg("%s", syn_error_message());
    return batch;
}

static void batches_are_those_of_the_sampler(void **state)
{
    syn_job_spec spec = digits_spec(21, 4);
    spec.data.augment_shift = 2;
    syn_dataset *dataset = open_dataset(&spec);
    syn_sampler sampler;
    syn_batch expected;
    syn_prefetch *prefetch = NULL;
    int64_t samples[8];
    (void)state;
    assert_int_equal(syn_sampler_init(&sampler, dataset, 11, 8), SYN_OK);
    assert_int_equal(syn_batch_init(&expected, dataset, 8), SYN_OK);
    syn_prefetch_options options = {
        .seed = 11, .batch_size = 8, .first_step = 2, .rank = 1, .size = 3, .augment = true};
    assert_int_equal(syn_prefetch_new(dataset, &options, &prefetch), SYN_OK);

    for (int64_t step = 2; step < 9; step++) {
        const syn_batch *batch = next(prefetch);
        int64_t n = syn_sampler_batch_n(&sampler, step);
        syn_slice_range slice = syn_slice_even(n, 1, 3);
        assert_int_equal(syn_sampler_indices(&sampler, step, slice.first, slice.n, samples),
                         SYN_OK);
        syn_batch_request request = {
            .samples = samples,
            .n = slice.n,
            .augment = true,
            .augment_key = syn_sampler_augment_key(&sampler, step),
        };
        assert_int_equal(syn_dataset_batch(dataset, &request, &expected), SYN_OK);

        assert_int_equal(batch->step, step);
        assert_int_equal(batch->epoch, step / 3);
        assert_int_equal(batch->n_global, n);
        assert_int_equal(batch->first, slice.first);
        assert_int_equal(batch->n, slice.n);
        assert_memory_equal(batch->x, expected.x, (size_t)slice.n * expected.x_bytes);
        assert_memory_equal(batch->y, expected.y, (size_t)slice.n * sizeof *expected.y);
    }
    syn_prefetch_free(prefetch);
    syn_batch_release(&expected);
    syn_sampler_release(&sampler);
    syn_dataset_free(dataset);
}

static void weights_say_how_much_a_rank_gets(void **state)
{
    syn_job_spec spec = digits_spec(21, 4);
    syn_dataset *dataset = open_dataset(&spec);
    const int64_t weights[] = {5, 0, 3};
    (void)state;

    for (int rank = 0; rank < 3; rank++) {
        syn_prefetch *prefetch = NULL;
        syn_prefetch_options options = {
            .batch_size = 8, .rank = rank, .size = 3, .weights = weights};
        assert_int_equal(syn_prefetch_new(dataset, &options, &prefetch), SYN_OK);
        assert_int_equal(next(prefetch)->n, weights[rank]);
        assert_int_equal(next(prefetch)->n, weights[rank]);
        int64_t last = next(prefetch)->n; /* 5 samples are left: 3.125, 0, 1.875 */
        assert_int_equal(last, rank == 0 ? 3 : rank == 1 ? 0 : 2);
        syn_prefetch_free(prefetch);
    }
    syn_dataset_free(dataset);
}

static void virtual_shards_cover_the_batch_whoever_has_them(void **state)
{
    syn_job_spec spec = digits_spec(21, 4);
    syn_dataset *dataset = open_dataset(&spec);
    const int64_t tables[][4] = {{5, 0, 0, 0}, {2, 3, 0, 0}, {1, 1, 1, 2}};
    (void)state;

    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        /* 8, 8 and, at the end of the epoch, 5 samples in 5 shards. */
        int64_t ends[3] = {0}, first_shard = 0;
        for (int rank = 0; rank < 4; first_shard += tables[t][rank++]) {
            syn_prefetch *prefetch = NULL;
            syn_prefetch_options options = {.batch_size = 8,
                                            .rank = rank,
                                            .size = 4,
                                            .n_shards = 5,
                                            .first_shard = first_shard,
                                            .n_own_shards = tables[t][rank]};
            assert_int_equal(syn_prefetch_new(dataset, &options, &prefetch), SYN_OK);
            for (int step = 0; step < 3; step++) {
                const syn_batch *batch = next(prefetch);
                assert_int_equal(batch->first, ends[step]);
                ends[step] += batch->n;
                int64_t n_global = step < 2 ? 8 : 5;
                assert_int_equal(batch->n_global, n_global);
                assert_int_equal(ends[step],
                                 syn_slice_even(n_global, first_shard + tables[t][rank], 5).first);
            }
            syn_prefetch_free(prefetch);
        }
        assert_int_equal(ends[0], 8);
        assert_int_equal(ends[2], 5);
    }
    syn_dataset_free(dataset);
}

static void it_ends_after_the_last_step(void **state)
{
    syn_job_spec spec = digits_spec(21, 4);
    syn_dataset *dataset = open_dataset(&spec);
    syn_prefetch *prefetch = NULL;
    const syn_batch *batch = NULL;
    syn_prefetch_options options = {
        .batch_size = 8, .first_step = 4, .last_step = 6, .size = 1, .depth = 8};
    (void)state;
    assert_int_equal(syn_prefetch_new(dataset, &options, &prefetch), SYN_OK);

    assert_int_equal(next(prefetch)->step, 4);
    assert_int_equal(next(prefetch)->step, 5);
    assert_int_equal(syn_prefetch_next(prefetch, &batch), SYN_OUT_OF_RANGE);

    assert_error_says("there is no batch for step 6: the last is 5");
    syn_prefetch_free(prefetch);
    syn_dataset_free(dataset);
}

static void it_can_be_freed_at_any_moment(void **state)
{
    syn_job_spec spec = digits_spec(300, 4);
    syn_dataset *dataset = open_dataset(&spec);
    (void)state;

    for (int taken = 0; taken < 6; taken++) {
        syn_prefetch *prefetch = NULL;
        syn_prefetch_options options = {.batch_size = 100, .size = 1, .depth = 1 + taken % 3};
        assert_int_equal(syn_prefetch_new(dataset, &options, &prefetch), SYN_OK);
        for (int i = 0; i < taken; i++)
            assert_int_equal(next(prefetch)->step, i);
        syn_prefetch_free(prefetch);
    }
    syn_prefetch_free(NULL);
    syn_dataset_free(dataset);
}

static void several_prefetchers_may_draw_the_same_digits(void **state)
{
    syn_job_spec spec = digits_spec(64, 4);
    syn_dataset *dataset = open_dataset(&spec);
    syn_prefetch *a = NULL, *b = NULL;
    syn_prefetch_options options = {.batch_size = 64, .size = 1, .seed = 5};
    (void)state;
    assert_int_equal(syn_prefetch_new(dataset, &options, &a), SYN_OK);
    assert_int_equal(syn_prefetch_new(dataset, &options, &b), SYN_OK);

    for (int step = 0; step < 3; step++) {
        const syn_batch *from_a = next(a), *from_b = next(b);
        assert_memory_equal(from_a->x, from_b->x, 64 * from_a->x_bytes);
    }
    syn_prefetch_free(a);
    syn_prefetch_free(b);
    syn_dataset_free(dataset);
}

static void impossible_options_are_refused(void **state)
{
    syn_job_spec spec = digits_spec(21, 4);
    syn_dataset *dataset = open_dataset(&spec);
    syn_prefetch *prefetch = NULL;
    const int64_t negative[] = {1, -1}, none[] = {0, 0};
    const struct {
        syn_prefetch_options options;
        const char *says;
    } cases[] = {
        {{.batch_size = 8, .rank = 2, .size = 2}, "there is no rank 2 of 2"},
        {{.batch_size = 22, .size = 1}, "batch_size 22 is larger than the data set"},
        {{.batch_size = 8, .size = 1, .first_step = -1}, "from step -1"},
        {{.batch_size = 8, .size = 1, .depth = 1000}, "1000 deep"},
        {{.batch_size = 8, .size = 2, .weights = negative}, "rank 1 has the negative share -1"},
        {{.batch_size = 8, .size = 2, .n_shards = 4, .first_shard = 3, .n_own_shards = 2},
         "there are no shards 3 to 4 of 4"},
        {{.batch_size = 8, .size = 2, .weights = none}, "the shares of all 2 ranks are 0"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(syn_prefetch_new(dataset, &cases[i].options, &prefetch),
                         SYN_INVALID_ARGUMENT);
        assert_error_says(cases[i].says);
    }
    syn_dataset_free(dataset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_are_those_of_the_sampler),
        cmocka_unit_test(weights_say_how_much_a_rank_gets),
        cmocka_unit_test(virtual_shards_cover_the_batch_whoever_has_them),
        cmocka_unit_test(it_ends_after_the_last_step),
        cmocka_unit_test(it_can_be_freed_at_any_moment),
        cmocka_unit_test(several_prefetchers_may_draw_the_same_digits),
        cmocka_unit_test(impossible_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
