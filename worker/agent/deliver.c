/* Outcomes and checkpoint announcements: one call at a time, in order, retried until acknowledged.
 */
#include "common/base/log.h"
#include "common/rpc/methods.h"
#include "syncline/v1/workers.pb-c.h"
#include "worker/agent/internal.h"

#include <string.h>

void syn_agent_delivery_free(delivery *item)
{
    if (!item)
        return;
    syn_free(item->job_id);
    syn_free(item->path);
    syn_free(item);
}

static void on_timer(uv_timer_t *timer)
{
    syn_agent_deliver(timer->data);
}

static ProtobufCBinaryData as_bytes(const char *text)
{
    return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)text};
}

/* Takes the first item off the queue. An outcome that has arrived ends the wait for repetitions of
 * its assignment. */
static void drop_first(syn_agent *agent)
{
    (void)pthread_mutex_lock(&agent->mutex);
    delivery *item = agent->first;
    if (!item->path && agent->seen_job && strcmp(agent->seen_job, item->job_id) == 0 &&
        agent->seen_epoch == item->epoch) {
        syn_free(agent->seen_job);
        agent->seen_job = NULL;
    }
    agent->first = item->next;
    if (!agent->first)
        agent->last = NULL;
    (void)pthread_cond_broadcast(&agent->changed);
    (void)pthread_mutex_unlock(&agent->mutex);
    syn_agent_delivery_free(item);
}

static void on_reply(syn_status status, const char *message, const ProtobufCMessage *reply,
                     void *user)
{
    syn_agent *agent = user;
    (void)reply;
    agent->is_delivering = false;
    if (agent->has_closed)
        return;
    if (status != SYN_OK && !syn_agent_is_final(status)) {
        (void)uv_timer_start(&agent->deliver_timer, on_timer, agent->deliver_backoff_ms, 0);
        agent->deliver_backoff_ms = syn_agent_next_backoff(agent->deliver_backoff_ms);
        return;
    }
    /* A refusal is an answer: the coordinator knows a later epoch, or no such job. */
    if (status != SYN_OK)
        SYN_WARN("the coordinator did not take a report: %s", message ? message : "");
    agent->deliver_backoff_ms = SYN_AGENT_FIRST_BACKOFF_MS;
    drop_first(agent);
    syn_agent_deliver(agent);
}

static syn_status send_commit(syn_agent *agent, delivery *item)
{
    Syncline__V1__CommitCheckpointRequest request = SYNCLINE__V1__COMMIT_CHECKPOINT_REQUEST__INIT;
    request.job_id = item->job_id;
    request.epoch = item->epoch;
    request.step = (uint64_t)item->step;
    request.path = as_bytes(item->path);
    request.manifest_sha256 = item->digest;
    return syn_rpc_client_unary(agent->channel, &syn_rpc_workers_commit_checkpoint, &request.base,
                                SYN_AGENT_CALL_TIMEOUT_MS, on_reply, agent);
}

static void fill_failure(const delivery *item, Syncline__V1__Failure *failure)
{
    const syn_train_failure *from = &item->result.failure;
    failure->rank = from->rank >= 0 ? (uint32_t)from->rank : 0;
    failure->rank_known = from->rank >= 0;
    failure->host = as_bytes(from->host);
    failure->signal = (uint32_t)from->signal;
    failure->exit_code = from->exit_code;
    failure->step = (uint64_t)from->step;
    failure->phase = (Syncline__V1__Phase)from->phase;
    failure->message = as_bytes(from->message);
    failure->attempt = item->attempt;
}

static Syncline__V1__JobState state_of(const syn_train_result *result)
{
    return result->state == SYN_TRAIN_SUCCEEDED ? SYNCLINE__V1__JOB_STATE__JOB_STATE_SUCCEEDED
           : result->state == SYN_TRAIN_FAILED  ? SYNCLINE__V1__JOB_STATE__JOB_STATE_FAILED
                                                : SYNCLINE__V1__JOB_STATE__JOB_STATE_CANCELLED;
}

static syn_status send_outcome(syn_agent *agent, delivery *item)
{
    Syncline__V1__ReportOutcomeRequest request = SYNCLINE__V1__REPORT_OUTCOME_REQUEST__INIT;
    Syncline__V1__Failure failure = SYNCLINE__V1__FAILURE__INIT;
    Syncline__V1__Progress progress = SYNCLINE__V1__PROGRESS__INIT;
    Syncline__V1__Metric metrics[SYN_TRAIN_MAX_METRICS], *list[SYN_TRAIN_MAX_METRICS];
    const syn_train_result *result = &item->result;

    request.job_id = item->job_id;
    request.epoch = item->epoch;
    request.rank = (uint32_t)item->rank;
    request.worker_id = agent->worker_id;
    request.state = state_of(result);
    if (result->state == SYN_TRAIN_FAILED && result->is_culprit) {
        fill_failure(item, &failure);
        request.failure = &failure;
    }
    progress.step = (uint64_t)result->steps;
    for (int i = 0; i < result->n_metrics; i++) {
        syncline__v1__metric__init(&metrics[i]);
        metrics[i].name = (char *)result->metrics[i].name;
        metrics[i].value = result->metrics[i].value;
        list[i] = &metrics[i];
        if (strcmp(metrics[i].name, "train_loss") == 0) {
            progress.has_loss = 1;
            progress.train_loss = metrics[i].value;
        }
    }
    if (item->rank == 0) {
        request.n_metrics = (size_t)result->n_metrics;
        request.metrics = list;
        request.weights_sha256 = (char *)result->weights_sha256;
    }
    request.progress = &progress;
    request.elapsed_s = result->elapsed_s;
    request.median_samples_per_s = result->samples_per_s;
    request.median_hidden_ms = result->hidden_ms;
    request.median_exposed_ms = result->exposed_ms;
    return syn_rpc_client_unary(agent->channel, &syn_rpc_workers_report_outcome, &request.base,
                                SYN_AGENT_CALL_TIMEOUT_MS, on_reply, agent);
}

void syn_agent_deliver(syn_agent *agent)
{
    if (agent->is_delivering || agent->has_closed)
        return;
    (void)pthread_mutex_lock(&agent->mutex);
    delivery *item = agent->first; /* only this thread takes items off */
    (void)pthread_mutex_unlock(&agent->mutex);
    if (!item)
        return;
    agent->is_delivering = true;
    syn_status status = item->path ? send_commit(agent, item) : send_outcome(agent, item);
    if (status != SYN_OK)
        on_reply(SYN_UNAVAILABLE, syn_error_message(), NULL, agent);
}
