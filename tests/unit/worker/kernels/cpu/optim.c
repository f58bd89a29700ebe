/* The fast optimizer updates against the readable ones, and independence of the number of threads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "worker/kernels/optim.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { N_ARRAYS = 5 }; /* parameter, gradient, three states */
static const int64_t sizes[] = {0, 1, 7, 1000, 70001};

/* The arrays of one update, all of n elements. */
typedef struct arrays {
    void *data[N_ARRAYS];
    int64_t n;
    int is_f64;
} arrays;

static void set(const arrays *a, int array, int64_t i, double value)
{
    if (a->is_f64)
        ((double *)a->data[array])[i] = value;
    else
        ((float *)a->data[array])[i] = (float)value;
}

static double get(const arrays *a, int array, int64_t i)
{
    return a->is_f64 ? ((double *)a->data[array])[i] : (double)((float *)a->data[array])[i];
}

/* Reproducible numbers in (-1, 1). */
static double draw(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(int32_t)(*seed >> 32) * 0x1p-31;
}

static arrays make(int64_t n, int is_f64)
{
    arrays a = {.n = n, .is_f64 = is_f64};
    uint64_t seed = 42;

    for (int k = 0; k < N_ARRAYS; k++) {
        a.data[k] = syn_calloc((size_t)n, sizeof(double));
        assert_non_null(a.data[k]);
        for (int64_t i = 0; i < n; i++)
            set(&a, k, i, k < 2 ? draw(&seed) : fabs(draw(&seed)) + 2);
    }
    return a;
}

static void release(arrays *a)
{
    for (int k = 0; k < N_ARRAYS; k++)
        syn_free(a->data[k]);
}

static syn_update update_of(const arrays *a, int n_states)
{
    syn_update u = {.n = a->n, .param = a->data[0], .grad = a->data[1]};

    for (int k = 0; k < n_states; k++)
        u.state[k] = a->data[2 + k];
    return u;
}

typedef void (*apply_fn)(const syn_optim_kernels *kernels, const arrays *a, int variant);

static void apply_sgd(const syn_optim_kernels *kernels, const arrays *a, int variant)
{
    const syn_sgd_args args = {
        .lr = 0.1,
        .momentum = variant >= 2 ? 0.9 : 0,
        .dampening = variant == 3 ? 0.2 : 0,
        .weight_decay = variant % 2 ? 0.01 : 0,
        .nesterov = variant == 4,
        .maximize = variant == 5,
        .is_first = variant == 6,
    };
    syn_update u = update_of(a, variant >= 2 ? 1 : 0);

    kernels->sgd(&u, &args);
}

static void apply_adam(const syn_optim_kernels *kernels, const arrays *a, int variant)
{
    const syn_adam_args args = {
        .lr = 0.01,
        .beta1 = 0.9,
        .beta2 = 0.99,
        .eps = 1e-8,
        .weight_decay = variant % 2 ? 0.1 : 0,
        .is_decoupled = variant >= 2,
        .maximize = variant == 5,
        .step = 1 + variant,
    };
    syn_update u = update_of(a, variant >= 4 ? 3 : 2);

    kernels->adam(&u, &args);
}

static void apply_rmsprop(const syn_optim_kernels *kernels, const arrays *a, int variant)
{
    const syn_rmsprop_args args = {
        .lr = 0.01,
        .alpha = 0.9,
        .eps = 1e-8,
        .weight_decay = variant % 2 ? 0.1 : 0,
        .momentum = variant >= 2 ? 0.5 : 0,
        .is_centered = variant >= 4,
        .maximize = variant == 5,
    };
    syn_update u = update_of(a, 3);

    if (args.momentum == 0)
        u.state[1] = NULL;
    if (args.is_centered)
        for (int64_t i = 0; i < a->n; i++)
            set(a, 4, i, get(a, 1, i)); /* a mean whose square is below the mean square */
    else
        u.state[2] = NULL;
    kernels->rmsprop(&u, &args);
}

static void apply_adagrad(const syn_optim_kernels *kernels, const arrays *a, int variant)
{
    const syn_adagrad_args args = {
        .lr = 0.01,
        .eps = 1e-10,
        .weight_decay = variant % 2 ? 0.1 : 0,
        .maximize = variant >= 2,
    };
    syn_update u = update_of(a, 1);

    kernels->adagrad(&u, &args);
}

