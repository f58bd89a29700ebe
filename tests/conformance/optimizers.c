/* Optimizers from JSON, and the cases that feed them given gradients. */
#include "tests/conformance/optimizers.h"

#include "common/base/mem.h"

#include <stdio.h>
#include <string.h>

static double number_of(const json_t *object, const char *key, double fallback)
{
    const json_t *value = json_object_get(object, key);

    return json_is_number(value) ? json_number_value(value) : fallback;
}

static bool is_set(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

static double beta(const json_t *hp, size_t index)
{
    return json_number_value(json_array_get(json_object_get(hp, "betas"), index));
}

/* ---- Each optimizer from its hyperparameters ---- */

static syn_optimizer *make_sgd(const json_t *hp, syn_parameters parameters, bool decay_2d_only)
{
    return syn_sgd(parameters, (syn_sgd_options){
                                   .lr = number_of(hp, "lr", 0),
                                   .momentum = number_of(hp, "momentum", 0),
                                   .dampening = number_of(hp, "dampening", 0),
                                   .weight_decay = number_of(hp, "weight_decay", 0),
                                   .nesterov = is_set(hp, "nesterov"),
                                   .maximize = is_set(hp, "maximize"),
                                   .decay_2d_only = decay_2d_only,
                               });
}

static syn_adam_options adam_options(const json_t *hp, double weight_decay, bool decay_2d_only)
{
    return (syn_adam_options){
        .lr = number_of(hp, "lr", 0),
        .beta1 = beta(hp, 0),
        .beta2 = beta(hp, 1),
        .eps = number_of(hp, "eps", 0),
        .weight_decay = number_of(hp, "weight_decay", weight_decay),
        .amsgrad = is_set(hp, "amsgrad"),
        .maximize = is_set(hp, "maximize"),
        .decay_2d_only = decay_2d_only,
    };
}

static syn_optimizer *make_adam(const json_t *hp, syn_parameters parameters, bool decay_2d_only)
{
    return syn_adam(parameters, adam_options(hp, 0, decay_2d_only));
}

static syn_optimizer *make_adamw(const json_t *hp, syn_parameters parameters, bool decay_2d_only)
{
    return syn_adamw(parameters, adam_options(hp, 0.01, decay_2d_only));
}

static syn_optimizer *make_rmsprop(const json_t *hp, syn_parameters parameters, bool decay_2d_only)
{
    return syn_rmsprop(parameters, (syn_rmsprop_options){
                                       .lr = number_of(hp, "lr", 0),
                                       .alpha = number_of(hp, "alpha", 0),
                                       .eps = number_of(hp, "eps", 0),
                                       .weight_decay = number_of(hp, "weight_decay", 0),
                                       .momentum = number_of(hp, "momentum", 0),
                                       .centered = is_set(hp, "centered"),
                                       .maximize = is_set(hp, "maximize"),
                                       .decay_2d_only = decay_2d_only,
                                   });
}

static syn_optimizer *make_adagrad(const json_t *hp, syn_parameters parameters, bool decay_2d_only)
{
    return syn_adagrad(
        parameters, (syn_adagrad_options){
                        .lr = number_of(hp, "lr", 0),
                        .lr_decay = number_of(hp, "lr_decay", 0),
                        .eps = number_of(hp, "eps", 0),
                        .weight_decay = number_of(hp, "weight_decay", 0),
                        .initial_accumulator_value = number_of(hp, "initial_accumulator_value", 0),
                        .maximize = is_set(hp, "maximize"),
                        .decay_2d_only = decay_2d_only,
                    });
}

typedef syn_optimizer *(*make_fn)(const json_t *hp, syn_parameters parameters, bool decay_2d_only);

static const struct {
    const char *name;
    make_fn make;
} optimizers[] = {
    {"SGD", make_sgd},         {"Adam", make_adam},       {"AdamW", make_adamw},
    {"RMSprop", make_rmsprop}, {"Adagrad", make_adagrad},
};

static make_fn find(const char *name)
{
    for (size_t i = 0; i < sizeof optimizers / sizeof *optimizers; i++)
        if (strcmp(optimizers[i].name, name) == 0)
            return optimizers[i].make;
    return NULL;
}

bool optimizer_is_known(const char *name)
{
    return find(name) != NULL;
}

syn_optimizer *optimizer_make(const char *name, const json_t *hp, syn_parameters parameters,
                              bool decay_2d_only)
{
    make_fn make = find(name);

    return make ? make(hp, parameters, decay_2d_only) : NULL;
}

/* ---- Cases ---- */

static syn_status find_input(const syn_safetensors *inputs, const json_t *key,
                             const syn_safetensor **out)
{
    const char *name = json_string_value(key);

    *out = name ? syn_safetensors_find(inputs, name) : NULL;
    return *out ? SYN_OK : SYN_FAIL(SYN_NOT_FOUND, "there is no input %s", name ? name : "?");
}

static syn_tensor *load(const syn_safetensor *source)
{
    syn_shape shape = {.ndim = source->ndim};

    memcpy(shape.dims, source->shape, (size_t)source->ndim * sizeof *shape.dims);
    return syn_from_data(source->data, shape, source->dtype);
}

static syn_status add_parameters(syn_module *module, const json_t *list,
                                 const syn_safetensors *inputs)
{
    size_t i;
    json_t *entry;

    json_array_foreach(list, i, entry)
    {
        const syn_safetensor *source = NULL;
        char name[24];
        SYN_TRY(find_input(inputs, json_object_get(entry, "data"), &source));
        (void)snprintf(name, sizeof name, "p%zu", i);
        SYN_SCOPE {
            (void)syn_module_add_parameter(module, name, syn_keep(load(source)));
        }
    }
    return syn_failed() ? syn_error_status() : SYN_OK;
}

static syn_status set_grads(syn_parameters parameters, const json_t *keys,
                            const syn_safetensors *inputs)
{
    for (int i = 0; i < parameters.n; i++) {
        const syn_safetensor *source = NULL;
        SYN_TRY(find_input(inputs, json_array_get(keys, (size_t)i), &source));
        SYN_SCOPE {
            SYN_TRY(syn_set_grad(parameters.items[i].tensor, load(source)));
        }
    }
    return SYN_OK;
}

static syn_status report(const char *id, int64_t step, syn_parameters parameters,
                         result_set *results)
{
    for (int i = 0; i < parameters.n; i++) {
        const syn_tensor *tensor = parameters.items[i].tensor;
        syn_shape shape = syn_tensor_shape(tensor);
        char name[64];
        syn_safetensor out = {
            .dtype = syn_tensor_dtype(tensor),
            .ndim = shape.ndim,
            .data = syn_tensor_data(tensor),
            .size_bytes =
                (size_t)syn_tensor_numel(tensor) * syn_dtype_size(syn_tensor_dtype(tensor)),
        };
        memcpy(out.shape, shape.dims, (size_t)shape.ndim * sizeof *shape.dims);
        (void)snprintf(name, sizeof name, "s%lld.p%d", (long long)step, i);
        SYN_TRY(results_add(results, id, name, out));
    }
    return SYN_OK;
}

static bool contains(const json_t *list, int64_t number)
{
    size_t i;
    json_t *entry;

    json_array_foreach(list, i, entry)
    {
        if (json_integer_value(entry) == number)
            return true;
    }
    return false;
}

syn_status optim_case(const json_t *test_case, const syn_safetensors *inputs, result_set *results,
                      bool *known_out)
{
    const char *id = json_string_value(json_object_get(test_case, "id"));
    const char *name = json_string_value(json_object_get(test_case, "optim"));
    const json_t *grads = json_object_get(test_case, "grads");
    int64_t n = json_integer_value(json_object_get(test_case, "n"));
    syn_status status = SYN_OK;
    syn_optimizer *optimizer = NULL;

    *known_out = name && optimizer_is_known(name);
    if (!*known_out)
        return SYN_FAIL(SYN_UNIMPLEMENTED, "there is no optimizer %s", name ? name : "?");

    syn_module *module = syn_module_new("Parameters", NULL, NULL, NULL);
    SYN_GOTO(add_parameters(module, json_object_get(test_case, "in"), inputs));
    syn_parameters parameters = syn_module_parameters(module);
    optimizer = optimizer_make(name, json_object_get(test_case, "hp"), parameters, false);
    for (int64_t step = 1; optimizer && step <= n; step++) {
        SYN_GOTO(set_grads(parameters, json_array_get(grads, (size_t)step - 1), inputs));
        syn_optimizer_step(optimizer);
        if (contains(json_object_get(test_case, "at"), step))
            SYN_GOTO(report(id, step, parameters, results));
    }
    status = syn_failed() ? syn_error_status() : SYN_OK;
out:
    syn_optimizer_free(optimizer);
    syn_module_free(module);
    return status;
}
