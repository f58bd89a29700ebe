/* The run directory: job.yaml, outcome files, logs in place of standard output. */
#include "worker/train/rundir.h"

#include "tests/unit/worker/train/scratch.h"

#include <jansson.h>
#include <math.h>
#include <unistd.h>

static const char job_text[] =
    "name: small\nmodel: {kind: mlp, hidden: [8]}\ndata: {kind: digits}\n"
    "train: {epochs: 1, batch_size: 8}\noptimizer: {kind: sgd, lr: 0.1}\n";

static const syn_rundir_identity identity = {
    .job_id = "j-000001", .epoch = 3, .attempt = 2, .rank = 1};

static void the_complete_job_is_written_and_reads_back(void **state)
{
    syn_job_spec spec, again;
    char *path = path_in(*state, "run/job.yaml"), *run_dir = path_in(*state, "run");
    assert_int_equal(
        syn_job_spec_parse(job_text, strlen(job_text), "job.yaml", NULL, NULL, NULL, 0, &spec),
        SYN_OK);

    assert_false(syn_rundir_is_run(run_dir));
    assert_int_equal(syn_rundir_prepare(run_dir, &spec), SYN_OK);
    assert_int_equal(syn_job_spec_load(path, NULL, 0, &again), SYN_OK);

    assert_true(syn_rundir_is_run(run_dir));
    assert_string_equal(again.name, "small");
    assert_int_equal(again.model.hidden[0], 8);
    assert_true(exists_in(run_dir, "checkpoints"));
    syn_job_spec_release(&spec);
    syn_job_spec_release(&again);
    syn_free(path);
    syn_free(run_dir);
}

static void preparing_again_leaves_the_job_that_is_there(void **state)
{
    syn_job_spec spec, again;
    char *path = path_in(*state, "run/job.yaml"), *run_dir = path_in(*state, "run");
    assert_int_equal(
        syn_job_spec_parse(job_text, strlen(job_text), "job.yaml", NULL, NULL, NULL, 0, &spec),
        SYN_OK);
    assert_int_equal(syn_rundir_prepare(run_dir, &spec), SYN_OK);
    spec.model.hidden[0] = 9;

    assert_int_equal(syn_rundir_prepare(run_dir, &spec), SYN_OK);
    assert_int_equal(syn_job_spec_load(path, NULL, 0, &again), SYN_OK);
    assert_int_equal(again.model.hidden[0], 8);
    syn_job_spec_release(&again);
    assert_int_equal(syn_rundir_write_job(run_dir, &spec), SYN_OK);
    assert_int_equal(syn_job_spec_load(path, NULL, 0, &again), SYN_OK);
    assert_int_equal(again.model.hidden[0], 9);

    syn_job_spec_release(&spec);
    syn_job_spec_release(&again);
    syn_free(path);
    syn_free(run_dir);
}

static void a_run_with_a_checkpoint_or_a_result_has_results(void **state)
{
    char *unfinished = path_in(*state, "checkpoints/step-00000001.tmp");
    char *checkpoint = path_in(*state, "checkpoints/step-00000001");

    assert_false(syn_rundir_has_results(*state));
    assert_int_equal(syn_dir_make(unfinished), SYN_OK);
    assert_false(syn_rundir_has_results(*state));
    assert_int_equal(syn_dir_make(checkpoint), SYN_OK);
    assert_true(syn_rundir_has_results(*state));
    assert_int_equal(syn_dir_remove(checkpoint), SYN_OK);
    write_file(*state, "result.json", "{}");
    assert_true(syn_rundir_has_results(*state));

    syn_free(unfinished);
    syn_free(checkpoint);
}

static json_t *read_outcome(const char *run_dir)
{
    char *text = read_file(run_dir, "attempt-2/outcome-rank1.json");
    json_t *object = json_loads(text, 0, NULL);
    assert_non_null(object);
    syn_free(text);
    return object;
}

