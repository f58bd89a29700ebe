/* Optimizers: parameters with their state, updated by the kernels of worker/kernels/optim.h. */
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/base/vec.h"
#include "worker/kernels/optim.h"
#include "worker/nn/module.h"
#include "worker/tensor/tensor.h"

#include <stdio.h>
#include <string.h>
#include <syncline/autograd.h>
#include <syncline/optim.h>

enum { MAX_STATES = 3 };

/* What belongs to one parameter. */
typedef struct slot {
    char *name;                    /* owned */
    syn_tensor *param;             /* shared */
    syn_tensor *state[MAX_STATES]; /* owned; NULL until the first update and where not used */
    int64_t n_updates;
} slot;

/* One kind of optimizer: its name, the names of its states (NULL: not used), and the update of one
 * parameter. */
typedef struct method {
    const char *name;
    const char *state_names[MAX_STATES];
    void (*update)(const syn_optimizer *optimizer, const slot *slot, const syn_update *update);
} method;

struct syn_optimizer {
    method method;
    union {
        syn_sgd_options sgd;
        syn_adam_options adam;
        syn_rmsprop_options rmsprop;
        syn_adagrad_options adagrad;
    } options;
    double lr, weight_decay;
    double initial_state; /* what state tensors are filled with */
    bool decay_2d_only;
    slot *slots; /* owned */
    int n_slots;
    int64_t step;
    syn_named_tensor *state_items; /* owned: the list syn_optimizer_state gives */
    syn_arena state_names;
    int n_state_items;
};

static const syn_optim_kernels *kernels_of(const slot *s)
{
    return &syn_optim_cpu[syn_tensor_dtype(s->param) == SYN_F64];
}

static double decay_of(const syn_optimizer *o, const slot *s)
{
    return o->decay_2d_only && syn_tensor_ndim(s->param) < 2 ? 0 : o->weight_decay;
}

static void update_sgd(const syn_optimizer *o, const slot *s, const syn_update *update)
{
    const syn_sgd_options *options = &o->options.sgd;

    kernels_of(s)->sgd(update, &(syn_sgd_args){
                                   .lr = o->lr,
                                   .momentum = options->momentum,
                                   .dampening = options->dampening,
                                   .weight_decay = decay_of(o, s),
                                   .nesterov = options->nesterov,
                                   .maximize = options->maximize,
                                   .is_first = s->n_updates == 1,
                               });
}

static void run_adam(const syn_optimizer *o, const slot *s, const syn_update *update,
                     bool is_decoupled)
{
    const syn_adam_options *options = &o->options.adam;

    kernels_of(s)->adam(update, &(syn_adam_args){
                                    .lr = o->lr,
                                    .beta1 = options->beta1,
                                    .beta2 = options->beta2,
                                    .eps = options->eps,
                                    .weight_decay = decay_of(o, s),
                                    .is_decoupled = is_decoupled,
                                    .maximize = options->maximize,
                                    .step = s->n_updates,
                                });
}

static void update_adam(const syn_optimizer *o, const slot *s, const syn_update *update)
{
    run_adam(o, s, update, false);
}

static void update_adamw(const syn_optimizer *o, const slot *s, const syn_update *update)
{
    run_adam(o, s, update, true);
}

static void update_rmsprop(const syn_optimizer *o, const slot *s, const syn_update *update)
{
    const syn_rmsprop_options *options = &o->options.rmsprop;

    kernels_of(s)->rmsprop(update, &(syn_rmsprop_args){
                                       .lr = o->lr,
                                       .alpha = options->alpha,
                                       .eps = options->eps,
                                       .weight_decay = decay_of(o, s),
                                       .momentum = options->momentum,
                                       .is_centered = options->centered,
                                       .maximize = options->maximize,
                                   });
}

static void update_adagrad(const syn_optimizer *o, const slot *s, const syn_update *update)
{
    const syn_adagrad_options *options = &o->options.adagrad;
    double decayed = o->lr / (1 + (double)(s->n_updates - 1) * options->lr_decay);

    kernels_of(s)->adagrad(update, &(syn_adagrad_args){
                                       .lr = decayed,
                                       .eps = options->eps,
                                       .weight_decay = decay_of(o, s),
                                       .maximize = options->maximize,
                                   });
}

