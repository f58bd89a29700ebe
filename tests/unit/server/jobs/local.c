/* Jobs on this machine, from the client's call to the recorded end, with launches and ranks played
 * by the test. */
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

/* Submits, lets the ranks come up and make a first step. */
static void run_job(house *h, uint32_t n_ranks, uint32_t restarts, char job_id[32], rank *ranks)
{
    char message[1024];
    int before = n_launches;
    assert_int_equal(
        house_submit_with(h, (submission){.n_ranks = n_ranks, .restarts_plus_one = restarts + 1},
                          job_id, message),
        SYN_OK);
    house_wait_launch(h, before + 1);
    ranks_start(h, n_launches - 1, ranks, job_id);
    house_wait(h, job_id, SYN_JOB_STARTING);
    for (uint32_t r = 0; r < n_ranks; r++)
        rank_report(&ranks[r], job_id, launches[n_launches - 1].epoch, 5, SYN_PHASE_FORWARD);
    house_wait(h, job_id, SYN_JOB_RUNNING);
}

static void a_job_runs_and_succeeds_with_its_results(void **state)
{
    house *h = *state;
    rank ranks[2];
    char job_id[32], path[300];
    house_open(h);
    run_job(h, 2, 0, job_id, ranks);

    ranks_succeed(ranks, 2, job_id, 1);
    assert_int_equal(house_job(h, job_id)->state, SYN_JOB_RUNNING); /* the launcher has not ended */
    end_launch(0, 0);
    house_wait(h, job_id, SYN_JOB_SUCCEEDED);

    const syn_job_record *job = house_job(h, job_id);
    assert_string_equal(job->weights_sha256, "abc123");
    assert_int_equal(job->n_metrics, 1);
    assert_true(job->metrics[0].value == 0.97);
    assert_int_equal(job->steps, 10);
    assert_int_equal(job->progress.step, 10);
    assert_int_equal(job->progress.total_steps, 10);
    assert_string_equal(job->placement, "local");
    assert_true(job->started_ns >= job->submitted_ns && job->ended_ns >= job->started_ns);
    assert_false(job->failure.is_set);
    (void)snprintf(path, sizeof path, "%s/job.yaml", job->run_dir);
    assert_true(syn_path_exists(path));
    assert_string_equal(launches[0].address, h->address);
    assert_int_equal(launches[0].n_terms, 0);
    ranks_vanish(ranks, 2);
    house_close(h);
}

static void every_transition_is_an_event_of_its_own(void **state)
{
    house *h = *state;
    rank ranks[1];
    char job_id[32];
    house_open(h);
    run_job(h, 1, 0, job_id, ranks);
    ranks_succeed(ranks, 1, job_id, 1);
    end_launch(0, 0);
    house_wait(h, job_id, SYN_JOB_SUCCEEDED);

    const syn_job *job = syn_jobs_find(h->jobs, job_id);
    const syn_job_state expected[] = {SYN_JOB_QUEUED, SYN_JOB_LAUNCHING, SYN_JOB_STARTING,
                                      SYN_JOB_RUNNING, SYN_JOB_SUCCEEDED};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(syn_job_event_at(job, i)->to, expected[i]);
        assert_int_equal(syn_job_event_at(job, i)->sequence, i + 1);
        assert_int_equal(syn_job_event_at(job, i)->from, i ? expected[i - 1] : 0);
    }
    assert_null(syn_job_event_at(job, 5));
    ranks_vanish(ranks, 1);
    house_close(h);
}

static void a_short_job_may_end_before_its_first_report(void **state)
{
    house *h = *state;
    rank ranks[1];
    char job_id[32];
    house_open(h);
    house_submit(h, 1, job_id);
    house_wait_launch(h, 1);
    ranks_start(h, 0, ranks, "a");

    ranks_succeed(ranks, 1, job_id, 1);
    end_launch(0, 0);
    house_wait(h, job_id, SYN_JOB_SUCCEEDED);

    assert_int_equal(syn_job_event_at(syn_jobs_find(h->jobs, job_id), 3)->to, SYN_JOB_RUNNING);
    ranks_vanish(ranks, 1);
    house_close(h);
}

