/* Losses between two tensors of one shape. Their common forms are one fused operator with a kind;
 * the rest is composed. */
#include "worker/kernels/loss.h"
#include "worker/ops/spatial.h"
#include <math.h>
#include <string.h>

enum { F_KIND, F_SCALE, F_BETA };

/* ---- The fused operator: scale * sum of terms ---- */

static syn_loss_args args_of(const syn_tensor *x, const syn_tensor *target, const syn_value *attrs)
{
    return (syn_loss_args){.kind = (syn_loss_kind)attrs[F_KIND].i,
                           .n = x->numel,
                           .beta = syn_value_number(&attrs[F_BETA]),
                           .x = x->data,
                           .target = target->data};
}

static double load(const syn_tensor *x)
{
    return x->dtype == SYN_F64 ? *(const double *)x->data : (double)*(const float *)x->data;
}

static syn_status check_pair(const syn_op_call *call, const syn_tensor *x, const syn_tensor *target)
{
    int64_t kind = call->attrs[F_KIND].i;
    if (kind < 0 || kind > SYN_LOSS_KL_DIV)
        return SYN_OP_FAIL(call, "there is no loss number %lld", (long long)kind);
    if (!syn_same_shape(x, target))
        return SYN_OP_FAIL(call, "the input and the target differ in shape");
    return SYN_OK;
}

static syn_status fused_infer(syn_op_call *call, syn_meta *metas)
{
    SYN_TRY(check_pair(call, call->inputs[0], call->inputs[1]));
    syn_meta_set(&metas[0], (syn_dtype)call->inputs[0]->dtype, 0, NULL);
    return SYN_OK;
}

static syn_status fused_forward(syn_op_call *call)
{
    const syn_tensor *x = call->inputs[0], *y = call->outputs[0];
    syn_loss_args a = args_of(x, call->inputs[1], call->attrs);
    double value =
        syn_kernels->loss[syn_real_index(x)].sum(&a) * syn_value_number(&call->attrs[F_SCALE]);
    if (y->dtype == SYN_F64)
        *(double *)y->data = value;
    else
        *(float *)y->data = (float)value;
    return SYN_OK;
}

static syn_tensor *number_like(const syn_tensor *x, double value)
{
    return syn_full(SYN_SCALAR, value, (syn_dtype)x->dtype);
}

/* d term / dx, and d term / d target in *by_target, with operators. */
static syn_tensor *slopes(syn_loss_kind kind, double beta, syn_tensor *const pair[2],
                          syn_tensor **by_target)
{
    syn_tensor *x = pair[0], *target = pair[1], *difference = syn_sub(x, target), *slope = NULL;
    syn_tensor *zero = number_like(x, 0);
    switch (kind) {
    case SYN_LOSS_MSE:
        slope = syn_mul_scalar(difference, 2);
        break;
    case SYN_LOSS_SMOOTH_L1: {
        syn_tensor *is_near = syn_lt(syn_abs(difference), number_like(x, beta));
        slope = syn_where(is_near, syn_mul_scalar(difference, beta > 0 ? 1 / beta : 0),
                          syn_sign(difference));
        break;
    }
    case SYN_LOSS_BCE_WITH_LOGITS:
        *by_target = syn_neg(x);
        return syn_sub(syn_sigmoid(x), target);
    case SYN_LOSS_KL_DIV: {
        syn_tensor *is_positive = syn_gt(target, zero);
        syn_tensor *safe = syn_where(is_positive, target, number_like(x, 1));
        syn_tensor *slope_t = syn_add_scalar(syn_sub(syn_log(safe), x), 1);
        *by_target = syn_where(is_positive, slope_t, zero);
        return syn_neg(syn_where(is_positive, target, zero));
    }
    }
    *by_target = syn_neg(slope);
    return slope;
}

