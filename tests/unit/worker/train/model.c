/* From the job's words to module, optimizer and schedule; what does not fit together is refused. */
#include "worker/train/model.h"

#include "tests/unit/worker/train/scratch.h"

#include <syncline/syncline.h>

static const syn_dataset_info images = {.kind = SYN_DATA_DIGITS,
                                        .n_train = 100,
                                        .x_shape = {3, {1, 28, 28}},
                                        .x_dtype = SYN_F32,
                                        .n_targets = 1,
                                        .n_classes = 10};
static const syn_dataset_info text = {.kind = SYN_DATA_TEXT,
                                      .n_train = 100,
                                      .x_shape = {1, {8}},
                                      .x_dtype = SYN_U8,
                                      .n_targets = 8,
                                      .n_classes = 20};

static syn_job_spec parse(const char *job)
{
    syn_job_spec spec;
    if (syn_job_spec_parse(job, strlen(job), "job.yaml", NULL, NULL, NULL, 0, &spec) != SYN_OK)
        fail_msg("%s", syn_error_message());
    return spec;
}

#define OPTIMIZER "optimizer: {kind: sgd, lr: 0.1}\ntrain: {epochs: 2, batch_size: 10}\n"
#define MLP       "model: {kind: mlp, hidden: [16, 8]}\ndata: {kind: digits}\n"
#define LENET     "model: {kind: lenet5}\ndata: {kind: digits}\n"
#define GPT                                                             \
    "model: {kind: gpt, n_layers: 1, n_heads: 2, width: 8, block: 8}\n" \
    "data: {kind: text, path: x}\n"

static void every_model_is_built_in_the_jobs_dtype(void **state)
{
    const struct {
        const char *job;
        const syn_dataset_info *info;
    } cases[] = {{MLP OPTIMIZER, &images},
                 {LENET OPTIMIZER, &images},
                 {GPT OPTIMIZER "dtype: f64\n", &text}};
    (void)state;

    for (int i = 0; i < 3; i++) {
        syn_job_spec spec = parse(cases[i].job);
        syn_module *module = NULL;
        assert_int_equal(syn_train_make_model(&spec, cases[i].info, &module), SYN_OK);
        syn_parameters parameters = syn_module_parameters(module);
        assert_true(parameters.n > 0);
        for (int p = 0; p < parameters.n; p++)
            assert_int_equal(syn_tensor_dtype(parameters.items[p].tensor), spec.dtype);
        syn_module_free(module);
        syn_job_spec_release(&spec);
    }
}

static void the_same_seed_gives_the_same_parameters_whatever_was_drawn_before(void **state)
{
    syn_job_spec spec = parse(MLP OPTIMIZER "seed: 5\n");
    float a[16 * 784], b[16 * 784];
    syn_module *module = NULL;
    (void)state;

    for (int i = 0; i < 2; i++) {
        syn_manual_seed((uint64_t)i);
        assert_int_equal(syn_train_make_model(&spec, &images, &module), SYN_OK);
        syn_tensor *first = syn_module_parameters(module).items[0].tensor;
        assert_int_equal(syn_tensor_numel(first), 16 * 784);
        assert_int_equal(syn_tensor_read(first, i ? b : a), SYN_OK);
        syn_module_free(module);
    }

    assert_memory_equal(a, b, sizeof a);
    syn_job_spec_release(&spec);
}

static void models_that_do_not_fit_their_data_are_refused(void **state)
{
    syn_dataset_info small = images;
    const struct {
        const char *job;
        const syn_dataset_info *info;
        const char *sentence;
    } cases[] = {{GPT OPTIMIZER, &images, "gpt does not fit this data: it needs a text"},
                 {MLP OPTIMIZER, &text, "mlp does not fit this data: it needs images"},
                 {LENET OPTIMIZER, &text, "lenet5 does not fit this data: it needs images"},
                 {LENET OPTIMIZER, &small, "28 x 28 pixels, these have 8 x 8"}};
    (void)state;
    small.x_shape.dims[1] = small.x_shape.dims[2] = 8;

    for (int i = 0; i < 4; i++) {
        syn_job_spec spec = parse(cases[i].job);
        syn_module *module = NULL;
        assert_int_equal(syn_train_make_model(&spec, cases[i].info, &module), SYN_INVALID_ARGUMENT);
        assert_non_null(strstr(syn_error_message(), cases[i].sentence));
        assert_null(module);
        syn_job_spec_release(&spec);
    }
}

