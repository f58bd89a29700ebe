/* Cross-entropy and negative log-likelihood: the mean over rows of class indices in one pass, the
 * other forms composed. */
#include "worker/kernels/softmax.h"
#include "worker/ops/spatial.h"
#include <string.h>

/* ---- Rows (N, C) with class indices (N) ---- */

enum { R_IGNORE_INDEX, R_LABEL_SMOOTHING };

static syn_cross_entropy_args args_of(const syn_tensor *logits, const syn_tensor *target,
                                      const syn_value *attrs)
{
    return (syn_cross_entropy_args){.rows = logits->dims[0],
                                    .classes = logits->dims[1],
                                    .logits = logits->data,
                                    .target = target->data,
                                    .target_dtype = (syn_dtype)target->dtype,
                                    .ignored_class = attrs[R_IGNORE_INDEX].i,
                                    .label_smoothing = syn_value_number(&attrs[R_LABEL_SMOOTHING])};
}

/* Finds a class out of range; counts the rows that have one. */
static syn_status check_classes(const syn_op_call *call, const syn_cross_entropy_args *a,
                                int64_t *n_counted)
{
    int64_t row = syn_target_find_invalid(a, n_counted);
    if (row < 0)
        return SYN_OK;
    return SYN_OP_FAIL(call, "the target of row %lld is class %lld, and there are %lld classes",
                       (long long)row, (long long)syn_target_class(a, row), (long long)a->classes);
}

static syn_status rows_infer(syn_op_call *call, syn_meta *metas)
{
    const syn_tensor *x = call->inputs[0], *target = call->inputs[1];
    double smoothing = syn_value_number(&call->attrs[R_LABEL_SMOOTHING]);
    if (x->ndim != 2 || target->ndim != 1 || x->dims[0] != target->dims[0])
        return SYN_OP_FAIL(call, "logits (N, C) and targets (N) are needed");
    if (!(smoothing >= 0 && smoothing <= 1))
        return SYN_OP_FAIL(call, "label_smoothing is %g; it has to be in [0, 1]", smoothing);
    syn_meta_set(&metas[0], (syn_dtype)x->dtype, 0, NULL);
    syn_meta_set(&metas[1], (syn_dtype)x->dtype, 1, x->dims);
    return SYN_OK;
}

static void store(const syn_tensor *x, double value)
{
    if (x->dtype == SYN_F64)
        *(double *)x->data = value;
    else
        *(float *)x->data = (float)value;
}

static double load(const syn_tensor *x)
{
    return x->dtype == SYN_F64 ? *(const double *)x->data : (double)*(const float *)x->data;
}

static syn_status rows_forward(syn_op_call *call)
{
    int64_t n_counted = 0;
    const syn_tensor *x = call->inputs[0];
    syn_cross_entropy_args a = args_of(x, call->inputs[1], call->attrs);
    SYN_TRY(check_classes(call, &a, &n_counted));
    double sum = syn_kernels->softmax[syn_real_index(x)].cross_entropy(&a, call->outputs[1]->data);
    store(call->outputs[0], sum / (double)n_counted);
    return SYN_OK;
}

/* The gradient by operators: (softmax(x) - wanted) grad / rows counted, for rows that count. */
static syn_tensor *rows_by_operators(syn_backward_call *call)
{
    syn_tensor *x = call->inputs[0], *target = syn_to(call->inputs[1], SYN_I64);
    int64_t ignored = call->attrs[R_IGNORE_INDEX].i;
    double smoothing = syn_value_number(&call->attrs[R_LABEL_SMOOTHING]);
    syn_dtype dtype = (syn_dtype)x->dtype;
    syn_tensor *column = syn_unsqueeze(target, 1);
    syn_tensor *is_class = syn_to(syn_eq(column, syn_arange(x->dims[1], SYN_I64)), dtype);
    syn_tensor *counts =
        syn_to(syn_ne(column, syn_full(SYN_SCALAR, (double)ignored, SYN_I64)), dtype);
    syn_tensor *wanted =
        syn_add_scalar(syn_mul_scalar(is_class, 1 - smoothing), smoothing / (double)x->dims[1]);
    syn_tensor *share = syn_mul(syn_div(counts, syn_sum(counts)), call->grad_outputs[0]);
    return syn_mul(syn_sub(syn_softmax(x, 1), wanted), share);
}

static void rows_backward(syn_backward_call *call)
{
    if (!call->needs_grad[0])
        return;
    if (syn_grad_is_enabled()) {
        call->grad_inputs[0] = rows_by_operators(call);
        return;
    }
    syn_tensor *const inputs[] = {call->grad_outputs[0], call->inputs[0], call->inputs[1],
                                  call->outputs[1]};
    call->grad_inputs[0] = syn_call(&syn_op_cross_entropy_rows_backward, inputs, 4, call->attrs, 2);
}

