/* Growing strings, UTF-8, suggestions, numbers and units. */
#include "common/base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/mem.h"

#include <math.h>
#include <string.h>

static void appended_pieces_stand_one_after_the_other(void **state)
{
    (void)state;
    syn_str str = {0};

    assert_string_equal(syn_str_get(&str), "");
    syn_str_append(&str, "a");
    syn_str_append_n(&str, "b\0c", 3);
    syn_str_append_n(&str, NULL, 0);
    syn_str_appendf(&str, "%d", 42);

    assert_int_equal(str.length, 6);
    assert_memory_equal(syn_str_get(&str), "ab\0c42", 7);
    syn_str_release(&str);
    assert_null(str.data);
}

static void a_string_grows_far_beyond_its_first_size(void **state)
{
    (void)state;
    syn_str str = {0};

    for (int i = 0; i < 10000; i++)
        syn_str_appendf(&str, "%04d", i);

    assert_int_equal(str.length, 40000);
    assert_int_equal(strncmp(str.data + 4 * 1234, "1234", 4), 0);
    syn_str_release(&str);
}

static void a_failed_append_is_remembered(void **state)
{
    (void)state;
    syn_str str = {0};

    syn_mem_fail_after(1);
    syn_str_append(&str, "a");
    syn_str_append(&str, "b");
    syn_mem_fail_after(0);

    assert_true(str.failed);
    assert_int_equal(str.length, 0);
    assert_null(syn_str_take(&str));
    assert_false(str.failed);
}

static void an_impossible_length_fails_like_missing_memory(void **state)
{
    (void)state;
    syn_str str = {0};

    syn_str_append_n(&str, "", SIZE_MAX / 2);

    assert_true(str.failed);
    syn_str_release(&str);
}

static void take_hands_the_text_over(void **state)
{
    (void)state;
    syn_str str = {0};

    char *empty = syn_str_take(&str);
    assert_string_equal(empty, "");
    syn_free(empty);
    syn_str_append(&str, "text");
    char *text = syn_str_take(&str);
    assert_string_equal(text, "text");
    assert_null(str.data);
    assert_int_equal(str.length, 0);
    syn_free(text);
}

static void clear_keeps_the_memory_and_forgets_failure(void **state)
{
    (void)state;
    syn_str str = {0};

    syn_str_append(&str, "text");
    char *before = str.data;
    str.failed = true;
    syn_str_clear(&str);
    syn_str_append(&str, "new");

    assert_ptr_equal(str.data, before);
    assert_string_equal(syn_str_get(&str), "new");
    syn_str_release(&str);
}

