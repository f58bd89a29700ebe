/* One step: data, forward, backward, buckets, agreement, clipping, optimizer. */
#include "common/base/clock.h"
#include "worker/parallel/data_parallel.h"
#include "worker/train/fault.h"
#include "worker/train/model.h"
#include "worker/train/run.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <syncline/autograd.h>
#include <syncline/ops.h>
#include <syncline/random.h>

/* The stream of the job's seed that dropout is drawn from; the model's initialisation is 0. */
enum { STEP_STREAM = 1 };

/* A pure function of (seed, step, shard, micro-batch): who computes the shard does not matter. */
static uint64_t shard_seed(const syn_run *run, int64_t shard, int64_t micro)
{
    uint64_t key = syn_random_key(run->spec->seed, STEP_STREAM);
    key = syn_random_key(key, (uint64_t)run->step);
    key = syn_random_key(key, (uint64_t)shard);
    return syn_random_key(key, (uint64_t)micro);
}

/* Samples first..first+n-1 of a batch as tensors of the current scope: wrapped, or copied, so that
 * a virtual shard's lie in memory alike wherever in the batch they are. */
static void take_samples(const syn_run *run, const syn_batch *batch, syn_slice_range range,
                         syn_tensor **x_out, syn_tensor **y_out)
{
    syn_shape x = run->info->x_shape, shape = {.ndim = x.ndim + 1, .dims = {range.n}};
    for (int i = 0; i < x.ndim; i++)
        shape.dims[i + 1] = x.dims[i];
    void *x_data = (char *)batch->x + (size_t)range.first * batch->x_bytes;
    int64_t *y_data = batch->y + range.first * batch->n_targets;
    syn_shape y_shape = run->info->kind == SYN_DATA_TEXT ? SYN_SHAPE(range.n, batch->n_targets)
                                                         : SYN_SHAPE(range.n);
    if (run->sum) {
        *x_out = syn_from_data(x_data, shape, run->info->x_dtype);
        *y_out = syn_from_data(y_data, y_shape, SYN_I64);
    } else {
        *x_out = syn_wrap_data(x_data, shape, run->info->x_dtype, NULL);
        *y_out = syn_wrap_data(y_data, y_shape, SYN_I64, NULL);
    }
}

/* Forward and backward of one micro-batch; adds its summed loss. The scaled losses of all ranks add
 * up to the global mean. */
static syn_status run_micro(syn_run *run, const syn_batch *batch, syn_slice_range range,
                            double *loss_sum)
{
    syn_status status = SYN_OK;
    syn_tensor *x, *y;
    int scope = syn_scope_begin();

    syn_run_enter(run, SYN_PHASE_FORWARD);
    take_samples(run, batch, range, &x, &y);
    syn_tensor *loss = syn_train_loss(syn_module_forward(run->module, x), y);
    syn_tensor *scaled = syn_mul_scalar(loss, (double)range.n / (double)batch->n_global);
    SYN_GOTO(syn_train_take_error());
    *loss_sum += syn_item(loss) * (double)range.n;
    syn_run_enter(run, SYN_PHASE_BACKWARD);
    status = syn_backward(scaled);
    if (status != SYN_OK && syn_failed())
        status = syn_train_take_error();
out:
    syn_scope_end(scope);
    return status;
}

/* All micro-batches of a part of the batch; adds its summed loss. */
static syn_status run_part(syn_run *run, const syn_batch *batch, syn_slice_range part,
                           int64_t shard, double *loss_sum)
{
    int64_t n_micros = run->spec->train.accumulate < part.n ? run->spec->train.accumulate : part.n;
    for (int64_t i = 0; i < n_micros; i++) {
        syn_slice_range micro = syn_slice_even(part.n, i, n_micros);
        micro.first += part.first;
        if (!run->sum)
            syn_data_parallel_set_sync(run->module, i + 1 == n_micros);
        syn_manual_seed(shard_seed(run, shard, i));
        SYN_TRY(run_micro(run, batch, micro, loss_sum));
    }
    return SYN_OK;
}

/* The virtual shards of this rank, each alone. */
static syn_status run_shards(syn_run *run, const syn_batch *batch, double *loss_sum)
{
    for (int i = 0; i < run->shards.n; i++) {
        int64_t shard = run->shards.first + i;
        syn_slice_range part = syn_slice_even(batch->n_global, shard, run->spec->virtual_shards);
        /* What is in loss_sum already was put there by a test. */
        double totals[SYN_SHARD_TOTALS] = {i == 0 ? *loss_sum : 0, (double)part.n};
        part.first -= batch->first;
        SYN_TRY(run_part(run, batch, part, shard, &totals[0]));
        SYN_TRY(syn_shard_sum_push(run->sum, totals));
        *loss_sum += totals[0];
    }
    return SYN_OK;
}