static void a_repeated_request_is_one_job(void **state)
{
    house *h = *state;
    char first[32], second[32], message[1024];
    house_open(h);
    submission s = {.request_id = "the same", .n_ranks = 2};

    assert_int_equal(house_submit_with(h, s, first, message), SYN_OK);
    assert_int_equal(house_submit_with(h, s, second, message), SYN_OK);
    assert_string_equal(first, second);
    s.n_ranks = 1;
    assert_int_equal(house_submit_with(h, s, second, message), SYN_ALREADY_EXISTS);
    assert_non_null(strstr(message, "the same"));
    assert_int_equal(syn_jobs_last_number(h->jobs), 1);
    house_close(h);

    house_open(h); /* also after a restart */
    s.n_ranks = 2;
    assert_int_equal(house_submit_with(h, s, second, message), SYN_OK);
    assert_string_equal(first, second);
    house_close(h);
}

static void a_request_repeated_before_the_answer_is_one_job(void **state)
{
    house *h = *state;
    answer answers[5] = {0};
    Syncline__V1__SubmitJobRequest request = SYNCLINE__V1__SUBMIT_JOB_REQUEST__INIT;
    house_open(h);
    request.request_id = (char *)"twice";
    request.job_file = as_bytes(job_file);

    for (int i = 0; i < 5; i++)
        assert_int_equal(syn_rpc_client_unary(h->channel, &syn_rpc_jobs_submit_job, &request.base,
                                              0, on_answer, &answers[i]),
                         SYN_OK);
    for (int i = 0; i < 5; i++) {
        while (!answers[i].has_come)
            house_turn(h);
        assert_int_equal(answers[i].status, SYN_OK);
        assert_string_equal(((Syncline__V1__SubmitJobResponse *)answers[i].reply)->job->job_id,
                            "j-000001");
        syn_wire_free(answers[i].reply);
    }

    assert_int_equal(syn_jobs_last_number(h->jobs), 1);
    house_close(h);
}

static void a_bad_job_file_is_refused_with_its_place(void **state)
{
    house *h = *state;
    char message[1024];
    house_open(h);

    syn_status status =
        house_submit_with(h, (submission){.file = "name: x\nmodel: {kind: mlq}\n"}, NULL, message);

    assert_int_equal(status, SYN_INVALID_ARGUMENT);
    assert_non_null(strstr(message, "job.yaml:2:"));
    assert_int_equal(syn_jobs_last_number(h->jobs), 0);
    house_close(h);
}

static void more_ranks_than_there_will_ever_be_are_refused(void **state)
{
    house *h = *state;
    char message[1024], job_id[32];
    house_open(h);
    assert_int_equal(house_submit_with(h, (submission){.n_ranks = 5}, NULL, message),
                     SYN_FAILED_PRECONDITION);
    assert_non_null(strstr(message, "largest that fits is 4"));
    house_close(h);

    h->oversubscribe = true;
    house_open(h);
    house_submit(h, 5, job_id);
    house_wait_launch(h, 1);
    assert_int_equal(launches[0].n_ranks, 5);
    house_close(h);
}

static void a_folder_that_holds_a_run_is_refused_unless_the_job_resumes(void **state)
{
    house *h = *state;
    char folder[300], path[400], message[1024], job_id[32];
    house_open(h);
    (void)snprintf(folder, sizeof folder, "%s/earlier", h->dir);
    (void)snprintf(path, sizeof path, "%s/metrics.csv", folder);
    assert_int_equal(syn_dir_make(folder), SYN_OK);
    assert_int_equal(syn_file_write_atomic(path, "", 0), SYN_OK);

    submission again = {.n_ranks = 1, .run_dir = folder};
    syn_status refused = house_submit_with(h, again, job_id, message);
    again.resume_from = folder;
    syn_status resumed = house_submit_with(h, again, job_id, message);

    assert_int_equal(refused, SYN_ALREADY_EXISTS);
    assert_int_equal(resumed, SYN_OK);
    house_close(h);
}

static void jobs_wait_in_order_and_say_why(void **state)
{
    house *h = *state;
    rank ranks[3];
    char first[32], large[32], small[32];
    house_open(h);
    run_job(h, 3, 0, first, ranks);
    house_submit(h, 4, large);
    house_submit(h, 1, small);
    while (house_job(h, small)->reason == SYN_REASON_NONE)
        house_turn(h);

    assert_int_equal(house_job(h, large)->reason, SYN_REASON_RESOURCES);
    assert_string_equal(house_job(h, large)->reason_text, "waits for 4 free ranks, 1 is free");
    assert_int_equal(house_job(h, small)->reason, SYN_REASON_PRIORITY);
    assert_non_null(strstr(house_job(h, small)->reason_text, large));

    ranks_succeed(ranks, 3, first, 1);
    end_launch(0, 0);
    house_wait_launch(h, 2);
    assert_string_equal(launches[1].job_id, large);
    ranks_vanish(ranks, 3);
    house_close(h);
}

