/* Attaching to the coordinator: registration, the stream of reports, and its directives. */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/rpc/methods.h"
#include "syncline/v1/workers.pb-c.h"
#include "worker/agent/internal.h"
#include "worker/comm/comm.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void on_attach_timer(uv_timer_t *timer)
{
    syn_agent_attach(timer->data);
}

static void attach_later(syn_agent *agent)
{
    if (agent->has_closed)
        return;
    (void)uv_timer_start(&agent->attach_timer, on_attach_timer, agent->attach_backoff_ms, 0);
    agent->attach_backoff_ms = syn_agent_next_backoff(agent->attach_backoff_ms);
}

static ProtobufCBinaryData as_bytes(const char *text)
{
    return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)text};
}

/* ---- reports ---- */

static uint64_t resident_bytes(void)
{
    unsigned long long total = 0, resident = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    if (statm && fscanf(statm, "%llu %llu", &total, &resident) != 2)
        resident = 0;
    if (statm)
        (void)fclose(statm);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void fill_progress(const syn_train_status *now, Syncline__V1__Progress *progress)
{
    progress->step = (uint64_t)now->step;
    progress->total_steps = (uint64_t)now->total_steps;
    progress->epoch = (uint32_t)now->epoch;
    progress->total_epochs = (uint32_t)now->total_epochs;
    progress->train_loss = now->train_loss;
    progress->samples_per_s = now->samples_per_s;
    progress->eta_s = now->eta_s;
    progress->hidden_ms = now->hidden_ms;
    progress->exposed_ms = now->exposed_ms;
    progress->updated_ns = now->updated_ns;
    progress->has_loss = now->has_loss;
}

static void send_report(syn_agent *agent)
{
    Syncline__V1__WorkerReport report = SYNCLINE__V1__WORKER_REPORT__INIT;
    Syncline__V1__RankStatus rank = SYNCLINE__V1__RANK_STATUS__INIT;
    Syncline__V1__Progress progress = SYNCLINE__V1__PROGRESS__INIT;
    syn_comm_progress comm = {0};
    syn_train_status now;
    char job_id[256] = "";
    int job_rank = agent->rank;

    if (!syn_rpc_client_is_writable(agent->session))
        return;
    (void)pthread_mutex_lock(&agent->mutex);
    bool is_busy = agent->job.job_id != NULL;
    if (is_busy) {
        (void)snprintf(job_id, sizeof job_id, "%s", agent->job.job_id);
        report.epoch = agent->job.epoch;
        job_rank = agent->job.rank;
    }
    (void)pthread_mutex_unlock(&agent->mutex);
    syn_train_monitor_read(agent->monitor, &now);
    syn_comm_get_progress(&comm);
    report.worker_id = agent->is_first_report ? agent->worker_id : "";
    report.pool_id = agent->pool_id;
    report.job_id = job_id;
    report.sequence = ++agent->sequence;
    rank.rank = (uint32_t)job_rank;
    rank.host = as_bytes(agent->host);
    rank.pid = (uint64_t)getpid();
    rank.step = (uint64_t)now.step;
    rank.phase = (Syncline__V1__Phase)now.phase;
    rank.collective = comm.sequence;
    rank.since_ns = now.since_ns;
    rank.resident_bytes = resident_bytes();
    report.status = &rank;
    if (is_busy && job_rank == 0 && now.total_steps > 0) {
        fill_progress(&now, &progress);
        report.progress = &progress;
    }
    if (is_busy && comm.state == SYN_COMM_INSIDE)
        report.text = as_bytes(comm.label);
    agent->is_first_report = false;
    if (syn_rpc_client_send(agent->session, &report.base) != SYN_OK)
        SYN_WARN("a report could not be sent: %s", syn_error_message());
}

static void on_report_timer(uv_timer_t *timer)
{
    syn_agent *agent = timer->data;
    if (agent->session)
        send_report(agent);
}

/* ---- directives ---- */

static void take_stop(syn_agent *agent, const Syncline__V1__Stop *stop)
{
    char text[256];
    (void)snprintf(text, sizeof text, "%.*s", (int)(stop->text.len < 200 ? stop->text.len : 200),
                   stop->text.data ? (const char *)stop->text.data : "");
    (void)pthread_mutex_lock(&agent->mutex);
    bool is_current = agent->job.job_id && strcmp(agent->job.job_id, stop->job_id) == 0 &&
                      agent->job.epoch == stop->epoch;
    if (!is_current) {
        syn_free(agent->stopped_job);
        agent->stopped_job = syn_strdup(stop->job_id);
        agent->stopped_epoch = stop->epoch;
        memcpy(agent->stop_text, text, sizeof agent->stop_text);
    }
    (void)pthread_mutex_unlock(&agent->mutex);
    if (is_current)
        syn_train_monitor_ask_stop(agent->monitor, text);
}

static void on_directive(syn_rpc_client_call *call, const ProtobufCMessage *message, void *user)
{
    const Syncline__V1__Directive *directive = (const Syncline__V1__Directive *)message;
    syn_agent *agent = user;
    (void)call;

    if (directive->assignment)
        syn_agent_add_assignment(agent, directive->assignment);
    if (directive->stop)
        take_stop(agent, directive->stop);
    if (directive->checkpoint)
        syn_train_monitor_ask_checkpoint(agent->monitor);
    if (directive->leave) {
        (void)pthread_mutex_lock(&agent->mutex);
        agent->leave = true;
        (void)pthread_cond_broadcast(&agent->changed);
        (void)pthread_mutex_unlock(&agent->mutex);
    }
}

/* ---- the session ---- */

static void note_error(syn_agent *agent, const char *message)
{
    (void)pthread_mutex_lock(&agent->mutex);
    (void)snprintf(agent->last_error, sizeof agent->last_error, "%s", message ? message : "");
    (void)pthread_mutex_unlock(&agent->mutex);
}

static void on_session_end(syn_rpc_client_call *call, syn_status status, const char *message,
                           void *user)
{
    syn_agent *agent = user;
    (void)call;
    agent->session = NULL;
    (void)uv_timer_stop(&agent->report_timer);
    if (agent->has_closed)
        return;
    note_error(agent, message);
    SYN_INFO("the session with the coordinator ended: %s",
             message && *message ? message : syn_status_text(status));
    if (status == SYN_FAILED_PRECONDITION) {
        (void)pthread_mutex_lock(&agent->mutex);
        bool is_busy = agent->job.job_id != NULL;
        (void)pthread_mutex_unlock(&agent->mutex);
        if (is_busy)
            syn_train_monitor_ask_abandon(agent->monitor);
    }
    attach_later(agent);
}

static const syn_rpc_client_handler session_handler = {
    .on_message = on_directive,
    .on_end = on_session_end,
};

static void open_session(syn_agent *agent)
{
    if (syn_rpc_client_start(agent->channel, &syn_rpc_workers_open_session, &session_handler, agent,
                             0, &agent->session) != SYN_OK) {
        agent->session = NULL;
        attach_later(agent);
        return;
    }
    agent->is_first_report = true;
    agent->attach_backoff_ms = SYN_AGENT_FIRST_BACKOFF_MS;
    send_report(agent);
    (void)uv_timer_start(&agent->report_timer, on_report_timer, agent->report_ms, agent->report_ms);
    (void)uv_timer_stop(&agent->deliver_timer);
    agent->deliver_backoff_ms = SYN_AGENT_FIRST_BACKOFF_MS;
    syn_agent_deliver(agent);
}

/* ---- registration ---- */

/* The coordinator knows a later epoch of the job: this rank must not touch it any more. */
static void refuse(syn_agent *agent, const char *message)
{
    syn_train_monitor_ask_abandon(agent->monitor);
    (void)pthread_mutex_lock(&agent->mutex);
    agent->refused = true;
    (void)snprintf(agent->sentence, sizeof agent->sentence,
                   "the coordinator at %s refused this rank: %s", agent->address,
                   message ? message : "");
    (void)pthread_cond_broadcast(&agent->changed);
    (void)pthread_mutex_unlock(&agent->mutex);
}

static void on_registered(syn_status status, const char *message, const ProtobufCMessage *reply,
                          void *user)
{
    syn_agent *agent = user;
    const Syncline__V1__RegisterWorkerResponse *answer =
        (const Syncline__V1__RegisterWorkerResponse *)reply;

    agent->is_registering = false;
    if (agent->has_closed)
        return;
    if (status != SYN_OK) {
        note_error(agent, message);
        if (syn_agent_is_final(status))
            refuse(agent, message);
        else
            attach_later(agent);
        return;
    }
    (void)pthread_mutex_lock(&agent->mutex);
    agent->was_attached = true;
    (void)pthread_mutex_unlock(&agent->mutex);
    if (answer->report_interval_ms > 0)
        agent->report_ms = answer->report_interval_ms;
    if (answer->assignment)
        syn_agent_add_assignment(agent, answer->assignment);
    open_session(agent);
}

void syn_agent_attach(syn_agent *agent)
{
    Syncline__V1__RegisterWorkerRequest request = SYNCLINE__V1__REGISTER_WORKER_REQUEST__INIT;

    if (agent->session || agent->is_registering || agent->has_closed)
        return;
    request.job_id = agent->job_id;
    request.epoch = agent->epoch;
    request.pool_id = agent->pool_id;
    request.rank = (uint32_t)agent->rank;
    request.n_ranks = (uint32_t)agent->n_ranks;
    request.host = as_bytes(agent->host);
    request.pid = (uint64_t)getpid();
    request.version = SYN_VERSION;
    request.worker_id = agent->worker_id;
    agent->is_registering = true;
    if (syn_rpc_client_unary(agent->channel, &syn_rpc_workers_register_worker, &request.base,
                             SYN_AGENT_CALL_TIMEOUT_MS, on_registered, agent) != SYN_OK) {
        agent->is_registering = false;
        attach_later(agent);
    }
}