static void a_failed_outcome_names_the_rank_and_its_sentence(void **state)
{
    syn_train_result result = {.state = SYN_TRAIN_FAILED,
                               .failure = {.code = SYN_OUT_OF_RANGE,
                                           .rank = 5,
                                           .host = "node3",
                                           .exit_code = 1,
                                           .step = 812,
                                           .phase = SYN_PHASE_DATA_READ,
                                           .message = "the \"loss\" became nan\xff"}};
    const char *code, *host, *phase, *message, *sentence = "the \"loss\" became nan";
    int rank, step;

    assert_int_equal(syn_rundir_write_outcome(*state, &result, &identity), SYN_OK);

    json_t *object = read_outcome(*state);
    assert_string_equal(json_string_value(json_object_get(object, "state")), "FAILED");
    assert_string_equal(json_string_value(json_object_get(object, "job_id")), "j-000001");
    assert_int_equal(json_integer_value(json_object_get(object, "epoch")), 3);
    assert_int_equal(json_unpack(object, "{s:{s:i, s:s, s:i, s:s, s:s, s:s}}", "failure", "rank",
                                 &rank, "host", &host, "step", &step, "phase", &phase, "code",
                                 &code, "message", &message),
                     0);
    assert_int_equal(rank, 5);
    assert_string_equal(host, "node3");
    assert_int_equal(step, 812);
    assert_string_equal(phase, "data_read");
    assert_string_equal(code, "OUT_OF_RANGE");
    assert_memory_equal(message, sentence, strlen(sentence));
    json_decref(object);
}

static void a_good_outcome_has_metrics_and_no_failure(void **state)
{
    syn_train_result result = {.state = SYN_TRAIN_SUCCEEDED,
                               .metrics = {{"test_accuracy", 0.5}, {"test_loss", NAN}},
                               .n_metrics = 2,
                               .weights_sha256 = "abc",
                               .steps = 60,
                               .elapsed_s = 1.5};

    assert_int_equal(syn_rundir_write_outcome(*state, &result, &identity), SYN_OK);

    json_t *object = read_outcome(*state), *metrics = json_object_get(object, "metrics");
    assert_true(json_is_null(json_object_get(object, "failure")));
    assert_true(json_real_value(json_object_get(metrics, "test_accuracy")) == 0.5);
    assert_true(json_is_null(json_object_get(metrics, "test_loss")));
    assert_string_equal(json_string_value(json_object_get(object, "weights_sha256")), "abc");
    assert_int_equal(json_integer_value(json_object_get(object, "steps")), 60);
    json_decref(object);
}

static void output_goes_to_the_ranks_log_and_back(void **state)
{
    syn_rundir_saved saved;
    int before[2], after;
    assert_int_equal(pipe(before), 0);
    int original = dup(STDOUT_FILENO);
    assert_true(dup2(before[1], STDOUT_FILENO) >= 0);

    assert_int_equal(syn_rundir_redirect(*state, 3, &saved), SYN_OK);
    (void)!write(STDOUT_FILENO, "one ", 4);
    (void)!write(STDERR_FILENO, "two", 3);
    syn_rundir_restore(&saved);
    (void)!write(STDOUT_FILENO, "x", 1);

    char byte = 0;
    after = (int)read(before[0], &byte, 1);
    assert_true(dup2(original, STDOUT_FILENO) >= 0);
    char *text = read_file(*state, "logs/rank-3.log");
    assert_int_equal(after, 1);
    assert_int_equal(byte, 'x');
    assert_string_equal(text, "one two");
    syn_free(text);
    (void)close(original);
    (void)close(before[0]);
    (void)close(before[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_scratch(the_complete_job_is_written_and_reads_back),
        in_scratch(preparing_again_leaves_the_job_that_is_there),
        in_scratch(a_run_with_a_checkpoint_or_a_result_has_results),
        in_scratch(a_failed_outcome_names_the_rank_and_its_sentence),
        in_scratch(a_good_outcome_has_metrics_and_no_failure),
        in_scratch(output_goes_to_the_ranks_log_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
