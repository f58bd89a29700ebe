/* Running assignments: for a launched job, and one after another in a pool. */
#include "worker/agent/coordinated.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "worker/agent/agent.h"
#include "worker/comm/comm.h"
#include "worker/train/plain.h"
#include "worker/train/rundir.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    POLL_MS = 100,       /* how often a signal is looked for while waiting */
    REGISTER_MS = 60000, /* for a launched job to reach its coordinator */
    DELIVER_MS = 60000,  /* for its outcome to be acknowledged; the file stays */
    COMPLAIN_MS = 30000, /* between two log lines of a pool that cannot reach its coordinator */
    PATIENCE_MS = 2000,  /* before the first of them: a wrong address should be seen soon */
};

/* One process under a coordinator. */
typedef struct coordinated {
    syn_agent *agent;
    syn_train_monitor monitor;
} coordinated;

/* ---- one assignment ---- */

/* A result for a job that did not get as far as training. */
static void fail_result(syn_train_result *result, syn_status status, const syn_agreement *agreement,
                        int rank)
{
    *result = (syn_train_result){.state = SYN_TRAIN_FAILED};
    result->failure = (syn_train_failure){
        .code = status, .rank = agreement->culprit, .exit_code = 1, .phase = SYN_PHASE_INIT};
    (void)snprintf(result->failure.host, sizeof result->failure.host, "%s", agreement->host);
    (void)snprintf(result->failure.message, sizeof result->failure.message, "%s",
                   agreement->culprit >= 0 ? agreement->sentence : syn_error_message());
    result->is_culprit = agreement->culprit < 0 || agreement->culprit == rank;
}

static void on_committed(void *user, int64_t step, const char *path, const char *manifest_sha256)
{
    if (syn_agent_commit_checkpoint(user, step, path, manifest_sha256) != SYN_OK)
        SYN_WARN("%s", syn_error_message());
}

static syn_status parse_job(const syn_assignment *assignment, syn_job_spec *spec_out)
{
    return syn_job_spec_parse(assignment->job_json, strlen(assignment->job_json), "job.json", "/",
                              "/", NULL, 0, spec_out);
}

/* Trains in the run directory, with output in the rank's log. */
static void train(coordinated *self, const syn_assignment *assignment, syn_comm *comm,
                  syn_train_result *result)
{
    syn_job_spec spec = {0};
    syn_agreement agreement = {.culprit = -1};
    int rank = syn_comm_rank(comm);

    syn_status status = syn_comm_agree(comm, parse_job(assignment, &spec), NULL, &agreement);
    if (status != SYN_OK) {
        fail_result(result, status, &agreement, rank);
    } else {
        syn_train_request request = {.spec = &spec,
                                     .comm = comm,
                                     .run_dir = assignment->run_dir,
                                     .resume_from = assignment->resume_from,
                                     .job_id = assignment->job_id,
                                     .epoch = assignment->epoch,
                                     .attempt = assignment->attempt,
                                     .monitor = &self->monitor,
                                     .committed = on_committed,
                                     .user = self->agent};
        (void)syn_train_run(&request, result);
    }
    syn_job_spec_release(&spec);
}

static void run_assignment(coordinated *self, const syn_assignment *assignment, syn_comm *comm,
                           syn_train_result *result)
{
    syn_rundir_identity identity = {.job_id = assignment->job_id,
                                    .epoch = assignment->epoch,
                                    .attempt = assignment->attempt,
                                    .rank = syn_comm_rank(comm)};
    syn_rundir_saved saved;

    syn_agent_begin_job(self->agent, assignment, identity.rank);
    if (syn_rundir_redirect(assignment->run_dir, identity.rank, &saved) != SYN_OK)
        SYN_WARN("%s", syn_error_message());
    SYN_INFO("job %s, attempt %u, rank %d of %d on %s, process %ld", assignment->job_id,
             assignment->attempt, identity.rank, syn_comm_size(comm),
             syn_comm_host(comm, identity.rank), (long)getpid());
    train(self, assignment, comm, result);
    if (result->state == SYN_TRAIN_FAILED && result->is_culprit)
        SYN_ERROR("%s", result->failure.message);
    else
        SYN_INFO("%s%s%s", syn_train_state_name(result->state),
                 result->failure.message[0] ? ": " : "", result->failure.message);
    if (syn_rundir_write_outcome(assignment->run_dir, result, &identity) != SYN_OK)
        SYN_WARN("%s", syn_error_message());
    if (syn_agent_report_outcome(self->agent, result) != SYN_OK)
        SYN_WARN("%s", syn_error_message());
    syn_rundir_restore(&saved);
}

