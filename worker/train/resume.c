/* Checkpoints of a run: writing one on rank 0, and starting all ranks from one. */
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "worker/train/checkpoint.h"
#include "worker/train/run.h"
#include "worker/train/weights.h"

#include <inttypes.h>
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

/* ---- writing ---- */

static syn_status fill(void *user, const char *folder)
{
    syn_run *run = user;
    syn_status status = SYN_OK;
    char *model = syn_path_join(folder, "model.safetensors");
    char *optimizer = syn_path_join(folder, "optimizer.safetensors");

    if (!model || !optimizer)
        SYN_GOTO(syn_fail_memory(strlen(folder), "a path"));
    SYN_GOTO(syn_weights_save(run->module, model));
    status = syn_optimizer_save(run->optimizer, optimizer);
out:
    syn_free(model);
    syn_free(optimizer);
    return status;
}

static syn_status write_checkpoint(syn_run *run)
{
    const char *run_dir = run->request->run_dir;
    char *path = NULL, digest[65];
    syn_checkpoint_info info = {.step = run->step,
                                .epoch = syn_sampler_epoch_of(&run->sampler, run->step) + 1,
                                .seed = run->spec->seed,
                                .n_ranks = run->size};

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

static syn_status load_parts(syn_run *run, const char *folder)
{
    syn_status status = SYN_OK;
    char *model = syn_path_join(folder, "model.safetensors");
    char *optimizer = syn_path_join(folder, "optimizer.safetensors");

    if (!model || !optimizer)
        SYN_GOTO(syn_fail_memory(strlen(folder), "a path"));
    SYN_GOTO(syn_weights_load(run->module, model));
    status = syn_optimizer_load(run->optimizer, optimizer);
out:
    syn_free(model);
    syn_free(optimizer);
    return status;
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
    SYN_GOTO(load_parts(run, folder));
    if (info.step > run->total_steps && run->total_steps > 0)
        SYN_GOTO(SYN_FAIL(SYN_FAILED_PRECONDITION,
                          "the checkpoint %s is of step %" PRId64
                          ", past the job's last step %" PRId64,
                          folder, info.step, run->total_steps));
    syn_display_note(&run->display, "resumed from %s: step %" PRId64, folder, info.step);
    if (info.n_ranks != run->size && run->spec->virtual_shards == 0)
        syn_display_note(&run->display,
                         "the checkpoint was written by %" PRId64 " ranks, this run has %d: sums "
                         "are rounded in another order",
                         info.n_ranks, run->size);
    if (info.seed != run->spec->seed)
        syn_display_note(&run->display,
                         "the checkpoint was made with seed %" PRIu64 ", this job has %" PRIu64,
                         info.seed, run->spec->seed);
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
    SYN_TRY(syn_comm_broadcast(run->comm, &step, sizeof step, 0));
    syn_optimizer_set_step(run->optimizer, step);
    syn_parameters state = syn_optimizer_state(run->optimizer);
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