static void utf8_is_judged_as_rfc_3629_does(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "a",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xc2\x41",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xe2\x82",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff"};

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(syn_utf8_is_valid(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(syn_utf8_is_valid(bad[i], strlen(bad[i])));
    assert_false(syn_utf8_is_valid("a\0b", 3));
}

static void unprintable_bytes_are_replaced(void **state)
{
    (void)state;
    syn_str str = {0};

    syn_str_append_printable(&str, "a\x1b[1m\n\t\xc3\xa4\xff\x7f\0z", 13);

    assert_string_equal(syn_str_get(&str),
                        "a\xef\xbf\xbd[1m\n\t\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz");
    syn_str_release(&str);
}

static void the_nearest_word_is_suggested(void **state)
{
    (void)state;
    static const char *const words[] = {"batch_size", "epochs", "lr", "max_steps"};

    assert_string_equal(syn_suggest("batchsize", words, 4), "batch_size");
    assert_string_equal(syn_suggest("epcohs", words, 4), "epochs");
    assert_string_equal(syn_suggest("max-steps", words, 4), "max_steps");
    assert_null(syn_suggest("zzzzzz", words, 4));
    assert_null(syn_suggest("", words, 2));
    assert_null(syn_suggest("lr", NULL, 0));
}

static void words_beyond_all_bounds_get_no_suggestion(void **state)
{
    (void)state;
    char word[200];
    const char *words[] = {word, "seed"};
    memset(word, 'x', sizeof word - 1);
    word[sizeof word - 1] = '\0';

    assert_null(syn_suggest(word, words, 2));
    assert_string_equal(syn_suggest("sede", words, 2), "seed");
}

static void prefixes_and_suffixes(void **state)
{
    (void)state;
    assert_true(syn_has_prefix("job.yaml", "job"));
    assert_true(syn_has_prefix("job", ""));
    assert_false(syn_has_prefix("jo", "job"));
    assert_true(syn_has_suffix("job.yaml", ".yaml"));
    assert_false(syn_has_suffix("yaml", ".yaml"));
    assert_true(syn_has_suffix("x", ""));
}

static void integers_are_read_whole_or_not_at_all(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", " 1", "\t1", "\n1", "1 ", "1x", "x", "-", "9223372036854775808", "1.0", "0x10"};
    int64_t value = 5;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (syn_parse_i64(bad[i], &value))
            fail_msg("\"%s\" is read as %lld", bad[i], (long long)value);
        assert_int_equal(value, 5);
    }
    assert_true(syn_parse_i64("-9223372036854775808", &value));
    assert_true(value == INT64_MIN);
    assert_true(syn_parse_i64("+7", &value));
    assert_int_equal(value, 7);
}

static void reals_are_read_whole_or_not_at_all(void **state)
{
    (void)state;
    static const char *const bad[] = {"", " 1", "\t1", "1 ", "1e", "x", "1e999", "-1e999", "1,5"};
    double value = 5;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (syn_parse_f64(bad[i], &value))
            fail_msg("\"%s\" is read as %g", bad[i], value);
        assert_true(value == 5);
    }
    assert_true(syn_parse_f64("-1e-3", &value));
    assert_true(value == -1e-3);
    assert_true(syn_parse_f64("1e-999", &value));
    assert_true(value == 0);
}

static void bytes_are_told_in_binary_units(void **state)
{
    (void)state;
    char b[32];

    assert_string_equal(syn_format_bytes(b, 0), "0 B");
    assert_string_equal(syn_format_bytes(b, 1023), "1023 B");
    assert_string_equal(syn_format_bytes(b, 1536), "1.5 KiB");
    assert_string_equal(syn_format_bytes(b, 312 * 1024), "312 KiB");
    assert_string_equal(syn_format_bytes(b, 25 << 20), "25.0 MiB");
    assert_string_equal(syn_format_bytes(b, UINT64_MAX), "16.0 EiB");
}

static void durations_are_told_as_people_say_them(void **state)
{
    (void)state;
    char b[32];

    assert_string_equal(syn_format_duration(b, 0), "0.0 s");
    assert_string_equal(syn_format_duration(b, 9.94), "9.9 s");
    assert_string_equal(syn_format_duration(b, 12.3), "12 s");
    assert_string_equal(syn_format_duration(b, 62), "1 min 02 s");
    assert_string_equal(syn_format_duration(b, 3725), "1 h 02 min");
    assert_string_equal(syn_format_duration(b, 86400.0 * 200), "200 days");
    assert_string_equal(syn_format_duration(b, -1), "?");
    assert_string_equal(syn_format_duration(b, NAN), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appended_pieces_stand_one_after_the_other),
        cmocka_unit_test(a_string_grows_far_beyond_its_first_size),
        cmocka_unit_test(a_failed_append_is_remembered),
        cmocka_unit_test(an_impossible_length_fails_like_missing_memory),
        cmocka_unit_test(take_hands_the_text_over),
        cmocka_unit_test(clear_keeps_the_memory_and_forgets_failure),
        cmocka_unit_test(utf8_is_judged_as_rfc_3629_does),
        cmocka_unit_test(unprintable_bytes_are_replaced),
        cmocka_unit_test(the_nearest_word_is_suggested),
        cmocka_unit_test(words_beyond_all_bounds_get_no_suggestion),
        cmocka_unit_test(prefixes_and_suffixes),
        cmocka_unit_test(integers_are_read_whole_or_not_at_all),
        cmocka_unit_test(reals_are_read_whole_or_not_at_all),
        cmocka_unit_test(bytes_are_told_in_binary_units),
        cmocka_unit_test(durations_are_told_as_people_say_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
