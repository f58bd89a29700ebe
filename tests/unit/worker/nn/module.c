/* The module tree: names, ownership, modes, conversion, printing. */
#include "worker/nn/module.h"

#include "tests/unit/worker/nn/support.h"

static syn_tensor *ones(int64_t n)
{
    syn_tensor *tensor = NULL;

    SYN_SCOPE {
        tensor = syn_keep(syn_ones(SYN_SHAPE(n), SYN_F32));
    }
    return tensor;
}

static syn_module *leaf(int64_t n)
{
    syn_module *module = syn_module_new("Leaf", NULL, NULL, NULL);

    assert_non_null(syn_module_add_parameter(module, "w", ones(n)));
    return module;
}

static void names_are_paths_in_registration_order(void **state)
{
    syn_module *root = syn_module_new("Root", NULL, NULL, NULL);
    (void)state;
    assert_non_null(syn_module_add_child(root, "first", leaf(1)));
    assert_non_null(syn_module_add_parameter(root, "own", ones(2)));
    assert_non_null(syn_module_add_buffer(root, "count", ones(3)));
    syn_module *inner = syn_module_add_child(root, "second", leaf(4));

    assert_names(syn_module_parameters(root), "own first.w second.w");
    assert_names(syn_module_buffers(root), "count");
    assert_non_null(syn_module_add_child(inner, "deep", leaf(5)));
    assert_names(syn_module_parameters(root), "own first.w second.w second.deep.w");
    assert_names(syn_module_parameters(inner), "w deep.w");
    assert_true(syn_tensor_requires_grad(syn_module_parameters(root).items[0].tensor));
    assert_false(syn_tensor_requires_grad(syn_module_buffers(root).items[0].tensor));
    syn_module_free(root);
}

static void a_tied_parameter_is_listed_once(void **state)
{
    syn_module *root = syn_module_new("Root", NULL, NULL, NULL);
    (void)state;
    syn_module *a = syn_module_add_child(root, "a", leaf(2));
    syn_module *b = syn_module_add_child(root, "b", leaf(3));
    syn_tensor *shared = syn_module_parameters(a).items[0].tensor;

    assert_non_null(syn_module_add_parameter(b, "tied", syn_tensor_ref(shared)));

    assert_names(syn_module_parameters(root), "a.w b.w");
    assert_names(syn_module_parameters(b), "w tied");
    syn_module_free(root);
}

static void conversion_keeps_ties_gradients_and_integers(void **state)
{
    syn_module *root = syn_module_new("Root", NULL, NULL, NULL);
    (void)state;
    syn_module *a = syn_module_add_child(root, "a", leaf(2));
    syn_module *b = syn_module_add_child(root, "b", leaf(3));
    syn_tensor *shared = syn_module_parameters(a).items[0].tensor;
    assert_non_null(syn_module_add_parameter(b, "tied", syn_tensor_ref(shared)));
    SYN_SCOPE {
        syn_tensor *count = syn_keep(syn_zeros(SYN_SCALAR, SYN_I64));
        assert_non_null(syn_module_add_buffer(b, "count", count));
    }

    assert_int_equal(syn_module_to(root, SYN_F64), SYN_OK);

    syn_tensor *of_a = syn_module_parameters(a).items[0].tensor;
    syn_tensor *of_b = syn_module_parameters(b).items[1].tensor;
    assert_ptr_equal(of_a, of_b);
    assert_int_equal(syn_tensor_dtype(of_a), SYN_F64);
    assert_true(syn_tensor_requires_grad(of_a));
    assert_true(((double *)syn_tensor_data(of_a))[1] == 1);
    assert_int_equal(syn_tensor_dtype(syn_module_buffers(root).items[0].tensor), SYN_I64);
    assert_names(syn_module_parameters(root), "a.w b.w");
    assert_int_equal(syn_module_to(root, SYN_I32), SYN_INVALID_ARGUMENT);
    syn_module_free(root);
}

static void names_are_unique_and_not_empty(void **state)
{
    syn_module *root = syn_module_new("Root", NULL, NULL, NULL);
    (void)state;
    assert_non_null(syn_module_add_parameter(root, "w", ones(1)));

    assert_null(syn_module_add_parameter(root, "w", ones(2)));
    assert_sticks("Root: there already is a w in it");
    assert_null(syn_module_add_buffer(root, "w", ones(2)));
    assert_sticks("already");
    assert_null(syn_module_add_child(root, "w", leaf(2)));
    assert_sticks("already");
    assert_null(syn_module_add_parameter(root, "", ones(2)));
    assert_sticks("needs a name");
    assert_names(syn_module_parameters(root), "w");
    syn_module_free(root);
}

static void a_child_has_one_parent(void **state)
{
    syn_module *root = syn_module_new("Root", NULL, NULL, NULL);
    syn_module *child = syn_module_add_child(root, "a", leaf(1));
    (void)state;

    assert_null(syn_module_add_child(root, "b", child));
    assert_sticks("the child b already belongs to Root");
    assert_null(syn_module_add_child(child, "c", root));
    assert_sticks("cannot contain itself");
    assert_names(syn_module_parameters(root), "a.w");
    syn_module_free(root);
}

