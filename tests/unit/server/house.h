/* A coordinator's rooms on a unix socket, a client, a launcher that launches nothing, and ranks
 * played by the test. */
#ifndef TESTS_UNIT_SERVER_HOUSE_H
#define TESTS_UNIT_SERVER_HOUSE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/rpc/methods.h"
#include "server/jobs/jobs.h"
#include "server/rpc/services.h"
#include "syncline/v1/cluster.pb-c.h"
#include "syncline/v1/jobs.pb-c.h"
#include "syncline/v1/workers.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

enum { MAX_LAUNCHES = 16, GUARD_MS = 20000 };

/* One launch that the coordinator has asked for. */
typedef struct fake_launch {
    char job_id[32], run_dir[256], address[256];
    uint64_t epoch;
    uint32_t attempt, n_ranks;
    syn_launch_state state;
    syn_launch_exit exit;
    int n_terms, n_kills;
    bool ignores_term, is_on_disk;
} fake_launch;

static fake_launch launches[MAX_LAUNCHES];
static int n_launches;
static bool launch_fails;

static syn_status fake_start(const syn_launch_request *request, syn_launch_handle *handle_out)
{
    if (launch_fails)
        return SYN_FAIL(SYN_NOT_FOUND, "there is no mpirun");
    fake_launch *l = &launches[n_launches++];
    *l = (fake_launch){.epoch = request->epoch,
                       .attempt = request->attempt,
                       .n_ranks = request->n_ranks,
                       .state = SYN_LAUNCH_ALIVE,
                       .is_on_disk = true};
    (void)snprintf(l->job_id, sizeof l->job_id, "%s", request->job_id);
    (void)snprintf(l->run_dir, sizeof l->run_dir, "%s", request->run_dir);
    (void)snprintf(l->address, sizeof l->address, "%s", request->address);
    *handle_out = (syn_launch_handle){.pid = n_launches, .start_ticks = 42};
    return SYN_OK;
}

static syn_status fake_find(const char *run_dir, uint32_t attempt, uint64_t epoch,
                            syn_launch_handle *handle_out)
{
    for (int i = 0; i < n_launches; i++)
        if (launches[i].is_on_disk && launches[i].epoch == epoch &&
            launches[i].attempt == attempt && strcmp(launches[i].run_dir, run_dir) == 0) {
            *handle_out = (syn_launch_handle){.pid = i + 1, .start_ticks = 42};
            return SYN_OK;
        }
    return SYN_FAIL(SYN_NOT_FOUND, "no such launch");
}

static syn_launch_state fake_poll(const syn_launch_handle *handle, const char *run_dir,
                                  uint32_t attempt, syn_launch_exit *exit_out)
{
    const fake_launch *l = &launches[handle->pid - 1];
    assert_int_equal(l->attempt, attempt);
    assert_string_equal(l->run_dir, run_dir);
    if (l->state == SYN_LAUNCH_EXITED)
        *exit_out = l->exit;
    return l->state;
}

static void fake_kill(const syn_launch_handle *handle, bool force)
{
    fake_launch *l = &launches[handle->pid - 1];
    if (force)
        l->n_kills++;
    else
        l->n_terms++;
    if (l->state != SYN_LAUNCH_ALIVE || (l->ignores_term && !force))
        return;
    l->state = SYN_LAUNCH_EXITED;
    l->exit = (syn_launch_exit){.exit_code = 143, .signal = force ? 9 : 15};
}

static inline void end_launch(int i, int exit_code)
{
    launches[i].state = SYN_LAUNCH_EXITED;
    launches[i].exit = (syn_launch_exit){.exit_code = exit_code};
}

static inline void end_launch_by_signal(int i, uint32_t rank, int number)
{
    launches[i].state = SYN_LAUNCH_EXITED;
    launches[i].exit = (syn_launch_exit){
        .exit_code = 128 + number, .signal = number, .rank_known = true, .rank = rank};
}

typedef struct house {
    char dir[64], address[128];
    uv_loop_t loop;
    uv_timer_t guard;
    bool is_open, is_late;
    syn_store *store;
    syn_jobs *jobs;
    syn_services *services;
    syn_rpc_server *server;
    syn_rpc_channel *channel;
    /* changed by tests before house_open */
    int64_t slots;
    uint32_t poll_ms, lost_ms, grace_ms, max_pages, stall_ms;
    bool oversubscribe;
} house;

