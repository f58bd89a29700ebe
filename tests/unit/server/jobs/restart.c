/* The coordinator dies and starts again: what was running, waiting, ending goes on. */
#include "tests/unit/server/house.h"

static int setup(void **state)
{
    *state = house_new();
    return 0;
}

static int teardown(void **state)
{
    house_free(*state);
    return 0;
}

static void run_job(house *h, uint32_t n_ranks, char job_id[32], rank *ranks)
{
    int before = n_launches;
    house_submit(h, n_ranks, job_id);
    house_wait_launch(h, before + 1);
    ranks_start(h, n_launches - 1, ranks, job_id);
    for (uint32_t r = 0; r < n_ranks; r++)
        rank_report(&ranks[r], job_id, launches[n_launches - 1].epoch, 5, SYN_PHASE_FORWARD);
    house_wait(h, job_id, SYN_JOB_RUNNING);
}

static void come_back(rank *r, uint64_t step)
{
    assert_int_equal(rank_register(r), SYN_OK);
    rank_open(r);
    rank_report(r, r->job_id, r->epoch, step, SYN_PHASE_FORWARD);
}

static void a_running_job_goes_on_with_the_same_ranks(void **state)
{
    house *h = *state;
    rank ranks[2];
    char job_id[32];
    house_open(h);
    run_job(h, 2, job_id, ranks);

    house_close(h);
    house_open(h);
    assert_int_equal(house_job(h, job_id)->state, SYN_JOB_RUNNING);
    come_back(&ranks[0], 7);
    come_back(&ranks[1], 7);
    while (house_job(h, job_id)->progress.step != 7)
        house_turn(h);
    ranks_succeed(ranks, 2, job_id, 1);
    end_launch(0, 0);
    house_wait(h, job_id, SYN_JOB_SUCCEEDED);

    assert_int_equal(n_launches, 1);
    assert_int_equal(house_job(h, job_id)->attempt, 1);
    assert_int_equal(syn_jobs_get_stats(h->jobs)->by_state[SYN_JOB_SUCCEEDED], 1);
    assert_int_equal(syn_jobs_get_stats(h->jobs)->by_state[SYN_JOB_RUNNING], 0);
    ranks_vanish(ranks, 2);
    house_close(h);
}

static void waiting_and_ended_jobs_are_as_they_were(void **state)
{
    house *h = *state;
    rank ranks[4];
    char first[32], second[32], third[32];
    house_open(h);
    run_job(h, 4, first, ranks);
    house_submit(h, 2, second);
    house_submit(h, 1, third);
    ranks_succeed(ranks, 4, first, 1);
    end_launch(0, 0);
    house_wait(h, first, SYN_JOB_SUCCEEDED);
    house_wait_launch(h, 3);
    end_launch(1, 1);
    end_launch(2, 1);
    int64_t ended_ns = house_job(h, first)->ended_ns;

    house_close(h);
    house_open(h);

    assert_int_equal(house_job(h, first)->state, SYN_JOB_SUCCEEDED);
    assert_int_equal(house_job(h, first)->ended_ns, ended_ns);
    assert_string_equal(house_job(h, first)->weights_sha256, "abc123");
    assert_true(house_job(h, first)->metrics[0].value == 0.97);
    assert_int_equal(syn_job_event_at(syn_jobs_find(h->jobs, first), 4)->to, SYN_JOB_SUCCEEDED);
    char fourth[32];
    house_submit(h, 1, fourth);
    assert_string_equal(fourth, "j-000004");
    ranks_vanish(ranks, 4);
    house_close(h);
}

static void a_launch_that_was_not_recorded_is_found_by_its_tag(void **state)
{
    house *h = *state;
    rank ranks[1];
    char job_id[32];
    house_open(h);
    house_submit(h, 1, job_id);
    house_wait_launch(h, 1);
    /* The coordinator dies now, with LAUNCHING committed and the supervisor running; the handle is
     * lost with the row. */
    house_close(h);
    char command[200];
    (void)snprintf(command, sizeof command,
                   "sqlite3 %s/coordinator.db 'DELETE FROM launches' 2>/dev/null", h->dir);
    if (system(command) != 0)
        skip();

    house_open(h);
    ranks_start(h, 0, ranks, "a");
    ranks_succeed(ranks, 1, job_id, 1);
    end_launch(0, 0);
    house_wait(h, job_id, SYN_JOB_SUCCEEDED);

    assert_int_equal(n_launches, 1);
    ranks_vanish(ranks, 1);
    house_close(h);
}

