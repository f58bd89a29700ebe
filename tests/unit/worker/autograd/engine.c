/* Walking back: accumulation, retaining, higher derivatives, hooks, refusals. */
#include "tests/unit/worker/tensor/support.h"

#include "common/base/mem.h"
#include "worker/tensor/tensor.h"

static int reset(void **state)
{
    (void)state;
    syn_clear_error();
    return 0;
}

static syn_tensor *leaf_of(syn_tensor *x)
{
    return syn_requires_grad(x);
}

static void gradients_of_a_product_are_the_other_factors(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = leaf_of(F32(1, 2)), *y = leaf_of(F32(3, 4));

        assert_int_equal(syn_backward(syn_sum(syn_mul(x, y))), SYN_OK);

        ASSERT_VALUES(syn_grad_of(x), 3, 4);
        ASSERT_VALUES(syn_grad_of(y), 1, 2);
    }
}

static void a_tensor_used_twice_gets_both_gradients(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = leaf_of(F32(3));

        assert_int_equal(syn_backward(syn_add(syn_mul(x, x), x)), SYN_OK);

        ASSERT_VALUES(syn_grad_of(x), 7);
    }
}

static void a_diamond_is_walked_once_per_node(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = leaf_of(F32(1)), *y = x;
        for (int i = 0; i < 40; i++) /* 2^40 paths */
            y = syn_add(y, y);

        assert_int_equal(syn_backward(y), SYN_OK);

        ASSERT_VALUES(syn_grad_of(x), 1099511627776.0);
    }
}

static void backward_adds_to_what_is_there(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = leaf_of(F32(2));
        for (int i = 0; i < 3; i++)
            assert_int_equal(syn_backward(syn_square(x)), SYN_OK);

        ASSERT_VALUES(syn_grad_of(x), 12);
    }
}

static void the_gradient_outlives_the_scope_of_the_step(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = leaf_of(F32(2));
        SYN_SCOPE {
            assert_int_equal(syn_backward(syn_square(x)), SYN_OK);
        }
        ASSERT_VALUES(syn_grad_of(x), 4);
    }
}

static void broadcast_inputs_get_summed_gradients(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = leaf_of(syn_ones(SYN_SHAPE(2, 3), SYN_F32)), *row = leaf_of(F32(1, 2, 3));
        syn_tensor *column = leaf_of(syn_ones(SYN_SHAPE(2, 1), SYN_F32));

        assert_int_equal(syn_backward(syn_sum(syn_mul(syn_mul(x, row), column))), SYN_OK);

        ASSERT_VALUES(syn_grad_of(row), 2, 2, 2);
        ASSERT_VALUES(syn_grad_of(column), 6, 6);
        assert_shape(syn_grad_of(column), SYN_SHAPE(2, 1));
    }
}

static void gradients_come_back_in_the_dtype_of_the_leaf(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *narrow = leaf_of(F32(2)), *wide = leaf_of(F64(3));

        assert_int_equal(syn_backward(syn_mul(narrow, wide)), SYN_OK);

        assert_int_equal(syn_tensor_dtype(syn_grad_of(narrow)), SYN_F32);
        assert_int_equal(syn_tensor_dtype(syn_grad_of(wide)), SYN_F64);
        ASSERT_VALUES(syn_grad_of(narrow), 3);
    }
}

static void a_given_grad_output_is_used_and_stays_the_callers(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = leaf_of(F32(1, 2)), *g = F32(10, 20);
        syn_tensor *y = syn_add(x, x);

        assert_int_equal(syn_backward_with(y, (syn_backward_options){.grad_output = g}), SYN_OK);

        ASSERT_VALUES(syn_grad_of(x), 20, 40);
        ASSERT_VALUES(g, 10, 20);
    }
}

static void the_leaf_does_not_share_memory_with_a_given_grad_output(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = leaf_of(F32(1, 2)), *g = F32(10, 20);
        syn_tensor *y = syn_add(x, syn_zeros(SYN_SHAPE(2), SYN_F32));
        assert_int_equal(syn_backward_with(y, (syn_backward_options){.grad_output = g}), SYN_OK);

        assert_non_null(syn_zero_(g));

        ASSERT_VALUES(syn_grad_of(x), 10, 20);
    }
}

static void a_graph_is_walked_once_unless_retained(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = leaf_of(F32(3)), *y = syn_square(x);
        assert_int_equal(syn_backward_with(y, (syn_backward_options){.retain_graph = true}),
                         SYN_OK);
        assert_int_equal(syn_backward(y), SYN_OK);
        ASSERT_VALUES(syn_grad_of(x), 12);

        assert_int_equal(syn_backward(y), SYN_FAILED_PRECONDITION);

        assert_sticks("backward of square: this graph was walked before and freed");
    }
}

