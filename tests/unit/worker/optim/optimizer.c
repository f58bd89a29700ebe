/* Optimizers: the numbers of torch.optim, state that survives a checkpoint, refusals. */
#include "tests/unit/worker/optim/support.h"

/* Element 0 of parameter "a" (1 at first) after `n` steps with gradient 0.5 everywhere. */
static double run(syn_optimizer *optimizer, syn_module *module, int n)
{
    assert_non_null(optimizer);
    for (int i = 0; i < n; i++) {
        set_grad(parameter(module, 0), 0.5);
        set_grad(parameter(module, 1), 0.5);
        syn_optimizer_step(optimizer);
    }
    double value = at(parameter(module, 0), 0);
    syn_optimizer_free(optimizer);
    syn_module_free(module);
    return value;
}

static double run_sgd(syn_sgd_options options, int n)
{
    syn_module *module = make_module(SYN_F64);

    return run(syn_sgd(syn_module_parameters(module), options), module, n);
}

static void sgd_follows_the_gradient(void **state)
{
    (void)state;

    assert_near(run_sgd((syn_sgd_options){.lr = 0.1}, 1), 0.95, 1e-15);
    assert_near(run_sgd((syn_sgd_options){0}, 1), 0.995, 1e-15);
    assert_near(run_sgd((syn_sgd_options){.lr = 0.1, .maximize = true}, 1), 1.05, 1e-15);
    assert_near(run_sgd((syn_sgd_options){.lr = 0.1, .weight_decay = 0.1}, 1), 0.94, 1e-15);
}

static void momentum_starts_with_the_whole_gradient(void **state)
{
    (void)state;

    syn_sgd_options options = {.lr = 0.1, .momentum = 0.9, .dampening = 0.5};
    assert_near(run_sgd(options, 1), 0.95, 1e-15); /* buffer 0.5, not 0.25 */
    assert_near(run_sgd(options, 2), 0.88, 1e-15); /* 0.9 * 0.5 + 0.5 * 0.5 = 0.7 */
}

static void nesterov_looks_ahead(void **state)
{
    (void)state;

    syn_sgd_options options = {.lr = 0.1, .momentum = 0.9, .nesterov = true};
    assert_near(run_sgd(options, 1), 0.905, 1e-15);  /* 0.5 + 0.9 * 0.5 */
    assert_near(run_sgd(options, 2), 0.7695, 1e-15); /* 0.5 + 0.9 * 0.95 */
}

static double run_adam(syn_adam_options options, bool decoupled, int n)
{
    syn_module *module = make_module(SYN_F64);
    syn_parameters parameters = syn_module_parameters(module);

    return run(decoupled ? syn_adamw(parameters, options) : syn_adam(parameters, options), module,
               n);
}

/* With a constant gradient both corrected moments are exact, so that every step is lr * g / (|g| +
 * eps). */
static void adam_corrects_its_moments(void **state)
{
    (void)state;

    double step = 1e-3 * 0.5 / (0.5 + 1e-8);
    assert_near(run_adam((syn_adam_options){0}, false, 1), 1 - step, 1e-15);
    assert_near(run_adam((syn_adam_options){0}, false, 5), 1 - 5 * step, 1e-14);
    assert_near(run_adam((syn_adam_options){.amsgrad = true}, false, 1), 1 - step, 1e-15);
}

static void adam_adds_the_decay_to_the_gradient_and_adamw_shrinks_the_weight(void **state)
{
    (void)state;

    syn_adam_options options = {.lr = 0.1, .weight_decay = 0.2, .eps = 0.5};
    assert_near(run_adam(options, false, 1), 1 - 0.1 * 0.7 / (0.7 + 0.5), 1e-15);
    assert_near(run_adam(options, true, 1), 0.98 - 0.1 * 0.5 / (0.5 + 0.5), 1e-15);
}

static void rmsprop_and_adagrad_divide_by_roots(void **state)
{
    syn_module *module = make_module(SYN_F64);
    (void)state;

    syn_rmsprop_options rmsprop = {.lr = 0.1, .alpha = 0.75};
    double value = run(syn_rmsprop(syn_module_parameters(module), rmsprop), module, 1);
    assert_near(value, 1 - 0.1 * 0.5 / (0.25 + 1e-8), 1e-15);
    module = make_module(SYN_F64);
    syn_adagrad_options adagrad = {.lr = 0.1, .lr_decay = 1};
    value = run(syn_adagrad(syn_module_parameters(module), adagrad), module, 2);
    assert_near(value, 1 - 0.1 - 0.05 / sqrt(2), 1e-9);
}

