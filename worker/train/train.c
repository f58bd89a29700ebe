/* A training run from the open communicator to its result. */
#include "worker/train/train.h"

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "worker/parallel/data_parallel.h"
#include "worker/train/checkpoint.h"
#include "worker/train/model.h"
#include "worker/train/run.h"
#include "worker/train/rundir.h"
#include "worker/train/shards.h"
#include "worker/train/weights.h"

#include <inttypes.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syncline/random.h>

void syn_run_enter(syn_run *run, syn_phase phase)
{
    run->phase = phase;
    syn_train_monitor_enter(run->monitor, phase);
}

void syn_run_hold(syn_run *run, syn_status status)
{
    if (status == SYN_OK || run->pending != SYN_OK)
        return;
    run->pending = status;
    (void)snprintf(run->sentence, sizeof run->sentence, "%s", syn_error_message());
}

syn_status syn_run_agree(syn_run *run, syn_status local, syn_agreement *agreement)
{
    syn_agreement own = {0};
    syn_train_failure *failure = &run->result->failure;
    int32_t phase = run->phase;

    if (!agreement)
        agreement = &own;
    syn_run_hold(run, local);
    syn_run_enter(run, SYN_PHASE_AGREE);
    agreement->culprit = -1;
    syn_status status =
        syn_comm_agree(run->comm, run->pending, run->pending ? run->sentence : NULL, agreement);
    if (status == SYN_OK) {
        run->phase = (syn_phase)phase;
        return SYN_OK;
    }
    *failure = (syn_train_failure){
        .code = status, .rank = agreement->culprit, .exit_code = 1, .step = run->step};
    if (agreement->culprit >= 0) {
        (void)snprintf(failure->host, sizeof failure->host, "%s", agreement->host);
        (void)snprintf(failure->message, sizeof failure->message, "%s", agreement->sentence);
        /* The culprit knows best where it was; the others may have been anywhere. */
        (void)syn_comm_broadcast(run->comm, &phase, sizeof phase, agreement->culprit);
    } else {
        (void)snprintf(failure->message, sizeof failure->message, "%s", syn_error_message());
    }
    failure->phase = (syn_phase)phase;
    run->result->is_culprit = agreement->culprit < 0 || agreement->culprit == run->rank;
    return status;
}

/* ---- setting up ---- */

/* The job's number, else the environment's, else this rank's share of the cores. With virtual
 * shards nothing of where the run happens counts: the job's number, else one thread. */
static void set_threads(const syn_job_spec *spec)
{
    int64_t wanted = spec->threads;
    const char *text = getenv("OMP_NUM_THREADS");
    if (wanted <= 0 && spec->virtual_shards > 0)
        wanted = 1;
    if (wanted <= 0 && (!text || !syn_parse_i64(text, &wanted) || wanted <= 0))
        wanted = syn_comm_cores_per_rank();
    omp_set_num_threads((int)wanted);
}

static syn_status open_data(syn_run *run)
{
    SYN_TRY(syn_dataset_open(run->spec, &run->dataset));
    run->info = syn_dataset_get_info(run->dataset);
    SYN_TRY(syn_sampler_init(&run->sampler, run->dataset, run->spec->seed,
                             run->spec->train.batch_size));
    run->total_steps = syn_job_spec_total_steps(run->spec, run->info->epoch_samples);
    if (run->total_steps <= 0)
        return SYN_FAIL(SYN_INVALID_ARGUMENT,
                        "the job has no end: set train.epochs or train.max_steps");
    return SYN_OK;
}

static syn_status build(syn_run *run)
{
    SYN_TRY(syn_train_make_model(run->spec, run->info, &run->module));
    SYN_TRY(syn_train_make_optimizer(run->spec, run->module, &run->optimizer));
    run->schedule = syn_train_make_schedule(run->spec, syn_sampler_steps_per_epoch(&run->sampler),
                                            run->total_steps);
    return SYN_OK;
}

