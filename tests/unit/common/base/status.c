/* Codes, names and the one recorded sentence of each thread. */
#include <syncline/status.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void codes_carry_the_numbers_and_names_of_grpc(void **state)
{
    (void)state;
    assert_int_equal(SYN_OK, 0);
    assert_int_equal(SYN_INVALID_ARGUMENT, 3);
    assert_int_equal(SYN_UNAUTHENTICATED, 16);
    assert_string_equal(syn_status_name(SYN_RESOURCE_EXHAUSTED), "RESOURCE_EXHAUSTED");
    assert_string_equal(syn_status_text(SYN_RESOURCE_EXHAUSTED), "resource exhausted");
    assert_string_equal(syn_status_name((syn_status)99), "UNKNOWN");
    assert_string_equal(syn_status_text((syn_status)99), "unknown status");
}

static void a_failure_records_its_sentence_and_returns_its_code(void **state)
{
    (void)state;
    syn_status status = SYN_FAIL(SYN_NOT_FOUND, "no %s at %d", "door", 7);

    assert_int_equal(status, SYN_NOT_FOUND);
    assert_string_equal(syn_error_message(), "no door at 7");
    syn_error_clear();
    assert_string_equal(syn_error_message(), "");
}

static void the_arguments_may_be_the_recorded_sentence(void **state)
{
    (void)state;
    (void)SYN_FAIL(SYN_UNKNOWN, "inner");
    (void)SYN_FAIL(SYN_UNKNOWN, "outer (%s)", syn_error_message());

    assert_string_equal(syn_error_message(), "outer (inner)");
}

static void context_goes_before_the_sentence(void **state)
{
    (void)state;
    (void)SYN_FAIL(SYN_DATA_LOSS, "cut off");

    assert_int_equal(syn_fail_context(SYN_DATA_LOSS, "rank %d", 3), SYN_DATA_LOSS);

    assert_string_equal(syn_error_message(), "rank 3: cut off");
}

static void sentences_longer_than_the_record_are_cut(void **state)
{
    (void)state;
    char text[6000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';

    (void)SYN_FAIL(SYN_UNKNOWN, "%s", text);
    assert_int_equal(strlen(syn_error_message()), 4095);
    (void)syn_fail_context(SYN_UNKNOWN, "here");
    assert_int_equal(strncmp(syn_error_message(), "here: xxx", 9), 0);
    assert_true(strlen(syn_error_message()) <= 4095);
    (void)syn_fail_context(SYN_UNKNOWN, "%s", text);
    assert_int_equal(strlen(syn_error_message()), 4095);
}

static void *fail_elsewhere(void *unused)
{
    (void)unused;
    (void)SYN_FAIL(SYN_UNKNOWN, "the other thread's");
    return NULL;
}

static void each_thread_has_its_own_sentence(void **state)
{
    (void)state;
    pthread_t thread;

    (void)SYN_FAIL(SYN_UNKNOWN, "mine");
    assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);

    assert_string_equal(syn_error_message(), "mine");
}

static syn_status try_it(syn_status inner, int *reached)
{
    SYN_TRY(inner);
    *reached = 1;
    return SYN_OK;
}

static syn_status goto_it(syn_status inner, int *cleaned)
{
    syn_status status = SYN_OK;
    SYN_GOTO(inner);
    *cleaned = 2;
out:
    *cleaned += 1;
    return status;
}

static void try_and_goto_pass_failures_up(void **state)
{
    (void)state;
    int reached = 0, cleaned = 0;

    assert_int_equal(try_it(SYN_ABORTED, &reached), SYN_ABORTED);
    assert_int_equal(reached, 0);
    assert_int_equal(try_it(SYN_OK, &reached), SYN_OK);
    assert_int_equal(reached, 1);
    assert_int_equal(goto_it(SYN_ABORTED, &cleaned), SYN_ABORTED);
    assert_int_equal(cleaned, 1);
    assert_int_equal(goto_it(SYN_OK, &cleaned), SYN_OK);
    assert_int_equal(cleaned, 3);
}

static void a_broken_invariant_ends_the_process_and_says_where(void **state)
{
    (void)state;
    int pipes[2], how;
    char text[256] = "";

    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        (void)signal(SIGABRT, SIG_DFL);
        (void)dup2(pipes[1], 2);
        SYN_BUG_ON(1 + 1 == 2);
        _exit(0);
    }
    (void)close(pipes[1]);
    assert_true(read(pipes[0], text, sizeof text - 1) > 0);
    assert_int_equal(waitpid(child, &how, 0), child);

    assert_true(WIFSIGNALED(how));
    assert_int_equal(WTERMSIG(how), SIGABRT);
    assert_non_null(strstr(text, "status.c:"));
    assert_non_null(strstr(text, "1 + 1 == 2"));
    (void)close(pipes[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_carry_the_numbers_and_names_of_grpc),
        cmocka_unit_test(a_failure_records_its_sentence_and_returns_its_code),
        cmocka_unit_test(the_arguments_may_be_the_recorded_sentence),
        cmocka_unit_test(context_goes_before_the_sentence),
        cmocka_unit_test(sentences_longer_than_the_record_are_cut),
        cmocka_unit_test(each_thread_has_its_own_sentence),
        cmocka_unit_test(try_and_goto_pass_failures_up),
        cmocka_unit_test(a_broken_invariant_ends_the_process_and_says_where),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
