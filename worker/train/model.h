/* From the job's words to a module, an optimizer and a schedule. */
#ifndef WORKER_TRAIN_MODEL_H
#define WORKER_TRAIN_MODEL_H

#include "worker/data/dataset.h"

#include <syncline/nn.h>
#include <syncline/optim.h>

/* The model of the job for this data, in the job's dtype, its parameters drawn from the thread's
 * generator seeded by the job's seed: the same on every rank. INVALID_ARGUMENT if model and data do
 * not fit together. */
syn_status syn_train_make_model(const syn_job_spec *spec, const syn_dataset_info *info,
                                syn_module **module_out);
syn_status syn_train_make_optimizer(const syn_job_spec *spec, syn_module *module,
                                    syn_optimizer **optimizer_out);
/* The schedule of a run of `total_steps` steps. */
syn_schedule syn_train_make_schedule(const syn_job_spec *spec, int64_t steps_per_epoch,
                                     int64_t total_steps);

/* The mean loss of a batch: cross-entropy over the classes, or over the tokens of a text. NULL with
 * the sticky error on failure. */
syn_tensor *syn_train_loss(syn_tensor *logits, syn_tensor *targets);

/* Takes the thread's sticky expression error as a status of this thread; OK if there is none. */
syn_status syn_train_take_error(void);

#endif