static void fused_backward(syn_backward_call *call)
{
    if (!syn_grad_is_enabled() && !call->needs_grad[1]) {
        syn_tensor *const inputs[] = {call->grad_outputs[0], call->inputs[0], call->inputs[1]};
        call->grad_inputs[0] =
            syn_call(&syn_op_elementwise_loss_backward, inputs, 3, call->attrs, 3);
        return;
    }
    syn_tensor *by_target = NULL;
    syn_tensor *by_x = slopes((syn_loss_kind)call->attrs[F_KIND].i,
                              syn_value_number(&call->attrs[F_BETA]), call->inputs, &by_target);
    syn_tensor *factor =
        syn_mul_scalar(call->grad_outputs[0], syn_value_number(&call->attrs[F_SCALE]));
    if (call->needs_grad[0])
        call->grad_inputs[0] = syn_mul(by_x, factor);
    if (call->needs_grad[1])
        call->grad_inputs[1] = syn_mul(by_target, factor);
}

#define FUSED_ATTRS \
    SYN_ARG("kind", INT), SYN_ARG("scale", FLOAT), SYN_ARG_OR("beta", FLOAT, SYN_FALLBACK_FLOAT(1))

const syn_op syn_op_elementwise_loss = {
    .name = "elementwise_loss",
    .doc = "scale times the sum of a loss's terms; kinds 0 squares, 1 smooth L1, 2 binary "
           "cross-entropy of logits, 3 KL divergence.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_TENSOR("target"), FUSED_ATTRS),
    .flags = SYN_OP_CONTIGUOUS | SYN_OP_INTERNAL,
    .dtypes = SYN_DTYPES_FLOAT,
    .saves = SYN_SAVE_INPUTS,
    .infer = fused_infer,
    .forward = fused_forward,
    .backward = fused_backward,
    SYN_SAMPLES("(3,4), (3,4), kind=0, scale=0.5", "(3,4), (3,4), kind=1, scale=1.0, beta=0.5",
                "(5), (5)~, kind=2, scale=0.2", "(2,3), (2,3)+, kind=3, scale=0.5"),
};

static syn_status fused_backward_infer(syn_op_call *call, syn_meta *metas)
{
    SYN_TRY(check_pair(call, call->inputs[1], call->inputs[2]));
    if (call->inputs[0]->numel != 1)
        return SYN_OP_FAIL(call, "the gradient has to be one number");
    syn_meta_like(&metas[0], call->inputs[1]);
    return SYN_OK;
}

static syn_status fused_backward_forward(syn_op_call *call)
{
    const syn_tensor *x = call->inputs[1];
    syn_loss_args a = args_of(x, call->inputs[2], call->attrs);
    double scale = load(call->inputs[0]) * syn_value_number(&call->attrs[F_SCALE]);
    syn_kernels->loss[syn_real_index(x)].backward(&a, scale, call->outputs[0]->data);
    return SYN_OK;
}

const syn_op syn_op_elementwise_loss_backward = {
    .name = "elementwise_loss_backward",
    .doc = "The gradient of elementwise_loss by its input.",
    SYN_ARGS(SYN_TENSOR("grad_output"), SYN_TENSOR("input"), SYN_TENSOR("target"), FUSED_ATTRS),
    .flags = SYN_OP_CONTIGUOUS | SYN_OP_INTERNAL | SYN_OP_NO_GRAD,
    .dtypes = SYN_DTYPES_FLOAT,
    .infer = fused_backward_infer,
    .forward = fused_backward_forward,
};

/* ---- Reductions ---- */

static syn_tensor *reduce(const syn_op_call *call, syn_tensor *losses, const char *reduction)
{
    if (strcmp(reduction, "none") == 0)
        return losses;
    if (strcmp(reduction, "sum") == 0)
        return syn_sum(losses);
    if (strcmp(reduction, "mean") == 0)
        return syn_mean(losses);
    return syn_stick(
        SYN_OP_FAIL(call, "reduction is \"%s\"; none, mean or sum is possible", reduction));
}

static bool is_fusable(const syn_tensor *x, const syn_tensor *target)
{
    return syn_same_shape(x, target) && x->dtype == target->dtype &&
           (x->dtype == SYN_F32 || x->dtype == SYN_F64);
}

static syn_tensor *fused(syn_loss_kind kind, double scale, double beta, syn_tensor *const pair[2])
{
    return syn_call(&syn_op_elementwise_loss, pair, 2,
                    (const syn_value[]){SYN_INT_OF(kind), SYN_FLOAT_OF(scale), SYN_FLOAT_OF(beta)},
                    3);
}

