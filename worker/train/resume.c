/* Checkpoints of a run: writing one on rank 0, and starting all ranks from one. */
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "worker/train/checkpoint.h"
#include "worker/train/model.h"
#include "worker/train/run.h"
#include "worker/train/rundir.h"
#include "worker/train/weights.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

syn_status syn_run_job_sha256(const syn_job_spec *spec, char hex_out[65])
{
    char *yaml = syn_job_spec_to_yaml(spec);
    if (!yaml)
        return syn_fail_memory(0, "the job's text");
    syn_status status = syn_sha256_hex(yaml, strlen(yaml), hex_out);
    syn_free(yaml);
    return status;
}

/* Saves or loads the two files of a checkpoint. */
static syn_status for_parts(syn_run *run, const char *folder,
                            syn_status (*model)(syn_module *, const char *path),
                            syn_status (*optimizer)(syn_optimizer *, const char *path))
{
    syn_status status = SYN_OK;
    char *model_path = syn_path_join(folder, "model.safetensors");
    char *optimizer_path = syn_path_join(folder, "optimizer.safetensors");

    if (!model_path || !optimizer_path)
        SYN_GOTO(syn_fail_memory(strlen(folder), "a path"));
    SYN_GOTO(model(run->module, model_path));
    status = optimizer(run->optimizer, optimizer_path);
out:
    syn_free(model_path);
    syn_free(optimizer_path);
    return status;
}

/* ---- writing ---- */

static syn_status fill(void *user, const char *folder)
{
    return for_parts(user, folder, syn_weights_save, syn_optimizer_save);
}

static syn_status write_checkpoint(syn_run *run)
{
    const char *run_dir = run->request->run_dir;
    char *path = NULL, digest[65];
    int64_t last = run->step > 0 ? run->step - 1 : 0;
    syn_checkpoint_info info = {.step = run->step,
                                .epoch = syn_sampler_epoch_of(&run->sampler, last) + 1,
                                .seed = run->spec->seed,
                                .n_ranks = run->size,
                                .batch_size = run->spec->train.batch_size,
                                .total_steps = run->total_steps};

    (void)snprintf(info.data_sha256, sizeof info.data_sha256, "%s", run->info->fingerprint);
    SYN_TRY(syn_run_job_sha256(run->spec, info.job_sha256));
    SYN_TRY(syn_metrics_flush(run->metrics));
    SYN_TRY(syn_checkpoint_write(run_dir, &info, fill, run, &path, digest));
    SYN_INFO("checkpoint of step %" PRId64 " written to %s", run->step, path);
    if (run->request->committed)
        run->request->committed(run->request->user, run->step, path, digest);
    syn_free(path);
    /* The checkpoint is there: an old one that cannot be removed (open on NFS, say) ends no run. */
    if (syn_checkpoint_prune(run_dir, run->step, run->spec->checkpoint.keep) != SYN_OK)
        SYN_WARN("%s", syn_error_message());
    return SYN_OK;
}

syn_status syn_run_checkpoint(syn_run *run)
{
    if (run->checkpoint_step == run->step)
        return SYN_OK;
    syn_run_enter(run, SYN_PHASE_CHECKPOINT);
    syn_status local = run->rank == 0 ? write_checkpoint(run) : SYN_OK;
    SYN_TRY(syn_run_agree(run, local, NULL));
    run->checkpoint_step = run->step;
    return SYN_OK;
}

/* ---- resuming ---- */

static bool is_inside(const char *path, const char *folder)
{
    char real_path[PATH_MAX], real_folder[PATH_MAX];
    if (!realpath(path, real_path) || !realpath(folder, real_folder))
        return false;
    size_t n = strlen(real_folder);
    return strncmp(real_path, real_folder, n) == 0 && (real_path[n] == '/' || real_path[n] == '\0');
}

/* Where this run starts from: the request's folder; a relaunch without one goes on from its own
 * checkpoints; the job's. */
static const char *choose_source(const syn_run *run)
{
    const syn_train_request *request = run->request;
    if (request->resume_from && request->resume_from[0])
        return request->resume_from;
    if (request->attempt > 1 && syn_checkpoint_exists(request->run_dir))
        return request->run_dir;
    return run->spec->checkpoint.resume[0] ? run->spec->checkpoint.resume : NULL;
}

syn_status syn_run_check_dir(const syn_run *run)
{
    const char *run_dir = run->request->run_dir, *source = choose_source(run);

    if (run->request->attempt > 1 || !syn_rundir_has_results(run_dir) ||
        (source && is_inside(source, run_dir)))
        return SYN_OK;
    return SYN_FAIL(SYN_ALREADY_EXISTS,
                    "%s holds the checkpoints or the result of another run: give another run "
                    "directory, or resume that run",
                    run_dir);
}

