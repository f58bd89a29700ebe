/* Queue order and placement. */
#include "server/sched/queue.h"

#include "common/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <string.h>

enum { MAX = 8 };

static void place(const uint32_t *n_ranks, size_t n, syn_sched_cluster *cluster,
                  syn_sched_choice *choices)
{
    syn_sched_job jobs[MAX] = {0};
    for (size_t i = 0; i < n; i++)
        jobs[i] = (syn_sched_job){.number = i + 1, .n_ranks = n_ranks[i]};
    assert_int_equal(syn_sched_place(jobs, n, cluster, choices), SYN_OK);
}

static void higher_priority_goes_first_then_the_older_job(void **state)
{
    (void)state;
    syn_sched_job jobs[] = {{.number = 3},
                            {.number = 1},
                            {.number = 4, .priority = 5},
                            {.number = 2},
                            {.number = 5, .priority = -1}};

    syn_sched_sort(jobs, 5);

    const uint64_t expected[] = {4, 1, 2, 3, 5};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(jobs[i].number, expected[i]);
}

static void jobs_start_while_slots_last(void **state)
{
    (void)state;
    syn_sched_cluster c = {.local_slots = 4};
    syn_sched_choice choices[3];

    place((uint32_t[]){2, 2, 1}, 3, &c, choices);

    assert_int_equal(choices[0].verdict, SYN_SCHED_LOCAL);
    assert_int_equal(choices[1].verdict, SYN_SCHED_LOCAL);
    assert_int_equal(choices[2].verdict, SYN_SCHED_RESOURCES);
    assert_int_equal(c.local_used, 4);
}

static void a_small_job_does_not_overtake_a_large_one_that_could_use_its_slots(void **state)
{
    (void)state;
    syn_sched_cluster c = {.local_slots = 4, .local_used = 2};
    syn_sched_choice choices[2];

    place((uint32_t[]){4, 1}, 2, &c, choices);

    assert_int_equal(choices[0].verdict, SYN_SCHED_RESOURCES);
    assert_int_equal(choices[0].free_ranks, 2);
    assert_int_equal(choices[1].verdict, SYN_SCHED_BEHIND);
    assert_int_equal(choices[1].behind, 0);
}

static void a_small_job_starts_where_the_large_one_never_can(void **state)
{
    (void)state;
    bool idle[2] = {true, true};
    syn_sched_pool pool = {2, idle};
    syn_sched_cluster c = {.local_slots = 8, .local_used = 8, .pools = &pool, .n_pools = 1};
    syn_sched_choice choices[2];

    place((uint32_t[]){4, 2}, 2, &c, choices);

    assert_int_equal(choices[0].verdict, SYN_SCHED_RESOURCES);
    assert_int_equal(choices[1].verdict, SYN_SCHED_POOL);
    syn_free(choices[1].members);
}

static void pool_ranks_are_contiguous_where_possible_and_long_runs_stay_whole(void **state)
{
    (void)state;
    bool idle[] = {true, true, true, true, false, true, true, false};
    syn_sched_pool pool = {8, idle};
    syn_sched_cluster c = {.local_slots = -1, .pools = &pool, .n_pools = 1};
    syn_sched_choice choices[2];

    place((uint32_t[]){2, 4}, 2, &c, choices);

    assert_int_equal(choices[0].verdict, SYN_SCHED_POOL);
    assert_int_equal(choices[0].members[0], 5);
    assert_int_equal(choices[0].members[1], 6);
    assert_int_equal(choices[1].verdict, SYN_SCHED_POOL);
    for (uint32_t r = 0; r < 4; r++)
        assert_int_equal(choices[1].members[r], r);
    syn_free(choices[0].members);
    syn_free(choices[1].members);
}

static void scattered_ranks_are_taken_when_there_is_no_run(void **state)
{
    (void)state;
    bool idle[] = {true, false, true, false, true};
    syn_sched_pool pool = {5, idle};
    syn_sched_cluster c = {.local_slots = -1, .pools = &pool, .n_pools = 1};
    syn_sched_choice choice;

    place((uint32_t[]){3}, 1, &c, &choice);

    assert_int_equal(choice.verdict, SYN_SCHED_POOL);
    assert_int_equal(choice.members[0], 0);
    assert_int_equal(choice.members[1], 2);
    assert_int_equal(choice.members[2], 4);
    for (int r = 0; r < 5; r++)
        assert_false(idle[r]);
    syn_free(choice.members);
}

