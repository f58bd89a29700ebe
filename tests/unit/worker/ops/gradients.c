/* Every operator's samples: backward against finite differences, once and twice; memory that runs
 * out. */
#include "tests/unit/worker/ops/walk.h"

#include "common/base/mem.h"

#include <syncline/syncline.h>

/* The sample's call as a function of its floating tensors, for gradcheck. */
typedef struct closure {
    const syn_op *op;
    syn_sample sample;
} closure;

static syn_tensor *sum_of_results(const syn_outputs *outputs)
{
    syn_tensor *total = NULL;
    for (int i = 0; i < outputs->n; i++) {
        syn_tensor *y = outputs->items[i];
        if (!syn_is_floating(y))
            continue;
        syn_tensor *weights = syn_empty(syn_tensor_shape(y), SYN_F64);
        for (int64_t k = 0; weights && k < y->numel; k++)
            ((double *)syn_tensor_data(weights))[k] = cos(0.7 * (double)k + (double)i);
        syn_tensor *part = syn_sum(syn_mul(y, weights));
        if (!part)
            return NULL;
        if (!(total = total ? syn_add(total, part) : part))
            return NULL;
    }
    return total ? total : syn_scalar(0, SYN_F64);
}

static syn_tensor *evaluate(syn_tensor *const *inputs, int n_inputs, void *user)
{
    closure *c = user;
    syn_sample moved = c->sample;
    syn_tensor *out[MOST_OUTPUTS];
    syn_outputs outputs = {out, MOST_OUTPUTS, 0};
    for (int i = 0; i < moved.n_args; i++)
        if (moved.args[i].value.kind == SYN_VALUE_TENSORS)
            moved.args[i].value.tensors = moved.list;
    for (int i = 0; i < n_inputs; i++) {
        bool is_target = i == 0 && c->op->flags & SYN_OP_IN_PLACE;
        syn_tensor *x = inputs[i];
        if (is_target && syn_is_floating(x)) /* a leaf may not be overwritten */
            x = syn_mul_scalar(x, 1);
        replace_tensor(&moved, c->sample.tensors[i], x);
    }
    return call_sample(c->op, &moved, &outputs) ? sum_of_results(&outputs) : NULL;
}

static bool is_checkable(const example *e, const syn_sample *sample, bool twice)
{
    unsigned without = SYN_OP_NO_GRAD | (twice ? SYN_OP_NO_GRADGRAD : 0);
    bool has_floating = false;
    for (int i = 0; i < sample->n_tensors; i++)
        has_floating |= syn_is_floating(sample->tensors[i]);
    for (int i = 0; i < sample->n_args; i++) /* f32 results have no differences */
        if (sample->args[i].value.kind == SYN_VALUE_DTYPE && sample->args[i].value.dtype != SYN_F64)
            return false;
    return has_floating && !(e->op->flags & without);
}

static syn_status check(const example *e, bool twice)
{
    static closure c;
    c.op = e->op;
    SYN_TRY(syn_sample_read(e->text, SYN_F64, 5, &c.sample));
    if (!is_checkable(e, &c.sample, twice))
        return SYN_OK;
    for (int i = 0; i < c.sample.n_tensors; i++)
        if (syn_is_floating(c.sample.tensors[i]))
            (void)syn_requires_grad(c.sample.tensors[i]);
    if (twice)
        return syn_gradgradcheck(evaluate, c.sample.tensors, c.sample.n_tensors, &c);
    return syn_gradcheck(evaluate, c.sample.tensors, c.sample.n_tensors, &c);
}

static syn_status check_once(const example *e)
{
    return check(e, false);
}

static syn_status check_twice(const example *e)
{
    return check(e, true);
}

static void backward_agrees_with_finite_differences(void **state)
{
    (void)state;
    for_each_example(check_once);
}

static void backward_of_backward_agrees_with_finite_differences(void **state)
{
    (void)state;
    for_each_example(check_twice);
}

/* ---- f32 gradients against f64 ---- */

