/* Taking jobs in, and ending them on request. */
#include "server/jobs/internal.h"

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/format/job_spec.h"

#include <stdio.h>
#include <string.h>

enum { MAX_RANKS = SYN_CLUSTER_MAX_RANKS, MAX_JOB_FILE = 1 << 20, MAX_PRIORITY = 1000000 };

/* Whether the job could run here, now or later. */
static syn_status check_ranks(syn_jobs *jobs, uint32_t n_ranks)
{
    syn_sched_cluster cluster;
    size_t n = syn_cluster_n_pools(jobs->cluster);
    syn_jobs_describe_cluster(jobs, &cluster);
    cluster.pools = syn_calloc(n, sizeof *cluster.pools);
    if (!cluster.pools)
        return syn_fail_memory(n * sizeof *cluster.pools, "the pools");
    for (size_t i = 0; i < n; i++)
        cluster.pools[cluster.n_pools++].n_ranks = syn_cluster_pool(jobs->cluster, i)->n_ranks;
    syn_status status = syn_sched_check_ranks(&cluster, n_ranks);
    syn_free(cluster.pools);
    return status;
}

/* A folder in which another run has trained is refused unless the job goes on from a checkpoint: a
 * restart would take the other run's newest checkpoint for its own. */
static syn_status check_run_dir(const syn_jobs *jobs, const char *run_dir, bool resumes)
{
    if (run_dir[0] != '/')
        return SYN_FAIL(SYN_INVALID_ARGUMENT,
                        "the run directory must be an absolute path, not \"%.200s\"", run_dir);
    for (size_t i = 0; i < jobs->open.n; i++)
        if (strcmp(syn_text_get(jobs->open.items[i]->record.run_dir), run_dir) == 0)
            return SYN_FAIL(SYN_FAILED_PRECONDITION,
                            "the run directory %.400s is in use by job %s, which has not ended",
                            run_dir, jobs->open.items[i]->id);
    char *known = resumes ? NULL : syn_path_join(run_dir, "metrics.csv");
    bool is_taken = known && syn_path_exists(known);
    syn_free(known);
    if (is_taken)
        return SYN_FAIL(SYN_ALREADY_EXISTS,
                        "the run directory %.400s already holds a run: name another, or resume "
                        "from it",
                        run_dir);
    return SYN_OK;
}

static syn_status check_submission(const syn_jobs *jobs, const syn_jobs_submission *s)
{
    const char *not_ready = syn_jobs_not_ready(jobs);
    size_t id_length = strlen(syn_text_get((char *)s->request_id));
    if (not_ready && (jobs->is_broken || !jobs->is_started || jobs->is_stopping))
        return SYN_FAIL(SYN_UNAVAILABLE, "no job can be taken now: %s", not_ready);
    if (id_length == 0 || id_length > 128)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "a request_id has 1 to 128 bytes, this one has %zu",
                        id_length);
    if (s->job_file_size == 0 || s->job_file_size > MAX_JOB_FILE)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "a job file has 1 to %d bytes, this one has %zu",
                        MAX_JOB_FILE, s->job_file_size);
    if (s->priority > MAX_PRIORITY || s->priority < -MAX_PRIORITY)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "a priority is from %d to %d, not %d", -MAX_PRIORITY,
                        MAX_PRIORITY, s->priority);
    return SYN_OK;
}

/* Fills the record and the complete job of `job` from the job file. */
static syn_status describe(syn_job *job, const syn_jobs_submission *s, syn_job_spec *spec)
{
    syn_job_record *record = &job->record;
    char default_dir[4200];
    const char *base = s->base_dir && *s->base_dir ? s->base_dir : NULL;
    SYN_TRY(syn_job_spec_parse(s->job_file, s->job_file_size,
                               s->file_name && *s->file_name ? s->file_name : "job.yaml", base,
                               base, s->overrides, s->n_overrides, spec));
    if (s->n_ranks)
        spec->ranks = s->n_ranks;
    if (spec->ranks < 1 || spec->ranks > MAX_RANKS)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "a job has 1 to %d ranks, not %lld", MAX_RANKS,
                        (long long)spec->ranks);
    if (s->max_restarts_plus_one)
        spec->restarts = s->max_restarts_plus_one - 1;
    SYN_TRY(check_ranks(job->jobs, (uint32_t)spec->ranks));
    (void)snprintf(default_dir, sizeof default_dir, "%s/runs/%s", job->jobs->state_dir, job->id);
    const char *run_dir = s->run_dir && *s->run_dir ? s->run_dir : default_dir;
    const char *resume =
        s->resume_from && *s->resume_from ? s->resume_from : spec->checkpoint.resume;
    SYN_TRY(check_run_dir(job->jobs, run_dir, *syn_text_get(resume) != '\0'));
    record->n_ranks = (uint32_t)spec->ranks;
    record->priority = s->priority;
    record->restarts_allowed = spec->restarts > 0 ? (uint32_t)spec->restarts : 0;
    record->time_limit_s = spec->time_limit_s;
    record->submitted_ns = syn_clock_wall_ns();
    record->attempt = 1;
    record->progress.eta_s = -1;
    job->spec_json = syn_job_spec_to_json(spec);
    if (!job->spec_json || !syn_text_set(&record->name, spec->name) ||
        !syn_text_set(&record->run_dir, run_dir) || !syn_text_set(&record->resume_from, resume))
        return syn_fail_memory(4096, "a job");
    return SYN_OK;
}

