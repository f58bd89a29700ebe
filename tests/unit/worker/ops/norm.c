/* Normalisation: running statistics, agreement of the fused gradient with the one by operators,
 * refusals. */
#include "tests/unit/worker/tensor/support.h"

#include <syncline/random.h>

static int reset(void **state)
{
    (void)state;
    syn_clear_error();
    syn_manual_seed(1);
    return 0;
}

static void assert_near(syn_tensor *a, syn_tensor *b, double tolerance)
{
    syn_tensor *distance = syn_amax(syn_reshape(syn_abs(syn_sub(a, b)), SYN_SHAPE(-1)), 0, false);
    if (!(syn_item(distance) <= tolerance))
        fail_msg("the distance is %g %s", syn_item(distance), syn_error());
}

/* momentum 0.1: running = 0.9 running + 0.1 batch, the variance unbiased. */
static void training_moves_the_running_statistics(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_reshape(F64(1, 3, 2, 10), SYN_SHAPE(4, 1));
        syn_tensor *mean = syn_zeros(SYN_SHAPE(1), SYN_F64), *var = syn_ones(SYN_SHAPE(1), SYN_F64);

        syn_tensor *y = syn_batch_norm(x, NULL, NULL, mean, var, true, 0.1, 0);

        assert_near(mean, F64(0.4), 1e-15);
        assert_near(var, F64(0.9 + 0.1 * 50 / 3), 1e-14);
        assert_near(syn_sum(y), F64(0), 1e-14);
        assert_near(syn_mean(syn_square(y)), F64(1), 1e-14);
    }
}

static void evaluation_uses_them_and_leaves_them_alone(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_reshape(F64(1, 3), SYN_SHAPE(2, 1)), *mean = F64(1), *var = F64(4);

        ASSERT_VALUES(syn_batch_norm(x, F64(2), F64(5), mean, var, false, 0.1, 0), 5, 7);

        ASSERT_VALUES(mean, 1);
        ASSERT_VALUES(var, 4);
    }
}

/* The gradients of x, weight and bias of sum(norm(x)^3), fused and by operators (recorded once
 * more). */
static void compare_gradients(syn_tensor *(*norm)(syn_tensor *const *inputs))
{
    syn_tensor *inputs[] = {syn_randn(SYN_SHAPE(6, 4, 5), SYN_F64),
                            syn_randn(SYN_SHAPE(4), SYN_F64), syn_randn(SYN_SHAPE(4), SYN_F64)};
    syn_tensor *grads[2][3];
    for (int i = 0; i < 3; i++)
        syn_requires_grad(inputs[i]);

    for (int recorded = 0; recorded < 2; recorded++) {
        syn_tensor *y = norm(inputs), *loss = syn_sum(syn_mul(syn_square(y), y));
        assert_int_equal(syn_grad(loss, inputs, 3, (syn_backward_options){.create_graph = recorded},
                                  grads[recorded]),
                         SYN_OK);
    }

    for (int i = 0; i < 3; i++)
        assert_near(grads[0][i], grads[1][i], 1e-11);
}

static syn_tensor *batch_norm_of(syn_tensor *const *inputs)
{
    return syn_batch_norm(inputs[0], inputs[1], inputs[2], NULL, NULL, true, 0.1, 1e-5);
}

static syn_tensor *group_norm_of(syn_tensor *const *inputs)
{
    return syn_group_norm(inputs[0], 2, inputs[1], inputs[2], 1e-5);
}

static syn_tensor *layer_norm_of(syn_tensor *const *inputs)
{
    return syn_layer_norm(syn_transpose(inputs[0], 1, 2), 1, inputs[1], inputs[2], 1e-5);
}

static void fused_gradients_agree_with_those_by_operators(void **state)
{
    (void)state;
    SYN_SCOPE {
        compare_gradients(batch_norm_of);
        compare_gradients(group_norm_of);
        compare_gradients(layer_norm_of);
    }
}

static void shapes_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_ones(SYN_SHAPE(2, 6), SYN_F32);

        assert_null(syn_group_norm(x, 4, NULL, NULL, 1e-5));
        assert_sticks("6 channels do not divide into 4 groups");
        assert_null(syn_layer_norm(x, 1, F32(1, 2), NULL, 1e-5));
        assert_sticks("the weight has to be of shape (6)");
        assert_null(syn_batch_norm(x, NULL, NULL, NULL, NULL, false, 0.1, 1e-5));
        assert_sticks("evaluation needs running_mean and running_var");
        assert_null(
            syn_batch_norm(syn_slice(x, 0, 0, 1, 1), NULL, NULL, NULL, NULL, true, 0.1, 1e-5));
        assert_sticks("training needs more than one value a channel");
        assert_null(syn_batch_norm(x, F32(1), NULL, NULL, NULL, true, 0.1, 1e-5));
        assert_sticks("weight has to be of shape (6)");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(training_moves_the_running_statistics, reset),
        cmocka_unit_test_setup(evaluation_uses_them_and_leaves_them_alone, reset),
        cmocka_unit_test_setup(fused_gradients_agree_with_those_by_operators, reset),
        cmocka_unit_test_setup(shapes_that_do_not_fit_are_refused, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