static void on_guard(uv_timer_t *timer)
{
    ((house *)timer->data)->is_late = true;
}

/* One turn of the loop; fails the test when nothing comes for too long. */
static inline void house_turn(house *h)
{
    (void)uv_timer_start(&h->guard, on_guard, GUARD_MS, 0);
    (void)uv_run(&h->loop, UV_RUN_ONCE);
    (void)uv_timer_stop(&h->guard);
    if (h->is_late)
        fail_msg("nothing happened for %d s", GUARD_MS / 1000);
}

static inline void house_open(house *h)
{
    syn_rpc_server_options server_options;
    const syn_store_options store_options = {
        .dir = h->dir, .loop = &h->loop, .max_pages = h->max_pages};
    assert_int_equal(syn_store_open(&store_options, &h->store), SYN_OK);
    const syn_jobs_options options = {.loop = &h->loop,
                                      .store = h->store,
                                      .state_dir = h->dir,
                                      .slots = h->slots ? h->slots : 4,
                                      .oversubscribe = h->oversubscribe,
                                      .launcher = {fake_start, fake_find, fake_poll, fake_kill},
                                      .sessions = syn_rpc_session_ops,
                                      .poll_ms = h->poll_ms ? h->poll_ms : 5,
                                      .grace_ms = h->grace_ms ? h->grace_ms : 60,
                                      .lost_ms = h->lost_ms ? h->lost_ms : 10000,
                                      .retry_ms = 1,
                                      .find_ms = 30,
                                      .stall_ms = h->stall_ms,
                                      .report_interval_ms = 10};
    assert_int_equal(syn_jobs_new(&options, &h->jobs), SYN_OK);
    assert_int_equal(syn_services_new(&h->loop, h->jobs, &h->services), SYN_OK);
    syn_services_describe(h->services, &server_options);
    assert_int_equal(syn_rpc_server_new(&h->loop, &server_options, &h->server), SYN_OK);
    (void)snprintf(h->address, sizeof h->address, "unix://%s/socket", h->dir);
    assert_int_equal(syn_rpc_server_listen(h->server, h->address), SYN_OK);
    assert_int_equal(syn_jobs_start(h->jobs, h->address), SYN_OK);
    h->is_open = true;
    assert_int_equal(syn_rpc_channel_new(&h->loop, h->address, NULL, &h->channel), SYN_OK);
}

static void count_down(void *user)
{
    --*(int *)user;
}

/* Ends the coordinator without a word to its jobs. */
static inline void house_close(house *h)
{
    int n = 1;
    syn_rpc_channel_close(h->channel, count_down, &n);
    while (n)
        house_turn(h);
    n = 1;
    syn_rpc_server_close(h->server, count_down, &n);
    while (n)
        house_turn(h);
    syn_jobs_halt(h->jobs);
    n = 1;
    syn_store_close(h->store, count_down, &n);
    while (n)
        house_turn(h);
    syn_services_free(h->services);
    n = 1;
    syn_jobs_close(h->jobs, count_down, &n);
    while (n)
        house_turn(h);
    h->is_open = false;
}

static inline house *house_new(void)
{
    house *h = calloc(1, sizeof *h);
    (void)snprintf(h->dir, sizeof h->dir, "/tmp/syn-house-XXXXXX");
    assert_non_null(mkdtemp(h->dir));
    assert_int_equal(uv_loop_init(&h->loop), 0);
    (void)uv_timer_init(&h->loop, &h->guard);
    h->guard.data = h;
    syn_log_set_level(SYN_LOG_ERROR);
    n_launches = 0;
    launch_fails = false;
    return h;
}

static inline void house_free(house *h)
{
    if (h->is_open) /* the test has failed: what it left behind does not matter */
        return;
    uv_close((uv_handle_t *)&h->guard, NULL);
    (void)uv_run(&h->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&h->loop), 0);
    (void)syn_dir_remove(h->dir);
    free(h);
}

/* ---- calls ---- */

typedef struct answer {
    bool has_come;
    syn_status status;
    char message[1024];
    ProtobufCMessage *reply; /* a copy; NULL: none */
} answer;