static void higher_derivatives_follow_from_recorded_backward(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = leaf_of(F64(2)), *first, *second, *third;
        syn_backward_options again = {.create_graph = true};
        syn_tensor *y = syn_pow_scalar(x, 4);

        assert_int_equal(syn_grad(y, &x, 1, again, &first), SYN_OK);
        assert_int_equal(syn_grad(first, &x, 1, again, &second), SYN_OK);
        assert_int_equal(syn_grad(second, &x, 1, again, &third), SYN_OK);

        ASSERT_VALUES(first, 32);
        ASSERT_VALUES(second, 48);
        ASSERT_VALUES(third, 48);
        assert_null(syn_grad_of(x));
    }
}

static void higher_derivatives_pass_through_saved_outputs(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = leaf_of(F64(0)), *first, *second;
        assert_int_equal(
            syn_grad(syn_exp(x), &x, 1, (syn_backward_options){.create_graph = true}, &first),
            SYN_OK);
        assert_int_equal(syn_grad(first, &x, 1, (syn_backward_options){0}, &second), SYN_OK);

        ASSERT_VALUES(second, 1);
    }
}

static void grad_gives_gradients_of_inner_tensors_and_none_of_strangers(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = leaf_of(F32(3)), *stranger = leaf_of(F32(1));
        syn_tensor *h = syn_square(x), *y = syn_square(h);
        syn_tensor *wanted[] = {h, x, stranger, x}, *grads[4];

        assert_int_equal(syn_grad(y, wanted, 4, (syn_backward_options){0}, grads), SYN_OK);

        ASSERT_VALUES(grads[0], 18);
        ASSERT_VALUES(grads[1], 108);
        assert_null(grads[2]);
        ASSERT_VALUES(grads[3], 108);
    }
}

static void grad_of_the_output_itself_is_1(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = leaf_of(F32(3)), *grad;

        assert_int_equal(syn_grad(x, &x, 1, (syn_backward_options){0}, &grad), SYN_OK);

        ASSERT_VALUES(grad, 1);
    }
}

static void a_leaf_that_is_the_output_gets_1(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = leaf_of(F32(3));
        assert_int_equal(syn_backward(x), SYN_OK);
        ASSERT_VALUES(syn_grad_of(x), 1);
    }
}

/* ---- What is refused ---- */

static void a_vector_needs_a_grad_output(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = leaf_of(F32(1, 2));
        assert_int_equal(syn_backward(syn_square(x)), SYN_INVALID_ARGUMENT);
        assert_sticks("backward: (2) has 2 elements; give grad_output, or reduce it to one");
        assert_int_equal(
            syn_backward_with(syn_square(x), (syn_backward_options){.grad_output = F32(1)}),
            SYN_INVALID_ARGUMENT);
        assert_sticks("backward: grad_output is f32 (1), its tensor f32 (2)");
    }
}

static void a_constant_has_no_backward(void **state)
{
    (void)state;
    SYN_SCOPE {
        assert_int_equal(syn_backward(syn_square(F32(1))), SYN_FAILED_PRECONDITION);
        assert_sticks("does not depend on any tensor that requires a gradient");
        assert_int_equal(syn_backward(NULL), SYN_INVALID_ARGUMENT);
        assert_sticks("there is no tensor");
    }
}

static void a_saved_tensor_changed_in_place_names_both_operators(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = leaf_of(F32(1, 2)), *h = syn_mul_scalar(x, 2), *y = syn_sum(syn_square(h));
        SYN_NO_GRAD {
            assert_non_null(syn_fill_(h, 0));
        }

        assert_int_equal(syn_backward(y), SYN_FAILED_PRECONDITION);

        assert_sticks("backward of square: its input 0, f32 (2), was changed in place after it was "
                      "saved by fill_");
    }
}

static void a_failed_pass_leaves_no_gradients_behind(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = leaf_of(F32(1, 2)), *y = leaf_of(F32(3, 4));
        syn_tensor *h = syn_square(x), *z = syn_sum(syn_mul(syn_square(h), y));
        SYN_NO_GRAD {
            assert_non_null(syn_fill_(h, 0));
        }
        assert_int_equal(syn_backward(z), SYN_FAILED_PRECONDITION);
        syn_clear_error();
        syn_zero_grad(y);

        syn_tensor *again = syn_sum(syn_mul(y, y));
        assert_int_equal(syn_backward(again), SYN_OK);

        ASSERT_VALUES(syn_grad_of(y), 6, 8);
    }
}

/* ---- Hooks ---- */

typedef struct log {
    syn_tensor *leaves[8];
    double values[8];
    int n;
} log_of_hooks;

static void note(syn_tensor *leaf, void *user)
{
    log_of_hooks *log = user;
    log->values[log->n] = syn_item(syn_select(syn_grad_of(leaf), 0, 0));
    log->leaves[log->n++] = leaf;
}

static void hooks_fire_once_when_the_gradient_is_complete(void **state)
{
    (void)state;
    SYN_SCOPE {
        log_of_hooks log = {0};
        syn_tensor *x = leaf_of(F32(2));
        syn_set_grad_ready(x, note, &log);

        assert_int_equal(syn_backward(syn_add(syn_mul(x, x), x)), SYN_OK);

        assert_int_equal(log.n, 1);
        assert_true(log.values[0] == 5);
    }
}