static void an_end_that_nobody_saw_is_taken_from_the_ranks_files(void **state)
{
    house *h = *state;
    rank ranks[2];
    char job_id[32], path[400];
    house_open(h);
    run_job(h, 2, job_id, ranks);
    house_close(h);

    for (int r = 0; r < 2; r++) {
        char text[600];
        (void)snprintf(path, sizeof path, "%s/attempt-1", ranks[0].run_dir);
        assert_int_equal(syn_dir_make(path), SYN_OK);
        (void)snprintf(path, sizeof path, "%s/attempt-1/outcome-rank%d.json", ranks[0].run_dir, r);
        (void)snprintf(text, sizeof text,
                       "{\"job_id\":\"%s\",\"epoch\":1,\"rank\":%d,\"state\":\"SUCCEEDED\","
                       "\"failure\":null,\"metrics\":{\"test_accuracy\":0.5,\"odd\":null},"
                       "\"weights_sha256\":\"fe\",\"steps\":99,\"elapsed_s\":1.5}",
                       job_id, r);
        assert_int_equal(syn_file_write_atomic(path, text, strlen(text)), SYN_OK);
    }
    end_launch(0, 0);
    house_open(h);
    house_wait(h, job_id, SYN_JOB_SUCCEEDED);

    assert_string_equal(house_job(h, job_id)->weights_sha256, "fe");
    assert_int_equal(house_job(h, job_id)->steps, 99);
    assert_true(house_job(h, job_id)->metrics[0].value == 0.5);
    house_close(h);
}

static void a_failure_that_nobody_saw_is_taken_from_the_ranks_files(void **state)
{
    house *h = *state;
    rank ranks[1];
    char job_id[32], path[400], text[600];
    house_open(h);
    run_job(h, 1, job_id, ranks);
    house_close(h);

    (void)snprintf(path, sizeof path, "%s/attempt-1", ranks[0].run_dir);
    assert_int_equal(syn_dir_make(path), SYN_OK);
    (void)snprintf(path, sizeof path, "%s/attempt-1/outcome-rank0.json", ranks[0].run_dir);
    (void)snprintf(text, sizeof text,
                   "{\"job_id\":\"%s\",\"epoch\":1,\"rank\":0,\"state\":\"FAILED\",\"failure\":"
                   "{\"rank\":0,\"host\":\"n\",\"signal\":0,\"exit_code\":1,\"step\":3,"
                   "\"phase\":\"data_read\",\"message\":\"cannot open x\"},\"metrics\":{}}",
                   job_id);
    assert_int_equal(syn_file_write_atomic(path, text, strlen(text)), SYN_OK);
    end_launch(0, 1);
    house_open(h);
    house_wait(h, job_id, SYN_JOB_FAILED);

    assert_string_equal(house_job(h, job_id)->reason_text, "rank 0: cannot open x");
    assert_int_equal(house_job(h, job_id)->failure.phase, SYN_PHASE_DATA_READ);
    house_close(h);
}

static void a_failure_that_was_acknowledged_is_the_cause_after_a_restart(void **state)
{
    house *h = *state;
    rank ranks[2];
    char job_id[32];
    h->grace_ms = 10000;
    house_open(h);
    run_job(h, 2, job_id, ranks);
    assert_int_equal(rank_outcome(&ranks[1], job_id, 1, 1, SYN_JOB_FAILED, "the loss is NaN"),
                     SYN_OK);
    house_close(h);

    end_launch(0, 1);
    house_open(h);
    house_wait(h, job_id, SYN_JOB_FAILED);

    assert_string_equal(house_job(h, job_id)->reason_text, "rank 1: the loss is NaN");
    assert_int_equal(syn_jobs_get_stats(h->jobs)->recovered_ended, 1);
    house_close(h);
}

static void a_running_job_whose_launch_is_nowhere_is_tried_again(void **state)
{
    house *h = *state;
    rank ranks[1];
    char job_id[32], command[200];
    house_open(h);
    run_job(h, 1, job_id, ranks);
    house_close(h);
    (void)snprintf(command, sizeof command,
                   "sqlite3 %s/coordinator.db 'DELETE FROM launches' 2>/dev/null", h->dir);
    if (system(command) != 0)
        skip();
    launches[0].is_on_disk = false;

    house_open(h);
    house_wait_launch(h, 2);

    assert_int_equal(launches[1].attempt, 2);
    assert_int_equal(syn_jobs_get_stats(h->jobs)->recovered_requeued, 1);
    house_close(h);
}

static void junk_in_an_outcome_file_harms_nothing(void **state)
{
    house *h = *state;
    rank ranks[1];
    char job_id[32], path[400];
    static const char *const junk[] = {
        "",
        "{",
        "[1]",
        "{\"state\":7}",
        "{\"state\":\"SUCCEEDED\",\"epoch\":2,\"rank\":0}",
        "{\"job_id\":\"j-000001\",\"epoch\":1,\"rank\":0,\"state\":\"RUNNING\"}",
        "{\"job_id\":\"j-000001\",\"epoch\":-1,\"rank\":\"x\",\"state\":\"SUCCEEDED\",\"metrics\":["
        "]}"};
    for (size_t i = 0; i < sizeof junk / sizeof *junk; i++) {
        house_open(h);
        run_job(h, 1, job_id, ranks);
        house_close(h);
        (void)snprintf(path, sizeof path, "%s/attempt-1", ranks[0].run_dir);
        assert_int_equal(syn_dir_make(path), SYN_OK);
        (void)snprintf(path, sizeof path, "%s/attempt-1/outcome-rank0.json", ranks[0].run_dir);
        assert_int_equal(syn_file_write_atomic(path, junk[i], strlen(junk[i])), SYN_OK);
        end_launch(n_launches - 1, 0);
        house_open(h);
        house_wait(h, job_id, SYN_JOB_FAILED);
        assert_int_equal(house_job(h, job_id)->reason, SYN_REASON_EXIT_NON_ZERO);
        house_close(h);
    }
}

