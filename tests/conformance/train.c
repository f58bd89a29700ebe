/* The training loop of the curve cases. */
#include "tests/conformance/train.h"

#include "common/base/mem.h"
#include "tests/conformance/net.h"
#include "tests/conformance/optimizers.h"
#include "worker/comm/comm.h"
#include "worker/data/sampler.h"
#include "worker/parallel/data_parallel.h"

#include <string.h>

/* One case, opened. */
typedef struct training {
    const char *id;
    const json_t *cfg;
    syn_dtype dtype;
    const syn_safetensor *x, *y, *teacher, *order; /* borrowed; y and teacher may be NULL */
    int64_t n_steps, batch, accumulate, block;
    layer_net net;
    syn_optimizer *optimizer;
    double *losses, *norms; /* owned */
} training;

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static double number_of(const json_t *object, const char *key, double fallback)
{
    const json_t *value = json_object_get(object, key);

    return json_is_number(value) ? json_number_value(value) : fallback;
}

static int64_t integer_of(const json_t *object, const char *key, int64_t fallback)
{
    return (int64_t)number_of(object, key, (double)fallback);
}

static bool is_text(const json_t *object, const char *key, const char *value)
{
    return strcmp(text_of(object, key), value) == 0;
}

/* ---- Opening a case ---- */

static syn_status find_data(const json_t *data, const char *what, const syn_safetensors *inputs,
                            const syn_safetensor **out)
{
    const char *key = json_string_value(json_object_get(data, what));

    *out = key ? syn_safetensors_find(inputs, key) : NULL;
    if (key && !*out)
        return SYN_FAIL(SYN_NOT_FOUND, "there is no input %s (%s)", key, what);
    return SYN_OK;
}

static syn_status open_data(training *t, const json_t *data, const syn_safetensors *inputs)
{
    SYN_TRY(find_data(data, "x", inputs, &t->x));
    SYN_TRY(find_data(data, "y", inputs, &t->y));
    SYN_TRY(find_data(data, "teacher", inputs, &t->teacher));
    SYN_TRY(find_data(data, "order", inputs, &t->order));
    if (!t->x || !t->order || t->order->ndim != 2 || t->order->dtype != SYN_I32 || t->x->ndim < 1)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "the case has no data or no order of rows");
    t->batch = t->order->shape[1];
    if (t->n_steps > t->order->shape[0])
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "%lld steps, but rows for %lld",
                        (long long)t->n_steps, (long long)t->order->shape[0]);
    return SYN_OK;
}

/* A kept tensor of the case's dtype from F32 values. */
static syn_tensor *widen(const syn_safetensor *source, syn_dtype dtype)
{
    syn_tensor *tensor = NULL;
    syn_shape shape = {.ndim = source->ndim};

    memcpy(shape.dims, source->shape, (size_t)source->ndim * sizeof *shape.dims);
    SYN_SCOPE {
        tensor =
            syn_keep(syn_clone(syn_to(syn_from_data(source->data, shape, source->dtype), dtype)));
    }
    return tensor;
}

static syn_status add_tensors(training *t, const json_t *names, const syn_safetensors *inputs,
                              bool are_buffers)
{
    const char *name;
    json_t *key;

    json_object_foreach((json_t *)names, name, key)
    {
        const char *text = json_string_value(key);
        const syn_safetensor *source = text ? syn_safetensors_find(inputs, text) : NULL;
        if (!source)
            return SYN_FAIL(SYN_NOT_FOUND, "there is no input for %s", name);
        syn_tensor *tensor = widen(source, t->dtype);
        if (are_buffers)
            (void)syn_module_add_buffer(t->net.module, name, tensor);
        else
            (void)syn_module_add_parameter(t->net.module, name, tensor);
    }
    return syn_failed() ? syn_error_status() : SYN_OK;
}