/* The fused operator where it applies; false asks for the composition. */
static bool try_fused(syn_op_call *call, syn_loss_kind kind, const char *reduction, double beta)
{
    const syn_tensor *x = call->inputs[0];
    bool is_mean = strcmp(reduction, "mean") == 0;
    if ((!is_mean && strcmp(reduction, "sum") != 0) || !is_fusable(x, call->inputs[1]))
        return false;
    call->outputs[0] = fused(kind, is_mean ? 1 / (double)x->numel : 1, beta, call->inputs);
    return true;
}

#define PAIR_ARGS         SYN_TENSOR("input"), SYN_TENSOR("target")
#define REDUCTION_OR_MEAN SYN_ARG_OR("reduction", STRING, SYN_FALLBACK_STRING("mean"))

/* ---- mse_loss ---- */

static void mse_loss_compose(syn_op_call *call)
{
    const char *reduction = call->attrs[0].string;
    if (!try_fused(call, SYN_LOSS_MSE, reduction, 1))
        call->outputs[0] =
            reduce(call, syn_square(syn_sub(call->inputs[0], call->inputs[1])), reduction);
}

const syn_op syn_op_mse_loss = {
    .name = "mse_loss",
    .doc = "(input - target)^2, averaged over all elements.",
    SYN_ARGS(PAIR_ARGS, REDUCTION_OR_MEAN),
    .dtypes = SYN_DTYPES_FLOAT,
    .compose = mse_loss_compose,
    SYN_SAMPLES("(3,4), (3,4)", "(3,4), (4), reduction='sum'", "(2,3), (2,3), reduction='none'"),
};

static syn_tensor *call_loss(const syn_op *op, syn_tensor *x, syn_tensor *target)
{
    return syn_call(op, (syn_tensor *[]){x, target}, 2, NULL, 0);
}

syn_tensor *syn_mse_loss(syn_tensor *x, syn_tensor *target)
{
    return call_loss(&syn_op_mse_loss, x, target);
}

/* ---- l1_loss, smooth_l1_loss, huber_loss ---- */

static void l1_loss_compose(syn_op_call *call)
{
    syn_tensor *losses = syn_abs(syn_sub(call->inputs[0], call->inputs[1]));
    call->outputs[0] = reduce(call, losses, call->attrs[0].string);
}

const syn_op syn_op_l1_loss = {
    .name = "l1_loss",
    .doc = "|input - target|, averaged over all elements.",
    SYN_ARGS(PAIR_ARGS, REDUCTION_OR_MEAN),
    .dtypes = SYN_DTYPES_REAL,
    .compose = l1_loss_compose,
    SYN_SAMPLES("(3,4), (3,4)", "(2,3), (2,3), reduction='none'"),
};

/* d^2 / 2 for |d| < width and width (|d| - width / 2) beyond. */
static syn_tensor *huber_terms(syn_tensor *x, syn_tensor *target, double width)
{
    syn_tensor *difference = syn_sub(x, target), *distance = syn_abs(difference);
    if (!distance)
        return NULL;
    syn_tensor *near = syn_mul_scalar(syn_square(difference), 0.5);
    syn_tensor *far = syn_mul_scalar(syn_add_scalar(distance, -0.5 * width), width);
    return syn_where(syn_lt(distance, number_like(distance, width)), near, far);
}

static void smooth_l1_loss_compose(syn_op_call *call)
{
    const char *reduction = call->attrs[0].string;
    double beta = syn_value_number(&call->attrs[1]);
    if (!(beta >= 0)) {
        (void)syn_stick(SYN_OP_FAIL(call, "beta is %g; it cannot be negative", beta));
        return;
    }
    if (try_fused(call, SYN_LOSS_SMOOTH_L1, reduction, beta))
        return;
    syn_tensor *losses =
        beta > 0 ? syn_mul_scalar(huber_terms(call->inputs[0], call->inputs[1], beta), 1 / beta)
                 : syn_abs(syn_sub(call->inputs[0], call->inputs[1]));
    call->outputs[0] = reduce(call, losses, reduction);
}

