/* The calls that several verbs make: submit, get, cancel, follow. */
#include "server/cli/cli.h"

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CALL_TIMEOUT_MS = 30000, MAX_JOB_FILE = 1 << 20 };

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){text ? strlen(text) : 0, (uint8_t *)(uintptr_t)text};
}

syn_status syn_cli_get_job(syn_cli_client *client, const char *job_id,
                           Syncline__V1__GetJobResponse **response_out)
{
    Syncline__V1__GetJobRequest request = SYNCLINE__V1__GET_JOB_REQUEST__INIT;
    ProtobufCMessage *response;

    request.job_id = (char *)(uintptr_t)job_id;
    SYN_TRY(syn_rpc_blocking_call(client->rpc, &syn_rpc_jobs_get_job, &request.base,
                                  CALL_TIMEOUT_MS, &response));
    *response_out = (Syncline__V1__GetJobResponse *)response;
    if (!(*response_out)->job) {
        syn_wire_free(response);
        return SYN_FAIL(SYN_INTERNAL, "the coordinator answered without a job");
    }
    return SYN_OK;
}

syn_status syn_cli_cancel_job(syn_cli_client *client, const char *job_id, const char *text,
                              Syncline__V1__JobState *state_out)
{
    Syncline__V1__CancelJobRequest request = SYNCLINE__V1__CANCEL_JOB_REQUEST__INIT;
    ProtobufCMessage *response;
    char id[37];

    syn_cli_uuid(id);
    request.request_id = id;
    request.job_id = (char *)(uintptr_t)job_id;
    request.text = bytes_of(text);
    SYN_TRY(syn_rpc_blocking_call(client->rpc, &syn_rpc_jobs_cancel_job, &request.base,
                                  CALL_TIMEOUT_MS, &response));
    const Syncline__V1__Job *job = ((const Syncline__V1__CancelJobResponse *)response)->job;
    if (state_out)
        *state_out = job ? job->state : SYNCLINE__V1__JOB_STATE__JOB_STATE_UNSPECIFIED;
    syn_wire_free(response);
    return SYN_OK;
}

/* A path as the coordinator, whose working directory is another, must see it. Heap. */
static char *absolute(const char *path)
{
    char *folder = getcwd(NULL, 0);
    char *joined = folder && path ? syn_path_join(folder, path) : NULL;
    free(folder);
    return joined;
}

/* `data.path=x` and `checkpoint.resume=x` name files of the submitter's working directory. */
static char *absolute_override(const char *override)
{
    static const char *const keys[] = {"data.path=", "checkpoint.resume="};
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(keys[i]);
        if (strncmp(override, keys[i], n) != 0 || override[n] == '\0' || override[n] == '"' ||
            override[n] == '\'')
            continue;
        char *path = absolute(override + n);
        char *whole = path ? syn_malloc(n + strlen(path) + 1) : NULL;
        if (whole) {
            memcpy(whole, override, n);
            memcpy(whole + n, path, strlen(path) + 1);
        }
        syn_free(path);
        return whole;
    }
    return syn_strdup(override);
}