static void on_answer(syn_status status, const char *message, const ProtobufCMessage *reply,
                      void *user)
{
    answer *a = user;
    a->has_come = true;
    a->status = status;
    (void)snprintf(a->message, sizeof a->message, "%s", message ? message : "");
    if (reply) {
        unsigned char *bytes;
        size_t size;
        assert_int_equal(syn_wire_pack(reply, &bytes, &size), SYN_OK);
        assert_int_equal(syn_wire_unpack(reply->descriptor, bytes, size, &a->reply), SYN_OK);
        syn_free(bytes);
    }
}

/* The reply of a unary call; the caller frees it with syn_wire_free. NULL with `*status_out` for a
 * refusal. */
static inline ProtobufCMessage *house_call(house *h, const syn_rpc_method *method,
                                           const ProtobufCMessage *request, syn_status *status_out,
                                           char message_out[1024])
{
    answer a = {0};
    assert_int_equal(syn_rpc_client_unary(h->channel, method, request, 0, on_answer, &a), SYN_OK);
    while (!a.has_come)
        house_turn(h);
    if (status_out)
        *status_out = a.status;
    else
        assert_int_equal(a.status, SYN_OK);
    if (message_out)
        memcpy(message_out, a.message, 1024);
    return a.reply;
}

static inline ProtobufCBinaryData as_bytes(const char *text)
{
    return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)text};
}

static const char *const job_file = "name: test\n"
                                    "model: {kind: mlp, hidden: [8]}\n"
                                    "data: {kind: digits, n_train: 64, n_test: 16}\n"
                                    "train: {max_steps: 10, batch_size: 16}\n";

typedef struct submission {
    const char *request_id, *file, *run_dir, *resume_from;
    uint32_t n_ranks, restarts_plus_one;
    int32_t priority;
} submission;

static inline syn_status house_submit_with(house *h, submission s, char job_id_out[32],
                                           char message_out[1024])
{
    static int n;
    char unique[32];
    Syncline__V1__SubmitJobRequest request = SYNCLINE__V1__SUBMIT_JOB_REQUEST__INIT;
    syn_status status;
    (void)snprintf(unique, sizeof unique, "request-%d", ++n);
    request.request_id = (char *)(s.request_id ? s.request_id : unique);
    request.job_file = as_bytes(s.file ? s.file : job_file);
    request.file_name = as_bytes("job.yaml");
    request.base_dir = as_bytes("/tmp");
    request.run_dir = as_bytes(s.run_dir ? s.run_dir : "");
    request.resume_from = as_bytes(s.resume_from ? s.resume_from : "");
    request.n_ranks = s.n_ranks;
    request.priority = s.priority;
    request.max_restarts_plus_one = s.restarts_plus_one;
    Syncline__V1__SubmitJobResponse *reply = (Syncline__V1__SubmitJobResponse *)house_call(
        h, &syn_rpc_jobs_submit_job, &request.base, &status, message_out);
    if (reply && job_id_out)
        (void)snprintf(job_id_out, 32, "%s", reply->job->job_id);
    syn_wire_free((ProtobufCMessage *)reply);
    return status;
}

/* Submits a job of n ranks; the id is in `job_id_out`. */
static inline void house_submit(house *h, uint32_t n_ranks, char job_id_out[32])
{
    char message[1024];
    if (house_submit_with(h, (submission){.n_ranks = n_ranks}, job_id_out, message) != SYN_OK)
        fail_msg("%s", message);
}

static inline const syn_job_record *house_job(house *h, const char *job_id)
{
    syn_job *job = syn_jobs_find(h->jobs, job_id);
    assert_non_null(job);
    return syn_job_shown(job);
}

/* Turns the loop until the job is in this state. */
static inline void house_wait(house *h, const char *job_id, syn_job_state state)
{
    uint64_t start = uv_hrtime();
    while (house_job(h, job_id)->state != state) {
        house_turn(h);
        if (uv_hrtime() - start > (uint64_t)GUARD_MS * 1000000u)
            fail_msg("%s is %s, not %s: %s", job_id,
                     syn_job_state_name(house_job(h, job_id)->state), syn_job_state_name(state),
                     syn_text_get(house_job(h, job_id)->reason_text));
    }
}

