/* Pooling and resampling: extents with ceil_mode, places, refusals. */
#include "tests/unit/worker/tensor/support.h"

#include <syncline/op.h>

static int reset(void **state)
{
    (void)state;
    syn_clear_error();
    return 0;
}

static syn_tensor *image(int64_t h, int64_t w)
{
    return syn_reshape(syn_arange(h * w, SYN_F32), SYN_SHAPE(1, 1, h, w));
}

static void a_maximum_sends_its_gradient_to_its_place(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_requires_grad(image(2, 4));

        syn_tensor *y = syn_max_pool2d(x, (syn_pool_options){.kernel = {2, 2}});
        assert_int_equal(syn_backward(syn_sum(syn_mul(y, F32(3, 4)))), SYN_OK);

        ASSERT_VALUES(y, 5, 7);
        ASSERT_VALUES(syn_grad_of(x), 0, 0, 0, 0, 0, 3, 0, 4);
    }
}

static void places_are_counted_within_the_plane(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *results[2];
        syn_outputs outputs = {results, 2, 0};
        syn_tensor *x = syn_cat((syn_tensor *[]){image(2, 4), image(2, 4)}, 2, 1);
        const syn_named_value args[] = {{NULL, SYN_TENSOR_OF(x)}, {NULL, SYN_INT_OF(2)}};

        assert_true(syn_call_named("max_pool2d_with_indices", args, 2, &outputs));

        assert_int_equal(syn_tensor_dtype(results[1]), SYN_I64);
        ASSERT_VALUES(results[1], 5, 7, 5, 7);
    }
}

/* torch: MaxPool2d(2, ceil_mode=True) on 3 x 3, and AvgPool2d(3, 2, 1, ceil_mode=True) on 4 x 4. */
static void ceil_mode_adds_windows_that_start_inside(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *y = NULL, *x = image(3, 3);
        syn_outputs outputs = {&y, 1, 0};
        const syn_named_value max[] = {
            {NULL, SYN_TENSOR_OF(x)}, {NULL, SYN_INT_OF(2)}, {"ceil_mode", SYN_BOOL_OF(true)}};
        const syn_named_value average[] = {
            {NULL, SYN_TENSOR_OF(syn_ones(SYN_SHAPE(1, 4, 4), SYN_F64))},
            {NULL, SYN_INT_OF(3)},
            {"stride", SYN_INT_OF(2)},
            {"padding", SYN_INT_OF(1)},
            {"ceil_mode", SYN_BOOL_OF(true)}};

        assert_true(syn_call_named("max_pool2d", max, 3, &outputs));
        ASSERT_VALUES(y, 4, 5, 7, 8);
        assert_true(syn_call_named("avg_pool2d", average, 5, &outputs));
        assert_shape(y, SYN_SHAPE(1, 3, 3));
        assert_true(fabs(syn_item(syn_select(syn_select(syn_select(y, 0, 0), 0, 0), 0, 0)) -
                         4.0 / 9) < 1e-15);
    }
}

static void adaptive_windows_may_overlap(void **state)
{
    (void)state;
    SYN_SCOPE {
        ASSERT_VALUES(syn_adaptive_avg_pool2d(image(1, 5), 1, 3), 0.5, 2, 3.5);
        ASSERT_VALUES(syn_adaptive_avg_pool2d(image(2, 2), 1, 1), 1.5);
    }
}

static void nearest_repeats_and_bilinear_blends(void **state)
{
    (void)state;
    SYN_SCOPE {
        ASSERT_VALUES(syn_interpolate2d(image(1, 2), 1, 4, SYN_NEAREST, false), 0, 0, 1, 1);
        ASSERT_VALUES(syn_interpolate2d(image(1, 2), 1, 4, SYN_BILINEAR, false), 0, 0.25, 0.75, 1);
        ASSERT_VALUES(syn_interpolate2d(image(1, 3), 1, 5, SYN_BILINEAR, true), 0, 0.5, 1, 1.5, 2);
    }
}

static void impossible_windows_are_refused(void **state)
{
    (void)state;
    SYN_SCOPE {
        assert_null(
            syn_max_pool2d(image(3, 3), (syn_pool_options){.kernel = {2, 2}, .padding = {2, 0}}));
        assert_sticks("padding 2 is more than half the kernel's extent 2");
        assert_null(syn_avg_pool2d(image(3, 3), (syn_pool_options){.kernel = {4, 4}}));
        assert_sticks("the window spans 4 of the padded image's 3 elements along axis 0");
        assert_null(syn_avg_pool2d(image(3, 3), (syn_pool_options){.kernel = {0, 1}}));
        assert_sticks("kernel_size is 0; it has to be at least 1");
        assert_null(syn_max_pool2d(syn_arange(4, SYN_F32), (syn_pool_options){.kernel = {1, 1}}));
        assert_sticks("the input has 1 axes");
        assert_null(syn_interpolate2d(image(2, 2), 0, 3, SYN_NEAREST, false));
        assert_sticks("size is 0");
        assert_null(syn_max_pool2d(syn_zeros(SYN_SHAPE(1, 0, 3, 3), SYN_F32),
                                   (syn_pool_options){.kernel = {1, 1}}));
        assert_sticks("only the batch may be empty");
    }
}

/* What a backward operator is given from outside is checked: places decide where it writes. */
static void places_outside_the_plane_are_refused(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *y = NULL, *places = syn_to(I64(9), SYN_I32);
        syn_outputs outputs = {&y, 1, 0};
        const int64_t size[] = {1, 1, 3, 3};
        const syn_named_value args[] = {
            {NULL, SYN_TENSOR_OF(syn_reshape(F32(1), SYN_SHAPE(1, 1, 1, 1)))},
            {NULL, SYN_TENSOR_OF(syn_reshape(places, SYN_SHAPE(1, 1, 1, 1)))},
            {NULL, SYN_INTS_OF(size, 4)}};

        assert_false(syn_call_named("max_pool2d_backward", args, 3, &outputs));
        assert_sticks("place 9 is outside a plane of 9 elements");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_maximum_sends_its_gradient_to_its_place, reset),
        cmocka_unit_test_setup(places_are_counted_within_the_plane, reset),
        cmocka_unit_test_setup(ceil_mode_adds_windows_that_start_inside, reset),
        cmocka_unit_test_setup(adaptive_windows_may_overlap, reset),
        cmocka_unit_test_setup(nearest_repeats_and_bilinear_blends, reset),
        cmocka_unit_test_setup(impossible_windows_are_refused, reset),
        cmocka_unit_test_setup(places_outside_the_plane_are_refused, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