const syn_op syn_op_smooth_l1_loss = {
    .name = "smooth_l1_loss",
    .doc = "d^2 / (2 beta) where d = |input - target| < beta, d - beta / 2 beyond; averaged.",
    SYN_ARGS(PAIR_ARGS, REDUCTION_OR_MEAN, SYN_ARG_OR("beta", FLOAT, SYN_FALLBACK_FLOAT(1))),
    .dtypes = SYN_DTYPES_FLOAT,
    .compose = smooth_l1_loss_compose,
    SYN_SAMPLES("(3,4), (3,4)", "(3,4), (3,4), reduction='sum', beta=0.5",
                "(2,3), (2,3), reduction='none'"),
};

syn_tensor *syn_smooth_l1_loss(syn_tensor *x, syn_tensor *target, double beta)
{
    return syn_call(&syn_op_smooth_l1_loss, (syn_tensor *[]){x, target}, 2,
                    (const syn_value[]){SYN_STRING_OF("mean"), SYN_FLOAT_OF(beta)}, 2);
}

static void huber_loss_compose(syn_op_call *call)
{
    double delta = syn_value_number(&call->attrs[1]);
    if (!(delta > 0)) {
        (void)syn_stick(SYN_OP_FAIL(call, "delta is %g; it has to be positive", delta));
        return;
    }
    syn_tensor *losses = huber_terms(call->inputs[0], call->inputs[1], delta);
    call->outputs[0] = reduce(call, losses, call->attrs[0].string);
}

const syn_op syn_op_huber_loss = {
    .name = "huber_loss",
    .doc = "d^2 / 2 where d = |input - target| < delta, delta (d - delta / 2) beyond; averaged.",
    SYN_ARGS(PAIR_ARGS, REDUCTION_OR_MEAN, SYN_ARG_OR("delta", FLOAT, SYN_FALLBACK_FLOAT(1))),
    .dtypes = SYN_DTYPES_FLOAT,
    .compose = huber_loss_compose,
    SYN_SAMPLES("(3,4), (3,4)", "(3,4), (3,4), reduction='none', delta=0.5"),
};

/* ---- binary cross-entropy ---- */

enum { B_WEIGHT = 2, B_POS_WEIGHT };

/* (1 - t) x + (1 + (p - 1) t) log(1 + exp(-x)), with the logarithm written so that it does not
 * overflow. */
static syn_tensor *bce_terms(const syn_op_call *call)
{
    syn_tensor *x = call->inputs[0], *t = call->inputs[1];
    syn_tensor *weight = call->inputs[B_WEIGHT], *positive = call->inputs[B_POS_WEIGHT];
    if (!syn_same_shape(x, t))
        return syn_stick(SYN_OP_FAIL(call, "the input and the target differ in shape"));
    /* log(1 + exp(-x)) = log(1 + exp(-|x|)) + max(-x, 0) */
    syn_tensor *softplus = syn_add(syn_softplus(syn_neg(syn_abs(x))), syn_relu(syn_neg(x)));
    if (positive)
        softplus = syn_mul(softplus, syn_add_scalar(syn_mul(syn_add_scalar(positive, -1), t), 1));
    syn_tensor *losses = syn_add(syn_mul(syn_add_scalar(syn_neg(t), 1), x), softplus);
    return weight ? syn_mul(losses, weight) : losses;
}

static void bce_with_logits_compose(syn_op_call *call)
{
    const char *reduction = call->attrs[0].string;
    bool is_plain = !call->inputs[B_WEIGHT] && !call->inputs[B_POS_WEIGHT];
    if (!is_plain || !try_fused(call, SYN_LOSS_BCE_WITH_LOGITS, reduction, 1))
        call->outputs[0] = reduce(call, bce_terms(call), reduction);
}

const syn_op syn_op_binary_cross_entropy_with_logits = {
    .name = "binary_cross_entropy_with_logits",
    .doc = "Cross-entropy of sigmoid(input) with probabilities of the same shape, averaged.",
    SYN_ARGS(PAIR_ARGS, SYN_OPTIONAL_TENSOR("weight"), SYN_OPTIONAL_TENSOR("pos_weight"),
             REDUCTION_OR_MEAN),
    .dtypes = SYN_DTYPES_FLOAT,
    .compose = bce_with_logits_compose,
    SYN_SAMPLES("(3,4), (3,4)~, none, none", "(3,4), (3,4)~, (4)+, (4)+, reduction='none'"),
};

