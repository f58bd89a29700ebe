/* Calls by name: matching, defaults, conversions, refusals. */
#include "tests/unit/worker/tensor/support.h"

#include <syncline/op.h>

static int reset(void **state)
{
    (void)state;
    syn_clear_error();
    return 0;
}

static syn_tensor *call(const char *op, const syn_named_value *args, int n)
{
    static syn_tensor *room[16];
    syn_outputs outputs = {room, 16, 0};
    return syn_call_named(op, args, n, &outputs) ? room[0] : NULL;
}
#define CALL(op, ...)                                  \
    call((op), (const syn_named_value[]){__VA_ARGS__}, \
         (int)(sizeof((const syn_named_value[]){__VA_ARGS__}) / sizeof(syn_named_value)))

static void names_and_positions_mix_and_defaults_fill_in(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_reshape(F32(1, 2, 3, 4), SYN_SHAPE(2, 2));
        ASSERT_VALUES(CALL("sum", {NULL, SYN_TENSOR_OF(x)}), 10);
        ASSERT_VALUES(CALL("sum", {NULL, SYN_TENSOR_OF(x)}, {"dim", SYN_INT_OF(0)}), 4, 6);
        assert_shape(CALL("sum", {"keepdim", SYN_BOOL_OF(1)}, {"dim", SYN_INT_OF(-1)},
                          {"input", SYN_TENSOR_OF(x)}),
                     SYN_SHAPE(2, 1));
    }
}

static void numbers_stand_for_tensors(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *sum = CALL("add", {NULL, SYN_TENSOR_OF(I64(1))}, {NULL, SYN_INT_OF(2)});
        ASSERT_VALUES(sum, 3);
        assert_int_equal(syn_tensor_dtype(sum), SYN_I64);
        assert_int_equal(
            syn_tensor_dtype(CALL("add", {NULL, SYN_TENSOR_OF(I64(1))}, {NULL, SYN_FLOAT_OF(0.5)})),
            SYN_F32);
    }
}

static void lists_of_tensors_are_passed(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *parts[] = {F32(1), F32(2), F32(3)};
        ASSERT_VALUES(CALL("cat", {"tensors", SYN_TENSORS_OF(parts, 3)}), 1, 2, 3);
        ASSERT_VALUES(CALL("cat", {"tensors", SYN_TENSORS_OF(parts, 2)}), 1, 2);
    }
}

static void unknown_operators_and_arguments_get_a_suggestion(void **state)
{
    (void)state;
    SYN_SCOPE {
        assert_null(CALL("matmull", {NULL, SYN_TENSOR_OF(F32(1))}));
        assert_sticks("there is no operator \"matmull\"; is it \"matmul\"?");
        assert_null(CALL("sum", {NULL, SYN_TENSOR_OF(F32(1))}, {"keepdims", SYN_BOOL_OF(1)}));
        assert_sticks("sum: it has no argument \"keepdims\"; is it \"keepdim\"?");
        assert_null(CALL(NULL, {NULL, SYN_NONE}));
        assert_sticks("there is no operator \"\"");
    }
}

static void wrong_numbers_and_kinds_of_arguments_are_refused(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_value x = SYN_TENSOR_OF(F32(1));
        assert_null(CALL("mul", {NULL, x}));
        assert_sticks("mul: argument other is missing");
        assert_null(CALL("mul", {NULL, x}, {NULL, x}, {NULL, x}));
        assert_sticks("mul: it takes 2 arguments");
        assert_null(CALL("mul", {NULL, x}, {"input", x}));
        assert_sticks("mul: argument input is given twice");
        assert_null(CALL("mul", {NULL, x}, {NULL, SYN_STRING_OF("x")}));
        assert_sticks("mul: argument other is a string, not a tensor");
        assert_null(CALL("sum", {NULL, x}, {"dim", SYN_STRING_OF("x")}));
        assert_sticks("sum: argument dim is a string, not a list of integers");
        assert_null(CALL("mul", {NULL, x}, {NULL, SYN_NONE}));
        assert_sticks("mul: argument other is None, not a tensor");
    }
}

static void dtypes_are_given_by_name(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *y =
            CALL("to", {NULL, SYN_TENSOR_OF(F32(1.5F))}, {"dtype", SYN_STRING_OF("i64")});
        assert_int_equal(syn_tensor_dtype(y), SYN_I64);
        ASSERT_VALUES(y, 1);
        assert_null(CALL("to", {NULL, SYN_TENSOR_OF(F32(1))}, {"dtype", SYN_STRING_OF("i65")}));
        assert_sticks("to: argument dtype is a string, not a dtype");
    }
}

static void too_little_room_for_results_is_said(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_outputs none = {NULL, 0, 0};
        assert_false(syn_call_named("neg", (const syn_named_value[]){{NULL, SYN_TENSOR_OF(F32(1))}},
                                    1, &none));
        assert_sticks("neg: (1): 1 results, and room for 0");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(names_and_positions_mix_and_defaults_fill_in, reset),
        cmocka_unit_test_setup(numbers_stand_for_tensors, reset),
        cmocka_unit_test_setup(lists_of_tensors_are_passed, reset),
        cmocka_unit_test_setup(unknown_operators_and_arguments_get_a_suggestion, reset),
        cmocka_unit_test_setup(wrong_numbers_and_kinds_of_arguments_are_refused, reset),
        cmocka_unit_test_setup(dtypes_are_given_by_name, reset),
        cmocka_unit_test_setup(too_little_room_for_results_is_said, reset),
    };
    return cmocka_run_group_tests_name("worker/ops/call_named", tests, NULL, NULL);
}
