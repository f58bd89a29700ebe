/* Jobs from text: defaults, refusals with their places, overrides, paths, failing memory. */
#include "tests/unit/common/format/job_helpers.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void a_small_job_gets_every_default(void **state)
{
    (void)state;
    syn_job_spec spec = parse_ok(SMALL_JOB);

    assert_string_equal(spec.name, "");
    assert_int_equal(spec.seed, 1);
    assert_int_equal(spec.dtype, SYN_F32);
    assert_int_equal(spec.model.n_hidden, 2);
    assert_int_equal(spec.model.hidden[0], 256);
    assert_int_equal(spec.model.hidden[1], 128);
    assert_int_equal(spec.data.n_train, 20000);
    assert_int_equal(spec.train.batch_size, 64);
    assert_true(spec.train.stop_on_nan);
    assert_int_equal(spec.optimizer.kind, SYN_OPT_ADAM);
    assert_true(spec.optimizer.lr == 1e-3);
    assert_true(spec.optimizer.beta2 == 0.999);
    assert_true(spec.parallel.bucket_mb == 25);
    syn_job_spec_release(&spec);
}

static void defaults_follow_the_kinds(void **state)
{
    (void)state;
    const char *adamw[] = {"optimizer.kind=adamw"};
    syn_job_spec spec;

    assert_int_equal(parse_with(SMALL_GPT, adamw, 1, &spec), SYN_OK);

    assert_true(spec.optimizer.weight_decay == 0.01);
    assert_int_equal(spec.data.n_train, 0);
    assert_int_equal(spec.model.n_hidden, 0);
    syn_job_spec_release(&spec);
}

static void yaml_and_json_give_the_same_job(void **state)
{
    (void)state;
    syn_job_spec yaml =
        parse_ok("name: \"\\u00e4 \\\"b\\\"\"\nmodel:\n  kind: mlp\n  hidden:\n  - 3\n  - 4\n"
                 "data: {kind: digits}\ntrain: {epochs: 2}\noptimizer: {lr: 1e-3}\n");
    syn_job_spec json =
        parse_ok("{\"name\": \"\\u00e4 \\\"b\\\"\", \"model\": {\"kind\": \"mlp\", \"hidden\":"
                 " [3, 4]}, \"data\": {\"kind\": \"digits\"}, \"train\": {\"epochs\": 2},\n"
                 "\t\"optimizer\": {\"lr\": 0.001}}");

    assert_specs_equal(&yaml, &json);
    syn_job_spec_release(&yaml);
    syn_job_spec_release(&json);
}

static void json_takes_surrogate_pairs_long_keys_apart_and_big_seeds(void **state)
{
    (void)state;
    syn_job_spec spec = parse_ok(
        "{\"name\": \"\\ud83d\\ude00\", \"seed\": 18446744073709551615, \"model\"\n:\n"
        "{\"kind\": \"mlp\"}, \"data\": {\"kind\": \"digits\"}, \"train\": {\"epochs\": 1}}");

    assert_string_equal(spec.name, "\xf0\x9f\x98\x80");
    assert_true(spec.seed == UINT64_MAX);
    syn_job_spec_release(&spec);
}

static void a_byte_order_mark_and_windows_lines_are_taken(void **state)
{
    (void)state;
    syn_job_spec spec = parse_ok(
        "\xef\xbb\xbfmodel: {kind: mlp}\r\ndata: {kind: digits}\r\ntrain: {epochs: 1}\r\n");

    assert_int_equal(spec.train.epochs, 1);
    syn_job_spec_release(&spec);
}

static void a_section_without_keys_is_as_absent(void **state)
{
    (void)state;
    syn_job_spec spec = parse_ok(SMALL_JOB "optimizer:\n  # lr: 1\n");

    assert_true(spec.optimizer.lr == 1e-3);
    syn_job_spec_release(&spec);
}

