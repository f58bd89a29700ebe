/* Jobs on the ranks of a pool. */
#include "tests/unit/server/house.h"

static int setup(void **state)
{
    house *h = house_new();
    h->slots = -1;
    *state = h;
    return 0;
}

static int teardown(void **state)
{
    house_free(*state);
    return 0;
}

static void pool_start(house *h, rank *ranks, uint32_t n)
{
    for (uint32_t r = 0; r < n; r++) {
        ranks[r] = (rank){.house = h, .pool_id = "pool", .rank = r, .n_ranks = n};
        (void)snprintf(ranks[r].worker_id, sizeof ranks[r].worker_id, "p-%u", r);
        assert_int_equal(rank_register(&ranks[r]), SYN_OK);
        assert_false(ranks[r].has_assignment);
        rank_open(&ranks[r]);
        rank_report(&ranks[r], "", 0, 0, SYN_PHASE_UNSPECIFIED);
    }
}

static void wait_assigned(house *h, rank *r, int n)
{
    uint64_t start = uv_hrtime();
    while (r->n_assignments < n) {
        house_turn(h);
        if (uv_hrtime() - start > (uint64_t)GUARD_MS * 1000000u)
            fail_msg("rank %u has %d assignments, not %d", r->rank, r->n_assignments, n);
    }
}

/* The job that this pool rank was given is reported as running by it. */
static void report_running(rank *r)
{
    rank_report(r, r->assigned_job, r->assigned_epoch, 3, SYN_PHASE_FORWARD);
}

static uint32_t job_rank_of(const rank *r)
{
    for (uint32_t i = 0; i < r->n_members; i++)
        if (r->members[i] == r->rank)
            return i;
    fail_msg("rank %u is not among the members it was told", r->rank);
    return 0;
}

static void succeed(rank *r)
{
    assert_int_equal(rank_outcome(r, r->assigned_job, r->assigned_epoch, job_rank_of(r),
                                  SYN_JOB_SUCCEEDED, NULL),
                     SYN_OK);
}

static void a_job_waits_for_a_pool_and_starts_on_it(void **state)
{
    house *h = *state;
    rank ranks[2];
    char job_id[32];
    house_open(h);
    house_submit(h, 2, job_id);
    while (house_job(h, job_id)->reason == SYN_REASON_NONE)
        house_turn(h);
    assert_int_equal(house_job(h, job_id)->reason, SYN_REASON_RESOURCES);
    assert_string_equal(house_job(h, job_id)->reason_text, "waits for a pool of 2 ranks or more");

    pool_start(h, ranks, 2);
    for (int r = 0; r < 2; r++)
        wait_assigned(h, &ranks[r], 1);
    for (int r = 0; r < 2; r++)
        report_running(&ranks[r]);
    house_wait(h, job_id, SYN_JOB_RUNNING);
    assert_string_equal(house_job(h, job_id)->placement, "pool");
    for (int r = 0; r < 2; r++)
        succeed(&ranks[r]);
    house_wait(h, job_id, SYN_JOB_SUCCEEDED);

    assert_string_equal(house_job(h, job_id)->weights_sha256, "abc123");
    assert_int_equal(n_launches, 0);
    ranks_vanish(ranks, 2);
    house_close(h);
}

static void three_jobs_of_two_ranks_share_a_pool_of_four(void **state)
{
    house *h = *state;
    rank ranks[4];
    char ids[3][32];
    house_open(h);
    pool_start(h, ranks, 4);
    for (int i = 0; i < 3; i++)
        house_submit(h, 2, ids[i]);

    for (int r = 0; r < 4; r++)
        wait_assigned(h, &ranks[r], 1);
    /* two side by side, on neighbours, and the third behind them */
    assert_string_equal(ranks[0].assigned_job, ids[0]);
    assert_string_equal(ranks[1].assigned_job, ids[0]);
    assert_string_equal(ranks[2].assigned_job, ids[1]);
    assert_string_equal(ranks[3].assigned_job, ids[1]);
    assert_int_equal(job_rank_of(&ranks[3]), 1);
    assert_int_equal(house_job(h, ids[2])->state, SYN_JOB_QUEUED);
    for (int r = 0; r < 4; r++)
        report_running(&ranks[r]);
    house_wait(h, ids[0], SYN_JOB_RUNNING);
    house_wait(h, ids[1], SYN_JOB_RUNNING);

    succeed(&ranks[2]);
    succeed(&ranks[3]);
    wait_assigned(h, &ranks[2], 2);
    wait_assigned(h, &ranks[3], 2);
    assert_string_equal(ranks[2].assigned_job, ids[2]);
    assert_int_equal(house_job(h, ids[0])->state, SYN_JOB_RUNNING);
    for (int r = 0; r < 4; r++)
        succeed(&ranks[r]);
    for (int i = 0; i < 3; i++)
        house_wait(h, ids[i], SYN_JOB_SUCCEEDED);
    ranks_vanish(ranks, 4);
    house_close(h);
}