/* Which virtual shards are whose, before anything is read or sent. */
static syn_status plan_shards(syn_run *run)
{
    if (run->spec->virtual_shards <= 0)
        return SYN_OK;
    run->shard_table = syn_calloc((size_t)run->size, sizeof *run->shard_table);
    if (!run->shard_table)
        return syn_fail_memory((size_t)run->size * sizeof(int), "the table of shards");
    SYN_TRY(syn_shard_table(run->spec->virtual_shards, run->size,
                            getenv("SYNCLINE_TEST_SHARD_TABLE"), run->shard_table));
    run->shards = syn_shard_sum_range(run->shard_table, run->rank);
    return SYN_OK;
}

/* The table is part of the manifest: ranks that disagree would wait for each other. */
static void add_shard_table(const syn_run *run, syn_str *manifest)
{
    if (!run->shard_table)
        return;
    syn_str_append(manifest, "virtual shards of the ranks:");
    for (int r = 0; r < run->size; r++)
        syn_str_appendf(manifest, " %d", run->shard_table[r]);
    syn_str_append(manifest, "\n");
}

static syn_status make_shard_sum(syn_run *run)
{
    if (!run->shard_table)
        return SYN_OK;
    if (syn_module_buffers(run->module).n > 0)
        return SYN_FAIL(SYN_UNIMPLEMENTED,
                        "virtual_shards cannot be used with this model: it keeps batch statistics "
                        "in %s, which are not summed over shards yet",
                        syn_module_buffers(run->module).items[0].name);
    return syn_shard_sum_new(run->module, run->comm, run->shard_table, &run->sum);
}

static syn_status make_parallel(syn_run *run)
{
    syn_status status = SYN_OK;
    syn_str manifest = {0};
    char digest[65];

    status = syn_run_job_sha256(run->spec, digest);
    if (status == SYN_OK)
        syn_str_appendf(&manifest, "version: %s\njob: %s\ndata: %s\n", SYN_VERSION, digest,
                        run->info->fingerprint);
    add_shard_table(run, &manifest);
    if (manifest.failed)
        status = syn_fail_memory(manifest.length, "the manifest");
    SYN_GOTO(syn_run_agree(run, status, NULL));
    syn_data_parallel_options options = {.first_bucket_mb = run->spec->parallel.first_bucket_mb,
                                         .bucket_mb = run->spec->parallel.bucket_mb,
                                         .no_overlap = !run->spec->parallel.overlap};
    status = syn_data_parallel_over(run->module, run->comm, options, manifest.data);
    /* The comparison tells every rank the same sentence: it is nobody's fault in particular. */
    if (status == SYN_OK || status == SYN_FAILED_PRECONDITION)
        status = syn_run_agree(run, status, NULL);
    SYN_GOTO(status);
    status = syn_run_agree(run, make_shard_sum(run), NULL);
out:
    syn_str_release(&manifest);
    return status;
}

static syn_status start_reading(syn_run *run)
{
    syn_prefetch_options options = {.seed = run->spec->seed,
                                    .batch_size = run->spec->train.batch_size,
                                    .first_step = run->step,
                                    .last_step = run->total_steps,
                                    .rank = run->rank,
                                    .size = run->size,
                                    .n_shards = run->spec->virtual_shards,
                                    .first_shard = run->shards.first,
                                    .n_own_shards = run->shards.n,
                                    .augment = run->info->augment_shift > 0};
    if (run->rank == 0) {
        SYN_TRY(syn_rundir_write_job(run->request->run_dir, run->spec));
        /* Only a run that goes on in its own folder keeps the rows it has. */
        SYN_TRY(syn_metrics_open(run->request->run_dir, run->step, &run->metrics));
        run->base_time_s = syn_metrics_last_time_s(run->metrics);
    }
    return run->step < run->total_steps ? syn_prefetch_new(run->dataset, &options, &run->prefetch)
                                        : SYN_OK;
}

/* Rank 0. */
static syn_status take_run_dir(syn_run *run)
{
    SYN_TRY(syn_run_check_dir(run));
    return syn_rundir_prepare(run->request->run_dir, run->spec);
}

static syn_status set_up(syn_run *run)
{
    syn_run_enter(run, SYN_PHASE_INIT);
    set_threads(run->spec);
    SYN_TRY(syn_run_agree(run, plan_shards(run), NULL));
    SYN_TRY(syn_run_agree(run, run->rank == 0 ? take_run_dir(run) : SYN_OK, NULL));
    SYN_TRY(syn_run_agree(run, open_data(run), NULL));
    SYN_TRY(syn_run_agree(run, build(run), NULL));
    SYN_TRY(syn_run_resume(run));
    syn_run_enter(run, SYN_PHASE_INIT);
    SYN_TRY(make_parallel(run));
    return syn_run_agree(run, start_reading(run), NULL);
}

