/* The table of states. */
#include "server/sched/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <string.h>

static void a_terminal_state_is_never_left(void **state)
{
    (void)state;
    for (int from = 0; from < SYN_JOB_N_STATES; from++)
        for (int to = 0; to < SYN_JOB_N_STATES; to++)
            if (syn_job_state_is_terminal((syn_job_state)from))
                assert_false(syn_job_state_may_go((syn_job_state)from, (syn_job_state)to));
}

static void no_state_follows_itself_and_none_becomes_unspecified(void **state)
{
    (void)state;
    for (int s = 0; s < SYN_JOB_N_STATES; s++) {
        assert_false(syn_job_state_may_go((syn_job_state)s, (syn_job_state)s));
        assert_false(syn_job_state_may_go((syn_job_state)s, SYN_JOB_UNSPECIFIED));
    }
}

/* States reachable from `from`, as bits. */
static unsigned reach(syn_job_state from)
{
    unsigned seen = 1u << from, before = 0;
    while (seen != before) {
        before = seen;
        for (int s = 0; s < SYN_JOB_N_STATES; s++)
            for (int to = 0; to < SYN_JOB_N_STATES; to++)
                if ((seen >> s & 1u) && syn_job_state_may_go((syn_job_state)s, (syn_job_state)to))
                    seen |= 1u << to;
    }
    return seen;
}

static void every_state_is_reached_and_every_job_can_be_cancelled(void **state)
{
    (void)state;
    assert_int_equal(reach(SYN_JOB_UNSPECIFIED), (1u << SYN_JOB_N_STATES) - 1);
    for (int s = SYN_JOB_QUEUED; s <= SYN_JOB_DRAINING; s++)
        assert_true(reach((syn_job_state)s) >> SYN_JOB_CANCELLED & 1u);
}

static void success_follows_only_running(void **state)
{
    (void)state;
    for (int s = 0; s < SYN_JOB_N_STATES; s++)
        assert_int_equal(syn_job_state_may_go((syn_job_state)s, SYN_JOB_SUCCEEDED),
                         s == SYN_JOB_RUNNING);
}

static void live_waiting_and_terminal_states_are_apart(void **state)
{
    (void)state;
    for (int s = SYN_JOB_QUEUED; s < SYN_JOB_N_STATES; s++) {
        bool waits = s == SYN_JOB_QUEUED || s == SYN_JOB_HELD;
        assert_int_equal(waits + syn_job_state_is_live((syn_job_state)s) +
                             syn_job_state_is_terminal((syn_job_state)s),
                         1);
    }
}

static void numbers_outside_the_lists_have_a_name(void **state)
{
    (void)state;
    assert_string_equal(syn_job_state_name((syn_job_state)99), "UNSPECIFIED");
    assert_string_equal(syn_job_state_name(SYN_JOB_TIMED_OUT), "TIMED_OUT");
    assert_string_equal(syn_reason_name((syn_reason)-1), "");
    assert_string_equal(syn_reason_name(SYN_REASON_CRASH_LOOP), "CrashLoop");
    assert_string_equal(syn_phase_name((syn_phase)1000), "unknown");
    assert_string_equal(syn_phase_name(SYN_PHASE_DATA_READ), "data_read");
    assert_false(syn_job_state_may_go((syn_job_state)99, SYN_JOB_QUEUED));
    assert_false(syn_job_state_may_go(SYN_JOB_QUEUED, (syn_job_state)99));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_terminal_state_is_never_left),
        cmocka_unit_test(no_state_follows_itself_and_none_becomes_unspecified),
        cmocka_unit_test(every_state_is_reached_and_every_job_can_be_cancelled),
        cmocka_unit_test(success_follows_only_running),
        cmocka_unit_test(live_waiting_and_terminal_states_are_apart),
        cmocka_unit_test(numbers_outside_the_lists_have_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