#define ROW_ARGS                                             \
    SYN_ARG_OR("ignore_index", INT, SYN_FALLBACK_INT(-100)), \
        SYN_ARG_OR("label_smoothing", FLOAT, SYN_FALLBACK_FLOAT(0))

const syn_op syn_op_cross_entropy_rows = {
    .name = "cross_entropy_rows",
    .doc = "The mean over rows of -log softmax(input)[target].",
    SYN_ARGS(SYN_TENSOR("input"), SYN_TENSOR_IN("target", SYN_DTYPES_INDEX), ROW_ARGS),
    .n_outputs = 1,
    .n_extra = 1, /* log(sum(exp(input))) of each row */
    .flags = SYN_OP_CONTIGUOUS,
    .dtypes = SYN_DTYPES_FLOAT,
    .saves = SYN_SAVE_INPUT(0) | SYN_SAVE_INPUT(1) | SYN_SAVE_OUTPUT(1),
    .infer = rows_infer,
    .forward = rows_forward,
    .backward = rows_backward,
    SYN_SAMPLES("(3,4), (3)i4", "(6,5), (6)i5, ignore_index=2, label_smoothing=0.1"),
};

static syn_status rows_backward_infer(syn_op_call *call, syn_meta *metas)
{
    const syn_tensor *x = call->inputs[1], *target = call->inputs[2], *log_sum = call->inputs[3];
    if (call->inputs[0]->numel != 1 || x->ndim != 2 || target->numel != x->dims[0] ||
        log_sum->numel != x->dims[0])
        return SYN_OP_FAIL(call, "a number, logits (N, C), targets (N) and sums (N) are needed");
    syn_meta_like(&metas[0], x);
    return SYN_OK;
}

static syn_status rows_backward_forward(syn_op_call *call)
{
    int64_t n_counted = 0;
    const syn_tensor *x = call->inputs[1];
    syn_cross_entropy_args a = args_of(x, call->inputs[2], call->attrs);
    SYN_TRY(check_classes(call, &a, &n_counted));
    double scale = load(call->inputs[0]) / (double)(n_counted ? n_counted : 1);
    syn_kernels->softmax[syn_real_index(x)].cross_entropy_backward(&a, call->inputs[3]->data, scale,
                                                                   call->outputs[0]->data);
    return SYN_OK;
}

const syn_op syn_op_cross_entropy_rows_backward = {
    .name = "cross_entropy_rows_backward",
    .doc = "The gradient of cross_entropy_rows by its input.",
    SYN_ARGS(SYN_TENSOR("grad_output"), SYN_TENSOR("input"),
             SYN_TENSOR_IN("target", SYN_DTYPES_INDEX), SYN_TENSOR("log_sum"), ROW_ARGS),
    .flags = SYN_OP_CONTIGUOUS | SYN_OP_INTERNAL | SYN_OP_NO_GRAD,
    .dtypes = SYN_DTYPES_FLOAT,
    .infer = rows_backward_infer,
    .forward = rows_backward_forward,
};

static syn_tensor *mean_over_rows(syn_tensor *x, syn_tensor *target, int64_t ignored,
                                  double smoothing)
{
    return syn_call(&syn_op_cross_entropy_rows, (syn_tensor *[]){x, target}, 2,
                    (const syn_value[]){SYN_INT_OF(ignored), SYN_FLOAT_OF(smoothing)}, 2);
}

syn_tensor *syn_cross_entropy(syn_tensor *logits, syn_tensor *target, double label_smoothing)
{
    return mean_over_rows(logits, target, -100, label_smoothing);
}

/* ---- torch's cross_entropy and nll_loss in full ---- */

enum { REDUCTION, IGNORE_INDEX, LABEL_SMOOTHING };

/* One call: logits or log-probabilities (C), (N, C) or (N, C, d1, ...), and how to reduce. */
typedef struct loss_call {
    const syn_op_call *call;
    syn_tensor *input, *target, *weight;
    const char *reduction;
    int64_t ignored;
    double smoothing;
    int axis; /* of the classes */
} loss_call;

static syn_tensor *refuse(const syn_op_call *call, const char *text)
{
    return syn_stick(SYN_OP_FAIL(call, "%s", text));
}

/* mask and weight of each row: weight[target], 0 where ignored; and the input at the target's
 * class. */
static syn_tensor *pick(const loss_call *l, syn_tensor *is_class, syn_tensor *values)
{
    syn_tensor *zero = syn_zeros(SYN_SCALAR, (syn_dtype)l->input->dtype);
    return syn_sum_dims(syn_where(is_class, values, zero), &l->axis, 1, false);
}