/* ---- Making ---- */

static syn_optimizer *fail(syn_status status)
{
    (void)syn_stick(status);
    return NULL;
}

static syn_status fill_slots(syn_optimizer *o, syn_parameters parameters)
{
    if (parameters.n == 0)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "%s: there are no parameters to optimize",
                        o->method.name);
    o->slots = syn_calloc((size_t)parameters.n, sizeof *o->slots);
    if (!o->slots)
        return syn_fail_memory((size_t)parameters.n * sizeof *o->slots, "an optimizer");
    for (int i = 0; i < parameters.n; i++) {
        syn_tensor *param = parameters.items[i].tensor;
        syn_dtype dtype = syn_tensor_dtype(param);
        if (dtype != SYN_F32 && dtype != SYN_F64)
            return SYN_FAIL(SYN_INVALID_ARGUMENT, "%s: parameter %s is %s, only f32 and f64 train",
                            o->method.name, parameters.items[i].name, syn_dtype_name(dtype));
        slot *s = &o->slots[o->n_slots++];
        s->param = syn_tensor_ref(param);
        s->name = syn_strdup(parameters.items[i].name);
        if (!s->name)
            return syn_fail_memory(strlen(parameters.items[i].name), "a name");
    }
    return SYN_OK;
}

/* Takes the ready-made head `o` to the heap with its slots, or fails with the sticky error. */
static syn_optimizer *make(const syn_optimizer *head, syn_parameters parameters, syn_status status)
{
    if (status != SYN_OK)
        return fail(syn_nn_add_place(status));

    syn_optimizer *o = syn_malloc(sizeof *o);
    if (!o)
        return fail(syn_fail_memory(sizeof *o, "an optimizer"));
    *o = *head;
    status = fill_slots(o, parameters);
    if (status != SYN_OK) {
        syn_optimizer_free(o);
        return fail(syn_nn_add_place(status));
    }
    return o;
}

/* lr, eps, momentum, weight decay and their like: finite and not negative. */
static syn_status check_number(const char *method_name, const char *what, double value)
{
    if (value >= 0 && value <= 1e300)
        return SYN_OK;
    return SYN_FAIL(SYN_INVALID_ARGUMENT, "%s: %s is %g, it must not be negative", method_name,
                    what, value);
}

static syn_status check_fraction(const char *method_name, const char *what, double value)
{
    if (value >= 0 && value < 1)
        return SYN_OK;
    return SYN_FAIL(SYN_INVALID_ARGUMENT, "%s: %s is %g, it must be at least 0 and below 1",
                    method_name, what, value);
}

static syn_status check_sgd(const syn_sgd_options *options)
{
    SYN_TRY(check_number("SGD", "lr", options->lr));
    SYN_TRY(check_number("SGD", "momentum", options->momentum));
    SYN_TRY(check_number("SGD", "weight_decay", options->weight_decay));
    if (options->nesterov && (options->momentum == 0 || options->dampening != 0))
        return SYN_FAIL(SYN_INVALID_ARGUMENT,
                        "SGD: nesterov needs a momentum above 0 and no dampening, not %g and %g",
                        options->momentum, options->dampening);
    return SYN_OK;
}

syn_optimizer *syn_sgd(syn_parameters parameters, syn_sgd_options options)
{
    if (options.lr == 0)
        options.lr = 0.01;
    return make(
        &(syn_optimizer){
            .method = {"SGD",
                       {options.momentum != 0 ? "momentum_buffer" : NULL, NULL, NULL},
                       update_sgd},
            .options.sgd = options,
            .lr = options.lr,
            .weight_decay = options.weight_decay,
            .decay_2d_only = options.decay_2d_only,
        },
        parameters, check_sgd(&options));
}

static syn_status check_adam(const char *name, const syn_adam_options *options)
{
    SYN_TRY(check_number(name, "lr", options->lr));
    SYN_TRY(check_fraction(name, "beta1", options->beta1));
    SYN_TRY(check_fraction(name, "beta2", options->beta2));
    SYN_TRY(check_number(name, "eps", options->eps));
    return check_number(name, "weight_decay", options->weight_decay);
}

