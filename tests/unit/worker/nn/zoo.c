/* The model zoo: names, sizes, shapes, and that each of them learns. */
#include "tests/unit/worker/nn/support.h"

static void the_mlp_flattens_and_has_its_layers(void **state)
{
    syn_mlp_options options = {.in_features = 12,
                               .out_features = 3,
                               .hidden = (int64_t[]){8, 5},
                               .n_hidden = 2,
                               .activation = SYN_TANH,
                               .dropout = 0.1};
    syn_module *net = syn_mlp(options);
    (void)state;

    assert_names(syn_module_parameters(net), "1.weight 1.bias 4.weight 4.bias 7.weight 7.bias");
    assert_int_equal(count_elements(syn_module_parameters(net)),
                     12 * 8 + 8 + 8 * 5 + 5 + 5 * 3 + 3);
    SYN_SCOPE {
        syn_tensor *x = syn_randn(SYN_SHAPE(4, 1, 3, 4), SYN_F32);
        assert_shape(syn_module_forward(net, x), SYN_SHAPE(4, 3));
    }
    syn_module_free(net);
}

static void an_mlp_without_hidden_layers_is_linear(void **state)
{
    syn_module *net = syn_mlp((syn_mlp_options){.in_features = 4, .out_features = 2});
    (void)state;

    assert_names(syn_module_parameters(net), "1.weight 1.bias");
    syn_module_free(net);
}

static void lenet5_has_61706_parameters(void **state)
{
    syn_module *net = syn_lenet5(10);
    (void)state;

    assert_names(syn_module_parameters(net), "conv1.weight conv1.bias conv2.weight conv2.bias "
                                             "fc1.weight fc1.bias fc2.weight fc2.bias "
                                             "fc3.weight fc3.bias");
    assert_int_equal(count_elements(syn_module_parameters(net)), 61706);
    SYN_SCOPE {
        syn_tensor *x = syn_randn(SYN_SHAPE(2, 1, 28, 28), SYN_F32);
        assert_shape(syn_module_forward(net, x), SYN_SHAPE(2, 10));
    }
    syn_module_free(net);
}

static syn_module *small_gpt(double dropout)
{
    return syn_gpt((syn_gpt_options){.vocabulary = 11,
                                     .block = 8,
                                     .n_layers = 2,
                                     .n_heads = 2,
                                     .width = 16,
                                     .dropout = dropout});
}

static void gpt_has_nanogpts_names_and_a_tied_head(void **state)
{
    syn_module *net = small_gpt(0);
    syn_parameters list = syn_module_parameters(net);
    (void)state;

    assert_int_equal(list.n, 2 + 2 * 12 + 2);
    assert_string_equal(list.items[0].name, "transformer.wte.weight");
    assert_string_equal(list.items[1].name, "transformer.wpe.weight");
    assert_string_equal(list.items[2].name, "transformer.h.0.ln_1.weight");
    assert_string_equal(list.items[4].name, "transformer.h.0.attn.c_attn.weight");
    assert_string_equal(list.items[6].name, "transformer.h.0.attn.c_proj.weight");
    assert_string_equal(list.items[10].name, "transformer.h.0.mlp.c_fc.weight");
    assert_string_equal(list.items[27].name, "transformer.ln_f.bias");
    assert_int_equal(count_elements(list), (11 + 8) * 16 + 2 * (12 * 16 * 16 + 13 * 16) + 2 * 16);
    syn_module_free(net);
}

static void gpts_projections_into_the_residual_start_smaller(void **state)
{
    syn_gpt_options options = {
        .vocabulary = 50, .block = 8, .n_layers = 8, .n_heads = 2, .width = 64};
    syn_module *net = syn_gpt(options);
    (void)state;

    SYN_SCOPE {
        syn_parameters list = syn_module_parameters(net);
        double attention = syn_item(syn_mean(syn_square(list.items[4].tensor)));
        double projection = syn_item(syn_mean(syn_square(list.items[6].tensor)));
        assert_true(fabs(sqrt(attention) - 0.02) < 0.001);
        assert_true(fabs(sqrt(projection) - 0.02 / 4) < 0.0005);
    }
    syn_module_free(net);
}

static void gpt_does_not_look_ahead(void **state)
{
    syn_module *net = small_gpt(0);
    const uint8_t tokens[2][6] = {{1, 2, 3, 4, 5, 6}, {1, 2, 3, 4, 9, 10}};
    (void)state;

    SYN_SCOPE {
        syn_tensor *x = syn_from_data(tokens, SYN_SHAPE(2, 6), SYN_U8);
        syn_tensor *y = syn_contiguous(syn_module_forward(net, x));
        assert_shape(y, SYN_SHAPE(2, 6, 11));
        const float *logits = syn_tensor_data(y);
        for (int t = 0; t < 4; t++)
            for (int k = 0; k < 11; k++)
                assert_true(fabs((double)logits[t * 11 + k] - (double)logits[(6 + t) * 11 + k]) <
                            1e-6);
        assert_memory_not_equal(logits + 4 * 11, logits + 10 * 11, 11 * sizeof *logits);
    }
    syn_module_free(net);
}

