/* Every operator's samples: values against the oracle, layouts, dtypes, refusals. */
#include "tests/unit/worker/ops/walk.h"

#include <syncline/syncline.h>

/* ---- The descriptors themselves ---- */

static void every_operator_has_a_doc_line_arguments_and_samples(void **state)
{
    (void)state;
    for (int i = 0; i < syn_op_count(); i++) {
        const syn_op *op = syn_op_at(i);

        bool has_samples = op->flags & SYN_OP_INTERNAL || (op->samples && op->samples[0]);
        bool is_whole = op->doc && *op->doc && op->n_args > 0 && has_samples;
        bool can_run = op->compose || (op->infer && (op->forward || op->flags & SYN_OP_VIEW));
        if (!is_whole || !can_run)
            print_error("operator %s is not whole\n", op->name);

        assert_true(is_whole && can_run);
        assert_ptr_equal(syn_op_find(op->name), op);
        for (int a = 0; a < op->n_args; a++)
            assert_non_null(op->args[a].name);
    }
}

static void every_differentiable_operator_has_a_backward_rule(void **state)
{
    (void)state;
    for (int i = 0; i < syn_op_count(); i++) {
        const syn_op *op = syn_op_at(i);

        bool has_rule = op->compose || op->backward || op->flags & SYN_OP_NO_GRAD;
        if (!has_rule)
            print_error("operator %s has no backward\n", op->name);

        assert_true(has_rule);
    }
}

/* ---- Values ---- */

static syn_status run_with(const char *backend, const example *e, syn_dtype dtype,
                           syn_sample *sample, syn_outputs *outputs)
{
    (void)syn_backend_use(backend);
    syn_status status = syn_sample_read(e->text, dtype, 5, sample);
    if (status == SYN_OK)
        status = call_checked(e->op, sample, outputs);
    (void)syn_backend_use("cpu");
    return status;
}

static syn_status agrees_with_ref(const example *e, syn_dtype dtype, double tolerance)
{
    static syn_sample fast_sample, ref_sample;
    syn_tensor *fast[MOST_OUTPUTS], *ref[MOST_OUTPUTS];
    syn_outputs fast_out = {fast, MOST_OUTPUTS, 0}, ref_out = {ref, MOST_OUTPUTS, 0};
    SYN_TRY(run_with("cpu", e, dtype, &fast_sample, &fast_out));
    SYN_TRY(run_with("ref", e, dtype, &ref_sample, &ref_out));
    return compare_outputs(&fast_out, &ref_out, tolerance, "against ref");
}

static syn_status agrees_in_f32(const example *e)
{
    return agrees_with_ref(e, SYN_F32, 1e-5);
}

static syn_status agrees_in_f64(const example *e)
{
    return agrees_with_ref(e, SYN_F64, 1e-12);
}

static void fast_kernels_agree_with_ref_in_f32(void **state)
{
    (void)state;
    for_each_example(agrees_in_f32);
}

static void fast_kernels_agree_with_ref_in_f64(void **state)
{
    (void)state;
    for_each_example(agrees_in_f64);
}

/* ---- Layouts ---- */

/* The same values with gaps between elements and the axes in reverse order in memory. */
static syn_tensor *scattered(syn_tensor *x)
{
    syn_shape shape = syn_tensor_shape(x), wide = {.ndim = x->ndim};
    int reverse[SYN_MAX_DIMS];
    if (x->ndim == 0)
        return x;
    for (int d = 0; d < x->ndim; d++) {
        reverse[d] = x->ndim - 1 - d;
        wide.dims[d] = shape.dims[x->ndim - 1 - d] * (d == x->ndim - 1 ? 2 : 1);
    }
    syn_tensor *room = syn_permute(syn_zeros(wide, (syn_dtype)x->dtype), reverse, x->ndim);
    return syn_copy_(syn_slice(room, 0, 0, 2 * shape.dims[0], 2), x);
}

static syn_status is_indifferent_to_layout(const example *e)
{
    static syn_sample dense, sparse;
    syn_tensor *a[MOST_OUTPUTS], *b[MOST_OUTPUTS];
    syn_outputs from_dense = {a, MOST_OUTPUTS, 0}, from_sparse = {b, MOST_OUTPUTS, 0};
    if (strcmp(e->op->name, "view") == 0)
        return SYN_OK; /* refuses layouts that have no such view */
    SYN_TRY(syn_sample_read(e->text, SYN_F64, 5, &dense));
    SYN_TRY(syn_sample_read(e->text, SYN_F64, 5, &sparse));
    for (int i = 0; i < sparse.n_tensors; i++) {
        syn_tensor *moved = scattered(sparse.tensors[i]);
        if (!moved)
            return syn_error_status();
        replace_tensor(&sparse, sparse.tensors[i], moved);
    }
    SYN_TRY(call_checked(e->op, &dense, &from_dense));
    SYN_TRY(call_checked(e->op, &sparse, &from_sparse));
    return compare_outputs(&from_sparse, &from_dense, 1e-12, "scattered inputs");
}

static void results_do_not_depend_on_the_layout_of_inputs(void **state)
{
    (void)state;
    for_each_example(is_indifferent_to_layout);
}

