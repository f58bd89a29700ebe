/* Softmax and cross-entropy kernels: fast against double precision, extreme values, targets. */
#include "worker/kernels/softmax.h"
#include "tests/unit/worker/kernels/arrays.h"

static const syn_softmax_dims shapes[] = {{1, 1, 1},   {3, 5, 1}, {64, 10, 1}, {768, 65, 1},
                                          {2, 300, 1}, {4, 7, 3}, {2, 6, 130}, {1, 1000, 2},
                                          {0, 4, 1},   {2, 3, 0}};

static void fast_kernels_agree_with_the_loops(void **state)
{
    (void)state;
    for (int type = F32; type < N_TYPES; type++)
        for (size_t s = 0; s < sizeof(shapes) / sizeof(*shapes); s++) {
            const syn_softmax_dims *d = &shapes[s];
            int64_t n = d->outer * d->n * d->inner;
            void *x = array_random(type, n, 1), *grad = array_random(type, n, 2), *out[2][4];

            for (int fast = 0; fast < 2; fast++) {
                const syn_softmax_kernels *k = &(fast ? syn_softmax_cpu : syn_softmax_ref)[type];
                for (int i = 0; i < 4; i++)
                    out[fast][i] = array_new(type, n);
                k->softmax(d, x, out[fast][0]);
                k->log_softmax(d, x, out[fast][1]);
                k->softmax_backward(d, grad, out[0][0], out[fast][2]);
                k->log_softmax_backward(d, grad, out[0][1], out[fast][3]);
            }

            for (int i = 0; i < 4; i++) {
                assert_arrays_close(type, out[1][i], out[0][i], n, 32);
                free(out[0][i]);
                free(out[1][i]);
            }
            free(x);
            free(grad);
        }
}

static void extreme_logits_stay_finite(void **state)
{
    (void)state;
    const float x[] = {1000, 0, -1000, -INFINITY};
    float y[4], log_y[4];
    syn_softmax_dims d = {1, 4, 1};

    syn_softmax_cpu[F32].softmax(&d, x, y);
    syn_softmax_cpu[F32].log_softmax(&d, x, log_y);

    assert_true(y[0] == 1 && y[1] == 0 && y[2] == 0 && y[3] == 0);
    assert_true(log_y[0] == 0 && log_y[1] == -1000 && log_y[2] == -2000 && isinf(log_y[3]));
}

static void nan_spreads_over_its_row_only(void **state)
{
    (void)state;
    const double x[] = {1, NAN, 3, 4};
    double y[4];
    syn_softmax_dims d = {2, 2, 1};

    syn_softmax_cpu[F64].softmax(&d, x, y);

    assert_true(isnan(y[0]) && isnan(y[1]) && fabs(y[2] + y[3] - 1) < 1e-15);
}

static void fast_cross_entropy_agrees_for_every_target_type(void **state)
{
    (void)state;
    enum { ROWS = 700, CLASSES = 65 };
    static uint8_t u8[ROWS];
    static int32_t i32[ROWS];
    static int64_t i64[ROWS];
    const void *targets[] = {u8, i32, i64};
    const syn_dtype dtypes[] = {SYN_U8, SYN_I32, SYN_I64};
    for (int r = 0; r < ROWS; r++)
        i64[r] = i32[r] = u8[r] = (uint8_t)(r * 7 % CLASSES);
    for (int type = F32; type < N_TYPES; type++)
        for (int t = 0; t < 3; t++)
            for (int smooth = 0; smooth < 2; smooth++) {
                void *x = array_random(type, ROWS * CLASSES, 1), *log_sum[2], *grad[2];
                double loss[2];
                syn_cross_entropy_args a = {ROWS,      CLASSES, x,           targets[t],
                                            dtypes[t], 14,      0.1 * smooth};

                for (int fast = 0; fast < 2; fast++) {
                    const syn_softmax_kernels *k =
                        &(fast ? syn_softmax_cpu : syn_softmax_ref)[type];
                    log_sum[fast] = array_new(type, ROWS);
                    grad[fast] = array_new(type, ROWS * CLASSES);
                    loss[fast] = k->cross_entropy(&a, log_sum[fast]);
                    k->cross_entropy_backward(&a, log_sum[fast], 2, grad[fast]);
                }

                assert_true(fabs(loss[0] - loss[1]) < (type == F32 ? 1e-3 : 1e-10));
                assert_arrays_close(type, log_sum[1], log_sum[0], ROWS, 8);
                assert_arrays_close(type, grad[1], grad[0], ROWS * CLASSES, 16);
                assert_true(array_at(type, grad[1], 2 * CLASSES) == 0); /* class 14 is ignored */
                for (int fast = 0; fast < 2; fast++) {
                    free(log_sum[fast]);
                    free(grad[fast]);
                }
                free(x);
            }
}

static void the_first_class_out_of_range_is_found(void **state)
{
    (void)state;
    const int64_t target[] = {0, -100, 2, 3, -1};
    int64_t n = 0;
    syn_cross_entropy_args a = {5, 4, NULL, target, SYN_I64, -100, 0};

    assert_int_equal(syn_target_find_invalid(&a, &n), 4);
    a.classes = 3;
    assert_int_equal(syn_target_find_invalid(&a, &n), 3);
    a.rows = 3;
    assert_int_equal(syn_target_find_invalid(&a, &n), -1);
    assert_int_equal(n, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fast_kernels_agree_with_the_loops),
        cmocka_unit_test(extreme_logits_stay_finite),
        cmocka_unit_test(nan_spreads_over_its_row_only),
        cmocka_unit_test(fast_cross_entropy_agrees_for_every_target_type),
        cmocka_unit_test(the_first_class_out_of_range_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