static void an_error_shows_the_line_and_a_caret(void **state)
{
    (void)state;
    assert_string_equal(
        refusal("model: {kind: mlp}\ndata: {kind: digits}\ntrain:\n  epochs: 1\n  batchsize: 4\n"),
        "/jobs/job.yaml:5:3: unknown key \"batchsize\" in train; did you mean \"batch_size\"?\n"
        "    5 |   batchsize: 4\n"
        "      |   ^");
}

/* A job and the beginning of its refusal. */
static const struct {
    const char *text, *message;
} refusals[] = {
    {"", "/jobs/job.yaml:1:1: the job is empty\n"},
    {"# only a comment\n", "/jobs/job.yaml:1:1: the job is empty\n"},
    {"~", "/jobs/job.yaml:1:1: the job is empty\n"},
    {"[1]", "/jobs/job.yaml:1:1: a job consists of keys and values\n"},
    {"model", "/jobs/job.yaml:1:1: a job consists of keys and values\n"},
    {"{\"a\": 1", "/jobs/job.yaml:1:7: cannot read the JSON: '}' expected near end of file\n"},
    {"{'a': 1}", "/jobs/job.yaml:1:2: cannot read the JSON: string or '}' expected near '''\n"},
    {"{\"modle\": 1}", "/jobs/job.yaml:1:2: unknown key \"modle\"; did you mean \"model\"?\n"},
    {"{\n \"seed\": 1,\n \"seed\": 2}", "/jobs/job.yaml:3:2: seed is given twice\n"},
    {SMALL_JOB "batch_size: 4",
     "/jobs/job.yaml:4:1: unknown key \"batch_size\"; did you mean \"train.batch_size\"?\n"},
    {SMALL_JOB "train.batch_size: 4", "/jobs/job.yaml:4:1: unknown key \"train.batch_size\"; write "
                                      "batch_size inside the section train\n"},
    {SMALL_JOB "zzzzzzzzzz: 4", "/jobs/job.yaml:4:1: unknown key \"zzzzzzzzzz\"\n"},
    {SMALL_JOB "\"a\\nb\": 4", "/jobs/job.yaml:4:1: unknown key \"a?b\"\n"},
    {SMALL_JOB "? [a]\n: 4", "/jobs/job.yaml:4:3: a key must be a word\n"},
    {SMALL_JOB "data: {}", "/jobs/job.yaml:4:1: data is given twice\n"},
    {SMALL_JOB "optimizer: {lr: 1, lr: 2}", "/jobs/job.yaml:4:20: optimizer.lr is given twice\n"},
    {SMALL_JOB "optimizer: adam", "/jobs/job.yaml:4:12: optimizer must be a section of keys\n"},
    {SMALL_JOB "optimizer: {lr: fast}",
     "/jobs/job.yaml:4:17: optimizer.lr must be a number of at least 0, not the text \"fast\"\n"},
    {SMALL_JOB "optimizer: {lr: \"0.1\"}",
     "/jobs/job.yaml:4:17: optimizer.lr must be a number of at least 0, not the text \"0.1\"\n"},
    {SMALL_JOB "optimizer: {lr: }",
     "/jobs/job.yaml:4:17: optimizer.lr has no value; it must be a number of at least 0\n"},
    {SMALL_JOB "optimizer: {lr: .nan}",
     "/jobs/job.yaml:4:17: optimizer.lr must be a number of at least 0, not the text \".nan\"\n"},
    {SMALL_JOB "optimizer: {lr: 1e999}",
     "/jobs/job.yaml:4:17: optimizer.lr must be a number of at least 0, not the number 1e999\n"},
    {SMALL_JOB "ranks: 1.5",
     "/jobs/job.yaml:4:8: ranks must be an integer from 1 to 65536, not the number 1.5\n"},
    {SMALL_JOB "ranks: 0",
     "/jobs/job.yaml:4:8: ranks must be an integer from 1 to 65536, not the integer 0\n"},
    {SMALL_JOB "ranks: 99999999999999999999", "/jobs/job.yaml:4:8: ranks must be an integer from 1 "
                                              "to 65536, not the integer 99999999999999999999\n"},
    {SMALL_JOB "ranks: 010",
     "/jobs/job.yaml:4:8: ranks must be an integer from 1 to 65536, not the text \"010\"\n"},
    {SMALL_JOB "ranks: true",
     "/jobs/job.yaml:4:8: ranks must be an integer from 1 to 65536, not the boolean true\n"},
    {SMALL_JOB "ranks: [2]",
     "/jobs/job.yaml:4:8: ranks must be an integer from 1 to 65536, not a list\n"},
    {SMALL_JOB "ranks: {a: 2}",
     "/jobs/job.yaml:4:8: ranks must be an integer from 1 to 65536, not a section\n"},
    {SMALL_JOB "seed: -1", "/jobs/job.yaml:4:7: seed must be an integer from 0 to "
                           "18446744073709551615, not the integer -1\n"},
    {SMALL_JOB "seed: 18446744073709551616", "/jobs/job.yaml:4:7: seed must be an integer"},
    {SMALL_JOB "dtype: f16", "/jobs/job.yaml:4:8: dtype must be one of f32, f64, not the text "
                             "\"f16\"; did you mean \"f32\"?\n"},
    {SMALL_JOB "parallel: {overlap: yes}",
     "/jobs/job.yaml:4:21: parallel.overlap must be true or false, not the text \"yes\"\n"},
    {SMALL_JOB "optimizer: {betas: [0.9]}", "/jobs/job.yaml:4:20: optimizer.betas must be a list "
                                            "of two numbers from 0 to below 1, not of 1\n"},
    {SMALL_JOB "optimizer: {betas: [0.9, 1]}",
     "/jobs/job.yaml:4:26: each element of optimizer.betas must be a number from 0 to below 1, not "
     "the integer 1\n"},
    {SMALL_JOB "optimizer: {momentum: 0.9}",
     "/jobs/job.yaml:4:13: optimizer.momentum does not apply: it belongs to "
     "optimizer.kind=sgd, and optimizer.kind is adam\n"},
    {SMALL_GPT "name: [x]",
     "/jobs/job.yaml:4:7: name must be text of at most 128 bytes, not a list\n"},
    {SMALL_JOB "name: \"a\\tb\"", "/jobs/job.yaml:4:7: name contains the control character 0x09\n"},
    {SMALL_JOB "name: \"a\\0b\"", "/jobs/job.yaml:4:7: the text contains a NUL character\n"},
    {SMALL_JOB "optimizer: {kind: [adam]}",
     "/jobs/job.yaml:4:19: optimizer.kind must be one of sgd, adam, adamw, not a list\n"},
    {"model: {kind: mlp, hidden: 4}", "/jobs/job.yaml:1:28: model.hidden must be a list of at most "
                                      "64 integers from 1 to 1048576, not "
                                      "the integer 4\n"},
    {"model: {kind: mlp, hidden: [4, 0]}",
     "/jobs/job.yaml:1:32: each element of model.hidden must be an integer from 1 "
     "to 1048576, not the integer 0\n"},
    {"data: {kind: digits}\ntrain: {epochs: 1}",
     "/jobs/job.yaml:1:1: model.kind is missing; it must be one of mlp, "
     "lenet5, gpt\n"},
    {"model:\n  hidden: [3]\ndata: {kind: digits}", "/jobs/job.yaml:1:1: model.kind is missing"},
    {"model: {kind: mlp}\ndata: {kind: idx}\ntrain: {epochs: 1}",
     "/jobs/job.yaml:2:1: data.path is missing, needed with data.kind=idx|text; it must be a path"},
    {"model: {kind: mlp}\ndata: {kind: idx, path: \"\"}\ntrain: {epochs: 1}",
     "/jobs/job.yaml:2:25: data.path is empty\n"},
    {"a: \xff", "/jobs/job.yaml:1:4: the byte 0xff is not UTF-8 text\n"},
    {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\xc3",
     "/jobs/job.yaml:1:4: the byte 0xc3 is not UTF-8 text\n"},
    {"a: \x01", "/jobs/job.yaml:1:4: cannot read the YAML: control characters are not allowed\n"},
    {"train:\n\tepochs: 1",
     "/jobs/job.yaml:2:1: cannot read the YAML: indent with spaces, not tabs\n"},
    {"\xc3\xa4: &x 1",
     "/jobs/job.yaml:1:4: job files have no anchors (&name); write the value itself\n"},
    {"a: *x", "/jobs/job.yaml:1:4: job files have no aliases (*name); write the value itself\n"},
    {"a: !!int 1", "/jobs/job.yaml:1:4: job files have no tags (!type); write the value itself\n"},
    {"a: !x [1]", "/jobs/job.yaml:1:4: job files have no tags"},
    {"a: &x {b: 1}", "/jobs/job.yaml:1:4: job files have no anchors"},
    {"a: 1\n---\nb: 1",
     "/jobs/job.yaml:2:1: a second document begins here; a job is one document\n"},
    {"[[[[[[[[[[[[[[[[[[[[", "/jobs/job.yaml:1:18: the job nests deeper than 16 levels\n"},
    {"{\"a\":[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]}",
     "/jobs/job.yaml:1:22: the job nests deeper than 16 levels\n"},
};