static void an_error_of_a_rank_is_the_jobs_sentence_and_is_not_tried_again(void **state)
{
    house *h = *state;
    rank ranks[3];
    char job_id[32];
    house_open(h);
    run_job(h, 3, 2, job_id, ranks);

    (void)rank_outcome(&ranks[1], job_id, 1, 1, SYN_JOB_FAILED, NULL); /* follows */
    (void)rank_outcome(&ranks[2], job_id, 1, 2, SYN_JOB_FAILED, "the loss is NaN in step 7");
    (void)rank_outcome(&ranks[0], job_id, 1, 0, SYN_JOB_FAILED, "lost the others");
    end_launch(0, 1);
    house_wait(h, job_id, SYN_JOB_FAILED);

    const syn_job_record *job = house_job(h, job_id);
    assert_int_equal(job->reason, SYN_REASON_EXIT_NON_ZERO);
    assert_string_equal(job->reason_text, "rank 2: the loss is NaN in step 7");
    assert_int_equal(job->failure.rank, 2);
    assert_int_equal(job->failure.step, 7);
    assert_int_equal(job->failure.phase, SYN_PHASE_DATA_READ);
    assert_string_equal(job->failure.host, "node1");
    assert_int_equal(n_launches, 1);
    ranks_vanish(ranks, 3);
    house_close(h);
}

static void ranks_that_linger_after_a_failure_are_ended(void **state)
{
    house *h = *state;
    rank ranks[2];
    char job_id[32];
    house_open(h);
    run_job(h, 2, 0, job_id, ranks);
    launches[0].ignores_term = true;

    (void)rank_outcome(&ranks[1], job_id, 1, 1, SYN_JOB_FAILED, "no such file");
    house_wait(h, job_id, SYN_JOB_FAILED);

    assert_true(launches[0].n_terms > 0 && launches[0].n_kills > 0);
    assert_string_equal(house_job(h, job_id)->reason_text, "rank 1: no such file");
    ranks_vanish(ranks, 2);
    house_close(h);
}

static void a_launcher_that_lingers_after_success_is_ended(void **state)
{
    house *h = *state;
    rank ranks[2];
    char job_id[32];
    house_open(h);
    run_job(h, 2, 0, job_id, ranks);

    ranks_succeed(ranks, 2, job_id, 1);
    house_wait(h, job_id, SYN_JOB_SUCCEEDED);

    assert_int_equal(launches[0].n_terms, 1);
    ranks_vanish(ranks, 2);
    house_close(h);
}

static void make_checkpoint(const char *run_dir, int step)
{
    char path[400];
    (void)snprintf(path, sizeof path, "%s/checkpoints/step-%08d", run_dir, step);
    assert_int_equal(syn_dir_make(path), SYN_OK);
    (void)snprintf(path, sizeof path, "%s/checkpoints/step-%08d/manifest.json", run_dir, step);
    assert_int_equal(syn_file_write_atomic(path, "{}", 2), SYN_OK);
}

static void a_killed_rank_is_named_and_the_job_goes_on_from_its_checkpoint(void **state)
{
    house *h = *state;
    rank ranks[2], again[2];
    char job_id[32], expected[300];
    house_open(h);
    run_job(h, 2, 1, job_id, ranks);
    make_checkpoint(ranks[0].run_dir, 4);
    make_checkpoint(ranks[0].run_dir, 2);

    end_launch_by_signal(0, 1, 9);
    house_wait_launch(h, 2);
    ranks_vanish(ranks, 2);
    ranks_start(h, 1, again, "again");

    const syn_job_record *job = house_job(h, job_id);
    assert_int_equal(job->attempt, 2);
    assert_int_equal(job->failure.rank, 1);
    assert_int_equal(job->failure.signal, 9);
    assert_int_equal(job->failure.step, 5);
    assert_int_equal(job->failure.phase, SYN_PHASE_FORWARD);
    assert_string_equal(
        job->failure.message,
        "rank 1 (node1, pid 4001) was killed by signal 9 (SIGKILL) in step 5, phase forward");
    assert_int_equal(again[0].assigned_attempt, 2);
    assert_int_equal(again[0].assigned_epoch, 2);
    (void)snprintf(expected, sizeof expected, "%s/checkpoints/step-00000004", ranks[0].run_dir);
    assert_string_equal(again[0].resume_from, expected);
    ranks_succeed(again, 2, job_id, 2);
    end_launch(1, 0);
    house_wait(h, job_id, SYN_JOB_SUCCEEDED);
    ranks_vanish(again, 2);
    house_close(h);
}

