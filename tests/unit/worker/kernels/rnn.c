/* LSTM kernels: fast against readable loops, and one cell by hand. */
#include "worker/kernels/rnn.h"
#include "tests/unit/worker/kernels/arrays.h"
#include "worker/kernels/workspace.h"

static void compare(int type, const syn_lstm_dims *d, bool has_bias)
{
    int64_t H = d->hidden, rows = d->batch * d->steps;
    const int64_t sizes[] = {rows * H,         rows * 4 * H,      rows * H,  rows * 4 * H,
                             rows * d->inputs, 4 * H * d->inputs, 4 * H * H, 4 * H};
    void *x = array_random(type, rows * d->inputs, 1),
         *w_ih = array_random(type, 4 * H * d->inputs, 2);
    void *w_hh = array_random(type, 4 * H * H, 3), *grad = array_random(type, rows * H, 4);
    void *b_ih = has_bias ? array_random(type, 4 * H, 5) : NULL;
    void *b_hh = has_bias ? array_random(type, 4 * H, 6) : NULL, *out[2][8];

    for (int fast = 0; fast < 2; fast++) {
        const syn_rnn_kernels *k = &(fast ? syn_rnn_cpu : syn_rnn_ref)[type];
        void **o = out[fast];
        for (int i = 0; i < 8; i++)
            o[i] = array_new(type, sizes[i]);
        assert_int_equal(
            k->lstm(d, &(syn_lstm_forward){x, w_ih, w_hh, b_ih, b_hh, o[0], o[1], o[2]}), SYN_OK);
        assert_int_equal(
            k->lstm_backward(d, &(syn_lstm_backward){grad, x, w_ih, w_hh, out[0][0], out[0][1],
                                                     out[0][2], o[3], o[4], o[5], o[6], o[7]}),
            SYN_OK);
    }

    for (int i = 0; i < 8; i++) {
        assert_arrays_close(type, out[1][i], out[0][i], sizes[i],
                            32 * sqrt((double)(rows + 4 * H)));
        free(out[0][i]);
        free(out[1][i]);
    }
    void *all[] = {x, w_ih, w_hh, grad, b_ih, b_hh};
    for (int i = 0; i < 6; i++)
        free(all[i]);
}

static void fast_kernels_agree_with_the_loops(void **state)
{
    (void)state;
    const syn_lstm_dims shapes[] = {
        {1, 1, 1, 1}, {2, 3, 4, 5}, {8, 10, 16, 32}, {3, 1, 2, 17}, {1, 6, 3, 2}};
    for (int type = F32; type < N_TYPES; type++)
        for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++)
            for (int has_bias = 0; has_bias < 2; has_bias++)
                compare(type, &shapes[i], has_bias);
}

static void gates_come_in_the_order_i_f_g_o(void **state)
{
    (void)state;
    const double x[] = {1}, w_ih[] = {0.1, 0.2, 0.3, 0.4}, w_hh[] = {0, 0, 0, 0};
    double y, gates[4], cell;
    syn_lstm_dims d = {1, 1, 1, 1};

    syn_rnn_cpu[F64].lstm(&d, &(syn_lstm_forward){x, w_ih, w_hh, NULL, NULL, &y, gates, &cell});

    double i = 1 / (1 + exp(-0.1)), o = 1 / (1 + exp(-0.4)), c = i * tanh(0.3);
    assert_true(fabs(cell - c) < 1e-15 && fabs(y - o * tanh(c)) < 1e-15);
    assert_true(fabs(gates[1] - 1 / (1 + exp(-0.2))) < 1e-15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fast_kernels_agree_with_the_loops),
        cmocka_unit_test(gates_come_in_the_order_i_f_g_o),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    syn_workspace_release();
    return failed;
}