static void nothing_is_done_for_null(void **state)
{
    (void)state;

    assert_null(syn_module_add_child(NULL, "a", leaf(1))); /* freed: the leak checker knows */
    assert_null(syn_module_add_parameter(NULL, "a", ones(1)));
    assert_null(syn_module_forward(NULL, NULL));
    assert_int_equal(syn_module_parameters(NULL).n, 0);
    assert_int_equal(syn_module_buffers(NULL).n, 0);
    assert_false(syn_module_is_training(NULL));
    assert_null(syn_module_state(NULL));
    syn_module_train(NULL, true);
    syn_module_free(NULL);
    assert_false(syn_failed());
}

static void modes_reach_all_children(void **state)
{
    syn_module *net = syn_sequential(syn_relu_module(), syn_sequential(syn_dropout_module(0.5)));
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_ones(SYN_SHAPE(100), SYN_F32);
        assert_true(syn_module_is_training(net));
        assert_ptr_not_equal(syn_module_forward(net, x), x);
        float dropped = (float)syn_item(syn_amax(syn_module_forward(net, x), 0, false));
        syn_module_train(net, false);
        float kept = (float)syn_item(syn_amax(syn_module_forward(net, x), 0, false));

        assert_true(dropped == 2 && kept == 1);
    }
    assert_false(syn_failed());
    syn_module_free(net);
}

static int n_released;

static void count_release(void *state)
{
    n_released += *(int *)state;
}

static syn_tensor *scale_forward(syn_module *self, void *state, syn_tensor *x)
{
    assert_ptr_equal(state, syn_module_state(self));
    return syn_mul_scalar(x, *(int *)state);
}

static void a_module_of_ones_own_runs_and_releases_its_state(void **state)
{
    int factor = 7;
    syn_module *net = syn_sequential(syn_module_new("Scale", scale_forward, &factor, count_release),
                                     syn_flatten_module());
    (void)state;
    n_released = 0;
    SYN_SCOPE {
        assert_true(
            syn_item(syn_sum(syn_module_forward(net, syn_ones(SYN_SHAPE(2, 3), SYN_F32)))) == 42);
    }

    syn_module_free(net);

    assert_int_equal(n_released, 7);
}

static void a_module_without_forward_says_so(void **state)
{
    syn_module *module = leaf(1);
    (void)state;

    SYN_SCOPE {
        assert_null(syn_module_forward(module, syn_ones(SYN_SHAPE(1), SYN_F32)));
    }
    assert_sticks("Leaf: the module has no forward");
    syn_module_free(module);
}

static void what_is_attached_is_released_with_the_module(void **state)
{
    int one = 1;
    syn_module *module = leaf(1);
    (void)state;
    n_released = 0;

    assert_null(syn_module_get_attached(module));
    assert_int_equal(syn_module_attach(module, &one, count_release), SYN_OK);
    assert_int_equal(syn_module_attach(module, &one, count_release), SYN_ALREADY_EXISTS);
    assert_ptr_equal(syn_module_get_attached(module), &one);
    assert_int_equal(syn_module_to(module, SYN_F64), SYN_FAILED_PRECONDITION);
    assert_ptr_equal(syn_module_take_attached(module), &one);
    assert_int_equal(n_released, 0);
    assert_int_equal(syn_module_attach(module, &one, count_release), SYN_OK);
    syn_module_free(module);

    assert_int_equal(n_released, 1);
}

static void the_printed_form_shows_the_tree_and_counts_tied_weights_once(void **state)
{
    syn_module *net = syn_sequential(syn_linear(2, 5), syn_relu_module(),
                                     syn_sequential(syn_linear_no_bias(5, 1)));
    (void)state;

    char *text = printed(net);

    assert_string_equal(text, "Sequential(\n"
                              "  (0): Linear(2, 5)\n"
                              "  (1): ReLU()\n"
                              "  (2): Sequential(\n"
                              "    (0): Linear(5, 1, bias=false)\n"
                              "  )\n"
                              ")\n"
                              "20 parameters\n");
    free(text);
    syn_module_free(net);
}

static void a_failing_allocation_is_an_error_wherever_it_happens(void **state)
{
    (void)state;

    for (long n = 1;; n++) {
        syn_mem_fail_after(n);
        syn_module *net = syn_sequential(syn_linear(2, 3), syn_relu_module(),
                                         syn_batch_norm2d_module(3), syn_linear(3, 1));
        int n_parameters = syn_module_parameters(net).n;
        int failed = syn_mem_has_failed();
        syn_mem_fail_after(0);
        if (failed) {
            assert_true(syn_failed());
            assert_true(!net || n_parameters == 0);
            syn_clear_error();
        } else {
            assert_int_equal(n_parameters, 6);
        }
        syn_module_free(net);
        if (!failed)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_paths_in_registration_order),
        cmocka_unit_test(a_tied_parameter_is_listed_once),
        cmocka_unit_test(conversion_keeps_ties_gradients_and_integers),
        cmocka_unit_test(names_are_unique_and_not_empty),
        cmocka_unit_test(a_child_has_one_parent),
        cmocka_unit_test(nothing_is_done_for_null),
        cmocka_unit_test(modes_reach_all_children),
        cmocka_unit_test(a_module_of_ones_own_runs_and_releases_its_state),
        cmocka_unit_test(a_module_without_forward_says_so),
        cmocka_unit_test(what_is_attached_is_released_with_the_module),
        cmocka_unit_test(the_printed_form_shows_the_tree_and_counts_tied_weights_once),
        cmocka_unit_test(a_failing_allocation_is_an_error_wherever_it_happens),
    };
    int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    return n_failed ? n_failed : syn_finish();
}
