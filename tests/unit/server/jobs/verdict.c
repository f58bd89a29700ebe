/* What the end of an attempt means. */
#include "server/jobs/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <string.h>

static syn_launch_exit exit_with(int code)
{
    return (syn_launch_exit){.exit_code = code};
}

static syn_attempt_facts four_ranks(const syn_launch_exit *exit)
{
    return (syn_attempt_facts){.n_ranks = 4,
                               .n_registered = 4,
                               .launch_state = SYN_LAUNCH_EXITED,
                               .exit = exit,
                               .step = 12};
}

static syn_verdict judge(const syn_attempt_facts *facts)
{
    syn_verdict verdict;
    syn_attempt_judge(facts, &verdict);
    return verdict;
}

static void success_needs_rank_zero_and_the_launcher(void **state)
{
    (void)state;
    syn_launch_exit good = exit_with(0), bad = exit_with(1);
    syn_attempt_facts f = four_ranks(&good);
    f.rank0_succeeded = true;
    f.n_succeeded = 1;

    assert_int_equal(judge(&f).kind, SYN_VERDICT_SUCCEEDED);
    f.exit = &bad;
    assert_int_equal(judge(&f).kind, SYN_VERDICT_FAILED);
    f.n_succeeded = 4; /* all have said so: whatever the launcher thinks of its own end */
    assert_int_equal(judge(&f).kind, SYN_VERDICT_SUCCEEDED);
    f.rank0_succeeded = false;
    f.n_succeeded = 3;
    f.exit = &good;
    assert_int_equal(judge(&f).kind, SYN_VERDICT_FAILED);
}

static void a_launcher_that_we_had_to_end_does_not_undo_the_success(void **state)
{
    (void)state;
    syn_launch_exit killed = {.exit_code = 137, .signal = 9};
    syn_attempt_facts f = four_ranks(&killed);
    f.rank0_succeeded = f.was_killed = true;
    f.n_succeeded = 3;

    assert_int_equal(judge(&f).kind, SYN_VERDICT_SUCCEEDED);
    f.n_failed = 1;
    assert_int_not_equal(judge(&f).kind, SYN_VERDICT_SUCCEEDED);
}

static void a_ranks_own_error_comes_before_what_the_launcher_saw(void **state)
{
    (void)state;
    char message[] = "mnist/train-images: no such file", host[] = "node7";
    syn_job_failure failure = {.is_set = true,
                               .rank_known = true,
                               .rank = 3,
                               .step = 2,
                               .phase = SYN_PHASE_DATA_READ,
                               .host = host,
                               .message = message};
    syn_launch_exit killed = {.exit_code = 143, .signal = 15, .rank_known = true, .rank = 1};
    syn_attempt_facts f = four_ranks(&killed);
    f.failure = &failure;
    f.n_failed = 4;

    syn_verdict v = judge(&f);

    assert_int_equal(v.kind, SYN_VERDICT_FAILED);
    assert_int_equal(v.reason, SYN_REASON_EXIT_NON_ZERO);
    assert_string_equal(v.text, "rank 3: mnist/train-images: no such file");
    assert_int_equal(v.rank, 3);
    assert_string_equal(v.host, "node7");
}

static void a_killed_rank_is_named_with_all_that_is_known(void **state)
{
    (void)state;
    syn_launch_exit killed = {.exit_code = 137, .signal = 9, .rank_known = true, .rank = 2};
    syn_attempt_facts f = four_ranks(&killed);
    f.culprit_host = "node3";
    f.culprit_pid = 4711;
    f.culprit_step = 41;
    f.culprit_phase = SYN_PHASE_BACKWARD;

    syn_verdict v = judge(&f);

    assert_int_equal(v.kind, SYN_VERDICT_RECOVER);
    assert_int_equal(v.reason, SYN_REASON_SIGNAL);
    assert_string_equal(
        v.text,
        "rank 2 (node3, pid 4711) was killed by signal 9 (SIGKILL) in step 41, phase backward");
    assert_int_equal(v.step, 41);
    assert_int_equal(v.signal, 9);
    f.culprit_host = NULL;
    f.culprit_pid = 0;
    f.culprit_phase = SYN_PHASE_UNSPECIFIED;
    killed.rank_known = false;
    assert_string_equal(judge(&f).text, "a rank was killed by signal 9 (SIGKILL)");
}

