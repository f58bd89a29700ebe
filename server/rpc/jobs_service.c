/* syncline.v1.Jobs: submission, looking up, cancelling. */
#include "server/rpc/internal.h"

#include "common/base/file.h"

#include <string.h>

enum {
    MAX_PATH = 4096,
    MAX_OVERRIDES = 1000,
    MAX_OVERRIDE = 65536,
    DEFAULT_LIMIT = 1000,
    MAX_LIST_BYTES =
        SYN_RPC_MAX_MESSAGE_BYTES - 65536, /* a page ends early, else it would be refused */
};

/* ---- SubmitJob ---- */

static void reply_submit(syn_status status, const char *message, syn_job *job, void *user)
{
    syn_rpc_call *call = user;
    syn_arena arena = {0};
    Syncline__V1__SubmitJobResponse response = SYNCLINE__V1__SUBMIT_JOB_RESPONSE__INIT;
    if (status == SYN_OK && !(response.job = syn_convert_job(&arena, job, false)))
        status = SYN_RESOURCE_EXHAUSTED, message = "the coordinator is out of memory";
    if (status == SYN_OK)
        syn_rpc_call_reply(call, &response.base);
    else
        syn_rpc_call_finish(call, status, message);
    syn_arena_release(&arena);
    syn_rpc_call_unref(call);
}

/* The digest that tells whether a repeated request is the same. */
static syn_status digest_request(const Syncline__V1__SubmitJobRequest *request, char hex_out[65])
{
    Syncline__V1__SubmitJobRequest body = *request;
    unsigned char *bytes;
    size_t size;
    body.request_id = (char *)protobuf_c_empty_string;
    SYN_TRY(syn_wire_pack(&body.base, &bytes, &size));
    syn_status status = syn_sha256_hex(bytes, size, hex_out);
    syn_free(bytes);
    return status;
}

static syn_status fill_submission(syn_arena *arena, const Syncline__V1__SubmitJobRequest *m,
                                  syn_jobs_submission *s)
{
    char hex[65];
    *s = (syn_jobs_submission){.request_id = m->request_id,
                               .job_file = (const char *)m->job_file.data,
                               .job_file_size = m->job_file.len,
                               .n_overrides = m->n_overrides,
                               .n_ranks = m->n_ranks,
                               .priority = m->priority,
                               .max_restarts_plus_one = m->max_restarts_plus_one};
    if (m->n_overrides > MAX_OVERRIDES)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "at most %d overrides are taken, not %zu",
                        MAX_OVERRIDES, m->n_overrides);
    SYN_TRY(digest_request(m, hex));
    s->body_sha256 = syn_arena_strdup(arena, hex);
    SYN_TRY(syn_bytes_to_text(arena, &m->file_name, MAX_PATH, "file_name", &s->file_name));
    SYN_TRY(syn_bytes_to_text(arena, &m->run_dir, MAX_PATH, "run_dir", &s->run_dir));
    SYN_TRY(syn_bytes_to_text(arena, &m->resume_from, MAX_PATH, "resume_from", &s->resume_from));
    SYN_TRY(syn_bytes_to_text(arena, &m->base_dir, MAX_PATH, "base_dir", &s->base_dir));
    const char **overrides = syn_arena_alloc(arena, (m->n_overrides + 1) * sizeof *overrides);
    if (!overrides || !s->body_sha256)
        return syn_fail_memory(m->n_overrides * sizeof *overrides, "overrides");
    for (size_t i = 0; i < m->n_overrides; i++)
        SYN_TRY(
            syn_bytes_to_text(arena, &m->overrides[i], MAX_OVERRIDE, "an override", &overrides[i]));
    s->overrides = overrides;
    return SYN_OK;
}

static void submit_job(syn_rpc_call *call, const ProtobufCMessage *message, void *user)
{
    syn_services *services = user;
    syn_arena arena = {0};
    syn_jobs_submission submission;
    syn_status status =
        fill_submission(&arena, (const Syncline__V1__SubmitJobRequest *)message, &submission);
    if (status != SYN_OK) {
        syn_rpc_call_fail(call, status);
    } else {
        syn_rpc_call_ref(call);
        syn_jobs_submit(services->jobs, &submission, reply_submit, call);
    }
    syn_arena_release(&arena);
}

/* ---- GetJob ---- */

static void get_job(syn_rpc_call *call, const ProtobufCMessage *message, void *user)
{
    syn_services *services = user;
    const Syncline__V1__GetJobRequest *request = (const Syncline__V1__GetJobRequest *)message;
    Syncline__V1__GetJobResponse response = SYNCLINE__V1__GET_JOB_RESPONSE__INIT;
    syn_arena arena = {0};
    syn_job *job = syn_jobs_find(services->jobs, request->job_id);
    size_t n = 0;
    if (!job) {
        syn_rpc_call_fail(call, SYN_FAIL(SYN_NOT_FOUND, "there is no job %.40s", request->job_id));
        return;
    }
    while (syn_job_event_at(job, n))
        n++;
    response.job = syn_convert_job(&arena, job, true);
    response.events = syn_arena_alloc(&arena, (n + 1) * sizeof *response.events);
    for (size_t i = 0; response.events && i < n; i++) {
        Syncline__V1__Event *event = syn_arena_alloc(&arena, sizeof *event);
        char *id = syn_arena_alloc(&arena, SYN_JOB_ID_MAX);
        if (!event || !id)
            break;
        syn_convert_event(syn_job_event_at(job, i), id, event);
        response.events[response.n_events++] = event;
    }
    if (response.job && response.n_events == n)
        syn_rpc_call_reply(call, &response.base);
    else
        syn_rpc_call_fail(call, syn_fail_memory(4096, "an answer"));
    syn_arena_release(&arena);
}

