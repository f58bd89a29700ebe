/* A coordinator for tests: the Workers service on a thread of its own, which does what the test
 * says and counts what it hears. */
#ifndef TESTS_UNIT_WORKER_AGENT_COORDINATOR_H
#define TESTS_UNIT_WORKER_AGENT_COORDINATOR_H

#include "tests/unit/worker/train/scratch.h"

#include "common/rpc/methods.h"
#include "common/rpc/rpc.h"
#include "syncline/v1/workers.pb-c.h"

#include <pthread.h>
#include <stdbool.h>
#include <time.h>
#include <uv.h>

typedef struct coordinator {
    char address[600];
    pthread_t thread;
    uv_loop_t loop;
    uv_async_t wake;
    syn_rpc_server *server;
    syn_rpc_call *session;

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    /* What the test says; guarded by mutex. */
    bool is_ready, stopping, refuses, ends_session, sends_stop, sends_checkpoint, sends_leave,
        sends_assignment;
    bool assigns;         /* registration answers with an assignment */
    int failing_outcomes; /* so many outcomes are answered with UNAVAILABLE first */
    /* What was heard; guarded by mutex. */
    int n_registered, n_sessions, n_reports, n_outcomes, n_commits;
    uint64_t last_sequence, last_step, last_epoch, commit_step;
    int last_phase, outcome_state, outcome_rank;
    bool outcome_has_failure, has_progress;
    char last_job[64], worker_id[160], commit_path[128], outcome_message[128];
} coordinator;

static inline void heard(coordinator *self)
{
    (void)pthread_cond_broadcast(&self->changed);
    (void)pthread_mutex_unlock(&self->mutex);
}

static inline void fill_assignment(Syncline__V1__Assignment *assignment, uint32_t *members)
{
    syncline__v1__assignment__init(assignment);
    assignment->job_id = (char *)"j-000007";
    assignment->epoch = 11;
    assignment->attempt = 2;
    assignment->job_json = (ProtobufCBinaryData){2, (uint8_t *)"{}"};
    assignment->run_dir = (ProtobufCBinaryData){4, (uint8_t *)"/run"};
    members[0] = 3, members[1] = 1;
    assignment->members = members;
    assignment->n_members = 2;
}

static inline void on_register(syn_rpc_call *call, const ProtobufCMessage *message, void *user)
{
    const Syncline__V1__RegisterWorkerRequest *request =
        (const Syncline__V1__RegisterWorkerRequest *)message;
    Syncline__V1__RegisterWorkerResponse response = SYNCLINE__V1__REGISTER_WORKER_RESPONSE__INIT;
    Syncline__V1__Assignment assignment;
    uint32_t members[2];
    coordinator *self = user;

    (void)pthread_mutex_lock(&self->mutex);
    self->n_registered++;
    (void)snprintf(self->worker_id, sizeof self->worker_id, "%s", request->worker_id);
    bool refuses = self->refuses;
    response.report_interval_ms = 5;
    if (self->assigns) {
        fill_assignment(&assignment, members);
        response.assignment = &assignment;
    }
    heard(self);
    if (refuses)
        syn_rpc_call_finish(call, SYN_FAILED_PRECONDITION, "epoch 11 of j-000007 is stale");
    else
        syn_rpc_call_reply(call, &response.base);
}

static inline void on_report(syn_rpc_call *call, const ProtobufCMessage *message, void *user)
{
    const Syncline__V1__WorkerReport *report = (const Syncline__V1__WorkerReport *)message;
    coordinator *self = user;

    (void)pthread_mutex_lock(&self->mutex);
    if (self->session != call)
        self->n_sessions++;
    self->session = call;
    self->n_reports++;
    self->last_sequence = report->sequence;
    self->last_epoch = report->epoch;
    self->last_step = report->status ? report->status->step : 0;
    self->last_phase = report->status ? (int)report->status->phase : -1;
    self->has_progress = report->progress != NULL;
    (void)snprintf(self->last_job, sizeof self->last_job, "%s", report->job_id);
    heard(self);
}

static inline void on_session_closed(syn_rpc_call *call, syn_status status, void *user)
{
    coordinator *self = user;
    (void)status;
    (void)pthread_mutex_lock(&self->mutex);
    if (self->session == call)
        self->session = NULL;
    heard(self);
}

static inline void on_outcome(syn_rpc_call *call, const ProtobufCMessage *message, void *user)
{
    const Syncline__V1__ReportOutcomeRequest *request =
        (const Syncline__V1__ReportOutcomeRequest *)message;
    Syncline__V1__ReportOutcomeResponse response = SYNCLINE__V1__REPORT_OUTCOME_RESPONSE__INIT;
    coordinator *self = user;

    (void)pthread_mutex_lock(&self->mutex);
    bool fails = self->failing_outcomes > 0;
    if (fails) {
        self->failing_outcomes--;
    } else {
        self->n_outcomes++;
        self->outcome_state = (int)request->state;
        self->outcome_rank = (int)request->rank;
        self->outcome_has_failure = request->failure != NULL;
        if (request->failure)
            (void)snprintf(self->outcome_message, sizeof self->outcome_message, "%.*s",
                           (int)request->failure->message.len,
                           (const char *)request->failure->message.data);
    }
    heard(self);
    if (fails)
        syn_rpc_call_finish(call, SYN_UNAVAILABLE, "recovering");
    else
        syn_rpc_call_reply(call, &response.base);
}

