/* What the parts of one training run share: internal to worker/train. */
#ifndef WORKER_TRAIN_RUN_H
#define WORKER_TRAIN_RUN_H

#include "common/base/vec.h"
#include "worker/comm/comm.h"
#include "worker/data/prefetch.h"
#include "worker/parallel/shard_sum.h"
#include "worker/train/display.h"
#include "worker/train/metrics.h"
#include "worker/train/train.h"

#include <syncline/nn.h>
#include <syncline/optim.h>

/* Requests that the step's agreement carries; any rank may raise them. */
enum {
    SYN_RUN_STOP_BY_SIGNAL = 1,
    SYN_RUN_STOP_BY_DIRECTIVE = 2,
    SYN_RUN_CHECKPOINT = 4,
    SYN_RUN_ABANDON = 8,
};

typedef struct syn_run {
    const syn_train_request *request; /* borrowed */
    const syn_job_spec *spec;         /* borrowed */
    syn_comm *comm;                   /* borrowed */
    syn_train_monitor *monitor;       /* borrowed */
    syn_train_result *result;         /* borrowed */
    int rank, size;
    syn_phase phase;

    syn_dataset *dataset;         /* owned */
    const syn_dataset_info *info; /* borrowed from the data set */
    syn_sampler sampler;
    syn_module *module;       /* owned */
    syn_optimizer *optimizer; /* owned */
    syn_schedule schedule;
    syn_prefetch *prefetch; /* owned */
    syn_metrics *metrics;   /* owned; rank 0 */
    int *shard_table;       /* owned: virtual shards of each rank; NULL without virtual shards */
    syn_shard_range shards; /* of this rank */
    syn_shard_sum *sum;     /* owned; NULL without virtual shards */
    syn_display display;

    int64_t step, total_steps, first_step; /* steps done; in all; done when this attempt began */
    int64_t checkpoint_step;               /* of the newest checkpoint; -1: none yet */
    bool checkpoints;                      /* the job writes them by itself */
    double base_time_s;                    /* of the attempts before */
    uint64_t started_ns;                   /* monotonic: when the loop began */
    uint64_t flags;                        /* of the last agreement */

    syn_status pending; /* a failure of this rank that the next agreement will tell */
    char sentence[1024];

    /* Of the last step. */
    double train_loss, grad_norm, samples_per_s, hidden_ms, exposed_ms, lr;
    bool has_grad_norm;
    /* Of the last evaluation. */
    double test_loss, test_accuracy;
    int64_t evaluated_step;                /* -1: none yet */
    SYN_VEC(float) rates, hidden, exposed; /* of all steps of this attempt */
} syn_run;

/* Tells watchers which phase this rank is in. */
void syn_run_enter(syn_run *run, syn_phase phase);
/* Keeps a failure of this rank, with its sentence, until the next agreement. OK is ignored, and so
 * is all but the first. */
void syn_run_hold(syn_run *run, syn_status status);
/* Agrees on the worst status after a phase; `local` and what is held are this rank's. On failure
 * result->failure is filled. `agreement` may be NULL. Collective. */
syn_status syn_run_agree(syn_run *run, syn_status local, syn_agreement *agreement);

/* One optimizer step over all ranks, until everybody knows that it was done. Collective. */
syn_status syn_run_step(syn_run *run);
/* Loss and accuracy over the test or validation split: the same bits for any number of ranks.
 * Collective. */
syn_status syn_run_evaluate(syn_run *run);
/* Writes a checkpoint of the current step unless it is there already. Collective. */
syn_status syn_run_checkpoint(syn_run *run);
/* Refuses, on a job's first attempt, a run directory with the checkpoints or the result of a run
 * that this one does not go on with: it would resume from them, or tell of them, as its own. */
syn_status syn_run_check_dir(const syn_run *run);
/* Makes the resumed state, if any, that of all ranks: sets run->step. After the module and the
 * optimizer were made, before they are made parallel. Collective. */
syn_status syn_run_resume(syn_run *run);
/* SHA-256 of the complete job. */
syn_status syn_run_job_sha256(const syn_job_spec *spec, char hex_out[65]);

#endif
