/* Pooling and resampling kernels: fast against readable loops, known values, transposes. */
#include "worker/kernels/pool.h"
#include "tests/unit/worker/kernels/arrays.h"

static const syn_pool_dims shapes[] = {
    {.planes = 6, .h_in = 6, .w_in = 6, .h_out = 3, .w_out = 3, .kernel = {2, 2}, .stride = {2, 2}},
    {.planes = 5,
     .h_in = 29,
     .w_in = 35,
     .h_out = 14,
     .w_out = 17,
     .kernel = {2, 2},
     .stride = {2, 2}},
    {.planes = 3,
     .h_in = 7,
     .w_in = 5,
     .h_out = 4,
     .w_out = 3,
     .kernel = {3, 3},
     .stride = {2, 2},
     .padding = {1, 1},
     .count_padding = true},
    {.planes = 3,
     .h_in = 7,
     .w_in = 5,
     .h_out = 4,
     .w_out = 3,
     .kernel = {3, 3},
     .stride = {2, 2},
     .padding = {1, 1}},
    {.planes = 2, .h_in = 9, .w_in = 9, .h_out = 3, .w_out = 3, .kernel = {1, 1}, .stride = {4, 4}},
    {.planes = 2,
     .h_in = 5,
     .w_in = 6,
     .h_out = 3,
     .w_out = 3,
     .kernel = {2, 2},
     .stride = {2, 2},
     .divisor = 7}, /* the last row of windows sticks out, as with ceil_mode */
    {.planes = 0, .h_in = 4, .w_in = 4, .h_out = 2, .w_out = 2, .kernel = {2, 2}, .stride = {2, 2}},
    {.planes = 700,
     .h_in = 8,
     .w_in = 8,
     .h_out = 4,
     .w_out = 4,
     .kernel = {2, 2},
     .stride = {2, 2}},
};

static syn_pool_dims shape_at(size_t i)
{
    syn_pool_dims d = shapes[i];
    d.dilation[0] = d.dilation[1] = 1;
    return d;
}

static void compare_max(int type, const syn_pool_dims *d)
{
    int64_t n_in = d->planes * d->h_in * d->w_in, n_out = d->planes * d->h_out * d->w_out;
    void *x = array_random(type, n_in, 1), *grad = array_random(type, n_out, 2);
    void *y[2], *back[2], *taken[2];
    int32_t *index[2];

    for (int fast = 0; fast < 2; fast++) {
        const syn_pool_kernels *k = &(fast ? syn_pool_cpu : syn_pool_ref)[type];
        y[fast] = array_new(type, n_out);
        back[fast] = array_new(type, n_in);
        taken[fast] = array_new(type, n_out);
        index[fast] = calloc((size_t)n_out + 1, sizeof(int32_t));
        k->max(d, x, y[fast], index[fast]);
        k->max_backward(d, grad, index[fast], back[fast]);
        k->max_gather(d, x, index[fast], taken[fast]);
    }

    assert_arrays_close(type, y[1], y[0], n_out, 0);
    assert_arrays_close(type, back[1], back[0], n_in, 4);
    assert_arrays_close(type, taken[1], y[0], n_out, 0);
    assert_memory_equal(index[1], index[0], (size_t)n_out * sizeof(int32_t));
    for (int fast = 0; fast < 2; fast++) {
        free(y[fast]);
        free(back[fast]);
        free(taken[fast]);
        free(index[fast]);
    }
    free(x);
    free(grad);
}

static void fast_maximum_agrees_with_the_loops(void **state)
{
    (void)state;
    for (int type = F32; type < N_TYPES; type++)
        for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
            syn_pool_dims d = shape_at(i);
            compare_max(type, &d);
        }
}

static void dilated_maximum_agrees_with_the_loops(void **state)
{
    (void)state;
    syn_pool_dims d = {.planes = 2,
                       .h_in = 8,
                       .w_in = 9,
                       .h_out = 3,
                       .w_out = 3,
                       .kernel = {3, 3},
                       .stride = {2, 2},
                       .padding = {1, 1},
                       .dilation = {2, 2}};
    compare_max(F32, &d);
}

