/* The mailbox between the step loop and whoever watches it. */
#include "worker/train/monitor.h"

#include "tests/unit/worker/train/scratch.h"

static void what_is_published_is_read_with_the_phase_that_was_entered(void **state)
{
    syn_train_monitor monitor;
    syn_train_status now;
    (void)state;
    syn_train_monitor_init(&monitor);

    syn_train_monitor_enter(&monitor, SYN_PHASE_BACKWARD);
    syn_train_monitor_publish(&monitor, &(syn_train_status){.step = 7, .train_loss = 0.5});
    syn_train_monitor_read(&monitor, &now);

    assert_int_equal(now.step, 7);
    assert_true(now.train_loss == 0.5);
    assert_int_equal(now.phase, SYN_PHASE_BACKWARD);
    assert_true(now.since_ns > 0);
    syn_train_monitor_release(&monitor);
}

static void the_strongest_request_to_stop_wins(void **state)
{
    syn_train_monitor monitor;
    (void)state;
    syn_train_monitor_init(&monitor);

    syn_train_monitor_ask_abandon(&monitor);
    syn_train_monitor_ask_stop(&monitor, "cancelled by its owner");
    syn_train_monitor_ask_stop_by_signal(&monitor, 15);

    assert_int_equal(atomic_load(&monitor.stop), SYN_STOP_ABANDON);
    syn_train_monitor_release(&monitor);
}

static void the_reason_is_that_of_the_strongest_request(void **state)
{
    syn_train_monitor monitor;
    char text[SYN_STOP_TEXT_BYTES];
    (void)state;
    syn_train_monitor_init(&monitor);

    syn_train_monitor_read_stop(&monitor, text);
    assert_string_equal(text, "");
    syn_train_monitor_ask_stop_by_signal(&monitor, 15);
    syn_train_monitor_read_stop(&monitor, text);
    assert_string_equal(text, "SIGTERM");
    syn_train_monitor_ask_stop(&monitor, "cancelled by its owner");
    syn_train_monitor_read_stop(&monitor, text);
    assert_string_equal(text, "cancelled by its owner");
    syn_train_monitor_ask_abandon(&monitor);
    syn_train_monitor_read_stop(&monitor, text);
    assert_string_equal(text, "");

    syn_train_monitor_release(&monitor);
}

static void a_reset_forgets_status_and_requests(void **state)
{
    syn_train_monitor monitor;
    syn_train_status now;
    (void)state;
    syn_train_monitor_init(&monitor);
    syn_train_monitor_enter(&monitor, SYN_PHASE_FORWARD);
    syn_train_monitor_ask_stop(&monitor, "x");
    syn_train_monitor_ask_checkpoint(&monitor);

    syn_train_monitor_reset(&monitor);

    syn_train_monitor_read(&monitor, &now);
    assert_int_equal(now.phase, SYN_PHASE_NONE);
    assert_true(now.eta_s < 0);
    assert_int_equal(atomic_load(&monitor.stop), SYN_STOP_NONE);
    assert_int_equal(atomic_load(&monitor.checkpoint), 0);
    syn_train_monitor_release(&monitor);
}

static void phases_have_names(void **state)
{
    (void)state;

    assert_string_equal(syn_phase_name(SYN_PHASE_DATA_READ), "data_read");
    assert_string_equal(syn_phase_name(SYN_PHASE_FINISHED), "finished");
    assert_string_equal(syn_phase_name((syn_phase)99), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_published_is_read_with_the_phase_that_was_entered),
        cmocka_unit_test(the_strongest_request_to_stop_wins),
        cmocka_unit_test(the_reason_is_that_of_the_strongest_request),
        cmocka_unit_test(a_reset_forgets_status_and_requests),
        cmocka_unit_test(phases_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
