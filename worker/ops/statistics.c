/* Variances, norms and logical reductions, composed of sums. */
#include "worker/ops/compose.h"

#include <math.h>

/* sum or amax over `dim` (none: all axes), the axes kept. */
static syn_tensor *over(const syn_op *op, syn_tensor *x, const syn_value *dim, bool keepdim)
{
    return syn_call(op, &x, 1, (syn_value[]){*dim, SYN_BOOL_OF(keepdim)}, 2);
}

/* How many elements become one; -1 where an axis is not there. */
static double elements_each(const syn_op_call *call, const syn_value *dim)
{
    const syn_tensor *x = call->inputs[0];
    double n = 1;
    if (dim->kind == SYN_VALUE_NONE || dim->n == 0)
        return (double)x->numel;
    for (int i = 0; i < dim->n; i++) {
        int d;
        if (!syn_compose_dim(call, dim->ints[i], x->ndim, &d))
            return -1;
        n *= x->ndim ? (double)x->dims[d] : 1;
    }
    return n;
}

/* ---- Variances ---- */

enum { V_DIM, V_CORRECTION, V_KEEPDIM, V_UNBIASED };

static syn_tensor *variance(const syn_op_call *call)
{
    syn_tensor *x = call->inputs[0];
    const syn_value *a = call->attrs;
    double n = elements_each(call, &a[V_DIM]), correction = 1;
    if (n < 0)
        return NULL;
    if (a[V_CORRECTION].kind != SYN_VALUE_NONE)
        correction = syn_value_number(&a[V_CORRECTION]);
    else if (a[V_UNBIASED].kind != SYN_VALUE_NONE)
        correction = a[V_UNBIASED].i ? 1 : 0;
    double divisor = n - correction > 0 ? n - correction : 0;
    syn_tensor *difference = syn_sub(x, over(&syn_op_mean, x, &a[V_DIM], true));
    syn_tensor *sum = over(&syn_op_sum, syn_square(difference), &a[V_DIM], a[V_KEEPDIM].i);
    return syn_div(sum, syn_number_for(x, divisor));
}

static syn_tensor *mean_beside(const syn_op_call *call)
{
    return over(&syn_op_mean, call->inputs[0], &call->attrs[V_DIM], call->attrs[V_KEEPDIM].i);
}

#define VARIANCE(op_name, n_results, root, text)                                        \
    static void op_name##_compose(syn_op_call *call)                                    \
    {                                                                                   \
        syn_tensor *spread = variance(call);                                            \
        call->outputs[0] = root ? syn_sqrt(spread) : spread;                            \
        if (n_results > 1)                                                              \
            call->outputs[n_results - 1] = mean_beside(call);                           \
    }                                                                                   \
    const syn_op syn_op_##op_name = {                                                   \
        .name = #op_name,                                                               \
        .doc = text,                                                                    \
        SYN_ARGS(SYN_TENSOR("input"), SYN_ARG_OR("dim", INTS, SYN_FALLBACK_NONE),       \
                 SYN_ARG_OR("correction", NUMBER, SYN_FALLBACK_NONE),                   \
                 SYN_ARG_OR("keepdim", BOOL, SYN_FALLBACK_BOOL(false)),                 \
                 SYN_ARG_OR("unbiased", BOOL, SYN_FALLBACK_NONE)),                      \
        .n_outputs = n_results,                                                         \
        .dtypes = SYN_DTYPES_FLOAT,                                                     \
        .compose = op_name##_compose,                                                   \
        SYN_SAMPLES("(2,3)", "(2,3,4), [0,2], correction=0", "(2,3), 1, keepdim=true"), \
    };
VARIANCE(var, 1, false, "The variance over axes, of n - correction (1) degrees of freedom.")
VARIANCE(std, 1, true, "The standard deviation over axes.")
VARIANCE(var_mean, 2, false, "The variance and the mean over axes.")
VARIANCE(std_mean, 2, true, "The standard deviation and the mean over axes.")

/* ---- logsumexp ---- */

static void logsumexp_compose(syn_op_call *call)
{
    syn_tensor *x = call->inputs[0];
    const syn_value *dim = &call->attrs[0];
    bool keepdim = call->attrs[1].i;
    if (!syn_is_floating(x))
        x = syn_to(x, SYN_F32);
    if (!x || x->numel == 0) {
        call->outputs[0] = syn_log(over(&syn_op_sum, syn_exp(x), dim, keepdim));
        return;
    }
    /* Differences to the greatest, which counts as a constant; an infinite one is not subtracted.
     */
    syn_tensor *most = syn_detach(over(&syn_op_amax, x, dim, true));
    if (!most)
        return;
    syn_tensor *is_finite = syn_lt(syn_abs(most), syn_number_for(most, INFINITY));
    most = syn_where(is_finite, most, syn_number_for(most, 0));
    syn_tensor *sum = over(&syn_op_sum, syn_exp(syn_sub(x, most)), dim, keepdim);
    syn_tensor *back = keepdim ? most : over(&syn_op_sum, most, dim, false);
    call->outputs[0] = syn_add(syn_log(sum), back);
}

