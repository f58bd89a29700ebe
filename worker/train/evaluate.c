/* Evaluation on the test or validation split, spread over the ranks. */
#include "worker/train/model.h"
#include "worker/train/run.h"

#include <string.h>
#include <syncline/autograd.h>
#include <syncline/ops.h>

/* The split is cut into chunks of a fixed size, whose sums are added in chunk order: the result
 * does not depend on the number of ranks. */
enum { IMAGE_CHUNK = 64, TEXT_CHUNK = 8 };

typedef struct chunk_sum {
    double loss, correct;
} chunk_sum;

static int64_t count_correct(syn_tensor *logits, const int64_t *targets, int64_t n,
                             int64_t *predicted)
{
    int64_t correct = 0;
    syn_tensor *best = syn_argmax(logits, -1);
    if (!best || syn_tensor_read(best, predicted) != SYN_OK)
        return 0;
    for (int64_t i = 0; i < n; i++)
        correct += predicted[i] == targets[i];
    return correct;
}

static syn_status evaluate_chunk(syn_run *run, const syn_batch *batch, int64_t *predicted,
                                 chunk_sum *sum_out)
{
    syn_shape x = run->info->x_shape, shape = {.ndim = x.ndim + 1, .dims = {batch->n}};
    bool is_text = run->info->kind == SYN_DATA_TEXT;
    int scope = syn_scope_begin();

    memcpy(shape.dims + 1, x.dims, (size_t)x.ndim * sizeof *x.dims);
    SYN_NO_GRAD {
        syn_tensor *input = syn_wrap_data(batch->x, shape, run->info->x_dtype, NULL);
        syn_tensor *target =
            is_text ? syn_wrap_data(batch->y, SYN_SHAPE(batch->n, batch->n_targets), SYN_I64, NULL)
                    : syn_wrap_data(batch->y, SYN_SHAPE(batch->n), SYN_I64, NULL);
        syn_tensor *logits = syn_module_forward(run->module, input);
        syn_tensor *loss = syn_train_loss(logits, target);
        if (loss) {
            sum_out->loss = syn_item(loss) * (double)batch->n;
            if (!is_text)
                sum_out->correct = (double)count_correct(logits, batch->y, batch->n, predicted);
        }
    }
    syn_scope_end(scope);
    return syn_train_take_error();
}

/* Evaluates the chunks of this rank. */
static syn_status evaluate_mine(syn_run *run, int64_t n_samples, int64_t chunk,
                                syn_slice_range mine, chunk_sum *sums)
{
    syn_status status = SYN_OK;
    syn_batch batch = {0};
    int64_t *samples = syn_malloc((size_t)chunk * sizeof *samples);
    int64_t *predicted = syn_malloc((size_t)chunk * sizeof *predicted);

    if (!samples || !predicted)
        SYN_GOTO(syn_fail_memory((size_t)chunk * sizeof *samples, "an evaluation"));
    SYN_GOTO(syn_batch_init(&batch, run->dataset, chunk));
    for (int64_t c = mine.first; c < mine.first + mine.n; c++) {
        int64_t first = c * chunk, n = n_samples - first < chunk ? n_samples - first : chunk;
        for (int64_t i = 0; i < n; i++)
            samples[i] = first + i;
        syn_batch_request request = {.split = SYN_SPLIT_TEST, .samples = samples, .n = n};
        SYN_GOTO(syn_dataset_batch(run->dataset, &request, &batch));
        SYN_GOTO(evaluate_chunk(run, &batch, predicted, &sums[c - mine.first]));
    }
out:
    syn_batch_release(&batch);
    syn_free(samples);
    syn_free(predicted);
    return status;
}

/* Everybody's sums, in chunk order. */
static syn_status add_up(syn_run *run, const chunk_sum *mine, int64_t n_mine, int64_t n_samples)
{
    char *all = NULL;
    size_t *offsets = syn_calloc((size_t)run->size + 1, sizeof *offsets);
    syn_status status = offsets ? SYN_OK : syn_fail_memory((size_t)run->size, "an evaluation");

    SYN_GOTO(syn_run_agree(run, status, NULL));
    SYN_GOTO(syn_comm_allgatherv(run->comm, mine, (size_t)n_mine * sizeof *mine, &all, offsets));
    chunk_sum total = {0};
    for (size_t at = 0; at < offsets[run->size]; at += sizeof(chunk_sum)) {
        chunk_sum sum;
        memcpy(&sum, all + at, sizeof sum);
        total.loss += sum.loss;
        total.correct += sum.correct;
    }
    run->test_loss = total.loss / (double)n_samples;
    run->test_accuracy = total.correct / (double)n_samples;
    run->evaluated_step = run->step;
out:
    syn_free(all);
    syn_free(offsets);
    return status;
}

syn_status syn_run_evaluate(syn_run *run)
{
    bool is_text = run->info->kind == SYN_DATA_TEXT;
    int64_t n = run->info->n_test, chunk = is_text ? TEXT_CHUNK : IMAGE_CHUNK;
    int64_t most = run->spec->train.eval_batches * run->spec->train.batch_size;
    chunk_sum *sums = NULL;

    if (is_text && most > 0 && most < n)
        n = most;
    if (n <= 0)
        return SYN_OK;
    syn_run_enter(run, SYN_PHASE_EVALUATE);
    syn_slice_range mine = syn_slice_even((n + chunk - 1) / chunk, run->rank, run->size);
    sums = syn_calloc((size_t)mine.n + 1, sizeof *sums);
    syn_module_train(run->module, false);
    syn_run_hold(run, sums ? evaluate_mine(run, n, chunk, mine, sums)
                           : syn_fail_memory((size_t)mine.n * sizeof *sums, "an evaluation"));
    syn_module_train(run->module, true);
    syn_status status = add_up(run, sums, mine.n, n);
    syn_free(sums);
    return status;
}