/* The weight (C) beside the input's class axis. */
static syn_tensor *class_weights(const loss_call *l)
{
    syn_shape shape = {.ndim = l->input->ndim - l->axis};
    for (int axis = 0; axis < shape.ndim; axis++)
        shape.dims[axis] = axis ? 1 : l->input->dims[l->axis];
    return l->weight ? syn_reshape(l->weight, shape) : syn_ones(shape, (syn_dtype)l->input->dtype);
}

/* losses (per row) reduced; the mean divides by `total`. */
static syn_tensor *reduce(const loss_call *l, syn_tensor *losses, syn_tensor *total)
{
    if (strcmp(l->reduction, "none") == 0)
        return losses;
    if (strcmp(l->reduction, "sum") == 0)
        return syn_sum(losses);
    if (strcmp(l->reduction, "mean") == 0)
        return syn_div(syn_sum(losses), total);
    return syn_stick(
        SYN_OP_FAIL(l->call, "reduction is \"%s\"; none, mean or sum is possible", l->reduction));
}

static syn_status check_target_shape(const loss_call *l)
{
    const syn_tensor *x = l->input, *t = l->target;
    bool fits = t->ndim == x->ndim - 1;
    for (int axis = 0; fits && axis < t->ndim; axis++)
        fits = t->dims[axis] == x->dims[axis < l->axis ? axis : axis + 1];
    if (!fits)
        return SYN_OP_FAIL(l->call, "the target's shape has to be the input's without its classes");
    if (!(SYN_DTYPES_INDEX >> t->dtype & 1))
        return SYN_OP_FAIL(l->call, "the target is %s; class indices are i64, i32 or u8",
                           syn_dtype_name((syn_dtype)t->dtype));
    if (l->weight && (l->weight->ndim != 1 || l->weight->dims[0] != x->dims[l->axis]))
        return SYN_OP_FAIL(l->call, "the weight has to be of shape (%lld)",
                           (long long)x->dims[l->axis]);
    return SYN_OK;
}

static syn_status check_target_classes(const loss_call *l, syn_tensor *target)
{
    int64_t n_counted;
    syn_cross_entropy_args a = {.rows = target->numel,
                                .classes = l->input->dims[l->axis],
                                .target = target->data,
                                .target_dtype = (syn_dtype)target->dtype,
                                .ignored_class = l->ignored};
    return check_classes(l->call, &a, &n_counted);
}

/* -weight[t] logp[t], with label smoothing: (1 - s) of that and s / C of -sum(weight logp). torch's
 * nll_loss and cross_entropy_loss_label_smoothing. */
static syn_tensor *index_loss(const loss_call *l, syn_tensor *log_p)
{
    syn_tensor *dense = syn_contiguous(l->target);
    syn_status status = check_target_shape(l);
    if (status == SYN_OK && dense)
        status = check_target_classes(l, dense);
    if (status != SYN_OK)
        return syn_stick(status);
    syn_dtype dtype = (syn_dtype)l->input->dtype;
    syn_tensor *target = syn_to(dense, SYN_I64), *weights = class_weights(l);
    syn_shape classes = {.ndim = l->input->ndim - l->axis};
    for (int axis = 0; axis < classes.ndim; axis++)
        classes.dims[axis] = axis ? 1 : l->input->dims[l->axis];
    syn_tensor *numbers = syn_reshape(syn_arange(classes.dims[0], SYN_I64), classes);
    syn_tensor *is_class = syn_eq(syn_unsqueeze(target, l->axis), numbers);
    syn_tensor *counts =
        syn_to(syn_ne(target, syn_full(SYN_SCALAR, (double)l->ignored, SYN_I64)), dtype);
    syn_tensor *row_weights = syn_mul(pick(l, is_class, weights), counts);
    syn_tensor *losses = syn_neg(syn_mul(pick(l, is_class, log_p), row_weights));
    syn_tensor *total = syn_sum(row_weights);
    if (l->smoothing > 0) {
        syn_tensor *spread = syn_sum_dims(syn_mul(log_p, weights), &l->axis, 1, false);
        spread = syn_mul(syn_mul_scalar(spread, -l->smoothing / (double)classes.dims[0]), counts);
        losses = syn_add(syn_mul_scalar(losses, 1 - l->smoothing), spread);
    }
    return reduce(l, losses, total);
}