static void numbers_that_the_library_takes_for_defaults_are_refused(void **state)
{
    static const char *const optimizers[] = {"optimizer: {kind: adam, eps: 0}\n",
                                             "optimizer: {kind: adamw, betas: [0, 0]}\n",
                                             "optimizer: {kind: adam, betas: [0, 0.9]}\n"};
    static const char *const sentences[] = {"optimizer.eps is 0", "optimizer.betas are both 0", ""};
    (void)state;

    for (int i = 0; i < 3; i++) {
        char job[512];
        (void)snprintf(job, sizeof job, "%strain: {epochs: 1, batch_size: 8}\n%s", MLP,
                       optimizers[i]);
        syn_job_spec spec = parse(job);
        syn_module *module = NULL;
        syn_optimizer *optimizer = NULL;
        assert_int_equal(syn_train_make_model(&spec, &images, &module), SYN_OK);
        syn_status status = syn_train_make_optimizer(&spec, module, &optimizer);
        assert_int_equal(status, *sentences[i] ? SYN_INVALID_ARGUMENT : SYN_OK);
        assert_true(status == SYN_OK || strstr(syn_error_message(), sentences[i]));
        syn_optimizer_free(optimizer);
        syn_module_free(module);
        syn_job_spec_release(&spec);
    }
}

static void a_step_schedule_counts_epochs_or_steps(void **state)
{
    syn_job_spec epochs =
        parse(MLP OPTIMIZER "schedule: {kind: step, step_epochs: 2, gamma: 0.5}\n");
    syn_job_spec steps = parse(MLP OPTIMIZER "schedule: {kind: step, step_size: 7, gamma: 0.5}\n");
    (void)state;

    syn_schedule a = syn_train_make_schedule(&epochs, 10, 40);
    syn_schedule b = syn_train_make_schedule(&steps, 10, 40);

    assert_true(syn_schedule_lr(&a, 19) == 0.1 && syn_schedule_lr(&a, 20) == 0.05);
    assert_true(syn_schedule_lr(&b, 6) == 0.1 && syn_schedule_lr(&b, 7) == 0.05);
    syn_job_spec_release(&epochs);
    syn_job_spec_release(&steps);
}

static void a_cosine_ends_at_the_runs_last_step_unless_told(void **state)
{
    syn_job_spec spec = parse(MLP OPTIMIZER "schedule: {kind: cosine, min_lr: 0.01}\n");
    (void)state;

    syn_schedule schedule = syn_train_make_schedule(&spec, 10, 40);

    assert_true(syn_schedule_lr(&schedule, 0) == 0.1);
    assert_true(syn_schedule_lr(&schedule, 39) > 0.01);
    assert_true(syn_schedule_lr(&schedule, 41) == 0.01);
    syn_job_spec_release(&spec);
}

static void the_loss_of_a_text_is_the_mean_over_its_tokens(void **state)
{
    const float logits[] = {0, 1, 2, 0, 0, 0, 3, 1, 0, 1, 1, 1};
    const int64_t targets[] = {2, 0, 0, 1};
    (void)state;

    SYN_SCOPE {
        syn_tensor *flat = syn_cross_entropy(syn_from_data(logits, SYN_SHAPE(4, 3), SYN_F32),
                                             syn_from_data(targets, SYN_SHAPE(4), SYN_I64), 0);
        syn_tensor *folded = syn_train_loss(syn_from_data(logits, SYN_SHAPE(2, 2, 3), SYN_F32),
                                            syn_from_data(targets, SYN_SHAPE(2, 2), SYN_I64));
        assert_true(syn_item(flat) == syn_item(folded));
    }
    assert_int_equal(syn_train_take_error(), SYN_OK);
}

static void an_expressions_error_becomes_a_status_once(void **state)
{
    (void)state;

    SYN_SCOPE {
        (void)syn_train_loss(syn_zeros(SYN_SHAPE(4, 3), SYN_F32), syn_zeros(SYN_SHAPE(5), SYN_I64));
    }

    assert_int_not_equal(syn_train_take_error(), SYN_OK);
    assert_true(syn_error_message()[0] != '\0');
    assert_int_equal(syn_train_take_error(), SYN_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_model_is_built_in_the_jobs_dtype),
        cmocka_unit_test(the_same_seed_gives_the_same_parameters_whatever_was_drawn_before),
        cmocka_unit_test(models_that_do_not_fit_their_data_are_refused),
        cmocka_unit_test(numbers_that_the_library_takes_for_defaults_are_refused),
        cmocka_unit_test(a_step_schedule_counts_epochs_or_steps),
        cmocka_unit_test(a_cosine_ends_at_the_runs_last_step_unless_told),
        cmocka_unit_test(the_loss_of_a_text_is_the_mean_over_its_tokens),
        cmocka_unit_test(an_expressions_error_becomes_a_status_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
