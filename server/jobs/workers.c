/* What ranks tell: that they are there, where they are, how their part ended, what they have saved.
 */
#include "server/jobs/internal.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#include <stdio.h>
#include <string.h>

static uint64_t grace_ns(const syn_jobs *jobs)
{
    return (uint64_t)jobs->options.grace_ms * 1000000u;
}

static syn_status fail_stale(const syn_job *job, uint64_t epoch)
{
    return SYN_FAIL(SYN_FAILED_PRECONDITION, "epoch %llu of job %s is over (it is %s, epoch %llu)",
                    (unsigned long long)epoch, job->id, syn_job_state_name(job->record.state),
                    (unsigned long long)job->record.epoch);
}

/* The job whose live attempt has this epoch. */
static syn_status find_live(syn_jobs *jobs, const char *job_id, uint64_t epoch, syn_job **job_out)
{
    syn_job *job = syn_jobs_find(jobs, job_id);
    if (!job)
        return SYN_FAIL(SYN_NOT_FOUND, "there is no job %.40s", job_id);
    if (job->record.epoch != epoch || !job->attempt || !syn_job_state_is_live(job->record.state))
        return fail_stale(job, epoch);
    *job_out = job;
    return SYN_OK;
}

static void mark_registered(syn_attempt *attempt, uint32_t rank)
{
    if (!attempt->ranks[rank].has_registered) {
        attempt->ranks[rank].has_registered = true;
        attempt->n_registered++;
    }
}

/* ---- registration ---- */

static syn_status register_for_job(syn_jobs *jobs, const syn_worker_identity *who,
                                   const char *job_id, syn_assignment *assignment_out)
{
    syn_worker_identity full = *who;
    syn_job *job;
    syn_worker *worker;
    SYN_TRY(find_live(jobs, job_id, who->epoch, &job));
    if (syn_job_is_pooled(job))
        return SYN_FAIL(SYN_FAILED_PRECONDITION, "job %s runs on pool %s", job->id,
                        job->record.placement);
    if (who->n_ranks != job->record.n_ranks || who->rank >= who->n_ranks)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "job %s has %u ranks, this is rank %u of %u", job->id,
                        job->record.n_ranks, who->rank, who->n_ranks);
    syn_attempt_rank *rank = &job->attempt->ranks[who->rank];
    if (rank->worker && strcmp(rank->worker->worker_id, syn_text_get(who->worker_id)) != 0)
        return SYN_FAIL(SYN_ALREADY_EXISTS, "rank %u of job %s is process %llu on %s already",
                        who->rank, job->id, (unsigned long long)rank->worker->pid,
                        rank->worker->host);
    full.job = job->record.number;
    SYN_TRY(syn_cluster_register(jobs->cluster, &full, syn_clock_monotonic_ns(), &worker));
    rank->worker = worker;
    mark_registered(job->attempt, who->rank);
    syn_job_fill_assignment(
        job, assignment_out); /* borrowed: nothing may end the attempt before the answer */
    return SYN_OK;
}

/* After a restart of the coordinator: the job that this pool rank works for. */
static void link_to_job(syn_jobs *jobs, syn_worker *worker)
{
    for (size_t i = 0; i < jobs->open.n && !worker->job; i++) {
        syn_job *job = jobs->open.items[i];
        if (!job->attempt || !job->attempt->members ||
            strcmp(syn_text_get(job->record.placement), worker->pool->pool_id) != 0)
            continue;
        for (uint32_t r = 0; r < job->attempt->n_ranks; r++) {
            if (job->attempt->members[r] != worker->rank ||
                job->attempt->ranks[r].outcome != SYN_JOB_UNSPECIFIED)
                continue;
            worker->job = job->record.number;
            worker->epoch = job->record.epoch;
            worker->job_rank = r;
            job->attempt->ranks[r].worker = worker;
        }
    }
}

syn_status syn_jobs_register(syn_jobs *jobs, const syn_worker_identity *who, const char *job_id,
                             syn_assignment *assignment_out, bool *has_assignment_out)
{
    syn_worker *worker;
    if (job_id && *job_id) {
        SYN_TRY(register_for_job(jobs, who, job_id, assignment_out));
        *has_assignment_out = true;
        return SYN_OK;
    }
    if (!who->pool_id || !*who->pool_id)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "a worker names a job_id or a pool_id");
    SYN_TRY(syn_cluster_register(jobs->cluster, who, syn_clock_monotonic_ns(), &worker));
    if (!worker->job)
        link_to_job(jobs, worker);
    if (syn_pool_is_complete(worker->pool))
        syn_jobs_kick(jobs);
    *has_assignment_out = false;
    return SYN_OK;
}