static syn_status start_agent(coordinated *self, syn_agent_options *options)
{
    syn_comm *world = syn_comm_world();
    char prefix[32];

    options->rank = syn_comm_rank(world);
    options->n_ranks = syn_comm_size(world);
    options->host = syn_comm_host(world, options->rank);
    options->monitor = &self->monitor;
    (void)snprintf(prefix, sizeof prefix, "rank %d", options->rank);
    syn_log_set_prefix(prefix);
    syn_train_monitor_init(&self->monitor);
    syn_plain_catch_signals(&self->monitor);
    return syn_comm_agree(world, syn_agent_new(options, &self->agent), NULL, NULL);
}

static void stop_agent(coordinated *self)
{
    syn_agent_free(self->agent);
    syn_plain_catch_signals(NULL);
    syn_train_monitor_release(&self->monitor);
}

/* ---- one launched job ---- */

static syn_status wait_for_assignment(coordinated *self, const syn_launched_job *launched,
                                      syn_assignment *assignment)
{
    char reason[512];

    for (int waited_ms = 0; waited_ms < REGISTER_MS; waited_ms += POLL_MS) {
        switch (syn_agent_wait(self->agent, POLL_MS, assignment)) {
        case SYN_AGENT_ASSIGNED:
            return SYN_OK;
        case SYN_AGENT_REFUSED:
            return SYN_FAILED_PRECONDITION;
        case SYN_AGENT_LEAVE:
            return SYN_FAIL(SYN_CANCELLED, "the coordinator at %s asked this rank to leave",
                            launched->address);
        case SYN_AGENT_NOTHING:
            break;
        }
        if (syn_plain_was_signalled())
            return SYN_FAIL(SYN_CANCELLED, "a signal ended the launch before the job began");
    }
    if (syn_agent_was_attached(self->agent))
        return SYN_FAIL(SYN_DEADLINE_EXCEEDED,
                        "the coordinator at %s gave no assignment for job %s within %d s",
                        launched->address, launched->job_id, REGISTER_MS / 1000);
    return SYN_FAIL(SYN_UNAVAILABLE, "no coordinator answered at %s within %d s: %s",
                    launched->address, REGISTER_MS / 1000,
                    syn_agent_last_error(self->agent, reason, sizeof reason));
}

/* Some rank got no assignment: those that did report who it was. */
static void report_no_start(coordinated *self, const syn_assignment *assignment, syn_status status,
                            const syn_agreement *agreement)
{
    syn_train_result result;
    int rank = syn_comm_rank(syn_comm_world());

    fail_result(&result, status, agreement, rank);
    if (result.is_culprit)
        (void)fprintf(stderr, "syncline-worker: rank %d: %s\n", rank, result.failure.message);
    if (!assignment->job_id)
        return;
    result.is_culprit = rank == 0;
    syn_agent_begin_job(self->agent, assignment, rank);
    (void)syn_agent_report_outcome(self->agent, &result);
}

int syn_launched_job_run(const syn_launched_job *launched)
{
    coordinated self = {0};
    syn_assignment assignment = {0};
    syn_agreement agreement = {.culprit = -1};
    syn_train_result result = {.state = SYN_TRAIN_FAILED};
    syn_agent_options options = {.address = launched->address,
                                 .job_id = launched->job_id,
                                 .epoch = launched->epoch,
                                 .attempt = launched->attempt};
    bool is_first = syn_comm_rank(syn_comm_world()) == 0;

    if (start_agent(&self, &options) != SYN_OK) {
        if (is_first)
            (void)fprintf(stderr, "syncline-worker: %s\n", syn_error_message());
        stop_agent(&self);
        return is_first ? SYN_EXIT_USAGE : SYN_EXIT_OK;
    }
    syn_status status = syn_comm_agree(
        syn_comm_world(), wait_for_assignment(&self, launched, &assignment), NULL, &agreement);
    if (status == SYN_OK)
        run_assignment(&self, &assignment, syn_comm_world(), &result);
    else
        report_no_start(&self, &assignment, status, &agreement);
    if (!syn_agent_flush(self.agent, DELIVER_MS))
        SYN_WARN("the coordinator at %s did not take the outcome; it is in %s", launched->address,
                 assignment.run_dir ? assignment.run_dir : "no run directory");
    stop_agent(&self);
    syn_assignment_release(&assignment);
    return is_first && result.state == SYN_TRAIN_FAILED ? SYN_EXIT_FAILED : SYN_EXIT_OK;
}

