/* Losses: reductions, ignored and impossible classes, the fused forms against the composed ones. */
#include "tests/unit/worker/tensor/support.h"

#include <syncline/op.h>
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

/* name(input, target, extra): by name, with one more named argument. */
static syn_tensor *loss(const char *name, syn_tensor *input, syn_tensor *target, const char *key,
                        syn_value value)
{
    syn_tensor *y = NULL;
    syn_outputs outputs = {&y, 1, 0};
    const syn_named_value args[] = {
        {NULL, SYN_TENSOR_OF(input)}, {NULL, SYN_TENSOR_OF(target)}, {key, value}};
    return syn_call_named(name, args, key ? 3 : 2, &outputs) ? y : NULL;
}

static void cross_entropy_takes_every_index_type(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_randn(SYN_SHAPE(3, 4), SYN_F64), *target = I64(0, 3, 1);
        syn_tensor *wide = syn_cross_entropy(x, target, 0.1);

        assert_true(syn_item(syn_cross_entropy(x, syn_to(target, SYN_I32), 0.1)) == syn_item(wide));
        assert_true(syn_item(syn_cross_entropy(x, syn_to(target, SYN_U8), 0.1)) == syn_item(wide));
    }
}

static void a_class_out_of_range_is_named_with_its_row(void **state)
{
    (void)state;
    SYN_SCOPE {
        assert_null(syn_cross_entropy(syn_randn(SYN_SHAPE(3, 4), SYN_F32), I64(0, 4, 1), 0));
        assert_sticks("the target of row 1 is class 4, and there are 4 classes");
        assert_null(syn_cross_entropy(syn_randn(SYN_SHAPE(3, 4), SYN_F32), I64(0, 1, -1), 0));
        assert_sticks("the target of row 2 is class -1");
        assert_null(syn_cross_entropy(syn_randn(SYN_SHAPE(3, 4), SYN_F32), I64(0, 1), 0));
        assert_sticks("logits (N, C) and targets (N) are needed");
        assert_null(syn_cross_entropy(syn_randn(SYN_SHAPE(2, 4), SYN_F32), I64(0, 1), 1.5));
        assert_sticks("label_smoothing is 1.5");
        assert_null(
            loss("nll_loss", syn_randn(SYN_SHAPE(2, 4), SYN_F32), I64(0, 9), NULL, SYN_NONE));
        assert_sticks("the target of row 1 is class 9");
    }
}

static void ignored_rows_count_for_nothing(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_requires_grad(syn_randn(SYN_SHAPE(3, 4), SYN_F64));
        syn_tensor *y = syn_cross_entropy(x, I64(2, -100, 1), 0);
        syn_tensor *two =
            syn_cat((syn_tensor *[]){syn_slice(x, 0, 0, 1, 1), syn_slice(x, 0, 2, 3, 1)}, 2, 0);

        assert_true(distance(y, syn_cross_entropy(two, I64(2, 1), 0)) < 1e-15);
        assert_int_equal(syn_backward(y), SYN_OK);
        ASSERT_VALUES(syn_select(syn_grad_of(x), 0, 1), 0, 0, 0, 0);
    }
}

/* (N, C, d) is the same rows in another order; a one-hot target is the class; weights of 1 are
 * none. */
static void forms_of_cross_entropy_agree(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_randn(SYN_SHAPE(2, 3, 4), SYN_F64);
        syn_tensor *target = syn_reshape(I64(0, 1, 2, 0, 1, 1, 2, 0), SYN_SHAPE(2, 4));
        syn_tensor *rows = syn_reshape(syn_transpose(x, 1, 2), SYN_SHAPE(8, 3));
        syn_tensor *flat = syn_reshape(target, SYN_SHAPE(8));
        syn_tensor *one_hot =
            syn_to(syn_eq(syn_unsqueeze(flat, 1), syn_arange(3, SYN_I64)), SYN_F64);
        syn_tensor *wanted = syn_cross_entropy(rows, flat, 0);

        assert_true(distance(loss("cross_entropy", x, target, NULL, SYN_NONE), wanted) < 1e-14);
        assert_true(distance(loss("cross_entropy", rows, one_hot, NULL, SYN_NONE), wanted) < 1e-14);
        assert_true(distance(loss("cross_entropy", x, target, "weight",
                                  SYN_TENSOR_OF(syn_ones(SYN_SHAPE(3), SYN_F64))),
                             wanted) < 1e-14);
        assert_true(
            distance(syn_mean(loss("cross_entropy", x, target, "reduction", SYN_STRING_OF("none"))),
                     wanted) < 1e-14);
        assert_true(distance(loss("nll_loss", syn_log_softmax(x, 1), target, NULL, SYN_NONE),
                             wanted) < 1e-14);
    }
}

static void fused_losses_agree_with_their_terms(void **state)
{
    (void)state;
    static const char *const names[] = {"mse_loss", "smooth_l1_loss",
                                        "binary_cross_entropy_with_logits", "kl_div"};
    SYN_SCOPE {
        syn_tensor *x = syn_randn(SYN_SHAPE(5, 3), SYN_F64);
        syn_tensor *target = syn_softmax(syn_randn(SYN_SHAPE(5, 3), SYN_F64), 1);
        for (int i = 0; i < 4; i++) {
            bool is_kl = i == 3;
            syn_tensor *terms = loss(names[i], x, target, "reduction", SYN_STRING_OF("none"));
            syn_tensor *sum = syn_sum(terms);
            syn_tensor *fused =
                loss(names[i], x, target, "reduction", SYN_STRING_OF(is_kl ? "batchmean" : "sum"));

            assert_true(distance(fused, is_kl ? syn_mul_scalar(sum, 0.2) : sum) < 1e-13);
        }
    }
}

static void unknown_reductions_are_refused(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_randn(SYN_SHAPE(2, 3), SYN_F32);

        assert_null(loss("mse_loss", x, x, "reduction", SYN_STRING_OF("median")));
        assert_sticks("reduction is \"median\"");
        assert_null(
            loss("binary_cross_entropy_with_logits", x, syn_select(x, 0, 0), NULL, SYN_NONE));
        assert_sticks("the input and the target differ in shape");
        assert_null(syn_smooth_l1_loss(x, x, -1));
        assert_sticks("beta is -1");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(cross_entropy_takes_every_index_type, reset),
        cmocka_unit_test_setup(a_class_out_of_range_is_named_with_its_row, reset),
        cmocka_unit_test_setup(ignored_rows_count_for_nothing, reset),
        cmocka_unit_test_setup(forms_of_cross_entropy_agree, reset),
        cmocka_unit_test_setup(fused_losses_agree_with_their_terms, reset),
        cmocka_unit_test_setup(unknown_reductions_are_refused, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
