/* Formatting of times; the clocks themselves only where no wall time matters. */
#include "common/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void times_are_written_as_rfc_3339_in_utc(void **state)
{
    (void)state;
    char b[32];

    assert_string_equal(syn_clock_format(b, 0), "1970-01-01T00:00:00.000Z");
    assert_string_equal(syn_clock_format(b, 1769860800123456789), "2026-01-31T12:00:00.123Z");
    assert_string_equal(syn_clock_format(b, 951827696999999999), "2000-02-29T12:34:56.999Z");
}

static void times_before_1970_count_their_milliseconds_forward(void **state)
{
    (void)state;
    char b[32];

    assert_string_equal(syn_clock_format(b, -1), "1969-12-31T23:59:59.999Z");
    assert_string_equal(syn_clock_format(b, -1000000000), "1969-12-31T23:59:59.000Z");
}

static void the_ends_of_the_range_fit_the_buffer(void **state)
{
    (void)state;
    char b[32];

    assert_string_equal(syn_clock_format(b, INT64_MAX), "2262-04-11T23:47:16.854Z");
    assert_string_equal(syn_clock_format(b, INT64_MIN), "1677-09-21T00:12:43.145Z");
}

static void the_monotonic_clock_does_not_go_back(void **state)
{
    (void)state;
    uint64_t last = syn_clock_monotonic_ns();

    for (int i = 0; i < 10000; i++) {
        uint64_t now = syn_clock_monotonic_ns();
        assert_true(now >= last);
        last = now;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_written_as_rfc_3339_in_utc),
        cmocka_unit_test(times_before_1970_count_their_milliseconds_forward),
        cmocka_unit_test(the_ends_of_the_range_fit_the_buffer),
        cmocka_unit_test(the_monotonic_clock_does_not_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