/* Whether everything the case names is there; else the sentence says what is not. */
static syn_status check_known(const json_t *cfg)
{
    static const char *const losses[] = {"mse", "cross_entropy", "smooth_l1", "bce_logits",
                                         "distill"};
    static const char *const schedules[] = {"step", "warmup_cosine"};
    const json_t *layers = json_object_get(cfg, "layers"), *sched = json_object_get(cfg, "sched");
    const char *unknown = net_find_unknown(layers);
    bool has_loss = false, has_schedule = !sched;

    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++)
        has_loss |= is_text(cfg, "loss", losses[i]);
    for (size_t i = 0; i < sizeof schedules / sizeof *schedules; i++)
        has_schedule |= is_text(sched, "name", schedules[i]);
    if (unknown)
        return SYN_FAIL(SYN_UNIMPLEMENTED, "there is no layer %s", unknown);
    if (!has_loss)
        return SYN_FAIL(SYN_UNIMPLEMENTED, "there is no loss %s", text_of(cfg, "loss"));
    if (!optimizer_is_known(text_of(cfg, "optim")))
        return SYN_FAIL(SYN_UNIMPLEMENTED, "there is no optimizer %s", text_of(cfg, "optim"));
    if (!has_schedule)
        return SYN_FAIL(SYN_UNIMPLEMENTED, "there is no schedule %s", text_of(sched, "name"));
    if (syn_size() > 1 && net_has_layer(layers, "batch_norm"))
        return SYN_FAIL(SYN_UNIMPLEMENTED, "batch statistics are not synchronised over ranks");
    return SYN_OK;
}

static syn_status open_training(training *t, const json_t *test_case, const syn_safetensors *inputs)
{
    t->id = text_of(test_case, "id");
    t->cfg = json_object_get(test_case, "cfg");
    t->dtype = syn_dtype_find(text_of(test_case, "dtype"));
    t->n_steps = integer_of(t->cfg, "steps", 0);
    t->accumulate = integer_of(t->cfg, "accum", 1);
    t->block = integer_of(t->cfg, "block", 0);
    if (t->dtype != SYN_F32 && t->dtype != SYN_F64)
        return SYN_FAIL(SYN_UNIMPLEMENTED, "cases are f32 or f64, not %s",
                        text_of(test_case, "dtype"));
    if (t->n_steps < 1 || t->accumulate < 1)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "%lld steps of %lld micro-batches",
                        (long long)t->n_steps, (long long)t->accumulate);
    SYN_TRY(open_data(t, json_object_get(test_case, "data"), inputs));
    t->losses = syn_calloc((size_t)t->n_steps, sizeof *t->losses);
    t->norms = syn_calloc((size_t)t->n_steps, sizeof *t->norms);
    if (!t->losses || !t->norms)
        return syn_fail_memory((size_t)t->n_steps * sizeof *t->losses, "a curve");
    t->net.layers = json_object_get(t->cfg, "layers");
    t->net.module = syn_module_new("Curve", NULL, NULL, NULL);
    SYN_TRY(add_tensors(t, json_object_get(test_case, "init"), inputs, false));
    SYN_TRY(add_tensors(t, json_object_get(test_case, "buffers"), inputs, true));
    t->optimizer = optimizer_make(text_of(t->cfg, "optim"), json_object_get(t->cfg, "hp"),
                                  syn_module_parameters(t->net.module),
                                  json_is_true(json_object_get(t->cfg, "decay_2d_only")));
    if (syn_failed())
        return syn_error_status();
    return syn_size() > 1 ? syn_data_parallel_with(t->net.module, (syn_data_parallel_options){0})
                          : SYN_OK;
}

/* ---- One step ---- */

/* The rows of one micro-batch as tensors. */
typedef struct row_set {
    syn_tensor *x, *y, *teacher;
} row_set;

/* Rows of `source` in the order of `index`, floats converted to the case's dtype. */
static syn_tensor *gather(const training *t, const syn_safetensor *source, const int32_t *index,
                          int64_t n)
{
    syn_shape shape = {.ndim = source->ndim};
    size_t row = syn_dtype_size(source->dtype);

    memcpy(shape.dims, source->shape, (size_t)source->ndim * sizeof *shape.dims);
    shape.dims[0] = n;
    for (int i = 1; i < source->ndim; i++)
        row *= (size_t)shape.dims[i];
    syn_tensor *out = syn_empty(shape, source->dtype);
    for (int64_t i = 0; out && i < n; i++) {
        if (index[i] < 0 || index[i] >= source->shape[0])
            return NULL;
        memcpy((char *)syn_tensor_data(out) + (size_t)i * row,
               (const char *)source->data + (size_t)index[i] * row, row);
    }
    return source->dtype == SYN_F32 ? syn_to(out, t->dtype) : out;
}

static row_set read_windows(const training *t, const int32_t *index, int64_t n)
{
    row_set rows = {
        .x = syn_empty(SYN_SHAPE(n, t->block), SYN_U8),
        .y = syn_empty(SYN_SHAPE(n, t->block), SYN_I64),
    };
    const uint8_t *tokens = t->x->data;
    uint8_t *x = syn_tensor_data(rows.x);
    int64_t *y = syn_tensor_data(rows.y);

    for (int64_t i = 0; x && y && i < n; i++) {
        if (index[i] < 0 || index[i] + t->block >= t->x->shape[0])
            return (row_set){0};
        for (int64_t k = 0; k < t->block; k++) {
            *x++ = tokens[index[i] + k];
            *y++ = tokens[index[i] + k + 1];
        }
    }
    return rows;
}

