/* The table of keys holds together. */
#include "common/format/job_keys.h"
#include "tests/unit/common/format/job_helpers.h"

static void every_row_is_complete(void **state)
{
    (void)state;
    for (size_t i = 0; i < syn_n_job_keys; i++) {
        const syn_job_key *key = &syn_job_keys[i];
        assert_non_null(key->doc);
        assert_int_equal(key->doc[strlen(key->doc) - 1], '.');
        assert_null(strchr(key->doc, '|'));
        assert_true(key->offset < sizeof(syn_job_spec));
        assert_int_equal(key->type == SYN_JOB_CHOICE, key->choices != NULL);
        assert_int_equal(key->type == SYN_JOB_INTEGERS, key->n_offset != 0);
    }
}

static void a_condition_names_an_earlier_choice(void **state)
{
    (void)state;
    for (size_t i = 0; i < syn_n_job_keys; i++) {
        char name[64] = "";
        if (!syn_job_keys[i].when)
            continue;
        strncat(name, syn_job_keys[i].when, strcspn(syn_job_keys[i].when, "="));
        const syn_job_key *chooser = syn_job_key_find(name);
        assert_non_null(chooser);
        assert_true(chooser < &syn_job_keys[i]);
        assert_non_null(chooser->choices);
        assert_null(chooser->when);
        assert_int_equal(strstr(syn_job_keys[i].when, "=") - syn_job_keys[i].when, strlen(name));
    }
}

/* Every combination of kinds: at most one row of a name applies. */
static void rows_of_one_name_exclude_each_other(void **state)
{
    (void)state;
    for (int kinds = 0; kinds < 81; kinds++) {
        syn_job_spec spec = {.model.kind = (syn_model_kind)(kinds % 3),
                             .data.kind = (syn_data_kind)(kinds / 3 % 3),
                             .optimizer.kind = (syn_optimizer_kind)(kinds / 9 % 3),
                             .schedule.kind = (syn_schedule_kind)(kinds / 27)};
        for (size_t i = 0; i < syn_n_job_keys; i++)
            for (size_t j = i + 1; j < syn_n_job_keys; j++)
                if (strcmp(syn_job_keys[i].name, syn_job_keys[j].name) == 0) {
                    assert_int_equal(syn_job_keys[i].offset, syn_job_keys[j].offset);
                    assert_int_equal(syn_job_keys[i].type, syn_job_keys[j].type);
                    assert_false(syn_job_key_applies(&syn_job_keys[i], &spec) &&
                                 syn_job_key_applies(&syn_job_keys[j], &spec));
                }
    }
}

static void sections_stand_together(void **state)
{
    (void)state;
    for (size_t i = 2; i < syn_n_job_keys; i++) {
        size_t n = syn_job_key_section(&syn_job_keys[i]);
        bool is_first = strncmp(syn_job_keys[i - 1].name, syn_job_keys[i].name, n + 1) != 0;
        for (size_t j = 0; is_first && n > 0 && j < i; j++)
            assert_true(strncmp(syn_job_keys[j].name, syn_job_keys[i].name, n + 1) != 0);
    }
}

static void names_are_cut_at_the_dot(void **state)
{
    (void)state;
    assert_string_equal(syn_job_key_leaf(syn_job_key_find("optimizer.lr")), "lr");
    assert_string_equal(syn_job_key_leaf(syn_job_key_find("seed")), "seed");
    assert_int_equal(syn_job_key_section(syn_job_key_find("optimizer.lr")), 9);
    assert_int_equal(syn_job_key_section(syn_job_key_find("seed")), 0);
    assert_null(syn_job_key_find("optimizer"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_complete),
        cmocka_unit_test(a_condition_names_an_earlier_choice),
        cmocka_unit_test(rows_of_one_name_exclude_each_other),
        cmocka_unit_test(sections_stand_together),
        cmocka_unit_test(names_are_cut_at_the_dot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
