/* One training job on one communicator: the request, the step loop, and how it ended. */
#ifndef WORKER_TRAIN_TRAIN_H
#define WORKER_TRAIN_TRAIN_H

#include "common/format/job_spec.h"
#include "worker/train/monitor.h"

#include <stdbool.h>
#include <stdint.h>
#include <syncline/status.h>

struct syn_comm;

typedef enum syn_train_state {
    SYN_TRAIN_SUCCEEDED,
    SYN_TRAIN_FAILED,
    SYN_TRAIN_CANCELLED, /* asked to stop; a checkpoint was written if checkpoints are on */
} syn_train_state;
/* "SUCCEEDED", "FAILED", "CANCELLED" */
const char *syn_train_state_name(syn_train_state state);

/* Tells that a checkpoint is complete on disk; called on rank 0 by the training thread. */
typedef void (*syn_train_committed_fn)(void *user, int64_t step, const char *path,
                                       const char *manifest_sha256);

typedef struct syn_train_request {
    const syn_job_spec *spec; /* borrowed; equal on all ranks */
    struct syn_comm *comm;    /* borrowed: the ranks of the job */
    const char *run_dir;      /* absolute; seen by all ranks. Rank 0 creates it */
    const char
        *resume_from;    /* run or checkpoint directory; NULL or "": the spec's checkpoint.resume */
    const char *job_id;  /* NULL in a run without a coordinator */
    uint64_t epoch;      /* of the launch */
    uint32_t attempt;    /* from 1 */
    bool shows_progress; /* rank 0 tells on standard output: a line that is rewritten on a terminal
                          */
    syn_train_monitor *monitor;       /* shared with those who watch; NULL: none */
    syn_train_committed_fn committed; /* may be NULL */
    void *user;
} syn_train_request;

/* The first thing that went wrong: known to every rank, whoever it was. */
typedef struct syn_train_failure {
    syn_status code;
    int rank; /* in the job; -1: not known */
    char host[256];
    int signal, exit_code;
    int64_t step; /* steps done before */
    syn_phase phase;
    char message[1024]; /* one sentence */
} syn_train_failure;

enum { SYN_TRAIN_MAX_METRICS = 8 };
typedef struct syn_train_metric {
    const char *name; /* static */
    double value;
} syn_train_metric;

typedef struct syn_train_result {
    syn_train_state state;
    syn_train_failure
        failure;     /* of a FAILED run; `message` also says why a CANCELLED one stopped */
    bool is_culprit; /* this rank is the one that failed: it prints the sentence */
    syn_train_metric
        metrics[SYN_TRAIN_MAX_METRICS]; /* train_loss, test_accuracy, test_loss or val_loss */
    int n_metrics;
    char weights_sha256[65]; /* of the parameters' little-endian bytes in the order of their names;
                                "" if it did not end well */
    int64_t steps;           /* that the final weights have seen */
    double elapsed_s;        /* of the step loop of this attempt */
    double
        samples_per_s; /* median over the steps after warm-up, over all ranks; 0: too few steps */
    double hidden_ms, exposed_ms; /* communication per step: medians over the same steps */
} syn_train_result;

/* Trains. Collective over request->comm: every rank returns with the same state and failure. A
 * failure of the job is in the result; the returned status is the failure's code (OK for SUCCEEDED,
 * CANCELLED for a stopped run). Writes into the run directory: job.yaml, metrics.csv, the
 * TensorBoard file, checkpoints/, model.safetensors and result.json. */
syn_status syn_train_run(const syn_train_request *request, syn_train_result *result_out);

#endif
