/* syncline.v1.Workers: ranks register, report and are told what to do. */
#include "server/rpc/internal.h"

#include "common/base/str.h"

#include <string.h>

enum { MAX_HOST = SYN_CLUSTER_HOST_MAX, MAX_MESSAGE = 1000, MAX_PATH = 4096, MAX_METRICS = 256 };

/* ---- RegisterWorker ---- */

static Syncline__V1__Assignment assignment_message(const syn_assignment *a)
{
    Syncline__V1__Assignment m = SYNCLINE__V1__ASSIGNMENT__INIT;
    m.job_id = (char *)a->job_id;
    m.epoch = a->epoch;
    m.attempt = a->attempt;
    m.job_json = syn_bytes_of(a->job_json);
    m.run_dir = syn_bytes_of(a->run_dir);
    m.resume_from = syn_bytes_of(a->resume_from);
    m.members = (uint32_t *)a->members; /* only read */
    m.n_members = a->n_members;
    return m;
}

static void register_worker(syn_rpc_call *call, const ProtobufCMessage *message, void *user)
{
    syn_services *services = user;
    const Syncline__V1__RegisterWorkerRequest *m =
        (const Syncline__V1__RegisterWorkerRequest *)message;
    Syncline__V1__RegisterWorkerResponse response = SYNCLINE__V1__REGISTER_WORKER_RESPONSE__INIT;
    Syncline__V1__Assignment assigned;
    syn_assignment assignment;
    bool has_assignment = false;
    syn_arena arena = {0};
    const syn_worker_identity identity = {
        .worker_id = m->worker_id,
        .host = syn_bytes_to_printable(&arena, &m->host, MAX_HOST / 3),
        .pool_id = m->pool_id,
        .pid = m->pid,
        .epoch = m->epoch,
        .rank = m->rank,
        .n_ranks = m->n_ranks};
    syn_status status =
        syn_jobs_register(services->jobs, &identity, m->job_id, &assignment, &has_assignment);
    if (status == SYN_OK) {
        if (has_assignment) {
            assigned = assignment_message(&assignment);
            response.assignment = &assigned;
        }
        response.report_interval_ms = syn_jobs_report_interval_ms(services->jobs);
        syn_rpc_call_reply(call, &response.base);
    } else {
        syn_rpc_call_fail(call, status);
    }
    syn_arena_release(&arena);
}

/* ---- OpenSession ---- */

typedef struct session {
    syn_stream stream; /* first */
    syn_worker
        *worker;     /* NULL before the first report, and when the session is over for the jobs */
    char *worker_id; /* owned */
    bool has_reported;
} session;

static void send_directive(void *handle, const syn_directive *directive)
{
    session *s = handle;
    Syncline__V1__Directive m = SYNCLINE__V1__DIRECTIVE__INIT;
    Syncline__V1__Stop stop = SYNCLINE__V1__STOP__INIT;
    Syncline__V1__Assignment assigned;
    switch (directive->kind) {
    case SYN_DIRECTIVE_ASSIGN:
        assigned = assignment_message(&directive->assignment);
        m.assignment = &assigned;
        break;
    case SYN_DIRECTIVE_STOP:
        stop.job_id = (char *)directive->assignment.job_id;
        stop.epoch = directive->assignment.epoch;
        stop.reason = (Syncline__V1__Reason)directive->reason;
        stop.text = syn_bytes_of(directive->text);
        m.stop = &stop;
        break;
    case SYN_DIRECTIVE_LEAVE:
        m.leave = true;
        break;
    }
    (void)syn_rpc_call_send(s->stream.call, &m.base);
}

static void end_session(void *handle, syn_status status, const char *message)
{
    session *s = handle;
    s->worker = NULL;
    syn_rpc_call_finish(s->stream.call, status, message);
}

const syn_session_ops syn_rpc_session_ops = {.send = send_directive, .end = end_session};

static void start_session(syn_rpc_call *call, void *user)
{
    syn_services *services = user;
    session *s = syn_calloc(1, sizeof *s);
    if (!s) {
        syn_rpc_call_fail(call, syn_fail_memory(sizeof *s, "a session"));
        return;
    }
    s->stream = (syn_stream){.services = services, .call = call};
    syn_rpc_call_set_data(call, s);
    syn_stream_link(&s->stream, &services->sessions);
}

static syn_status open_session(session *s, const Syncline__V1__WorkerReport *report)
{
    s->worker_id = syn_strdup(report->worker_id);
    if (!s->worker_id)
        return syn_fail_memory(strlen(report->worker_id), "a session");
    return syn_jobs_attach(s->stream.services->jobs, s->worker_id, s, &s->worker);
}

static void take_report(syn_rpc_call *call, const ProtobufCMessage *message, void *user)
{
    syn_services *services = user;
    const Syncline__V1__WorkerReport *m = (const Syncline__V1__WorkerReport *)message;
    session *s = syn_rpc_call_data(call);
    syn_rank_status status;
    syn_job_progress progress;
    syn_status result = SYN_OK;
    if (!s || (s->worker_id && !s->worker))
        return; /* over */
    bool is_first = !s->has_reported;
    s->has_reported = true;
    if (is_first)
        result = open_session(s, m);
    if (result == SYN_OK && s->worker) {
        syn_arena arena = {0};
        syn_worker_report report = {.job_id = m->job_id, .epoch = m->epoch, .is_first = is_first};
        if (m->status) {
            syn_convert_rank_status(m->status, &status);
            report.status = &status;
            report.label = syn_bytes_to_printable(&arena, &m->text, 100 / 3);
        }
        if (m->progress) {
            syn_convert_progress(m->progress, &progress);
            report.progress = &progress;
        }
        result = syn_jobs_report(services->jobs, s->worker, &report);
        syn_arena_release(&arena);
    }
    if (result != SYN_OK)
        syn_rpc_call_fail(call, result);
}