static void assert_begins(const char *text, const char *beginning)
{
    if (strncmp(text, beginning, strlen(beginning)) != 0)
        fail_msg("got      %s\nexpected %s", text, beginning);
}

static void every_mistake_is_one_sentence_with_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const char *message = refusal(refusals[i].text), *expected = refusals[i].message;
        if (strncmp(message, expected, strlen(expected)) != 0)
            fail_msg("for %s\ngot      %s\nexpected %s", refusals[i].text, message, expected);
    }
}

static void overrides_are_laid_over_the_file(void **state)
{
    (void)state;
    const char *overrides[] = {"train.batch_size=8", "model.hidden=[5, 6, 7]",
                               "name=a b",           "train.batch_size=16",
                               "optimizer.kind=sgd", "optimizer.momentum=0.5"};
    syn_job_spec spec;

    assert_int_equal(parse_with(SMALL_JOB, overrides, 6, &spec), SYN_OK);

    assert_int_equal(spec.train.batch_size, 16);
    assert_int_equal(spec.model.n_hidden, 3);
    assert_int_equal(spec.model.hidden[2], 7);
    assert_string_equal(spec.name, "a b");
    assert_true(spec.optimizer.momentum == 0.5);
    syn_job_spec_release(&spec);
}

/* An override and its refusal. */
static const struct {
    const char *text, *message;
} override_refusals[] = {
    {"train.batchsize=4", "--set train.batchsize=4: unknown key \"train.batchsize\"; did you mean "
                          "\"train.batch_size\"?"},
    {"lr=4", "--set lr=4: unknown key \"lr\"; did you mean \"optimizer.lr\"?"},
    {"sede=4", "--set sede=4: unknown key \"sede\"; did you mean \"seed\"?"},
    {"=4", "--set =4: unknown key \"\""},
    {"seed", "--set seed: an override is written key=value"},
    {"seed=", "--set seed=: seed has no value"},
    {"train={}", "--set train={}: train is a section; set its keys one by one as train.KEY=VALUE"},
    {"train.epochs=x",
     "--set train.epochs=x: train.epochs must be an integer from 0 to 1000000, not the text \"x\""},
    {"model.hidden=[1,2",
     "--set model.hidden=[1,2: cannot read the YAML: did not find expected ',' or ']' while "
     "parsing a flow sequence"},
    {"model.width=4", "--set model.width=4: model.width does not apply: it belongs to "
                      "model.kind=gpt, and model.kind is mlp"},
    {"name=\xff", "--set name=\xff: the byte 0xff is not UTF-8 text"},
    {"train.accumulate=65",
     "--set train.accumulate=65: train.batch_size 64 is smaller than train.accumulate 65"},
};

