/* What is printed reads back as the same job, and the reference has every key. */
#include "common/format/job_keys.h"
#include "tests/unit/common/format/job_helpers.h"

#include <stdio.h>
#include <stdlib.h>

static void check_round_trip(const syn_job_spec *spec)
{
    char *yaml = syn_job_spec_to_yaml(spec), *json = syn_job_spec_to_json(spec);
    syn_job_spec again;

    assert_non_null(yaml);
    assert_non_null(json);
    if (syn_job_spec_parse(yaml, strlen(yaml), "printed.yaml", NULL, NULL, NULL, 0, &again) !=
        SYN_OK)
        fail_msg("%s", syn_error_message());
    assert_specs_equal(spec, &again);
    syn_job_spec_release(&again);
    if (syn_job_spec_parse(json, strlen(json), "printed.json", NULL, NULL, NULL, 0, &again) !=
        SYN_OK)
        fail_msg("%s", syn_error_message());
    assert_specs_equal(spec, &again);
    syn_job_spec_release(&again);
    syn_free(yaml);
    syn_free(json);
}

/* A small generator of our own (Marsaglia's xorshift64): the same jobs on every machine. */
static uint64_t draw(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

static void append_value(const syn_job_key *key, uint64_t *x, char *out, size_t size)
{
    double unit = (double)(draw(x) >> 11) * 0x1p-53;
    double top = key->max < 1e15 ? key->max : 1e15,
           value = key->min + unit * (top - key->min) * 0.999999;
    size_t n = 0;

    switch (key->type) {
    case SYN_JOB_INTEGERS:
        for (uint64_t i = 0, count = draw(x) % 5; i < count; i++)
            n += (size_t)snprintf(out + n, size - n, "%s%d", i ? ", " : "[",
                                  1 + (int)(draw(x) % 1000));
        (void)snprintf(out + n, size - n, n ? "]" : "[]");
        break;
    case SYN_JOB_REAL_PAIR:
        (void)snprintf(out, size, "[%.17g, %.17g]", unit, value);
        break;
    case SYN_JOB_REAL:
        (void)snprintf(out, size, "%.17g", draw(x) % 4 ? value : 1e-300 + unit * 1e-290);
        break;
    case SYN_JOB_NATURAL:
        (void)snprintf(out, size, "%llu", (unsigned long long)draw(x));
        break;
    case SYN_JOB_BOOL:
        (void)snprintf(out, size, draw(x) % 2 ? "true" : "false");
        break;
    case SYN_JOB_TEXT:
    case SYN_JOB_PATH:
        (void)snprintf(out, size, "/dir-%llu", (unsigned long long)(draw(x) % 100));
        break;
    default:
        (void)snprintf(out, size, "%.0f", value);
    }
}

/* One random job of the given kinds: every applicable key is set or left out by chance. */
static bool try_random_job(uint64_t *x, syn_job_spec *spec_out)
{
    static char texts[SYN_JOB_KEYS_MAX][256];
    const char *overrides[SYN_JOB_KEYS_MAX];
    size_t n = 0;
    bool is_gpt = draw(x) % 3 == 0;
    syn_job_spec kinds = {.model.kind = is_gpt ? SYN_MODEL_GPT : (syn_model_kind)(draw(x) % 2),
                          .data.kind = is_gpt ? SYN_DATA_TEXT : (syn_data_kind)(draw(x) % 2),
                          .optimizer.kind = (syn_optimizer_kind)(draw(x) % 3),
                          .schedule.kind = (syn_schedule_kind)(draw(x) % 3)};

    for (size_t i = 0; i < syn_n_job_keys; i++) {
        const syn_job_key *key = &syn_job_keys[i];
        char value[200];
        if (!syn_job_key_applies(key, &kinds) || (key->fallback && !key->choices && draw(x) % 2))
            continue;
        append_value(key, x, value, sizeof value);
        if (key->choices)
            (void)snprintf(value, sizeof value, "%s", syn_job_key_choice(key, &kinds));
        if (strcmp(key->name, "dtype") == 0)
            (void)snprintf(value, sizeof value, draw(x) % 2 ? "f32" : "f64");
        (void)snprintf(texts[n], sizeof texts[n], "%s=%s", key->name, value);
        overrides[n] = texts[n];
        n++;
    }
    return parse_with("train: {}", overrides, n, spec_out) == SYN_OK;
}

static void random_jobs_come_back_as_they_were(void **state)
{
    (void)state;
    uint64_t x = 88172645463325252u;
    int n_jobs = 0;

    for (int i = 0; i < 3000; i++) {
        syn_job_spec spec;
        if (!try_random_job(&x, &spec))
            continue; /* keys that do not go together by chance */
        check_round_trip(&spec);
        syn_job_spec_release(&spec);
        n_jobs++;
    }
    assert_true(n_jobs > 300);
}

static void every_text_comes_back(void **state)
{
    (void)state;
    static const char *const names[] = {"",
                                        "true",
                                        "No",
                                        "null",
                                        "12",
                                        "1e3",
                                        "a: b",
                                        "#x",
                                        "a #b",
                                        "'q'",
                                        "\"q\"",
                                        "\\",
                                        " lead",
                                        "trail ",
                                        "- x",
                                        "*x",
                                        "&x",
                                        "!x",
                                        "%x",
                                        "@x",
                                        "`x",
                                        "\xc3\xa4",
                                        "\xc2\x85",
                                        "\xef\xbb\xbf",
                                        "\xe2\x80\xa8",
                                        "\xef\xbf\xbf",
                                        "[",
                                        "{}",
                                        "\xf0\x9f\x98\x80",
                                        "~",
                                        "?",
                                        "=",
                                        "<<",
                                        "\xc2\xa0",
                                        "plain-name_1.0/x"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        syn_job_spec spec = parse_ok(SMALL_JOB);
        syn_free(spec.name);
        spec.name = syn_strdup(names[i]);
        check_round_trip(&spec);
        syn_job_spec_release(&spec);
    }
}

static void the_longest_list_comes_back(void **state)
{
    (void)state;
    syn_job_spec spec = parse_ok(SMALL_JOB);
    spec.model.n_hidden = SYN_SPEC_MAX_LAYERS;
    for (int i = 0; i < SYN_SPEC_MAX_LAYERS; i++)
        spec.model.hidden[i] = i + 1;

    check_round_trip(&spec);
    syn_job_spec_release(&spec);
}

static void printed_yaml_has_sections_and_applicable_keys_only(void **state)
{
    (void)state;
    syn_job_spec spec = parse_ok(SMALL_JOB "name: x\n");

    char *yaml = syn_job_spec_to_yaml(&spec);

    assert_int_equal(strncmp(yaml, "name: x\nseed: 1\nranks: 1\n", 24), 0);
    assert_non_null(
        strstr(yaml, "\n\nmodel:\n  kind: mlp\n  hidden: [256, 128]\n  activation: relu\n"));
    assert_non_null(strstr(yaml, "  betas: [0.9, 0.999]\n  eps: 1.0e-08\n"));
    assert_null(strstr(yaml, "n_heads"));
    assert_null(strstr(yaml, "momentum"));
    syn_free(yaml);
    syn_job_spec_release(&spec);
}

static void printing_without_memory_gives_null(void **state)
{
    (void)state;
    syn_job_spec spec = parse_ok(SMALL_JOB);

    for (int json = 0; json < 2; json++)
        for (long n = 1;; n++) {
            syn_mem_fail_after(n);
            char *text = json ? syn_job_spec_to_json(&spec) : syn_job_spec_to_yaml(&spec);
            int has_failed = syn_mem_has_failed();
            syn_mem_fail_after(0);
            assert_int_equal(text == NULL, has_failed);
            syn_free(text);
            if (!has_failed)
                break;
        }
    syn_job_spec_release(&spec);
}

static void the_reference_has_a_line_for_every_row(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    syn_job_spec_print_reference(out);
    assert_int_equal(fclose(out), 0);

    const char *p = text;
    for (size_t i = 0; i < syn_n_job_keys; i++) {
        char cell[80];
        (void)snprintf(cell, sizeof cell, "\n| `%s` | ", syn_job_keys[i].name);
        p = strstr(p, cell);
        assert_non_null(p);
        p++;
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_jobs_come_back_as_they_were),
        cmocka_unit_test(every_text_comes_back),
        cmocka_unit_test(the_longest_list_comes_back),
        cmocka_unit_test(printed_yaml_has_sections_and_applicable_keys_only),
        cmocka_unit_test(printing_without_memory_gives_null),
        cmocka_unit_test(the_reference_has_a_line_for_every_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