static row_set read_rows(const training *t, const int32_t *index, int64_t n)
{
    const json_t *x_shape = json_object_get(t->cfg, "x_shape");

    if (is_text(t->cfg, "task", "lm"))
        return read_windows(t, index, n);

    row_set rows = {.x = gather(t, t->x, index, n)};
    if (t->y)
        rows.y = gather(t, t->y, index, n);
    if (t->teacher)
        rows.teacher = gather(t, t->teacher, index, n);
    if (x_shape) {
        syn_shape shape = {.ndim = 1, .dims = {n}};
        for (size_t i = 0; i < json_array_size(x_shape) && shape.ndim < SYN_MAX_DIMS; i++)
            shape.dims[shape.ndim++] = json_integer_value(json_array_get(x_shape, i));
        rows.x = syn_reshape(rows.x, shape);
    }
    return rows;
}

static syn_tensor *distill_loss(const json_t *cfg, syn_tensor *out, const row_set *rows)
{
    double temperature = number_of(cfg, "T", 1), alpha = number_of(cfg, "alpha", 0.5);
    syn_tensor *student = syn_log_softmax(syn_mul_scalar(out, 1 / temperature), 1);
    syn_tensor *teacher = syn_softmax(syn_mul_scalar(rows->teacher, 1 / temperature), 1);
    syn_tensor *kl =
        syn_mul_scalar(syn_kl_div(student, teacher), (1 - alpha) * temperature * temperature);

    return syn_add(syn_mul_scalar(syn_cross_entropy(out, rows->y, 0), alpha), kl);
}

static syn_tensor *loss_of(const training *t, syn_tensor *out, const row_set *rows)
{
    const json_t *cfg = t->cfg;
    syn_tensor *y = rows->y;

    if (!y && json_is_true(json_object_get(cfg, "autoencoder")))
        y = syn_reshape(rows->x, syn_tensor_shape(out));
    if (is_text(cfg, "loss", "mse"))
        return syn_mse_loss(out, y);
    if (is_text(cfg, "loss", "smooth_l1"))
        return syn_smooth_l1_loss(out, y, 1);
    if (is_text(cfg, "loss", "bce_logits"))
        return syn_bce_with_logits(out, y);
    if (is_text(cfg, "loss", "distill"))
        return distill_loss(cfg, out, rows);
    out = syn_reshape(out, SYN_SHAPE(-1, syn_tensor_size(out, -1)));
    return syn_cross_entropy(out, syn_reshape(y, SYN_SHAPE(-1)),
                             number_of(cfg, "label_smoothing", 0));
}

/* Forward and backward of rows first..first+n-1 of a step; their share of the loss is added to
 * `*loss`. */
static syn_status run_micro_batch(const training *t, const int32_t *index, int64_t n, double weight,
                                  double *loss)
{
    syn_status status = SYN_OK;

    SYN_SCOPE {
        row_set rows = read_rows(t, index, n);
        syn_tensor *value = loss_of(t, net_forward(&t->net, rows.x), &rows);
        if (weight != 1)
            value = syn_mul_scalar(value, weight);
        if (!value)
            status = syn_failed() ? syn_error_status()
                                  : SYN_FAIL(SYN_INVALID_ARGUMENT, "the case cannot be run");
        else
            status = syn_backward(value);
        if (status == SYN_OK)
            *loss += syn_item(value);
    }
    return status;
}

/* All micro-batches of this rank's rows. */
static syn_status run_batch(const training *t, int64_t step, double *loss)
{
    const int32_t *index = (const int32_t *)t->order->data + step * t->batch;
    syn_slice_range mine = syn_slice_even(t->batch, syn_rank(), syn_size());
    int64_t chunk = (mine.n + t->accumulate - 1) / t->accumulate;

    for (int64_t done = 0; done < mine.n; done += chunk) {
        int64_t n = mine.n - done < chunk ? mine.n - done : chunk;
        double weight = syn_size() > 1 ? (double)n / (double)t->batch : 1 / (double)t->accumulate;
        if (syn_size() > 1)
            syn_data_parallel_set_sync(t->net.module, done + n == mine.n);
        SYN_TRY(run_micro_batch(t, index + mine.first + done, n, weight, loss));
    }
    return SYN_OK;
}

