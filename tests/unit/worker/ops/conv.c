/* Convolutions: known values, extents, refusals. Gradients are checked with every operator's
 * samples. */
#include "tests/unit/worker/tensor/support.h"

#include <syncline/op.h>

static int reset(void **state)
{
    (void)state;
    syn_clear_error();
    return 0;
}

static syn_tensor *ones(syn_shape shape)
{
    return syn_ones(shape, SYN_F32);
}

static void a_kernel_of_ones_sums_its_window(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_reshape(syn_arange(9, SYN_F32), SYN_SHAPE(1, 1, 3, 3));
        syn_tensor *w = ones(SYN_SHAPE(1, 1, 2, 2));

        ASSERT_VALUES(syn_conv2d(x, w, F32(0.5F), (syn_conv_options){0}), 8.5, 12.5, 20.5, 24.5);
        ASSERT_VALUES(
            syn_conv2d(x, w, NULL, (syn_conv_options){.stride = {2, 2}, .padding = {1, 1}}), 0, 3,
            9, 24);
    }
}

static void a_transposed_convolution_spreads_each_pixel(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_reshape(F32(1, 2, 3, 4), SYN_SHAPE(1, 1, 2, 2));
        syn_tensor *y =
            syn_conv_transpose2d(x, ones(SYN_SHAPE(1, 1, 2, 2)), F32(1),
                                 (syn_conv_options){.stride = {2, 2}, .output_padding = {0, 1}});

        assert_shape(y, SYN_SHAPE(1, 1, 4, 5));
        ASSERT_VALUES(y, 2, 2, 3, 3, 1, 2, 2, 3, 3, 1, 4, 4, 5, 5, 1, 4, 4, 5, 5, 1);
    }
}

static void an_image_without_a_batch_gives_one(void **state)
{
    (void)state;
    SYN_SCOPE {
        assert_shape(syn_conv2d(ones(SYN_SHAPE(3, 5, 4)), ones(SYN_SHAPE(2, 3, 2, 2)), NULL,
                                (syn_conv_options){0}),
                     SYN_SHAPE(2, 4, 3));
        assert_shape(syn_conv2d(ones(SYN_SHAPE(0, 3, 5, 4)), ones(SYN_SHAPE(2, 3, 2, 2)), NULL,
                                (syn_conv_options){0}),
                     SYN_SHAPE(0, 2, 4, 3));
    }
}

static void padding_may_be_a_word(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = ones(SYN_SHAPE(1, 1, 3, 3)), *w = ones(SYN_SHAPE(1, 1, 2, 2)), *y = NULL;
        syn_outputs outputs = {&y, 1, 0};
        syn_named_value args[] = {
            {NULL, SYN_TENSOR_OF(x)}, {NULL, SYN_TENSOR_OF(w)}, {"padding", SYN_STRING_OF("same")}};

        assert_true(syn_call_named("conv2d", args, 3, &outputs));
        ASSERT_VALUES(y, 4, 4, 2, 4, 4, 2, 2, 2,
                      1); /* the odd row and column are on the far side */
        args[2].value.string = "wide";
        assert_false(syn_call_named("conv2d", args, 3, &outputs));
        assert_sticks("padding is \"wide\"");
    }
}

static void shapes_that_do_not_fit_are_refused_with_both(void **state)
{
    (void)state;
    const syn_conv_options plain = {0}, two_groups = {.groups = 2}, negative = {.padding = {-1, 0}};
    SYN_SCOPE {
        syn_tensor *x = ones(SYN_SHAPE(2, 4, 5, 5));

        assert_null(syn_conv2d(x, ones(SYN_SHAPE(6, 3, 3, 3)), NULL, plain));
        assert_sticks("conv2d: (2, 4, 5, 5) x (6, 3, 3, 3): the weight takes 3 channels");
        assert_null(syn_conv2d(x, ones(SYN_SHAPE(3, 2, 3, 3)), NULL, two_groups));
        assert_sticks("3 output channels do not divide into 2 groups");
        assert_null(syn_conv2d(x, ones(SYN_SHAPE(6, 4, 7, 3)), NULL, plain));
        assert_sticks("the kernel spans 7 of the padded image's 5 elements along axis 0");
        assert_null(syn_conv2d(x, ones(SYN_SHAPE(6, 4, 3, 3)), F32(1, 2), plain));
        assert_sticks("the bias has to be of shape (6)");
        assert_null(syn_conv2d(x, ones(SYN_SHAPE(6, 4, 3, 3)), NULL, negative));
        assert_sticks("padding is -1; it has to be at least 0");
        assert_null(syn_conv2d(ones(SYN_SHAPE(4, 5)), ones(SYN_SHAPE(6, 4, 3, 3)), NULL, plain));
        assert_sticks("the image has 2 axes");
        assert_null(syn_conv_transpose2d(x, ones(SYN_SHAPE(4, 2, 3, 3)), NULL,
                                         (syn_conv_options){.output_padding = {1, 1}}));
        assert_sticks("output_padding 1 has to be smaller");
        assert_null(syn_conv2d(syn_to(x, SYN_F64), ones(SYN_SHAPE(6, 4, 3, 3)), NULL, plain));
        assert_sticks("dtypes f64 and f32 differ");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_kernel_of_ones_sums_its_window, reset),
        cmocka_unit_test_setup(a_transposed_convolution_spreads_each_pixel, reset),
        cmocka_unit_test_setup(an_image_without_a_batch_gives_one, reset),
        cmocka_unit_test_setup(padding_may_be_a_word, reset),
        cmocka_unit_test_setup(shapes_that_do_not_fit_are_refused_with_both, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
