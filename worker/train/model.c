/* Building what a job trains. */
#include "worker/train/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <syncline/ops.h>
#include <syncline/random.h>

/* Streams of the job's seed; the step loop's is 1. */
enum { INIT_STREAM = 0 };

syn_status syn_train_take_error(void)
{
    if (!syn_failed())
        return SYN_OK;
    syn_status status = SYN_FAIL(syn_error_status(), "%s", syn_error());
    syn_clear_error();
    return status;
}

static syn_status fail_model(const char *model, const char *needs)
{
    return SYN_FAIL(SYN_INVALID_ARGUMENT, "model.kind %s does not fit this data: it needs %s",
                    model, needs);
}

static syn_status check_fit(const syn_job_spec *spec, const syn_dataset_info *info)
{
    bool is_text = info->kind == SYN_DATA_TEXT;
    const syn_shape *x = &info->x_shape;

    if (spec->model.kind == SYN_MODEL_GPT && !is_text)
        return fail_model("gpt", "a text (data.kind text)");
    if (spec->model.kind == SYN_MODEL_MLP && is_text)
        return fail_model("mlp", "images (data.kind digits or idx)");
    if (spec->model.kind == SYN_MODEL_LENET5 && is_text)
        return fail_model("lenet5", "images (data.kind digits or idx)");
    if (spec->model.kind == SYN_MODEL_LENET5 &&
        (x->ndim != 3 || x->dims[0] != 1 || x->dims[1] != 28 || x->dims[2] != 28)) {
        char needs[96];
        (void)snprintf(needs, sizeof needs,
                       "images of 28 x 28 pixels, these have %" PRId64 " x %" PRId64,
                       x->ndim == 3 ? x->dims[1] : 0, x->ndim == 3 ? x->dims[2] : 0);
        return fail_model("lenet5", needs);
    }
    return SYN_OK;
}

static syn_module *make_mlp(const syn_job_spec *spec, const syn_dataset_info *info)
{
    static const syn_activation_kind kinds[] = {
        [SYN_ACT_RELU] = SYN_RELU, [SYN_ACT_TANH] = SYN_TANH, [SYN_ACT_GELU] = SYN_GELU};
    int64_t features = 1;
    for (int i = 0; i < info->x_shape.ndim; i++)
        features *= info->x_shape.dims[i];
    return syn_mlp((syn_mlp_options){.in_features = features,
                                     .out_features = info->n_classes,
                                     .hidden = spec->model.hidden,
                                     .n_hidden = (int)spec->model.n_hidden,
                                     .activation = kinds[spec->model.activation],
                                     .dropout = spec->model.dropout});
}

static syn_module *make_gpt(const syn_job_spec *spec, const syn_dataset_info *info)
{
    return syn_gpt((syn_gpt_options){.vocabulary = info->n_classes,
                                     .block = spec->model.block,
                                     .n_layers = spec->model.n_layers,
                                     .n_heads = spec->model.n_heads,
                                     .width = spec->model.width,
                                     .dropout = spec->model.dropout});
}

syn_status syn_train_make_model(const syn_job_spec *spec, const syn_dataset_info *info,
                                syn_module **module_out)
{
    SYN_TRY(check_fit(spec, info));
    syn_manual_seed(syn_random_key(spec->seed, INIT_STREAM));
    syn_module *module = spec->model.kind == SYN_MODEL_MLP      ? make_mlp(spec, info)
                         : spec->model.kind == SYN_MODEL_LENET5 ? syn_lenet5(info->n_classes)
                                                                : make_gpt(spec, info);
    syn_status status = syn_train_take_error();
    if (status == SYN_OK && !module)
        status = SYN_FAIL(SYN_INTERNAL, "the model could not be built");
    if (status == SYN_OK)
        status = syn_module_to(module, spec->dtype);
    if (status != SYN_OK) {
        syn_module_free(module);
        return status;
    }
    *module_out = module;
    return SYN_OK;
}

/* The library takes 0 for "not given": what the job says must not turn into a default. */
static syn_status check_adam(const syn_job_spec *spec)
{
    if (spec->optimizer.eps == 0)
        return SYN_FAIL(SYN_INVALID_ARGUMENT,
                        "optimizer.eps is 0, it must be above 0 (default 1e-8)");
    if (spec->optimizer.beta1 == 0 && spec->optimizer.beta2 == 0)
        return SYN_FAIL(SYN_INVALID_ARGUMENT,
                        "optimizer.betas are both 0, at least one must be above 0");
    return SYN_OK;
}

syn_status syn_train_make_optimizer(const syn_job_spec *spec, syn_module *module,
                                    syn_optimizer **optimizer_out)
{
    syn_parameters parameters = syn_module_parameters(module);
    syn_optimizer *optimizer;

    if (spec->optimizer.kind == SYN_OPT_SGD) {
        optimizer = syn_sgd(parameters, (syn_sgd_options){
                                            .lr = spec->optimizer.lr,
                                            .momentum = spec->optimizer.momentum,
                                            .weight_decay = spec->optimizer.weight_decay,
                                            .nesterov = spec->optimizer.nesterov,
                                            .decay_2d_only = spec->optimizer.decay_2d_only,
                                        });
    } else {
        SYN_TRY(check_adam(spec));
        syn_adam_options options = {.lr = spec->optimizer.lr,
                                    .beta1 = spec->optimizer.beta1,
                                    .beta2 = spec->optimizer.beta2,
                                    .eps = spec->optimizer.eps,
                                    .weight_decay = spec->optimizer.weight_decay,
                                    .decay_2d_only = spec->optimizer.decay_2d_only};
        optimizer = spec->optimizer.kind == SYN_OPT_ADAM ? syn_adam(parameters, options)
                                                         : syn_adamw(parameters, options);
    }
    syn_status status = syn_train_take_error();
    if (status == SYN_OK && !optimizer)
        status = SYN_FAIL(SYN_INTERNAL, "the optimizer could not be built");
    if (status == SYN_OK)
        *optimizer_out = optimizer;
    else
        syn_optimizer_free(optimizer);
    return status;
}

syn_schedule syn_train_make_schedule(const syn_job_spec *spec, int64_t steps_per_epoch,
                                     int64_t total_steps)
{
    static const syn_schedule_type types[] = {[SYN_SCHED_CONSTANT] = SYN_CONSTANT,
                                              [SYN_SCHED_STEP] = SYN_STEP,
                                              [SYN_SCHED_COSINE] = SYN_WARMUP_COSINE};
    syn_schedule schedule = {
        .type = types[spec->schedule.kind],
        .lr = spec->optimizer.lr,
        .step_size = spec->schedule.step_size ? spec->schedule.step_size
                                              : spec->schedule.step_epochs * steps_per_epoch,
        .gamma = spec->schedule.gamma,
        .warmup = spec->schedule.warmup_steps,
        .decay = spec->schedule.decay_steps ? spec->schedule.decay_steps : total_steps,
        .min_lr = spec->schedule.min_lr,
    };
    if (schedule.type == SYN_STEP && schedule.step_size <= 0)
        schedule.type = SYN_CONSTANT;
    return schedule;
}

syn_tensor *syn_train_loss(syn_tensor *logits, syn_tensor *targets)
{
    int ndim = syn_tensor_ndim(logits);
    if (ndim > 2) {
        int64_t classes = syn_tensor_size(logits, -1);
        logits = syn_reshape(logits, SYN_SHAPE(-1, classes));
        targets = syn_reshape(targets, SYN_SHAPE(-1));
    }
    return syn_cross_entropy(logits, targets, 0);
}
