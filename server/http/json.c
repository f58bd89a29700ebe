/* Jobs as JSON. */
#include "server/http/http.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Text that need not be UTF-8. */
static json_t *json_text(const char *text)
{
    syn_str printable = {0};
    syn_str_append_printable(&printable, syn_text_get((char *)text),
                             strlen(syn_text_get((char *)text)));
    json_t *value = json_string(syn_str_get(&printable));
    syn_str_release(&printable);
    return value;
}

/* JSON has no NaN and no infinity: null. */
static json_t *json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *json_count(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static void set(json_t *object, const char *key, json_t *value)
{
    (void)json_object_set_new(object, key, value); /* NULL is refused: the member is missing */
}

static json_t *progress_object(const syn_job_progress *p)
{
    json_t *o = json_object();
    set(o, "step", json_count(p->step));
    set(o, "total_steps", json_count(p->total_steps));
    set(o, "epoch", json_count(p->epoch));
    set(o, "total_epochs", json_count(p->total_epochs));
    set(o, "train_loss", p->has_loss ? json_number(p->train_loss) : json_null());
    set(o, "samples_per_s", json_number(p->samples_per_s));
    set(o, "eta_s", p->eta_s >= 0 ? json_number(p->eta_s) : json_null());
    set(o, "hidden_ms", json_number(p->hidden_ms));
    set(o, "exposed_ms", json_number(p->exposed_ms));
    set(o, "updated_ns", json_integer(p->updated_ns));
    return o;
}

static json_t *failure_object(const syn_job_failure *f)
{
    json_t *o = json_object();
    set(o, "rank", f->rank_known ? json_count(f->rank) : json_null());
    set(o, "host", json_text(f->host));
    set(o, "signal", json_count(f->signal));
    set(o, "exit_code", json_integer(f->exit_code));
    set(o, "step", json_count(f->step));
    set(o, "phase", json_text(syn_phase_name(f->phase)));
    set(o, "message", json_text(f->message));
    set(o, "attempt", json_count(f->attempt));
    return o;
}

static json_t *event_object(const syn_job_event *event)
{
    json_t *o = json_object();
    set(o, "sequence", json_count(event->sequence));
    set(o, "time_ns", json_integer(event->time_ns));
    set(o, "from", json_text(event->from ? syn_job_state_name(event->from) : ""));
    set(o, "to", json_text(syn_job_state_name(event->to)));
    set(o, "reason", json_text(syn_reason_name(event->reason)));
    set(o, "text", json_text(event->text));
    set(o, "attempt", json_count(event->attempt));
    return o;
}

static json_t *rank_object(uint32_t rank, const syn_worker *worker)
{
    json_t *o = json_object();
    set(o, "rank", json_count(rank));
    set(o, "host", json_text(worker->host));
    set(o, "pid", json_count(worker->pid));
    set(o, "step", json_count(worker->status.step));
    set(o, "phase", json_text(syn_phase_name(worker->status.phase)));
    set(o, "collective", json_count(worker->status.collective));
    set(o, "since_ns", json_integer(worker->status.since_ns));
    set(o, "resident_bytes", json_count(worker->status.resident_bytes));
    return o;
}

static void add_details(const syn_job *job, json_t *o)
{
    json_t *events = json_array(), *ranks = json_array();
    for (size_t i = 0; syn_job_event_at(job, i); i++)
        (void)json_array_append_new(events, event_object(syn_job_event_at(job, i)));
    for (uint32_t r = 0; r < syn_job_shown(job)->n_ranks; r++)
        if (syn_job_rank(job, r))
            (void)json_array_append_new(ranks, rank_object(r, syn_job_rank(job, r)));
    set(o, "events", events);
    set(o, "ranks", ranks);
}

static json_t *job_object(const syn_job *job, bool is_full)
{
    const syn_job_record *r = syn_job_shown(job);
    json_t *o = json_object(), *metrics = json_object();
    set(o, "job_id", json_text(syn_job_id(job)));
    set(o, "name", json_text(r->name));
    set(o, "state", json_text(syn_job_state_name(r->state)));
    set(o, "reason", json_text(syn_reason_name(r->reason)));
    set(o, "reason_text", json_text(r->reason_text));
    set(o, "attempt", json_count(r->attempt));
    set(o, "n_ranks", json_count(r->n_ranks));
    set(o, "priority", json_integer(r->priority));
    set(o, "submitted_ns", json_integer(r->submitted_ns));
    set(o, "started_ns", json_integer(r->started_ns));
    set(o, "ended_ns", json_integer(r->ended_ns));
    set(o, "run_dir", json_text(r->run_dir));
    set(o, "placement", json_text(r->placement));
    set(o, "progress", progress_object(&r->progress));
    set(o, "first_failure", r->failure.is_set ? failure_object(&r->failure) : json_null());
    for (size_t i = 0; i < r->n_metrics; i++)
        set(metrics, r->metrics[i].name, json_number(r->metrics[i].value));
    set(o, "metrics", metrics);
    set(o, "weights_sha256", json_text(r->weights_sha256));
    set(o, "steps", json_count(r->steps));
    set(o, "elapsed_s", json_number(r->elapsed_s));
    set(o, "samples_per_s", json_number(r->samples_per_s));
    set(o, "hidden_ms", json_number(r->hidden_ms));
    set(o, "exposed_ms", json_number(r->exposed_ms));
    set(o, "version", json_count(r->version));
    if (is_full)
        add_details(job, o);
    return o;
}

static void print(json_t *value, syn_str *out)
{
    char *text = json_dumps(value, JSON_COMPACT);
    if (text)
        syn_str_append(out, text);
    else
        out->failed = true;
    syn_str_append(out, "\n");
    free(text); /* jansson's */
    json_decref(value);
}

void syn_http_print_job(const syn_job *job, bool is_full, syn_str *out)
{
    print(job_object(job, is_full), out);
}

void syn_http_print_jobs(syn_jobs *jobs, uint64_t before, uint32_t limit, syn_str *out)
{
    json_t *o = json_object(), *list = json_array();
    bool has_more = false;
    uint64_t last = syn_jobs_last_number(jobs);
    for (uint64_t n = before > 0 && before <= last ? before - 1 : last; n > 0; n--) {
        syn_job *job = syn_jobs_get(jobs, n);
        if (!job)
            continue;
        if (json_array_size(list) == limit) {
            has_more = true;
            break;
        }
        (void)json_array_append_new(list, job_object(job, false));
    }
    set(o, "jobs", list);
    set(o, "has_more", json_boolean(has_more));
    print(o, out);
}
