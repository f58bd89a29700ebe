/* Attention and the LSTM: the packed form, masks, dropout, refusals. */
#include "tests/unit/worker/tensor/support.h"

#include <syncline/random.h>

static int reset(void **state)
{
    (void)state;
    syn_clear_error();
    syn_manual_seed(1);
    return 0;
}

static double distance(syn_tensor *a, syn_tensor *b)
{
    return syn_item(syn_amax(syn_reshape(syn_abs(syn_sub(a, b)), SYN_SHAPE(-1)), 0, false));
}

/* Third `i` of a packed projection as (B, heads, T, d). */
static syn_tensor *part(syn_tensor *qkv, int i, int64_t heads)
{
    int64_t b = syn_tensor_size(qkv, 0), t = syn_tensor_size(qkv, 1),
            c = syn_tensor_size(qkv, 2) / 3;
    syn_tensor *x = syn_slice(qkv, 2, i * c, (i + 1) * c, 1);
    return syn_transpose(syn_reshape(x, SYN_SHAPE(b, t, heads, c / heads)), 1, 2);
}

static void the_packed_form_is_the_plain_one(void **state)
{
    (void)state;
    SYN_SCOPE {
        for (int64_t width = 6; width <= 64; width += 58) { /* by BLAS, and by tiles */
            syn_tensor *qkv = syn_requires_grad(syn_randn(SYN_SHAPE(2, 16, 3 * width), SYN_F64));
            syn_tensor *grads[2], *packed = syn_attention_packed(qkv, 2, true, 0, true);
            syn_tensor *plain =
                syn_attention(part(qkv, 0, 2), part(qkv, 1, 2), part(qkv, 2, 2), true, 0, true);
            plain = syn_reshape(syn_transpose(plain, 1, 2), SYN_SHAPE(2, 16, width));

            assert_true(distance(packed, plain) < 1e-14);
            assert_int_equal(syn_grad(syn_sum(syn_square(packed)), &qkv, 1,
                                      (syn_backward_options){0}, &grads[0]),
                             SYN_OK);
            assert_int_equal(syn_grad(syn_sum(syn_square(plain)), &qkv, 1,
                                      (syn_backward_options){.create_graph = true}, &grads[1]),
                             SYN_OK);
            assert_true(distance(grads[0], grads[1]) < 1e-12);
        }
    }
}

static void a_causal_position_ignores_later_ones(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *qkv = syn_randn(SYN_SHAPE(1, 8, 12), SYN_F32);
        syn_tensor *early = syn_slice(qkv, 1, 0, 3, 1);

        syn_tensor *whole = syn_attention_packed(qkv, 1, true, 0, false);
        syn_tensor *begin = syn_attention_packed(early, 1, true, 0, false);

        assert_true(distance(syn_slice(whole, 1, 0, 3, 1), begin) < 1e-6);
    }
}

static void dropout_acts_in_training_only_and_follows_the_seed(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *qkv = syn_randn(SYN_SHAPE(2, 8, 24), SYN_F32);
        syn_tensor *plain = syn_attention_packed(qkv, 2, true, 0, true);
        syn_manual_seed(5);
        syn_tensor *first = syn_attention_packed(qkv, 2, true, 0.5, true);
        syn_manual_seed(5);
        syn_tensor *second = syn_attention_packed(qkv, 2, true, 0.5, true);

        assert_true(distance(syn_attention_packed(qkv, 2, true, 0.5, false), plain) == 0);
        assert_true(distance(first, plain) > 0.1);
        assert_true(distance(first, second) == 0);
    }
}

static void the_lstm_is_its_cell_step_by_step(void **state)
{
    (void)state;
    enum { B = 2, T = 3, IN = 2, H = 3 };
    SYN_SCOPE {
        syn_tensor *x = syn_randn(SYN_SHAPE(B, T, IN), SYN_F64);
        syn_tensor *w_ih = syn_randn(SYN_SHAPE(4 * H, IN), SYN_F64);
        syn_tensor *w_hh = syn_randn(SYN_SHAPE(4 * H, H), SYN_F64);
        syn_tensor *b_ih = syn_randn(SYN_SHAPE(4 * H), SYN_F64), *b_hh = syn_neg(b_ih);
        syn_tensor *h = syn_zeros(SYN_SHAPE(B, H), SYN_F64), *c = h, *y[T], *gate[4];

        for (int64_t t = 0; t < T; t++) {
            syn_tensor *sums = syn_add(syn_linear_op(syn_select(x, 1, t), w_ih, b_ih),
                                       syn_linear_op(h, w_hh, b_hh));
            for (int g = 0; g < 4; g++) {
                syn_tensor *raw = syn_slice(sums, 1, g * H, (g + 1) * H, 1);
                gate[g] = g == 2 ? syn_tanh(raw) : syn_sigmoid(raw);
            }
            c = syn_add(syn_mul(gate[1], c), syn_mul(gate[0], gate[2]));
            h = syn_mul(gate[3], syn_tanh(c));
            y[t] = h;
        }

        assert_true(distance(syn_lstm(x, w_ih, w_hh, b_ih, b_hh), syn_stack(y, T, 1)) < 1e-14);
    }
}

static void shapes_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *q = syn_ones(SYN_SHAPE(1, 2, 3, 4), SYN_F32);

        assert_null(syn_attention(q, q, syn_ones(SYN_SHAPE(1, 2, 5, 4), SYN_F32), false, 0, false));
        assert_sticks("differ along axis 2");
        assert_null(
            syn_attention_packed(syn_ones(SYN_SHAPE(1, 2, 9), SYN_F32), 2, false, 0, false));
        assert_sticks("C divisible by 2 heads");
        assert_null(syn_lstm(syn_ones(SYN_SHAPE(1, 2, 3), SYN_F32),
                             syn_ones(SYN_SHAPE(8, 4), SYN_F32), syn_ones(SYN_SHAPE(8, 2), SYN_F32),
                             NULL, NULL));
        assert_sticks("weights (8, 3) and (8, 2) are needed");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_packed_form_is_the_plain_one, reset),
        cmocka_unit_test_setup(a_causal_position_ignores_later_ones, reset),
        cmocka_unit_test_setup(dropout_acts_in_training_only_and_follows_the_seed, reset),
        cmocka_unit_test_setup(the_lstm_is_its_cell_step_by_step, reset),
        cmocka_unit_test_setup(shapes_that_do_not_fit_are_refused, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
