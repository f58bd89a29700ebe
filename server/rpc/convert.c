/* Between the rooms' values and the wire's messages. */
#include "server/rpc/internal.h"

#include "common/base/str.h"

#include <math.h>
#include <string.h>

enum { MAX_RANKS = 8192 }; /* whose status goes into one message */

#define SAME_STATE(name, number) \
    _Static_assert((int)SYN_JOB_##name == (int)SYNCLINE__V1__JOB_STATE__JOB_STATE_##name, #name);
SYN_JOB_STATE_LIST(SAME_STATE)
#define SAME_PHASE(name, number, text) \
    _Static_assert((int)SYN_PHASE_##name == (int)SYNCLINE__V1__PHASE__PHASE_##name, #name);
SYN_PHASE_LIST(SAME_PHASE)
#define SYNCLINE__V1__REASON__REASON_NONE SYNCLINE__V1__REASON__REASON_UNSPECIFIED
#define SAME_REASON(name, number, text) \
    _Static_assert((int)SYN_REASON_##name == (int)SYNCLINE__V1__REASON__REASON_##name, #name);
SYN_REASON_LIST(SAME_REASON)

ProtobufCBinaryData syn_bytes_of(const char *text)
{
    return (ProtobufCBinaryData){.len = text ? strlen(text) : 0, .data = (uint8_t *)text};
}

/* protobuf-c's strings are not const, but packing only reads them. */
static char *string_of(const char *text)
{
    return (char *)syn_text_get((char *)text);
}

syn_status syn_bytes_to_text(syn_arena *arena, const ProtobufCBinaryData *bytes, size_t limit,
                             const char *what, const char **text_out)
{
    if (bytes->len > limit)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "%s has %zu bytes, the limit is %zu", what,
                        bytes->len, limit);
    if (bytes->len && memchr(bytes->data, '\0', bytes->len))
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "%s holds a NUL byte", what);
    char *text = syn_arena_alloc(arena, bytes->len + 1);
    if (!text)
        return syn_fail_memory(bytes->len + 1, what);
    if (bytes->len)
        memcpy(text, bytes->data, bytes->len);
    *text_out = text;
    return SYN_OK;
}

char *syn_bytes_to_printable(syn_arena *arena, const ProtobufCBinaryData *bytes, size_t limit)
{
    syn_str text = {0};
    syn_str_append_printable(&text, bytes->data, bytes->len < limit ? bytes->len : limit);
    char *copy = text.failed ? NULL : syn_arena_strdup(arena, syn_str_get(&text));
    syn_str_release(&text);
    return copy;
}

static Syncline__V1__Progress *convert_progress(syn_arena *arena, const syn_job_progress *p)
{
    Syncline__V1__Progress *m = syn_arena_alloc(arena, sizeof *m);
    if (!m)
        return NULL;
    syncline__v1__progress__init(m);
    m->step = p->step;
    m->total_steps = p->total_steps;
    m->epoch = p->epoch;
    m->total_epochs = p->total_epochs;
    m->train_loss = p->train_loss;
    m->has_loss = p->has_loss;
    m->samples_per_s = p->samples_per_s;
    m->eta_s = p->eta_s;
    m->hidden_ms = p->hidden_ms;
    m->exposed_ms = p->exposed_ms;
    m->updated_ns = p->updated_ns;
    return m;
}

static Syncline__V1__Failure *convert_failure(syn_arena *arena, const syn_job_failure *f)
{
    Syncline__V1__Failure *m = f->is_set ? syn_arena_alloc(arena, sizeof *m) : NULL;
    if (!m)
        return NULL;
    syncline__v1__failure__init(m);
    m->rank = f->rank;
    m->rank_known = f->rank_known;
    m->host = syn_bytes_of(f->host);
    m->signal = f->signal;
    m->exit_code = f->exit_code;
    m->step = f->step;
    m->phase = (Syncline__V1__Phase)f->phase;
    m->message = syn_bytes_of(f->message);
    m->attempt = f->attempt;
    return m;
}

static bool convert_metrics(syn_arena *arena, const syn_job_record *r, Syncline__V1__Job *m)
{
    m->metrics = syn_arena_alloc(arena, (r->n_metrics + 1) * sizeof(Syncline__V1__Metric *));
    for (size_t i = 0; m->metrics && i < r->n_metrics; i++) {
        Syncline__V1__Metric *metric = syn_arena_alloc(arena, sizeof *metric);
        if (!metric)
            return false;
        syncline__v1__metric__init(metric);
        metric->name = string_of(r->metrics[i].name);
        metric->value = r->metrics[i].value;
        m->metrics[m->n_metrics++] = metric;
    }
    return m->metrics != NULL;
}

static bool convert_ranks(syn_arena *arena, const syn_job *job, Syncline__V1__Job *m)
{
    uint32_t n = syn_job_shown(job)->n_ranks < MAX_RANKS ? syn_job_shown(job)->n_ranks : MAX_RANKS;
    m->rank_statuses = syn_arena_alloc(arena, (n + 1) * sizeof(Syncline__V1__RankStatus *));
    for (uint32_t r = 0; m->rank_statuses && r < n; r++) {
        const syn_worker *worker = syn_job_rank(job, r);
        Syncline__V1__RankStatus *s = worker ? syn_arena_alloc(arena, sizeof *s) : NULL;
        if (!s)
            continue;
        syncline__v1__rank_status__init(s);
        s->rank = r;
        s->host = syn_bytes_of(worker->host);
        s->pid = worker->pid;
        s->step = worker->status.step;
        s->phase = (Syncline__V1__Phase)worker->status.phase;
        s->collective = worker->status.collective;
        s->since_ns = worker->status.since_ns;
        s->resident_bytes = worker->status.resident_bytes;
        m->rank_statuses[m->n_rank_statuses++] = s;
    }
    return m->rank_statuses != NULL;
}

Syncline__V1__Job *syn_convert_job(syn_arena *arena, const syn_job *job, bool with_ranks)
{
    const syn_job_record *r = syn_job_shown(job);
    Syncline__V1__Job *m = syn_arena_alloc(arena, sizeof *m);
    if (!m)
        return NULL;
    syncline__v1__job__init(m);
    m->job_id = string_of(syn_job_id(job));
    m->name = syn_bytes_of(r->name);
    m->state = (Syncline__V1__JobState)r->state;
    m->reason = (Syncline__V1__Reason)r->reason;
    m->reason_text = syn_bytes_of(r->reason_text);
    m->attempt = r->attempt;
    m->n_ranks = r->n_ranks;
    m->priority = r->priority;
    m->submitted_ns = r->submitted_ns;
    m->started_ns = r->started_ns;
    m->ended_ns = r->ended_ns;
    m->run_dir = syn_bytes_of(r->run_dir);
    m->progress = convert_progress(arena, &r->progress);
    m->first_failure = convert_failure(arena, &r->failure);
    m->weights_sha256 = string_of(r->weights_sha256);
    m->epoch = r->epoch;
    m->placement = string_of(r->placement);
    m->version = r->version;
    m->steps = r->steps;
    m->elapsed_s = r->elapsed_s;
    m->samples_per_s = r->samples_per_s;
    m->hidden_ms = r->hidden_ms;
    m->exposed_ms = r->exposed_ms;
    if (!m->progress || !convert_metrics(arena, r, m) ||
        (with_ranks && !convert_ranks(arena, job, m)))
        return NULL;
    return m;
}

void syn_convert_event(const syn_job_event *event, char job_id[SYN_JOB_ID_MAX],
                       Syncline__V1__Event *m)
{
    syncline__v1__event__init(m);
    m->sequence = event->sequence;
    m->job_id = syn_job_id_format(job_id, event->number);
    m->time_ns = event->time_ns;
    m->from = (Syncline__V1__JobState)event->from;
    m->to = (Syncline__V1__JobState)event->to;
    m->reason = (Syncline__V1__Reason)event->reason;
    m->text = syn_bytes_of(event->text);
    m->attempt = event->attempt;
}

void syn_convert_rank_status(const Syncline__V1__RankStatus *m, syn_rank_status *status_out)
{
    bool is_known = (unsigned)m->phase < SYN_N_PHASES;
    *status_out = (syn_rank_status){.pid = m->pid,
                                    .step = m->step,
                                    .collective = m->collective,
                                    .resident_bytes = m->resident_bytes,
                                    .phase = is_known ? (syn_phase)m->phase : SYN_PHASE_UNSPECIFIED,
                                    .since_ns = m->since_ns};
}

void syn_convert_progress(const Syncline__V1__Progress *m, syn_job_progress *progress_out)
{
    *progress_out = (syn_job_progress){.step = m->step,
                                       .total_steps = m->total_steps,
                                       .epoch = m->epoch,
                                       .total_epochs = m->total_epochs,
                                       .has_loss = m->has_loss,
                                       .train_loss = m->train_loss,
                                       .samples_per_s = m->samples_per_s,
                                       .eta_s = isfinite(m->eta_s) ? m->eta_s : -1,
                                       .hidden_ms = m->hidden_ms,
                                       .exposed_ms = m->exposed_ms,
                                       .updated_ns = m->updated_ns};
}
