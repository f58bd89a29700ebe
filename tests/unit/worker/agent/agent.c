/* The agent against a coordinator that refuses, restarts and loses calls. */
#include "worker/agent/agent.h"

#include "tests/unit/worker/agent/coordinator.h"

#include <stdatomic.h>

typedef struct fixture {
    char *folder;
    coordinator server;
    syn_train_monitor monitor;
    syn_agent *agent;
} fixture;

static int setup(void **state)
{
    fixture *self = calloc(1, sizeof *self);
    void *folder = NULL;
    if (!self || scratch_setup(&folder) != 0)
        return -1;
    self->folder = folder;
    coordinator_init(&self->server, self->folder);
    syn_train_monitor_init(&self->monitor);
    *state = self;
    return 0;
}

static int teardown(void **state)
{
    fixture *self = *state;
    void *folder = self->folder;
    syn_agent_free(self->agent);
    syn_train_monitor_release(&self->monitor);
    (void)scratch_teardown(&folder);
    free(self);
    return 0;
}

static void start_agent(fixture *self, const char *job_id)
{
    syn_agent_options options = {.address = self->server.address,
                                 .job_id = job_id,
                                 .epoch = 11,
                                 .attempt = 2,
                                 .pool_id = job_id ? NULL : "pool-1",
                                 .rank = 1,
                                 .n_ranks = 4,
                                 .host = "node3",
                                 .monitor = &self->monitor};
    assert_int_equal(syn_agent_new(&options, &self->agent), SYN_OK);
}

/* Takes the assignment that the coordinator gives, and begins it as rank `job_rank`. */
static void begin_job(fixture *self, int job_rank)
{
    syn_assignment assignment;
    assert_int_equal(syn_agent_wait(self->agent, 20000, &assignment), SYN_AGENT_ASSIGNED);
    syn_agent_begin_job(self->agent, &assignment, job_rank);
    syn_assignment_release(&assignment);
}

static void registration_gives_the_assignment(void **state)
{
    fixture *self = *state;
    syn_assignment assignment;
    self->server.assigns = true;
    coordinator_start(&self->server);

    start_agent(self, "j-000007");
    assert_int_equal(syn_agent_wait(self->agent, 20000, &assignment), SYN_AGENT_ASSIGNED);

    assert_string_equal(assignment.job_id, "j-000007");
    assert_int_equal(assignment.epoch, 11);
    assert_int_equal(assignment.attempt, 2);
    assert_string_equal(assignment.job_json, "{}");
    assert_string_equal(assignment.run_dir, "/run");
    assert_string_equal(assignment.resume_from, "");
    assert_int_equal(assignment.n_members, 2);
    assert_int_equal(assignment.members[0], 3);
    assert_true(syn_agent_was_attached(self->agent));
    coordinator_stop(&self->server);
    assert_non_null(strstr(self->server.worker_id, "node3-"));
    syn_assignment_release(&assignment);
}

static void reports_say_step_phase_and_progress(void **state)
{
    fixture *self = *state;
    self->server.assigns = true;
    coordinator_start(&self->server);
    start_agent(self, "j-000007");
    begin_job(self, 0);

    syn_train_monitor_enter(&self->monitor, SYN_PHASE_BACKWARD);
    syn_train_monitor_publish(&self->monitor, &(syn_train_status){.step = 42, .total_steps = 100});
    wait_for(&self->server, self->server.last_step == 42 && self->server.n_reports >= 4);
    coordinator_stop(&self->server);

    assert_int_equal(self->server.last_phase, SYN_PHASE_BACKWARD);
    assert_string_equal(self->server.last_job, "j-000007");
    assert_int_equal(self->server.last_epoch, 11);
    assert_true(self->server.has_progress);
    assert_int_equal(self->server.last_sequence, self->server.n_reports);
}

static void a_stop_and_a_checkpoint_reach_the_monitor(void **state)
{
    fixture *self = *state;
    self->server.assigns = true;
    coordinator_start(&self->server);
    start_agent(self, "j-000007");
    begin_job(self, 1);
    wait_for(&self->server, self->server.session && self->server.last_job[0]);

    tell(&self->server, self->server.sends_checkpoint = self->server.sends_stop = true);
    /* A report that comes after the directive was sent proves nothing; the monitor does. */
    while (!atomic_load(&self->monitor.stop) || !atomic_load(&self->monitor.checkpoint)) {
        int n = count_reports(&self->server);
        wait_for(&self->server, self->server.n_reports > n);
    }

    assert_int_equal(atomic_load(&self->monitor.stop), SYN_STOP_DIRECTIVE);
    assert_string_equal(self->monitor.stop_text, "cancelled");
    coordinator_stop(&self->server);
}

