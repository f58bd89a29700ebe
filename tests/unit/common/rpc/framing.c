/* The assembler of length-prefixed messages. */
#include "common/rpc/framing.h"

#include "common/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const unsigned char three[] = "\0\0\0\0\x03"
                                     "abc"
                                     "\0\0\0\0\0"
                                     "\0\0\0\0\x05"
                                     "defgh";

/* Feeds `three` in steps; writes the messages, each followed by '|'. */
static void feed(size_t step, char *text, size_t capacity, syn_budget *budget)
{
    syn_framing framing = {.budget = budget, .max_bytes = 5};
    syn_framing_message message;
    size_t n = 0;

    for (size_t at = 0; at < sizeof three - 1; at += step) {
        const unsigned char *bytes = three + at;
        const unsigned char *end =
            at + step < sizeof three - 1 ? bytes + step : three + sizeof three - 1;
        for (;;) {
            assert_int_equal(syn_framing_next(&framing, &bytes, end, &message), SYN_OK);
            if (!message.bytes)
                break;
            n += (size_t)snprintf(text + n, capacity - n, "%.*s|", (int)message.size,
                                  (const char *)message.bytes);
        }
        assert_ptr_equal(bytes, end);
    }
    assert_true(syn_framing_is_whole(&framing));
    syn_framing_release(&framing);
}

static void messages_come_out_whatever_the_pieces(void **state)
{
    (void)state;

    for (size_t step = 1; step < sizeof three; step++) {
        char text[100] = "";
        syn_budget budget = {0, 100};
        feed(step, text, sizeof text, &budget);
        assert_string_equal(text, "abc||defgh|");
        assert_int_equal(budget.used, 0);
    }
}

static syn_status first_status(const char *bytes, size_t size, size_t max_bytes, syn_budget *budget)
{
    syn_framing framing = {.budget = budget, .max_bytes = max_bytes};
    syn_framing_message message;
    const unsigned char *at = (const unsigned char *)bytes;
    syn_status status = syn_framing_next(&framing, &at, at + size, &message);

    assert_null(message.bytes);
    if (status == SYN_OK)
        assert_false(syn_framing_is_whole(&framing));
    syn_framing_release(&framing);
    assert_int_equal(budget->used, 0);
    return status;
}

static void what_breaks_the_rules_is_refused(void **state)
{
    (void)state;
    syn_budget budget = {0, 8};

    assert_int_equal(first_status("\0\0\0\0\x07xy", 7, 6, &budget), SYN_RESOURCE_EXHAUSTED);
    assert_int_equal(first_status("\1\0\0\0\x02xy", 7, 6, &budget), SYN_UNIMPLEMENTED);
    assert_int_equal(first_status("\7\0\0\0\x02xy", 7, 6, &budget), SYN_INTERNAL);
    assert_int_equal(first_status("\0\0\0", 3, 6, &budget), SYN_OK); /* wants more */
    assert_int_equal(first_status("\0\0\0\0\x06ghij", 9, 6, &budget), SYN_OK);
}

static void a_spent_budget_refuses(void **state)
{
    (void)state;
    syn_budget budget = {0, 3};

    assert_int_equal(first_status("\0\0\0\0\x06ghij", 9, 6, &budget), SYN_RESOURCE_EXHAUSTED);
    budget.limit = 0; /* none */
    assert_int_equal(first_status("\0\0\0\0\x06ghij", 9, 6, &budget), SYN_OK);
}

static void a_failed_allocation_is_an_error(void **state)
{
    (void)state;
    syn_budget budget = {0, 100};

    syn_mem_fail_after(1);
    assert_int_equal(first_status("\0\0\0\0\x06ghij", 9, 6, &budget), SYN_RESOURCE_EXHAUSTED);
    assert_true(syn_mem_has_failed());
    syn_mem_fail_after(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_out_whatever_the_pieces),
        cmocka_unit_test(what_breaks_the_rules_is_refused),
        cmocka_unit_test(a_spent_budget_refuses),
        cmocka_unit_test(a_failed_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