static void a_failure_in_one_job_leaves_the_other_and_the_pool_alone(void **state)
{
    house *h = *state;
    rank ranks[4];
    char ids[3][32];
    house_open(h);
    pool_start(h, ranks, 4);
    for (int i = 0; i < 2; i++)
        house_submit(h, 2, ids[i]);
    for (int r = 0; r < 4; r++)
        wait_assigned(h, &ranks[r], 1);

    (void)rank_outcome(&ranks[1], ids[0], 1, 1, SYN_JOB_FAILED, "the loss is NaN");
    (void)rank_outcome(&ranks[0], ids[0], 1, 0, SYN_JOB_FAILED, NULL);
    house_wait(h, ids[0], SYN_JOB_FAILED);

    assert_string_equal(house_job(h, ids[0])->reason_text, "rank 1: the loss is NaN");
    succeed(&ranks[2]);
    succeed(&ranks[3]);
    house_wait(h, ids[1], SYN_JOB_SUCCEEDED);
    house_submit(h, 4, ids[2]);
    for (int r = 0; r < 4; r++)
        wait_assigned(h, &ranks[r], 2);
    ranks_vanish(ranks, 4);
    house_close(h);
}

static void a_lost_pool_is_removed_and_its_jobs_wait_for_another(void **state)
{
    house *h = *state;
    rank ranks[2], fresh[2];
    char job_id[32];
    house_open(h);
    pool_start(h, ranks, 2);
    house_submit(h, 2, job_id);
    for (int r = 0; r < 2; r++) {
        wait_assigned(h, &ranks[r], 1);
        report_running(&ranks[r]);
    }
    house_wait(h, job_id, SYN_JOB_RUNNING);

    ranks_vanish(&ranks[1], 1);
    while (house_job(h, job_id)->attempt == 1)
        house_turn(h);

    assert_int_equal(house_job(h, job_id)->state, SYN_JOB_QUEUED);
    assert_non_null(strstr(house_job(h, job_id)->failure.message, "rank 1 (node1)"));
    while (!ranks[0].has_ended)
        house_turn(h);
    assert_true(ranks[0].has_leave);
    assert_int_equal(syn_cluster_n_pools(syn_jobs_cluster(h->jobs)), 0);
    pool_start(h, fresh, 2);
    wait_assigned(h, &fresh[0], 1);
    assert_int_equal(fresh[0].assigned_attempt, 2);
    ranks_vanish(fresh, 2);
    house_close(h);
}

static void a_session_that_comes_back_in_time_loses_nothing(void **state)
{
    house *h = *state;
    rank ranks[2];
    char job_id[32];
    h->grace_ms = 10000;
    house_open(h);
    pool_start(h, ranks, 2);
    house_submit(h, 2, job_id);
    for (int r = 0; r < 2; r++) {
        wait_assigned(h, &ranks[r], 1);
        report_running(&ranks[r]);
    }
    house_wait(h, job_id, SYN_JOB_RUNNING);

    ranks_vanish(&ranks[1], 1);
    assert_int_equal(rank_register(&ranks[1]), SYN_OK);
    rank_open(&ranks[1]);
    report_running(&ranks[1]);
    succeed(&ranks[0]);
    succeed(&ranks[1]);
    house_wait(h, job_id, SYN_JOB_SUCCEEDED);

    assert_int_equal(house_job(h, job_id)->attempt, 1);
    ranks_vanish(ranks, 2);
    house_close(h);
}

static void a_cancelled_job_gives_its_ranks_back(void **state)
{
    house *h = *state;
    rank ranks[2];
    char first[32], second[32];
    Syncline__V1__CancelJobRequest request = SYNCLINE__V1__CANCEL_JOB_REQUEST__INIT;
    h->grace_ms = 10000;
    house_open(h);
    pool_start(h, ranks, 2);
    house_submit(h, 2, first);
    house_submit(h, 2, second);
    for (int r = 0; r < 2; r++) {
        wait_assigned(h, &ranks[r], 1);
        report_running(&ranks[r]);
    }
    request.job_id = first;
    request.request_id = (char *)"c";

    syn_wire_free(house_call(h, &syn_rpc_jobs_cancel_job, &request.base, NULL, NULL));
    while (!ranks[0].has_stop || !ranks[1].has_stop)
        house_turn(h);
    assert_string_equal(ranks[0].stop_job, first);
    for (uint32_t r = 0; r < 2; r++)
        (void)rank_outcome(&ranks[r], first, 1, r, SYN_JOB_CANCELLED, NULL);
    house_wait(h, first, SYN_JOB_CANCELLED);

    wait_assigned(h, &ranks[1], 2);
    assert_string_equal(ranks[1].assigned_job, second);
    ranks_vanish(ranks, 2);
    house_close(h);
}