static void half_close_session(syn_rpc_call *call, void *user)
{
    (void)user;
    syn_rpc_call_finish(call, SYN_OK, NULL);
}

static void close_session(syn_rpc_call *call, syn_status status, void *user)
{
    syn_services *services = user;
    session *s = syn_rpc_call_data(call);
    (void)status;
    if (!s)
        return;
    syn_rpc_call_set_data(call, NULL);
    syn_stream_unlink(&s->stream);
    if (s->worker)
        syn_jobs_detach(services->jobs, s->worker_id, s);
    syn_free(s->worker_id);
    syn_free(s);
}

/* ---- ReportOutcome and CommitCheckpoint ---- */

static void reply_outcome(syn_status status, const char *message, syn_job *job, void *user)
{
    syn_rpc_call *call = user;
    Syncline__V1__ReportOutcomeResponse response = SYNCLINE__V1__REPORT_OUTCOME_RESPONSE__INIT;
    (void)job;
    if (status == SYN_OK)
        syn_rpc_call_reply(call, &response.base);
    else
        syn_rpc_call_finish(call, status, message);
    syn_rpc_call_unref(call);
}

static void fill_failure(syn_arena *arena, const Syncline__V1__Failure *m, syn_job_failure *f)
{
    bool is_known = (unsigned)m->phase < SYN_N_PHASES;
    *f = (syn_job_failure){.is_set = true,
                           .rank_known = m->rank_known,
                           .rank = m->rank,
                           .attempt = m->attempt,
                           .signal = m->signal,
                           .exit_code = m->exit_code,
                           .step = m->step,
                           .phase = is_known ? (syn_phase)m->phase : SYN_PHASE_UNSPECIFIED,
                           .host = syn_bytes_to_printable(arena, &m->host, MAX_HOST / 3),
                           .message = syn_bytes_to_printable(arena, &m->message, MAX_MESSAGE)};
}

static void report_outcome(syn_rpc_call *call, const ProtobufCMessage *message, void *user)
{
    syn_services *services = user;
    const Syncline__V1__ReportOutcomeRequest *m =
        (const Syncline__V1__ReportOutcomeRequest *)message;
    syn_job_metric metrics[MAX_METRICS];
    syn_job_failure failure;
    syn_job_progress progress;
    syn_arena arena = {0};
    syn_rank_outcome outcome = {.job_id = m->job_id,
                                .epoch = m->epoch,
                                .rank = m->rank,
                                .state = (syn_job_state)m->state,
                                .metrics = metrics,
                                .weights_sha256 = m->weights_sha256,
                                .elapsed_s = m->elapsed_s,
                                .samples_per_s = m->median_samples_per_s,
                                .hidden_ms = m->median_hidden_ms,
                                .exposed_ms = m->median_exposed_ms};
    for (size_t i = 0; i < m->n_metrics && i < MAX_METRICS; i++)
        metrics[outcome.n_metrics++] = (syn_job_metric){m->metrics[i]->name, m->metrics[i]->value};
    if (m->failure) {
        fill_failure(&arena, m->failure, &failure);
        outcome.failure = &failure;
    }
    if (m->progress) {
        syn_convert_progress(m->progress, &progress);
        outcome.progress = &progress;
        outcome.steps = progress.step;
    }
    syn_rpc_call_ref(call);
    syn_jobs_outcome(services->jobs, &outcome, reply_outcome, call);
    syn_arena_release(&arena);
}

static void reply_checkpoint(syn_status status, const char *message, syn_job *job, void *user)
{
    syn_rpc_call *call = user;
    Syncline__V1__CommitCheckpointResponse response =
        SYNCLINE__V1__COMMIT_CHECKPOINT_RESPONSE__INIT;
    (void)job;
    if (status == SYN_OK)
        syn_rpc_call_reply(call, &response.base);
    else
        syn_rpc_call_finish(call, status, message);
    syn_rpc_call_unref(call);
}

static void commit_checkpoint(syn_rpc_call *call, const ProtobufCMessage *message, void *user)
{
    syn_services *services = user;
    const Syncline__V1__CommitCheckpointRequest *m =
        (const Syncline__V1__CommitCheckpointRequest *)message;
    syn_arena arena = {0};
    const char *path;
    syn_status status =
        syn_bytes_to_text(&arena, &m->path, MAX_PATH, "the path of a checkpoint", &path);
    if (status == SYN_OK) {
        syn_rpc_call_ref(call);
        syn_jobs_checkpoint(services->jobs, m->job_id, m->epoch, m->step, path, m->manifest_sha256,
                            reply_checkpoint, call);
    } else {
        syn_rpc_call_fail(call, status);
    }
    syn_arena_release(&arena);
}

const syn_rpc_handler syn_workers_handlers[] = {
    {.method = &syn_rpc_workers_register_worker, .on_message = register_worker},
    {.method = &syn_rpc_workers_open_session,
     .on_start = start_session,
     .on_message = take_report,
     .on_half_close = half_close_session,
     .on_end = close_session},
    {.method = &syn_rpc_workers_report_outcome, .on_message = report_outcome},
    {.method = &syn_rpc_workers_commit_checkpoint, .on_message = commit_checkpoint},
};
const size_t syn_workers_n_handlers = sizeof syn_workers_handlers / sizeof *syn_workers_handlers;