static inline void house_wait_launch(house *h, int n)
{
    uint64_t start = uv_hrtime();
    while (n_launches < n) {
        house_turn(h);
        if (uv_hrtime() - start > (uint64_t)GUARD_MS * 1000000u)
            fail_msg("there were %d launches, not %d", n_launches, n);
    }
}

/* ---- ranks ---- */

typedef struct rank {
    house *house;
    char worker_id[32], job_id[32], pool_id[32];
    uint64_t epoch;
    uint32_t rank, n_ranks;
    syn_rpc_client_call *session;
    bool has_ended, is_first;
    syn_status end_status;
    /* what it was told */
    bool has_assignment, has_stop, has_leave;
    int n_assignments, stop_reason;
    char assigned_job[32], run_dir[256], resume_from[256], stop_job[32];
    uint64_t assigned_epoch;
    uint32_t members[16], assigned_attempt;
    size_t n_members;
} rank;

static void take_assignment(rank *r, const Syncline__V1__Assignment *a)
{
    r->has_assignment = true;
    r->n_assignments++;
    (void)snprintf(r->assigned_job, sizeof r->assigned_job, "%s", a->job_id);
    (void)snprintf(r->run_dir, sizeof r->run_dir, "%.*s", (int)a->run_dir.len,
                   (const char *)a->run_dir.data);
    (void)snprintf(r->resume_from, sizeof r->resume_from, "%.*s", (int)a->resume_from.len,
                   a->resume_from.len ? (const char *)a->resume_from.data : "");
    r->assigned_epoch = a->epoch;
    r->assigned_attempt = a->attempt;
    r->n_members = a->n_members;
    for (size_t i = 0; i < a->n_members && i < 16; i++)
        r->members[i] = a->members[i];
    assert_true(a->job_json.len > 0 && a->job_json.data[0] == '{');
}

static void on_directive(syn_rpc_client_call *call, const ProtobufCMessage *message, void *user)
{
    const Syncline__V1__Directive *d = (const Syncline__V1__Directive *)message;
    rank *r = user;
    (void)call;
    if (d->assignment)
        take_assignment(r, d->assignment);
    if (d->stop) {
        r->has_stop = true;
        r->stop_reason = (int)d->stop->reason;
        (void)snprintf(r->stop_job, sizeof r->stop_job, "%s", d->stop->job_id);
    }
    r->has_leave = r->has_leave || d->leave;
}

static void on_session_end(syn_rpc_client_call *call, syn_status status, const char *message,
                           void *user)
{
    rank *r = user;
    (void)call, (void)message;
    r->session = NULL;
    r->has_ended = true;
    r->end_status = status;
}

static const syn_rpc_client_handler session_handler = {.on_message = on_directive,
                                                       .on_end = on_session_end};

static inline syn_status rank_register(rank *r)
{
    Syncline__V1__RegisterWorkerRequest request = SYNCLINE__V1__REGISTER_WORKER_REQUEST__INIT;
    syn_status status;
    request.job_id = r->job_id;
    request.epoch = r->epoch;
    request.pool_id = r->pool_id;
    request.rank = r->rank;
    request.n_ranks = r->n_ranks;
    request.host = as_bytes("node1");
    request.pid = 4000 + r->rank;
    request.version = (char *)"test";
    request.worker_id = r->worker_id;
    Syncline__V1__RegisterWorkerResponse *reply =
        (Syncline__V1__RegisterWorkerResponse *)house_call(
            r->house, &syn_rpc_workers_register_worker, &request.base, &status, NULL);
    if (reply && reply->assignment)
        take_assignment(r, reply->assignment);
    syn_wire_free((ProtobufCMessage *)reply);
    return status;
}