static void without_restarts_left_the_job_fails_with_the_signal(void **state)
{
    house *h = *state;
    rank ranks[1];
    char job_id[32];
    house_open(h);
    run_job(h, 1, 0, job_id, ranks);

    end_launch_by_signal(0, 0, 11);
    house_wait(h, job_id, SYN_JOB_FAILED);

    assert_int_equal(house_job(h, job_id)->reason, SYN_REASON_SIGNAL);
    assert_non_null(strstr(house_job(h, job_id)->reason_text, "SIGSEGV"));
    assert_int_equal(n_launches, 1);
    ranks_vanish(ranks, 1);
    house_close(h);
}

static void attempts_that_end_at_the_same_step_are_a_crash_loop(void **state)
{
    house *h = *state;
    rank ranks[1];
    char job_id[32], message[1024];
    house_open(h);
    assert_int_equal(
        house_submit_with(h, (submission){.n_ranks = 1, .restarts_plus_one = 11}, job_id, message),
        SYN_OK);

    for (int i = 0; i < 3; i++) {
        char tag[8];
        (void)snprintf(tag, sizeof tag, "%d", i);
        house_wait_launch(h, i + 1);
        ranks_start(h, i, ranks, tag);
        rank_report(&ranks[0], job_id, launches[i].epoch, 5, SYN_PHASE_FORWARD);
        house_wait(h, job_id, SYN_JOB_RUNNING);
        end_launch_by_signal(i, 0, 9);
        ranks_vanish(ranks, 1);
    }
    house_wait(h, job_id, SYN_JOB_FAILED);

    assert_int_equal(house_job(h, job_id)->reason, SYN_REASON_CRASH_LOOP);
    assert_non_null(
        strstr(house_job(h, job_id)->reason_text, "3 attempts in a row ended at step 5"));
    assert_int_equal(n_launches, 3);
    house_close(h);
}

static void a_launch_that_does_not_start_is_said_so(void **state)
{
    house *h = *state;
    char job_id[32];
    house_open(h);
    launch_fails = true;

    house_submit(h, 1, job_id);
    house_wait(h, job_id, SYN_JOB_FAILED);

    assert_int_equal(house_job(h, job_id)->reason, SYN_REASON_LAUNCH_FAILED);
    assert_non_null(strstr(house_job(h, job_id)->reason_text, "there is no mpirun"));
    house_close(h);
}

static syn_status cancel(house *h, const char *job_id)
{
    Syncline__V1__CancelJobRequest request = SYNCLINE__V1__CANCEL_JOB_REQUEST__INIT;
    syn_status status;
    request.request_id = (char *)"cancel";
    request.job_id = (char *)job_id;
    request.text = as_bytes("not needed");
    syn_wire_free(house_call(h, &syn_rpc_jobs_cancel_job, &request.base, &status, NULL));
    return status;
}

static void a_waiting_job_is_cancelled_at_once(void **state)
{
    house *h = *state;
    rank ranks[4];
    char first[32], second[32];
    house_open(h);
    run_job(h, 4, 0, first, ranks);
    house_submit(h, 2, second);

    assert_int_equal(cancel(h, second), SYN_OK);

    assert_int_equal(house_job(h, second)->state, SYN_JOB_CANCELLED);
    assert_int_equal(house_job(h, second)->reason, SYN_REASON_USER_CANCELLED);
    assert_string_equal(house_job(h, second)->reason_text, "not needed");
    assert_int_equal(cancel(h, second), SYN_OK); /* again is harmless */
    assert_int_equal(cancel(h, "j-000777"), SYN_NOT_FOUND);
    assert_int_equal(n_launches, 1);
    ranks_vanish(ranks, 4);
    house_close(h);
}

