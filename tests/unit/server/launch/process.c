/* Processes of this test itself and of a child in a session of its own. */
#include "server/launch/process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void start_time_is_stable_and_zero_for_no_process(void **state)
{
    (void)state;

    uint64_t first = syn_process_start_ticks(getpid());

    assert_true(first > 0);
    assert_int_equal(first, syn_process_start_ticks(getpid()));
    assert_int_equal(syn_process_start_ticks(0), 0);
    assert_int_equal(syn_process_start_ticks(0x7fffffff), 0);
}

static void zombie_counts_as_gone(void **state)
{
    (void)state;
    siginfo_t info;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    (void)waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT);

    assert_int_equal(syn_process_start_ticks(child), 0);
    (void)waitpid(child, NULL, 0);
}

static void session_is_signalled_except_the_spared(void **state)
{
    (void)state;
    int ready[2], status = 0;
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t leader = fork();
    if (leader == 0) {
        (void)setsid();
        if (fork() == 0)
            for (;;)
                (void)pause();
        (void)!write(ready[1], "", 1);
        (void)wait(&status);
        _exit(WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);

    unsigned n = syn_process_signal_session(leader, SIGKILL, leader);

    assert_int_equal(n, 1);
    assert_int_equal(waitpid(leader, &status, 0), leader);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), SIGKILL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start_time_is_stable_and_zero_for_no_process),
        cmocka_unit_test(zombie_counts_as_gone),
        cmocka_unit_test(session_is_signalled_except_the_spared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