syn_tensor *syn_bce_with_logits(syn_tensor *x, syn_tensor *target)
{
    return syn_call(&syn_op_binary_cross_entropy_with_logits,
                    (syn_tensor *[]){x, target, NULL, NULL}, 4, NULL, 0);
}

/* -(t log x + (1 - t) log(1 - x)), logarithms from -100 on, as torch. */
static void binary_cross_entropy_compose(syn_op_call *call)
{
    syn_tensor *x = call->inputs[0], *t = call->inputs[1], *weight = call->inputs[B_WEIGHT];
    if (!syn_same_shape(x, t)) {
        (void)syn_stick(SYN_OP_FAIL(call, "the input and the target differ in shape"));
        return;
    }
    syn_tensor *yes = syn_clamp(syn_log(x), -100, INFINITY);
    syn_tensor *no = syn_clamp(syn_log(syn_add_scalar(syn_neg(x), 1)), -100, INFINITY);
    syn_tensor *losses = syn_mul(syn_add_scalar(t, -1), no);
    losses = syn_sub(losses, syn_mul(t, yes));
    losses = weight ? syn_mul(losses, weight) : losses;
    call->outputs[0] = reduce(call, losses, call->attrs[0].string);
}

const syn_op syn_op_binary_cross_entropy = {
    .name = "binary_cross_entropy",
    .doc = "Cross-entropy of probabilities with probabilities of the same shape, averaged.",
    SYN_ARGS(PAIR_ARGS, SYN_OPTIONAL_TENSOR("weight"), REDUCTION_OR_MEAN),
    .dtypes = SYN_DTYPES_FLOAT,
    .compose = binary_cross_entropy_compose,
    SYN_SAMPLES("(3,4)~, (3,4)~, none", "(3,4)~, (3,4)~, (4)+, reduction='none'"),
};

/* ---- kl_div ---- */

enum { K_REDUCTION, K_LOG_TARGET };

static syn_tensor *kl_terms(const syn_op_call *call)
{
    syn_tensor *x = call->inputs[0], *t = call->inputs[1];
    if (call->attrs[K_LOG_TARGET].i)
        return syn_mul(syn_exp(t), syn_sub(t, x));
    syn_tensor *zero = number_like(t, 0), *is_positive = syn_gt(t, zero);
    syn_tensor *safe = syn_where(is_positive, t, number_like(t, 1));
    syn_tensor *entropy = syn_where(is_positive, syn_mul(t, syn_log(safe)), zero);
    return syn_sub(entropy, syn_mul(t, x));
}

static void kl_div_compose(syn_op_call *call)
{
    const char *reduction = call->attrs[K_REDUCTION].string;
    const syn_tensor *x = call->inputs[0];
    bool is_batch = strcmp(reduction, "batchmean") == 0;
    double rows = x->ndim ? (double)x->dims[0] : 1;
    if (is_batch && !call->attrs[K_LOG_TARGET].i && is_fusable(x, call->inputs[1]) && x->ndim)
        call->outputs[0] = fused(SYN_LOSS_KL_DIV, 1 / rows, 1, call->inputs);
    else if (is_batch)
        call->outputs[0] = syn_mul_scalar(syn_sum(kl_terms(call)), 1 / rows);
    else
        call->outputs[0] = reduce(call, kl_terms(call), reduction);
}

const syn_op syn_op_kl_div = {
    .name = "kl_div",
    .doc = "target (log target - input), input holding log-probabilities; reductions none, sum, "
           "mean, batchmean.",
    SYN_ARGS(PAIR_ARGS, REDUCTION_OR_MEAN,
             SYN_ARG_OR("log_target", BOOL, SYN_FALLBACK_BOOL(false))),
    .dtypes = SYN_DTYPES_FLOAT,
    .compose = kl_div_compose,
    SYN_SAMPLES("(3,4), (3,4)+", "(3,4), (3,4)+, reduction='batchmean'",
                "(3,4), (3,4), reduction='sum', log_target=true"),
};

syn_tensor *syn_kl_div(syn_tensor *input, syn_tensor *target)
{
    return syn_call(&syn_op_kl_div, (syn_tensor *[]){input, target}, 2,
                    (const syn_value[]){SYN_STRING_OF("batchmean"), SYN_BOOL_OF(false)}, 2);
}