/* ---- the loop ---- */

static bool is_epoch_end(const syn_run *run)
{
    return run->step % syn_sampler_steps_per_epoch(&run->sampler) == 0;
}

static bool is_stopping(const syn_run *run)
{
    const uint64_t stops = SYN_RUN_STOP_BY_SIGNAL | SYN_RUN_STOP_BY_DIRECTIVE | SYN_RUN_ABANDON;
    return (run->flags & stops) && run->step < run->total_steps;
}

static bool wants_evaluation(const syn_run *run)
{
    int64_t every = run->spec->train.eval_every_steps;
    if (is_stopping(run))
        return false;
    return run->step == run->total_steps ||
           (every > 0 ? run->step % every == 0 : is_epoch_end(run));
}

static bool wants_checkpoint(const syn_run *run)
{
    int64_t every = run->spec->checkpoint.every_steps;
    if (run->flags & SYN_RUN_ABANDON)
        return false;
    if (run->flags & SYN_RUN_CHECKPOINT)
        return true;
    if (!run->checkpoints)
        return false;
    return is_stopping(run) || run->step == run->total_steps ||
           (every > 0 ? run->step % every == 0 : is_epoch_end(run));
}

static double elapsed_s(const syn_run *run)
{
    return (double)(syn_clock_monotonic_ns() - run->started_ns) * 1e-9;
}

static syn_train_status get_status(const syn_run *run)
{
    int64_t done = run->step - run->first_step;
    double left = (double)(run->total_steps - run->step);
    int64_t last = run->step > 0 ? run->step - 1 : 0;
    return (syn_train_status){
        .step = run->step,
        .total_steps = run->total_steps,
        .epoch = syn_sampler_epoch_of(&run->sampler, last) + 1,
        .total_epochs = run->spec->train.epochs,
        .has_loss = done > 0,
        .train_loss = run->train_loss,
        .samples_per_s = run->samples_per_s,
        .eta_s = done > 0 ? elapsed_s(run) / (double)done * left : -1,
        .hidden_ms = run->hidden_ms,
        .exposed_ms = run->exposed_ms,
        .updated_ns = syn_clock_wall_ns(),
    };
}

static syn_status record_row(syn_run *run, const syn_train_status *now, bool is_logged)
{
    syn_metrics_row row = {0};
    syn_metrics_set(&row, SYN_METRIC_step, (double)now->step);
    syn_metrics_set(&row, SYN_METRIC_epoch, (double)now->epoch);
    syn_metrics_set(&row, SYN_METRIC_time_s, run->base_time_s + elapsed_s(run));
    syn_metrics_set(&row, SYN_METRIC_lr, run->lr);
    syn_metrics_set(&row, SYN_METRIC_train_loss, run->train_loss);
    if (run->has_grad_norm)
        syn_metrics_set(&row, SYN_METRIC_grad_norm, run->grad_norm);
    syn_metrics_set(&row, SYN_METRIC_samples_per_s, run->samples_per_s);
    if (run->size > 1) {
        syn_metrics_set(&row, SYN_METRIC_hidden_ms, run->hidden_ms);
        syn_metrics_set(&row, SYN_METRIC_exposed_ms, run->exposed_ms);
    }
    if (run->evaluated_step == run->step) {
        if (run->info->kind != SYN_DATA_TEXT)
            syn_metrics_set(&row, SYN_METRIC_test_accuracy, run->test_accuracy);
        syn_metrics_set(&row, SYN_METRIC_val_loss, run->test_loss);
    }
    bool with_events = is_logged || run->evaluated_step == run->step;
    SYN_TRY(syn_metrics_add(run->metrics, &row, with_events));
    return with_events ? syn_metrics_flush(run->metrics) : SYN_OK;
}