/* ---- sessions ---- */

/* The job whose live attempt has this worker, NULL if none. */
static syn_job *job_of(syn_jobs *jobs, const syn_worker *worker)
{
    syn_job *job = syn_jobs_get(jobs, worker->job);
    if (!job || !job->attempt || job->record.epoch != worker->epoch ||
        worker->job_rank >= job->attempt->n_ranks ||
        job->attempt->ranks[worker->job_rank].worker != worker)
        return NULL;
    return job;
}

static void send_stop(syn_jobs *jobs, syn_worker *worker, const char *job_id, uint64_t epoch,
                      syn_reason reason, const char *text)
{
    syn_directive stop = {.kind = SYN_DIRECTIVE_STOP,
                          .assignment = {.job_id = job_id, .epoch = epoch},
                          .reason = reason,
                          .text = text};
    if (worker->session)
        jobs->options.sessions.send(worker->session, &stop);
}

syn_status syn_jobs_attach(syn_jobs *jobs, const char *worker_id, void *session,
                           syn_worker **worker_out)
{
    syn_worker *worker = syn_cluster_find(jobs->cluster, worker_id);
    if (!worker)
        return SYN_FAIL(SYN_NOT_FOUND, "worker %.64s is not known here: it registers (again) first",
                        worker_id);
    if (worker->session && worker->session != session)
        jobs->options.sessions.end(worker->session, SYN_ABORTED,
                                   "a newer session of the same worker has taken its place");
    syn_cluster_attach(worker, session, syn_clock_monotonic_ns());
    syn_job *job = job_of(jobs, worker);
    if (job && job->attempt->stop_sent)
        send_stop(jobs, worker, job->id, worker->epoch, job->record.reason,
                  syn_text_get(job->record.reason_text));
    if (worker->pool && !worker->job)
        syn_jobs_kick(jobs);
    *worker_out = worker;
    return SYN_OK;
}

void syn_jobs_detach(syn_jobs *jobs, const char *worker_id, void *session)
{
    syn_worker *worker = syn_cluster_find(jobs->cluster, worker_id);
    if (worker && worker->session == session)
        syn_cluster_attach(worker, NULL, syn_clock_monotonic_ns());
}

/* A pool rank whose part of a job is over is free for the next. */
static void release_rank(syn_jobs *jobs, syn_job *job, uint32_t rank)
{
    syn_worker *worker = job->attempt->ranks[rank].worker;
    if (!worker || !worker->pool)
        return;
    job->attempt->ranks[rank].worker = NULL;
    worker->job = worker->epoch = 0;
    syn_jobs_kick(jobs);
}

/* An idle report; only the first of a stream tells more than that an assignment may still be on its
 * way. */
static void take_idle(syn_jobs *jobs, syn_worker *worker, bool is_first)
{
    if (!worker->job)
        return;
    syn_job *job = job_of(jobs, worker);
    if (!job) {
        worker->job = worker->epoch = 0;
        syn_jobs_kick(jobs);
        return;
    }
    if (!is_first)
        return;
    uint32_t rank = worker->job_rank;
    syn_job_read_outcome_files(job);
    if (job->attempt->ranks[rank].outcome != SYN_JOB_UNSPECIFIED) {
        release_rank(jobs, job, rank);
    } else if (!job->attempt->has_begun) {
        return; /* it is sent when LAUNCHING is committed */
    } else if (job->record.state == SYN_JOB_LAUNCHING &&
               !job->attempt->ranks[rank].has_registered) {
        syn_directive directive = {.kind = SYN_DIRECTIVE_ASSIGN};
        syn_job_fill_assignment(job, &directive.assignment);
        jobs->options.sessions.send(worker->session, &directive);
    } else {
        job->attempt->ranks[rank].idle_since_ns = worker->contact_ns; /* its outcome may follow */
    }
}

void syn_job_check_idle_rank(syn_job *job, uint32_t rank, uint64_t now_ns)
{
    syn_attempt_rank *r = &job->attempt->ranks[rank];
    if (!r->idle_since_ns || r->outcome != SYN_JOB_UNSPECIFIED ||
        now_ns - r->idle_since_ns <= grace_ns(job->jobs))
        return;
    syn_job_give_up(job, SYN_REASON_NODE_LOST, "rank %u (%s) came back without its part of the job",
                    rank, r->worker ? r->worker->host : "?");
    syn_attempt_set_outcome(job->attempt, rank, SYN_JOB_FAILED);
    release_rank(job->jobs, job, rank);
}