static void a_running_job_is_asked_to_stop_and_is_cancelled_when_it_is_gone(void **state)
{
    house *h = *state;
    rank ranks[2];
    char job_id[32];
    h->grace_ms = 10000;
    house_open(h);
    run_job(h, 2, 0, job_id, ranks);

    assert_int_equal(cancel(h, job_id), SYN_OK);
    assert_int_equal(house_job(h, job_id)->state, SYN_JOB_DRAINING);
    while (!ranks[0].has_stop || !ranks[1].has_stop)
        house_turn(h);
    assert_int_equal(ranks[1].stop_reason, SYN_REASON_USER_CANCELLED);
    for (uint32_t r = 0; r < 2; r++)
        (void)rank_outcome(&ranks[r], job_id, 1, r, SYN_JOB_CANCELLED, NULL);
    assert_int_equal(house_job(h, job_id)->state, SYN_JOB_DRAINING);
    end_launch(0, 0);
    house_wait(h, job_id, SYN_JOB_CANCELLED);

    assert_int_equal(launches[0].n_terms, 0);
    ranks_vanish(ranks, 2);
    house_close(h);
}

static void ranks_that_do_not_stop_are_killed(void **state)
{
    house *h = *state;
    rank ranks[2];
    char job_id[32];
    house_open(h);
    run_job(h, 2, 0, job_id, ranks);
    launches[0].ignores_term = true;

    assert_int_equal(cancel(h, job_id), SYN_OK);
    house_wait(h, job_id, SYN_JOB_CANCELLED);

    assert_int_equal(launches[0].n_terms, 1);
    assert_true(launches[0].n_kills >= 1);
    ranks_vanish(ranks, 2);
    house_close(h);
}

static void the_time_limit_ends_the_job(void **state)
{
    house *h = *state;
    rank ranks[1];
    char job_id[32], message[1024], file[512];
    house_open(h);
    (void)snprintf(file, sizeof file, "%stime_limit_s: 0.05\n", job_file);
    if (house_submit_with(h, (submission){.n_ranks = 1, .file = file}, job_id, message) != SYN_OK)
        fail_msg("%s", message);
    house_wait_launch(h, 1);
    ranks_start(h, 0, ranks, "a");

    house_wait(h, job_id, SYN_JOB_TIMED_OUT);

    assert_true(ranks[0].has_stop || launches[0].n_terms > 0);
    assert_int_equal(house_job(h, job_id)->reason, SYN_REASON_TIME_LIMIT);
    ranks_vanish(ranks, 1);
    house_close(h);
}

static void a_rank_of_a_stale_epoch_is_refused(void **state)
{
    house *h = *state;
    rank ranks[1], stale = {.house = h, .worker_id = "stale", .epoch = 1, .n_ranks = 1};
    char job_id[32];
    house_open(h);
    run_job(h, 1, 1, job_id, ranks);
    end_launch_by_signal(0, 0, 9);
    house_wait_launch(h, 2);
    memcpy(stale.job_id, job_id, sizeof stale.job_id);

    assert_int_equal(rank_register(&stale), SYN_FAILED_PRECONDITION);
    assert_int_equal(rank_outcome(&stale, job_id, 1, 0, SYN_JOB_SUCCEEDED, NULL),
                     SYN_FAILED_PRECONDITION);
    stale.epoch = 3; /* of no launch */
    assert_int_equal(rank_register(&stale), SYN_FAILED_PRECONDITION);

    assert_int_not_equal(house_job(h, job_id)->state, SYN_JOB_SUCCEEDED);
    ranks_vanish(ranks, 1);
    house_close(h);
}

static void a_rank_that_registers_while_its_launch_ends_gets_its_answer(void **state)
{
    house *h = *state;
    rank one = {.house = h, .worker_id = "w", .epoch = 1, .n_ranks = 1};
    h->poll_ms = 3600000; /* nobody else looks at the launch meanwhile */
    house_open(h);
    house_submit(h, 1, one.job_id);
    while (house_job(h, one.job_id)->version < 3) /* queued, launching, the launch itself */
        house_turn(h);
    end_launch(0, 1);

    assert_int_equal(rank_register(&one), SYN_OK);

    assert_string_equal(one.assigned_job, one.job_id);
    house_close(h);
}

