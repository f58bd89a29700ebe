/* The notation of sample arguments. */
#include "worker/ops/samples.h"
#include "tests/unit/worker/tensor/support.h"

static syn_sample sample;

static void tensors_have_the_extents_dtypes_and_ranges_of_their_notation(void **state)
{
    (void)state;
    SYN_SCOPE {
        assert_int_equal(
            syn_sample_read("(2,3), (4)+, (5)~, (6)d, (7)i3, (8)b, ()", SYN_F64, 1, &sample),
            SYN_OK);
        assert_int_equal(sample.n_tensors, 7);
        assert_shape(sample.tensors[0], SYN_SHAPE(2, 3));
        assert_shape(sample.tensors[6], SYN_SCALAR);
        assert_int_equal(syn_tensor_dtype(sample.tensors[4]), SYN_I64);
        assert_int_equal(syn_tensor_dtype(sample.tensors[5]), SYN_BOOL);
        const double *positive = syn_tensor_data(sample.tensors[1]);
        for (int i = 0; i < 4; i++)
            assert_true(positive[i] >= 0.5 && positive[i] < 2);
        const double *different = syn_tensor_data(sample.tensors[3]);
        for (int i = 0; i < 6; i++)
            for (int j = 0; j < i; j++)
                assert_true(fabs(different[i] - different[j]) > 0.09);
    }
}

static void other_values_are_read(void **state)
{
    (void)state;
    SYN_SCOPE {
        assert_int_equal(
            syn_sample_read("dim=[0,-1], -2, 0.5, true, none, f64, mode='mean', {(2), (3)}",
                            SYN_F64, 1, &sample),
            SYN_OK);
        assert_int_equal(sample.n_args, 8);
        assert_string_equal(sample.args[0].name, "dim");
        assert_int_equal(sample.args[0].value.n, 2);
        assert_int_equal(sample.args[0].value.ints[1], -1);
        assert_null(sample.args[1].name);
        assert_int_equal(sample.args[1].value.i, -2);
        assert_true(sample.args[2].value.f == 0.5);
        assert_int_equal(sample.args[3].value.kind, SYN_VALUE_BOOL);
        assert_int_equal(sample.args[4].value.kind, SYN_VALUE_NONE);
        assert_int_equal(sample.args[5].value.dtype, SYN_F64);
        assert_string_equal(sample.args[6].value.string, "mean");
        assert_int_equal(sample.args[7].value.n, 2);
    }
}

static void the_same_seed_gives_the_same_numbers(void **state)
{
    static syn_sample other;
    (void)state;
    SYN_SCOPE {
        assert_int_equal(syn_sample_read("(2)", SYN_F64, 1, &sample), SYN_OK);
        assert_int_equal(syn_sample_read("(2)", SYN_F64, 1, &other), SYN_OK);
        assert_memory_equal(syn_tensor_data(sample.tensors[0]), syn_tensor_data(other.tensors[0]),
                            16);
        assert_int_equal(syn_sample_read("(2)", SYN_F64, 2, &other), SYN_OK);
        assert_memory_not_equal(syn_tensor_data(sample.tensors[0]),
                                syn_tensor_data(other.tensors[0]), 16);
    }
}

static void junk_is_refused_with_its_place(void **state)
{
    static const char *const texts[] = {"(2",   "(2,3", "(2) (3)", "[1,", "'x",    "what",
                                        "(2)i", "{(2)", "dim=",    "@",   "[1 2]", "(-)"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        SYN_SCOPE {
            assert_int_equal(syn_sample_read(texts[i], SYN_F64, 1, &sample), SYN_INVALID_ARGUMENT);
            assert_non_null(strstr(syn_error_message(), "is wanted at"));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_have_the_extents_dtypes_and_ranges_of_their_notation),
        cmocka_unit_test(other_values_are_read),
        cmocka_unit_test(the_same_seed_gives_the_same_numbers),
        cmocka_unit_test(junk_is_refused_with_its_place),
    };
    return cmocka_run_group_tests_name("worker/ops/samples", tests, NULL, NULL);
}
