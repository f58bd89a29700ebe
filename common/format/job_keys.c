/* The table of the job's keys: name, place, default, limits, condition, meaning. */
#include "common/format/job_keys.h"

#include <math.h>
#include <string.h>

#define AT(field) offsetof(syn_job_spec, field)

static const syn_job_choice dtypes[] = {{"f32", SYN_F32}, {"f64", SYN_F64}, {0}};
static const syn_job_choice models[] = {
    {"mlp", SYN_MODEL_MLP}, {"lenet5", SYN_MODEL_LENET5}, {"gpt", SYN_MODEL_GPT}, {0}};
static const syn_job_choice activations[] = {
    {"relu", SYN_ACT_RELU}, {"tanh", SYN_ACT_TANH}, {"gelu", SYN_ACT_GELU}, {0}};
static const syn_job_choice data_kinds[] = {
    {"digits", SYN_DATA_DIGITS}, {"idx", SYN_DATA_IDX}, {"text", SYN_DATA_TEXT}, {0}};
static const syn_job_choice optimizers[] = {
    {"sgd", SYN_OPT_SGD}, {"adam", SYN_OPT_ADAM}, {"adamw", SYN_OPT_ADAMW}, {0}};
static const syn_job_choice schedules[] = {
    {"constant", SYN_SCHED_CONSTANT}, {"step", SYN_SCHED_STEP}, {"cosine", SYN_SCHED_COSINE}, {0}};

/* Steps, samples and sizes that no run reaches; below 2^53, so that a double holds every limit
 * exactly. */
#define MANY_STEPS   1e12
#define MANY_SAMPLES 1e9
#define MANY_DIGITS  1e7 /* they are drawn into memory */