static void maximum_takes_the_first_of_equals_and_nan_above_all(void **state)
{
    (void)state;
    const float x[] = {1, 1, 5, NAN, 1, 1, 7, 9};
    syn_pool_dims d = {.planes = 1,
                       .h_in = 2,
                       .w_in = 4,
                       .h_out = 1,
                       .w_out = 2,
                       .kernel = {2, 2},
                       .stride = {2, 2},
                       .dilation = {1, 1}};
    for (int fast = 0; fast < 2; fast++) {
        float y[2];
        int32_t index[2];

        (fast ? syn_pool_cpu : syn_pool_ref)[F32].max(&d, x, y, index);

        assert_true(y[0] == 1 && index[0] == 0);
        assert_true(isnan(y[1]) && index[1] == 3);
    }
}

static void a_window_that_sees_nothing_gives_minus_infinity_and_no_gradient(void **state)
{
    (void)state;
    const float x[] = {1, 2};
    const float grad[] = {5};
    syn_pool_dims d = {.planes = 1,
                       .h_in = 1,
                       .w_in = 2,
                       .h_out = 1,
                       .w_out = 1,
                       .kernel = {1, 2},
                       .stride = {1, 1},
                       .padding = {0, 1},
                       .dilation = {1, 3}};
    for (int fast = 0; fast < 2; fast++) {
        const syn_pool_kernels *k = &(fast ? syn_pool_cpu : syn_pool_ref)[F32];
        float y[1], back[2];
        int32_t index[1];

        k->max(&d, x, y, index);
        k->max_backward(&d, grad, index, back);

        assert_true(isinf(y[0]) && y[0] < 0 && index[0] == -1);
        assert_true(back[0] == 0 && back[1] == 0);
    }
}

static void compare_average(int type, const syn_pool_dims *d, bool adaptive)
{
    int64_t n_in = d->planes * d->h_in * d->w_in, n_out = d->planes * d->h_out * d->w_out;
    void *x = array_random(type, n_in, 1), *grad = array_random(type, n_out, 2), *y[2], *back[2];
    double sums[2] = {0, 0};

    for (int fast = 0; fast < 2; fast++) {
        const syn_pool_kernels *k = &(fast ? syn_pool_cpu : syn_pool_ref)[type];
        y[fast] = array_new(type, n_out);
        back[fast] = array_new(type, n_in);
        (adaptive ? k->adaptive : k->average)(d, x, y[fast]);
        (adaptive ? k->adaptive_backward : k->average_backward)(d, grad, back[fast]);
    }

    assert_arrays_close(type, y[1], y[0], n_out, 64);
    assert_arrays_close(type, back[1], back[0], n_in, 64);
    for (int64_t i = 0; i < n_out; i++)
        sums[0] += array_at(type, y[0], i) * array_at(type, grad, i);
    for (int64_t i = 0; i < n_in; i++)
        sums[1] += array_at(type, back[0], i) * array_at(type, x, i);
    assert_true(fabs(sums[0] - sums[1]) <= (type == F32 ? 1e-3 : 1e-10));
    for (int fast = 0; fast < 2; fast++) {
        free(y[fast]);
        free(back[fast]);
    }
    free(x);
    free(grad);
}

static void fast_averages_agree_with_the_loops_and_their_transposes(void **state)
{
    (void)state;
    for (int type = F32; type < N_TYPES; type++)
        for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
            syn_pool_dims d = shape_at(i);
            compare_average(type, &d, false);
            compare_average(type, &d, true);
        }
}

/* Wider than the kernels' buffer for a row, with windows narrower and wider than that. */
static void wide_images_are_averaged_in_strips(void **state)
{
    (void)state;
    const int64_t windows[] = {3, 700};
    for (int i = 0; i < 2; i++) {
        syn_pool_dims d = {.planes = 2,
                           .h_in = 4,
                           .w_in = 2000,
                           .h_out = 2,
                           .w_out = (2000 - windows[i]) / 2 + 1,
                           .kernel = {2, windows[i]},
                           .stride = {2, 2},
                           .dilation = {1, 1},
                           .divisor = 16};
        compare_average(F64, &d, false);
        compare_average(F64, &d, true);
    }
}