/* One report: of this job at this step and phase ("" and 0: idle). */
static inline void rank_report(rank *r, const char *job_id, uint64_t epoch, uint64_t step,
                               syn_phase phase)
{
    Syncline__V1__WorkerReport report = SYNCLINE__V1__WORKER_REPORT__INIT;
    Syncline__V1__RankStatus status = SYNCLINE__V1__RANK_STATUS__INIT;
    Syncline__V1__Progress progress = SYNCLINE__V1__PROGRESS__INIT;
    report.worker_id = r->is_first ? r->worker_id : (char *)"";
    report.pool_id = r->pool_id;
    report.job_id = (char *)job_id;
    report.epoch = epoch;
    status.step = step;
    status.phase = (Syncline__V1__Phase)phase;
    status.pid = 4000 + r->rank;
    report.status = &status;
    progress.step = step;
    progress.total_steps = 10;
    progress.train_loss = 0.5;
    progress.has_loss = true;
    if (step > 0)
        report.progress = &progress;
    r->is_first = false;
    if (r->session)
        assert_int_equal(syn_rpc_client_send(r->session, &report.base), SYN_OK);
}

static inline void rank_open(rank *r)
{
    r->is_first = true;
    r->has_ended = false;
    assert_int_equal(syn_rpc_client_start(r->house->channel, &syn_rpc_workers_open_session,
                                          &session_handler, r, 0, &r->session),
                     SYN_OK);
}

/* All ranks of a launch come up and say that they are at the start. */
static inline void ranks_start(house *h, int launch, rank *ranks, const char *tag)
{
    const fake_launch *l = &launches[launch];
    for (uint32_t r = 0; r < l->n_ranks; r++) {
        ranks[r] = (rank){.house = h, .epoch = l->epoch, .rank = r, .n_ranks = l->n_ranks};
        (void)snprintf(ranks[r].worker_id, sizeof ranks[r].worker_id, "w%.12s-%u", tag, r);
        (void)snprintf(ranks[r].job_id, sizeof ranks[r].job_id, "%.31s", l->job_id);
        assert_int_equal(rank_register(&ranks[r]), SYN_OK);
        assert_true(ranks[r].has_assignment);
        rank_open(&ranks[r]);
        rank_report(&ranks[r], l->job_id, l->epoch, 0, SYN_PHASE_INIT);
    }
}

static inline syn_status rank_outcome(rank *r, const char *job_id, uint64_t epoch,
                                      uint32_t job_rank, syn_job_state state, const char *failure)
{
    Syncline__V1__ReportOutcomeRequest request = SYNCLINE__V1__REPORT_OUTCOME_REQUEST__INIT;
    Syncline__V1__Failure f = SYNCLINE__V1__FAILURE__INIT;
    Syncline__V1__Progress progress = SYNCLINE__V1__PROGRESS__INIT;
    Syncline__V1__Metric metric = SYNCLINE__V1__METRIC__INIT, *metrics[] = {&metric};
    syn_status status;
    request.job_id = (char *)job_id;
    request.epoch = epoch;
    request.rank = job_rank;
    request.worker_id = r->worker_id;
    request.state = (Syncline__V1__JobState)state;
    if (failure) {
        f.rank = job_rank;
        f.rank_known = true;
        f.exit_code = 1;
        f.step = 7;
        f.phase = SYNCLINE__V1__PHASE__PHASE_DATA_READ;
        f.host = as_bytes("node1");
        f.message = as_bytes(failure);
        request.failure = &f;
    }
    if (job_rank == 0 && state == SYN_JOB_SUCCEEDED) {
        metric.name = (char *)"test_accuracy";
        metric.value = 0.97;
        request.metrics = metrics;
        request.n_metrics = 1;
        request.weights_sha256 = (char *)"abc123";
    }
    progress.step = 10;
    request.progress = &progress;
    syn_wire_free(
        house_call(r->house, &syn_rpc_workers_report_outcome, &request.base, &status, NULL));
    return status;
}

static inline void ranks_succeed(rank *ranks, uint32_t n, const char *job_id, uint64_t epoch)
{
    for (uint32_t r = 0; r < n; r++)
        assert_int_equal(rank_outcome(&ranks[r], job_id, epoch, r, SYN_JOB_SUCCEEDED, NULL),
                         SYN_OK);
}

/* The ranks are gone: no more is heard of them. */
static inline void ranks_vanish(rank *ranks, uint32_t n)
{
    for (uint32_t r = 0; r < n; r++) {
        if (ranks[r].session)
            syn_rpc_client_cancel(ranks[r].session);
        while (ranks[r].session)
            house_turn(ranks[r].house);
    }
}

#endif
