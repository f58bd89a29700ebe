/* Names, sizes and categories of element types. */
#include <syncline/dtype.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <complex.h>

static void every_dtype_is_found_by_both_names(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SYN_N_DTYPES; i++) {
        assert_int_equal(syn_dtype_find(syn_dtype_name((syn_dtype)i)), i);
        assert_int_equal(syn_dtype_find(syn_dtype_file_name((syn_dtype)i)), i);
    }
    assert_int_equal(syn_dtype_find("float"), SYN_N_DTYPES);
    assert_int_equal(syn_dtype_find(""), SYN_N_DTYPES);
}

static void sizes_are_those_of_the_c_types(void **state)
{
    (void)state;
    assert_int_equal(syn_dtype_size(SYN_BOOL), 1);
    assert_int_equal(syn_dtype_size(SYN_I16), sizeof(int16_t));
    assert_int_equal(syn_dtype_size(SYN_BF16), 2);
    assert_int_equal(syn_dtype_size(SYN_F32), sizeof(float));
    assert_int_equal(syn_dtype_size(SYN_I64), sizeof(int64_t));
    assert_int_equal(syn_dtype_size(SYN_C64), sizeof(float complex));
    assert_int_equal(syn_dtype_size(SYN_C128), sizeof(double complex));
}

static void kinds_are_ordered_for_promotion(void **state)
{
    (void)state;
    assert_true(SYN_KIND_BOOL < SYN_KIND_INTEGER && SYN_KIND_INTEGER < SYN_KIND_FLOAT &&
                SYN_KIND_FLOAT < SYN_KIND_COMPLEX);
    assert_int_equal(syn_dtype_get_kind(SYN_BOOL), SYN_KIND_BOOL);
    assert_int_equal(syn_dtype_get_kind(SYN_U8), SYN_KIND_INTEGER);
    assert_int_equal(syn_dtype_get_kind(SYN_F16), SYN_KIND_FLOAT);
    assert_int_equal(syn_dtype_get_kind(SYN_C128), SYN_KIND_COMPLEX);
}

static void what_is_no_dtype_has_no_name_and_no_size(void **state)
{
    (void)state;
    assert_string_equal(syn_dtype_name(SYN_N_DTYPES), "?");
    assert_string_equal(syn_dtype_file_name(SYN_N_DTYPES), "?");
    assert_int_equal(syn_dtype_size(SYN_N_DTYPES), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_dtype_is_found_by_both_names),
        cmocka_unit_test(sizes_are_those_of_the_c_types),
        cmocka_unit_test(kinds_are_ordered_for_promotion),
        cmocka_unit_test(what_is_no_dtype_has_no_name_and_no_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