static void gpt_refuses_what_it_cannot_read(void **state)
{
    syn_module *net = small_gpt(0);
    (void)state;

    SYN_SCOPE {
        assert_null(syn_module_forward(net, syn_zeros(SYN_SHAPE(2, 9), SYN_U8)));
        assert_sticks("GPT: takes tokens of shape (B, T) with T up to 8");
        assert_null(syn_module_forward(net, syn_zeros(SYN_SHAPE(2), SYN_U8)));
        assert_sticks("GPT: takes tokens");
    }
    syn_module_free(net);
}

static void impossible_networks_are_refused(void **state)
{
    syn_gpt_options options = {
        .vocabulary = 5, .block = 4, .n_layers = 1, .n_heads = 3, .width = 16};
    (void)state;

    assert_null(syn_gpt(options));
    assert_sticks("GPT: width 16 is not a multiple of n_heads 3");
    options.n_heads = 0;
    assert_null(syn_gpt(options));
    assert_sticks("GPT: n_heads is 0");
    options.n_heads = 2;
    options.n_layers = 1 << 20;
    assert_null(syn_gpt(options));
    assert_sticks("too many");
    options.n_layers = 1;
    options.dropout = 1;
    assert_null(syn_gpt(options));
    assert_sticks("GPT: dropout is 1");
    assert_null(syn_lenet5(0));
    assert_sticks("LeNet5: classes is 0");
    assert_null(syn_mlp((syn_mlp_options){.in_features = 4, .out_features = 2, .n_hidden = 65}));
    assert_sticks("MLP: 65 hidden layers");
    syn_mlp_options mlp = {
        .in_features = 4, .out_features = 2, .hidden = (int64_t[]){3, 0}, .n_hidden = 2};
    assert_null(syn_mlp(mlp));
    assert_sticks("Linear: out_features is 0");
}

/* The loss before and after some steps on one batch. */
static void expect_learning(syn_module *net, syn_tensor *x, syn_tensor *y, int n_steps)
{
    syn_optimizer *optimizer = syn_adam(syn_module_parameters(net), (syn_adam_options){.lr = 0.01});
    double first = 0, last = 0;

    for (int step = 0; step < n_steps; step++) {
        SYN_SCOPE {
            syn_tensor *out = syn_module_forward(net, x);
            out = syn_reshape(out, SYN_SHAPE(-1, syn_tensor_size(out, -1)));
            syn_tensor *loss = syn_cross_entropy(out, syn_reshape(y, SYN_SHAPE(-1)), 0);
            (void)syn_backward(loss);
            syn_optimizer_step(optimizer);
            syn_optimizer_zero_grad(optimizer);
            last = syn_item(loss);
            first = step == 0 ? last : first;
        }
    }
    if (syn_failed())
        fail_msg("%s", syn_error());
    assert_true(last < 0.5 * first);
    syn_optimizer_free(optimizer);
    syn_module_free(net);
}

static void every_network_learns_one_batch_by_heart(void **state)
{
    syn_mlp_options mlp = {
        .in_features = 784, .out_features = 10, .hidden = (int64_t[]){32}, .n_hidden = 1};
    (void)state;

    syn_manual_seed(1);
    SYN_SCOPE {
        syn_tensor *images = syn_randn(SYN_SHAPE(8, 1, 28, 28), SYN_F32);
        syn_tensor *labels = syn_randint(0, 10, SYN_SHAPE(8), SYN_I64);
        expect_learning(syn_mlp(mlp), images, labels, 20);
        expect_learning(syn_lenet5(10), images, labels, 20);
        syn_tensor *tokens = syn_randint(0, 11, SYN_SHAPE(4, 8), SYN_U8);
        syn_tensor *next = syn_randint(0, 11, SYN_SHAPE(4, 8), SYN_I64);
        expect_learning(small_gpt(0), tokens, next, 60);
    }
}

static void dropout_is_active_in_training_only(void **state)
{
    syn_module *net = small_gpt(0.5);
    (void)state;

    SYN_SCOPE {
        syn_tensor *x = syn_zeros(SYN_SHAPE(1, 8), SYN_U8);
        syn_tensor *a = syn_contiguous(syn_module_forward(net, x));
        syn_tensor *b = syn_contiguous(syn_module_forward(net, x));
        assert_memory_not_equal(syn_tensor_data(a), syn_tensor_data(b), 88 * sizeof(float));
        syn_module_train(net, false);
        a = syn_contiguous(syn_module_forward(net, x));
        b = syn_contiguous(syn_module_forward(net, x));
        assert_memory_equal(syn_tensor_data(a), syn_tensor_data(b), 88 * sizeof(float));
    }
    syn_module_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mlp_flattens_and_has_its_layers),
        cmocka_unit_test(an_mlp_without_hidden_layers_is_linear),
        cmocka_unit_test(lenet5_has_61706_parameters),
        cmocka_unit_test(gpt_has_nanogpts_names_and_a_tied_head),
        cmocka_unit_test(gpts_projections_into_the_residual_start_smaller),
        cmocka_unit_test(gpt_does_not_look_ahead),
        cmocka_unit_test(gpt_refuses_what_it_cannot_read),
        cmocka_unit_test(impossible_networks_are_refused),
        cmocka_unit_test(every_network_learns_one_batch_by_heart),
        cmocka_unit_test(dropout_is_active_in_training_only),
    };
    int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    return n_failed ? n_failed : syn_finish();
}
