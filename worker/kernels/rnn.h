/* One LSTM layer over time, batch first, zero initial state, gates in the order i f g o
 * (torch.nn.LSTM). */
#ifndef WORKER_KERNELS_RNN_H
#define WORKER_KERNELS_RNN_H

#include <stdint.h>
#include <syncline/status.h>

typedef struct syn_lstm_dims {
    int64_t batch, steps, inputs, hidden;
} syn_lstm_dims;

/* Dense arrays: x (B, T, in), w_ih (4H, in), w_hh (4H, H), biases (4H) or NULL; y (B, T, H). For
 * the backward pass: gates (T, B, 4H) after their activations, cells (T, B, H). */
typedef struct syn_lstm_forward {
    const void *x, *w_ih, *w_hh, *b_ih, *b_hh;
    void *y, *gates, *cells;
} syn_lstm_forward;

/* grad_gates (T, B, 4H) is the gradient before the activations: both biases' gradient is its sum
 * over T and B. Outputs other than grad_gates may be NULL. */
typedef struct syn_lstm_backward {
    const void *grad_y, *x, *w_ih, *w_hh, *y, *gates, *cells;
    void *grad_gates, *grad_x, *grad_w_ih, *grad_w_hh, *grad_bias;
} syn_lstm_backward;

typedef struct syn_rnn_kernels {
    syn_status (*lstm)(const syn_lstm_dims *dims, const syn_lstm_forward *a);
    syn_status (*lstm_backward)(const syn_lstm_dims *dims, const syn_lstm_backward *a);
} syn_rnn_kernels;

extern const syn_rnn_kernels syn_rnn_ref[];
extern const syn_rnn_kernels syn_rnn_cpu[];

#endif