/* ---- Refusals ---- */

/* Either a result or a sentence that begins with the operator's name. */
static syn_status is_result_or_sentence(const example *e, const syn_sample *sample)
{
    syn_tensor *out[MOST_OUTPUTS];
    syn_outputs outputs = {out, MOST_OUTPUTS, 0};
    syn_clear_error();
    if (call_sample(e->op, sample, &outputs)) {
        for (int i = 0; i < outputs.n; i++)
            if (!outputs.items[i])
                return SYN_FAIL(SYN_INTERNAL, "result %d is missing", i);
        return SYN_OK;
    }
    if (!syn_failed() || !*syn_error() || !strchr(syn_error(), ':'))
        return SYN_FAIL(SYN_INTERNAL, "it failed without a sentence");
    return SYN_OK;
}

static syn_status survives_empty(const example *e)
{
    static syn_sample sample;
    SYN_TRY(syn_sample_read(e->text, SYN_F32, 5, &sample));
    int n = sample.n_tensors;
    for (int i = 0; i < n; i++)
        for (int d = 0; d < syn_tensor_ndim(sample.tensors[i]); d++) {
            SYN_TRY(syn_sample_read(e->text, SYN_F32, 5, &sample));
            syn_shape shape = syn_tensor_shape(sample.tensors[i]);
            shape.dims[d] = 0;
            replace_tensor(&sample, sample.tensors[i],
                           syn_zeros(shape, (syn_dtype)sample.tensors[i]->dtype));
            SYN_TRY(is_result_or_sentence(e, &sample));
        }
    return SYN_OK;
}

static void empty_inputs_give_results_or_sentences(void **state)
{
    (void)state;
    for_each_example(survives_empty);
}

static syn_status survives_dtypes(const example *e)
{
    static syn_sample sample;
    SYN_TRY(syn_sample_read(e->text, SYN_F32, 5, &sample));
    int n = sample.n_tensors;
    for (int i = 0; i < n; i++)
        for (int t = 0; t < SYN_N_DTYPES; t++) {
            SYN_TRY(syn_sample_read(e->text, SYN_F32, 5, &sample));
            syn_tensor *other = syn_zeros(syn_tensor_shape(sample.tensors[i]), (syn_dtype)t);
            replace_tensor(&sample, sample.tensors[i], other);
            SYN_TRY(is_result_or_sentence(e, &sample));
        }
    return SYN_OK;
}

static void every_dtype_gives_a_result_or_a_sentence(void **state)
{
    (void)state;
    for_each_example(survives_dtypes);
}

static syn_status survives_ranks(const example *e)
{
    static syn_sample sample;
    static const syn_shape shapes[] = {
        {0, {0}}, {1, {2}}, {2, {2, 2}}, {3, {1, 2, 3}}, {5, {1, 2, 1, 2, 1}}};
    SYN_TRY(syn_sample_read(e->text, SYN_F32, 5, &sample));
    int n = sample.n_tensors;
    for (int i = 0; i < n; i++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            SYN_TRY(syn_sample_read(e->text, SYN_F32, 5, &sample));
            syn_tensor *other = syn_ones(shapes[s], (syn_dtype)sample.tensors[i]->dtype);
            replace_tensor(&sample, sample.tensors[i], other);
            SYN_TRY(is_result_or_sentence(e, &sample));
        }
    return SYN_OK;
}

static void every_number_of_axes_gives_a_result_or_a_sentence(void **state)
{
    (void)state;
    for_each_example(survives_ranks);
}

static syn_status passes_null_on(const example *e)
{
    static syn_sample sample;
    syn_tensor *out[MOST_OUTPUTS];
    syn_outputs outputs = {out, MOST_OUTPUTS, 0};
    SYN_TRY(syn_sample_read(e->text, SYN_F32, 5, &sample));
    if (sample.n_tensors == 0)
        return SYN_OK;
    replace_tensor(&sample, sample.tensors[0], NULL);
    if (call_sample(e->op, &sample, &outputs))
        return SYN_FAIL(SYN_INTERNAL, "a missing first tensor gave a result");
    if (syn_failed())
        return SYN_FAIL(SYN_INTERNAL, "a missing tensor was reported a second time: %s",
                        syn_error());
    return SYN_OK;
}

static void a_missing_tensor_gives_none_and_no_second_sentence(void **state)
{
    (void)state;
    for_each_example(passes_null_on);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operator_has_a_doc_line_arguments_and_samples),
        cmocka_unit_test(every_differentiable_operator_has_a_backward_rule),
        cmocka_unit_test(fast_kernels_agree_with_ref_in_f32),
        cmocka_unit_test(fast_kernels_agree_with_ref_in_f64),
        cmocka_unit_test(results_do_not_depend_on_the_layout_of_inputs),
        cmocka_unit_test(empty_inputs_give_results_or_sentences),
        cmocka_unit_test(every_dtype_gives_a_result_or_a_sentence),
        cmocka_unit_test(every_number_of_axes_gives_a_result_or_a_sentence),
        cmocka_unit_test(a_missing_tensor_gives_none_and_no_second_sentence),
    };
    return cmocka_run_group_tests_name("worker/ops/descriptors", tests, NULL, NULL);
}