static void only_matrices_decay_when_asked(void **state)
{
    syn_module *module = make_module(SYN_F64);
    syn_sgd_options options = {.lr = 0.1, .weight_decay = 0.5, .decay_2d_only = true};
    syn_optimizer *optimizer = syn_sgd(syn_module_parameters(module), options);
    (void)state;
    set_grad(parameter(module, 0), 0);
    set_grad(parameter(module, 1), 0);

    syn_optimizer_step(optimizer);

    assert_near(at(parameter(module, 0), 1), 1.9, 1e-15);
    assert_near(at(parameter(module, 1), 1), 2, 0);
    syn_optimizer_free(optimizer);
    syn_module_free(module);
}

static void a_parameter_without_gradient_is_left_alone(void **state)
{
    syn_module *module = make_module(SYN_F32);
    syn_optimizer *optimizer = syn_adamw(syn_module_parameters(module), (syn_adam_options){0});
    (void)state;
    set_grad(parameter(module, 1), 1);

    syn_optimizer_step(optimizer);

    assert_near(at(parameter(module, 0), 0), 1, 0);
    assert_near(at(parameter(module, 1), 0), 0.999, 1e-6);
    assert_int_equal(syn_optimizer_get_step(optimizer), 1);
    syn_optimizer_zero_grad(optimizer);
    assert_null(syn_grad_of(parameter(module, 0)));
    syn_optimizer_free(optimizer);
    syn_module_free(module);
}

static void a_parameter_that_is_a_transposed_view_is_updated_in_place(void **state)
{
    syn_module *module = syn_module_new("View", NULL, NULL, NULL);
    (void)state;
    SYN_SCOPE {
        syn_tensor *base = syn_reshape(syn_arange(6, SYN_F64), SYN_SHAPE(2, 3));
        syn_tensor *view = syn_keep(syn_transpose(base, 0, 1));
        syn_tensor *param = syn_module_add_parameter(module, "w", view);
        assert_non_null(param);
        syn_tensor *grad = syn_reshape(syn_arange(6, SYN_F64), SYN_SHAPE(3, 2));
        assert_int_equal(syn_set_grad(param, grad), SYN_OK);
        syn_optimizer *optimizer =
            syn_sgd(syn_module_parameters(module), (syn_sgd_options){.lr = 1});

        syn_optimizer_step(optimizer);

        /* base[i][j] - grad[j][i] */
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < 3; j++)
                assert_near(at(base, 3 * i + j), 3 * i + j - (2 * j + i), 0);
        syn_optimizer_free(optimizer);
    }
    syn_module_free(module);
}

/* ---- Checkpoints ---- */

static syn_optimizer *make_kind(int kind, syn_module *module)
{
    syn_parameters p = syn_module_parameters(module);

    switch (kind) {
    case 0:
        return syn_sgd(p, (syn_sgd_options){.momentum = 0.9, .dampening = 0.3});
    case 1:
        return syn_adam(p, (syn_adam_options){.amsgrad = true, .weight_decay = 0.1});
    case 2:
        return syn_adamw(p, (syn_adam_options){.weight_decay = 0.1});
    case 3:
        return syn_rmsprop(p, (syn_rmsprop_options){.momentum = 0.9, .centered = true});
    default:
        return syn_adagrad(p, (syn_adagrad_options){.lr_decay = 0.1});
    }
}

static void step_with(syn_optimizer *optimizer, syn_module *module, int number)
{
    set_grad(parameter(module, 0), 0.3 * number - 1);
    set_grad(parameter(module, 1), 2 - 0.7 * number);
    syn_optimizer_step(optimizer);
}

static void copy_list(syn_parameters from, syn_parameters to)
{
    assert_int_equal(from.n, to.n);
    for (int i = 0; i < from.n; i++) {
        assert_string_equal(from.items[i].name, to.items[i].name);
        assert_int_equal(
            syn_tensor_write(to.items[i].tensor, syn_tensor_data(from.items[i].tensor)), SYN_OK);
    }
}

static void a_run_resumed_from_its_state_has_the_same_bits(void **state)
{
    (void)state;

    for (int kind = 0; kind < 5; kind++) {
        syn_module *whole = make_module(SYN_F32), *resumed = make_module(SYN_F32);
        syn_optimizer *a = make_kind(kind, whole), *b = make_kind(kind, resumed);
        for (int i = 0; i < 3; i++)
            step_with(a, whole, i);
        copy_list(syn_module_parameters(whole), syn_module_parameters(resumed));
        copy_list(syn_optimizer_state(a), syn_optimizer_state(b));
        syn_optimizer_set_step(b, syn_optimizer_get_step(a));

        for (int i = 3; i < 6; i++) {
            step_with(a, whole, i);
            step_with(b, resumed, i);
        }

        for (int p = 0; p < 2; p++)
            assert_memory_equal(syn_tensor_data(parameter(whole, p)),
                                syn_tensor_data(parameter(resumed, p)), 3 * sizeof(float));
        assert_int_equal(syn_optimizer_get_step(b), 6);
        syn_optimizer_free(a);
        syn_optimizer_free(b);
        syn_module_free(whole);
        syn_module_free(resumed);
    }
}