/* Sums gradients and loss over the ranks; on a failure anywhere all get it. */
static syn_status combine(const training *t, syn_status status, double *loss)
{
    if (syn_size() == 1)
        return status;
    if (status == SYN_OK)
        status = syn_data_parallel_finish(t->net.module);
    else
        syn_data_parallel_abandon(t->net.module);

    syn_agreement agreement = {.sums = {*loss}};
    status = syn_comm_agree(syn_comm_world(), status, NULL, &agreement);
    *loss = agreement.sums[0];
    return status;
}

static double rate_of(const training *t, int64_t step)
{
    const json_t *s = json_object_get(t->cfg, "sched");
    double lr = number_of(json_object_get(t->cfg, "hp"), "lr", 0);
    syn_schedule schedule = {
        .type = !s                           ? SYN_CONSTANT
                : is_text(s, "name", "step") ? SYN_STEP
                                             : SYN_WARMUP_COSINE,
        .lr = lr,
        .step_size = integer_of(s, "step_size", 1),
        .gamma = number_of(s, "gamma", 1),
        .warmup = integer_of(s, "warmup", 0),
        .decay = integer_of(s, "decay", 0),
        .min_lr = number_of(s, "min_lr", 0),
    };

    if (schedule.type == SYN_WARMUP_COSINE && !json_is_true(json_object_get(s, "plus1")) &&
        step < schedule.warmup)
        return lr * (double)step / (double)schedule.warmup;
    return syn_schedule_lr(&schedule, step);
}

static syn_status run_step(training *t, int64_t step)
{
    syn_parameters parameters = syn_module_parameters(t->net.module);
    double clip = number_of(t->cfg, "clip", 0);

    syn_optimizer_set_lr(t->optimizer, rate_of(t, step));
    SYN_TRY(combine(t, run_batch(t, step, &t->losses[step]), &t->losses[step]));
    t->norms[step] = clip > 0 ? syn_clip_grad_norm(parameters, clip) : syn_grad_norm(parameters);
    syn_optimizer_step(t->optimizer);
    syn_optimizer_zero_grad(t->optimizer);
    return syn_failed() ? syn_error_status() : SYN_OK;
}

/* ---- Reporting ---- */

static syn_status report_tensors(const training *t, syn_parameters list, result_set *results)
{
    for (int i = 0; i < list.n; i++) {
        const syn_tensor *tensor = list.items[i].tensor;
        syn_shape shape = syn_tensor_shape(tensor);
        char name[256];
        syn_safetensor out = {
            .dtype = syn_tensor_dtype(tensor),
            .ndim = shape.ndim,
            .size_bytes =
                (size_t)syn_tensor_numel(tensor) * syn_dtype_size(syn_tensor_dtype(tensor)),
        };
        memcpy(out.shape, shape.dims, (size_t)shape.ndim * sizeof *shape.dims);
        void *data = syn_malloc(out.size_bytes);
        if (!data)
            return syn_fail_memory(out.size_bytes, "a result");
        out.data = data;
        (void)snprintf(name, sizeof name, "final.%s", list.items[i].name);
        syn_status status = syn_tensor_read(tensor, data);
        if (status == SYN_OK)
            status = results_add(results, t->id, name, out);
        syn_free(data);
        SYN_TRY(status);
    }
    return SYN_OK;
}

static syn_status report(const training *t, result_set *results)
{
    syn_safetensor curve = {
        .dtype = SYN_F64,
        .ndim = 1,
        .shape = {t->n_steps},
        .size_bytes = (size_t)t->n_steps * sizeof *t->losses,
    };

    curve.data = t->losses;
    SYN_TRY(results_add(results, t->id, "loss", curve));
    curve.data = t->norms;
    SYN_TRY(results_add(results, t->id, "gnorm", curve));
    SYN_TRY(report_tensors(t, syn_module_parameters(t->net.module), results));
    return report_tensors(t, syn_module_buffers(t->net.module), results);
}

/* ---- Entry ---- */

syn_status train_case(const json_t *test_case, const syn_safetensors *inputs, result_set *results,
                      bool *known_out)
{
    training t = {0};
    syn_status status = SYN_OK;

    status = check_known(json_object_get(test_case, "cfg"));
    *known_out = status == SYN_OK;
    if (status != SYN_OK)
        return status;

    SYN_GOTO(open_training(&t, test_case, inputs));
    for (int64_t step = 0; step < t.n_steps; step++)
        SYN_GOTO(run_step(&t, step));
    SYN_GOTO(report(&t, results));
out:
    syn_optimizer_free(t.optimizer);
    syn_module_free(t.net.module);
    syn_free(t.losses);
    syn_free(t.norms);
    return status;
}