static void a_launch_that_vanished_with_its_machine_is_tried_again(void **state)
{
    house *h = *state;
    rank ranks[1];
    char job_id[32];
    house_open(h);
    run_job(h, 1, job_id, ranks);
    house_close(h);

    launches[0].state = SYN_LAUNCH_LOST;
    house_open(h);
    house_wait_launch(h, 2);

    assert_int_equal(launches[1].attempt, 2);
    assert_int_equal(launches[1].epoch, 2);
    assert_int_equal(house_job(h, job_id)->failure.is_set, true);
    house_close(h);
}

static void a_cancelled_job_does_not_come_back(void **state)
{
    house *h = *state;
    rank ranks[1];
    char job_id[32];
    Syncline__V1__CancelJobRequest request = SYNCLINE__V1__CANCEL_JOB_REQUEST__INIT;
    h->grace_ms = 10000;
    house_open(h);
    run_job(h, 1, job_id, ranks);
    request.job_id = job_id;
    request.request_id = (char *)"c";
    syn_wire_free(house_call(h, &syn_rpc_jobs_cancel_job, &request.base, NULL, NULL));
    house_close(h);

    h->grace_ms = 50;
    house_open(h);
    assert_int_equal(house_job(h, job_id)->state, SYN_JOB_DRAINING);
    ranks[0].has_stop = false;
    come_back(&ranks[0], 6);
    house_wait(h, job_id, SYN_JOB_CANCELLED);

    assert_int_equal(n_launches, 1);
    assert_true(launches[0].n_terms > 0);
    ranks_vanish(ranks, 1);
    house_close(h);
}

static void outcomes_that_were_acknowledged_are_not_asked_for_again(void **state)
{
    house *h = *state;
    rank ranks[2];
    char job_id[32];
    house_open(h);
    run_job(h, 2, job_id, ranks);
    ranks_succeed(ranks, 2, job_id, 1);
    house_close(h);

    end_launch(0, 0);
    house_open(h);
    house_wait(h, job_id, SYN_JOB_SUCCEEDED);

    assert_string_equal(house_job(h, job_id)->weights_sha256, "abc123");
    house_close(h);
}

static void many_jobs_are_read_back_quickly(void **state)
{
    house *h = *state;
    enum { N = 2000 };
    static answer answers[N];
    Syncline__V1__SubmitJobRequest request = SYNCLINE__V1__SUBMIT_JOB_REQUEST__INIT;
    h->slots = -1;
    house_open(h);
    request.job_file = as_bytes(job_file);
    for (int i = 0; i < N; i++) {
        char id[32];
        (void)snprintf(id, sizeof id, "many-%d", i);
        request.request_id = id;
        assert_int_equal(syn_rpc_client_unary(h->channel, &syn_rpc_jobs_submit_job, &request.base,
                                              0, on_answer, &answers[i]),
                         SYN_OK);
        while (i >= 50 && !answers[i - 50].has_come)
            house_turn(h);
    }
    for (int i = 0; i < N; i++) {
        while (!answers[i].has_come)
            house_turn(h);
        assert_int_equal(answers[i].status, SYN_OK);
        syn_wire_free(answers[i].reply);
    }

    house_close(h);
    uint64_t start = uv_hrtime();
    house_open(h);
    print_message("%d jobs were read back in %.3f s\n", N, (double)(uv_hrtime() - start) * 1e-9);

    assert_int_equal(syn_jobs_last_number(h->jobs), N);
    assert_int_equal(syn_jobs_get_stats(h->jobs)->by_state[SYN_JOB_QUEUED], N);
    house_close(h);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_running_job_goes_on_with_the_same_ranks),
        TEST(waiting_and_ended_jobs_are_as_they_were),
        TEST(a_launch_that_was_not_recorded_is_found_by_its_tag),
        TEST(an_end_that_nobody_saw_is_taken_from_the_ranks_files),
        TEST(a_failure_that_nobody_saw_is_taken_from_the_ranks_files),
        TEST(a_failure_that_was_acknowledged_is_the_cause_after_a_restart),
        TEST(a_running_job_whose_launch_is_nowhere_is_tried_again),
        TEST(junk_in_an_outcome_file_harms_nothing),
        TEST(a_launch_that_vanished_with_its_machine_is_tried_again),
        TEST(a_cancelled_job_does_not_come_back),
        TEST(outcomes_that_were_acknowledged_are_not_asked_for_again),
        TEST(many_jobs_are_read_back_quickly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