static void a_wrong_override_names_itself(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof override_refusals / sizeof *override_refusals; i++) {
        syn_job_spec spec = {0};
        assert_int_equal(parse_with(SMALL_JOB, &override_refusals[i].text, 1, &spec),
                         SYN_INVALID_ARGUMENT);
        assert_string_equal(syn_error_message(), override_refusals[i].message);
        assert_null(spec.name);
    }
}

static void relative_paths_count_from_the_file_or_the_given_folders(void **state)
{
    (void)state;
    static const char text[] =
        "model: {kind: mlp}\ndata: {kind: idx, path: ./data/mnist}\ntrain: {epochs: 1}\n"
        "checkpoint: {resume: /abs}\n";
    const char *override[] = {"data.path=mine"};
    char here[4096], expected[5000];
    syn_job_spec spec;

    assert_int_equal(parse_with(text, NULL, 0, &spec), SYN_OK);
    assert_string_equal(spec.data.path, "/jobs/data/mnist");
    assert_string_equal(spec.checkpoint.resume, "/abs");
    syn_job_spec_release(&spec);
    assert_int_equal(
        syn_job_spec_parse(text, strlen(text), "j.yaml", "/base", NULL, NULL, 0, &spec), SYN_OK);
    assert_string_equal(spec.data.path, "/base/data/mnist");
    syn_job_spec_release(&spec);
    assert_int_equal(parse_with(text, override, 1, &spec), SYN_OK);
    assert_string_equal(spec.data.path, "/here/mine");
    syn_job_spec_release(&spec);

    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(
        syn_job_spec_parse(text, strlen(text), "d/j.yaml", NULL, NULL, override, 1, &spec), SYN_OK);
    (void)snprintf(expected, sizeof expected, "%s/mine", here);
    assert_string_equal(spec.data.path, expected);
    syn_job_spec_release(&spec);
    assert_int_equal(syn_job_spec_parse(text, strlen(text), "d/j.yaml", NULL, NULL, NULL, 0, &spec),
                     SYN_OK);
    (void)snprintf(expected, sizeof expected, "%s/d/data/mnist", here);
    assert_string_equal(spec.data.path, expected);
    syn_job_spec_release(&spec);
}

