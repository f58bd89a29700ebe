/* Recurrent layers. */
#include "worker/kernels/rnn.h"
#include "worker/ops/spatial.h"

enum { X, W_IH, W_HH, B_IH, B_HH };

static void *data_or_null(const syn_tensor *x)
{
    return x ? x->data : NULL;
}

static syn_status check_lstm(const syn_op_call *call, const syn_tensor *x, const syn_tensor *w_ih,
                             const syn_tensor *w_hh)
{
    if (x->ndim != 3 || w_ih->ndim != 2 || w_hh->ndim != 2)
        return SYN_OP_FAIL(call, "x (B, T, in) and weights (4 H, in) and (4 H, H) are needed");
    int64_t hidden = w_hh->dims[1];
    if (w_hh->dims[0] != 4 * hidden || w_ih->dims[0] != 4 * hidden || w_ih->dims[1] != x->dims[2])
        return SYN_OP_FAIL(call,
                           "weights (%lld, %lld) and (%lld, %lld) are needed for %lld inputs "
                           "and %lld hidden units",
                           (long long)(4 * hidden), (long long)x->dims[2], (long long)(4 * hidden),
                           (long long)hidden, (long long)x->dims[2], (long long)hidden);
    return SYN_OK;
}

static syn_lstm_dims dims_of(const syn_tensor *x, const syn_tensor *w_hh)
{
    return (syn_lstm_dims){x->dims[0], x->dims[1], x->dims[2], w_hh->dims[1]};
}

static syn_status lstm_infer(syn_op_call *call, syn_meta *metas)
{
    const syn_tensor *x = call->inputs[X], *w_hh = call->inputs[W_HH];
    SYN_TRY(check_lstm(call, x, call->inputs[W_IH], w_hh));
    syn_lstm_dims d = dims_of(x, w_hh);
    for (int i = B_IH; i <= B_HH; i++) {
        const syn_tensor *bias = call->inputs[i];
        if (bias && (bias->ndim != 1 || bias->dims[0] != 4 * d.hidden))
            return SYN_OP_FAIL(call, "the biases have to be of shape (%lld)",
                               (long long)(4 * d.hidden));
    }
    syn_dtype dtype = (syn_dtype)x->dtype;
    syn_meta_set(&metas[0], dtype, 3, (const int64_t[]){d.batch, d.steps, d.hidden});
    syn_meta_set(&metas[1], dtype, 3, (const int64_t[]){d.steps, d.batch, 4 * d.hidden});
    syn_meta_set(&metas[2], dtype, 3, (const int64_t[]){d.steps, d.batch, d.hidden});
    return SYN_OK;
}

static syn_status lstm_forward(syn_op_call *call)
{
    const syn_tensor *x = call->inputs[X];
    syn_lstm_dims d = dims_of(x, call->inputs[W_HH]);
    return syn_kernels->rnn[syn_real_index(x)].lstm(
        &d, &(syn_lstm_forward){.x = x->data,
                                .w_ih = call->inputs[W_IH]->data,
                                .w_hh = call->inputs[W_HH]->data,
                                .b_ih = data_or_null(call->inputs[B_IH]),
                                .b_hh = data_or_null(call->inputs[B_HH]),
                                .y = call->outputs[0]->data,
                                .gates = call->outputs[1]->data,
                                .cells = call->outputs[2]->data});
}

static void lstm_backward(syn_backward_call *call)
{
    syn_tensor *results[4];
    syn_outputs outputs = {results, 4, 0};
    syn_tensor *const inputs[] = {call->grad_outputs[0], call->inputs[X],  call->inputs[W_IH],
                                  call->inputs[W_HH],    call->outputs[0], call->outputs[1],
                                  call->outputs[2]};
    if (!syn_call_outputs(&syn_op_lstm_backward, inputs, 7, NULL, 0, &outputs))
        return;
    for (int i = X; i <= B_HH; i++)
        if (call->inputs[i] && call->needs_grad[i])
            call->grad_inputs[i] = results[i < B_IH ? i : B_IH]; /* both biases have one gradient */
}

static double lstm_flops(const syn_op_call *call)
{
    const syn_tensor *x = call->inputs[X], *w_hh = call->inputs[W_HH];
    return 2 * (double)(x->dims[0] * x->dims[1]) *
           (double)(call->inputs[W_IH]->numel + w_hh->numel);
}