static syn_status gradients(const example *e, syn_dtype dtype, closure *c, syn_tensor **grads)
{
    c->op = e->op;
    SYN_TRY(syn_sample_read(e->text, dtype, 5, &c->sample));
    syn_tensor *leaves[SYN_SAMPLE_TENSORS];
    int n = 0;
    for (int i = 0; i < c->sample.n_tensors; i++)
        if (syn_is_floating(c->sample.tensors[i]))
            leaves[n++] = syn_requires_grad(c->sample.tensors[i]);
    syn_tensor *value = evaluate(c->sample.tensors, c->sample.n_tensors, c);
    for (int i = 0; i < n; i++)
        grads[i] = NULL;
    if (!value)
        return syn_error_status();
    if (value->requires_grad)
        SYN_TRY(syn_grad(value, leaves, n, (syn_backward_options){0}, grads));
    return SYN_OK;
}

static syn_status f32_gradients_are_near(const example *e)
{
    static closure narrow, wide;
    syn_tensor *near[SYN_SAMPLE_TENSORS], *exact[SYN_SAMPLE_TENSORS];
    static syn_sample sample;
    SYN_TRY(syn_sample_read(e->text, SYN_F64, 5, &sample));
    if (!is_checkable(e, &sample, false))
        return SYN_OK;
    SYN_TRY(gradients(e, SYN_F32, &narrow, near));
    SYN_TRY(gradients(e, SYN_F64, &wide, exact));
    for (int i = 0, k = 0; i < sample.n_tensors; i++) {
        if (!syn_is_floating(sample.tensors[i]))
            continue;
        if (!near[k] != !exact[k])
            return SYN_FAIL(SYN_INTERNAL, "tensor %d has a gradient in one dtype only", i);
        if (near[k])
            SYN_TRY(compare(syn_to(near[k], SYN_F64), exact[k], 1e-4, "f32 gradient"));
        k++;
    }
    return SYN_OK;
}

static void f32_gradients_are_near_those_in_f64(void **state)
{
    (void)state;
    for_each_example(f32_gradients_are_near);
}

/* ---- Memory ---- */

/* Every n-th allocation of a call with its backward fails once: a sentence, and nothing leaks or
 * crashes. */
static syn_status survives_lack_of_memory(const example *e)
{
    static closure c;
    if (e->index > 0)
        return SYN_OK;
    for (long n = 1; n < 4000; n++) {
        syn_tensor *grads[SYN_SAMPLE_TENSORS], *leaves[SYN_SAMPLE_TENSORS];
        int n_leaves = 0, has_failed = 0;
        syn_status status = SYN_OK;
        SYN_SCOPE {
            c.op = e->op;
            SYN_TRY(syn_sample_read(e->text, SYN_F64, 5, &c.sample));
            for (int i = 0; i < c.sample.n_tensors; i++)
                if (syn_is_floating(c.sample.tensors[i]))
                    leaves[n_leaves++] = syn_requires_grad(c.sample.tensors[i]);
            syn_mem_fail_after(n);
            syn_tensor *value = evaluate(c.sample.tensors, c.sample.n_tensors, &c);
            if (!value)
                status = syn_error_status();
            else if (value->requires_grad)
                status = syn_grad(value, leaves, n_leaves, (syn_backward_options){0}, grads);
            has_failed = syn_mem_has_failed();
            syn_mem_fail_after(0);
        }
        if (!has_failed)
            return status;
        if (status == SYN_OK && syn_failed())
            return SYN_FAIL(SYN_INTERNAL, "allocation %ld failed, and the result was accepted", n);
        if (status != SYN_OK && !*syn_error_message())
            return SYN_FAIL(SYN_INTERNAL, "allocation %ld failed without a sentence", n);
        syn_error_clear();
        syn_clear_error();
    }
    return SYN_FAIL(SYN_INTERNAL, "the call never got through");
}

static void lack_of_memory_gives_a_sentence(void **state)
{
    (void)state;
    for_each_example(survives_lack_of_memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backward_agrees_with_finite_differences),
        cmocka_unit_test(backward_of_backward_agrees_with_finite_differences),
        cmocka_unit_test(f32_gradients_are_near_those_in_f64),
        cmocka_unit_test(lack_of_memory_gives_a_sentence),
    };
    return cmocka_run_group_tests_name("worker/ops/gradients", tests, NULL, NULL);
}