static inline void on_commit(syn_rpc_call *call, const ProtobufCMessage *message, void *user)
{
    const Syncline__V1__CommitCheckpointRequest *request =
        (const Syncline__V1__CommitCheckpointRequest *)message;
    Syncline__V1__CommitCheckpointResponse response =
        SYNCLINE__V1__COMMIT_CHECKPOINT_RESPONSE__INIT;
    coordinator *self = user;

    (void)pthread_mutex_lock(&self->mutex);
    self->n_commits++;
    self->commit_step = request->step;
    (void)snprintf(self->commit_path, sizeof self->commit_path, "%.*s", (int)request->path.len,
                   (const char *)request->path.data);
    heard(self);
    syn_rpc_call_reply(call, &response.base);
}

static inline void send_directive(coordinator *self)
{
    Syncline__V1__Directive directive = SYNCLINE__V1__DIRECTIVE__INIT;
    Syncline__V1__Stop stop = SYNCLINE__V1__STOP__INIT;
    Syncline__V1__Assignment assignment;
    uint32_t members[2];

    if (self->sends_stop) {
        stop.job_id = (char *)"j-000007";
        stop.epoch = 11;
        stop.text = (ProtobufCBinaryData){9, (uint8_t *)"cancelled"};
        directive.stop = &stop;
    }
    if (self->sends_assignment) {
        fill_assignment(&assignment, members);
        directive.assignment = &assignment;
    }
    directive.checkpoint = self->sends_checkpoint;
    directive.leave = self->sends_leave;
    (void)syn_rpc_call_send(self->session, &directive.base);
    self->sends_stop = self->sends_checkpoint = self->sends_leave = self->sends_assignment = false;
}

static inline void close_wake(void *user)
{
    coordinator *self = user;
    uv_close((uv_handle_t *)&self->wake, NULL);
}

static inline void on_wake(uv_async_t *wake)
{
    coordinator *self = wake->data;
    (void)pthread_mutex_lock(&self->mutex);
    if (self->session &&
        (self->sends_stop || self->sends_checkpoint || self->sends_leave || self->sends_assignment))
        send_directive(self);
    if (self->session && self->ends_session) {
        self->ends_session = false;
        syn_rpc_call_finish(self->session, SYN_UNAVAILABLE, "restarting");
        self->session = NULL;
    }
    bool stopping = self->stopping;
    (void)pthread_mutex_unlock(&self->mutex);
    if (stopping && self->server) {
        syn_rpc_server_close(self->server, close_wake, self);
        self->server = NULL;
    }
}

static inline void *serve(void *user)
{
    coordinator *self = user;
    static const syn_rpc_handler handlers[] = {
        {.method = &syn_rpc_workers_register_worker, .on_message = on_register},
        {.method = &syn_rpc_workers_open_session,
         .on_message = on_report,
         .on_end = on_session_closed},
        {.method = &syn_rpc_workers_report_outcome, .on_message = on_outcome},
        {.method = &syn_rpc_workers_commit_checkpoint, .on_message = on_commit},
    };
    const syn_rpc_service service = {handlers, 4, self};
    const syn_rpc_server_options options = {.services = &service, .n_services = 1};

    (void)uv_loop_init(&self->loop);
    (void)uv_async_init(&self->loop, &self->wake, on_wake);
    self->wake.data = self;
    bool ok = syn_rpc_server_new(&self->loop, &options, &self->server) == SYN_OK &&
              syn_rpc_server_listen(self->server, self->address) == SYN_OK;
    if (!ok)
        (void)fprintf(stderr, "%s\n", syn_error_message());
    (void)pthread_mutex_lock(&self->mutex);
    self->is_ready = true;
    heard(self);
    (void)uv_run(&self->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&self->loop);
    return NULL;
}

/* Waits until `condition`, an expression over `self`, is true; the test fails after 20 s. */
#define wait_for(self, condition)                                                             \
    do {                                                                                      \
        struct timespec wait_end;                                                             \
        int wait_error = 0;                                                                   \
        (void)clock_gettime(CLOCK_REALTIME, &wait_end);                                       \
        wait_end.tv_sec += 20;                                                                \
        (void)pthread_mutex_lock(&(self)->mutex);                                             \
        while (!(condition) && wait_error == 0)                                               \
            wait_error = pthread_cond_timedwait(&(self)->changed, &(self)->mutex, &wait_end); \
        bool wait_met = (condition);                                                          \
        (void)pthread_mutex_unlock(&(self)->mutex);                                           \
        assert_true(wait_met);                                                                \
    } while (0)

/* Sets members of the coordinator for its thread. */
#define tell(self, ...)                             \
    do {                                            \
        (void)pthread_mutex_lock(&(self)->mutex);   \
        __VA_ARGS__;                                \
        (void)pthread_mutex_unlock(&(self)->mutex); \
        (void)uv_async_send(&(self)->wake);         \
    } while (0)

static inline int count_reports(coordinator *self)
{
    (void)pthread_mutex_lock(&self->mutex);
    int n = self->n_reports;
    (void)pthread_mutex_unlock(&self->mutex);
    return n;
}

static inline void coordinator_init(coordinator *self, const char *folder)
{
    memset(self, 0, sizeof *self);
    (void)snprintf(self->address, sizeof self->address, "unix://%s/grpc.sock", folder);
    (void)pthread_mutex_init(&self->mutex, NULL);
    (void)pthread_cond_init(&self->changed, NULL);
}

static inline void coordinator_start(coordinator *self)
{
    self->is_ready = self->stopping = false;
    assert_int_equal(pthread_create(&self->thread, NULL, serve, self), 0);
    wait_for(self, self->is_ready);
}

static inline void coordinator_stop(coordinator *self)
{
    tell(self, self->stopping = true);
    (void)pthread_join(self->thread, NULL);
}

#endif
