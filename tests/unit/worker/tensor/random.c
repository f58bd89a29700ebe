/* Philox against its known answers; streams, permutations, the thread's generator. */
#include "tests/unit/worker/tensor/support.h"

#include <pthread.h>

/* The known answers of Random123's kat_vectors for philox4x32-10: counter, key, result. */
static void philox_gives_the_known_answers(void **state)
{
    static const struct {
        uint64_t key, hi, lo;
        uint32_t expected[4];
    } rows[] = {
        {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {0x299f31d0a4093822U,
         0x0370734413198a2eU,
         0x85a308d3243f6a88U,
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint32_t out[4];

        syn_philox(rows[i].key, rows[i].hi, rows[i].lo, out);

        assert_memory_equal(out, rows[i].expected, sizeof out);
    }
}

static void uniform_numbers_lie_in_their_interval_with_the_right_moments(void **state)
{
    double sum = 0, squares = 0;
    const int n = 100000;
    (void)state;
    for (int i = 0; i < n; i++) {
        double u = syn_random_uniform(3, (uint64_t)i);

        assert_true(u >= 0 && u < 1);
        sum += u;
        squares += u * u;
    }
    assert_true(fabs(sum / n - 0.5) < 0.005);
    assert_true(fabs(squares / n - 1.0 / 3) < 0.005);
}

static void normal_numbers_have_mean_0_and_variance_1(void **state)
{
    double sum = 0, squares = 0;
    const int n = 100000;
    (void)state;
    for (int i = 0; i < n; i++) {
        double x = syn_random_normal(4, (uint64_t)i);

        assert_true(isfinite(x));
        sum += x;
        squares += x * x;
    }
    assert_true(fabs(sum / n) < 0.02);
    assert_true(fabs(squares / n - 1) < 0.02);
}

static void integers_stay_below_their_bound_and_reach_all_values(void **state)
{
    int counts[7] = {0};
    (void)state;
    for (int i = 0; i < 7000; i++) {
        uint64_t k = syn_random_below(5, (uint64_t)i, 7);

        assert_true(k < 7);
        counts[k]++;
    }
    for (int k = 0; k < 7; k++)
        assert_true(counts[k] > 800 && counts[k] < 1200);
    assert_int_equal(syn_random_below(5, 1, 1), 0);
}

static void a_permutation_has_every_number_once_and_depends_on_the_key(void **state)
{
    int64_t a[100], b[100], again[100];
    bool seen[100] = {0};
    (void)state;

    syn_random_permutation(1, 100, a);
    syn_random_permutation(1, 100, again);
    syn_random_permutation(2, 100, b);

    assert_memory_equal(a, again, sizeof a);
    assert_memory_not_equal(a, b, sizeof a);
    for (int i = 0; i < 100; i++) {
        assert_in_range(a[i], 0, 99);
        assert_false(seen[a[i]]);
        seen[a[i]] = true;
    }
}

static void seeding_restarts_the_generator(void **state)
{
    (void)state;
    syn_manual_seed(9);
    uint64_t first = syn_random_next_key(), second = syn_random_next_key();

    syn_manual_seed(9);

    assert_true(first != second);
    assert_true(syn_random_next_key() == first);
    assert_true(syn_random_next_key() == second);
}

static void *draw_on_a_thread(void *key)
{
    syn_manual_seed(9);
    *(uint64_t *)key = syn_random_next_key();
    return NULL;
}

static void each_thread_has_a_generator_of_its_own(void **state)
{
    uint64_t theirs = 0;
    pthread_t thread;
    (void)state;
    syn_manual_seed(9);
    uint64_t first = syn_random_next_key();
    syn_manual_seed(9);
    assert_int_equal(pthread_create(&thread, NULL, draw_on_a_thread, &theirs), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);

    assert_true(theirs == first);
    assert_true(syn_random_next_key() == first);
}

static void tensors_of_random_numbers_repeat_with_the_seed(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_manual_seed(1);
        syn_tensor *a = syn_randn(SYN_SHAPE(3, 4), SYN_F32),
                   *b = syn_randn(SYN_SHAPE(3, 4), SYN_F32);
        syn_manual_seed(1);
        syn_tensor *c = syn_randn(SYN_SHAPE(3, 4), SYN_F32);

        assert_memory_equal(syn_tensor_data(a), syn_tensor_data(c), 48);
        assert_memory_not_equal(syn_tensor_data(a), syn_tensor_data(b), 48);
    }
}

static void randint_keeps_its_bounds_and_refuses_empty_ones(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_randint(-2, 3, SYN_SHAPE(1000), SYN_I64);
        const int64_t *values = syn_tensor_data(x);
        for (int i = 0; i < 1000; i++)
            assert_true(values[i] >= -2 && values[i] < 3);

        assert_null(syn_randint(3, 3, SYN_SHAPE(1), SYN_I64));
        assert_sticks("randint: [3, 3) is empty");
        assert_null(syn_rand(SYN_SHAPE(1), SYN_I64));
        assert_sticks("rand: i64 is not a floating dtype");
    }
}

static void f32_uniform_numbers_stay_below_1(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_rand(SYN_SHAPE(200000), SYN_F32);
        const float *values = syn_tensor_data(x);
        for (int i = 0; i < 200000; i++)
            assert_true(values[i] >= 0 && values[i] < 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_gives_the_known_answers),
        cmocka_unit_test(uniform_numbers_lie_in_their_interval_with_the_right_moments),
        cmocka_unit_test(normal_numbers_have_mean_0_and_variance_1),
        cmocka_unit_test(integers_stay_below_their_bound_and_reach_all_values),
        cmocka_unit_test(a_permutation_has_every_number_once_and_depends_on_the_key),
        cmocka_unit_test(seeding_restarts_the_generator),
        cmocka_unit_test(each_thread_has_a_generator_of_its_own),
        cmocka_unit_test(tensors_of_random_numbers_repeat_with_the_seed),
        cmocka_unit_test(randint_keeps_its_bounds_and_refuses_empty_ones),
        cmocka_unit_test(f32_uniform_numbers_stay_below_1),
    };
    return cmocka_run_group_tests_name("worker/tensor/random", tests, NULL, NULL);
}