static void padding_counts_only_where_asked(void **state)
{
    (void)state;
    const double x[] = {4, 4, 4, 4};
    double y[4];
    syn_pool_dims d = {.planes = 1,
                       .h_in = 2,
                       .w_in = 2,
                       .h_out = 1,
                       .w_out = 1,
                       .kernel = {3, 3},
                       .stride = {3, 3},
                       .padding = {1, 1},
                       .dilation = {1, 1}};

    syn_pool_cpu[F64].average(&d, x, y);
    assert_true(y[0] == 4);
    d.count_padding = true;
    syn_pool_cpu[F64].average(&d, x, y);
    assert_true(fabs(y[0] - 16.0 / 9) < 1e-15);
    d.divisor = 2;
    syn_pool_cpu[F64].average(&d, x, y);
    assert_true(y[0] == 8);
}

static void fast_resampling_agrees_with_the_loops(void **state)
{
    (void)state;
    const int64_t extents[][4] = {
        {4, 5, 8, 10}, {7, 3, 2, 9}, {1, 1, 4, 4}, {6, 6, 6, 6}, {5, 4, 1, 1}};
    for (int type = F32; type < N_TYPES; type++)
        for (size_t i = 0; i < sizeof(extents) / sizeof(*extents); i++)
            for (int mode = 0; mode < 4; mode++) {
                syn_resample_dims d = {.planes = 3,
                                       .h_in = extents[i][0],
                                       .w_in = extents[i][1],
                                       .h_out = extents[i][2],
                                       .w_out = extents[i][3],
                                       .bilinear = mode > 0,
                                       .align_corners = mode == 2};
                if (mode == 3)
                    d.scale[0] = d.scale[1] = 0.7;
                int64_t n_in = 3 * d.h_in * d.w_in, n_out = 3 * d.h_out * d.w_out;
                void *x = array_random(type, n_in, 1), *grad = array_random(type, n_out, 2);
                void *y[2], *back[2];

                for (int fast = 0; fast < 2; fast++) {
                    const syn_pool_kernels *k = &(fast ? syn_pool_cpu : syn_pool_ref)[type];
                    y[fast] = array_new(type, n_out);
                    back[fast] = array_new(type, n_in);
                    k->resample(&d, x, y[fast]);
                    k->resample_backward(&d, grad, back[fast]);
                }

                assert_arrays_close(type, y[1], y[0], n_out, 8);
                assert_arrays_close(type, back[1], back[0], n_in, 16);
                for (int fast = 0; fast < 2; fast++) {
                    free(y[fast]);
                    free(back[fast]);
                }
                free(x);
                free(grad);
            }
}

/* torch.nn.functional.interpolate(torch.tensor([[[1., 2.]]]), 4, mode="linear") and with
 * align_corners. */
static void known_linear_resampling(void **state)
{
    (void)state;
    const double x[] = {1, 2}, plain[] = {1, 1.25, 1.75, 2}, aligned[] = {1, 4.0 / 3, 5.0 / 3, 2};
    double y[4];
    syn_resample_dims d = {
        .planes = 1, .h_in = 1, .w_in = 2, .h_out = 1, .w_out = 4, .bilinear = true};

    syn_pool_cpu[F64].resample(&d, x, y);
    assert_arrays_close(F64, y, plain, 4, 1);
    d.align_corners = true;
    syn_pool_cpu[F64].resample(&d, x, y);
    assert_arrays_close(F64, y, aligned, 4, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fast_maximum_agrees_with_the_loops),
        cmocka_unit_test(dilated_maximum_agrees_with_the_loops),
        cmocka_unit_test(maximum_takes_the_first_of_equals_and_nan_above_all),
        cmocka_unit_test(a_window_that_sees_nothing_gives_minus_infinity_and_no_gradient),
        cmocka_unit_test(fast_averages_agree_with_the_loops_and_their_transposes),
        cmocka_unit_test(wide_images_are_averaged_in_strips),
        cmocka_unit_test(padding_counts_only_where_asked),
        cmocka_unit_test(fast_resampling_agrees_with_the_loops),
        cmocka_unit_test(known_linear_resampling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
