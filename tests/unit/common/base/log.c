/* Log lines through a pipe: levels, prefix, length. */
#include "common/base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

static int pipes[2];
static char line[8192];

static int open_pipe(void **state)
{
    (void)state;
    syn_log_set_level(SYN_LOG_INFO);
    syn_log_set_prefix("");
    if (pipe(pipes) != 0)
        return -1;
    syn_log_set_fd(pipes[1]);
    return 0;
}

static int close_pipe(void **state)
{
    (void)state;
    syn_log_set_fd(2);
    return close(pipes[0]) | close(pipes[1]);
}

/* What was logged so far, the time stamps left in. */
static const char *get_logged(void)
{
    (void)!write(pipes[1], "", 1); /* so that reading never waits */
    ssize_t n = read(pipes[0], line, sizeof line - 1);
    assert_true(n > 0);
    line[n] = '\0';
    return line;
}

static void a_line_has_time_level_prefix_and_text(void **state)
{
    (void)state;
    syn_log_set_prefix("rank 3");
    SYN_WARN("loss is %d", 7);

    const char *logged = get_logged();
    assert_int_equal(logged[4], '-');
    assert_int_equal(logged[10], 'T');
    assert_int_equal(logged[23], 'Z');
    assert_string_equal(logged + 24, " WARN  rank 3: loss is 7\n");
}

static void lines_below_the_level_are_dropped(void **state)
{
    (void)state;
    SYN_DEBUG("hidden");
    assert_string_equal(get_logged(), "");
    syn_log_set_level(SYN_LOG_ERROR);
    SYN_WARN("hidden");
    assert_string_equal(get_logged(), "");
    SYN_ERROR("seen");
    assert_string_equal(get_logged() + 24, " ERROR seen\n");
    syn_log_set_level(SYN_LOG_DEBUG);
    SYN_DEBUG("seen");
    assert_string_equal(get_logged() + 24, " DEBUG seen\n");
}

static void a_line_too_long_is_cut_and_still_ends(void **state)
{
    (void)state;
    char text[6000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';

    SYN_INFO("%s", text);

    const char *logged = get_logged();
    size_t n = strlen(logged);
    assert_true(n > 4000 && n <= 4096);
    assert_int_equal(logged[n - 1], '\n');
    assert_int_equal(logged[n - 2], 'x');
}

static void a_long_prefix_is_cut(void **state)
{
    (void)state;
    char prefix[300];
    memset(prefix, 'p', sizeof prefix - 1);
    prefix[sizeof prefix - 1] = '\0';

    syn_log_set_prefix(prefix);
    SYN_INFO("text");

    const char *logged = get_logged();
    assert_true(strlen(logged) < 110);
    assert_non_null(strstr(logged, "text\n"));
}

static void logging_to_a_closed_descriptor_is_no_error(void **state)
{
    (void)state;
    syn_log_set_fd(-1);
    SYN_ERROR("nobody hears this");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_pipe, close_pipe)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_line_has_time_level_prefix_and_text),      TEST(lines_below_the_level_are_dropped),
        TEST(a_line_too_long_is_cut_and_still_ends),      TEST(a_long_prefix_is_cut),
        TEST(logging_to_a_closed_descriptor_is_no_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
