/* What every call does beside its kernel: graphs, observers, targets in place. */
#include "tests/unit/worker/tensor/support.h"

#include <syncline/op.h>

static int reset(void **state)
{
    (void)state;
    syn_clear_error();
    return 0;
}

static int n_seen;
static const char *last_seen;

static void see(const syn_op_call *call, void *user)
{
    assert_ptr_equal(user, &n_seen);
    assert_true(call->n_outputs > 0 && call->outputs[0]);
    last_seen = call->op->name;
    n_seen++;
}

static void an_observer_sees_calls_that_succeed(void **state)
{
    (void)state;
    SYN_SCOPE {
        n_seen = 0;
        syn_set_call_observer(see, &n_seen);
        (void)syn_mul(F32(1), F32(2));
        (void)syn_matmul(F32(1), F32(1, 2));
        syn_set_call_observer(NULL, NULL);
        (void)syn_neg(F32(1));

        assert_int_equal(n_seen, 1);
        assert_string_equal(last_seen, "mul");
        syn_clear_error();
    }
}

static void in_place_operators_return_and_change_their_target(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = F32(1, 2, 3);
        assert_ptr_equal(syn_add_(x, F32(10), 2), x);
        ASSERT_VALUES(x, 21, 22, 23);
        assert_ptr_equal(syn_mul_scalar_(x, 2), x);
        assert_ptr_equal(syn_copy_(x, I64(7)), x);
        ASSERT_VALUES(x, 7, 7, 7);
    }
}

static void views_are_written_through(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_zeros(SYN_SHAPE(2, 3), SYN_F32);
        assert_non_null(syn_fill_(syn_select(x, 1, 2), 5));
        assert_non_null(syn_add_(syn_transpose(x, 0, 1), F32(1, 2), 1));
        ASSERT_VALUES(x, 1, 1, 6, 2, 2, 7);
    }
}

static void a_leaf_is_not_overwritten_while_recording(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_requires_grad(F32(1));
        assert_null(syn_add_(x, F32(1), 1));
        assert_sticks("add_: (1) x (1): the target is a leaf that requires a gradient");
        ASSERT_VALUES(x, 1);
        SYN_NO_GRAD {
            assert_ptr_equal(syn_add_(x, F32(1), 1), x);
        }
        ASSERT_VALUES(x, 2);
    }
}

static void gradients_flow_through_changes_in_place(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_requires_grad(F32(3)), *y = syn_requires_grad(F32(5));
        syn_tensor *h = syn_mul_scalar(x, 2);
        assert_ptr_equal(syn_add_(h, y, 4), h);
        assert_ptr_equal(syn_mul_scalar_(h, 10), h);
        ASSERT_VALUES(h, 260);

        assert_int_equal(syn_backward(h), SYN_OK);

        ASSERT_VALUES(syn_grad_of(x), 20);
        ASSERT_VALUES(syn_grad_of(y), 40);
    }
}

static void what_was_overwritten_has_no_gradient(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_requires_grad(F32(3)), *y = syn_requires_grad(F32(5));
        syn_tensor *h = syn_mul_scalar(x, 2);
        assert_non_null(syn_copy_(h, y));
        assert_int_equal(syn_backward(h), SYN_OK);
        ASSERT_VALUES(syn_grad_of(y), 1);
        assert_true(!syn_grad_of(x) || syn_item(syn_grad_of(x)) == 0);
    }
}

static void changing_a_view_while_recording_is_refused(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_requires_grad(F32(3)), *buffer = syn_zeros(SYN_SHAPE(2), SYN_F32);
        assert_null(syn_copy_(syn_slice(buffer, 0, 0, 1, 1), x));
        assert_sticks("the target is a view");
    }
}

static void a_view_taken_before_a_recorded_change_is_refused(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_requires_grad(F32(3, 4)), *buffer = syn_zeros(SYN_SHAPE(2), SYN_F32);
        syn_tensor *early = syn_slice(buffer, 0, 0, 1, 1);
        assert_non_null(syn_copy_(buffer, x));

        assert_null(syn_mul(early, F32(2)));

        assert_sticks(
            "mul: (1) x (1): input 0 shares its elements with a tensor that copy_ changed in "
            "place with gradients afterwards");
        syn_tensor *late = syn_slice(buffer, 0, 0, 1, 1);
        assert_int_equal(syn_backward(syn_square(late)), SYN_OK);
        ASSERT_VALUES(syn_grad_of(x), 6, 0);
        SYN_NO_GRAD {
            ASSERT_VALUES(syn_mul(early, F32(2)), 6);
        }
    }
}

static void expanded_targets_are_refused(void **state)
{
    (void)state;
    SYN_SCOPE {
        assert_null(syn_fill_(syn_expand(F32(1), SYN_SHAPE(3)), 2));
        assert_sticks("several of the target's elements share one place");
    }
}

static void a_source_that_overlaps_its_target_is_read_first(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = F32(1, 2, 3, 4);
        assert_non_null(syn_copy_(syn_slice(x, 0, 1, 4, 1), syn_slice(x, 0, 0, 3, 1)));
        ASSERT_VALUES(x, 1, 1, 2, 3);
        syn_tensor *square = syn_reshape(F32(1, 2, 3, 4), SYN_SHAPE(2, 2));
        assert_non_null(syn_copy_(square, syn_transpose(square, 0, 1)));
        ASSERT_VALUES(square, 1, 3, 2, 4);
    }
}

static void a_source_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    SYN_SCOPE {
        assert_null(syn_copy_(F32(1), F32(1, 2)));
        assert_sticks("copy_: (1) x (2): the source does not broadcast to the target's shape");
    }
}

static void missing_attributes_take_defaults_and_surplus_is_refused(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = F32(1, 2), *pair[] = {x, x};
        ASSERT_VALUES(syn_call(syn_op_find("sum"), &x, 1, NULL, 0), 3);
        ASSERT_VALUES(syn_call(syn_op_find("cat"), pair, 2, NULL, 0), 1, 2, 1, 2);
        syn_value many[] = {SYN_NONE, SYN_BOOL_OF(0), SYN_INT_OF(1), SYN_INT_OF(1)};
        assert_null(syn_call(syn_op_find("amax"), &x, 1, many, 4));
        assert_sticks("amax: (2): 4 arguments were given, it takes 2");
        assert_null(syn_call(syn_op_find("select"), &x, 1, many, 1));
        assert_sticks("select: (2): argument index is missing");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_observer_sees_calls_that_succeed, reset),
        cmocka_unit_test_setup(in_place_operators_return_and_change_their_target, reset),
        cmocka_unit_test_setup(views_are_written_through, reset),
        cmocka_unit_test_setup(a_leaf_is_not_overwritten_while_recording, reset),
        cmocka_unit_test_setup(gradients_flow_through_changes_in_place, reset),
        cmocka_unit_test_setup(what_was_overwritten_has_no_gradient, reset),
        cmocka_unit_test_setup(changing_a_view_while_recording_is_refused, reset),
        cmocka_unit_test_setup(a_view_taken_before_a_recorded_change_is_refused, reset),
        cmocka_unit_test_setup(expanded_targets_are_refused, reset),
        cmocka_unit_test_setup(a_source_that_overlaps_its_target_is_read_first, reset),
        cmocka_unit_test_setup(a_source_that_does_not_fit_is_refused, reset),
        cmocka_unit_test_setup(missing_attributes_take_defaults_and_surplus_is_refused, reset),
    };
    return cmocka_run_group_tests_name("worker/ops/dispatch", tests, NULL, NULL);
}