/* A repeated request: the first answer, or the refusal of another body. */
static void answer_again(syn_jobs *jobs, const syn_store_request *known,
                         const syn_jobs_submission *s, syn_jobs_reply_fn reply, void *user)
{
    char text[256];
    syn_job *job = known->number && known->number <= jobs->by_number.n
                       ? jobs->by_number.items[known->number - 1]
                       : NULL;
    if (strcmp(known->body_sha256, syn_text_get((char *)s->body_sha256)) != 0 ||
        strcmp(known->method, "SubmitJob") != 0) {
        (void)snprintf(
            text, sizeof text,
            "request_id %s was used before for something else: a new request needs a new one",
            known->id);
        reply(SYN_ALREADY_EXISTS, text, NULL, user);
    } else if (!job) {
        reply(SYN_DATA_LOSS, "the job of this request is no longer in the store", NULL, user);
    } else if (!job->shown) { /* on its way to the store: an empty change behind it brings the
                                 answer */
        syn_job_reply_after(job, reply, user);
        syn_job_flush(job);
    } else {
        reply(SYN_OK, "", job, user);
    }
}

static syn_status take_in(syn_jobs *jobs, syn_job *job, const syn_jobs_submission *s)
{
    syn_store_request request = {.number = job->record.number};
    (void)snprintf(request.id, sizeof request.id, "%s", s->request_id);
    (void)snprintf(request.body_sha256, sizeof request.body_sha256, "%s",
                   syn_text_get((char *)s->body_sha256));
    (void)snprintf(request.method, sizeof request.method, "SubmitJob");
    syn_change *change = syn_job_draft(job);
    char *spec_json = syn_strdup(job->spec_json);
    if (!change || !spec_json || !syn_request_map_add(&jobs->requests, &request)) {
        syn_free(spec_json);
        return syn_fail_memory(4096, "a job");
    }
    change->has_request = true;
    change->request = request;
    change->spec_json = spec_json;
    change->may_refuse = true;
    syn_status status = syn_jobs_add(jobs, job);
    if (status != SYN_OK)
        syn_request_map_remove(&jobs->requests, request.id);
    return status;
}

void syn_jobs_submit(syn_jobs *jobs, const syn_jobs_submission *submission, syn_jobs_reply_fn reply,
                     void *user)
{
    syn_job_spec spec = {0};
    syn_job *job = NULL;
    syn_status status = check_submission(jobs, submission);
    if (status == SYN_OK) {
        const syn_store_request *known =
            syn_request_map_find(&jobs->requests, submission->request_id);
        if (known) {
            answer_again(jobs, known, submission, reply, user);
            return;
        }
        job = syn_job_new(jobs, jobs->last_number + 1);
        status = job ? describe(job, submission, &spec) : syn_fail_memory(sizeof *job, "a job");
    }
    syn_job_spec_release(&spec);
    if (status == SYN_OK)
        status = take_in(jobs, job, submission);
    if (status != SYN_OK) {
        reply(status, syn_error_message(), NULL, user);
        syn_job_free(job);
        return;
    }
    syn_job_move(job, SYN_JOB_QUEUED, SYN_REASON_NONE, "%s", "");
    syn_job_reply_after(job, reply, user);
    syn_job_flush(job);
}

void syn_jobs_cancel(syn_jobs *jobs, const char *job_id, const char *text, syn_jobs_reply_fn reply,
                     void *user)
{
    uint64_t number = syn_job_id_parse(job_id);
    syn_job *job = number && number <= jobs->by_number.n ? jobs->by_number.items[number - 1] : NULL;
    char message[300];
    const char *why = text && *text ? text : "cancelled on request";
    if (!job) {
        (void)snprintf(message, sizeof message, "there is no job %.40s", job_id);
        reply(SYN_NOT_FOUND, message, NULL, user);
        return;
    }
    if (job->record.state == SYN_JOB_QUEUED || job->record.state == SYN_JOB_HELD)
        syn_job_move(job, SYN_JOB_CANCELLED, SYN_REASON_USER_CANCELLED, "%s", why);
    else if (syn_job_state_is_live(job->record.state) && job->record.state != SYN_JOB_DRAINING)
        syn_job_move(job, SYN_JOB_DRAINING, SYN_REASON_USER_CANCELLED, "%s", why);
    else if (job->shown && job->n_pending == 0) {
        reply(SYN_OK, "", job, user);
        return;
    }
    syn_job_reply_after(job, reply, user);
    syn_job_flush(job);
}
