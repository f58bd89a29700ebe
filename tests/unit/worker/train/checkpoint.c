/* Checkpoint folders: committed whole, verified, found newest first, pruned. */
#include "worker/train/checkpoint.h"

#include "tests/unit/worker/train/scratch.h"

static syn_status fill(void *user, const char *folder)
{
    write_file(folder, "model.safetensors", user);
    write_file(folder, "optimizer.safetensors", "state");
    return SYN_OK;
}

static syn_status fill_half(void *user, const char *folder)
{
    write_file(folder, "model.safetensors", user);
    return SYN_FAIL(SYN_RESOURCE_EXHAUSTED, "cannot write %s: No space left on device", folder);
}

static syn_checkpoint_info info_of(int64_t step)
{
    return (syn_checkpoint_info){.step = step,
                                 .epoch = 2,
                                 .seed = UINT64_MAX - 1,
                                 .n_ranks = 4,
                                 .job_sha256 = "0123456789abcdef",
                                 .batch_size = 64,
                                 .total_steps = 1000,
                                 .data_sha256 = "fedcba9876543210"};
}

static void write_step(const char *run_dir, int64_t step)
{
    syn_checkpoint_info info = info_of(step);
    char *path = NULL, digest[65];
    assert_int_equal(syn_checkpoint_write(run_dir, &info, fill, "weights", &path, digest), SYN_OK);
    syn_free(path);
}

/* Finds from `where`; returns the step, or -1 with the sentence recorded. */
static int64_t find_step(const char *where, const char *run_dir, char **skipped)
{
    syn_checkpoint_info info;
    char *folder = NULL;
    *skipped = NULL;
    syn_status status = syn_checkpoint_find(where, run_dir, &folder, &info, skipped);
    syn_free(folder);
    return status == SYN_OK ? info.step : -1;
}

static void a_checkpoint_reads_back_as_it_was_written(void **state)
{
    syn_checkpoint_info info = info_of(200), read;
    char *path = NULL, digest[65], manifest_digest[65];

    assert_int_equal(syn_checkpoint_write(*state, &info, fill, "weights", &path, digest), SYN_OK);
    assert_int_equal(syn_checkpoint_verify(path, &read), SYN_OK);

    assert_non_null(strstr(path, "/checkpoints/step-00000200"));
    assert_int_equal(read.step, 200);
    assert_int_equal(read.epoch, 2);
    assert_true(read.seed == UINT64_MAX - 1);
    assert_int_equal(read.n_ranks, 4);
    assert_string_equal(read.job_sha256, "0123456789abcdef");
    assert_int_equal(read.batch_size, 64);
    assert_int_equal(read.total_steps, 1000);
    assert_string_equal(read.data_sha256, "fedcba9876543210");
    char *manifest = path_in(path, "manifest.json");
    assert_int_equal(syn_file_sha256_hex(manifest, manifest_digest), SYN_OK);
    assert_string_equal(digest, manifest_digest);
    syn_free(manifest);
    syn_free(path);
}

static void a_failed_write_leaves_nothing_and_the_older_ones(void **state)
{
    syn_checkpoint_info info = info_of(20);
    char *path = NULL, digest[65], *skipped;
    write_step(*state, 10);

    assert_int_equal(syn_checkpoint_write(*state, &info, fill_half, "x", &path, digest),
                     SYN_RESOURCE_EXHAUSTED);

    assert_non_null(strstr(syn_error_message(), "No space left"));
    assert_false(exists_in(*state, "checkpoints/step-00000020"));
    assert_false(exists_in(*state, "checkpoints/step-00000020.tmp"));
    assert_int_equal(find_step(*state, NULL, &skipped), 10);
}

static void the_newest_checkpoint_of_a_run_is_found(void **state)
{
    char *skipped;
    write_step(*state, 9);
    write_step(*state, 100);
    write_step(*state, 20);

    assert_int_equal(find_step(*state, NULL, &skipped), 100);
    assert_null(skipped);
    assert_true(syn_checkpoint_exists(*state));
}

static void a_damaged_checkpoint_is_named_and_the_previous_one_taken(void **state)
{
    char *skipped;
    write_step(*state, 10);
    write_step(*state, 20);
    write_file(*state, "checkpoints/step-00000020/model.safetensors", "wEights");

    assert_int_equal(find_step(*state, NULL, &skipped), 10);

    assert_non_null(strstr(skipped, "step-00000020/model.safetensors is damaged"));
    syn_free(skipped);
}

static void a_named_damaged_checkpoint_is_refused_unless_the_run_has_older_ones(void **state)
{
    char *skipped;
    write_step(*state, 10);
    write_step(*state, 20);
    write_step(*state, 30);
    write_file(*state, "checkpoints/step-00000020/optimizer.safetensors", "");
    char *named = path_in(*state, "checkpoints/step-00000020");

    assert_int_equal(find_step(named, NULL, &skipped), -1);
    assert_non_null(strstr(syn_error_message(), "optimizer.safetensors is damaged"));
    assert_int_equal(find_step(named, *state, &skipped), 10);
    assert_non_null(strstr(skipped, "optimizer.safetensors is damaged"));

    syn_free(skipped);
    syn_free(named);
}