const syn_job_key syn_job_keys[] = {
    {"name", SYN_JOB_TEXT, AT(name), .fallback = "\"\"", .max = 128,
     .doc = "What lists and curves call the job."},
    {"seed", SYN_JOB_NATURAL, AT(seed), .fallback = "1", .max = 18446744073709551615.0,
     .doc = "Decides the initial weights, the order of the samples, augmentation and dropout."},
    {"ranks", SYN_JOB_INTEGER, AT(ranks), .fallback = "1", .min = 1, .max = 65536,
     .doc = "Worker processes, where the command line names no number."},
    {"threads", SYN_JOB_INTEGER, AT(threads), .fallback = "0", .max = 4096,
     .doc = "OpenMP threads of each rank; 0: the host's cores divided by its ranks, or one thread "
            "with virtual_shards."},
    {"virtual_shards", SYN_JOB_INTEGER, AT(virtual_shards), .fallback = "0", .max = 65536,
     .doc =
         "Each batch is cut into so many parts, which are computed alone and summed in one fixed "
         "order: the weights have the same bits on any number of ranks up to it; 0: off, as "
         "fast as possible."},
    {"restarts", SYN_JOB_INTEGER, AT(restarts), .fallback = "3", .max = 1000,
     .doc = "How often the job is launched again, from its last checkpoint, after a host or a "
            "process was lost."},
    {"time_limit_s", SYN_JOB_REAL, AT(time_limit_s), .fallback = "0", .max = 1e9, .unit = "s",
     .doc = "The job is stopped when it has run so long; 0: no limit."},
    {"dtype", SYN_JOB_CHOICE, AT(dtype), .fallback = "f32", .choices = dtypes,
     .doc = "Element type of weights and arithmetic."},

    {"model.kind", SYN_JOB_CHOICE, AT(model.kind), .choices = models,
     .doc = "Fully connected layers, LeNet-5, or a GPT (decoder-only transformer)."},
    {"model.hidden", SYN_JOB_INTEGERS, AT(model.hidden), AT(model.n_hidden),
     .fallback = "[256, 128]", .min = 1, .max = 1 << 20, .when = "model.kind=mlp",
     .doc = "Widths of the hidden layers; []: inputs go straight to outputs."},
    {"model.activation", SYN_JOB_CHOICE, AT(model.activation), .fallback = "relu",
     .choices = activations, .when = "model.kind=mlp", .doc = "What follows each hidden layer."},
    {"model.n_layers", SYN_JOB_INTEGER, AT(model.n_layers), .fallback = "4", .min = 1, .max = 1024,
     .when = "model.kind=gpt", .doc = "Transformer blocks."},
    {"model.n_heads", SYN_JOB_INTEGER, AT(model.n_heads), .fallback = "4", .min = 1, .max = 1024,
     .when = "model.kind=gpt", .doc = "Attention heads; they divide the width."},
    {"model.width", SYN_JOB_INTEGER, AT(model.width), .fallback = "128", .min = 1, .max = 1 << 20,
     .when = "model.kind=gpt", .doc = "Size of the embedding."},
    {"model.block", SYN_JOB_INTEGER, AT(model.block), .fallback = "64", .min = 1, .max = 1 << 20,
     .unit = "tokens", .when = "model.kind=gpt", .doc = "Context: how far back the model sees."},
    {"model.dropout", SYN_JOB_REAL, AT(model.dropout), .fallback = "0", .max = 1,
     .max_is_open = true, .when = "model.kind=mlp|gpt",
     .doc = "Probability that an element is dropped while training."},

    {"data.kind", SYN_JOB_CHOICE, AT(data.kind), .choices = data_kinds,
     .doc = "Digits drawn by the program itself, files in the IDX format (MNIST, Fashion-MNIST), "
            "or a text, read by characters."},
    {"data.path", SYN_JOB_PATH, AT(data.path), .min = 1, .max = 4096, .when = "data.kind=idx|text",
     .doc = "The folder with the four IDX files, plain or .gz; or the text file."},
    {"data.n_train", SYN_JOB_INTEGER, AT(data.n_train), .fallback = "20000", .min = 1,
     .max = MANY_DIGITS, .when = "data.kind=digits", .unit = "samples",
     .doc = "Training samples to draw."},
    {"data.n_train", SYN_JOB_INTEGER, AT(data.n_train), .fallback = "0", .max = MANY_SAMPLES,
     .when = "data.kind=idx", .unit = "samples",
     .doc = "At most so many training samples are used; 0: all."},
    {"data.n_test", SYN_JOB_INTEGER, AT(data.n_test), .fallback = "4000", .min = 1,
     .max = MANY_DIGITS, .when = "data.kind=digits", .unit = "samples",
     .doc = "Test samples to draw."},
    {"data.n_test", SYN_JOB_INTEGER, AT(data.n_test), .fallback = "0", .max = MANY_SAMPLES,
     .when = "data.kind=idx", .unit = "samples",
     .doc = "At most so many test samples are used; 0: all."},
    {"data.augment_shift", SYN_JOB_INTEGER, AT(data.augment_shift), .fallback = "0", .max = 14,
     .unit = "pixels", .when = "data.kind=digits|idx",
     .doc = "Training images are moved at random by at most so far; 0: not at all."},
    {"data.val_fraction", SYN_JOB_REAL, AT(data.val_fraction), .fallback = "0.1", .max = 1,
     .max_is_open = true, .when = "data.kind=text",
     .doc = "The last part of the text, kept for validation."},

    {"train.epochs", SYN_JOB_INTEGER, AT(train.epochs), .fallback = "0", .max = 1e6,
     .doc = "Passes over the training data; 0: train.max_steps alone ends the run. With both, the "
            "first reached does."},
    {"train.max_steps", SYN_JOB_INTEGER, AT(train.max_steps), .fallback = "0", .max = MANY_STEPS,
     .doc = "Optimizer steps; 0: train.epochs alone ends the run."},
    {"train.batch_size", SYN_JOB_INTEGER, AT(train.batch_size), .fallback = "64", .min = 1,
     .max = 1 << 24, .unit = "samples", .doc = "Samples of one step, over all ranks together."},
    {"train.accumulate", SYN_JOB_INTEGER, AT(train.accumulate), .fallback = "1", .min = 1,
     .max = 65536, .doc = "Micro-batches that a step's batch is cut into, to save memory."},
    {"train.clip_norm", SYN_JOB_REAL, AT(train.clip_norm), .fallback = "0", .max = INFINITY,
     .doc = "Gradients are scaled down to this norm (over all parameters); 0: never."},
    {"train.stop_on_nan", SYN_JOB_BOOL, AT(train.stop_on_nan), .fallback = "true",
     .doc = "End the run with an error when the loss is not a finite number."},
    {"train.eval_every_steps", SYN_JOB_INTEGER, AT(train.eval_every_steps), .fallback = "0",
     .max = MANY_STEPS, .unit = "steps",
     .doc = "Evaluate so often; 0: after each epoch and at the end."},
    {"train.eval_batches", SYN_JOB_INTEGER, AT(train.eval_batches), .fallback = "0",
     .max = MANY_SAMPLES, .when = "data.kind=text",
     .doc = "Batches of an evaluation; 0: the whole validation part."},
    {"train.log_every_steps", SYN_JOB_INTEGER, AT(train.log_every_steps), .fallback = "10",
     .min = 1, .max = MANY_STEPS, .unit = "steps", .doc = "Record and show the loss so often."},

    {"optimizer.kind", SYN_JOB_CHOICE, AT(optimizer.kind), .fallback = "adam",
     .choices = optimizers,
     .doc = "SGD with momentum, Adam, or AdamW (decoupled weight decay), as PyTorch defines them."},
    {"optimizer.lr", SYN_JOB_REAL, AT(optimizer.lr), .fallback = "0.001", .max = INFINITY,
     .doc = "Learning rate; schedules start from it."},
    {"optimizer.momentum", SYN_JOB_REAL, AT(optimizer.momentum), .fallback = "0", .max = 1,
     .max_is_open = true, .when = "optimizer.kind=sgd",
     .doc = "Share of the last update that is kept."},
    {"optimizer.nesterov", SYN_JOB_BOOL, AT(optimizer.nesterov), .fallback = "false",
     .when = "optimizer.kind=sgd", .doc = "Nesterov's momentum."},
    {"optimizer.betas", SYN_JOB_REAL_PAIR, AT(optimizer.beta1), .fallback = "[0.9, 0.999]",
     .max = 1, .max_is_open = true, .when = "optimizer.kind=adam|adamw",
     .doc = "Decay of the two running averages."},
    {"optimizer.eps", SYN_JOB_REAL, AT(optimizer.eps), .fallback = "1e-8", .max = 1,
     .when = "optimizer.kind=adam|adamw", .doc = "Added to the denominator."},
    {"optimizer.weight_decay", SYN_JOB_REAL, AT(optimizer.weight_decay), .fallback = "0",
     .max = INFINITY, .when = "optimizer.kind=sgd|adam",
     .doc = "L2 penalty, added to the gradient."},
    {"optimizer.weight_decay", SYN_JOB_REAL, AT(optimizer.weight_decay), .fallback = "0.01",
     .max = INFINITY, .when = "optimizer.kind=adamw",
     .doc = "Weights shrink by lr times this in each step."},
    {"optimizer.decay_2d_only", SYN_JOB_BOOL, AT(optimizer.decay_2d_only), .fallback = "false",
     .doc = "Weight decay leaves out parameters of one dimension: biases, norms."},

    {"schedule.kind", SYN_JOB_CHOICE, AT(schedule.kind), .fallback = "constant",
     .choices = schedules,
     .doc = "How the learning rate changes: not at all, by steps, or along half a cosine after a "
            "linear warm-up."},
    {"schedule.step_epochs", SYN_JOB_INTEGER, AT(schedule.step_epochs), .fallback = "0", .max = 1e6,
     .unit = "epochs", .when = "schedule.kind=step",
     .doc = "The rate is multiplied by gamma every so many epochs; 0: see step_size."},
    {"schedule.step_size", SYN_JOB_INTEGER, AT(schedule.step_size), .fallback = "0",
     .max = MANY_STEPS, .unit = "steps", .when = "schedule.kind=step",
     .doc = "The same every so many steps; 0: see step_epochs."},
    {"schedule.gamma", SYN_JOB_REAL, AT(schedule.gamma), .fallback = "0.1", .max = INFINITY,
     .min_is_open = true, .when = "schedule.kind=step", .doc = "The factor."},
    {"schedule.warmup_steps", SYN_JOB_INTEGER, AT(schedule.warmup_steps), .fallback = "0",
     .max = MANY_STEPS, .unit = "steps", .when = "schedule.kind=cosine",
     .doc = "The rate rises from 0 to lr over so many steps."},
    {"schedule.decay_steps", SYN_JOB_INTEGER, AT(schedule.decay_steps), .fallback = "0",
     .max = MANY_STEPS, .unit = "steps", .when = "schedule.kind=cosine",
     .doc = "The step at which min_lr is reached; 0: the run's last."},
    {"schedule.min_lr", SYN_JOB_REAL, AT(schedule.min_lr), .fallback = "0", .max = INFINITY,
     .when = "schedule.kind=cosine", .doc = "The rate at the end."},

    {"checkpoint.every_steps", SYN_JOB_INTEGER, AT(checkpoint.every_steps), .fallback = "0",
     .max = MANY_STEPS, .unit = "steps",
     .doc = "Write a checkpoint so often; 0: after each epoch, if the run counts epochs."},
    {"checkpoint.keep", SYN_JOB_INTEGER, AT(checkpoint.keep), .fallback = "2", .max = 1e6,
     .doc = "The newest so many checkpoints are kept; 0: all."},
    {"checkpoint.resume", SYN_JOB_PATH, AT(checkpoint.resume), .fallback = "\"\"", .max = 4096,
     .doc = "The folder of a run or of a checkpoint to start from."},

    {"parallel.first_bucket_mb", SYN_JOB_REAL, AT(parallel.first_bucket_mb), .fallback = "1",
     .max = 65536, .min_is_open = true, .unit = "MiB",
     .doc = "Size of the first gradient bucket, small so that communication starts early."},
    {"parallel.bucket_mb", SYN_JOB_REAL, AT(parallel.bucket_mb), .fallback = "25", .max = 65536,
     .min_is_open = true, .unit = "MiB", .doc = "Size of the other gradient buckets."},
    {"parallel.overlap", SYN_JOB_BOOL, AT(parallel.overlap), .fallback = "true",
     .doc = "Sum gradients over the ranks while the backward pass still runs."},
};
const size_t syn_n_job_keys = sizeof syn_job_keys / sizeof *syn_job_keys;
_Static_assert(sizeof syn_job_keys / sizeof *syn_job_keys <= SYN_JOB_KEYS_MAX, "raise the bound");
_Static_assert(AT(optimizer.beta2) == AT(optimizer.beta1) + sizeof(double), "betas are neighbours");
_Static_assert(sizeof(syn_model_kind) == sizeof(int), "choices are stored as int");