static void take_progress(syn_job *job, const syn_job_progress *progress)
{
    job->record.progress = *progress;
    job->record.progress.updated_ns = syn_clock_wall_ns();
    if (job->shown)
        job->shown->progress = job->record.progress;
}

syn_status syn_jobs_report(syn_jobs *jobs, syn_worker *worker, const syn_worker_report *report)
{
    worker->contact_ns = syn_clock_monotonic_ns();
    if (!report->job_id || !*report->job_id) {
        if (!worker->pool)
            return SYN_OK; /* launched for a job and not at work yet */
        take_idle(jobs, worker, report->is_first);
        return SYN_OK;
    }
    uint64_t number = syn_job_id_parse(report->job_id);
    syn_job *job = job_of(jobs, worker);
    if (!job || job->record.number != number || worker->epoch != report->epoch) {
        if (!worker->pool)
            return SYN_FAIL(SYN_FAILED_PRECONDITION, "epoch %llu of job %.40s is over",
                            (unsigned long long)report->epoch, report->job_id);
        if (!job && number) { /* busy with something that nobody waits for */
            worker->job = number;
            worker->epoch = report->epoch;
            send_stop(jobs, worker, report->job_id, report->epoch, SYN_REASON_COORDINATOR_RECOVERED,
                      "this epoch of the job is over");
        }
        return SYN_OK;
    }
    mark_registered(job->attempt, worker->job_rank);
    job->attempt->ranks[worker->job_rank].idle_since_ns = 0;
    if (report->status) {
        syn_cluster_report(worker, report->status, worker->contact_ns);
        (void)snprintf(worker->label, sizeof worker->label, "%.120s",
                       report->label ? report->label : "");
    }
    if (report->progress && worker->job_rank == 0)
        take_progress(job, report->progress);
    if (job->record.state == SYN_JOB_LAUNCHING || job->record.state == SYN_JOB_STARTING)
        syn_job_drive(job);
    return SYN_OK;
}

/* ---- pools ---- */

void syn_jobs_remove_pool(syn_jobs *jobs, syn_pool *pool, const char *why)
{
    char pool_id[SYN_CLUSTER_ID_MAX + 1], reason[512];
    (void)snprintf(pool_id, sizeof pool_id, "%s", pool->pool_id);
    (void)snprintf(reason, sizeof reason, "%s", why);
    SYN_WARN("pool %s is removed: %s", pool_id, reason);
    for (size_t i = 0; i < jobs->open.n; i++) {
        syn_job *job = jobs->open.items[i];
        if (!job->attempt || !job->attempt->members ||
            strcmp(syn_text_get(job->record.placement), pool_id) != 0)
            continue;
        for (uint32_t r = 0; r < job->attempt->n_ranks; r++)
            job->attempt->ranks[r].worker = NULL;
        job->attempt->pool_is_gone = true;
        if (job->attempt->n_outcomes < job->attempt->n_ranks && !job->attempt->failure.is_set) {
            syn_job_give_up(job, SYN_REASON_NODE_LOST, "pool %s: %s", pool_id, reason);
            syn_job_flush(job);
        }
    }
    uint32_t n_ranks = pool->n_ranks;
    for (uint32_t r = 0; r < n_ranks; r++) {
        pool = syn_cluster_find_pool(jobs->cluster, pool_id);
        syn_worker *worker = pool ? pool->workers[r] : NULL;
        if (!worker)
            continue;
        if (worker->session) {
            const syn_directive leave = {.kind = SYN_DIRECTIVE_LEAVE};
            jobs->options.sessions.send(worker->session, &leave);
            jobs->options.sessions.end(worker->session, SYN_OK, "the pool is removed");
        }
        syn_cluster_remove(jobs->cluster, worker);
    }
    syn_jobs_kick(jobs);
}

