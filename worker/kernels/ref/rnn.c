/* An LSTM layer, one element at a time (Hochreiter and Schmidhuber, 1997, with a forget gate). */
#ifndef REAL
#include "worker/kernels/rnn.h"
#include "common/base/mem.h"
#include <math.h>
#include <string.h>

static double logistic(double x)
{
    return 1 / (1 + exp(-x));
}

#define SYN_BODY "worker/kernels/ref/rnn.c"
#include "worker/kernels/each_real.h"

#define TABLE(type)                                                \
    {                                                              \
        .lstm = lstm_##type, .lstm_backward = lstm_backward_##type \
    }
const syn_rnn_kernels syn_rnn_ref[] = {TABLE(f32), TABLE(f64)};

#else

/* Row `row` of a (rows, n) times x (n) or 0. */
static double KERNEL(row_times)(const REAL *matrix, int64_t row, int64_t n, const REAL *x)
{
    double sum = 0;
    for (int64_t i = 0; x && i < n; i++)
        sum += (double)matrix[row * n + i] * (double)x[i];
    return sum;
}

static syn_status KERNEL(lstm)(const syn_lstm_dims *d, const syn_lstm_forward *a)
{
    const REAL *b_ih = a->b_ih, *b_hh = a->b_hh;
    int64_t H = d->hidden;
    for (int64_t b = 0; b < d->batch; b++)
        for (int64_t t = 0; t < d->steps; t++) {
            const REAL *x = (const REAL *)a->x + (b * d->steps + t) * d->inputs;
            REAL *y = (REAL *)a->y + (b * d->steps + t) * H;
            REAL *gates = (REAL *)a->gates + (t * d->batch + b) * 4 * H;
            REAL *cell = (REAL *)a->cells + (t * d->batch + b) * H;
            for (int64_t r = 0; r < 4 * H; r++) {
                double sum = KERNEL(row_times)(a->w_ih, r, d->inputs, x) +
                             KERNEL(row_times)(a->w_hh, r, H, t ? y - H : NULL) +
                             (double)(b_ih ? b_ih[r] : 0) + (double)(b_hh ? b_hh[r] : 0);
                gates[r] = (REAL)(r / H == 2 ? tanh(sum) : logistic(sum));
            }
            for (int64_t j = 0; j < H; j++) {
                REAL before = t ? cell[j - d->batch * H] : 0;
                cell[j] = gates[H + j] * before + gates[j] * gates[2 * H + j];
                y[j] = gates[3 * H + j] * (REAL)tanh((double)cell[j]);
            }
        }
    return SYN_OK;
}

/* One cell's step back. grad_h is the gradient of this step's output, grad_c of its cell, which
 * becomes that of the cell before. */
static void KERNEL(cell_backward)(int64_t H, const REAL *gates, const REAL *cell,
                                  const REAL *cell_before, const double *grad_h, double *grad_c,
                                  REAL *grad_gates)
{
    for (int64_t j = 0; j < H; j++) {
        double i = (double)gates[j], f = (double)gates[H + j], g = (double)gates[2 * H + j];
        double o = (double)gates[3 * H + j], squashed = tanh((double)cell[j]);
        double c = grad_c[j] + grad_h[j] * o * (1 - squashed * squashed);
        double before = cell_before ? (double)cell_before[j] : 0;
        grad_gates[j] = (REAL)(c * g * i * (1 - i));
        grad_gates[H + j] = (REAL)(c * before * f * (1 - f));
        grad_gates[2 * H + j] = (REAL)(c * i * (1 - g * g));
        grad_gates[3 * H + j] = (REAL)(grad_h[j] * squashed * o * (1 - o));
        grad_c[j] = c * f;
    }
}

/* grad_gates of all steps of one sample; state is (2, H): the gradients of output and cell carried
 * back. */
static void KERNEL(sample_backward)(const syn_lstm_dims *d, const syn_lstm_backward *a, int64_t b,
                                    double *state)
{
    int64_t H = d->hidden;
    memset(state, 0, (size_t)(2 * H) * sizeof(*state));
    for (int64_t t = d->steps - 1; t >= 0; t--) {
        const REAL *grad_y = (const REAL *)a->grad_y + (b * d->steps + t) * H;
        const REAL *cell = (const REAL *)a->cells + (t * d->batch + b) * H;
        int64_t at = (t * d->batch + b) * 4 * H;
        REAL *grad_gates = (REAL *)a->grad_gates + at;
        for (int64_t j = 0; j < H; j++)
            state[j] += (double)grad_y[j];
        KERNEL(cell_backward)
        (H, (const REAL *)a->gates + at, cell, t ? cell - d->batch * H : NULL, state, state + H,
         grad_gates);
        for (int64_t j = 0; j < H; j++) {
            state[j] = 0;
            for (int64_t r = 0; r < 4 * H; r++)
                state[j] += (double)grad_gates[r] * (double)((const REAL *)a->w_hh)[r * H + j];
        }
    }
}

/* out (rows, n) = the sum over samples and steps of grad_gates (rows) times the row `pick` of x. */
static void KERNEL(outer_sums)(const syn_lstm_dims *d, const REAL *grad_gates, int64_t n,
                               const REAL *x, int64_t lag, REAL *out)
{
    for (int64_t r = 0; out && r < 4 * d->hidden; r++)
        for (int64_t i = 0; i < n; i++) {
            double sum = 0;
            for (int64_t t = lag; t < d->steps; t++)
                for (int64_t b = 0; b < d->batch; b++)
                    sum += (double)grad_gates[(t * d->batch + b) * 4 * d->hidden + r] *
                           (x ? (double)x[(b * d->steps + t - lag) * n + i] : 1);
            out[r * n + i] = (REAL)sum;
        }
}

static syn_status KERNEL(lstm_backward)(const syn_lstm_dims *d, const syn_lstm_backward *a)
{
    size_t size = (size_t)(2 * d->hidden + 1) * sizeof(double);
    double *state = syn_malloc(size);
    if (!state)
        return syn_fail_memory(size, "an LSTM's gradient");
    for (int64_t b = 0; b < d->batch; b++)
        KERNEL(sample_backward)(d, a, b, state);
    syn_free(state);
    for (int64_t b = 0; a->grad_x && b < d->batch; b++)
        for (int64_t t = 0; t < d->steps; t++)
            for (int64_t i = 0; i < d->inputs; i++) {
                double sum = 0;
                for (int64_t r = 0; r < 4 * d->hidden; r++)
                    sum += (double)((REAL *)a->grad_gates)[(t * d->batch + b) * 4 * d->hidden + r] *
                           (double)((const REAL *)a->w_ih)[r * d->inputs + i];
                ((REAL *)a->grad_x)[(b * d->steps + t) * d->inputs + i] = (REAL)sum;
            }
    KERNEL(outer_sums)(d, a->grad_gates, d->inputs, a->x, 0, a->grad_w_ih);
    KERNEL(outer_sums)(d, a->grad_gates, d->hidden, a->y, 1, a->grad_w_hh);
    KERNEL(outer_sums)(d, a->grad_gates, 1, NULL, 0, a->grad_bias);
    return SYN_OK;
}

#endif