static void a_missing_file_or_manifest_is_damage(void **state)
{
    char *skipped, *named = path_in(*state, "checkpoints/step-00000010");
    char *part = path_in(*state, "checkpoints/step-00000010/optimizer.safetensors");
    write_step(*state, 10);
    assert_int_equal(remove(part), 0);

    assert_int_equal(find_step(named, NULL, &skipped), -1);
    assert_non_null(strstr(syn_error_message(), "optimizer.safetensors is missing"));
    assert_int_equal(find_step(*state, NULL, &skipped), -1);
    assert_non_null(strstr(syn_error_message(), "no intact checkpoint is left"));

    syn_free(part);
    syn_free(named);
}

static void manifests_that_lie_are_refused_in_a_sentence(void **state)
{
    static const char *const manifests[] = {
        "",
        "[1, 2]",
        "{\"format_version\": 1}",
        "{\"format_version\": 2, \"step\": 1, \"epoch\": 1, \"seed\": \"1\", \"n_ranks\": 1, "
        "\"job_sha256\": \"\", \"files\": {}}",
        "{\"format_version\": 1, \"step\": -1, \"epoch\": 1, \"seed\": \"1\", \"n_ranks\": 1, "
        "\"job_sha256\": \"\", \"files\": {}}",
        "{\"format_version\": 1, \"step\": 1, \"epoch\": 1, \"seed\": \"x\", \"n_ranks\": 1, "
        "\"job_sha256\": \"\", \"files\": {}}",
        "{\"format_version\": 1, \"step\": 1, \"epoch\": 1, \"seed\": \"1\", \"n_ranks\": 1, "
        "\"job_sha256\": \"\", \"files\": {}}",
        "{\"format_version\": 1, \"step\": 1, \"step\": 2}",
    };
    syn_checkpoint_info info;
    char *named = path_in(*state, "checkpoints/step-00000010");
    write_step(*state, 10);

    for (size_t i = 0; i < sizeof manifests / sizeof *manifests; i++) {
        write_file(*state, "checkpoints/step-00000010/manifest.json", manifests[i]);
        syn_error_clear();
        assert_int_not_equal(syn_checkpoint_verify(named, &info), SYN_OK);
        assert_non_null(strstr(syn_error_message(), "step-00000010"));
    }
    syn_free(named);
}

static void pruning_keeps_the_newest_and_removes_what_was_left_unfinished(void **state)
{
    for (int64_t step = 1; step <= 5; step++)
        write_step(*state, step);
    char *unfinished = path_in(*state, "checkpoints/step-00000006.tmp");
    assert_int_equal(syn_dir_make(unfinished), SYN_OK);

    assert_int_equal(syn_checkpoint_prune(*state, 5, 2), SYN_OK);

    assert_false(exists_in(*state, "checkpoints/step-00000003"));
    assert_true(exists_in(*state, "checkpoints/step-00000004"));
    assert_true(exists_in(*state, "checkpoints/step-00000005"));
    assert_false(syn_path_exists(unfinished));
    assert_int_equal(syn_checkpoint_prune(*state, 5, 0), SYN_OK);
    assert_true(exists_in(*state, "checkpoints/step-00000004"));
    syn_free(unfinished);
}

static void pruning_removes_what_a_run_went_back_past_and_keeps_what_it_wrote(void **state)
{
    char *skipped;
    for (int64_t step = 10; step <= 40; step += 10)
        write_step(*state, step);
    write_step(*state, 25); /* gone back to 20, and on from there */

    assert_int_equal(syn_checkpoint_prune(*state, 25, 1), SYN_OK);

    assert_int_equal(find_step(*state, NULL, &skipped), 25);
    assert_false(exists_in(*state, "checkpoints/step-00000020"));
    assert_false(exists_in(*state, "checkpoints/step-00000040"));
}

static void the_same_step_is_replaced(void **state)
{
    syn_checkpoint_info info = info_of(10);
    char *path = NULL, digest[65], *skipped;
    write_step(*state, 10);

    assert_int_equal(syn_checkpoint_write(*state, &info, fill, "other", &path, digest), SYN_OK);

    char *text = read_file(path, "model.safetensors");
    assert_string_equal(text, "other");
    assert_int_equal(find_step(*state, NULL, &skipped), 10);
    assert_false(exists_in(*state, "checkpoints/step-00000010.replaced.tmp"));
    syn_free(text);
    syn_free(path);
}

static void nothing_to_resume_from_is_told(void **state)
{
    char *skipped;

    assert_int_equal(find_step("/nonexistent/run", NULL, &skipped), -1);
    assert_non_null(strstr(syn_error_message(), "there is no such folder"));
    assert_int_equal(find_step(*state, NULL, &skipped), -1);
    assert_non_null(strstr(syn_error_message(), "there is no checkpoint in"));
    assert_false(syn_checkpoint_exists(*state));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_scratch(a_checkpoint_reads_back_as_it_was_written),
        in_scratch(a_failed_write_leaves_nothing_and_the_older_ones),
        in_scratch(the_newest_checkpoint_of_a_run_is_found),
        in_scratch(a_damaged_checkpoint_is_named_and_the_previous_one_taken),
        in_scratch(a_named_damaged_checkpoint_is_refused_unless_the_run_has_older_ones),
        in_scratch(a_missing_file_or_manifest_is_damage),
        in_scratch(manifests_that_lie_are_refused_in_a_sentence),
        in_scratch(pruning_keeps_the_newest_and_removes_what_was_left_unfinished),
        in_scratch(pruning_removes_what_a_run_went_back_past_and_keeps_what_it_wrote),
        in_scratch(the_same_step_is_replaced),
        in_scratch(nothing_to_resume_from_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
