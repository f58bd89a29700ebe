/* What the job tests share: parsing with overrides, and comparing specs. */
#ifndef TESTS_JOB_HELPERS_H
#define TESTS_JOB_HELPERS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/format/job_spec.h"

#include <string.h>

#define SMALL_JOB "model: {kind: mlp}\ndata: {kind: digits}\ntrain: {epochs: 1}\n"
#define SMALL_GPT "model: {kind: gpt}\ndata: {kind: text, path: /t}\ntrain: {max_steps: 10}\n"

static inline syn_status parse_with(const char *text, const char *const *overrides, size_t n,
                                    syn_job_spec *spec_out)
{
    return syn_job_spec_parse(text, strlen(text), "/jobs/job.yaml", NULL, "/here", overrides, n,
                              spec_out);
}

static inline syn_job_spec parse_ok(const char *text)
{
    syn_job_spec spec;
    if (parse_with(text, NULL, 0, &spec) != SYN_OK)
        fail_msg("%s", syn_error_message());
    return spec;
}

/* The recorded message of a job that must be refused. */
static inline const char *refusal(const char *text)
{
    syn_job_spec spec = {0};
    assert_int_equal(parse_with(text, NULL, 0, &spec), SYN_INVALID_ARGUMENT);
    assert_null(spec.name);
    return syn_error_message();
}

/* All fields, texts by what they say. */
static inline void assert_specs_equal(const syn_job_spec *a, const syn_job_spec *b)
{
    syn_job_spec x = *a, y = *b;
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->data.path, b->data.path);
    assert_string_equal(a->checkpoint.resume, b->checkpoint.resume);
    x.name = x.data.path = x.checkpoint.resume = NULL;
    y.name = y.data.path = y.checkpoint.resume = NULL;
    assert_memory_equal(&x, &y, sizeof x);
}

#endif
