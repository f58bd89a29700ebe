/* Plain lines where no terminal is; nothing where nothing should be shown. */
#include "worker/train/display.h"

#include "tests/unit/worker/train/scratch.h"

#include "common/base/log.h"

#include <fcntl.h>
#include <unistd.h>

static const syn_train_status halfway = {.step = 50,
                                         .total_steps = 100,
                                         .epoch = 2,
                                         .total_epochs = 4,
                                         .has_loss = true,
                                         .train_loss = 0.25,
                                         .samples_per_s = 1234,
                                         .eta_s = 12,
                                         .hidden_ms = 3,
                                         .exposed_ms = 1};

/* What `shown` prints to standard output while it is a file; the caller frees it. */
static char *capture(const char *folder, bool is_shown, int n_ranks)
{
    char *path = path_in(folder, "out");
    syn_display display;
    (void)fflush(stdout);
    int original = dup(STDOUT_FILENO), file = open(path, O_CREAT | O_RDWR, 0666);
    assert_true(original >= 0 && file >= 0 && dup2(file, STDOUT_FILENO) >= 0);

    syn_display_init(&display, is_shown, n_ranks);
    syn_display_step(&display, &halfway);
    syn_display_log(&display, &halfway, 0.001);
    syn_display_note(&display, "a note of %d", 7);
    syn_display_finish(&display);

    (void)fflush(stdout);
    assert_true(dup2(original, STDOUT_FILENO) >= 0);
    (void)close(original);
    (void)close(file);
    syn_free(path);
    return read_file(folder, "out");
}

static void a_file_gets_plain_lines(void **state)
{
    char *text = capture(*state, true, 2);

    assert_string_equal(text,
                        "step 50/100 epoch 2/4, loss 0.2500, 1234 samples/s, communication 75 % "
                        "hidden, 12 s left, lr 0.001\na note of 7\n");
    syn_free(text);
}

static void one_rank_communicates_nothing(void **state)
{
    char *text = capture(*state, true, 1);

    assert_string_equal(text, "step 50/100 epoch 2/4, loss 0.2500, 1234 samples/s, 12 s left, lr "
                              "0.001\na note of 7\n");
    syn_free(text);
}

static void other_ranks_say_nothing(void **state)
{
    char *text = capture(*state, false, 2);

    assert_string_equal(text, "");
    syn_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_scratch(a_file_gets_plain_lines),
        in_scratch(one_rank_communicates_nothing),
        in_scratch(other_ranks_say_nothing),
    };
    syn_log_set_level(SYN_LOG_WARN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
