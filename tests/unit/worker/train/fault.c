/* Failures on purpose happen only where and when the environment says. */
#include "worker/train/fault.h"

#include "tests/unit/worker/train/scratch.h"

#include <math.h>

static int set_up(void **state)
{
    (void)state;
    return setenv("SYNCLINE_TEST_KILL_RANK", "1", 1) || setenv("SYNCLINE_TEST_KILL_STEP", "7", 1) ||
           setenv("SYNCLINE_TEST_FAULT", "fail", 1) || unsetenv("SYNCLINE_TEST_EVERY_ATTEMPT");
}

static void only_the_named_rank_fails_in_the_named_step(void **state)
{
    double loss = 0;
    (void)state;

    assert_int_equal(syn_train_fault(0, 7, 1, &loss), SYN_OK);
    assert_int_equal(syn_train_fault(1, 6, 1, &loss), SYN_OK);
    assert_int_equal(syn_train_fault(1, 7, 1, &loss), SYN_INTERNAL);
    assert_non_null(strstr(syn_error_message(), "step 7"));
}

static void a_second_attempt_gets_past_it(void **state)
{
    double loss = 0;
    (void)state;

    assert_int_equal(syn_train_fault(1, 7, 2, &loss), SYN_OK);
    assert_int_equal(setenv("SYNCLINE_TEST_EVERY_ATTEMPT", "1", 1), 0);
    assert_int_equal(syn_train_fault(1, 7, 2, &loss), SYN_INTERNAL);
}

static void the_loss_can_become_nan(void **state)
{
    double loss = 1;
    (void)state;
    assert_int_equal(setenv("SYNCLINE_TEST_FAULT", "nan", 1), 0);

    assert_int_equal(syn_train_fault(1, 7, 1, &loss), SYN_OK);

    assert_true(isnan(loss));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(only_the_named_rank_fails_in_the_named_step, set_up),
        cmocka_unit_test_setup(a_second_attempt_gets_past_it, set_up),
        cmocka_unit_test_setup(the_loss_can_become_nan, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
