/* Samplers: every sample once an epoch, slices that fit together, resuming without replay. */
#include "worker/data/sampler.h"

#include "tests/unit/worker/data/support.h"

enum { N = 53, BATCH = 8 };

static void open_sampler(syn_dataset **dataset, syn_sampler *sampler, uint64_t seed)
{
    syn_job_spec spec = digits_spec(N, 4);

    *dataset = open_dataset(&spec);
    assert_int_equal(syn_sampler_init(sampler, *dataset, seed, BATCH), SYN_OK);
}

static void close_sampler(syn_dataset *dataset, syn_sampler *sampler)
{
    syn_sampler_release(sampler);
    syn_dataset_free(dataset);
}

static void an_epoch_takes_every_sample_once_and_ends_with_a_smaller_batch(void **state)
{
    syn_dataset *dataset;
    syn_sampler sampler;
    int seen[N] = {0};
    int64_t samples[BATCH], total = 0;
    (void)state;
    open_sampler(&dataset, &sampler, 1);

    assert_int_equal(syn_sampler_steps_per_epoch(&sampler), 7);
    for (int64_t step = 7; step < 14; step++) {
        int64_t n = syn_sampler_batch_n(&sampler, step);
        assert_int_equal(syn_sampler_epoch_of(&sampler, step), 1);
        assert_int_equal(n, step == 13 ? 5 : 8);
        assert_int_equal(syn_sampler_indices(&sampler, step, 0, n, samples), SYN_OK);
        for (int64_t i = 0; i < n; i++)
            seen[samples[i]]++;
        total += n;
    }

    assert_int_equal(total, N);
    for (int i = 0; i < N; i++)
        assert_int_equal(seen[i], 1);
    close_sampler(dataset, &sampler);
}

static void epochs_and_seeds_have_their_own_orders(void **state)
{
    syn_dataset *dataset, *other_dataset;
    syn_sampler sampler, other;
    int64_t a[BATCH], b[BATCH], c[BATCH];
    (void)state;
    open_sampler(&dataset, &sampler, 1);
    open_sampler(&other_dataset, &other, 2);

    assert_int_equal(syn_sampler_indices(&sampler, 0, 0, BATCH, a), SYN_OK);
    assert_int_equal(syn_sampler_indices(&sampler, 7, 0, BATCH, b), SYN_OK);
    assert_int_equal(syn_sampler_indices(&other, 0, 0, BATCH, c), SYN_OK);

    assert_memory_not_equal(a, b, sizeof a);
    assert_memory_not_equal(a, c, sizeof a);
    assert_true(syn_sampler_augment_key(&sampler, 0) == syn_sampler_augment_key(&sampler, 6));
    assert_true(syn_sampler_augment_key(&sampler, 0) != syn_sampler_augment_key(&sampler, 7));
    close_sampler(dataset, &sampler);
    close_sampler(other_dataset, &other);
}

static void a_step_asked_for_first_is_the_step_reached_in_order(void **state)
{
    syn_dataset *dataset, *other_dataset;
    syn_sampler in_order, resumed;
    int64_t a[BATCH], b[BATCH];
    (void)state;
    open_sampler(&dataset, &in_order, 3);
    open_sampler(&other_dataset, &resumed, 3);

    for (int64_t step = 0; step <= 17; step++)
        assert_int_equal(
            syn_sampler_indices(&in_order, step, 0, syn_sampler_batch_n(&in_order, step), a),
            SYN_OK);
    assert_int_equal(syn_sampler_indices(&resumed, 17, 0, BATCH, b), SYN_OK);

    assert_memory_equal(a, b, sizeof a);
    close_sampler(dataset, &in_order);
    close_sampler(other_dataset, &resumed);
}

static void the_slices_of_all_ranks_make_the_global_batch(void **state)
{
    syn_dataset *dataset;
    syn_sampler sampler;
    int64_t whole[BATCH], parts[BATCH];
    const int64_t weights[] = {3, 0, 1, 4};
    (void)state;
    open_sampler(&dataset, &sampler, 4);

    for (int64_t step = 5; step < 8; step++) {
        int64_t n = syn_sampler_batch_n(&sampler, step);
        assert_int_equal(syn_sampler_indices(&sampler, step, 0, n, whole), SYN_OK);
        for (int weighted = 0; weighted < 2; weighted++) {
            int64_t at = 0;
            for (int rank = 0; rank < 4; rank++) {
                syn_slice_range slice =
                    weighted ? syn_slice_weighted(n, rank, weights, 4) : syn_slice_even(n, rank, 4);
                assert_int_equal(slice.first, at);
                assert_int_equal(
                    syn_sampler_indices(&sampler, step, slice.first, slice.n, parts + at), SYN_OK);
                at += slice.n;
            }
            assert_int_equal(at, n);
            assert_memory_equal(whole, parts, (size_t)n * sizeof *whole);
        }
    }
    close_sampler(dataset, &sampler);
}

