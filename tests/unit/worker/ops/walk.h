/* Walks every operator's samples for generic tests. */
#ifndef TESTS_UNIT_WORKER_OPS_WALK_H
#define TESTS_UNIT_WORKER_OPS_WALK_H

#include "worker/ops/op_internal.h"
#include "worker/ops/samples.h"

#include <syncline/random.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_OUTPUTS = 64 };

/* One operator with one of its samples. */
typedef struct example {
    const syn_op *op;
    const char *text;
    int index; /* of the sample */
} example;

typedef syn_status (*example_fn)(const example *e);

/* Runs `check` on every sample of every operator; prints those that fail and fails the test at the
 * end. `SYN_TEST_OP` names one operator to look at alone. */
static inline void for_each_example(example_fn check)
{
    int n_failed = 0, n_done = 0;
    const char *only = getenv("SYN_TEST_OP");
    for (int i = 0; i < syn_op_count(); i++) {
        const syn_op *op = syn_op_at(i);
        if (only && strcmp(only, op->name) != 0)
            continue;
        for (int s = 0; op->samples && op->samples[s]; s++) {
            example e = {op, op->samples[s], s};
            syn_status status = SYN_OK;
            syn_error_clear();
            SYN_SCOPE {
                status = check(&e);
            }
            syn_clear_error();
            n_done++;
            if (status == SYN_OK)
                continue;
            n_failed++;
            print_error("%s(%s): %s\n", op->name, e.text, syn_error_message());
        }
    }
    assert_true(n_done > 0);
    assert_int_equal(n_failed, 0);
}

/* Calls with the random generator in the same state every time. */
static inline bool call_sample(const syn_op *op, const syn_sample *sample, syn_outputs *outputs)
{
    syn_manual_seed(11);
    return syn_call_named(op->name, sample->args, sample->n_args, outputs);
}

static inline syn_status call_checked(const syn_op *op, const syn_sample *sample,
                                      syn_outputs *outputs)
{
    return call_sample(op, sample, outputs) ? SYN_OK : syn_error_status();
}

/* Puts another tensor where `old` stands in the sample. */
static inline void replace_tensor(syn_sample *sample, const syn_tensor *old, syn_tensor *fresh)
{
    for (int i = 0; i < sample->n_args; i++)
        if (sample->args[i].value.kind == SYN_VALUE_TENSOR && sample->args[i].value.tensor == old)
            sample->args[i].value.tensor = fresh;
    for (int i = 0; i < SYN_SAMPLE_TENSORS; i++)
        if (sample->list[i] == old)
            sample->list[i] = fresh;
    for (int i = 0; i < sample->n_tensors; i++)
        if (sample->tensors[i] == old)
            sample->tensors[i] = fresh;
}

/* Whether all elements agree within `relative` of the greatest magnitude; NaN agrees with NaN. */
static inline syn_status compare(syn_tensor *a, syn_tensor *b, double relative, const char *what)
{
    if (!syn_same_shape(a, b) || a->dtype != b->dtype)
        return SYN_FAIL(SYN_INTERNAL, "%s: shapes or dtypes differ", what);
    syn_tensor *x = syn_contiguous(syn_to(a, SYN_F64)), *y = syn_contiguous(syn_to(b, SYN_F64));
    if (!x || !y)
        return syn_error_status();
    const double *p = x->data, *q = y->data;
    double scale = 1;
    for (int64_t i = 0; i < x->numel; i++)
        scale = isfinite(q[i]) && fabs(q[i]) > scale ? fabs(q[i]) : scale;
    for (int64_t i = 0; i < x->numel; i++)
        if (!(fabs(p[i] - q[i]) <= relative * scale) && !(isnan(p[i]) && isnan(q[i])) &&
            p[i] != q[i])
            return SYN_FAIL(SYN_INTERNAL, "%s: element %lld is %.9g, not %.9g", what, (long long)i,
                            p[i], q[i]);
    return SYN_OK;
}

static inline syn_status compare_outputs(const syn_outputs *a, const syn_outputs *b,
                                         double relative, const char *what)
{
    if (a->n != b->n)
        return SYN_FAIL(SYN_INTERNAL, "%s: %d results, not %d", what, a->n, b->n);
    for (int i = 0; i < a->n; i++)
        SYN_TRY(compare(a->items[i], b->items[i], relative, what));
    return SYN_OK;
}

#endif