static syn_optimizer *make_adam(const char *name, syn_parameters parameters,
                                syn_adam_options options, bool is_decoupled)
{
    if (options.lr == 0)
        options.lr = 1e-3;
    if (options.beta1 == 0 && options.beta2 == 0) {
        options.beta1 = 0.9;
        options.beta2 = 0.999;
    }
    if (options.eps == 0)
        options.eps = 1e-8;
    return make(
        &(syn_optimizer){
            .method = {name,
                       {"exp_avg", "exp_avg_sq", options.amsgrad ? "max_exp_avg_sq" : NULL},
                       is_decoupled ? update_adamw : update_adam},
            .options.adam = options,
            .lr = options.lr,
            .weight_decay = options.weight_decay,
            .decay_2d_only = options.decay_2d_only,
        },
        parameters, check_adam(name, &options));
}

syn_optimizer *syn_adam(syn_parameters parameters, syn_adam_options options)
{
    return make_adam("Adam", parameters, options, false);
}

syn_optimizer *syn_adamw(syn_parameters parameters, syn_adam_options options)
{
    return make_adam("AdamW", parameters, options, true);
}

static syn_status check_rmsprop(const syn_rmsprop_options *options)
{
    SYN_TRY(check_number("RMSprop", "lr", options->lr));
    SYN_TRY(check_number("RMSprop", "alpha", options->alpha));
    SYN_TRY(check_number("RMSprop", "eps", options->eps));
    SYN_TRY(check_number("RMSprop", "momentum", options->momentum));
    return check_number("RMSprop", "weight_decay", options->weight_decay);
}

syn_optimizer *syn_rmsprop(syn_parameters parameters, syn_rmsprop_options options)
{
    if (options.lr == 0)
        options.lr = 0.01;
    if (options.alpha == 0)
        options.alpha = 0.99;
    if (options.eps == 0)
        options.eps = 1e-8;
    return make(
        &(syn_optimizer){
            .method = {"RMSprop",
                       {"square_avg", options.momentum != 0 ? "momentum_buffer" : NULL,
                        options.centered ? "grad_avg" : NULL},
                       update_rmsprop},
            .options.rmsprop = options,
            .lr = options.lr,
            .weight_decay = options.weight_decay,
            .decay_2d_only = options.decay_2d_only,
        },
        parameters, check_rmsprop(&options));
}

static syn_status check_adagrad(const syn_adagrad_options *options)
{
    SYN_TRY(check_number("Adagrad", "lr", options->lr));
    SYN_TRY(check_number("Adagrad", "lr_decay", options->lr_decay));
    SYN_TRY(check_number("Adagrad", "eps", options->eps));
    SYN_TRY(
        check_number("Adagrad", "initial_accumulator_value", options->initial_accumulator_value));
    return check_number("Adagrad", "weight_decay", options->weight_decay);
}

syn_optimizer *syn_adagrad(syn_parameters parameters, syn_adagrad_options options)
{
    if (options.lr == 0)
        options.lr = 0.01;
    if (options.eps == 0)
        options.eps = 1e-10;
    return make(
        &(syn_optimizer){
            .method = {"Adagrad", {"sum", NULL, NULL}, update_adagrad},
            .options.adagrad = options,
            .lr = options.lr,
            .initial_state = options.initial_accumulator_value,
            .weight_decay = options.weight_decay,
            .decay_2d_only = options.decay_2d_only,
        },
        parameters, check_adagrad(&options));
}

void syn_optimizer_free(syn_optimizer *o)
{
    if (!o)
        return;
    for (int i = 0; i < o->n_slots; i++) {
        for (int k = 0; k < MAX_STATES; k++)
            syn_tensor_unref(o->slots[i].state[k]);
        syn_tensor_unref(o->slots[i].param);
        syn_free(o->slots[i].name);
    }
    syn_free(o->slots);
    syn_free(o->state_items);
    syn_arena_release(&o->state_names);
    syn_free(o);
}

/* ---- Stepping ---- */

/* Fresh state tensors where the method wants them. */
static bool have_state(const syn_optimizer *o, slot *s)
{
    for (int k = 0; k < MAX_STATES; k++) {
        if (!o->method.state_names[k] || s->state[k])
            continue;
        SYN_SCOPE {
            s->state[k] = syn_keep(
                syn_full(syn_tensor_shape(s->param), o->initial_state, syn_tensor_dtype(s->param)));
        }
        if (!s->state[k])
            return false;
    }
    return true;
}