/* Everything of a step up to the point where the gradients are summed over the ranks. */
static syn_status compute_gradients(syn_run *run, double *loss_sum, int64_t *n_out)
{
    const syn_batch *batch = NULL;

    if (run->pending != SYN_OK)
        return run->pending;
    syn_run_enter(run, SYN_PHASE_DATA_READ);
    SYN_TRY(syn_prefetch_next(run->prefetch, &batch));
    *n_out = batch->n;
    SYN_TRY(syn_train_fault(run->rank, run->step, run->request->attempt, loss_sum));
    SYN_TRY(run->sum ? run_shards(run, batch, loss_sum)
                     : run_part(run, batch, (syn_slice_range){0, batch->n}, run->rank, loss_sum));
    if (run->spec->train.stop_on_nan && !isfinite(*loss_sum)) {
        double mean = isnan(*loss_sum) ? NAN : *loss_sum; /* never "-nan" */
        return SYN_FAIL(SYN_OUT_OF_RANGE,
                        "the training loss became %g in step %" PRId64 " (learning rate %g); lower "
                        "optimizer.lr or set train.clip_norm, or set train.stop_on_nan to false",
                        *n_out > 0 ? mean / (double)*n_out : mean, run->step + 1, run->lr);
    }
    return SYN_OK;
}

/* Takes part in the step's buckets whatever happened to this rank. `totals` are those of all
 * virtual shards, if there are any. */
static void reduce_gradients(syn_run *run, double totals[SYN_SHARD_TOTALS])
{
    if (run->sum) {
        if (run->pending == SYN_OK)
            syn_run_enter(run, SYN_PHASE_COMMUNICATE);
        syn_run_hold(run, syn_shard_sum_finish(run->sum, totals));
        return;
    }
    if (run->pending != SYN_OK) {
        syn_data_parallel_abandon(run->module);
        return;
    }
    syn_run_enter(run, SYN_PHASE_COMMUNICATE);
    syn_data_parallel_set_sync(run->module, true); /* a rank whose batch was empty has not yet */
    syn_run_hold(run, syn_data_parallel_finish(run->module));
}

/* The requests that this rank has to tell the others. */
static uint64_t take_requests(syn_run *run)
{
    uint64_t flags = 0;
    int stop = atomic_load(&run->monitor->stop);
    if (stop == SYN_STOP_SIGNAL)
        flags |= SYN_RUN_STOP_BY_SIGNAL;
    if (stop == SYN_STOP_DIRECTIVE)
        flags |= SYN_RUN_STOP_BY_DIRECTIVE;
    if (stop == SYN_STOP_ABANDON)
        flags |= SYN_RUN_ABANDON;
    if (atomic_exchange(&run->monitor->checkpoint, 0))
        flags |= SYN_RUN_CHECKPOINT;
    return flags;
}

static void apply_gradients(syn_run *run)
{
    syn_parameters parameters = syn_module_parameters(run->module);
    int64_t every = run->spec->train.log_every_steps;
    bool is_logged = every > 0 && (run->step + 1) % every == 0;

    syn_run_enter(run, SYN_PHASE_OPTIMIZE);
    run->has_grad_norm = run->spec->train.clip_norm > 0 || is_logged;
    if (run->spec->train.clip_norm > 0)
        run->grad_norm = syn_clip_grad_norm(parameters, run->spec->train.clip_norm);
    else if (is_logged)
        run->grad_norm = syn_grad_norm(parameters);
    syn_optimizer_set_lr(run->optimizer, run->lr);
    syn_optimizer_step(run->optimizer);
    syn_optimizer_zero_grad(run->optimizer);
    syn_run_hold(run, syn_train_take_error());
}

static void note_cost(syn_run *run, double n_global, uint64_t begin_ns)
{
    syn_overlap overlap = {0};
    double seconds = (double)(syn_clock_monotonic_ns() - begin_ns) * 1e-9;

    if (run->sum && run->size > 1)
        syn_shard_sum_get_overlap(run->sum, &overlap);
    else if (run->size > 1) /* one rank copies its buckets to itself: that is no communication */
        syn_data_parallel_get_overlap(run->module, &overlap);
    run->samples_per_s = seconds > 0 ? n_global / seconds : 0;
    run->hidden_ms = overlap.hidden_ms;
    run->exposed_ms = overlap.exposed_ms;
    if (!syn_vec_push(&run->rates, (float)run->samples_per_s) ||
        !syn_vec_push(&run->hidden, (float)run->hidden_ms) ||
        !syn_vec_push(&run->exposed, (float)run->exposed_ms))
        syn_run_hold(run, syn_fail_memory(sizeof(float), "the step times"));
}

syn_status syn_run_step(syn_run *run)
{
    uint64_t begin_ns = syn_clock_monotonic_ns();
    syn_agreement agreement = {0};
    double loss_sum = 0, totals[SYN_SHARD_TOTALS] = {0};
    int64_t n = 0;

    run->lr = syn_schedule_lr(&run->schedule, run->step);
    syn_run_hold(run, compute_gradients(run, &loss_sum, &n));
    syn_phase failed_in = run->phase;
    reduce_gradients(run, totals);
    if (run->pending != SYN_OK)
        run->phase = failed_in;
    agreement.sums[0] = loss_sum;
    agreement.sums[1] = (double)n;
    agreement.flags = take_requests(run);
    SYN_TRY(syn_run_agree(run, SYN_OK, &agreement));
    run->flags = agreement.flags;
    run->train_loss = run->sum ? totals[0] / totals[1] : agreement.sums[0] / agreement.sums[1];
    apply_gradients(run);
    run->step++;
    note_cost(run, agreement.sums[1], begin_ns);
    return SYN_OK;
}