/* The learning rate's curve may hang on the number of steps in all. */
static void tell_other_schedule(syn_run *run, int64_t step, int64_t old_total)
{
    int64_t per_epoch = syn_sampler_steps_per_epoch(&run->sampler);
    syn_schedule before = syn_train_make_schedule(run->spec, per_epoch, old_total);
    double was = syn_schedule_lr(&before, step), is = syn_schedule_lr(&run->schedule, step);

    if (was != is)
        syn_display_note(&run->display,
                         "the run was to end at step %" PRId64 ", now at %" PRId64
                         ": the learning rate goes on at %g instead of %g; schedule.decay_steps "
                         "%" PRId64 " keeps the curve",
                         old_total, run->total_steps, is, was, old_total);
}

/* What makes the steps to come others than they would have been. Allowed, but said. */
static void tell_differences(syn_run *run, const syn_checkpoint_info *info)
{
    const syn_job_spec *spec = run->spec;

    if (info->n_ranks != run->size && run->spec->virtual_shards == 0)
        syn_display_note(&run->display,
                         "the checkpoint was written by %" PRId64 " ranks, this run has %d: sums "
                         "are rounded in another order",
                         info->n_ranks, run->size);
    if (info->seed != spec->seed)
        syn_display_note(&run->display,
                         "the checkpoint was made with seed %" PRIu64 ", this job has %" PRIu64,
                         info->seed, spec->seed);
    if (info->batch_size && info->batch_size != spec->train.batch_size)
        syn_display_note(&run->display,
                         "the checkpoint was made with train.batch_size %" PRId64
                         ", this job has %" PRId64 ": its step %" PRId64 " is in epoch %" PRId64,
                         info->batch_size, spec->train.batch_size, info->step + 1,
                         syn_sampler_epoch_of(&run->sampler, info->step) + 1);
    if (info->data_sha256[0] && strcmp(info->data_sha256, run->info->fingerprint) != 0)
        syn_display_note(&run->display, "the checkpoint was made with other data than this job's");
    if (info->total_steps && info->total_steps != run->total_steps)
        tell_other_schedule(run, info->step, info->total_steps);
}

/* Rank 0: finds, verifies and loads. `*step_out` stays -1 for a run from scratch. */
static syn_status load_checkpoint(syn_run *run, int64_t *step_out)
{
    syn_status status = SYN_OK;
    const char *source = choose_source(run);
    char *folder = NULL, *skipped = NULL;
    syn_checkpoint_info info;

    if (!source)
        return SYN_OK;
    SYN_GOTO(syn_checkpoint_find(source, run->request->run_dir, &folder, &info, &skipped));
    if (skipped)
        syn_display_note(&run->display, "%s; resuming from %s instead", skipped, folder);
    SYN_GOTO(for_parts(run, folder, syn_weights_load, syn_optimizer_load));
    if (info.step > run->total_steps && run->total_steps > 0)
        SYN_GOTO(SYN_FAIL(SYN_FAILED_PRECONDITION,
                          "the checkpoint %s is of step %" PRId64
                          ", past the job's last step %" PRId64,
                          folder, info.step, run->total_steps));
    syn_display_note(&run->display, "resumed from %s: step %" PRId64, folder, info.step);
    tell_differences(run, &info);
    *step_out = info.step;
out:
    syn_free(folder);
    syn_free(skipped);
    return status;
}

/* Rank 0's optimizer state becomes everybody's. Parameters follow when the module is made parallel.
 */
static syn_status share_optimizer(syn_run *run)
{
    int64_t step = syn_optimizer_get_step(run->optimizer);
    syn_parameters state = syn_optimizer_state(run->optimizer);
    /* A rank without memory for its state must not leave the others alone with the broadcasts. */
    SYN_TRY(syn_run_agree(run, syn_train_take_error(), NULL));
    SYN_TRY(syn_comm_broadcast(run->comm, &step, sizeof step, 0));
    syn_optimizer_set_step(run->optimizer, step);
    for (int i = 0; i < state.n; i++) {
        syn_tensor *tensor = state.items[i].tensor;
        size_t size = (size_t)syn_tensor_numel(tensor) * syn_dtype_size(syn_tensor_dtype(tensor));
        SYN_TRY(syn_comm_broadcast(run->comm, syn_tensor_data(tensor), size, 0));
    }
    return SYN_OK;
}

syn_status syn_run_resume(syn_run *run)
{
    int64_t step = -1;

    syn_run_enter(run, SYN_PHASE_CHECKPOINT);
    syn_status local = run->rank == 0 ? load_checkpoint(run, &step) : SYN_OK;
    SYN_TRY(syn_run_agree(run, local, NULL));
    SYN_TRY(syn_comm_broadcast(run->comm, &step, sizeof step, 0));
    if (step < 0)
        return SYN_OK;
    run->step = run->first_step = run->checkpoint_step = step;
    return share_optimizer(run);
}
