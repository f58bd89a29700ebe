/* The curves of a run: metrics.csv and TensorBoard scalars, written by rank 0. */
#ifndef WORKER_TRAIN_METRICS_H
#define WORKER_TRAIN_METRICS_H

#include <stdbool.h>
#include <stdint.h>
#include <syncline/status.h>

/* X(column, TensorBoard tag or NULL), in the order of the file. A cell without a value is empty. */
#define SYN_METRIC_LIST(X)                         \
    X(step, NULL)                                  \
    X(epoch, "train/epoch")                        \
    X(time_s, NULL)                                \
    X(lr, "train/lr")                              \
    X(train_loss, "train/loss")                    \
    X(grad_norm, "train/grad_norm")                \
    X(samples_per_s, "perf/samples_per_s")         \
    X(hidden_ms, "perf/communication_hidden_ms")   \
    X(exposed_ms, "perf/communication_exposed_ms") \
    X(test_accuracy, "test/accuracy")              \
    X(val_loss, "test/loss")

typedef enum syn_metric_column {
#define SYN_METRIC_ENUM(name, tag) SYN_METRIC_##name,
    SYN_METRIC_LIST(SYN_METRIC_ENUM)
#undef SYN_METRIC_ENUM
        SYN_N_METRICS
} syn_metric_column;

typedef struct syn_metrics_row {
    double values[SYN_N_METRICS];
    bool has[SYN_N_METRICS];
} syn_metrics_row;

static inline void syn_metrics_set(syn_metrics_row *row, syn_metric_column column, double value)
{
    row->values[column] = value;
    row->has[column] = true;
}

typedef struct syn_metrics syn_metrics;

/* Opens the files of a run directory. `resume_step` < 0: metrics.csv is begun anew; else rows past
 * that step (and a torn last row) are dropped and the rest is kept. */
syn_status syn_metrics_open(const char *run_dir, int64_t resume_step, syn_metrics **metrics_out);
/* time_s of the last row that was kept, 0 if there is none: a resumed run counts on from it. */
double syn_metrics_last_time_s(const syn_metrics *metrics);
/* Adds a row to metrics.csv, and its scalars to the TensorBoard file if `with_events`. */
syn_status syn_metrics_add(syn_metrics *metrics, const syn_metrics_row *row, bool with_events);
/* Hands everything to the system. */
syn_status syn_metrics_flush(syn_metrics *metrics);
/* Flushes, closes and frees; NULL is accepted. */
syn_status syn_metrics_close(syn_metrics *metrics);

#endif
