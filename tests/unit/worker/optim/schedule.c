/* Learning-rate schedules: the rates of chosen steps. */
#include "tests/unit/worker/optim/support.h"

static void a_constant_rate_stays(void **state)
{
    const syn_schedule schedule = {.type = SYN_CONSTANT, .lr = 0.3};
    (void)state;

    assert_near(syn_schedule_lr(&schedule, 0), 0.3, 0);
    assert_near(syn_schedule_lr(&schedule, 1000000), 0.3, 0);
}

static void a_step_rate_falls_every_so_many_steps(void **state)
{
    const syn_schedule schedule = {.type = SYN_STEP, .lr = 0.3, .step_size = 10, .gamma = 0.5};
    (void)state;

    assert_near(syn_schedule_lr(&schedule, 9), 0.3, 0);
    assert_near(syn_schedule_lr(&schedule, 10), 0.15, 1e-17);
    assert_near(syn_schedule_lr(&schedule, 39), 0.0375, 1e-17);
}

static void a_cosine_rate_warms_up_falls_and_stays(void **state)
{
    const syn_schedule schedule = {
        .type = SYN_WARMUP_COSINE, .lr = 0.003, .warmup = 5, .decay = 45, .min_lr = 0.0003};
    (void)state;

    assert_near(syn_schedule_lr(&schedule, 0), 0.0005, 1e-18);
    assert_near(syn_schedule_lr(&schedule, 4), 0.0025, 1e-18);
    assert_near(syn_schedule_lr(&schedule, 5), 0.003, 1e-18);
    assert_near(syn_schedule_lr(&schedule, 25), 0.00165, 1e-18);
    assert_near(syn_schedule_lr(&schedule, 45), 0.0003, 1e-18);
    assert_near(syn_schedule_lr(&schedule, 1000), 0.0003, 0);
}

static void empty_spans_do_not_divide_by_zero(void **state)
{
    const syn_schedule cosine = {
        .type = SYN_WARMUP_COSINE, .lr = 1, .warmup = 5, .decay = 5, .min_lr = 0.1};
    const syn_schedule step = {.type = SYN_STEP, .lr = 1, .gamma = 0.5};
    (void)state;

    assert_near(syn_schedule_lr(&cosine, 5), 1, 0);
    assert_near(syn_schedule_lr(&cosine, 6), 0.1, 0);
    assert_near(syn_schedule_lr(&step, 6), 1, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_constant_rate_stays),
        cmocka_unit_test(a_step_rate_falls_every_so_many_steps),
        cmocka_unit_test(a_cosine_rate_warms_up_falls_and_stays),
        cmocka_unit_test(empty_spans_do_not_divide_by_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
