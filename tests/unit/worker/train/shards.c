/* Which rank computes which virtual shards. */
#include "worker/train/shards.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void shards_are_divided_evenly_and_the_first_ranks_get_more(void **state)
{
    int table[3];
    (void)state;

    assert_int_equal(syn_shard_table(8, 3, NULL, table), SYN_OK);
    assert_int_equal(table[0], 3);
    assert_int_equal(table[1], 3);
    assert_int_equal(table[2], 2);
}

static void a_table_is_taken_as_it_is_written(void **state)
{
    int table[3];
    (void)state;

    assert_int_equal(syn_shard_table(8, 3, "5,1,2", table), SYN_OK);
    assert_int_equal(table[0], 5);
    assert_int_equal(table[1], 1);
    assert_int_equal(table[2], 2);
}

static void more_ranks_than_shards_are_refused_in_one_sentence(void **state)
{
    int table[5];
    (void)state;

    assert_int_equal(syn_shard_table(4, 5, NULL, table), SYN_INVALID_ARGUMENT);
    assert_string_equal(
        syn_error_message(),
        "5 ranks cannot share 4 virtual shards; use fewer ranks or raise virtual_shards");
}

static void a_table_that_does_not_fit_is_refused(void **state)
{
    static const char *const bad[] = {
        "",       "5,1",   "5,1,1",  "5,1,3", "5,1,2,", "5,1,2,1", "8,0,0",
        "5,,1,2", "a,1,2", "-1,7,2", "5 1 2", "9,1,-2", "5,1,2x",  "99999999999999999999,1,2"};
    int table[3];
    (void)state;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (syn_shard_table(8, 3, bad[i], table) != SYN_INVALID_ARGUMENT ||
            !strstr(syn_error_message(), "does not divide 8 virtual shards among 3 ranks"))
            fail_msg("\"%s\" was accepted: %s", bad[i], syn_error_message());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shards_are_divided_evenly_and_the_first_ranks_get_more),
        cmocka_unit_test(a_table_is_taken_as_it_is_written),
        cmocka_unit_test(more_ranks_than_shards_are_refused_in_one_sentence),
        cmocka_unit_test(a_table_that_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
