/* Layers: shapes, names, initial values, and agreement with the expressions they wrap. */
#include "tests/unit/worker/nn/support.h"

static syn_tensor *own(syn_module *module, int index)
{
    return syn_module_parameters(module).items[index].tensor;
}

/* The largest absolute difference. */
static double difference(syn_tensor *a, syn_tensor *b)
{
    syn_tensor *flat = syn_flatten(syn_abs(syn_sub(a, b)), 0);

    return flat ? syn_item(syn_amax(flat, 0, false)) : NAN;
}

static void linear_has_pytorchs_names_shapes_and_bounds(void **state)
{
    syn_module *module = syn_linear(100, 30);
    double sum = 0, squares = 0, bound = 0.1;
    (void)state;

    assert_names(syn_module_parameters(module), "weight bias");
    assert_shape(own(module, 0), SYN_SHAPE(30, 100));
    assert_shape(own(module, 1), SYN_SHAPE(30));
    const float *weight = syn_tensor_data(own(module, 0)), *bias = syn_tensor_data(own(module, 1));
    for (int i = 0; i < 3000; i++) {
        assert_true(weight[i] >= -0.1f && weight[i] <= 0.1f);
        sum += (double)weight[i];
        squares += (double)weight[i] * (double)weight[i];
    }
    for (int i = 0; i < 30; i++)
        assert_true(bias[i] >= -0.1f && bias[i] <= 0.1f);
    /* A uniform distribution has variance bound^2 / 3; 3000 draws are within 5 standard deviations
     * of it. */
    assert_true(fabs(sum / 3000) < 5 * bound / sqrt(3.0 * 3000));
    assert_true(fabs(squares / 3000 - bound * bound / 3) < 5 * bound * bound * 0.3 / sqrt(3000));
    syn_module_free(module);
}

static void initial_values_depend_on_the_seed_alone(void **state)
{
    float first[6];
    (void)state;

    syn_manual_seed(3);
    syn_module *a = syn_linear(3, 2);
    memcpy(first, syn_tensor_data(own(a, 0)), sizeof first);
    syn_manual_seed(3);
    syn_module *b = syn_linear(3, 2);
    syn_module *c = syn_linear(3, 2);

    assert_memory_equal(first, syn_tensor_data(own(b, 0)), sizeof first);
    assert_memory_not_equal(first, syn_tensor_data(own(c, 0)), sizeof first);
    syn_module_free(a);
    syn_module_free(b);
    syn_module_free(c);
}

static void linear_is_its_expression(void **state)
{
    syn_module *with = syn_linear(3, 4), *without = syn_linear_no_bias(3, 4);
    (void)state;

    SYN_SCOPE {
        syn_tensor *x = syn_randn(SYN_SHAPE(5, 3), SYN_F32);
        syn_tensor *y = syn_matmul(x, syn_transpose(own(with, 0), 0, 1));
        assert_true(difference(syn_module_forward(with, x), syn_add(y, own(with, 1))) < 1e-6);
        y = syn_matmul(x, syn_transpose(own(without, 0), 0, 1));
        assert_true(difference(syn_module_forward(without, x), y) < 1e-6);
    }
    assert_names(syn_module_parameters(without), "weight");
    syn_module_free(with);
    syn_module_free(without);
}

static void convolution_has_its_shapes_and_options(void **state)
{
    syn_conv_options options = {.stride = {2, 2}, .padding = {1, 1}, .groups = 2};
    syn_module *module = syn_conv2d_module(4, 6, 3, options);
    (void)state;

    assert_names(syn_module_parameters(module), "weight bias");
    assert_shape(own(module, 0), SYN_SHAPE(6, 2, 3, 3));
    const float *weight = syn_tensor_data(own(module, 0));
    for (int i = 0; i < 108; i++)
        assert_true(fabs((double)weight[i]) <= 1 / sqrt(18) + 1e-7);
    SYN_SCOPE {
        syn_tensor *x = syn_randn(SYN_SHAPE(2, 4, 9, 9), SYN_F32);
        assert_shape(syn_module_forward(module, x), SYN_SHAPE(2, 6, 5, 5));
    }
    syn_module_free(module);
}

