/* Jobs as JSON, as text, and as a progress line. */
#include "server/cli/cli.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* The name of a protobuf enum value behind its prefix, "UNSPECIFIED" for numbers we do not know. */
static const char *enum_name(const ProtobufCEnumDescriptor *descriptor, int value,
                             const char *prefix)
{
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(descriptor, value);
    return found ? found->name + strlen(prefix) : "UNSPECIFIED";
}

const char *syn_cli_state_name(Syncline__V1__JobState state)
{
    return enum_name(&syncline__v1__job_state__descriptor, (int)state, "JOB_STATE_");
}

const char *syn_cli_reason_name(Syncline__V1__Reason reason)
{
    static _Thread_local char camel[64]; /* "EXIT_NON_ZERO" -> "ExitNonZero" */
    size_t n = 0;
    bool upper = true;

    if (reason == SYNCLINE__V1__REASON__REASON_UNSPECIFIED)
        return "";
    for (const char *p = enum_name(&syncline__v1__reason__descriptor, (int)reason, "REASON_");
         *p && n < sizeof camel - 1; p++) {
        if (*p != '_')
            camel[n++] = (char)(upper ? *p : tolower((unsigned char)*p));
        upper = *p == '_';
    }
    camel[n] = '\0';
    return camel;
}

const char *syn_cli_phase_name(Syncline__V1__Phase phase)
{
    static _Thread_local char lower[64];
    const char *name = enum_name(&syncline__v1__phase__descriptor, (int)phase, "PHASE_");
    size_t n = 0;
    for (; name[n] && n < sizeof lower - 1; n++)
        lower[n] = (char)tolower((unsigned char)name[n]);
    lower[n] = '\0';
    return lower;
}

bool syn_cli_is_terminal(Syncline__V1__JobState state)
{
    return state == SYNCLINE__V1__JOB_STATE__JOB_STATE_SUCCEEDED ||
           state == SYNCLINE__V1__JOB_STATE__JOB_STATE_FAILED ||
           state == SYNCLINE__V1__JOB_STATE__JOB_STATE_CANCELLED ||
           state == SYNCLINE__V1__JOB_STATE__JOB_STATE_TIMED_OUT;
}

char *syn_cli_bytes_text(const ProtobufCBinaryData *bytes)
{
    syn_str text = {0};
    syn_str_append_printable(&text, bytes->data, bytes->len);
    return syn_str_take(&text);
}

json_t *syn_cli_bytes_json(const ProtobufCBinaryData *bytes)
{
    char *text = syn_cli_bytes_text(bytes);
    json_t *value = text ? json_string(text) : NULL;
    syn_free(text);
    return value;
}

/* null for a number JSON cannot say. */
static json_t *real(double value)
{
    json_t *number = json_real(value);
    return number ? number : json_null();
}

static json_t *time_json(int64_t ns)
{
    char text[32];
    return ns ? json_string(syn_clock_format(text, ns)) : json_null();
}

static json_t *progress_json(const Syncline__V1__Progress *p)
{
    if (!p)
        return json_null();
    return json_pack("{s:I,s:I,s:I,s:I,s:o,s:o,s:o,s:o,s:o,s:o}", "step", (json_int_t)p->step,
                     "total_steps", (json_int_t)p->total_steps, "epoch", (json_int_t)p->epoch,
                     "total_epochs", (json_int_t)p->total_epochs, "train_loss",
                     p->has_loss ? real(p->train_loss) : json_null(), "samples_per_s",
                     real(p->samples_per_s), "eta_s", p->eta_s >= 0 ? real(p->eta_s) : json_null(),
                     "hidden_ms", real(p->hidden_ms), "exposed_ms", real(p->exposed_ms), "updated",
                     time_json(p->updated_ns));
}

static json_t *failure_json(const Syncline__V1__Failure *f)
{
    if (!f)
        return json_null();
    return json_pack("{s:o,s:o,s:o,s:i,s:I,s:s,s:o,s:I}", "rank",
                     f->rank_known ? json_integer(f->rank) : json_null(), "host",
                     syn_cli_bytes_json(&f->host), "signal",
                     f->signal ? json_integer(f->signal) : json_null(), "exit_code", f->exit_code,
                     "step", (json_int_t)f->step, "phase", syn_cli_phase_name(f->phase), "message",
                     syn_cli_bytes_json(&f->message), "attempt", (json_int_t)f->attempt);
}

static json_t *ranks_json(const Syncline__V1__Job *job)
{
    json_t *list = json_array();
    for (size_t i = 0; i < job->n_rank_statuses; i++) {
        const Syncline__V1__RankStatus *r = job->rank_statuses[i];
        (void)json_array_append_new(
            list,
            json_pack("{s:I,s:o,s:I,s:I,s:s,s:I,s:o,s:I}", "rank", (json_int_t)r->rank, "host",
                      syn_cli_bytes_json(&r->host), "pid", (json_int_t)r->pid, "step",
                      (json_int_t)r->step, "phase", syn_cli_phase_name(r->phase), "collective",
                      (json_int_t)r->collective, "since", time_json(r->since_ns), "resident_bytes",
                      (json_int_t)r->resident_bytes));
    }
    return list;
}

