/* The kernel table: complete in either backend; element-wise accuracy of the fast functions. */
#include "worker/kernels/backend.h"
#include "tests/unit/worker/tensor/support.h"
#include "worker/kernels/elementwise.h"
#include "worker/kernels/reduce.h"

static void backends_are_chosen_by_name(void **state)
{
    (void)state;
    assert_true(syn_backend_use("ref"));
    assert_string_equal(syn_kernels->name, "ref");
    assert_false(syn_backend_use("tpu"));
    assert_string_equal(syn_kernels->name, "ref");
    assert_true(syn_backend_use("cpu"));
    assert_string_equal(syn_kernels->name, "cpu");
}

static void what_the_cpu_lacks_comes_from_ref(void **state)
{
    (void)state;
    assert_true(syn_backend_use("cpu"));
    assert_null(syn_backend_cpu.elementwise->clamp[SYN_I64]);
    assert_non_null(syn_kernels->elementwise->clamp[SYN_I64]);
    assert_ptr_equal(syn_kernels->elementwise->clamp[SYN_I64],
                     syn_backend_ref.elementwise->clamp[SYN_I64]);
    assert_ptr_not_equal(syn_kernels->elementwise->exp[SYN_F32],
                         syn_backend_ref.elementwise->exp[SYN_F32]);
}

/* The greatest distance to the exact value in units of the last place of f32, over a sweep of [low,
 * high]. */
static double worst_ulp(syn_tensor *(*f)(syn_tensor *), double low, double high)
{
    enum { N = 200001 };
    double worst = 0;
    SYN_SCOPE {
        syn_tensor *x = syn_empty(SYN_SHAPE(N), SYN_F32);
        float *points = syn_tensor_data(x);
        for (int i = 0; i < N; i++)
            points[i] = (float)(low + (high - low) * i / (N - 1));
        (void)syn_backend_use("cpu");
        const float *fast = syn_tensor_data(f(x));
        (void)syn_backend_use("ref");
        const double *exact = syn_tensor_data(f(syn_to(x, SYN_F64)));
        (void)syn_backend_use("cpu");
        for (int i = 0; i < N; i++) {
            double size = fabs(exact[i]);
            double ulp = size > 0x1p-126 ? exp2(floor(log2(size)) - 23) : 0x1p-149;
            double distance = fabs((double)fast[i] - exact[i]) / ulp;
            worst = size < 3.4e38 && distance > worst ? distance : worst;
        }
    }
    return worst;
}

static void f32_functions_are_within_a_few_units_of_the_last_place(void **state)
{
    (void)state;
    assert_true(worst_ulp(syn_exp, -87, 88) <= 2);
    assert_true(worst_ulp(syn_log, 1e-3, 50) <= 2);
    assert_true(worst_ulp(syn_log, 1e-38, 1e-30) <= 2);
    assert_true(worst_ulp(syn_tanh, -10, 10) <= 3);
    assert_true(worst_ulp(syn_sigmoid, -80, 80) <= 4);
    assert_true(worst_ulp(syn_sqrt, 0, 1000) <= 0.5001);
    assert_true(worst_ulp(syn_softplus, -80, 30) <= 4);
    assert_true(worst_ulp(syn_erf, -4, 4) <= 4);
    assert_true(worst_ulp(syn_sin, -3, 3) <= 4);
}

static void the_edges_of_functions_are_ieees(void **state)
{
    (void)state;
    SYN_SCOPE {
        ASSERT_VALUES(syn_exp(F32(-INFINITY, INFINITY, NAN, 0, 1000, -1000)), 0, INFINITY, NAN, 1,
                      INFINITY, 0);
        ASSERT_VALUES(syn_log(F32(0, INFINITY, NAN, 1, -1)), -INFINITY, INFINITY, NAN, 0, NAN);
        ASSERT_VALUES(syn_tanh(F32(-INFINITY, INFINITY, NAN, 0, 100, -100)), -1, 1, NAN, 0, 1, -1);
        ASSERT_VALUES(syn_sigmoid(F32(-INFINITY, INFINITY, NAN, 0)), 0, 1, NAN, 0.5);
        ASSERT_VALUES(syn_relu(F32(-1, 2, NAN, -INFINITY)), 0, 2, NAN, 0);
        ASSERT_VALUES(syn_sqrt(F32(-1, 0)), NAN, 0);
        ASSERT_VALUES(syn_maximum(F32(1, NAN, 1), F32(NAN, 1, 2)), NAN, NAN, 2);
        ASSERT_VALUES(syn_softplus(F32(100, -1000)), 100, 0);
    }
}

static void integers_wrap_around_and_powers_are_exact(void **state)
{
    (void)state;
    SYN_SCOPE {
        ASSERT_VALUES(
            syn_add(syn_full(SYN_SHAPE(1), 200, SYN_U8), syn_full(SYN_SHAPE(1), 100, SYN_U8)), 44);
        ASSERT_VALUES(syn_neg(syn_full(SYN_SHAPE(1), -128, SYN_I8)), -128);
        ASSERT_VALUES(syn_pow(I64(3, -2, 2), I64(5, 3, -1)), 243, -8, 0);
        ASSERT_VALUES(syn_mul(I64(3000000000), I64(3)), 9000000000.0);
    }
}

static void random_arrays_of_every_length_are_refs(void **state)
{
    (void)state;
    for (int64_t n = 1; n < 1000; n += 83)
        SYN_SCOPE {
            syn_tensor *drawn[2][3];
            for (int pass = 0; pass < 2; pass++) {
                (void)syn_backend_use(pass ? "ref" : "cpu");
                syn_manual_seed((uint64_t)n);
                drawn[pass][0] = syn_rand(SYN_SHAPE(n), SYN_F32);
                drawn[pass][1] = syn_randn(SYN_SHAPE(n), SYN_F64);
                drawn[pass][2] = syn_dropout(syn_ones(SYN_SHAPE(n), SYN_F32), 0.3, true);
            }
            (void)syn_backend_use("cpu");
            assert_memory_equal(syn_tensor_data(drawn[0][0]), syn_tensor_data(drawn[1][0]), n * 4);
            assert_memory_equal(syn_tensor_data(drawn[0][2]), syn_tensor_data(drawn[1][2]), n * 4);
            const double *near = syn_tensor_data(drawn[0][1]),
                         *exact = syn_tensor_data(drawn[1][1]);
            for (int64_t i = 0; i < n; i++)
                assert_true(fabs(near[i] - exact[i]) <= 1e-14 * (1 + fabs(exact[i])));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backends_are_chosen_by_name),
        cmocka_unit_test(what_the_cpu_lacks_comes_from_ref),
        cmocka_unit_test(f32_functions_are_within_a_few_units_of_the_last_place),
        cmocka_unit_test(the_edges_of_functions_are_ieees),
        cmocka_unit_test(integers_wrap_around_and_powers_are_exact),
        cmocka_unit_test(random_arrays_of_every_length_are_refs),
    };
    return cmocka_run_group_tests_name("worker/kernels/backend", tests, NULL, NULL);
}
