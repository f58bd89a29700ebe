/* An LSTM layer: the inputs' products of all steps at once, the hidden state's one step at a time.
 */
#ifndef REAL
#include "worker/kernels/rnn.h"
#include "common/base/mem.h"
#include "worker/kernels/backend.h"
#include "worker/kernels/cpu/gemm.h"
#include "worker/kernels/cpu/vec_math.h"
#include "worker/kernels/workspace.h"
#include <math.h>
#include <string.h>

#define SYN_BODY "worker/kernels/cpu/rnn.c"
#include "worker/kernels/each_real.h"

#define TABLE(type)                                                \
    {                                                              \
        .lstm = lstm_##type, .lstm_backward = lstm_backward_##type \
    }
const syn_rnn_kernels syn_rnn_cpu[] = {TABLE(f32), TABLE(f64)};

#else

#define GEMM    KERNEL(syn_gemm)
#define VEC_EXP KERNEL(syn_vec_exp)

SYN_INLINE REAL KERNEL(logistic)(REAL x)
{
    return 1 / (1 + VEC_EXP(-x));
}

/* 1 - 2 / (exp(2x) + 1), by the series where that would cancel; double by the C library. */
SYN_INLINE REAL KERNEL(tanh)(REAL x)
{
    if (sizeof(REAL) == sizeof(double))
        return (REAL)tanh((double)x);
    REAL s = x * x, series = (REAL)(62.0 / 2835);
    series = s * ((REAL)(-17.0 / 315) + s * series);
    series = s * ((REAL)(-1.0 / 3) + s * ((REAL)(2.0 / 15) + series));
    REAL large = 1 - 2 / (VEC_EXP(2 * x) + 1);
    return s < (REAL)0.04 ? x + x * series : large;
}

/* gates (4H) of one sample before their activations become the activated ones, the new cell and the
 * new output. */
SYN_MULTIARCH static void KERNEL(cell_forward)(int64_t H, REAL *gates, const REAL *before,
                                               REAL *cell, REAL *y)
{
#pragma omp simd
    for (int64_t j = 0; j < H; j++) {
        REAL i = KERNEL(logistic)(gates[j]), f = KERNEL(logistic)(gates[H + j]);
        REAL g = KERNEL(tanh)(gates[2 * H + j]), o = KERNEL(logistic)(gates[3 * H + j]);
        REAL c = (before ? f * before[j] : 0) + i * g;
        gates[j] = i;
        gates[H + j] = f;
        gates[2 * H + j] = g;
        gates[3 * H + j] = o;
        cell[j] = c;
        y[j] = o * KERNEL(tanh)(c);
    }
}

/* grad_c becomes the gradient of the cell before. */
SYN_MULTIARCH static void KERNEL(cell_backward)(int64_t H, const REAL *const in[4],
                                                const REAL *grad_h, REAL *grad_c, REAL *grad_gates)
{
    const REAL *gates = in[0], *cell = in[1], *before = in[2], *grad_y = in[3];
#pragma omp simd
    for (int64_t j = 0; j < H; j++) {
        REAL i = gates[j], f = gates[H + j], g = gates[2 * H + j], o = gates[3 * H + j];
        REAL squashed = KERNEL(tanh)(cell[j]), h = grad_h[j] + grad_y[j];
        REAL c = grad_c[j] + h * o * (1 - squashed * squashed);
        grad_gates[j] = c * g * i * (1 - i);
        grad_gates[H + j] = before ? c * before[j] * f * (1 - f) : 0;
        grad_gates[2 * H + j] = c * i * (1 - g * g);
        grad_gates[3 * H + j] = h * squashed * o * (1 - o);
        grad_c[j] = c * f;
    }
}

/* Puts (B, T, n) into (T, B, n), so that one step's rows are adjacent. */
static void KERNEL(by_step)(const syn_lstm_dims *d, int64_t n, const REAL *x, REAL *out)
{
    for (int64_t t = 0; t < d->steps; t++)
        for (int64_t b = 0; b < d->batch; b++)
            memcpy(out + (t * d->batch + b) * n, x + (b * d->steps + t) * n,
                   (size_t)n * sizeof(REAL));
}

static syn_status KERNEL(lstm)(const syn_lstm_dims *d, const syn_lstm_forward *a)
{
    const REAL *b_ih = a->b_ih, *b_hh = a->b_hh;
    REAL *y = a->y, *gates = a->gates, *cells = a->cells;
    int64_t H = d->hidden, B = d->batch, T = d->steps, rows = B * T;
    REAL *x = syn_workspace((size_t)(rows * d->inputs) * sizeof(REAL) + 64, "an LSTM's inputs");
    if (!x)
        return SYN_RESOURCE_EXHAUSTED;
    KERNEL(by_step)(d, d->inputs, a->x, x);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t j = 0; j < 4 * H; j++)
            gates[r * 4 * H + j] = (b_ih ? b_ih[j] : 0) + (b_hh ? b_hh[j] : 0);
    GEMM(&(syn_gemm){.transpose_b = true,
                     .m = rows,
                     .n = 4 * H,
                     .k = d->inputs,
                     .lda = d->inputs,
                     .ldb = d->inputs,
                     .ldc = 4 * H,
                     .alpha = 1,
                     .beta = 1},
         x, a->w_ih, gates);
    for (int64_t t = 0; t < T; t++) {
        REAL *step = gates + t * B * 4 * H, *cell = cells + t * B * H;
        if (t) /* the outputs of step t - 1 lie T * H apart */
            GEMM(&(syn_gemm){.transpose_b = true,
                             .m = B,
                             .n = 4 * H,
                             .k = H,
                             .lda = T * H,
                             .ldb = H,
                             .ldc = 4 * H,
                             .alpha = 1,
                             .beta = 1},
                 y + (t - 1) * H, a->w_hh, step);
        for (int64_t b = 0; b < B; b++)
            KERNEL(cell_forward)
        (H, step + b * 4 * H, t ? cell + (b - B) * H : NULL, cell + b * H, y + (b * T + t) * H);
    }
    return SYN_OK;
}