static json_t *metrics_json(const Syncline__V1__Job *job)
{
    json_t *metrics = json_object();
    for (size_t i = 0; i < job->n_metrics; i++)
        (void)json_object_set_new(metrics, job->metrics[i]->name, real(job->metrics[i]->value));
    return metrics;
}

json_t *syn_cli_job_json(const Syncline__V1__Job *job)
{
    bool has_weights = job->weights_sha256 && *job->weights_sha256;
    json_t *value = json_pack(
        "{s:s,s:o,s:s,s:s,s:o,s:I,s:I,s:i,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:I}", "job_id",
        job->job_id, "name", syn_cli_bytes_json(&job->name), "state",
        syn_cli_state_name(job->state), "reason", syn_cli_reason_name(job->reason), "reason_text",
        syn_cli_bytes_json(&job->reason_text), "attempt", (json_int_t)job->attempt, "ranks",
        (json_int_t)job->n_ranks, "priority", job->priority, "placement", job->placement,
        "submitted", time_json(job->submitted_ns), "started", time_json(job->started_ns), "ended",
        time_json(job->ended_ns), "run_dir", syn_cli_bytes_json(&job->run_dir), "progress",
        progress_json(job->progress), "first_failure", failure_json(job->first_failure), "metrics",
        metrics_json(job), "steps", (json_int_t)job->steps);
    (void)json_object_update_new(
        value,
        json_pack("{s:o,s:{s:o,s:o},s:o,s:o,s:o}", "samples_per_s", real(job->samples_per_s),
                  "comm", "hidden_ms", real(job->hidden_ms), "exposed_ms", real(job->exposed_ms),
                  "weights_sha256", has_weights ? json_string(job->weights_sha256) : json_null(),
                  "elapsed_s", real(job->elapsed_s), "rank_status", ranks_json(job)));
    return value;
}

json_t *syn_cli_event_json(const Syncline__V1__Event *event)
{
    bool is_first = event->from == SYNCLINE__V1__JOB_STATE__JOB_STATE_UNSPECIFIED;
    return json_pack("{s:I,s:s,s:o,s:s,s:s,s:s,s:o,s:I}", "sequence", (json_int_t)event->sequence,
                     "job_id", event->job_id, "time", time_json(event->time_ns), "from",
                     is_first ? "" : syn_cli_state_name(event->from), "to",
                     syn_cli_state_name(event->to), "reason", syn_cli_reason_name(event->reason),
                     "text", syn_cli_bytes_json(&event->text), "attempt",
                     (json_int_t)event->attempt);
}

void syn_cli_print_json(json_t *value)
{
    char *text =
        value ? json_dumps(value, JSON_ENCODE_ANY | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(10))
              : NULL;
    if (text)
        (void)puts(text);
    else
        (void)fprintf(stderr, "syncline: out of memory printing JSON\n");
    free(text);
    json_decref(value);
}

char *syn_cli_progress_text(const Syncline__V1__Job *job)
{
    const Syncline__V1__Progress *p = job->progress;
    syn_str text = {0};
    char buffer[32];

    syn_str_append(&text, syn_cli_state_name(job->state));
    if (p && p->step) {
        if (p->total_epochs)
            syn_str_appendf(&text, "  epoch %u/%u", p->epoch, p->total_epochs);
        syn_str_appendf(&text, "  step %llu/%llu", (unsigned long long)p->step,
                        (unsigned long long)p->total_steps);
        if (p->has_loss)
            syn_str_appendf(&text, "  loss %.4f", p->train_loss);
        syn_str_appendf(&text, "  %.0f samples/s", p->samples_per_s);
        if (p->eta_s >= 0 && !syn_cli_is_terminal(job->state))
            syn_str_appendf(&text, "  ETA %s", syn_format_duration(buffer, p->eta_s));
        double communication = p->hidden_ms + p->exposed_ms;
        if (job->n_ranks > 1 && communication > 0)
            syn_str_appendf(&text, "  comm %.0f %% hidden", 100 * p->hidden_ms / communication);
    } else {
        char *reason = syn_cli_bytes_text(&job->reason_text);
        if (reason && *reason)
            syn_str_appendf(&text, "  %s", reason);
        syn_free(reason);
    }
    return syn_str_take(&text);
}

static bool line_shown;

void syn_cli_status_line(const char *text)
{
    struct winsize size;
    int columns = 80;

    if (!isatty(STDERR_FILENO) || !text)
        return;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
        columns = size.ws_col;
    /* Room for the "^C" that the terminal writes behind it: a line that wraps cannot be cleared. */
    (void)fprintf(stderr, "\r\033[K%.*s", columns > 3 ? columns - 3 : 0, text);
    (void)fflush(stderr);
    line_shown = true;
}

void syn_cli_status_line_clear(void)
{
    if (line_shown)
        (void)fprintf(stderr, "\r\033[K");
    line_shown = false;
}
