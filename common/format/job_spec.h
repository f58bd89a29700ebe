/* The job: what users write in YAML or JSON, checked against one table of keys, with every default
 * filled in. */
#ifndef COMMON_FORMAT_JOB_SPEC_H
#define COMMON_FORMAT_JOB_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <syncline/dtype.h>
#include <syncline/status.h>

typedef enum syn_model_kind { SYN_MODEL_MLP, SYN_MODEL_LENET5, SYN_MODEL_GPT } syn_model_kind;
typedef enum syn_data_kind { SYN_DATA_DIGITS, SYN_DATA_IDX, SYN_DATA_TEXT } syn_data_kind;
typedef enum syn_optimizer_kind { SYN_OPT_SGD, SYN_OPT_ADAM, SYN_OPT_ADAMW } syn_optimizer_kind;
typedef enum syn_schedule_kind {
    SYN_SCHED_CONSTANT,
    SYN_SCHED_STEP,
    SYN_SCHED_COSINE
} syn_schedule_kind;
typedef enum syn_activation { SYN_ACT_RELU, SYN_ACT_TANH, SYN_ACT_GELU } syn_activation;

enum { SYN_SPEC_MAX_LAYERS = 64 };

/* Strings are owned by the spec; "" where nothing was given. A value of 0 means "none/unbounded"
 * where the table says so. */
typedef struct syn_job_spec {
    char *name;
    uint64_t seed;
    int64_t ranks;          /* default number of ranks */
    int64_t threads;        /* OpenMP threads per rank; 0: cores divided by ranks on the host */
    int64_t virtual_shards; /* parts of each batch whose sums do not depend on the ranks; 0: off */
    int64_t restarts;       /* relaunches after infrastructure failures */
    double time_limit_s;    /* 0: none */
    syn_dtype dtype;        /* f32 or f64 */
    struct {
        syn_model_kind kind;
        int64_t hidden[SYN_SPEC_MAX_LAYERS]; /* mlp */
        int64_t n_hidden;
        syn_activation activation;               /* mlp */
        double dropout;                          /* mlp, gpt */
        int64_t n_layers, n_heads, width, block; /* gpt */
    } model;
    struct {
        syn_data_kind kind;
        char *path;              /* idx: the folder with the four files; text: the file */
        int64_t n_train, n_test; /* digits: how many to draw. idx: at most so many, 0: all */
        double val_fraction;     /* text: the last part of the file, kept for validation */
        int64_t augment_shift;   /* digits, idx: random shift of at most so many pixels; 0: none */
    } data;
    struct {
        int64_t epochs;     /* 0: bounded by max_steps */
        int64_t max_steps;  /* 0: bounded by epochs */
        int64_t batch_size; /* global, over all ranks */
        int64_t accumulate; /* micro-batches a step */
        double clip_norm;   /* 0: none */
        bool stop_on_nan;
        int64_t eval_every_steps; /* 0: at the end of each epoch and of the run */
        int64_t eval_batches;     /* text: batches of an evaluation; 0: the whole validation part */
        int64_t log_every_steps;
    } train;
    struct {
        syn_optimizer_kind kind;
        double lr, momentum, weight_decay, beta1, beta2, eps;
        bool nesterov;
        bool decay_2d_only; /* weight decay on parameters of two or more dimensions only */
    } optimizer;
    struct {
        syn_schedule_kind kind;
        int64_t step_epochs; /* step: multiply by gamma every so many epochs ... */
        int64_t step_size;   /* ... or, if not 0, every so many steps */
        double gamma;
        int64_t warmup_steps; /* cosine */
        int64_t decay_steps;  /* cosine; 0: the run's last step */
        double min_lr;        /* cosine */
    } schedule;
    struct {
        int64_t every_steps; /* 0: at the end of each epoch, or none for runs bounded by steps */
        int64_t keep;        /* the newest so many are kept; 0: all */
        char *resume;        /* run or checkpoint directory to start from */
    } checkpoint;
    struct {
        double first_bucket_mb, bucket_mb; /* MiB */
        bool overlap;                      /* launch buckets while backward runs */
    } parallel;
} syn_job_spec;

/* Parses YAML, or JSON when `file_name` ends in .json or the text starts with '{'. `overrides` are
 * "key.path=value" texts, applied last. Relative paths in the file become absolute against
 * `base_dir` (NULL: the file's folder), those in overrides against `override_dir` (NULL: the
 * working directory). Errors are one sentence "file:line:column: ..." followed by the excerpt with
 * a caret; an error in an override names `--set key=value`. */
syn_status syn_job_spec_parse(const char *text, size_t length, const char *file_name,
                              const char *base_dir, const char *override_dir,
                              const char *const *overrides, size_t n_overrides,
                              syn_job_spec *spec_out);
/* Reads and parses a file of at most 1 MiB. */
syn_status syn_job_spec_load(const char *path, const char *const *overrides, size_t n_overrides,
                             syn_job_spec *spec_out);
void syn_job_spec_release(syn_job_spec *spec);
/* The complete job with all defaults as YAML or JSON; parsing it again gives the same spec. Heap
 * text, NULL if out of memory. */
char *syn_job_spec_to_yaml(const syn_job_spec *spec);
char *syn_job_spec_to_json(const syn_job_spec *spec);
/* Prints the reference of all keys as Markdown, from the table. */
void syn_job_spec_print_reference(FILE *out);
/* Steps the run has in all, given the number of training samples of one epoch (0: not known, then
 * max_steps, which may be 0). An epoch of images ends with what is left for its last batch; an
 * epoch of text has whole batches only. */
int64_t syn_job_spec_total_steps(const syn_job_spec *spec, int64_t n_samples);

#endif