/* The target holds probabilities. */
static syn_tensor *probability_loss(const loss_call *l, syn_tensor *log_p)
{
    syn_tensor *target = l->target;
    double n_classes = (double)l->input->dims[l->axis];
    if (!syn_same_shape(l->input, target))
        return refuse(l->call, "probabilities have to be of the input's shape");
    if (l->smoothing > 0)
        target = syn_add_scalar(syn_mul_scalar(target, 1 - l->smoothing), l->smoothing / n_classes);
    syn_tensor *each = syn_mul(syn_mul(log_p, target), class_weights(l));
    syn_tensor *losses = syn_neg(syn_sum_dims(each, &l->axis, 1, false));
    double n_rows = (double)l->input->numel / n_classes;
    return reduce(l, losses, syn_full(SYN_SCALAR, n_rows, (syn_dtype)l->input->dtype));
}

/* (N, C, d1, ...) with targets (N, d1, ...) as rows. */
static syn_tensor *by_rows(const loss_call *l)
{
    syn_tensor *x = l->input, *target = l->target;
    syn_status status = check_target_shape(l);
    if (status != SYN_OK)
        return syn_stick(status);
    if (x->ndim > 2) {
        int order[SYN_MAX_DIMS] = {0}, last = x->ndim - 1;
        for (int axis = 1; axis < last; axis++)
            order[axis] = axis + 1;
        order[last] = 1;
        x = syn_reshape(syn_permute(x, order, x->ndim),
                        SYN_SHAPE(target->numel, l->input->dims[1]));
        target = syn_reshape(target, SYN_SHAPE(target->numel));
    }
    return mean_over_rows(x, target, l->ignored, l->smoothing);
}

static bool read_call(const syn_op_call *call, loss_call *l)
{
    *l = (loss_call){.call = call,
                     .input = call->inputs[0],
                     .target = call->inputs[1],
                     .weight = call->inputs[2],
                     .reduction = call->attrs[REDUCTION].string,
                     .ignored = call->attrs[IGNORE_INDEX].i,
                     .axis = call->inputs[0]->ndim > 1};
    if (l->input->ndim < 1) {
        (void)refuse(call, "the input has no axis of classes");
        return false;
    }
    return true;
}

static void cross_entropy_compose(syn_op_call *call)
{
    loss_call l;
    if (!read_call(call, &l))
        return;
    l.smoothing = syn_value_number(&call->attrs[LABEL_SMOOTHING]);
    bool is_index = !syn_is_floating(l.target), is_mean = strcmp(l.reduction, "mean") == 0;
    if (!(l.smoothing >= 0 && l.smoothing <= 1))
        (void)syn_stick(
            SYN_OP_FAIL(call, "label_smoothing is %g; it has to be in [0, 1]", l.smoothing));
    else if (is_index && is_mean && !l.weight && l.input->ndim >= 2 && l.target->numel)
        call->outputs[0] = by_rows(&l);
    else if (is_index)
        call->outputs[0] = index_loss(&l, syn_log_softmax(l.input, l.axis));
    else
        call->outputs[0] = probability_loss(&l, syn_log_softmax(l.input, l.axis));
}

const syn_op syn_op_cross_entropy = {
    .name = "cross_entropy",
    .doc = "Cross-entropy of logits (N, C, ...) with class indices (N, ...) or probabilities.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_TENSOR("target"), SYN_OPTIONAL_TENSOR("weight"),
             SYN_ARG_OR("reduction", STRING, SYN_FALLBACK_STRING("mean")),
             SYN_ARG_OR("ignore_index", INT, SYN_FALLBACK_INT(-100)),
             SYN_ARG_OR("label_smoothing", FLOAT, SYN_FALLBACK_FLOAT(0))),
    .dtypes = SYN_DTYPES_REAL,
    .compose = cross_entropy_compose,
    SYN_SAMPLES("(3,4), (3)i4", "(3,4), (3,4)~", "(3,4), (3,4)~, label_smoothing=0.1",
                "(2,3,4), (2,4)i3, label_smoothing=0.2", "(3,4), (3)i4, (4)+, reduction='sum'",
                "(5,3), (5)i3, none, reduction='none'", "(4), ()i4"),
};

static void nll_loss_compose(syn_op_call *call)
{
    loss_call l;
    if (read_call(call, &l))
        call->outputs[0] = index_loss(&l, l.input);
}

const syn_op syn_op_nll_loss = {
    .name = "nll_loss",
    .doc = "The negative of the log-probability (N, C, ...) of each row's class.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_TENSOR_IN("target", SYN_DTYPES_INDEX),
             SYN_OPTIONAL_TENSOR("weight"),
             SYN_ARG_OR("reduction", STRING, SYN_FALLBACK_STRING("mean")),
             SYN_ARG_OR("ignore_index", INT, SYN_FALLBACK_INT(-100))),
    .dtypes = SYN_DTYPES_FLOAT,
    .compose = nll_loss_compose,
    SYN_SAMPLES("(3,4), (3)i4", "(2,3,4), (2,4)i3, (3)+, reduction='none'"),
};