static void run_update(const syn_optimizer *o, const slot *s, void *param, const void *grad)
{
    syn_update update = {.n = syn_tensor_numel(s->param), .param = param, .grad = grad};

    for (int k = 0; k < MAX_STATES; k++)
        update.state[k] = s->state[k] ? syn_tensor_data(s->state[k]) : NULL;
    o->method.update(o, s, &update);
}

/* A parameter that is not contiguous is updated in a copy and written back. */
static void update_strided(const syn_optimizer *o, const slot *s, const void *grad)
{
    size_t size = (size_t)syn_tensor_numel(s->param) * syn_dtype_size(syn_tensor_dtype(s->param));
    void *copy = syn_malloc(size);

    if (!copy) {
        (void)fail(syn_fail_memory(size, "an optimizer step"));
        return;
    }
    syn_status status = syn_tensor_read(s->param, copy);
    if (status == SYN_OK) {
        run_update(o, s, copy, grad);
        status = syn_tensor_write(s->param, copy);
    }
    if (status != SYN_OK)
        (void)fail(status);
    syn_free(copy);
}

static void step_slot(const syn_optimizer *o, slot *s)
{
    syn_tensor *grad = syn_grad_of(s->param);

    if (!grad || !have_state(o, s))
        return;
    SYN_SCOPE {
        if (syn_tensor_dtype(grad) != syn_tensor_dtype(s->param))
            grad = syn_to(grad, syn_tensor_dtype(s->param));
        grad = syn_contiguous(grad);
        if (grad) {
            s->n_updates++;
            if (syn_tensor_is_contiguous(s->param)) {
                run_update(o, s, syn_tensor_data(s->param), syn_tensor_data(grad));
                syn_tensor_bump_version(s->param, "optimizer step");
            } else {
                update_strided(o, s, syn_tensor_data(grad));
            }
        }
    }
}

void syn_optimizer_step(syn_optimizer *o)
{
    if (!o)
        return;
    SYN_NO_GRAD {
        for (int i = 0; i < o->n_slots; i++)
            step_slot(o, &o->slots[i]);
    }
    o->step++;
}

void syn_optimizer_zero_grad(syn_optimizer *o)
{
    for (int i = 0; o && i < o->n_slots; i++)
        syn_zero_grad(o->slots[i].param);
}

double syn_optimizer_get_lr(const syn_optimizer *o)
{
    return o ? o->lr : 0;
}

void syn_optimizer_set_lr(syn_optimizer *o, double lr)
{
    if (o)
        o->lr = lr;
}

int64_t syn_optimizer_get_step(const syn_optimizer *o)
{
    return o ? o->step : 0;
}

void syn_optimizer_set_step(syn_optimizer *o, int64_t step)
{
    if (!o)
        return;
    o->step = step;
    for (int i = 0; i < o->n_slots; i++)
        o->slots[i].n_updates = step;
}

static bool list_state(syn_optimizer *o)
{
    typedef SYN_VEC(syn_named_tensor) named_vec;
    named_vec all = {0};

    for (int i = 0; i < o->n_slots; i++) {
        slot *s = &o->slots[i];
        if (!have_state(o, s))
            goto fail;
        for (int k = 0; k < MAX_STATES; k++) {
            if (!s->state[k])
                continue;
            char *name =
                syn_arena_printf(&o->state_names, "%s.%s", o->method.state_names[k], s->name);
            if (!name || !syn_vec_push(&all, (syn_named_tensor){name, s->state[k]})) {
                (void)fail(syn_fail_memory(sizeof *all.items, "the optimizer's state"));
                goto fail;
            }
        }
    }
    o->state_items = all.items;
    o->n_state_items = (int)all.n;
    return true;
fail:
    syn_vec_release(&all);
    syn_arena_release(&o->state_names);
    return false;
}

syn_parameters syn_optimizer_state(syn_optimizer *o)
{
    if (!o || (!o->state_items && !list_state(o)))
        return (syn_parameters){0};
    return (syn_parameters){o->state_items, o->n_state_items};
}