static void pooling_and_flattening_have_their_shapes(void **state)
{
    syn_pool_options options = {.kernel = {2, 2}};
    syn_module *net = syn_sequential(syn_max_pool2d_module(options), syn_avg_pool2d_module(options),
                                     syn_flatten_module());
    (void)state;

    SYN_SCOPE {
        syn_tensor *x = syn_ones(SYN_SHAPE(2, 3, 8, 12), SYN_F32);
        assert_shape(syn_module_forward(net, x), SYN_SHAPE(2, 18));
    }
    syn_module_free(net);
}

static void activations_are_their_expressions(void **state)
{
    typedef syn_tensor *(*expression)(syn_tensor *);
    const expression expressions[] = {syn_relu, syn_tanh, syn_gelu, syn_sigmoid};
    syn_module *modules[] = {syn_relu_module(), syn_tanh_module(), syn_gelu_module(),
                             syn_sigmoid_module()};
    (void)state;

    SYN_SCOPE {
        syn_tensor *x = syn_randn(SYN_SHAPE(50), SYN_F32);
        for (int i = 0; i < 4; i++)
            assert_true(difference(syn_module_forward(modules[i], x), expressions[i](x)) == 0);
    }
    for (int i = 0; i < 4; i++)
        syn_module_free(modules[i]);
}

static void layer_norm_normalises_the_last_axis(void **state)
{
    syn_module *module = syn_layer_norm_module(64);
    (void)state;

    assert_names(syn_module_parameters(module), "weight bias");
    SYN_SCOPE {
        syn_tensor *x = syn_add_scalar(syn_mul_scalar(syn_randn(SYN_SHAPE(3, 64), SYN_F32), 5), 2);
        syn_tensor *y = syn_module_forward(module, x);
        double mean = syn_item(syn_mean(y)), square = syn_item(syn_mean(syn_square(y)));
        assert_true(fabs(mean) < 1e-5 && fabs(square - 1) < 1e-4);
    }
    syn_module_free(module);
}

static void batch_norm_counts_batches_and_uses_its_averages_in_evaluation(void **state)
{
    syn_module *module = syn_batch_norm2d_module(2);
    syn_parameters buffers = syn_module_buffers(module);
    (void)state;

    assert_names(syn_module_parameters(module), "weight bias");
    assert_names(buffers, "running_mean running_var num_batches_tracked");
    SYN_SCOPE {
        syn_tensor *x = syn_full(SYN_SHAPE(2, 2, 2, 2), 10, SYN_F32);
        assert_non_null(syn_module_forward(module, x));
        assert_non_null(syn_module_forward(module, x));
        syn_module_train(module, false);
        syn_tensor *y = syn_module_forward(module, x);

        /* Running mean 10 (1 - 0.9^2) = 1.9, variance 0.9^2. */
        const float *mean = syn_tensor_data(buffers.items[0].tensor);
        assert_true(fabs((double)mean[1] - 1.9) < 1e-6);
        assert_int_equal(*(int64_t *)syn_tensor_data(buffers.items[2].tensor), 2);
        assert_true(fabs(syn_item(syn_mean(y)) - 8.1 / sqrt(0.81 + 1e-5)) < 1e-4);
    }
    assert_false(syn_failed());
    syn_module_free(module);
}

static void embedding_gives_rows(void **state)
{
    syn_module *module = syn_embedding_module(5, 3);
    const int64_t indices[] = {4, 0, 4};
    (void)state;

    assert_names(syn_module_parameters(module), "weight");
    SYN_SCOPE {
        syn_tensor *y = syn_module_forward(module, syn_from_data(indices, SYN_SHAPE(3), SYN_I64));
        assert_shape(y, SYN_SHAPE(3, 3));
        syn_tensor *expected = syn_select(own(module, 0), 0, 4);
        assert_true(difference(syn_select(y, 0, 2), expected) == 0);
    }
    syn_module_free(module);
}

