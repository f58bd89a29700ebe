/* syn-conform: runs packs of reference cases and writes what came out, for others to judge. */
#include "common/base/file.h"
#include "tests/conformance/optimizers.h"
#include "tests/conformance/program.h"
#include "tests/conformance/results.h"
#include "tests/conformance/train.h"

#include <stdio.h>
#include <string.h>
#include <syncline/syncline.h>

enum { CASES_MAX = 256 << 20 };

static const char usage[] =
    "usage: syn-conform train CASES.jsonl IN.safetensors OUT.safetensors\n"
    "       syn-conform ops CASES.jsonl IN.safetensors OUT.safetensors\n"
    "train runs the trainings and optimizer runs of CASES (one JSON object a line) on the tensors "
    "of IN and writes curves and final weights to OUT.\n"
    "Under mpirun every rank takes its part of each batch and rank 0 writes.\n"
    "ops runs programs of operators, called by name, and writes results and gradients.\n";

static syn_status run_case(const json_t *test_case, const syn_safetensors *inputs,
                           result_set *results, bool *known_out)
{
    const char *kind = json_string_value(json_object_get(test_case, "kind"));

    if (kind && strcmp(kind, "train") == 0)
        return train_case(test_case, inputs, results, known_out);
    if (kind && strcmp(kind, "optim") == 0)
        return optim_case(test_case, inputs, results, known_out);
    if (!kind)
        return program_case(test_case, inputs, results, known_out);
    *known_out = false;
    return SYN_FAIL(SYN_UNIMPLEMENTED, "there are no cases of kind %s", kind);
}

static syn_status run_line(const char *line, size_t length, const syn_safetensors *inputs,
                           result_set *results)
{
    json_error_t error;
    json_t *test_case = json_loadb(line, length, 0, &error);
    bool known = true;
    size_t before = results->tensors.n;

    if (!test_case)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "column %d: %s", error.column, error.text);

    json_t *id = json_object_get(test_case, "id");
    if (!json_is_string(id)) {
        json_decref(test_case);
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "a case without id");
    }
    syn_clear_error();
    syn_status status = run_case(test_case, inputs, results, &known);
    if (status != SYN_OK) {
        const char *sentence = syn_failed() ? syn_error() : syn_error_message();
        if (syn_rank() == 0)
            (void)fprintf(stderr, "%s: %s\n", json_string_value(id), sentence);
        results_truncate(results, before);
        (void)json_array_append(known ? results->errors : results->unsupported, id);
    }
    syn_clear_error();
    json_decref(test_case);
    return SYN_OK;
}

static syn_status run_cases(const char *text, const syn_safetensors *inputs, result_set *results)
{
    for (int line = 1; *text; line++) {
        size_t length = strcspn(text, "\n");
        if (length > 0) {
            syn_status status = run_line(text, length, inputs, results);
            if (status != SYN_OK)
                return syn_fail_context(status, "line %d", line);
        }
        text += length + (text[length] == '\n');
    }
    return SYN_OK;
}

static syn_status run_file(const char *cases_path, const char *in_path, const char *out_path)
{
    syn_status status = SYN_OK;
    syn_safetensors *inputs = NULL;
    result_set results = {0};
    char *text = NULL;
    size_t size = 0;

    SYN_GOTO(results_init(&results));
    SYN_GOTO(syn_file_read(cases_path, CASES_MAX, &text, &size));
    SYN_GOTO(syn_safetensors_open(in_path, &inputs));
    if ((status = run_cases(text, inputs, &results)) != SYN_OK) {
        status = syn_fail_context(status, "%s", cases_path);
        goto out;
    }
    if (syn_rank() == 0)
        SYN_GOTO(results_write(&results, out_path));
out:
    results_release(&results);
    syn_safetensors_free(inputs);
    syn_free(text);
    return status;
}

int main(int argc, char **argv)
{
    if (argc == 2 && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)) {
        (void)fputs(usage, stdout);
        return 0;
    }
    bool is_mode = argc > 1 && (strcmp(argv[1], "train") == 0 || strcmp(argv[1], "ops") == 0);
    if (argc != 5 || !is_mode) {
        if (argc > 1 && !is_mode)
            (void)fprintf(stderr, "syn-conform: there is no mode %s, only train and ops\n",
                          argv[1]);
        (void)fputs(usage, stderr);
        return 2;
    }
    if (syn_init_mpi(&argc, &argv) != SYN_OK || run_file(argv[2], argv[3], argv[4]) != SYN_OK) {
        (void)fprintf(stderr, "syn-conform: %s\n", syn_error_message());
        (void)syn_finish();
        return 1;
    }
    return syn_finish();
}