static void hooks_fire_during_backward_from_the_last_layer_on(void **state)
{
    (void)state;
    SYN_SCOPE {
        log_of_hooks log = {0};
        syn_tensor *w[3], *h = F32(1);
        for (int i = 0; i < 3; i++) {
            w[i] = leaf_of(F32(2));
            syn_set_grad_ready(w[i], note, &log);
            h = syn_tanh(syn_mul(h, w[i]));
        }

        assert_int_equal(syn_backward(h), SYN_OK);

        assert_int_equal(log.n, 3);
        for (int i = 0; i < 3; i++)
            assert_ptr_equal(log.leaves[i], w[2 - i]);
    }
}

static void a_removed_hook_is_silent(void **state)
{
    (void)state;
    SYN_SCOPE {
        log_of_hooks log = {0};
        syn_tensor *x = leaf_of(F32(2));
        syn_set_grad_ready(x, note, &log);
        syn_set_grad_ready(x, NULL, NULL);

        assert_int_equal(syn_backward(syn_square(x)), SYN_OK);

        assert_int_equal(log.n, 0);
    }
}

/* ---- Memory ---- */

static int n_released;

static void count_release(void *data)
{
    (void)data;
    n_released++;
}

static void what_was_saved_is_released_by_backward(void **state)
{
    static float data[1] = {3};
    (void)state;
    n_released = 0;
    SYN_SCOPE {
        syn_tensor *x = leaf_of(F32(2)), *y = NULL;
        SYN_SCOPE {
            y = syn_keep(syn_mul(x, syn_wrap_data(data, SYN_SHAPE(1), SYN_F32, count_release)));
        }
        assert_int_equal(n_released, 0);

        assert_int_equal(syn_backward(y), SYN_OK);

        assert_int_equal(n_released, 1);
        syn_tensor_unref(y);
    }
}

static void a_dropped_graph_releases_what_it_saved(void **state)
{
    static float data[1] = {3};
    (void)state;
    n_released = 0;
    SYN_SCOPE {
        syn_tensor *x = leaf_of(F32(2));
        SYN_SCOPE {
            (void)syn_mul(x, syn_wrap_data(data, SYN_SHAPE(1), SYN_F32, count_release));
        }
        assert_int_equal(n_released, 1);
    }
}

static void lists_longer_than_the_room_on_the_stack_work(void **state)
{
    enum { N = 50 };
    (void)state;
    SYN_SCOPE {
        syn_tensor *leaves[N];
        for (int i = 0; i < N; i++)
            leaves[i] = leaf_of(F32(1));

        assert_int_equal(syn_backward(syn_sum(syn_square(syn_cat(leaves, N, 0)))), SYN_OK);

        for (int i = 0; i < N; i++)
            ASSERT_VALUES(syn_grad_of(leaves[i]), 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(gradients_of_a_product_are_the_other_factors, reset),
        cmocka_unit_test_setup(a_tensor_used_twice_gets_both_gradients, reset),
        cmocka_unit_test_setup(a_diamond_is_walked_once_per_node, reset),
        cmocka_unit_test_setup(backward_adds_to_what_is_there, reset),
        cmocka_unit_test_setup(the_gradient_outlives_the_scope_of_the_step, reset),
        cmocka_unit_test_setup(broadcast_inputs_get_summed_gradients, reset),
        cmocka_unit_test_setup(gradients_come_back_in_the_dtype_of_the_leaf, reset),
        cmocka_unit_test_setup(a_given_grad_output_is_used_and_stays_the_callers, reset),
        cmocka_unit_test_setup(the_leaf_does_not_share_memory_with_a_given_grad_output, reset),
        cmocka_unit_test_setup(a_graph_is_walked_once_unless_retained, reset),
        cmocka_unit_test_setup(higher_derivatives_follow_from_recorded_backward, reset),
        cmocka_unit_test_setup(higher_derivatives_pass_through_saved_outputs, reset),
        cmocka_unit_test_setup(grad_gives_gradients_of_inner_tensors_and_none_of_strangers, reset),
        cmocka_unit_test_setup(grad_of_the_output_itself_is_1, reset),
        cmocka_unit_test_setup(a_leaf_that_is_the_output_gets_1, reset),
        cmocka_unit_test_setup(a_vector_needs_a_grad_output, reset),
        cmocka_unit_test_setup(a_constant_has_no_backward, reset),
        cmocka_unit_test_setup(a_saved_tensor_changed_in_place_names_both_operators, reset),
        cmocka_unit_test_setup(a_failed_pass_leaves_no_gradients_behind, reset),
        cmocka_unit_test_setup(hooks_fire_once_when_the_gradient_is_complete, reset),
        cmocka_unit_test_setup(hooks_fire_during_backward_from_the_last_layer_on, reset),
        cmocka_unit_test_setup(a_removed_hook_is_silent, reset),
        cmocka_unit_test_setup(what_was_saved_is_released_by_backward, reset),
        cmocka_unit_test_setup(a_dropped_graph_releases_what_it_saved, reset),
        cmocka_unit_test_setup(lists_longer_than_the_room_on_the_stack_work, reset),
    };
    return cmocka_run_group_tests_name("worker/autograd/engine", tests, NULL, NULL);
}
