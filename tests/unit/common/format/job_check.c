/* Keys that do not go together are refused, at the key most to blame. */
#include "tests/unit/common/format/job_helpers.h"

static const struct {
    const char *text, *message;
} refusals[] = {
    {"model: {kind: mlp}\ndata: {kind: digits}\ntrain:\n  batch_size: 4\n",
     "/jobs/job.yaml:3:1: the run has no end; give train.epochs or train.max_steps\n"},
    {"model: {kind: mlp}\ndata: {kind: digits}\n",
     "/jobs/job.yaml:1:1: the run has no end; give train.epochs or train.max_steps\n"},
    {"model: {kind: lenet5}\ndata: {kind: text, path: /t}\ntrain: {epochs: 1}\n",
     "/jobs/job.yaml:2:14: data.kind text needs model.kind gpt; the other models take images\n"},
    {"model: {kind: gpt}\ndata: {kind: digits}\ntrain: {epochs: 1}\n",
     "/jobs/job.yaml:2:14: model.kind gpt needs data.kind text, it cannot read images\n"},
    {"model: {kind: gpt, width: 130}\ndata: {kind: text, path: /t}\ntrain: {epochs: 1}\n",
     "/jobs/job.yaml:1:27: model.width 130 is not a multiple of model.n_heads 4\n"},
    {"model: {kind: gpt, n_heads: 3}\ndata: {kind: text, path: /t}\ntrain: {epochs: 1}\n",
     "/jobs/job.yaml:1:29: model.width 128 is not a multiple of model.n_heads 3\n"},
    {"model: {kind: mlp}\ndata: {kind: digits}\ntrain: {epochs: 1, batch_size: 2, accumulate: 3}\n",
     "/jobs/job.yaml:3:32: train.batch_size 2 is smaller than train.accumulate 3\n"},
    {SMALL_JOB "virtual_shards: 65",
     "/jobs/job.yaml:4:17: virtual_shards 65 is above train.batch_size 64; a shard needs a "
     "sample\n"},
    {SMALL_JOB "optimizer: {kind: sgd, nesterov: true}",
     "/jobs/job.yaml:4:34: optimizer.nesterov needs optimizer.momentum above 0\n"},
    {SMALL_JOB "schedule: {kind: step}",
     "/jobs/job.yaml:4:18: schedule.kind step needs either step_epochs or step_size\n"},
    {SMALL_JOB "schedule: {kind: step, step_size: 3, step_epochs: 3}",
     "/jobs/job.yaml:4:18: schedule.kind step needs either step_epochs or step_size\n"},
    {SMALL_JOB "schedule: {kind: cosine, warmup_steps: 9, decay_steps: 8}",
     "/jobs/job.yaml:4:56: schedule.decay_steps 8 comes before the end of schedule.warmup_steps "
     "9\n"},
    {SMALL_JOB "schedule: {kind: cosine, min_lr: 0.01}",
     "/jobs/job.yaml:4:34: schedule.min_lr 0.01 is above optimizer.lr 0.001\n"},
};

static void keys_that_do_not_go_together_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const char *message = refusal(refusals[i].text), *expected = refusals[i].message;
        if (strncmp(message, expected, strlen(expected)) != 0)
            fail_msg("for %s\ngot      %s\nexpected %s", refusals[i].text, message, expected);
    }
}

static void their_limits_are_accepted(void **state)
{
    (void)state;
    static const char *const good[] = {
        "model: {kind: mlp}\ndata: {kind: digits}\ntrain: {epochs: 1, batch_size: 3, accumulate: "
        "3}\n",
        SMALL_JOB "virtual_shards: 64",
        SMALL_JOB "optimizer: {kind: sgd, nesterov: true, momentum: 0.1}",
        SMALL_JOB "schedule: {kind: step, step_size: 3}",
        SMALL_JOB "schedule: {kind: cosine, warmup_steps: 9, decay_steps: 9, min_lr: 0.001}",
        SMALL_JOB "schedule: {kind: cosine, warmup_steps: 9}",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        syn_job_spec spec = parse_ok(good[i]);
        syn_job_spec_release(&spec);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_that_do_not_go_together_are_refused),
        cmocka_unit_test(their_limits_are_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
