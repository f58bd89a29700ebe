/* A hang has a name. */
#include "server/jobs/stall.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

enum { N = 8 };
#define SECONDS(s) ((uint64_t)(s)*1000000000u)

typedef struct scene {
    syn_worker workers[N];
    const syn_worker *ranks[N];
    char host[8], text[512];
    uint32_t first;
} scene;

/* Eight ranks in step 812 that wait in step 812, collective 37, bucket 3 (conv4.weight) and have
 * reported just now, at second 100. */
static void prepare(scene *s)
{
    *s = (scene){.host = "node3"};
    for (uint32_t r = 0; r < N; r++) {
        s->workers[r] =
            (syn_worker){.host = s->host,
                         .pid = 100 + r,
                         .contact_ns = SECONDS(100),
                         .phase_change_ns = SECONDS(65),
                         .status = {.step = 812, .collective = 37, .phase = SYN_PHASE_COMMUNICATE}};
        (void)snprintf(s->workers[r].label, sizeof s->workers[r].label, "bucket 3 (conv4.weight)");
        s->ranks[r] = &s->workers[r];
    }
}

static bool describe(scene *s)
{
    return syn_stall_describe(s->ranks, N, SECONDS(100), SECONDS(30), s->text, sizeof s->text,
                              &s->first);
}

static void the_rank_that_is_not_waiting_is_the_culprit(void **state)
{
    scene s;
    (void)state;
    prepare(&s);
    s.workers[5].status =
        (syn_rank_status){.step = 812, .collective = 36, .phase = SYN_PHASE_DATA_READ};

    assert_true(describe(&s));

    assert_string_equal(
        s.text, "rank 5 (node3, pid 105) has been in data_read of step 812 for 35 s; "
                "ranks 0-4, 6 and 7 wait in step 812, collective 37, bucket 3 (conv4.weight)");
    assert_int_equal(s.first, 5);
}

static void a_rank_that_moves_is_no_stall(void **state)
{
    scene s;
    (void)state;
    prepare(&s);
    s.workers[2].phase_change_ns = SECONDS(71);

    assert_false(describe(&s));
}

static void ranks_that_wait_for_each_other_are_all_named(void **state)
{
    scene s;
    (void)state;
    prepare(&s);

    assert_true(describe(&s));

    assert_string_equal(s.text, "ranks 0-7 have been in communicate of step 812 for 35 s");
}

static void a_rank_that_reports_nothing_is_told_from_one_that_does_not_move(void **state)
{
    scene s;
    (void)state;
    prepare(&s);
    s.workers[0].status =
        (syn_rank_status){.step = 811, .collective = 30, .phase = SYN_PHASE_BACKWARD};
    s.workers[0].contact_ns = SECONDS(60);

    assert_true(describe(&s));

    assert_string_equal(
        s.text,
        "rank 0 (node3, pid 100) has not reported for 40 s, last from "
        "backward of step 811; ranks 1-7 wait in step 812, collective 37, bucket 3 (conv4.weight)");
}

static void two_culprits_are_two(void **state)
{
    scene s;
    (void)state;
    prepare(&s);
    for (uint32_t r = 3; r < 5; r++)
        s.workers[r].status = (syn_rank_status){.step = 811, .phase = SYN_PHASE_FORWARD};
    s.workers[7].status.phase = SYN_PHASE_EVALUATE; /* further than they are */

    assert_true(describe(&s));

    assert_string_equal(
        s.text, "ranks 3 and 4 have been in forward of step 811 for 35 s; "
                "ranks 0-2 and 5-7 wait in step 812, collective 37, bucket 3 (conv4.weight)");
}

static void unknown_ranks_are_left_out(void **state)
{
    scene s;
    (void)state;
    prepare(&s);
    for (uint32_t r = 1; r < N; r++)
        s.ranks[r] = NULL;

    assert_true(describe(&s));
    assert_string_equal(s.text,
                        "rank 0 (node3, pid 100) has been in communicate of step 812 for 35 s");
    s.ranks[0] = NULL;
    assert_false(describe(&s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rank_that_is_not_waiting_is_the_culprit),
        cmocka_unit_test(a_rank_that_moves_is_no_stall),
        cmocka_unit_test(ranks_that_wait_for_each_other_are_all_named),
        cmocka_unit_test(a_rank_that_reports_nothing_is_told_from_one_that_does_not_move),
        cmocka_unit_test(two_culprits_are_two),
        cmocka_unit_test(unknown_ranks_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