static void expect_equal(const arrays *a, const arrays *b, double tolerance)
{
    for (int k = 0; k < N_ARRAYS; k++) {
        for (int64_t i = 0; i < a->n; i++) {
            double x = get(a, k, i), y = get(b, k, i);
            if (!(fabs(x - y) <= tolerance * (1 + fabs(y))))
                fail_msg("array %d, element %lld of %lld: %.17g and %.17g", k, (long long)i,
                         (long long)a->n, x, y);
        }
    }
}

static void compare(apply_fn apply, int n_variants)
{
    for (int variant = 0; variant < n_variants; variant++) {
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            for (int is_f64 = 0; is_f64 < 2; is_f64++) {
                arrays fast = make(sizes[s], is_f64), plain = make(sizes[s], is_f64);
                apply(&syn_optim_cpu[is_f64], &fast, variant);
                apply(&syn_optim_ref[is_f64], &plain, variant);
                expect_equal(&fast, &plain, is_f64 ? 1e-14 : 1e-6);
                release(&fast);
                release(&plain);
            }
        }
    }
}

static void sgd_agrees_with_the_reference(void **state)
{
    (void)state;

    compare(apply_sgd, 7);
}

static void adam_and_adamw_agree_with_the_reference(void **state)
{
    (void)state;

    compare(apply_adam, 6);
}

static void rmsprop_agrees_with_the_reference(void **state)
{
    (void)state;

    compare(apply_rmsprop, 6);
}

static void adagrad_agrees_with_the_reference(void **state)
{
    (void)state;

    compare(apply_adagrad, 3);
}

static void sums_of_squares_and_scaling_agree_with_the_reference(void **state)
{
    (void)state;

    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        for (int is_f64 = 0; is_f64 < 2; is_f64++) {
            arrays fast = make(sizes[s], is_f64), plain = make(sizes[s], is_f64);
            double a = syn_optim_cpu[is_f64].sum_squares(fast.n, fast.data[1]);
            double b = syn_optim_ref[is_f64].sum_squares(plain.n, plain.data[1]);
            assert_true(fabs(a - b) <= 1e-12 * b);
            syn_optim_cpu[is_f64].scale(fast.n, fast.data[1], 0.3);
            syn_optim_ref[is_f64].scale(plain.n, plain.data[1], 0.3);
            expect_equal(&fast, &plain, is_f64 ? 1e-15 : 1e-7);
            release(&fast);
            release(&plain);
        }
    }
}

static void the_number_of_threads_changes_no_bit(void **state)
{
    const apply_fn all[] = {apply_sgd, apply_adam, apply_rmsprop, apply_adagrad};
    (void)state;

    for (size_t f = 0; f < sizeof all / sizeof *all; f++) {
        for (int is_f64 = 0; is_f64 < 2; is_f64++) {
            size_t bytes = 70001 * (is_f64 ? sizeof(double) : sizeof(float));
            arrays one = make(70001, is_f64), three = make(70001, is_f64);
            omp_set_num_threads(1);
            all[f](&syn_optim_cpu[is_f64], &one, 2);
            double sum_one = syn_optim_cpu[is_f64].sum_squares(one.n, one.data[0]);
            omp_set_num_threads(3);
            all[f](&syn_optim_cpu[is_f64], &three, 2);
            double sum_three = syn_optim_cpu[is_f64].sum_squares(three.n, three.data[0]);
            for (int k = 0; k < N_ARRAYS; k++)
                assert_memory_equal(one.data[k], three.data[k], bytes);
            assert_memory_equal(&sum_one, &sum_three, sizeof sum_one);
            release(&one);
            release(&three);
        }
    }
    omp_set_num_threads(1);
}

static void a_sum_without_memory_has_the_same_bits(void **state)
{
    arrays a = make(70001, 0);
    (void)state;

    double with = syn_optim_cpu[0].sum_squares(a.n, a.data[1]);
    syn_mem_fail_after(1);
    double without = syn_optim_cpu[0].sum_squares(a.n, a.data[1]);
    assert_true(syn_mem_has_failed());
    syn_mem_fail_after(0);

    assert_memory_equal(&with, &without, sizeof with);
    release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sgd_agrees_with_the_reference),
        cmocka_unit_test(adam_and_adamw_agree_with_the_reference),
        cmocka_unit_test(rmsprop_agrees_with_the_reference),
        cmocka_unit_test(adagrad_agrees_with_the_reference),
        cmocka_unit_test(sums_of_squares_and_scaling_agree_with_the_reference),
        cmocka_unit_test(the_number_of_threads_changes_no_bit),
        cmocka_unit_test(a_sum_without_memory_has_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