/* Publishes the step; rank 0 also writes and shows it. */
static void report(syn_run *run)
{
    int64_t every = run->spec->train.log_every_steps;
    bool is_logged = (every > 0 && run->step % every == 0) || run->step == run->total_steps;
    syn_train_status now = get_status(run);

    syn_train_monitor_publish(run->monitor, &now);
    if (run->rank != 0)
        return;
    syn_run_hold(run, record_row(run, &now, is_logged));
    syn_display_step(&run->display, &now);
    if (is_logged)
        syn_display_log(&run->display, &now, run->lr);
    if (run->evaluated_step == run->step && run->info->kind != SYN_DATA_TEXT)
        syn_display_note(&run->display,
                         "step %" PRId64 " epoch %" PRId64 ": test accuracy %.4f, test loss %.4f",
                         run->step, now.epoch, run->test_accuracy, run->test_loss);
    else if (run->evaluated_step == run->step)
        syn_display_note(&run->display, "step %" PRId64 ": validation loss %.4f", run->step,
                         run->test_loss);
}

static syn_status loop(syn_run *run)
{
    run->started_ns = syn_clock_monotonic_ns();
    while (run->step < run->total_steps && !is_stopping(run)) {
        SYN_TRY(syn_run_step(run));
        if (wants_evaluation(run))
            SYN_TRY(syn_run_evaluate(run));
        report(run);
        if (wants_checkpoint(run))
            SYN_TRY(syn_run_checkpoint(run));
    }
    return SYN_OK;
}

/* ---- the result ---- */

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The median past the warm-up (the first tenth, at least five steps); of everything if there is
 * nothing past it. */
static double median(float *items, size_t n)
{
    size_t warm = n / 10 > 5 ? n / 10 : 5;
    if (warm >= n)
        warm = 0;
    if (n == 0)
        return 0;
    items += warm;
    n -= warm;
    qsort(items, n, sizeof *items, compare_floats);
    return n % 2 ? items[n / 2] : ((double)items[n / 2 - 1] + items[n / 2]) / 2;
}

static void add_metric(syn_train_result *result, const char *name, double value)
{
    result->metrics[result->n_metrics++] = (syn_train_metric){name, value};
}

static void note_result(syn_run *run)
{
    syn_train_result *result = run->result;
    result->steps = run->step;
    result->elapsed_s = run->started_ns ? elapsed_s(run) : 0;
    result->samples_per_s = median(run->rates.items, run->rates.n);
    result->hidden_ms = median(run->hidden.items, run->hidden.n);
    result->exposed_ms = median(run->exposed.items, run->exposed.n);
    if (run->step > run->first_step)
        add_metric(result, "train_loss", run->train_loss);
    if (run->evaluated_step >= 0 && run->info->kind == SYN_DATA_TEXT) {
        add_metric(result, "val_loss", run->test_loss);
    } else if (run->evaluated_step >= 0) {
        add_metric(result, "test_accuracy", run->test_accuracy);
        add_metric(result, "test_loss", run->test_loss);
    }
}

/* All ranks must have come to the same weights: a difference is a bug or broken memory, and is
 * told. */
static syn_status compare_weights(syn_run *run)
{
    char mine[65] = "", *all = syn_malloc((size_t)run->size * sizeof mine);
    syn_status status = all ? syn_weights_sha256(run->module, mine)
                            : syn_fail_memory((size_t)run->size * sizeof mine, "the digests");

    SYN_GOTO(syn_run_agree(run, status, NULL));
    SYN_GOTO(syn_comm_allgather(run->comm, mine, sizeof mine, all));
    if (memcmp(mine, all, sizeof mine) != 0)
        status = SYN_FAIL(SYN_DATA_LOSS,
                          "the final weights differ from rank 0's: SHA-256 %.12s... against "
                          "%.12s...",
                          mine, all);
    SYN_GOTO(syn_run_agree(run, status, NULL));
    memcpy(run->result->weights_sha256, mine, sizeof mine);
out:
    syn_free(all);
    return status;
}

static syn_status save_result(syn_run *run)
{
    const syn_train_request *request = run->request;
    syn_rundir_identity identity = {request->job_id, request->epoch, request->attempt, run->rank};
    char *path = syn_path_join(request->run_dir, "model.safetensors");
    if (!path)
        return syn_fail_memory(strlen(request->run_dir), "a path");
    syn_status status = syn_weights_save(run->module, path);
    syn_free(path);
    SYN_TRY(status);
    return syn_rundir_write_result(request->run_dir, run->result, &identity);
}