static void ranks_that_do_not_let_go_cost_the_pool(void **state)
{
    house *h = *state;
    rank ranks[2];
    char job_id[32];
    Syncline__V1__CancelJobRequest request = SYNCLINE__V1__CANCEL_JOB_REQUEST__INIT;
    house_open(h);
    pool_start(h, ranks, 2);
    house_submit(h, 2, job_id);
    for (int r = 0; r < 2; r++) {
        wait_assigned(h, &ranks[r], 1);
        report_running(&ranks[r]);
    }
    request.job_id = job_id;
    request.request_id = (char *)"c";

    syn_wire_free(house_call(h, &syn_rpc_jobs_cancel_job, &request.base, NULL, NULL));
    house_wait(h, job_id, SYN_JOB_CANCELLED);

    assert_int_equal(syn_cluster_n_pools(syn_jobs_cluster(h->jobs)), 0);
    while (!ranks[0].has_leave || !ranks[1].has_leave)
        house_turn(h);
    ranks_vanish(ranks, 2);
    house_close(h);
}

static void the_pool_and_its_job_survive_the_coordinator(void **state)
{
    house *h = *state;
    rank ranks[2];
    char job_id[32];
    h->grace_ms = 10000;
    house_open(h);
    pool_start(h, ranks, 2);
    house_submit(h, 2, job_id);
    for (int r = 0; r < 2; r++) {
        wait_assigned(h, &ranks[r], 1);
        report_running(&ranks[r]);
    }
    house_wait(h, job_id, SYN_JOB_RUNNING);

    house_close(h);
    house_open(h);
    assert_int_equal(house_job(h, job_id)->state, SYN_JOB_RUNNING);
    for (int r = 0; r < 2; r++) {
        assert_int_equal(rank_register(&ranks[r]), SYN_OK);
        rank_open(&ranks[r]);
        report_running(&ranks[r]);
    }
    succeed(&ranks[0]);
    succeed(&ranks[1]);
    house_wait(h, job_id, SYN_JOB_SUCCEEDED);

    assert_int_equal(house_job(h, job_id)->attempt, 1);
    assert_int_equal(ranks[0].n_assignments, 1);
    ranks_vanish(ranks, 2);
    house_close(h);
}

static void a_pool_that_does_not_come_back_is_lost(void **state)
{
    house *h = *state;
    rank ranks[1];
    char job_id[32];
    house_open(h);
    pool_start(h, ranks, 1);
    house_submit(h, 1, job_id);
    wait_assigned(h, &ranks[0], 1);
    report_running(&ranks[0]);
    house_wait(h, job_id, SYN_JOB_RUNNING);
    house_close(h);

    h->lost_ms = 40;
    house_open(h);
    while (house_job(h, job_id)->attempt == 1)
        house_turn(h);

    assert_int_equal(house_job(h, job_id)->failure.is_set, true);
    ranks_vanish(ranks, 1);
    house_close(h);
}

static void an_incomplete_pool_gets_no_job(void **state)
{
    house *h = *state;
    rank one = {.house = h, .worker_id = "p-0", .pool_id = "pool", .n_ranks = 2};
    char job_id[32];
    house_open(h);
    assert_int_equal(rank_register(&one), SYN_OK);
    rank_open(&one);
    rank_report(&one, "", 0, 0, SYN_PHASE_UNSPECIFIED);

    house_submit(h, 1, job_id);
    for (int i = 0; i < 20; i++)
        house_turn(h);

    assert_int_equal(house_job(h, job_id)->state, SYN_JOB_QUEUED);
    assert_false(one.has_assignment);
    ranks_vanish(&one, 1);
    house_close(h);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_job_waits_for_a_pool_and_starts_on_it),
        TEST(three_jobs_of_two_ranks_share_a_pool_of_four),
        TEST(a_failure_in_one_job_leaves_the_other_and_the_pool_alone),
        TEST(a_lost_pool_is_removed_and_its_jobs_wait_for_another),
        TEST(a_session_that_comes_back_in_time_loses_nothing),
        TEST(a_cancelled_job_gives_its_ranks_back),
        TEST(ranks_that_do_not_let_go_cost_the_pool),
        TEST(the_pool_and_its_job_survive_the_coordinator),
        TEST(a_pool_that_does_not_come_back_is_lost),
        TEST(an_incomplete_pool_gets_no_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