/* ---- a pool ---- */

/* FNV-1a over what names the launch: the group's tag must be the same on all members. */
static int group_tag(const syn_assignment *assignment)
{
    uint32_t hash = 2166136261u;
    for (const char *p = assignment->job_id; *p; p++)
        hash = (hash ^ (uint8_t)*p) * 16777619u;
    for (uint64_t epoch = assignment->epoch; epoch; epoch >>= 8)
        hash = (hash ^ (uint8_t)epoch) * 16777619u;
    return (int)(hash & 0x7fff);
}

static void run_pool_job(coordinated *self, const syn_assignment *assignment)
{
    syn_comm *comm = NULL;
    syn_train_result result;

    syn_train_monitor_reset(&self->monitor);
    if (syn_plain_was_signalled()) /* since the assignment was taken: the reset must not lose it */
        syn_train_monitor_ask_stop_by_signal(&self->monitor, SIGTERM);
    syn_status status =
        assignment->n_members > 0
            ? syn_comm_new(assignment->members, assignment->n_members, group_tag(assignment), &comm)
            : SYN_FAIL(SYN_INVALID_ARGUMENT, "the assignment of job %s names no members",
                       assignment->job_id);
    if (status == SYN_OK) {
        run_assignment(self, assignment, comm, &result);
        syn_comm_free(comm);
    } else {
        syn_agreement alone = {.culprit = -1};
        fail_result(&result, status, &alone, 0);
        SYN_ERROR("%s", result.failure.message);
        syn_agent_begin_job(self->agent, assignment, 0);
        (void)syn_agent_report_outcome(self->agent, &result);
    }
    /* The next job comes only after the outcome was acknowledged; reports may say idle before. */
    syn_agent_end_job(self->agent);
    syn_train_monitor_reset(&self->monitor);
}

static void serve(coordinated *self)
{
    char reason[512];
    int waited_ms = COMPLAIN_MS - PATIENCE_MS;

    while (!syn_plain_was_signalled()) {
        syn_assignment assignment = {0};
        switch (syn_agent_wait(self->agent, POLL_MS, &assignment)) {
        case SYN_AGENT_ASSIGNED:
            run_pool_job(self, &assignment);
            syn_assignment_release(&assignment);
            break;
        case SYN_AGENT_REFUSED:
            SYN_ERROR("%s", syn_error_message());
            return;
        case SYN_AGENT_LEAVE:
            SYN_INFO("the coordinator let this rank go");
            return;
        case SYN_AGENT_NOTHING:
            waited_ms += POLL_MS;
            break;
        }
        if (waited_ms >= COMPLAIN_MS) {
            waited_ms = 0;
            if (!syn_agent_was_attached(self->agent))
                SYN_WARN("no coordinator yet: %s",
                         syn_agent_last_error(self->agent, reason, sizeof reason));
        }
    }
}

int syn_pool_run(const char *address)
{
    coordinated self = {0};
    syn_comm *world = syn_comm_world();
    bool is_first = syn_comm_rank(world) == 0;
    char pool_id[128] = "";
    syn_agent_options options = {.address = address, .pool_id = pool_id};

    (void)snprintf(pool_id, sizeof pool_id, "pool-%.64s-%ld-%" PRIx64,
                   syn_comm_host(world, syn_comm_rank(world)), (long)getpid(),
                   (uint64_t)syn_clock_wall_ns() / 1000000);
    syn_status status = syn_comm_broadcast(world, pool_id, sizeof pool_id, 0);
    if (status == SYN_OK)
        status = start_agent(&self, &options);
    if (status == SYN_OK) {
        if (is_first)
            SYN_INFO("%s: %d rank%s for the jobs of the coordinator at %s", pool_id,
                     syn_comm_size(world), syn_comm_size(world) == 1 ? "" : "s", address);
        serve(&self);
        (void)syn_agent_flush(self.agent, DELIVER_MS);
    } else if (is_first) {
        (void)fprintf(stderr, "syncline-worker: %s\n", syn_error_message());
    }
    stop_agent(&self);
    return is_first && status != SYN_OK ? SYN_EXIT_USAGE : SYN_EXIT_OK;
}
