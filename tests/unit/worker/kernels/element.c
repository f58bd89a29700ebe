/* Single elements: half precision, saturation. */
#include "worker/kernels/element.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void f16_round_trips_every_pattern(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 65536; bits++) {
        float value = syn_f32_of_f16((uint16_t)bits);
        if (isnan(value))
            continue;
        assert_int_equal(syn_f16_of_f32(value), bits);
    }
}

static void bf16_round_trips_every_pattern(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 65536; bits++) {
        float value = syn_f32_of_bf16((uint16_t)bits);
        if (isnan(value))
            continue;
        assert_int_equal(syn_bf16_of_f32(value), bits);
    }
}

static void f16_rounds_to_nearest_even(void **state)
{
    (void)state;
    assert_int_equal(syn_f16_of_f32(1.0F + 0x1p-11F), 0x3c00);     /* a tie, down to even */
    assert_int_equal(syn_f16_of_f32(1.0F + 3 * 0x1p-11F), 0x3c02); /* a tie, up to even */
    assert_int_equal(syn_f16_of_f32(1.0F + 0x1p-11F + 0x1p-20F), 0x3c01);
    assert_int_equal(syn_f16_of_f32(65519.0F), 0x7bff);
    assert_int_equal(syn_f16_of_f32(65520.0F), 0x7c00);
    assert_int_equal(syn_f16_of_f32(0x1p-25F), 0);
    assert_int_equal(syn_f16_of_f32(0x1.8p-25F), 1);
    assert_true(isnan(syn_f32_of_f16(syn_f16_of_f32(NAN))));
}

static void bf16_rounds_to_nearest_even_and_keeps_nan(void **state)
{
    (void)state;
    assert_int_equal(syn_bf16_of_f32(1.0F + 0x1p-8F), 0x3f80);
    assert_int_equal(syn_bf16_of_f32(1.0F + 3 * 0x1p-8F), 0x3f82);
    assert_true(isnan(syn_f32_of_bf16(syn_bf16_of_f32(NAN))));
    assert_int_equal(syn_bf16_of_f32(-INFINITY), 0xff80);
}

static void integers_saturate_and_nan_becomes_0(void **state)
{
    int8_t narrow;
    int64_t wide;
    (void)state;
    syn_element_set(SYN_I8, &narrow, 1000);
    assert_int_equal(narrow, 127);
    syn_element_set(SYN_I8, &narrow, -1000);
    assert_int_equal(narrow, -128);
    syn_element_set(SYN_I64, &wide, 1e30);
    assert_true(wide == INT64_MAX);
    syn_element_set(SYN_I64, &wide, -1e30);
    assert_true(wide == INT64_MIN);
    syn_element_set(SYN_I64, &wide, NAN);
    assert_int_equal(wide, 0);
}

static void large_integers_keep_all_their_bits(void **state)
{
    int64_t value = ((int64_t)1 << 62) + 1, out;
    (void)state;
    syn_element_set_int(SYN_I64, &out, value);
    assert_true(syn_element_get_int(SYN_I64, &out) == value);
}

static void complex_elements_have_two_parts(void **state)
{
    float narrow[2];
    double wide[2];
    (void)state;
    syn_element_set_complex(SYN_C64, narrow, 1.5, -2);
    syn_element_set_complex(SYN_C128, wide, 3, 4);

    assert_true(syn_element_get(SYN_C64, narrow) == 1.5);
    assert_true(syn_element_get_imag(SYN_C64, narrow) == -2);
    assert_true(syn_element_get_imag(SYN_C128, wide) == 4);
    assert_true(syn_element_get_imag(SYN_F64, wide) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f16_round_trips_every_pattern),
        cmocka_unit_test(bf16_round_trips_every_pattern),
        cmocka_unit_test(f16_rounds_to_nearest_even),
        cmocka_unit_test(bf16_rounds_to_nearest_even_and_keeps_nan),
        cmocka_unit_test(integers_saturate_and_nan_becomes_0),
        cmocka_unit_test(large_integers_keep_all_their_bits),
        cmocka_unit_test(complex_elements_have_two_parts),
    };
    return cmocka_run_group_tests_name("worker/tensor/element", tests, NULL, NULL);
}
