/* Values against their rows: the limits of every key of the table. */
#include "common/format/job_keys.h"
#include "tests/unit/common/format/job_helpers.h"

#include <math.h>
#include <stdio.h>

static bool is_number(const syn_job_key *key)
{
    return key->type == SYN_JOB_INTEGER || key->type == SYN_JOB_REAL ||
           key->type == SYN_JOB_INTEGERS || key->type == SYN_JOB_REAL_PAIR;
}

static bool is_accepted(const syn_job_key *key, const char *text, bool is_quoted)
{
    syn_job_source source = {.name = "test", .text = text, .length = strlen(text)};
    syn_job_node items[2] = {{.text = text, .is_quoted = is_quoted},
                             {.text = text, .is_quoted = is_quoted}};
    syn_job_node list = {.kind = SYN_NODE_LIST, .first = items, .n = 1};
    syn_job_spec spec = {0};

    if (key->type == SYN_JOB_REAL_PAIR) {
        items[0].next = &items[1];
        list.n = 2;
    }
    bool is_list = key->type == SYN_JOB_REAL_PAIR || key->type == SYN_JOB_INTEGERS;
    syn_status status = syn_job_value_set(key, is_list ? &list : items, &source, &spec);
    syn_job_spec_release(&spec);
    return status == SYN_OK;
}

static void every_number_keeps_to_its_limits(void **state)
{
    (void)state;
    for (size_t i = 0; i < syn_n_job_keys; i++) {
        const syn_job_key *key = &syn_job_keys[i];
        char text[64];
        if (!is_number(key))
            continue;
        bool is_real = key->type == SYN_JOB_REAL || key->type == SYN_JOB_REAL_PAIR;
        (void)snprintf(text, sizeof text, "%.17g", key->min);
        assert_int_equal(is_accepted(key, text, false), !key->min_is_open);
        (void)snprintf(text, sizeof text, "%.17g", key->min - (is_real ? 1e-9 : 1));
        assert_false(is_accepted(key, text, false));
        if (isinf(key->max)) {
            assert_true(is_accepted(key, "1.7976931348623157e308", false));
            continue;
        }
        (void)snprintf(text, sizeof text, "%.17g", key->max);
        assert_int_equal(is_accepted(key, text, false), !key->max_is_open);
        (void)snprintf(text, sizeof text, is_real ? "%.17g" : "%.0f",
                       key->max + (is_real ? 1e-3 : 1));
        assert_false(is_accepted(key, text, false));
    }
}

static void every_key_refuses_what_is_of_another_type(void **state)
{
    (void)state;
    for (size_t i = 0; i < syn_n_job_keys; i++) {
        const syn_job_key *key = &syn_job_keys[i];
        assert_false(is_accepted(key, "", false));
        assert_false(is_accepted(key, "null", false));
        if (key->type == SYN_JOB_TEXT || key->type == SYN_JOB_PATH)
            continue;
        assert_false(is_accepted(key, "junk", false));
        assert_false(is_accepted(key, "1", true));
        assert_false(is_accepted(key, "0x1p3", false));
        assert_false(is_accepted(key, "1_000", false));
        assert_false(is_accepted(key, " 1", false));
    }
}

static void every_choice_is_taken_by_its_name_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < syn_n_job_keys; i++)
        for (const syn_job_choice *c = syn_job_keys[i].choices; c && c->name; c++) {
            syn_job_source source = {.name = "test", .text = c->name, .length = strlen(c->name)};
            syn_job_node node = {.text = c->name};
            syn_job_spec spec = {0};
            int value = -1;
            assert_int_equal(syn_job_value_set(&syn_job_keys[i], &node, &source, &spec), SYN_OK);
            memcpy(&value, (char *)&spec + syn_job_keys[i].offset, sizeof value);
            assert_int_equal(value, c->value);
            assert_string_equal(syn_job_key_choice(&syn_job_keys[i], &spec), c->name);
        }
}

static void numbers_may_be_written_in_every_decimal_way(void **state)
{
    (void)state;
    static const char *const good[] = {"1",    "+1",  "0.5",    ".5", "5.",
                                       "1e-3", "1E3", "1.5e+3", "0",  "-0"};
    static const char *const bad[] = {".", "e3",  "1e",  "1e+", "1.2.3", "--1",
                                      "+", "inf", "nan", "1f",  "1,5"};
    const syn_job_key *lr = syn_job_key_find("optimizer.lr");

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!is_accepted(lr, good[i], false))
            fail_msg("%s is refused", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (is_accepted(lr, bad[i], false))
            fail_msg("%s is accepted", bad[i]);
}

static void a_description_says_what_a_key_takes(void **state)
{
    (void)state;
    static const struct {
        const char *name, *words;
    } rows[] = {
        {"seed", "an integer from 0 to 18446744073709551615"},
        {"model.kind", "one of mlp, lenet5, gpt"},
        {"model.hidden", "a list of at most 64 integers from 1 to 1048576"},
        {"train.stop_on_nan", "true or false"},
        {"optimizer.lr", "a number of at least 0"},
        {"optimizer.betas", "a list of two numbers from 0 to below 1"},
        {"schedule.gamma", "a number above 0"},
        {"parallel.bucket_mb", "a number above 0 and up to 65536"},
        {"data.path", "a path of at most 4096 bytes"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char words[256];
        syn_job_key_describe(syn_job_key_find(rows[i].name), words, sizeof words);
        assert_string_equal(words, rows[i].words);
    }
}

static void a_new_text_replaces_the_old_one(void **state)
{
    (void)state;
    syn_job_source source = {.name = "test", .text = "x", .length = 1};
    syn_job_node first = {.text = "first"}, second = {.text = "second", .is_quoted = true};
    syn_job_spec spec = {0};

    assert_int_equal(syn_job_value_set(syn_job_key_find("name"), &first, &source, &spec), SYN_OK);
    assert_int_equal(syn_job_value_set(syn_job_key_find("name"), &second, &source, &spec), SYN_OK);

    assert_string_equal(spec.name, "second");
    syn_job_spec_release(&spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_keeps_to_its_limits),
        cmocka_unit_test(every_key_refuses_what_is_of_another_type),
        cmocka_unit_test(every_choice_is_taken_by_its_name_alone),
        cmocka_unit_test(numbers_may_be_written_in_every_decimal_way),
        cmocka_unit_test(a_description_says_what_a_key_takes),
        cmocka_unit_test(a_new_text_replaces_the_old_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