static void texts_have_a_longest_length(void **state)
{
    (void)state;
    char text[400] = SMALL_JOB "name: ";
    size_t n = strlen(text);

    memset(text + n, 'x', 128);
    syn_job_spec spec = parse_ok(text);
    assert_int_equal(strlen(spec.name), 128);
    syn_job_spec_release(&spec);
    memset(text + n, 'x', 129);
    assert_begins(refusal(text),
                  "/jobs/job.yaml:4:7: name has 129 bytes, at most 128 are allowed\n");
}

static void a_path_too_long_when_absolute_is_refused(void **state)
{
    (void)state;
    char text[4200] = SMALL_JOB "checkpoint: {resume: ";
    memset(text + strlen(text), 'x', 4095);
    strcat(text, "}");

    assert_begins(
        refusal(text),
        "/jobs/job.yaml:4:22: checkpoint.resume has 4101 bytes, at most 4096 are allowed\n");
}

static void text_may_end_without_a_nul(void **state)
{
    (void)state;
    size_t length = strlen(SMALL_JOB);
    char *exact = malloc(length);
    syn_job_spec spec;

    assert_non_null(exact);
    memcpy(exact, SMALL_JOB, length);
    assert_int_equal(syn_job_spec_parse(exact, length, "j", NULL, NULL, NULL, 0, &spec), SYN_OK);
    syn_job_spec_release(&spec);
    free(exact);
}

