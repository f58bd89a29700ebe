/* Checks between keys of a job; they depend on values alone, so that a printed spec passes again.
 */
#include "common/format/job_keys.h"

#include <stdio.h>

bool syn_job_check(const syn_job_spec *spec, const char *names_out[2], char *sentence, size_t size)
{
    bool is_gpt = spec->model.kind == SYN_MODEL_GPT, is_text = spec->data.kind == SYN_DATA_TEXT;

#define REFUSE_IF(condition, name, other, ...)           \
    do {                                                 \
        if (condition) {                                 \
            (void)snprintf(sentence, size, __VA_ARGS__); \
            names_out[0] = (name);                       \
            names_out[1] = (other);                      \
            return true;                                 \
        }                                                \
    } while (0)

    REFUSE_IF(is_text && !is_gpt, "data.kind", "model.kind",
              "data.kind text needs model.kind gpt; the other models take images");
    REFUSE_IF(!is_text && is_gpt, "data.kind", "model.kind",
              "model.kind gpt needs data.kind text, it cannot read images");
    REFUSE_IF(is_gpt && spec->model.width % spec->model.n_heads != 0, "model.width",
              "model.n_heads", "model.width %lld is not a multiple of model.n_heads %lld",
              (long long)spec->model.width, (long long)spec->model.n_heads);
    REFUSE_IF(spec->train.epochs == 0 && spec->train.max_steps == 0, "train.epochs",
              "train.max_steps", "the run has no end; give train.epochs or train.max_steps");
    REFUSE_IF(spec->train.batch_size < spec->train.accumulate, "train.batch_size",
              "train.accumulate", "train.batch_size %lld is smaller than train.accumulate %lld",
              (long long)spec->train.batch_size, (long long)spec->train.accumulate);
    REFUSE_IF(spec->virtual_shards > spec->train.batch_size, "virtual_shards", "train.batch_size",
              "virtual_shards %lld is above train.batch_size %lld; a shard needs a sample",
              (long long)spec->virtual_shards, (long long)spec->train.batch_size);
    REFUSE_IF(spec->optimizer.nesterov && spec->optimizer.momentum == 0, "optimizer.nesterov",
              "optimizer.momentum", "optimizer.nesterov needs optimizer.momentum above 0");
    REFUSE_IF(spec->schedule.kind == SYN_SCHED_STEP &&
                  (spec->schedule.step_epochs == 0) == (spec->schedule.step_size == 0),
              "schedule.kind", NULL, "schedule.kind step needs either step_epochs or step_size");
    REFUSE_IF(spec->schedule.kind == SYN_SCHED_COSINE && spec->schedule.decay_steps > 0 &&
                  spec->schedule.decay_steps < spec->schedule.warmup_steps,
              "schedule.decay_steps", "schedule.warmup_steps",
              "schedule.decay_steps %lld comes before the end of schedule.warmup_steps %lld",
              (long long)spec->schedule.decay_steps, (long long)spec->schedule.warmup_steps);
    REFUSE_IF(spec->schedule.kind == SYN_SCHED_COSINE && spec->schedule.min_lr > spec->optimizer.lr,
              "schedule.min_lr", "optimizer.lr", "schedule.min_lr %g is above optimizer.lr %g",
              spec->schedule.min_lr, spec->optimizer.lr);
    return false;
#undef REFUSE_IF
}
