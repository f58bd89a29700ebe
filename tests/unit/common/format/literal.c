/* Quoted text, numbers that read back exactly, and words cut for errors. */
#include "common/format/literal.h"
#include "tests/unit/common/format/job_helpers.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

static void assert_quoted(const char *text, const char *expected)
{
    syn_str out = {0};
    syn_str_append_quoted(&out, text);
    assert_string_equal(syn_str_get(&out), expected);
    syn_str_release(&out);
}

static void quoted_text_escapes_what_json_or_yaml_must_not_see(void **state)
{
    (void)state;
    assert_quoted("", "\"\"");
    assert_quoted("a/b", "\"a/b\"");
    assert_quoted("\"\\\n\t\r\x01\x7f", "\"\\\"\\\\\\n\\t\\u000d\\u0001\\u007f\"");
    assert_quoted("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
                  "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"");
    assert_quoted("\xc2\x85\xe2\x80\xa8\xef\xbb\xbf", "\"\\u0085\\u2028\\ufeff\"");
}

static void assert_double(double value, const char *expected)
{
    syn_str out = {0};
    syn_str_append_double(&out, value);
    assert_string_equal(syn_str_get(&out), expected);
    assert_true(strtod(syn_str_get(&out), NULL) == value);
    syn_str_release(&out);
}

static void doubles_take_as_few_digits_as_read_back(void **state)
{
    (void)state;
    assert_double(0, "0");
    assert_double(0.1, "0.1");
    assert_double(1e-5, "1.0e-05");
    assert_double(1e100, "1.0e+100");
    assert_double(1.0 / 3, "0.3333333333333333");
    assert_double(0.1 + 0.2, "0.30000000000000004");
    assert_double(DBL_MAX, "1.7976931348623157e+308");
    assert_double(0x1p-1074, "4.94065645841247e-324");
}

static void shown_words_are_cut_between_characters(void **state)
{
    (void)state;
    char buffer[SYN_SHOWN_BYTES], text[128] = "a";

    for (int i = 0; i < 40; i++)
        strcat(text, "\xc3\xa4");

    assert_string_equal(syn_text_show("plain", buffer), "plain");
    assert_string_equal(syn_text_show("a\nb\x7f", buffer), "a?b?");
    assert_int_equal(strlen(syn_text_show(text, buffer)), 59 + 3);
    assert_true(syn_utf8_is_valid(buffer, strlen(buffer)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quoted_text_escapes_what_json_or_yaml_must_not_see),
        cmocka_unit_test(doubles_take_as_few_digits_as_read_back),
        cmocka_unit_test(shown_words_are_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