/* ---- ListJobs ---- */

static bool is_wanted(const syn_job *job, const Syncline__V1__ListJobsRequest *request)
{
    if (request->n_states == 0)
        return true;
    for (size_t i = 0; i < request->n_states; i++)
        if ((int)request->states[i] == (int)syn_job_shown(job)->state)
            return true;
    return false;
}

static void list_jobs(syn_rpc_call *call, const ProtobufCMessage *message, void *user)
{
    syn_services *services = user;
    const Syncline__V1__ListJobsRequest *request = (const Syncline__V1__ListJobsRequest *)message;
    Syncline__V1__ListJobsResponse response = SYNCLINE__V1__LIST_JOBS_RESPONSE__INIT;
    syn_arena arena = {0};
    uint32_t limit =
        request->limit == 0 || request->limit > DEFAULT_LIMIT ? DEFAULT_LIMIT : request->limit;
    uint64_t number = syn_jobs_last_number(services->jobs) + 1;
    size_t size_bytes = 0;
    if (*request->after_job_id && !(number = syn_job_id_parse(request->after_job_id))) {
        syn_rpc_call_fail(call,
                          SYN_FAIL(SYN_INVALID_ARGUMENT, "after_job_id is not a job id: %.40s",
                                   request->after_job_id));
        return;
    }
    response.jobs = syn_arena_alloc(&arena, limit * sizeof *response.jobs);
    while (response.jobs && --number > 0) {
        syn_job *job = syn_jobs_get(services->jobs, number);
        if (!job || !is_wanted(job, request))
            continue;
        Syncline__V1__Job *next = syn_convert_job(&arena, job, false);
        size_bytes += next ? syncline__v1__job__get_packed_size(next) + 8 : 0;
        if (response.n_jobs == limit || size_bytes > MAX_LIST_BYTES) {
            response.has_more = true;
            break;
        }
        if (next)
            response.jobs[response.n_jobs++] = next;
        else
            response.jobs = NULL;
    }
    if (response.jobs)
        syn_rpc_call_reply(call, &response.base);
    else
        syn_rpc_call_fail(call, syn_fail_memory(4096, "an answer"));
    syn_arena_release(&arena);
}

/* ---- CancelJob ---- */

static void reply_cancel(syn_status status, const char *message, syn_job *job, void *user)
{
    syn_rpc_call *call = user;
    syn_arena arena = {0};
    Syncline__V1__CancelJobResponse response = SYNCLINE__V1__CANCEL_JOB_RESPONSE__INIT;
    if (status == SYN_OK && !(response.job = syn_convert_job(&arena, job, false)))
        status = SYN_RESOURCE_EXHAUSTED, message = "the coordinator is out of memory";
    if (status == SYN_OK)
        syn_rpc_call_reply(call, &response.base);
    else
        syn_rpc_call_finish(call, status, message);
    syn_arena_release(&arena);
    syn_rpc_call_unref(call);
}

static void cancel_job(syn_rpc_call *call, const ProtobufCMessage *message, void *user)
{
    syn_services *services = user;
    const Syncline__V1__CancelJobRequest *request = (const Syncline__V1__CancelJobRequest *)message;
    syn_arena arena = {0};
    char *text = syn_bytes_to_printable(&arena, &request->text, 500);
    syn_rpc_call_ref(call);
    syn_jobs_cancel(services->jobs, request->job_id, text, reply_cancel, call);
    syn_arena_release(&arena);
}

const syn_rpc_handler syn_jobs_handlers[] = {
    {.method = &syn_rpc_jobs_submit_job, .on_message = submit_job},
    {.method = &syn_rpc_jobs_get_job, .on_message = get_job},
    {.method = &syn_rpc_jobs_list_jobs, .on_message = list_jobs},
    {.method = &syn_rpc_jobs_cancel_job, .on_message = cancel_job},
    {.method = &syn_rpc_jobs_watch_jobs,
     .on_message = syn_watch_start,
     .on_drain = syn_watch_drain,
     .on_end = syn_watch_end},
    {.method = &syn_rpc_jobs_tail_logs,
     .on_message = syn_tail_start,
     .on_drain = syn_tail_drain,
     .on_end = syn_tail_end},
};
const size_t syn_jobs_n_handlers = sizeof syn_jobs_handlers / sizeof *syn_jobs_handlers;
