/* The run directory: job.yaml, logs, outcome files and the result, as people and the coordinator
 * find them. */
#ifndef WORKER_TRAIN_RUNDIR_H
#define WORKER_TRAIN_RUNDIR_H

#include "worker/train/train.h"

/*     <run_dir>/job.yaml                            the exact complete job
 *               logs/rank-<r>.log
 *               metrics.csv, events.out.tfevents.*
 *               checkpoints/step-00000200/
 *               model.safetensors, result.json      at the end of a run that succeeded
 *               attempt-<n>/outcome-rank<r>.json    how the rank's part ended, before it is
 * reported */

/* Creates the folders, and job.yaml if there is none. */
syn_status syn_rundir_prepare(const char *run_dir, const syn_job_spec *spec);
/* Writes job.yaml. Once the job is known to go on with what is there: one that does not fit the
 * checkpoints must not take the place of the one that does. */
syn_status syn_rundir_write_job(const char *run_dir, const syn_job_spec *spec);
/* Whether a run was ever prepared there. */
bool syn_rundir_is_run(const char *path);
/* Whether a run left a checkpoint or its result there. */
bool syn_rundir_has_results(const char *run_dir);

/* Opens logs/rank-<rank>.log for appending (creates the folder). The caller closes it. */
syn_status syn_rundir_open_log(const char *run_dir, int rank, int *fd_out);

/* Standard output and standard error, while a job's log takes their place. */
typedef struct syn_rundir_saved {
    int out, err; /* duplicates of the originals; -1: nothing saved */
} syn_rundir_saved;
/* Points standard output and error of this process to logs/rank-<rank>.log. */
syn_status syn_rundir_redirect(const char *run_dir, int rank, syn_rundir_saved *saved_out);
/* Undoes it. */
void syn_rundir_restore(syn_rundir_saved *saved);

/* Who the result belongs to. */
typedef struct syn_rundir_identity {
    const char *job_id; /* NULL or "": none */
    uint64_t epoch;
    uint32_t attempt;
    int rank;
} syn_rundir_identity;

/* The result as one JSON object with the members of the outcome file. Heap (syn_free). */
syn_status syn_train_result_to_json(const syn_train_result *result,
                                    const syn_rundir_identity *identity, char **json_out);
/* Writes attempt-<n>/outcome-rank<r>.json, whole or not at all. */
syn_status syn_rundir_write_outcome(const char *run_dir, const syn_train_result *result,
                                    const syn_rundir_identity *identity);
/* Writes result.json. */
syn_status syn_rundir_write_result(const char *run_dir, const syn_train_result *result,
                                   const syn_rundir_identity *identity);

#endif