/* The gradient before the activations, step by step from the last. state is (2, B, H): of output
 * and cell. */
static void KERNEL(gates_backward)(const syn_lstm_dims *d, const syn_lstm_backward *a, REAL *state)
{
    int64_t H = d->hidden, B = d->batch, T = d->steps;
    REAL *grad_h = state, *grad_c = state + B * H;
    memset(state, 0, (size_t)(2 * B * H) * sizeof(REAL));
    for (int64_t t = T - 1; t >= 0; t--) {
        REAL *grad_gates = (REAL *)a->grad_gates + t * B * 4 * H;
        for (int64_t b = 0; b < B; b++) {
            const REAL *cell = (const REAL *)a->cells + (t * B + b) * H;
            const REAL *const in[] = {(const REAL *)a->gates + (t * B + b) * 4 * H, cell,
                                      t ? cell - B * H : NULL,
                                      (const REAL *)a->grad_y + (b * T + t) * H};
            KERNEL(cell_backward)
            (H, in, grad_h + b * H, grad_c + b * H, grad_gates + b * 4 * H);
        }
        if (t)
            GEMM(
                &(syn_gemm){
                    .m = B, .n = H, .k = 4 * H, .lda = 4 * H, .ldb = H, .ldc = H, .alpha = 1},
                grad_gates, a->w_hh, grad_h);
    }
}

static void KERNEL(weights_backward)(const syn_lstm_dims *d, const syn_lstm_backward *a,
                                     REAL *by_step)
{
    int64_t H = d->hidden, B = d->batch, T = d->steps, later = B * (T - 1);
    const REAL *grad_gates = a->grad_gates;
    REAL *grad_w_hh = a->grad_w_hh, *grad_bias = a->grad_bias;
    if (a->grad_w_ih) {
        KERNEL(by_step)(d, d->inputs, a->x, by_step);
        GEMM(&(syn_gemm){.transpose_a = true,
                         .m = 4 * H,
                         .n = d->inputs,
                         .k = B * T,
                         .lda = 4 * H,
                         .ldb = d->inputs,
                         .ldc = d->inputs,
                         .alpha = 1},
             grad_gates, by_step, a->grad_w_ih);
    }
    if (grad_w_hh) {
        KERNEL(by_step)(d, H, a->y, by_step);
        memset(grad_w_hh, 0, (size_t)(4 * H * H) * sizeof(REAL));
        if (later > 0)
            GEMM(&(syn_gemm){.transpose_a = true,
                             .m = 4 * H,
                             .n = H,
                             .k = later,
                             .lda = 4 * H,
                             .ldb = H,
                             .ldc = H,
                             .alpha = 1},
                 grad_gates + B * 4 * H, by_step, grad_w_hh);
    }
    for (int64_t j = 0; grad_bias && j < 4 * H; j++) {
        double sum = 0;
        for (int64_t r = 0; r < B * T; r++)
            sum += (double)grad_gates[r * 4 * H + j];
        grad_bias[j] = (REAL)sum;
    }
}

static syn_status KERNEL(lstm_backward)(const syn_lstm_dims *d, const syn_lstm_backward *a)
{
    int64_t H = d->hidden, B = d->batch, T = d->steps, wide = H > d->inputs ? H : d->inputs;
    int64_t n = 2 * B * H > B * T * wide ? 2 * B * H : B * T * wide;
    REAL *block = syn_workspace((size_t)n * sizeof(REAL) + 64, "an LSTM's gradient");
    if (!block)
        return SYN_RESOURCE_EXHAUSTED;
    KERNEL(gates_backward)(d, a, block);
    KERNEL(weights_backward)(d, a, block);
    if (!a->grad_x)
        return SYN_OK;
    GEMM(&(syn_gemm){.m = B * T,
                     .n = d->inputs,
                     .k = 4 * H,
                     .lda = 4 * H,
                     .ldb = d->inputs,
                     .ldc = d->inputs,
                     .alpha = 1},
         a->grad_gates, a->w_ih, block);
    for (int64_t b = 0; b < B; b++)
        for (int64_t t = 0; t < T; t++)
            memcpy((REAL *)a->grad_x + (b * T + t) * d->inputs, block + (t * B + b) * d->inputs,
                   (size_t)d->inputs * sizeof(REAL));
    return SYN_OK;
}

#undef GEMM
#undef VEC_EXP
#endif
