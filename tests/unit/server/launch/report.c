/* What is read out of mpirun's reports. The texts were printed by Open MPI 4.1.4. */
#include "server/launch/supervise.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void signal_report_names_rank_host_and_signal(void **state)
{
    (void)state;
    syn_launch_exit end = {0};

    syn_launch_parse_report(
        "training ...\n"
        "--------------------------------------------------------------------------\n"
        "mpirun noticed that process rank 1 with PID 0 on node node-7 exited on "
        "signal 9\n(Killed).\n"
        "--------------------------------------------------------------------------\n",
        &end);

    assert_true(end.rank_known);
    assert_int_equal(end.rank, 1);
    assert_int_equal(end.signal, 9);
    assert_string_equal(end.host, "node-7");
    assert_string_equal(end.message, "rank 1 on node-7 was killed by signal 9 (Killed)");
}

static void exit_code_report_names_the_rank(void **state)
{
    (void)state;
    syn_launch_exit end = {0};

    syn_launch_parse_report(
        "mpirun detected that one or more processes exited with non-zero status, "
        "thus causing\nthe job to be terminated. The first process to do so was:\n\n"
        "  Process name: [[51461,1],3]\n  Exit code:    7\n",
        &end);

    assert_true(end.rank_known);
    assert_int_equal(end.rank, 3);
    assert_int_equal(end.signal, 0);
    assert_string_equal(end.message, "rank 3 ended with exit code 7");
}

static void missing_slots_become_one_sentence(void **state)
{
    (void)state;
    syn_launch_exit end = {0};

    syn_launch_parse_report(
        "----\nThere are not enough slots available in the system to satisfy the 4\n"
        "slots that were requested by the application:\n\n  x\n\nEither request.\n",
        &end);

    assert_false(end.rank_known);
    assert_non_null(strstr(end.message,
                           "There are not enough slots available in the system to satisfy "
                           "the 4 slots"));
}

static void other_text_says_nothing(void **state)
{
    (void)state;
    syn_launch_exit end = {0};

    syn_launch_parse_report("", &end);
    syn_launch_parse_report("\xff\xfe noticed that process rank x Process name: [[", &end);

    assert_false(end.rank_known);
    assert_string_equal(end.message, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signal_report_names_rank_host_and_signal),
        cmocka_unit_test(exit_code_report_names_the_rank),
        cmocka_unit_test(missing_slots_become_one_sentence),
        cmocka_unit_test(other_text_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