syn_status syn_cli_submit_job(syn_cli_client *client, const syn_cli_submission *submission,
                              Syncline__V1__SubmitJobResponse **response_out)
{
    syn_status status;
    Syncline__V1__SubmitJobRequest request = SYNCLINE__V1__SUBMIT_JOB_REQUEST__INIT;
    size_t n = submission->n_overrides, size = 0;
    ProtobufCBinaryData *overrides = syn_calloc(n + 1, sizeof *overrides);
    char *text = NULL, *path = absolute(submission->file), *folder = NULL;
    char *run_dir = submission->run_dir ? absolute(submission->run_dir) : NULL;
    char *resume = submission->resume ? absolute(submission->resume) : NULL;
    ProtobufCMessage *response;
    char id[37];

    if (!overrides || !path) {
        status = syn_fail_memory(n * sizeof *overrides, "the overrides of a job");
        goto out;
    }
    SYN_GOTO(syn_file_read(submission->file, MAX_JOB_FILE, &text, &size));
    for (size_t i = 0; i < n; i++) {
        char *override = absolute_override(submission->overrides[i]);
        overrides[i] = bytes_of(override);
    }
    folder = syn_strdup(path);
    if (folder && strrchr(folder, '/'))
        *strrchr(folder, '/') = '\0';
    syn_cli_uuid(id);
    request.request_id = id;
    request.job_file = (ProtobufCBinaryData){size, (uint8_t *)text};
    request.file_name = bytes_of(submission->file);
    request.base_dir = bytes_of(folder);
    request.overrides = overrides;
    request.n_overrides = n;
    request.n_ranks = (uint32_t)submission->n_ranks;
    request.priority = (int32_t)submission->priority;
    request.run_dir = bytes_of(run_dir);
    request.resume_from = bytes_of(resume);
    request.max_restarts_plus_one =
        submission->max_restarts < 0 ? 0 : (uint32_t)submission->max_restarts + 1;
    SYN_GOTO(syn_rpc_blocking_call(client->rpc, &syn_rpc_jobs_submit_job, &request.base,
                                   CALL_TIMEOUT_MS, &response));
    *response_out = (Syncline__V1__SubmitJobResponse *)response;
    if (!(*response_out)->job) {
        syn_wire_free(response);
        status = SYN_FAIL(SYN_INTERNAL, "the coordinator answered without a job");
    }
out:
    for (size_t i = 0; overrides && i < n; i++)
        syn_free(overrides[i].data);
    syn_free(overrides);
    syn_free(text);
    syn_free(path);
    syn_free(folder);
    syn_free(run_dir);
    syn_free(resume);
    return status;
}

/* How far a job has been followed, over all connections. */
struct position {
    uint64_t sequence;
    bool has_answered, is_last;
};

/* One connection's worth of following: until the end, a failure, or the time is over. */
static syn_status watch_once(syn_cli_client *client, const syn_cli_watch *watch,
                             uint64_t deadline_ns, struct position *at)
{
    Syncline__V1__WatchJobsRequest request = SYNCLINE__V1__WATCH_JOBS_REQUEST__INIT;
    syn_rpc_blocking_stream *stream = NULL;
    syn_status status;

    request.job_id = (char *)(uintptr_t)watch->job_id;
    request.after_sequence = at->sequence;
    request.progress_interval_ms = watch->progress_ms;
    SYN_GOTO(
        syn_rpc_blocking_open(client->rpc, &syn_rpc_jobs_watch_jobs, &request.base, 0, &stream));
    for (bool is_end = false; !is_end && !at->is_last;) {
        ProtobufCMessage *message = NULL;
        SYN_GOTO(syn_rpc_blocking_next(stream, 200, &message, &is_end));
        if (message) {
            const Syncline__V1__WatchJobsResponse *record = (const void *)message;
            at->has_answered = true;
            if (record->event)
                at->sequence = record->event->sequence;
            if (record->job)
                watch->record(record, watch->user);
            at->is_last = record->is_last;
            syn_wire_free(message);
        }
        if (watch->tick)
            watch->tick(watch->user);
        if (!at->is_last && syn_clock_monotonic_ns() > deadline_ns) {
            status = SYN_FAIL(SYN_DEADLINE_EXCEEDED, "job %s has not ended within %g s",
                              watch->job_id, watch->timeout_s);
            goto out;
        }
    }
    if (!at->is_last)
        status =
            SYN_FAIL(SYN_UNAVAILABLE, "the coordinator ended the watch of job %s", watch->job_id);
out:
    syn_rpc_blocking_close(stream);
    return status;
}

syn_status syn_cli_watch_job(syn_cli_client *client, const syn_cli_watch *watch)
{
    struct position at = {0};
    uint64_t away_since = 0;
    uint64_t start = watch->start_ns ? watch->start_ns : syn_clock_monotonic_ns();
    uint64_t deadline_ns =
        watch->timeout_s > 0 ? start + (uint64_t)(watch->timeout_s * 1e9) : UINT64_MAX;

    for (;;) {
        uint64_t before = at.sequence;
        syn_status status = watch_once(client, watch, deadline_ns, &at);
        if (at.is_last)
            return SYN_OK;
        /* Patience is for a coordinator that is started again, not for a wrong address. */
        if (status != SYN_UNAVAILABLE || !at.has_answered)
            return status;
        uint64_t now = syn_clock_monotonic_ns();
        if (!away_since || at.sequence != before)
            away_since = now;
        if ((double)(now - away_since) > watch->patience_s * 1e9)
            return status;
        syn_clock_sleep_ns(200000000);
    }
}