static void an_oversized_job_runs_alone_when_oversubscription_is_allowed(void **state)
{
    (void)state;
    syn_sched_choice choice;
    syn_sched_cluster busy = {.local_slots = 2, .local_used = 1, .oversubscribe = true};
    syn_sched_cluster idle = {.local_slots = 2, .oversubscribe = true};

    place((uint32_t[]){5}, 1, &busy, &choice);
    assert_int_equal(choice.verdict, SYN_SCHED_RESOURCES);
    place((uint32_t[]){5}, 1, &idle, &choice);
    assert_int_equal(choice.verdict, SYN_SCHED_LOCAL);
}

static void without_any_place_a_job_waits_and_blocks_nobody(void **state)
{
    (void)state;
    syn_sched_cluster none = {.local_slots = -1};
    syn_sched_cluster small = {.local_slots = 2};
    syn_sched_choice choices[2];

    place((uint32_t[]){2}, 1, &none, choices);
    assert_int_equal(choices[0].verdict, SYN_SCHED_NO_PLACE);
    place((uint32_t[]){3, 2}, 2, &small, choices);
    assert_int_equal(choices[0].verdict, SYN_SCHED_NO_PLACE);
    assert_int_equal(choices[1].verdict, SYN_SCHED_LOCAL);
}

static void an_impossible_number_of_ranks_is_refused_with_the_largest_that_fits(void **state)
{
    (void)state;
    syn_sched_pool pool = {6, NULL};
    syn_sched_cluster both = {.local_slots = 4, .pools = &pool, .n_pools = 1};
    syn_sched_cluster local = {.local_slots = 4};
    syn_sched_cluster none = {.local_slots = -1};

    assert_int_equal(syn_sched_check_ranks(&both, 6), SYN_OK);
    assert_int_equal(syn_sched_check_ranks(&both, 7), SYN_FAILED_PRECONDITION);
    assert_non_null(strstr(syn_error_message(), "7 ranks"));
    assert_non_null(strstr(syn_error_message(), "largest that fits is 6"));
    assert_int_equal(syn_sched_check_ranks(&local, 5), SYN_FAILED_PRECONDITION);
    assert_non_null(strstr(syn_error_message(), "largest that fits is 4"));
    assert_int_equal(syn_sched_check_ranks(&none, 1000), SYN_OK);
    assert_int_equal(syn_sched_check_ranks(&local, 0), SYN_INVALID_ARGUMENT);
}

static void every_failed_allocation_leaves_nothing_behind(void **state)
{
    (void)state;
    bool idle[4] = {true, true, true, true};
    for (long n = 1;; n++) {
        bool copy[4];
        memcpy(copy, idle, sizeof copy);
        syn_sched_pool pool = {4, copy};
        syn_sched_cluster c = {.local_slots = -1, .pools = &pool, .n_pools = 1};
        syn_sched_job jobs[2] = {{.number = 1, .n_ranks = 2}, {.number = 2, .n_ranks = 2}};
        syn_sched_choice choices[2];
        syn_mem_fail_after(n);
        syn_status status = syn_sched_place(jobs, 2, &c, choices);
        bool has_failed = syn_mem_has_failed();
        syn_mem_fail_after(0);
        if (!has_failed) {
            assert_int_equal(status, SYN_OK);
            syn_free(choices[0].members);
            syn_free(choices[1].members);
            break;
        }
        assert_int_equal(status, SYN_RESOURCE_EXHAUSTED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(higher_priority_goes_first_then_the_older_job),
        cmocka_unit_test(jobs_start_while_slots_last),
        cmocka_unit_test(a_small_job_does_not_overtake_a_large_one_that_could_use_its_slots),
        cmocka_unit_test(a_small_job_starts_where_the_large_one_never_can),
        cmocka_unit_test(pool_ranks_are_contiguous_where_possible_and_long_runs_stay_whole),
        cmocka_unit_test(scattered_ranks_are_taken_when_there_is_no_run),
        cmocka_unit_test(an_oversized_job_runs_alone_when_oversubscription_is_allowed),
        cmocka_unit_test(without_any_place_a_job_waits_and_blocks_nobody),
        cmocka_unit_test(an_impossible_number_of_ranks_is_refused_with_the_largest_that_fits),
        cmocka_unit_test(every_failed_allocation_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