static void a_stop_that_came_before_its_job_began_still_counts(void **state)
{
    fixture *self = *state;
    syn_assignment assignment;
    coordinator_start(&self->server);
    start_agent(self, NULL);
    wait_for(&self->server, self->server.session);

    /* In one message: when the assignment is here, so is the stop's record, or a moment later. */
    tell(&self->server, self->server.sends_stop = true);
    tell(&self->server, self->server.sends_assignment = true);
    assert_int_equal(syn_agent_wait(self->agent, 20000, &assignment), SYN_AGENT_ASSIGNED);
    int n = count_reports(&self->server);
    wait_for(&self->server, self->server.n_reports > n + 1);
    syn_agent_begin_job(self->agent, &assignment, 0);

    assert_int_equal(atomic_load(&self->monitor.stop), SYN_STOP_DIRECTIVE);
    syn_assignment_release(&assignment);
    coordinator_stop(&self->server);
}

static void a_lost_session_is_opened_again_with_the_newest_state(void **state)
{
    fixture *self = *state;
    syn_assignment assignment;
    self->server.assigns = true;
    coordinator_start(&self->server);
    start_agent(self, "j-000007");
    begin_job(self, 0);
    wait_for(&self->server, self->server.session);

    tell(&self->server, self->server.ends_session = true);
    syn_train_monitor_publish(&self->monitor, &(syn_train_status){.step = 77, .total_steps = 100});
    wait_for(&self->server, self->server.n_sessions >= 2 && self->server.last_step == 77);

    coordinator_stop(&self->server);
    assert_int_equal(self->server.n_registered, 2);
    /* The repeated assignment is known: nothing new is given. */
    assert_int_equal(syn_agent_wait(self->agent, 1, &assignment), SYN_AGENT_NOTHING);
}

static void a_coordinator_that_comes_late_or_again_is_found(void **state)
{
    fixture *self = *state;
    start_agent(self, NULL);
    char reason[256];

    coordinator_start(&self->server);
    wait_for(&self->server, self->server.n_sessions == 1);
    coordinator_stop(&self->server);
    coordinator_start(&self->server);
    wait_for(&self->server, self->server.n_sessions == 2);

    assert_non_null(syn_agent_last_error(self->agent, reason, sizeof reason));
    coordinator_stop(&self->server);
    assert_string_equal(self->server.last_job, "");
}

static void an_outcome_is_retried_until_it_is_acknowledged(void **state)
{
    fixture *self = *state;
    syn_train_result result = {.state = SYN_TRAIN_FAILED,
                               .is_culprit = true,
                               .failure = {.rank = 1, .message = "the loss became nan"}};
    self->server.assigns = true;
    self->server.failing_outcomes = 2;
    coordinator_start(&self->server);
    start_agent(self, "j-000007");
    begin_job(self, 1);

    assert_int_equal(
        syn_agent_commit_checkpoint(self->agent, 200, "/run/checkpoints/step-00000200", "ab"),
        SYN_OK);
    assert_int_equal(syn_agent_report_outcome(self->agent, &result), SYN_OK);
    assert_true(syn_agent_flush(self->agent, 20000));

    coordinator_stop(&self->server);
    assert_int_equal(self->server.n_outcomes, 1);
    assert_int_equal(self->server.n_commits, 1);
    assert_int_equal(self->server.commit_step, 200);
    assert_string_equal(self->server.commit_path, "/run/checkpoints/step-00000200");
    assert_int_equal(self->server.outcome_state, SYNCLINE__V1__JOB_STATE__JOB_STATE_FAILED);
    assert_int_equal(self->server.outcome_rank, 1);
    assert_true(self->server.outcome_has_failure);
    assert_string_equal(self->server.outcome_message, "the loss became nan");
}

static void a_rank_that_only_followed_reports_no_failure_of_its_own(void **state)
{
    fixture *self = *state;
    syn_train_result result = {.state = SYN_TRAIN_FAILED, .failure = {.rank = 0}};
    self->server.assigns = true;
    coordinator_start(&self->server);
    start_agent(self, "j-000007");
    begin_job(self, 1);

    assert_int_equal(syn_agent_report_outcome(self->agent, &result), SYN_OK);
    assert_true(syn_agent_flush(self->agent, 20000));

    coordinator_stop(&self->server);
    assert_int_equal(self->server.n_outcomes, 1);
    assert_false(self->server.outcome_has_failure);
}

