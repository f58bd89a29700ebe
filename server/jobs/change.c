/* Building the next change of a job, handing it to the store, and what follows its commit. */
#include "server/jobs/internal.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 2048 };

static void out_of_memory(syn_jobs *jobs)
{
    syn_jobs_fatal(
        jobs,
        "the coordinator is out of memory: it ends, and takes the jobs up again at its next start");
}

syn_change *syn_job_draft(syn_job *job)
{
    if (job->draft)
        return job->draft;
    job->draft = syn_change_new();
    job->draft_commit = syn_calloc(1, sizeof *job->draft_commit);
    if (!job->draft || !job->draft_commit) {
        syn_change_free(job->draft);
        syn_free(job->draft_commit);
        job->draft = NULL;
        job->draft_commit = NULL;
        out_of_memory(job->jobs);
        return NULL;
    }
    *job->draft_commit = (syn_commit){.jobs = job->jobs, .job = job};
    return job->draft;
}

void syn_job_move(syn_job *job, syn_job_state to, syn_reason reason, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list args;
    SYN_BUG_ON(!syn_job_state_may_go(job->record.state, to));
    va_start(args, format); /* the arguments may point into the record */
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    syn_change *change = syn_job_draft(job);
    syn_job_event *event = change ? syn_calloc(1, sizeof *event) : NULL;
    if (!event) {
        out_of_memory(job->jobs);
        return;
    }
    SYN_BUG_ON(change->n_events == SYN_CHANGE_MAX_EVENTS);
    *event = (syn_job_event){.sequence = ++job->jobs->last_sequence,
                             .number = job->record.number,
                             .time_ns = syn_clock_wall_ns(),
                             .from = job->record.state,
                             .to = to,
                             .reason = reason,
                             .attempt = job->record.attempt,
                             .text = *text ? syn_strdup(text) : NULL};
    change->events[change->n_events++] = event;
    job->record.state = to;
    job->record.reason = reason;
    if (!syn_text_set(&job->record.reason_text, text))
        out_of_memory(job->jobs);
    if (syn_job_state_is_terminal(to))
        job->record.ended_ns = event->time_ns;
}

void syn_job_reply_after(syn_job *job, syn_jobs_reply_fn fn, void *user)
{
    if (!syn_job_draft(job) || !syn_vec_push(&job->draft_commit->replies, (syn_reply){fn, user}))
        fn(SYN_RESOURCE_EXHAUSTED, "the coordinator is out of memory", NULL, user);
}

/* Events become visible: the log, the job's list, the listener. */
static void publish_events(syn_job *job, syn_change *change)
{
    syn_jobs *jobs = job->jobs;
    for (size_t i = 0; i < change->n_events; i++) {
        syn_job_event *event = change->events[i];
        if (!syn_vec_push(&jobs->log, event)) {
            out_of_memory(jobs);
            return;
        }
        change->events[i] = NULL;
        if (!syn_vec_push(&job->events, event))
            out_of_memory(jobs);
        jobs->stats.transitions[event->to][event->reason]++;
        if (event->from != SYN_JOB_UNSPECIFIED)
            jobs->stats.by_state[event->from]--;
        jobs->stats.by_state[event->to]++;
        bool is_first = event->from == SYN_JOB_UNSPECIFIED;
        SYN_INFO("%s: %s%s%s%s%s%s%s", job->id, is_first ? "" : syn_job_state_name(event->from),
                 is_first ? "" : " -> ", syn_job_state_name(event->to), event->reason ? ", " : "",
                 syn_reason_name(event->reason), event->text ? ": " : "",
                 syn_text_get(event->text));
        if (jobs->on_event)
            jobs->on_event(job, event, jobs->listener_user);
    }
}

static void on_ended(syn_job *job)
{
    syn_free(job->spec_json);
    job->spec_json = NULL;
    syn_job_end_attempt(job);
    syn_jobs_drop(job->jobs, job);
}

/* A submission that the store refused leaves nothing behind. */
static void forget(syn_job *job)
{
    job->jobs->by_number.items[job->record.number - 1] = NULL;
    syn_jobs_drop(job->jobs, job);
    syn_job_free(job);
}

static void on_committed(syn_change *change, syn_status status, const char *message, void *user)
{
    syn_commit *commit = user;
    syn_job *job = commit->job;
    syn_jobs *jobs = commit->jobs;
    bool is_refused = status == SYN_RESOURCE_EXHAUSTED && change->may_refuse;
    job->n_pending--;
    if (status == SYN_OK) {
        if (change->record) {
            syn_job_record_free(job->shown);
            job->shown = change->record;
            change->record = NULL;
            job->shown->progress = job->record.progress;
        }
        publish_events(job, change);
        if (job->n_pending == 0 && syn_job_state_is_terminal(job->record.state))
            on_ended(job);
    } else if (change->has_request && is_refused) {
        syn_request_map_remove(&jobs->requests, change->request.id);
    }
    for (size_t i = 0; i < commit->replies.n; i++)
        commit->replies.items[i].fn(status, message, status == SYN_OK ? job : NULL,
                                    commit->replies.items[i].user);
    syn_vec_release(&commit->replies);
    syn_free(commit);
    if (is_refused && !job->shown)
        forget(job);
    else if (status == SYN_OK && !jobs->is_broken)
        syn_job_drive(job);
    syn_jobs_kick(jobs);
}

void syn_job_flush(syn_job *job)
{
    syn_change *change = job->draft;
    if (!change)
        return;
    job->record.version++;
    change->record = syn_job_record_copy(&job->record);
    if (!change->record) {
        out_of_memory(job->jobs);
        return;
    }
    change->done = on_committed;
    change->user = job->draft_commit;
    job->draft = NULL;
    job->draft_commit = NULL;
    job->n_pending++;
    syn_store_commit(job->jobs->options.store, change);
}