static void files_beyond_a_mebibyte_and_floods_of_values_are_refused(void **state)
{
    (void)state;
    size_t length = (1 << 20) + 1;
    char *text = malloc(length);
    syn_job_spec spec;

    assert_non_null(text);
    memset(text, ' ', length);
    assert_int_equal(syn_job_spec_parse(text, length, "j", NULL, NULL, NULL, 0, &spec),
                     SYN_INVALID_ARGUMENT);
    assert_string_equal(syn_error_message(), "j has 1048577 bytes, a job has at most 1048576");
    for (size_t i = 0; i < 20000; i++)
        memcpy(text + 2 * i, i ? "1," : " [", 2);
    assert_int_equal(syn_job_spec_parse(text, 40000, "j", NULL, NULL, NULL, 0, &spec),
                     SYN_INVALID_ARGUMENT);
    assert_non_null(strstr(syn_error_message(), "the job has more than 4096 values"));
    free(text);
}

static void a_caret_deep_in_a_long_line_stays_in_sight(void **state)
{
    (void)state;
    char text[2000] = SMALL_JOB "name: \"";
    memset(text + strlen(text), 'x', 500);
    strcat(text, "\" !");

    const char *message = refusal(text);

    const char *excerpt = strchr(message, '\n') + 1, *caret = strchr(excerpt, '\n') + 1;
    assert_true(strcspn(excerpt, "\n") < 120);
    assert_int_equal(strcspn(excerpt, "!"), strcspn(caret, "^"));
}

static void load_reads_a_file_and_names_one_that_is_missing(void **state)
{
    (void)state;
    char path[4096];
    syn_job_spec spec;

    (void)snprintf(path, sizeof path, "%s/docs/examples/digits.yaml",
                   getenv("SYNCLINE_SOURCE_DIR"));
    assert_int_equal(syn_job_spec_load(path, NULL, 0, &spec), SYN_OK);
    assert_string_equal(spec.name, "digits");
    syn_job_spec_release(&spec);
    assert_int_equal(syn_job_spec_load("/nowhere/job.yaml", NULL, 0, &spec), SYN_NOT_FOUND);
    assert_string_equal(syn_error_message(),
                        "cannot open /nowhere/job.yaml: No such file or directory");
}

static void the_example_jobs_are_accepted(void **state)
{
    (void)state;
    static const char *const names[] = {"digits", "mnist-mlp", "mnist-lenet", "gpt-char"};
    for (size_t i = 0; i < 4; i++) {
        char path[4096];
        syn_job_spec spec;
        (void)snprintf(path, sizeof path, "%s/docs/examples/%s.yaml", getenv("SYNCLINE_SOURCE_DIR"),
                       names[i]);
        if (syn_job_spec_load(path, NULL, 0, &spec) != SYN_OK)
            fail_msg("%s", syn_error_message());
        assert_string_equal(spec.name, names[i]);
        syn_job_spec_release(&spec);
    }
}

static void the_first_limit_that_is_reached_ends_the_run(void **state)
{
    (void)state;
    syn_job_spec spec = {.train = {.epochs = 3, .batch_size = 64}};

    assert_int_equal(syn_job_spec_total_steps(&spec, 100),
                     6); /* the last batch of an epoch is smaller */
    assert_int_equal(syn_job_spec_total_steps(&spec, 0), 0);
    spec.data.kind = SYN_DATA_TEXT;
    assert_int_equal(syn_job_spec_total_steps(&spec, 100), 3); /* whole batches only */
    spec.data.kind = SYN_DATA_IDX;
    spec.train.max_steps = 4;
    assert_int_equal(syn_job_spec_total_steps(&spec, 100), 4);
    assert_int_equal(syn_job_spec_total_steps(&spec, 64), 3);
    assert_int_equal(syn_job_spec_total_steps(&spec, 0), 4);
    spec.train.epochs = 1000000;
    spec.train.batch_size = 1;
    spec.train.max_steps = 0;
    assert_true(syn_job_spec_total_steps(&spec, INT64_MAX) == INT64_MAX);
}

/* `other` is a code that may come instead: jansson takes some failed allocations for errors of
 * syntax. */