static void an_outcome_waits_for_a_coordinator_that_is_away(void **state)
{
    fixture *self = *state;
    syn_train_result result = {.state = SYN_TRAIN_SUCCEEDED};
    self->server.assigns = true;
    coordinator_start(&self->server);
    start_agent(self, "j-000007");
    begin_job(self, 0);
    coordinator_stop(&self->server);

    assert_int_equal(syn_agent_report_outcome(self->agent, &result), SYN_OK);
    assert_false(syn_agent_flush(self->agent, 1));
    coordinator_start(&self->server);

    assert_true(syn_agent_flush(self->agent, 20000));
    coordinator_stop(&self->server);
    assert_int_equal(self->server.n_outcomes, 1);
}

static void a_stale_epoch_ends_the_rank(void **state)
{
    fixture *self = *state;
    syn_assignment assignment;
    self->server.refuses = true;
    coordinator_start(&self->server);

    start_agent(self, "j-000007");
    assert_int_equal(syn_agent_wait(self->agent, 20000, &assignment), SYN_AGENT_REFUSED);

    assert_non_null(strstr(syn_error_message(), "epoch 11 of j-000007 is stale"));
    assert_int_equal(atomic_load(&self->monitor.stop), SYN_STOP_ABANDON);
    assert_int_equal(syn_agent_wait(self->agent, 1, &assignment), SYN_AGENT_REFUSED);
    coordinator_stop(&self->server);
}

static void a_pool_rank_is_let_go(void **state)
{
    fixture *self = *state;
    syn_assignment assignment;
    coordinator_start(&self->server);
    start_agent(self, NULL);
    wait_for(&self->server, self->server.session);

    tell(&self->server, self->server.sends_leave = true);

    assert_int_equal(syn_agent_wait(self->agent, 20000, &assignment), SYN_AGENT_LEAVE);
    coordinator_stop(&self->server);
}

static void a_pool_rank_takes_the_same_job_again_after_its_outcome(void **state)
{
    fixture *self = *state;
    syn_train_result result = {.state = SYN_TRAIN_SUCCEEDED};
    syn_assignment assignment;
    coordinator_start(&self->server);
    start_agent(self, NULL);
    wait_for(&self->server, self->server.session);
    tell(&self->server, self->server.sends_assignment = true);
    begin_job(self, 1);
    assert_int_equal(syn_agent_report_outcome(self->agent, &result), SYN_OK);
    syn_agent_end_job(self->agent);
    assert_true(syn_agent_flush(self->agent, 20000));

    tell(&self->server, self->server.sends_assignment = true);

    assert_int_equal(syn_agent_wait(self->agent, 20000, &assignment), SYN_AGENT_ASSIGNED);
    syn_assignment_release(&assignment);
    coordinator_stop(&self->server);
}

static void a_bad_address_is_refused_at_once(void **state)
{
    fixture *self = *state;
    syn_agent_options options = {
        .address = "tcp:/what", .host = "h", .n_ranks = 1, .monitor = &self->monitor};

    assert_int_equal(syn_agent_new(&options, &self->agent), SYN_INVALID_ARGUMENT);
    assert_non_null(strstr(syn_error_message(), "tcp:/what"));
}

#define agent_test(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        agent_test(registration_gives_the_assignment),
        agent_test(reports_say_step_phase_and_progress),
        agent_test(a_stop_and_a_checkpoint_reach_the_monitor),
        agent_test(a_stop_that_came_before_its_job_began_still_counts),
        agent_test(a_lost_session_is_opened_again_with_the_newest_state),
        agent_test(a_coordinator_that_comes_late_or_again_is_found),
        agent_test(an_outcome_is_retried_until_it_is_acknowledged),
        agent_test(a_rank_that_only_followed_reports_no_failure_of_its_own),
        agent_test(an_outcome_waits_for_a_coordinator_that_is_away),
        agent_test(a_stale_epoch_ends_the_rank),
        agent_test(a_pool_rank_is_let_go),
        agent_test(a_pool_rank_takes_the_same_job_again_after_its_outcome),
        agent_test(a_bad_address_is_refused_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