static void infrastructure_is_told_from_the_users_errors(void **state)
{
    (void)state;
    syn_launch_exit one = {.exit_code = 1, .message = "mpirun found no slots"}, zero = {0};
    syn_attempt_facts early = four_ranks(&one), lost = four_ranks(NULL),
                      unstarted = four_ranks(NULL);
    syn_attempt_facts silent = four_ranks(&zero), stopped = four_ranks(&zero),
                      gone = four_ranks(&one);
    early.n_registered = 2;
    lost.launch_state = SYN_LAUNCH_LOST;
    unstarted.launch_error = "no mpirun";
    stopped.n_cancelled = 4;
    gone.lost_reason = SYN_REASON_NODE_LOST;
    gone.lost_text = "rank 1 has not been heard of for 60 s";

    syn_verdict v = judge(&early);
    assert_int_equal(v.kind, SYN_VERDICT_RECOVER);
    assert_int_equal(v.reason, SYN_REASON_LAUNCH_FAILED);
    assert_non_null(strstr(v.text, "2 of 4 ranks"));
    assert_non_null(strstr(v.text, "no slots"));
    assert_int_equal(judge(&lost).reason, SYN_REASON_NODE_LOST);
    assert_int_equal(judge(&lost).kind, SYN_VERDICT_RECOVER);
    assert_int_equal(judge(&unstarted).reason, SYN_REASON_LAUNCH_FAILED);
    assert_int_equal(judge(&stopped).kind, SYN_VERDICT_RECOVER);
    assert_int_equal(judge(&gone).reason, SYN_REASON_NODE_LOST);
    assert_string_equal(judge(&gone).text, gone.lost_text);
    assert_int_equal(judge(&silent).kind, SYN_VERDICT_FAILED); /* ended well and said nothing */
}

static void pools_have_no_launcher(void **state)
{
    (void)state;
    syn_attempt_facts f = {.n_ranks = 2, .n_registered = 2, .is_pooled = true};

    f.rank0_succeeded = true;
    f.n_succeeded = 2;
    assert_int_equal(judge(&f).kind, SYN_VERDICT_SUCCEEDED);
    f.n_succeeded = 1;
    f.n_failed = 1;
    assert_int_equal(judge(&f).kind, SYN_VERDICT_FAILED);
    f.rank0_succeeded = false;
    f.n_succeeded = f.n_failed = 0;
    f.n_cancelled = 2;
    assert_int_equal(judge(&f).kind, SYN_VERDICT_RECOVER);
}

static void restarts_are_counted_and_some_are_free(void **state)
{
    (void)state;
    syn_job_record r = {.restarts_allowed = 2, .restarts_used = 1};
    syn_retry retry;

    syn_retry_decide(&r, SYN_REASON_SIGNAL, 10, &retry);
    assert_true(retry.again && !retry.is_free);
    r.restarts_used = 2;
    syn_retry_decide(&r, SYN_REASON_SIGNAL, 10, &retry);
    assert_false(retry.again);
    assert_int_equal(retry.reason, SYN_REASON_SIGNAL);
    assert_non_null(strstr(retry.text, "2 of 2"));
    syn_retry_decide(&r, SYN_REASON_COORDINATOR_RECOVERED, 10, &retry);
    assert_true(retry.again && retry.is_free);
}

static void three_ends_at_one_step_are_a_crash_loop_and_launch_failures_are_none(void **state)
{
    (void)state;
    syn_job_record r = {.restarts_allowed = 100};
    syn_retry retry;
    for (int i = 1; i <= 3; i++) {
        syn_retry_decide(&r, SYN_REASON_SIGNAL, 7, &retry);
        r.n_failed_there = retry.n_failed_there;
        r.last_failed_step = 7;
        assert_int_equal(retry.again, i < 3);
    }
    assert_int_equal(retry.reason, SYN_REASON_CRASH_LOOP);

    syn_retry_decide(&r, SYN_REASON_SIGNAL, 8, &retry); /* it had got further */
    assert_true(retry.again);
    assert_int_equal(retry.n_failed_there, 1);
    r.last_failed_step = 0;
    syn_retry_decide(&r, SYN_REASON_LAUNCH_FAILED, 0, &retry);
    assert_true(retry.again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(success_needs_rank_zero_and_the_launcher),
        cmocka_unit_test(a_launcher_that_we_had_to_end_does_not_undo_the_success),
        cmocka_unit_test(a_ranks_own_error_comes_before_what_the_launcher_saw),
        cmocka_unit_test(a_killed_rank_is_named_with_all_that_is_known),
        cmocka_unit_test(infrastructure_is_told_from_the_users_errors),
        cmocka_unit_test(pools_have_no_launcher),
        cmocka_unit_test(restarts_are_counted_and_some_are_free),
        cmocka_unit_test(three_ends_at_one_step_are_a_crash_loop_and_launch_failures_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