static void state_is_listed_by_parameter_under_torchs_names(void **state)
{
    syn_module *module = make_module(SYN_F32);
    syn_optimizer *optimizer =
        syn_adam(syn_module_parameters(module), (syn_adam_options){.amsgrad = true});
    syn_parameters list = syn_optimizer_state(optimizer);
    const char *names[] = {"exp_avg.a", "exp_avg_sq.a", "max_exp_avg_sq.a",
                           "exp_avg.b", "exp_avg_sq.b", "max_exp_avg_sq.b"};
    (void)state;

    assert_int_equal(list.n, 6);
    for (int i = 0; i < 6; i++)
        assert_string_equal(list.items[i].name, names[i]);
    assert_int_equal(syn_tensor_ndim(list.items[0].tensor), 2);
    assert_near(at(list.items[5].tensor, 2), 0, 0);
    syn_optimizer_free(optimizer);
    optimizer = syn_sgd(syn_module_parameters(module), (syn_sgd_options){0});
    assert_int_equal(syn_optimizer_state(optimizer).n, 0);
    syn_optimizer_free(optimizer);
    syn_module_free(module);
}

/* ---- Refusals ---- */

static void impossible_options_are_refused(void **state)
{
    syn_module *module = make_module(SYN_F32);
    syn_parameters p = syn_module_parameters(module);
    (void)state;

    assert_null(syn_sgd(p, (syn_sgd_options){.lr = -1}));
    assert_sticks("SGD: lr is -1, it must not be negative");
    assert_null(syn_sgd(p, (syn_sgd_options){.lr = NAN}));
    assert_sticks("SGD: lr is nan");
    assert_null(syn_sgd(p, (syn_sgd_options){.nesterov = true}));
    assert_sticks("SGD: nesterov needs a momentum above 0 and no dampening, not 0 and 0");
    assert_null(syn_adam(p, (syn_adam_options){.beta1 = 1, .beta2 = 0.9}));
    assert_sticks("Adam: beta1 is 1, it must be at least 0 and below 1");
    assert_null(syn_adamw(p, (syn_adam_options){.weight_decay = -0.1}));
    assert_sticks("AdamW: weight_decay is -0.1");
    assert_null(syn_rmsprop(p, (syn_rmsprop_options){.momentum = -1}));
    assert_sticks("RMSprop: momentum is -1");
    assert_null(syn_adagrad(p, (syn_adagrad_options){.eps = -1}));
    assert_sticks("Adagrad: eps is -1");
    assert_null(syn_sgd((syn_parameters){0}, (syn_sgd_options){0}));
    assert_sticks("SGD: there are no parameters to optimize");
    syn_module_free(module);
}

static void a_null_optimizer_is_harmless(void **state)
{
    (void)state;

    syn_optimizer_step(NULL);
    syn_optimizer_zero_grad(NULL);
    syn_optimizer_set_lr(NULL, 1);
    assert_int_equal(syn_optimizer_state(NULL).n, 0);
    syn_optimizer_free(NULL);
}

static void a_failing_allocation_is_an_error_wherever_it_happens(void **state)
{
    (void)state;

    for (long n = 1;; n++) {
        syn_module *module = make_module(SYN_F32);
        syn_parameters p = syn_module_parameters(module);
        set_grad(parameter(module, 0), 1);
        set_grad(parameter(module, 1), 1);
        syn_mem_fail_after(n);
        syn_optimizer *optimizer = syn_adam(p, (syn_adam_options){.amsgrad = true});
        syn_optimizer_step(optimizer);
        int n_states = syn_optimizer_state(optimizer).n;
        int failed = syn_mem_has_failed();
        syn_mem_fail_after(0);
        if (failed)
            assert_sticks("out of memory");
        else
            assert_int_equal(n_states, 6);
        syn_optimizer_free(optimizer);
        syn_module_free(module);
        if (!failed)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sgd_follows_the_gradient),
        cmocka_unit_test(momentum_starts_with_the_whole_gradient),
        cmocka_unit_test(nesterov_looks_ahead),
        cmocka_unit_test(adam_corrects_its_moments),
        cmocka_unit_test(adam_adds_the_decay_to_the_gradient_and_adamw_shrinks_the_weight),
        cmocka_unit_test(rmsprop_and_adagrad_divide_by_roots),
        cmocka_unit_test(only_matrices_decay_when_asked),
        cmocka_unit_test(a_parameter_without_gradient_is_left_alone),
        cmocka_unit_test(a_parameter_that_is_a_transposed_view_is_updated_in_place),
        cmocka_unit_test(a_run_resumed_from_its_state_has_the_same_bits),
        cmocka_unit_test(state_is_listed_by_parameter_under_torchs_names),
        cmocka_unit_test(impossible_options_are_refused),
        cmocka_unit_test(a_null_optimizer_is_harmless),
        cmocka_unit_test(a_failing_allocation_is_an_error_wherever_it_happens),
    };
    int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    return n_failed ? n_failed : syn_finish();
}
