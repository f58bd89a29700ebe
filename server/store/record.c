/* Job records: their table of columns, copying and freeing by it. */
#include "server/store/record.h"

#include "common/base/mem.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMN(kind, name, member)                                \
    {                                                             \
        name, SYN_COLUMN_##kind, offsetof(syn_job_record, member) \
    }
const syn_record_column syn_record_columns[] = {
    COLUMN(U64, "number", number),
    COLUMN(TEXT, "name", name),
    COLUMN(TEXT, "run_dir", run_dir),
    COLUMN(I32, "state", state),
    COLUMN(I32, "reason", reason),
    COLUMN(TEXT, "reason_text", reason_text),
    COLUMN(U32, "attempt", attempt),
    COLUMN(U32, "n_ranks", n_ranks),
    COLUMN(I32, "priority", priority),
    COLUMN(U32, "restarts_allowed", restarts_allowed),
    COLUMN(U32, "restarts_used", restarts_used),
    COLUMN(F64, "time_limit_s", time_limit_s),
    COLUMN(I64, "submitted_ns", submitted_ns),
    COLUMN(I64, "started_ns", started_ns),
    COLUMN(I64, "ended_ns", ended_ns),
    COLUMN(I64, "attempt_started_ns", attempt_started_ns),
    COLUMN(U64, "epoch", epoch),
    COLUMN(U64, "version", version),
    COLUMN(TEXT, "placement", placement),
    COLUMN(TEXT, "members", members),
    COLUMN(TEXT, "resume_from", resume_from),
    COLUMN(TEXT, "checkpoint_path", checkpoint_path),
    COLUMN(U64, "checkpoint_step", checkpoint_step),
    COLUMN(BOOL, "has_checkpoint", has_checkpoint),
    COLUMN(U64, "last_failed_step", last_failed_step),
    COLUMN(U32, "n_failed_there", n_failed_there),
    COLUMN(U64, "step", progress.step),
    COLUMN(U64, "total_steps", progress.total_steps),
    COLUMN(U32, "data_epoch", progress.epoch),
    COLUMN(U32, "total_data_epochs", progress.total_epochs),
    COLUMN(BOOL, "has_loss", progress.has_loss),
    COLUMN(F64, "train_loss", progress.train_loss),
    COLUMN(F64, "last_samples_per_s", progress.samples_per_s),
    COLUMN(F64, "eta_s", progress.eta_s),
    COLUMN(F64, "last_hidden_ms", progress.hidden_ms),
    COLUMN(F64, "last_exposed_ms", progress.exposed_ms),
    COLUMN(I64, "progress_ns", progress.updated_ns),
    COLUMN(BOOL, "has_failure", failure.is_set),
    COLUMN(BOOL, "failure_rank_known", failure.rank_known),
    COLUMN(U32, "failure_rank", failure.rank),
    COLUMN(U32, "failure_attempt", failure.attempt),
    COLUMN(U32, "failure_signal", failure.signal),
    COLUMN(I32, "failure_exit_code", failure.exit_code),
    COLUMN(U64, "failure_step", failure.step),
    COLUMN(I32, "failure_phase", failure.phase),
    COLUMN(TEXT, "failure_host", failure.host),
    COLUMN(TEXT, "failure_message", failure.message),
    COLUMN(TEXT, "weights_sha256", weights_sha256),
    COLUMN(U64, "steps", steps),
    COLUMN(F64, "elapsed_s", elapsed_s),
    COLUMN(F64, "samples_per_s", samples_per_s),
    COLUMN(F64, "hidden_ms", hidden_ms),
    COLUMN(F64, "exposed_ms", exposed_ms),
};
const size_t syn_record_n_columns = sizeof syn_record_columns / sizeof *syn_record_columns;

static char **text_at(syn_job_record *record, size_t i)
{
    return (char **)((char *)record + syn_record_columns[i].offset);
}

bool syn_text_set(char **text, const char *value)
{
    char *copy = value ? syn_strdup(value) : NULL;
    syn_free(*text);
    *text = copy;
    return copy || !value;
}

const char *syn_text_get(const char *text)
{
    return text ? text : "";
}

bool syn_job_failure_copy(syn_job_failure *to, const syn_job_failure *from)
{
    syn_job_failure copy = *from;
    copy.is_set = true;
    copy.host = to->host;
    copy.message = to->message;
    *to = copy;
    bool has_host = syn_text_set(&to->host, from->host);
    return syn_text_set(&to->message, from->message) && has_host;
}

syn_job_record *syn_job_record_copy(const syn_job_record *record)
{
    syn_job_record *copy = syn_malloc(sizeof *copy);
    bool is_complete = true;
    if (!copy)
        return NULL;
    *copy = *record;
    copy->metrics = NULL;
    copy->n_metrics = 0;
    for (size_t i = 0; i < syn_record_n_columns; i++) {
        if (syn_record_columns[i].kind != SYN_COLUMN_TEXT || !*text_at(copy, i))
            continue;
        *text_at(copy, i) = syn_strdup(*text_at(copy, i));
        is_complete = is_complete && *text_at(copy, i);
    }
    for (size_t i = 0; i < record->n_metrics && is_complete; i++)
        is_complete =
            syn_job_record_set_metric(copy, record->metrics[i].name, record->metrics[i].value);
    if (!is_complete) {
        syn_job_record_free(copy);
        return NULL;
    }
    return copy;
}

void syn_job_record_release(syn_job_record *record)
{
    if (!record)
        return;
    for (size_t i = 0; i < syn_record_n_columns; i++)
        if (syn_record_columns[i].kind == SYN_COLUMN_TEXT)
            syn_free(*text_at(record, i));
    for (size_t i = 0; i < record->n_metrics; i++)
        syn_free(record->metrics[i].name);
    syn_free(record->metrics);
    *record = (syn_job_record){0};
}

void syn_job_record_free(syn_job_record *record)
{
    syn_job_record_release(record);
    syn_free(record);
}

bool syn_job_record_set_metric(syn_job_record *record, const char *name, double value)
{
    for (size_t i = 0; i < record->n_metrics; i++)
        if (strcmp(record->metrics[i].name, name) == 0) {
            record->metrics[i].value = value;
            return true;
        }
    syn_job_metric *grown =
        syn_realloc(record->metrics, (record->n_metrics + 1) * sizeof *record->metrics);
    if (!grown)
        return false;
    record->metrics = grown;
    char *copy = syn_strdup(name);
    if (!copy)
        return false;
    record->metrics[record->n_metrics++] = (syn_job_metric){copy, value};
    return true;
}

char *syn_job_id_format(char buffer[SYN_JOB_ID_MAX], uint64_t number)
{
    (void)snprintf(buffer, SYN_JOB_ID_MAX, "j-%06" PRIu64, number);
    return buffer;
}

uint64_t syn_job_id_parse(const char *job_id)
{
    uint64_t number = 0;
    if (job_id[0] != 'j' || job_id[1] != '-' || strlen(job_id) < 8 || strlen(job_id) > 20)
        return 0;
    for (const char *p = job_id + 2; *p; p++) {
        if (!isdigit((unsigned char)*p))
            return 0;
        number = number * 10 + (uint64_t)(*p - '0');
    }
    char again[SYN_JOB_ID_MAX];
    return strcmp(syn_job_id_format(again, number), job_id) == 0 ? number : 0;
}