static void parse_under_failing_memory(const char *text, const char *const *overrides,
                                       size_t n_overrides, syn_status other)
{
    for (long n = 1;; n++) {
        syn_job_spec spec = {0};
        syn_mem_fail_after(n);
        syn_status status = parse_with(text, overrides, n_overrides, &spec);
        int has_failed = syn_mem_has_failed();
        syn_mem_fail_after(0);
        if (!has_failed) {
            assert_int_equal(status, SYN_OK);
            syn_job_spec_release(&spec);
            assert_true(n > 5);
            return;
        }
        if (status != SYN_RESOURCE_EXHAUSTED && (status == SYN_OK || status != other))
            fail_msg("allocation %ld: %s", n, syn_error_message());
        assert_null(spec.name);
    }
}

static void every_failing_allocation_is_an_ordinary_error(void **state)
{
    (void)state;
    const char *overrides[] = {"model.hidden=[5, 6]", "checkpoint.resume=x"};

    json_set_alloc_funcs(syn_malloc, syn_free);
    parse_under_failing_memory(SMALL_JOB "name: x", overrides, 2, SYN_RESOURCE_EXHAUSTED);
    parse_under_failing_memory(
        "{\"name\": \"x\", \"model\": {\"kind\": \"mlp\", \"hidden\": [3]},"
        "\"data\": {\"kind\": \"idx\", \"path\": \"p\"}, \"train\": {\"epochs\": 1}}",
        overrides, 2, SYN_INVALID_ARGUMENT);
    json_set_alloc_funcs(malloc, free);
}

static void a_refusal_survives_failing_memory(void **state)
{
    (void)state;
    for (long n = 1;; n++) {
        syn_job_spec spec = {0};
        syn_mem_fail_after(n);
        syn_status status = parse_with(SMALL_JOB "modle: 1", NULL, 0, &spec);
        int has_failed = syn_mem_has_failed();
        syn_mem_fail_after(0);
        assert_true(status == SYN_INVALID_ARGUMENT ||
                    (has_failed && status == SYN_RESOURCE_EXHAUSTED));
        if (!has_failed)
            return;
    }
}

static void release_accepts_nothing(void **state)
{
    (void)state;
    syn_job_spec spec = {0};
    syn_job_spec_release(&spec);
    syn_job_spec_release(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_job_gets_every_default),
        cmocka_unit_test(defaults_follow_the_kinds),
        cmocka_unit_test(yaml_and_json_give_the_same_job),
        cmocka_unit_test(json_takes_surrogate_pairs_long_keys_apart_and_big_seeds),
        cmocka_unit_test(a_byte_order_mark_and_windows_lines_are_taken),
        cmocka_unit_test(a_section_without_keys_is_as_absent),
        cmocka_unit_test(an_error_shows_the_line_and_a_caret),
        cmocka_unit_test(every_mistake_is_one_sentence_with_its_place),
        cmocka_unit_test(overrides_are_laid_over_the_file),
        cmocka_unit_test(a_wrong_override_names_itself),
        cmocka_unit_test(relative_paths_count_from_the_file_or_the_given_folders),
        cmocka_unit_test(texts_have_a_longest_length),
        cmocka_unit_test(a_path_too_long_when_absolute_is_refused),
        cmocka_unit_test(text_may_end_without_a_nul),
        cmocka_unit_test(files_beyond_a_mebibyte_and_floods_of_values_are_refused),
        cmocka_unit_test(a_caret_deep_in_a_long_line_stays_in_sight),
        cmocka_unit_test(load_reads_a_file_and_names_one_that_is_missing),
        cmocka_unit_test(the_example_jobs_are_accepted),
        cmocka_unit_test(the_first_limit_that_is_reached_ends_the_run),
        cmocka_unit_test(every_failing_allocation_is_an_ordinary_error),
        cmocka_unit_test(a_refusal_survives_failing_memory),
        cmocka_unit_test(release_accepts_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
