/* Weights and optimizer state through safetensors files: back bit for bit, other models refused,
 * one digest. */
#include "worker/train/weights.h"

#include "tests/unit/worker/train/scratch.h"

#include <syncline/syncline.h>

static syn_module *make_module(uint64_t seed, int64_t hidden)
{
    syn_manual_seed(seed);
    syn_module *module =
        syn_sequential(syn_linear(3, hidden), syn_relu_module(), syn_linear(hidden, 2));
    assert_non_null(module);
    return module;
}

static void digest_of(syn_module *module, char out[65])
{
    assert_int_equal(syn_weights_sha256(module, out), SYN_OK);
}

/* One step of Adam, so that its state is not all zeros. */
static syn_optimizer *make_optimizer(syn_module *module)
{
    syn_optimizer *optimizer =
        syn_adam(syn_module_parameters(module), (syn_adam_options){.lr = 0.1});
    assert_non_null(optimizer);
    SYN_SCOPE {
        syn_tensor *x = syn_ones(SYN_SHAPE(4, 3), SYN_F32);
        assert_int_equal(syn_backward(syn_sum(syn_module_forward(module, x))), SYN_OK);
        syn_optimizer_step(optimizer);
        syn_optimizer_zero_grad(optimizer);
    }
    return optimizer;
}

static void weights_come_back_bit_for_bit(void **state)
{
    char *path = path_in(*state, "model.safetensors"), before[65], other[65], after[65];
    syn_module *a = make_module(1, 5), *b = make_module(2, 5);
    digest_of(a, before);
    digest_of(b, other);

    assert_int_equal(syn_weights_save(a, path), SYN_OK);
    assert_int_equal(syn_weights_load(b, path), SYN_OK);
    digest_of(b, after);

    assert_string_not_equal(before, other);
    assert_string_equal(before, after);
    syn_module_free(a);
    syn_module_free(b);
    syn_free(path);
}

static void another_model_is_refused_and_nothing_is_changed(void **state)
{
    char *path = path_in(*state, "model.safetensors"), before[65], after[65];
    syn_module *a = make_module(1, 5), *wider = make_module(1, 6);
    syn_module *longer =
        syn_sequential(syn_linear(3, 5), syn_relu_module(), syn_linear(5, 2), syn_linear(2, 2));
    syn_module *shorter = syn_sequential(syn_linear(3, 5));
    digest_of(wider, before);
    assert_int_equal(syn_weights_save(a, path), SYN_OK);

    assert_int_equal(syn_weights_load(wider, path), SYN_FAILED_PRECONDITION);
    assert_non_null(strstr(syn_error_message(), "0.weight is f32 (5, 3), the job's is f32 (6, 3)"));
    assert_int_equal(syn_weights_load(longer, path), SYN_FAILED_PRECONDITION);
    assert_non_null(strstr(syn_error_message(), "has no tensor 3.weight"));
    assert_int_equal(syn_weights_load(shorter, path), SYN_FAILED_PRECONDITION);
    assert_non_null(strstr(syn_error_message(), "it has 4 tensors, the job's model has 2"));

    digest_of(wider, after);
    assert_string_equal(before, after);
    syn_module_free(a);
    syn_module_free(wider);
    syn_module_free(longer);
    syn_module_free(shorter);
    syn_free(path);
}

static void the_digest_is_of_the_parameters_in_the_order_of_their_names(void **state)
{
    const float values[] = {1, 2, 3, 4, 5, 6, 7, 8};
    char expected[65], digest[65];
    syn_module *module = syn_sequential(syn_linear(2, 2), syn_linear_no_bias(1, 2));
    (void)state;
    /* 0.bias (2), 0.weight (2, 2), 1.weight (2, 1): registered as weight, bias, weight. */
    syn_parameters parameters = syn_module_parameters(module);
    assert_int_equal(parameters.n, 3);
    for (int i = 0; i < parameters.n; i++) {
        const char *name = parameters.items[i].name;
        const float *from = strcmp(name, "0.bias") == 0     ? values
                            : strcmp(name, "0.weight") == 0 ? values + 2
                                                            : values + 6;
        assert_int_equal(syn_tensor_write(parameters.items[i].tensor, from), SYN_OK);
    }

    digest_of(module, digest);

    assert_int_equal(syn_sha256_hex(values, sizeof values, expected), SYN_OK);
    assert_string_equal(digest, expected);
    syn_module_free(module);
}

static void an_optimizers_state_and_step_come_back(void **state)
{
    char *path = path_in(*state, "optimizer.safetensors");
    syn_module *a = make_module(1, 5), *b = make_module(1, 5);
    syn_optimizer *from = make_optimizer(a);
    syn_optimizer *to = syn_adam(syn_module_parameters(b), (syn_adam_options){.lr = 0.1});

    assert_int_equal(syn_optimizer_save(from, path), SYN_OK);
    assert_int_equal(syn_optimizer_load(to, path), SYN_OK);

    assert_int_equal(syn_optimizer_get_step(to), 1);
    syn_parameters x = syn_optimizer_state(from), y = syn_optimizer_state(to);
    assert_int_equal(x.n, y.n);
    assert_true(x.n >= 8);
    for (int i = 0; i < x.n; i++) {
        size_t size = (size_t)syn_tensor_numel(x.items[i].tensor) * sizeof(float);
        assert_string_equal(x.items[i].name, y.items[i].name);
        assert_memory_equal(syn_tensor_data(x.items[i].tensor), syn_tensor_data(y.items[i].tensor),
                            size);
    }
    syn_optimizer_free(from);
    syn_optimizer_free(to);
    syn_module_free(a);
    syn_module_free(b);
    syn_free(path);
}

static void another_optimizer_is_refused(void **state)
{
    char *path = path_in(*state, "optimizer.safetensors");
    syn_module *a = make_module(1, 5);
    syn_optimizer *from = make_optimizer(a);
    syn_optimizer *to =
        syn_sgd(syn_module_parameters(a), (syn_sgd_options){.lr = 0.1, .momentum = 0.9});

    assert_int_equal(syn_optimizer_save(from, path), SYN_OK);
    assert_int_equal(syn_optimizer_load(to, path), SYN_FAILED_PRECONDITION);
    assert_non_null(strstr(syn_error_message(), "optimizer"));
    assert_int_equal(syn_weights_save(a, path), SYN_OK);
    assert_int_equal(syn_optimizer_load(from, path), SYN_DATA_LOSS);
    assert_non_null(strstr(syn_error_message(), "does not say the optimizer's step"));

    syn_optimizer_free(from);
    syn_optimizer_free(to);
    syn_module_free(a);
    syn_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_scratch(weights_come_back_bit_for_bit),
        in_scratch(another_model_is_refused_and_nothing_is_changed),
        in_scratch(the_digest_is_of_the_parameters_in_the_order_of_their_names),
        in_scratch(an_optimizers_state_and_step_come_back),
        in_scratch(another_optimizer_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