static void a_silent_rank_of_a_living_launch_is_given_up(void **state)
{
    house *h = *state;
    rank ranks[2];
    char job_id[32];
    h->lost_ms = 40;
    house_open(h);
    run_job(h, 2, 0, job_id, ranks);

    ranks_vanish(&ranks[1], 1);
    house_wait(h, job_id, SYN_JOB_FAILED);

    assert_int_equal(house_job(h, job_id)->reason, SYN_REASON_NODE_LOST);
    assert_non_null(strstr(house_job(h, job_id)->reason_text, "rank 1 (node1)"));
    assert_true(launches[0].n_terms > 0);
    ranks_vanish(ranks, 1);
    house_close(h);
}

static void a_hang_is_named_while_the_job_runs(void **state)
{
    house *h = *state;
    rank ranks[2];
    char job_id[32];
    h->stall_ms = 30;
    house_open(h);
    run_job(h, 2, 0, job_id, ranks);
    rank_report(&ranks[0], job_id, 1, 6, SYN_PHASE_COMMUNICATE);
    rank_report(&ranks[1], job_id, 1, 6, SYN_PHASE_DATA_READ);

    while (house_job(h, job_id)->reason != SYN_REASON_STALLED)
        house_turn(h);

    assert_int_equal(house_job(h, job_id)->state, SYN_JOB_RUNNING);
    assert_non_null(strstr(house_job(h, job_id)->reason_text, "rank 1 (node1, pid 4001)"));
    assert_int_equal(syn_jobs_get_stats(h->jobs)->stalls, 1);
    rank_report(&ranks[1], job_id, 1, 7, SYN_PHASE_FORWARD);
    while (house_job(h, job_id)->reason != SYN_REASON_NONE)
        house_turn(h);
    ranks_vanish(ranks, 2);
    house_close(h);
}

static void a_full_disk_refuses_submissions_and_harms_nothing(void **state)
{
    house *h = *state;
    char message[1024];
    int n_taken = 0;
    h->max_pages = 60;
    h->slots = -1;
    house_open(h);

    syn_status status;
    while ((status = house_submit_with(h, (submission){.n_ranks = 1}, NULL, message)) == SYN_OK)
        n_taken++;
    assert_int_equal(status, SYN_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(message, "full"));
    assert_true(n_taken > 0);
    house_close(h);

    h->max_pages = 0;
    house_open(h);
    assert_int_equal(syn_jobs_last_number(h->jobs), n_taken);
    assert_int_equal(house_submit_with(h, (submission){.n_ranks = 1}, NULL, message), SYN_OK);
    house_close(h);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_job_runs_and_succeeds_with_its_results),
        TEST(every_transition_is_an_event_of_its_own),
        TEST(a_short_job_may_end_before_its_first_report),
        TEST(a_repeated_request_is_one_job),
        TEST(a_request_repeated_before_the_answer_is_one_job),
        TEST(a_bad_job_file_is_refused_with_its_place),
        TEST(more_ranks_than_there_will_ever_be_are_refused),
        TEST(a_folder_that_holds_a_run_is_refused_unless_the_job_resumes),
        TEST(jobs_wait_in_order_and_say_why),
        TEST(an_error_of_a_rank_is_the_jobs_sentence_and_is_not_tried_again),
        TEST(ranks_that_linger_after_a_failure_are_ended),
        TEST(a_launcher_that_lingers_after_success_is_ended),
        TEST(a_killed_rank_is_named_and_the_job_goes_on_from_its_checkpoint),
        TEST(without_restarts_left_the_job_fails_with_the_signal),
        TEST(attempts_that_end_at_the_same_step_are_a_crash_loop),
        TEST(a_launch_that_does_not_start_is_said_so),
        TEST(a_waiting_job_is_cancelled_at_once),
        TEST(a_running_job_is_asked_to_stop_and_is_cancelled_when_it_is_gone),
        TEST(ranks_that_do_not_stop_are_killed),
        TEST(the_time_limit_ends_the_job),
        TEST(a_rank_of_a_stale_epoch_is_refused),
        TEST(a_rank_that_registers_while_its_launch_ends_gets_its_answer),
        TEST(a_silent_rank_of_a_living_launch_is_given_up),
        TEST(a_hang_is_named_while_the_job_runs),
        TEST(a_full_disk_refuses_submissions_and_harms_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