static void even_slices_differ_by_at_most_one(void **state)
{
    (void)state;

    for (int64_t n = 0; n < 20; n++) {
        for (int64_t parts = 1; parts < 9; parts++) {
            for (int64_t part = 0; part < parts; part++) {
                int64_t size = syn_slice_even(n, part, parts).n;
                assert_true(size == n / parts || size == n / parts + 1);
            }
        }
    }
    assert_int_equal(syn_slice_even(10, 0, 4).n, 3);
    assert_int_equal(syn_slice_even(10, 3, 4).n, 2);
}

static void weights_that_sum_to_the_batch_are_the_sizes(void **state)
{
    const int64_t weights[] = {5, 0, 2, 1};
    (void)state;

    for (int part = 0; part < 4; part++)
        assert_int_equal(syn_slice_weighted(8, part, weights, 4).n, weights[part]);
}

static void windows_of_a_text_depend_on_seed_step_and_place_alone(void **state)
{
    char *folder = make_folder(), *path = syn_path_join(folder, "t.txt");
    syn_sampler sampler, again;
    int64_t whole[4], half[2], other[4];
    char text[500];
    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + i * i % 26);
    write_file(folder, "t.txt", text, sizeof text);
    syn_job_spec spec = text_spec(path, 10, 0.1);
    syn_dataset *dataset = open_dataset(&spec);
    assert_int_equal(syn_sampler_init(&sampler, dataset, 9, 4), SYN_OK);
    assert_int_equal(syn_sampler_init(&again, dataset, 9, 4), SYN_OK);

    assert_int_equal(syn_sampler_steps_per_epoch(&sampler), 11); /* 44 windows in 450 bytes */
    assert_int_equal(syn_sampler_indices(&sampler, 100, 0, 4, whole), SYN_OK);
    assert_int_equal(syn_sampler_indices(&again, 100, 2, 2, half), SYN_OK);
    assert_int_equal(syn_sampler_indices(&again, 101, 0, 4, other), SYN_OK);

    assert_memory_equal(half, whole + 2, sizeof half);
    assert_memory_not_equal(whole, other, sizeof whole);
    for (int i = 0; i < 4; i++)
        assert_in_range(whole[i], 0, 439);
    assert_int_equal(syn_sampler_batch_n(&sampler, 10), 4);
    syn_sampler_release(&sampler);
    syn_sampler_release(&again);
    syn_dataset_free(dataset);
    syn_free(path);
    remove_folder(folder);
}

static void a_batch_larger_than_the_data_set_is_refused(void **state)
{
    syn_job_spec spec = digits_spec(20, 4);
    syn_dataset *dataset = open_dataset(&spec);
    syn_sampler sampler;
    (void)state;

    assert_int_equal(syn_sampler_init(&sampler, dataset, 1, 21), SYN_INVALID_ARGUMENT);

    assert_error_says("batch_size 21 is larger than the data set, which has 20 training samples");
    assert_int_equal(syn_sampler_init(&sampler, dataset, 1, 0), SYN_INVALID_ARGUMENT);
    syn_dataset_free(dataset);
}

static void samples_outside_the_batch_are_refused(void **state)
{
    syn_dataset *dataset;
    syn_sampler sampler;
    int64_t samples[BATCH];
    (void)state;
    open_sampler(&dataset, &sampler, 1);

    assert_int_equal(syn_sampler_indices(&sampler, 6, 0, 6, samples), SYN_OUT_OF_RANGE);
    assert_int_equal(syn_sampler_indices(&sampler, -1, 0, 1, samples), SYN_OUT_OF_RANGE);
    assert_error_says("step -1");
    close_sampler(dataset, &sampler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_epoch_takes_every_sample_once_and_ends_with_a_smaller_batch),
        cmocka_unit_test(epochs_and_seeds_have_their_own_orders),
        cmocka_unit_test(a_step_asked_for_first_is_the_step_reached_in_order),
        cmocka_unit_test(the_slices_of_all_ranks_make_the_global_batch),
        cmocka_unit_test(even_slices_differ_by_at_most_one),
        cmocka_unit_test(weights_that_sum_to_the_batch_are_the_sizes),
        cmocka_unit_test(windows_of_a_text_depend_on_seed_step_and_place_alone),
        cmocka_unit_test(a_batch_larger_than_the_data_set_is_refused),
        cmocka_unit_test(samples_outside_the_batch_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