const syn_op syn_op_lstm = {
    .name = "lstm_layer",
    .doc = "One LSTM layer on (B, T, in), zero initial state, gates in the order i f g o.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_TENSOR("weight_ih"), SYN_TENSOR("weight_hh"),
             SYN_OPTIONAL_TENSOR("bias_ih"), SYN_OPTIONAL_TENSOR("bias_hh")),
    .n_outputs = 1,
    .n_extra = 2, /* the gates' and the cells' values at each step */
    .flags = SYN_OP_CONTIGUOUS | SYN_OP_NO_GRADGRAD,
    .dtypes = SYN_DTYPES_FLOAT,
    .saves = SYN_SAVE_INPUT(X) | SYN_SAVE_INPUT(W_IH) | SYN_SAVE_INPUT(W_HH) | SYN_SAVE_OUTPUT(0) |
             SYN_SAVE_OUTPUT(1) | SYN_SAVE_OUTPUT(2),
    .infer = lstm_infer,
    .forward = lstm_forward,
    .backward = lstm_backward,
    .flops = lstm_flops,
    SYN_SAMPLES("(2,3,4), (8,4), (8,2), (8), (8)", "(1,4,2), (12,2), (12,3), none, none"),
};

static syn_status lstm_backward_infer(syn_op_call *call, syn_meta *metas)
{
    const syn_tensor *x = call->inputs[1], *w_ih = call->inputs[2], *w_hh = call->inputs[3];
    SYN_TRY(check_lstm(call, x, w_ih, w_hh));
    syn_lstm_dims d = dims_of(x, w_hh);
    int64_t n = d.batch * d.steps * d.hidden, gates = 4 * d.hidden;
    if (call->inputs[0]->numel != n || call->inputs[4]->numel != n ||
        call->inputs[5]->numel != 4 * n || call->inputs[6]->numel != n)
        return SYN_OP_FAIL(call, "the gradient and the saved values are not of the output's shape");
    syn_meta_like(&metas[0], x);
    syn_meta_like(&metas[1], w_ih);
    syn_meta_like(&metas[2], w_hh);
    syn_meta_set(&metas[3], (syn_dtype)x->dtype, 1, &gates);
    syn_meta_set(&metas[4], (syn_dtype)x->dtype, 3, (const int64_t[]){d.steps, d.batch, gates});
    return SYN_OK;
}

static syn_status lstm_backward_forward(syn_op_call *call)
{
    syn_tensor *const *in = call->inputs, *const *out = call->outputs;
    syn_lstm_dims d = dims_of(in[1], in[3]);
    return syn_kernels->rnn[syn_real_index(in[1])].lstm_backward(
        &d, &(syn_lstm_backward){.grad_y = in[0]->data,
                                 .x = in[1]->data,
                                 .w_ih = in[2]->data,
                                 .w_hh = in[3]->data,
                                 .y = in[4]->data,
                                 .gates = in[5]->data,
                                 .cells = in[6]->data,
                                 .grad_x = out[0]->data,
                                 .grad_w_ih = out[1]->data,
                                 .grad_w_hh = out[2]->data,
                                 .grad_bias = out[3]->data,
                                 .grad_gates = out[4]->data});
}

const syn_op syn_op_lstm_backward = {
    .name = "lstm_layer_backward",
    .doc = "The gradients of lstm_layer by input, weights and bias, in one pass.",
    SYN_ARGS(SYN_TENSOR("grad_output"), SYN_TENSOR("input"), SYN_TENSOR("weight_ih"),
             SYN_TENSOR("weight_hh"), SYN_TENSOR("output"), SYN_TENSOR("gates"),
             SYN_TENSOR("cells")),
    .n_outputs = 4,
    .n_extra = 1, /* the gradient before the gates' activations */
    .flags = SYN_OP_CONTIGUOUS | SYN_OP_INTERNAL | SYN_OP_NO_GRAD,
    .dtypes = SYN_DTYPES_FLOAT,
    .infer = lstm_backward_infer,
    .forward = lstm_backward_forward,
};

syn_tensor *syn_lstm(syn_tensor *x, syn_tensor *weight_ih, syn_tensor *weight_hh,
                     syn_tensor *bias_ih, syn_tensor *bias_hh)
{
    return syn_call(&syn_op_lstm, (syn_tensor *[]){x, weight_ih, weight_hh, bias_ih, bias_hh}, 5,
                    NULL, 0);
}