static void note_stop(syn_run *run)
{
    const char *by = run->flags & SYN_RUN_ABANDON             ? "a later launch of the job"
                     : run->flags & SYN_RUN_STOP_BY_DIRECTIVE ? "the coordinator"
                                                              : "a signal";
    char why[SYN_STOP_TEXT_BYTES] = "";

    syn_train_monitor_read_stop(run->monitor, why);
    run->result->state = SYN_TRAIN_CANCELLED;
    (void)snprintf(run->result->failure.message, sizeof run->result->failure.message,
                   "stopped by %s%s%s%s after step %" PRId64 " of %" PRId64 "%s", by,
                   why[0] ? " (" : "", why, why[0] ? ")" : "", run->step, run->total_steps,
                   run->checkpoint_step == run->step ? "; a checkpoint was written" : "");
}

static syn_status finish(syn_run *run)
{
    if (is_stopping(run)) {
        note_stop(run);
        note_result(run);
        return syn_run_agree(run, SYN_OK, NULL);
    }
    if (run->evaluated_step != run->step)
        SYN_TRY(syn_run_evaluate(run));
    SYN_TRY(compare_weights(run));
    note_result(run);
    run->result->state = SYN_TRAIN_SUCCEEDED;
    syn_run_enter(run, SYN_PHASE_CHECKPOINT);
    SYN_TRY(syn_run_agree(run, run->rank == 0 ? save_result(run) : SYN_OK, NULL));
    syn_run_enter(run, SYN_PHASE_FINISHED);
    return SYN_OK;
}

static void release(syn_run *run)
{
    syn_display_finish(&run->display);
    (void)syn_metrics_close(run->metrics);
    syn_prefetch_free(run->prefetch);
    syn_optimizer_free(run->optimizer);
    syn_shard_sum_free(run->sum);
    syn_free(run->shard_table);
    if (run->module)
        syn_data_parallel_remove(run->module);
    syn_module_free(run->module);
    syn_sampler_release(&run->sampler);
    syn_dataset_free(run->dataset);
    syn_vec_release(&run->rates);
    syn_vec_release(&run->hidden);
    syn_vec_release(&run->exposed);
}

syn_status syn_train_run(const syn_train_request *request, syn_train_result *result_out)
{
    syn_train_monitor own;
    syn_run run = {.request = request,
                   .spec = request->spec,
                   .comm = request->comm,
                   .monitor = request->monitor ? request->monitor : &own,
                   .result = result_out,
                   .rank = syn_comm_rank(request->comm),
                   .size = syn_comm_size(request->comm),
                   .checkpoint_step = -1,
                   .evaluated_step = -1,
                   .checkpoints = request->spec->checkpoint.every_steps > 0 ||
                                  request->spec->train.epochs > 0};

    *result_out = (syn_train_result){.state = SYN_TRAIN_FAILED, .failure.rank = -1};
    syn_train_monitor_init(&own);
    syn_display_init(&run.display, request->shows_progress && run.rank == 0, run.size);
    int scope = syn_scope_begin();
    syn_status status = set_up(&run);
    if (status == SYN_OK)
        status = loop(&run);
    if (status == SYN_OK)
        status = finish(&run);
    if (status != SYN_OK) {
        if (!result_out->failure.message[0]) {
            /* A failed collective is told to every rank by the engine. */
            result_out->failure = (syn_train_failure){
                .code = status, .rank = -1, .exit_code = 1, .step = run.step, .phase = run.phase};
            (void)snprintf(result_out->failure.message, sizeof result_out->failure.message, "%s",
                           syn_error_message());
            result_out->is_culprit = run.rank == 0;
        }
        result_out->state = SYN_TRAIN_FAILED;
        result_out->n_metrics = 0;
        note_result(&run);
        result_out->weights_sha256[0] = '\0';
    }
    release(&run);
    syn_scope_end(scope);
    syn_train_monitor_release(&own);
    return status == SYN_OK && result_out->state == SYN_TRAIN_CANCELLED ? SYN_CANCELLED : status;
}