const syn_op syn_op_logsumexp = {
    .name = "logsumexp",
    .doc = "The logarithm of the sum of exponentials over axes.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("dim", INTS),
             SYN_ARG_OR("keepdim", BOOL, SYN_FALLBACK_BOOL(false))),
    .dtypes = SYN_DTYPES_FLOAT,
    .compose = logsumexp_compose,
    SYN_SAMPLES("(2,3), 1", "(2,3,4), [0,2], true"),
};

/* ---- Norms ---- */

/* The p-norm over `dim`, the axes kept: roots where needed, 0 having the gradient 0. p = 0 counts
 * what is not 0. */
static syn_tensor *p_norm(syn_tensor *x, const syn_value *dim, double p)
{
    if (p == INFINITY)
        return over(&syn_op_amax, syn_abs(x), dim, true);
    if (p == 0) {
        syn_tensor *hits = syn_ne(x, syn_number_for(x, 0));
        return over(&syn_op_sum, syn_to(hits, (syn_dtype)x->dtype), dim, true);
    }
    if (p == 1)
        return over(&syn_op_sum, syn_abs(x), dim, true);
    syn_tensor *powers = p == 2 ? syn_square(x) : syn_pow_scalar(syn_abs(x), p);
    syn_tensor *sum = over(&syn_op_sum, powers, dim, true);
    if (!sum)
        return NULL;
    syn_tensor *is_zero = syn_eq(sum, syn_number_for(sum, 0));
    syn_tensor *safe = syn_where(is_zero, syn_number_for(sum, 1), sum);
    syn_tensor *root = p == 2 ? syn_sqrt(safe) : syn_pow_scalar(safe, 1 / p);
    return syn_where(is_zero, syn_number_for(sum, 0), root);
}

static void normalize_compose(syn_op_call *call)
{
    syn_tensor *x = call->inputs[0];
    double p = syn_value_number(&call->attrs[0]), eps = syn_value_number(&call->attrs[2]);
    syn_tensor *norm = p_norm(x, &call->attrs[1], p);
    call->outputs[0] = syn_div(x, syn_clamp(norm, eps, INFINITY));
}

const syn_op syn_op_normalize = {
    .name = "normalize",
    .doc = "input divided by its p-norm over an axis, at least eps.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG_OR("p", FLOAT, SYN_FALLBACK_FLOAT(2)),
             SYN_ARG_OR("dim", INTS, {.kind = SYN_VALUE_INTS, .n = 1, .ints = (int64_t[]){1}}),
             SYN_ARG_OR("eps", FLOAT, SYN_FALLBACK_FLOAT(1e-12))),
    .dtypes = SYN_DTYPES_FLOAT,
    .compose = normalize_compose,
    SYN_SAMPLES("(2,3)", "(2,3), 1, 0", "(2,3)+, 3, 1"),
};

/* ---- all and any ---- */

/* How many of each are as `wanted` says, compared with none. */
static syn_tensor *count(const syn_op_call *call, bool wanted)
{
    syn_tensor *x = call->inputs[0];
    const syn_value *axis = &call->attrs[0];
    syn_value dim = axis->kind == SYN_VALUE_NONE ? SYN_NONE : SYN_INTS_OF(&axis->i, 1);
    syn_tensor *zero = syn_number_for(x, 0);
    syn_tensor *hits = wanted ? syn_ne(x, zero) : syn_eq(x, zero);
    syn_tensor *n = over(&syn_op_sum, hits, &dim, call->attrs[1].i);
    syn_tensor *none = syn_number(0, SYN_I64);
    return wanted ? syn_ne(n, none) : syn_eq(n, none);
}

/* u8 stays u8, all else becomes bool. */
#define LOGICAL_REDUCTION(op_name, wanted, text)                                     \
    static void op_name##_compose(syn_op_call *call)                                 \
    {                                                                                \
        syn_tensor *y = count(call, wanted);                                         \
        call->outputs[0] = call->inputs[0]->dtype == SYN_U8 ? syn_to(y, SYN_U8) : y; \
    }                                                                                \
    const syn_op syn_op_##op_name = {                                                \
        .name = #op_name,                                                            \
        .doc = text,                                                                 \
        SYN_ARGS(SYN_TENSOR("input"), SYN_ARG_OR("dim", INT, SYN_FALLBACK_NONE),     \
                 SYN_ARG_OR("keepdim", BOOL, SYN_FALLBACK_BOOL(false))),             \
        .flags = SYN_OP_NO_GRAD,                                                     \
        .dtypes = SYN_DTYPES_REAL,                                                   \
        .compose = op_name##_compose,                                                \
        SYN_SAMPLES("(2,3)b", "(2,3)b, 1, true", "(2,3), 0"),                        \
    };
LOGICAL_REDUCTION(all, false, "Whether all elements are not 0, along an axis or altogether.")
LOGICAL_REDUCTION(any, true, "Whether any element is not 0, along an axis or altogether.")