const char *syn_job_key_leaf(const syn_job_key *key)
{
    const char *dot = strchr(key->name, '.');
    return dot ? dot + 1 : key->name;
}

size_t syn_job_key_section(const syn_job_key *key)
{
    const char *dot = strchr(key->name, '.');
    return dot ? (size_t)(dot - key->name) : 0;
}

const syn_job_key *syn_job_key_find(const char *name)
{
    for (size_t i = 0; i < syn_n_job_keys; i++)
        if (strcmp(syn_job_keys[i].name, name) == 0)
            return &syn_job_keys[i];
    return NULL;
}

const char *syn_job_key_choice(const syn_job_key *key, const syn_job_spec *spec)
{
    int value;
    memcpy(&value, (const char *)spec + key->offset, sizeof value);
    for (const syn_job_choice *c = key->choices; c->name; c++)
        if (c->value == value)
            return c->name;
    return "?";
}

bool syn_job_key_applies(const syn_job_key *key, const syn_job_spec *spec)
{
    char name[64];

    if (!key->when)
        return true;
    const char *words = strchr(key->when, '=') + 1;
    memcpy(name, key->when, (size_t)(words - 1 - key->when));
    name[words - 1 - key->when] = '\0';
    const char *chosen = syn_job_key_choice(syn_job_key_find(name), spec);
    for (size_t n; *words; words += n + (words[n] == '|')) {
        n = strcspn(words, "|");
        if (strlen(chosen) == n && strncmp(words, chosen, n) == 0)
            return true;
    }
    return false;
}