static void impossible_layers_are_refused_with_the_argument(void **state)
{
    (void)state;

    assert_null(syn_linear(0, 2));
    assert_sticks("Linear: in_features is 0, it must be at least 1");
    assert_null(syn_linear_no_bias(2, -1));
    assert_sticks("Linear: out_features is -1");
    assert_null(syn_linear(1LL << 40, 1LL << 40));
    assert_true(syn_failed());
    syn_clear_error();
    assert_null(syn_conv2d_module(3, 4, 3, (syn_conv_options){.groups = 2}));
    assert_sticks("Conv2d: 2 groups do not divide 3 input and 4 output channels");
    assert_null(syn_conv2d_module(3, 4, 0, (syn_conv_options){.groups = 1}));
    assert_sticks("Conv2d: kernel is 0");
    assert_null(syn_dropout_module(1.5));
    assert_sticks("Dropout: p is 1.5");
    assert_null(syn_dropout_module(NAN));
    assert_sticks("Dropout: p is nan");
    assert_null(syn_layer_norm_module(0));
    assert_sticks("LayerNorm: features is 0");
    assert_null(syn_batch_norm2d_module(0));
    assert_sticks("BatchNorm2d: channels is 0");
    assert_null(syn_embedding_module(3, 0));
    assert_sticks("Embedding: features is 0");
}

static void errors_name_the_place_of_the_call(void **state)
{
    char place[512];
    (void)state;

    (void)snprintf(place, sizeof place, "(%s:%d)", __FILE__, __LINE__ + 1);
    assert_null(syn_linear(0, 2));
    assert_sticks(place);
    syn_module *net = syn_sequential(syn_linear(3, 2));
    SYN_SCOPE {
        syn_tensor *x = syn_ones(SYN_SHAPE(5, 4), SYN_F32);
        assert_non_null(syn_relu(x));
        (void)snprintf(place, sizeof place, "(%s:%d)", __FILE__, __LINE__ + 1);
        assert_null(syn_module_forward(net, x));
    }
    assert_sticks(place);
    syn_module_free(net);
}

static void a_sequence_with_a_child_that_failed_is_null_and_frees_the_others(void **state)
{
    (void)state;

    assert_null(syn_sequential(syn_linear(2, 3), syn_linear(0, 1), syn_relu_module()));

    assert_sticks("Linear: in_features is 0");
}

static void an_empty_sequence_is_the_identity(void **state)
{
    syn_module *module = syn_sequential_of(NULL, 0);
    (void)state;

    SYN_SCOPE {
        syn_tensor *x = syn_ones(SYN_SHAPE(2), SYN_F32);
        assert_ptr_equal(syn_module_forward(module, x), x);
    }
    syn_module_free(module);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_has_pytorchs_names_shapes_and_bounds),
        cmocka_unit_test(initial_values_depend_on_the_seed_alone),
        cmocka_unit_test(linear_is_its_expression),
        cmocka_unit_test(convolution_has_its_shapes_and_options),
        cmocka_unit_test(pooling_and_flattening_have_their_shapes),
        cmocka_unit_test(activations_are_their_expressions),
        cmocka_unit_test(layer_norm_normalises_the_last_axis),
        cmocka_unit_test(batch_norm_counts_batches_and_uses_its_averages_in_evaluation),
        cmocka_unit_test(embedding_gives_rows),
        cmocka_unit_test(impossible_layers_are_refused_with_the_argument),
        cmocka_unit_test(errors_name_the_place_of_the_call),
        cmocka_unit_test(a_sequence_with_a_child_that_failed_is_null_and_frees_the_others),
        cmocka_unit_test(an_empty_sequence_is_the_identity),
    };
    int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    return n_failed ? n_failed : syn_finish();
}
