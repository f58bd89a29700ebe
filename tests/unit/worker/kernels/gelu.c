/* GELU kernels: relative accuracy over the whole range, tails and infinities. */
#include "worker/kernels/gelu.h"
#include "tests/unit/worker/kernels/arrays.h"
#include "worker/kernels/cpu/vec_math.h"

static void fast_values_are_accurate_relative_to_themselves(void **state)
{
    (void)state;
    enum { N = 40001 };
    static float x[N], ones[N], y[2][N], slope[2][N];
    for (int i = 0; i < N; i++) {
        x[i] = -10 + (float)i * 0.0005F;
        ones[i] = 1;
    }

    for (int fast = 0; fast < 2; fast++) {
        const syn_gelu_kernels *k = &(fast ? syn_gelu_cpu : syn_gelu_ref)[F32];
        k->forward(N, x, y[fast]);
        k->backward(N, x, ones, slope[fast]);
    }

    for (int i = 0; i < N; i++) {
        double far = x[i] < -4 ? 80 : 10; /* exp(-x^2 / 2) magnifies the rounding of x^2 */
        assert_true(fabsf(y[1][i] - y[0][i]) <= far * 0x1p-24 * fabsf(y[0][i]));
        assert_true(fabsf(slope[1][i] - slope[0][i]) <=
                    8 * 0x1p-24 + far * 0x1p-24 * fabsf(slope[0][i]));
    }
}

static void double_agrees_with_the_loops(void **state)
{
    (void)state;
    enum { N = 1000 };
    double *x = array_random(F64, N, 1), *grad = array_random(F64, N, 2), y[2][N], back[2][N];

    for (int fast = 0; fast < 2; fast++) {
        (fast ? syn_gelu_cpu : syn_gelu_ref)[F64].forward(N, x, y[fast]);
        (fast ? syn_gelu_cpu : syn_gelu_ref)[F64].backward(N, x, grad, back[fast]);
    }

    assert_arrays_close(F64, y[1], y[0], N, 2);
    assert_arrays_close(F64, back[1], back[0], N, 2);
    free(x);
    free(grad);
}

static void the_ends_of_the_line(void **state)
{
    (void)state;
    const float x[] = {0, 100, -100, INFINITY, NAN};
    float y[5];

    syn_gelu_cpu[F32].forward(5, x, y);

    assert_true(y[0] == 0 && y[1] == 100 && y[2] == 0 && isinf(y[3]) && isnan(y[4]));
}

static void exponentials_are_within_two_units_in_the_last_place(void **state)
{
    (void)state;
    for (double x = -103; x < 88.7; x += 0.0137) {
        double want = exp((double)(float)x), got = (double)syn_vec_exp_f32((float)x);
        assert_true(fabs(got - want) <= 2 * 0x1p-24 * want + 0x1p-149);
    }
    for (double x = -740; x < 709.7; x += 0.0937)
        assert_true(fabs(syn_vec_exp_f64(x) - exp(x)) <= 2 * 0x1p-52 * exp(x) + 0x1p-1074);
    for (double x = -85.9; x < 1; x += 0.0137) {
        double want = exp((double)(float)x), got = (double)syn_vec_exp_of_negative_f32((float)x);
        assert_true(fabs(got - want) <= 2 * 0x1p-24 * want);
        assert_true(fabs(syn_vec_exp_of_negative_f64(x * 8) - exp(x * 8)) <=
                    2 * 0x1p-52 * exp(x * 8));
    }
    assert_true(syn_vec_exp_of_negative_f32(-INFINITY) == 0 &&
                syn_vec_exp_of_negative_f32(-1e9F) == 0);
    assert_true(syn_vec_exp_of_negative_f64(-INFINITY) == 0 &&
                syn_vec_exp_of_negative_f64(-1e9) == 0);
    assert_true(isnan(syn_vec_exp_of_negative_f32(NAN)) && isnan(syn_vec_exp_of_negative_f64(NAN)));
    assert_true(syn_vec_exp_f32(-INFINITY) == 0 && isinf(syn_vec_exp_f32(INFINITY)));
    assert_true(isnan(syn_vec_exp_f32(NAN)) && isnan(syn_vec_exp_f64(NAN)));
    assert_true(syn_vec_exp_f64(-INFINITY) == 0 && isinf(syn_vec_exp_f64(INFINITY)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fast_values_are_accurate_relative_to_themselves),
        cmocka_unit_test(double_agrees_with_the_loops),
        cmocka_unit_test(the_ends_of_the_line),
        cmocka_unit_test(exponentials_are_within_two_units_in_the_last_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
