/* Gradient norms and clipping. */
#include "tests/unit/worker/optim/support.h"

static void the_norm_is_that_of_all_gradients_together(void **state)
{
    (void)state;

    for (int k = 0; k < 2; k++) {
        syn_module *module = make_module(k ? SYN_F64 : SYN_F32);
        set_grad(parameter(module, 0), 3); /* 4 elements */
        set_grad(parameter(module, 1), 4); /* 3 elements */
        assert_near(syn_grad_norm(syn_module_parameters(module)), sqrt(36 + 48), 1e-14);
        syn_module_free(module);
    }
}

static void parameters_without_gradient_count_as_zero(void **state)
{
    syn_module *module = make_module(SYN_F32);
    (void)state;

    assert_near(syn_grad_norm(syn_module_parameters(module)), 0, 0);
    assert_near(syn_clip_grad_norm(syn_module_parameters(module), 1), 0, 0);
    set_grad(parameter(module, 1), 2);
    assert_near(syn_grad_norm(syn_module_parameters(module)), sqrt(12), 1e-14);
    syn_module_free(module);
}

static void gradients_above_the_limit_are_scaled_to_it(void **state)
{
    syn_module *module = make_module(SYN_F64);
    double norm = sqrt(84);
    (void)state;
    set_grad(parameter(module, 0), 3);
    set_grad(parameter(module, 1), 4);

    assert_near(syn_clip_grad_norm(syn_module_parameters(module), 2), norm, 1e-14);

    assert_near(at(syn_grad_of(parameter(module, 0)), 3), 3 * 2 / (norm + 1e-6), 1e-15);
    assert_near(syn_grad_norm(syn_module_parameters(module)), 2, 1e-6);
    syn_module_free(module);
}

static void gradients_below_the_limit_keep_their_bits(void **state)
{
    syn_module *module = make_module(SYN_F32);
    (void)state;
    set_grad(parameter(module, 0), 0.1);

    assert_near(syn_clip_grad_norm(syn_module_parameters(module), 2), 0.2, 1e-8);

    assert_near(at(syn_grad_of(parameter(module, 0)), 0), (double)0.1f, 0);
    syn_module_free(module);
}

static void a_gradient_that_is_a_strided_view_is_clipped_too(void **state)
{
    syn_module *module = make_module(SYN_F64);
    (void)state;
    SYN_SCOPE {
        syn_tensor *base = syn_full(SYN_SHAPE(2, 2), 3, SYN_F64);
        assert_int_equal(syn_set_grad(parameter(module, 0), syn_transpose(base, 0, 1)), SYN_OK);
        assert_near(syn_clip_grad_norm(syn_module_parameters(module), 1.5), 6, 1e-14);
        assert_near(at(base, 2), 0.75, 1e-6);
    }
    syn_module_free(module);
}

static void a_norm_that_is_not_a_number_is_reported(void **state)
{
    syn_module *module = make_module(SYN_F32);
    (void)state;
    set_grad(parameter(module, 0), NAN);

    assert_true(isnan(syn_grad_norm(syn_module_parameters(module))));
    set_grad(parameter(module, 0), INFINITY);
    assert_true(isinf(syn_grad_norm(syn_module_parameters(module))));
    syn_module_free(module);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_norm_is_that_of_all_gradients_together),
        cmocka_unit_test(parameters_without_gradient_count_as_zero),
        cmocka_unit_test(gradients_above_the_limit_are_scaled_to_it),
        cmocka_unit_test(gradients_below_the_limit_keep_their_bits),
        cmocka_unit_test(a_gradient_that_is_a_strided_view_is_clipped_too),
        cmocka_unit_test(a_norm_that_is_not_a_number_is_reported),
    };
    int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    return n_failed ? n_failed : syn_finish();
}
