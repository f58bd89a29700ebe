/* Random tensors and dropout. */
#include "worker/ops/op_internal.h"

#include <syncline/random.h>

/* ---- Tensors of random numbers ---- */

static syn_tensor *draw(const char *name, syn_shape shape, syn_dtype dtype,
                        void (*const *kernels)(int64_t, uint64_t, void *))
{
    if ((unsigned)dtype >= SYN_N_DTYPES || syn_dtype_get_kind(dtype) != SYN_KIND_FLOAT) {
        syn_status status =
            SYN_FAIL(SYN_INVALID_ARGUMENT, "%s: %s is not a floating dtype", name,
                     (unsigned)dtype < SYN_N_DTYPES ? syn_dtype_name(dtype) : "that");
        return syn_stick(status);
    }
    bool is_narrow = !kernels[dtype];
    syn_tensor *x = syn_empty(shape, is_narrow ? SYN_F32 : dtype);
    if (!x)
        return NULL;
    kernels[x->dtype](x->numel, syn_random_next_key(), x->data);
    return is_narrow ? syn_to(x, dtype) : x;
}

syn_tensor *syn_rand(syn_shape shape, syn_dtype dtype)
{
    return draw("rand", shape, dtype, syn_kernels->random->uniform);
}

syn_tensor *syn_randn(syn_shape shape, syn_dtype dtype)
{
    return draw("randn", shape, dtype, syn_kernels->random->normal);
}

syn_tensor *syn_randint(int64_t low, int64_t high, syn_shape shape, syn_dtype dtype)
{
    if (high <= low) {
        syn_status status = SYN_FAIL(SYN_INVALID_ARGUMENT, "randint: [%lld, %lld) is empty",
                                     (long long)low, (long long)high);
        return syn_stick(status);
    }
    syn_tensor *x = syn_empty(shape, SYN_I64);
    if (!x)
        return NULL;
    uint64_t key = syn_random_next_key(), n = (uint64_t)high - (uint64_t)low;
    int64_t *out = x->data;
    for (int64_t i = 0; i < x->numel; i++)
        out[i] = (int64_t)((uint64_t)low + syn_random_below(key, (uint64_t)i, n));
    return syn_to(x, dtype);
}

/* ---- dropout ---- */

static syn_status dropout_infer(syn_op_call *call, syn_meta *metas)
{
    double p = call->attrs[0].f;
    if (!(p >= 0 && p <= 1))
        return SYN_OP_FAIL(call, "probability %g is outside [0, 1]", p);
    return syn_infer_like(call, metas);
}

static syn_status dropout_forward(syn_op_call *call)
{
    const syn_tensor *x = call->inputs[0];
    syn_kernels->random->dropout[x->dtype](x->numel, (uint64_t)call->attrs[1].i, call->attrs[0].f,
                                           x->data, call->outputs[0]->data);
    return SYN_OK;
}

/* The key draws the same elements again: no mask is kept. */
static void dropout_backward(syn_backward_call *call)
{
    call->grad_inputs[0] = syn_call(call->op, call->grad_outputs, 1, call->attrs, 2);
}

const syn_op syn_op_dropout_with_key = {
    .name = "dropout_with_key",
    .doc = "Zeroes elements with probability p, scales the others by 1 / (1 - p); a function of "
           "the key.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("p", FLOAT), SYN_ARG("key", INT)),
    .flags = SYN_OP_CONTIGUOUS,
    .dtypes = SYN_DTYPES_FLOAT,
    .infer = dropout_infer,
    .forward = dropout_forward,
    .backward = dropout_backward,
    SYN_SAMPLES("(2,3), 0.5, 7", "(20,30), 0.1, 8", "(3), 0.0, 1", "(3), 1.0, 1"),
};

static void dropout_compose(syn_op_call *call)
{
    double p = syn_value_number(&call->attrs[0]);
    if (!call->attrs[1].i || p == 0) {
        call->outputs[0] = call->inputs[0];
        return;
    }
    syn_value attrs[] = {SYN_FLOAT_OF(p), SYN_INT_OF((int64_t)syn_random_next_key())};
    call->outputs[0] = syn_call(&syn_op_dropout_with_key, call->inputs, 1, attrs, 2);
}

const syn_op syn_op_dropout = {
    .name = "dropout",
    .doc = "Zeroes elements with probability p and scales the others, in training.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG_OR("p", FLOAT, SYN_FALLBACK_FLOAT(0.5)),
             SYN_ARG_OR("training", BOOL, SYN_FALLBACK_BOOL(1))),
    .flags = SYN_OP_RANDOM,
    .dtypes = SYN_DTYPES_FLOAT,
    .compose = dropout_compose,
    SYN_SAMPLES("(2,3), 0.5, true", "(2,3), 0.5, false"),
};

syn_tensor *syn_dropout(syn_tensor *x, double p, bool training)
{
    return syn_call(&syn_op_dropout, &x, 1, (syn_value[]){SYN_FLOAT_OF(p), SYN_BOOL_OF(training)},
                    2);
}