void syn_jobs_expire_pools(syn_jobs *jobs)
{
    uint64_t now = syn_clock_monotonic_ns();
    for (size_t i = syn_cluster_n_pools(jobs->cluster); i-- > 0;) {
        syn_pool *pool = syn_cluster_pool(jobs->cluster, i);
        const syn_worker *lost = syn_pool_lost_rank(pool, now, grace_ns(jobs));
        char why[400];
        if (lost) {
            (void)snprintf(why, sizeof why, "rank %u (%s) has not been heard of for %u s",
                           lost->rank, lost->host, jobs->options.grace_ms / 1000);
            syn_jobs_remove_pool(jobs, pool, why);
        }
    }
}

/* ---- ends and checkpoints ---- */

void syn_jobs_outcome(syn_jobs *jobs, const syn_rank_outcome *outcome, syn_jobs_reply_fn reply,
                      void *user)
{
    syn_job *job = syn_jobs_find(jobs, outcome->job_id);
    syn_status status = SYN_OK;
    if (job && job->record.epoch == outcome->epoch && !job->attempt) {
        reply(SYN_OK, "", job, user); /* said before, and all was settled with it */
        return;
    }
    status = find_live(jobs, outcome->job_id, outcome->epoch, &job);
    if (status == SYN_OK && outcome->rank >= job->record.n_ranks)
        status = SYN_FAIL(SYN_INVALID_ARGUMENT, "job %s has %u ranks, rank %u is none of them",
                          job->id, job->record.n_ranks, outcome->rank);
    if (status == SYN_OK && outcome->state != SYN_JOB_SUCCEEDED &&
        outcome->state != SYN_JOB_FAILED && outcome->state != SYN_JOB_CANCELLED)
        status =
            SYN_FAIL(SYN_INVALID_ARGUMENT, "a rank ends SUCCEEDED, FAILED or CANCELLED, not %s",
                     syn_job_state_name(outcome->state));
    if (status != SYN_OK) {
        reply(status, syn_error_message(), NULL, user);
        return;
    }
    bool is_known = job->attempt->ranks[outcome->rank].outcome != SYN_JOB_UNSPECIFIED;
    if (is_known && job->n_pending) { /* else every repetition would pile up behind a full disk */
        reply(SYN_UNAVAILABLE, "the outcome is being written", NULL, user);
        return;
    }
    if (!is_known && syn_job_take_outcome(job, outcome) != SYN_OK) {
        reply(SYN_RESOURCE_EXHAUSTED, syn_error_message(), NULL, user);
        return;
    }
    release_rank(jobs, job, outcome->rank);
    syn_change *change = syn_job_draft(job);
    if (change) {
        change->has_outcome = true;
        change->outcome = (syn_store_outcome){.number = job->record.number,
                                              .epoch = outcome->epoch,
                                              .rank = outcome->rank,
                                              .state = outcome->state};
    }
    syn_job_reply_after(job, reply, user);
    syn_job_flush(job);
}

void syn_jobs_checkpoint(syn_jobs *jobs, const char *job_id, uint64_t epoch, uint64_t step,
                         const char *path, const char *manifest_sha256, syn_jobs_reply_fn reply,
                         void *user)
{
    syn_job *job = NULL;
    syn_status status = find_live(jobs, job_id, epoch, &job);
    if (status == SYN_OK && path[0] != '/')
        status = SYN_FAIL(SYN_INVALID_ARGUMENT,
                          "the path of a checkpoint is absolute, not \"%.200s\"", path);
    if (status == SYN_OK && job->n_pending && job->record.has_checkpoint &&
        job->record.checkpoint_step == step &&
        strcmp(syn_text_get(job->record.checkpoint_path), path) == 0)
        status = SYN_FAIL(SYN_UNAVAILABLE, "the checkpoint is being written down");
    syn_change *change = status == SYN_OK ? syn_job_draft(job) : NULL;
    if (status == SYN_OK && (!change || !syn_text_set(&job->record.checkpoint_path, path)))
        status = syn_fail_memory(strlen(path), "a checkpoint");
    if (status != SYN_OK) {
        reply(status, syn_error_message(), NULL, user);
        return;
    }
    job->record.has_checkpoint = true;
    job->record.checkpoint_step = step;
    change->has_checkpoint = true;
    change->checkpoint =
        (syn_store_checkpoint){.number = job->record.number, .epoch = epoch, .step = step};
    change->checkpoint.path = syn_strdup(path);
    (void)snprintf(change->checkpoint.manifest_sha256, sizeof change->checkpoint.manifest_sha256,
                   "%s", syn_text_get(manifest_sha256));
    jobs->stats.checkpoints++;
    syn_job_reply_after(job, reply, user);
    syn_job_flush(job);
}
