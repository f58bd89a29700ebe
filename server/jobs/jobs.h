/* The life of every job: submission, queue, launches, reports, ends, retries, recovery.
 *
 * Everything here runs on the loop's thread. A job has two faces: what was decided, and what is
 * committed; only the latter is shown, so nothing that anybody was told is forgotten after a crash.
 */
#ifndef SERVER_JOBS_JOBS_H
#define SERVER_JOBS_JOBS_H

#include "common/base/histogram.h"
#include "server/cluster/cluster.h"
#include "server/launch/launch.h"
#include "server/store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <syncline/status.h>

struct uv_loop_s;
typedef struct syn_jobs syn_jobs;
typedef struct syn_job syn_job;

/* How local launches are done: the functions of "server/launch/launch.h", or a test's. */
typedef struct syn_launcher {
    syn_status (*start)(const syn_launch_request *request, syn_launch_handle *handle_out);
    syn_status (*find)(const char *run_dir, uint32_t attempt, uint64_t epoch,
                       syn_launch_handle *handle_out);
    syn_launch_state (*poll)(const syn_launch_handle *handle, const char *run_dir, uint32_t attempt,
                             syn_launch_exit *exit_out);
    void (*kill)(const syn_launch_handle *handle, bool force);
} syn_launcher;

/* ---- what workers are told ---- */

/* Borrowed. `members` are the pool ranks of the job's ranks; NULL for a rank launched for the job.
 */
typedef struct syn_assignment {
    const char *job_id, *job_json, *run_dir, *resume_from;
    uint64_t epoch;
    uint32_t attempt;
    const uint32_t *members;
    size_t n_members;
} syn_assignment;

typedef enum syn_directive_kind {
    SYN_DIRECTIVE_ASSIGN,
    SYN_DIRECTIVE_STOP,
    SYN_DIRECTIVE_LEAVE, /* a pool rank: finish and exit */
} syn_directive_kind;

typedef struct syn_directive {
    syn_directive_kind kind;
    syn_assignment assignment; /* ASSIGN; STOP has job_id and epoch in it too */
    syn_reason reason;         /* STOP */
    const char *text;          /* STOP */
} syn_directive;

typedef struct syn_session_ops {
    void (*send)(void *session, const syn_directive *directive);
    /* The session is over for us and must not call back. */
    void (*end)(void *session, syn_status status, const char *message);
} syn_session_ops;

/* ---- the room ---- */

/* Times of 0 mean the default in the comment. */
typedef struct syn_jobs_options {
    struct uv_loop_s *loop;
    syn_store *store;
    const char *state_dir; /* absolute; copied */
    int64_t slots;         /* ranks on this machine; -1: none */
    bool oversubscribe, is_private;
    syn_launcher launcher;
    syn_session_ops sessions;
    uint32_t poll_ms;  /* 200: how often launches and deadlines are looked at */
    uint32_t grace_ms; /* 10000: until a stop is made with a signal, until a lost session counts */
    uint32_t lost_ms;  /* 60000: a silent rank of a living launch is given up */
    uint32_t start_timeout_ms; /* 300000: until all ranks must have registered */
    uint32_t retry_ms; /* 1000: times the number of restarts so far, before the next attempt */
    uint32_t find_ms;  /* 2000: a launch that an earlier life was starting is looked for so long */
    uint32_t stall_ms; /* 30000: a rank that has not moved so long is named */
    uint32_t report_interval_ms;                        /* 500: asked of the workers */
    void (*on_fatal)(const char *sentence, void *user); /* the process must end */
    void *user;
} syn_jobs_options;

/* Loads the store. `*jobs_out` takes no requests yet. */
syn_status syn_jobs_new(const syn_jobs_options *options, syn_jobs **jobs_out);
/* Takes up the jobs of an earlier life and starts scheduling. `address` is where workers reach the
 * coordinator. */
syn_status syn_jobs_start(syn_jobs *jobs, const char *address);
/* No job is started any more. A private coordinator cancels what runs; `done` is called when
 * nothing runs (at once for one that is not private: its jobs go on without it). */
void syn_jobs_stop(syn_jobs *jobs, void (*done)(void *user), void *user);
/* From now on no job is touched: the store may be closed. */
void syn_jobs_halt(syn_jobs *jobs);
/* Closes the timers, frees everything; `done` (may be NULL) is called from the loop. The store must
 * be closed before. Accepts NULL. */
void syn_jobs_close(syn_jobs *jobs, void (*done)(void *user), void *user);

/* ---- for people and programs ---- */

/* `job` is NULL unless status is SYN_OK; `message` is the sentence otherwise. */
typedef void (*syn_jobs_reply_fn)(syn_status status, const char *message, syn_job *job, void *user);

/* All texts are NUL-terminated, borrowed, NULL or "" where not given. */
typedef struct syn_jobs_submission {
    const char *request_id, *body_sha256;
    const char *job_file, *file_name, *base_dir;
    size_t job_file_size;
    const char *const *overrides;
    size_t n_overrides;
    uint32_t n_ranks; /* 0: the job file's */
    int32_t priority;
    const char *run_dir, *resume_from;
    uint32_t max_restarts_plus_one; /* 0: the job file's */
} syn_jobs_submission;
/* `reply` is called exactly once, when the job is durable or refused; also from inside this call. A
 * repeated request_id gets the same job; with another body ALREADY_EXISTS. */
void syn_jobs_submit(syn_jobs *jobs, const syn_jobs_submission *submission, syn_jobs_reply_fn reply,
                     void *user);
/* Ends a job, whatever it does; harmless on one that has ended. `reply` as above. */
void syn_jobs_cancel(syn_jobs *jobs, const char *job_id, const char *text, syn_jobs_reply_fn reply,
                     void *user);

/* A job that is durable; NULL if there is none. Borrowed for ever: jobs are not forgotten. */
syn_job *syn_jobs_find(syn_jobs *jobs, const char *job_id);
/* Numbers run from 1 to this; some may be missing. */
uint64_t syn_jobs_last_number(const syn_jobs *jobs);
syn_job *syn_jobs_get(syn_jobs *jobs, uint64_t number);
/* The committed face, with the latest progress. Borrowed until the loop turns. */
const syn_job_record *syn_job_shown(const syn_job *job);
/* "j-000001". */
const char *syn_job_id(const syn_job *job);
/* The i-th event of the job; NULL past the last. */
const syn_job_event *syn_job_event_at(const syn_job *job, size_t i);
/* Rank r of the live attempt: NULL when it is not known. */
const syn_worker *syn_job_rank(const syn_job *job, uint32_t rank);
/* The event with the smallest sequence above `after`, over all jobs; NULL if there is none. */
const syn_job_event *syn_jobs_event_after(const syn_jobs *jobs, uint64_t after);

/* Called on the loop after each committed event. One listener. */
void syn_jobs_set_listener(syn_jobs *jobs,
                           void (*on_event)(syn_job *job, const syn_job_event *event, void *user),
                           void *user);

/* ---- for workers ---- */

/* `*assignment_out` is filled and `*has_assignment_out` true when the rank was launched for a job.
 * FAILED_PRECONDITION for an epoch that is over: the rank ends itself. */
syn_status syn_jobs_register(syn_jobs *jobs, const syn_worker_identity *identity,
                             const char *job_id, syn_assignment *assignment_out,
                             bool *has_assignment_out);
uint32_t syn_jobs_report_interval_ms(const syn_jobs *jobs);
/* The first report of a stream names the worker. NOT_FOUND: it must register (again) first. An
 * older session of the same worker is ended. */
syn_status syn_jobs_attach(syn_jobs *jobs, const char *worker_id, void *session,
                           syn_worker **worker_out);
/* The stream is gone. */
void syn_jobs_detach(syn_jobs *jobs, const char *worker_id, void *session);

typedef struct syn_worker_report {
    const char *job_id; /* "" : idle */
    uint64_t epoch;
    bool is_first;                    /* of its stream */
    const syn_rank_status *status;    /* NULL: nothing new */
    const char *label;                /* of the collective that it is in; NULL or "": in none */
    const syn_job_progress *progress; /* from job rank 0, or NULL */
} syn_worker_report;
/* FAILED_PRECONDITION: the epoch is over; the stream of a rank launched for one job is ended with
 * it. */
syn_status syn_jobs_report(syn_jobs *jobs, syn_worker *worker, const syn_worker_report *report);

typedef struct syn_rank_outcome {
    const char *job_id;
    uint64_t epoch;
    uint32_t rank;
    syn_job_state state;            /* SUCCEEDED, FAILED, CANCELLED */
    const syn_job_failure *failure; /* of this rank itself; NULL: it only follows */
    const syn_job_metric *metrics;
    size_t n_metrics;
    const char *weights_sha256;
    const syn_job_progress *progress; /* or NULL */
    uint64_t steps;
    double elapsed_s, samples_per_s, hidden_ms, exposed_ms;
} syn_rank_outcome;
void syn_jobs_outcome(syn_jobs *jobs, const syn_rank_outcome *outcome, syn_jobs_reply_fn reply,
                      void *user);
void syn_jobs_checkpoint(syn_jobs *jobs, const char *job_id, uint64_t epoch, uint64_t step,
                         const char *path, const char *manifest_sha256, syn_jobs_reply_fn reply,
                         void *user);

/* ---- the machines, and numbers for /metrics ---- */

syn_cluster *syn_jobs_cluster(syn_jobs *jobs);
int64_t syn_jobs_local_slots(const syn_jobs *jobs);
int64_t syn_jobs_local_used(const syn_jobs *jobs);
const char *syn_jobs_state_dir(const syn_jobs *jobs);
int64_t syn_jobs_started_ns(const syn_jobs *jobs);
uint64_t syn_jobs_now_ns(const syn_jobs *jobs);
/* Recovered and not broken: NULL, or why not. */
const char *syn_jobs_not_ready(const syn_jobs *jobs);

typedef struct syn_jobs_stats {
    uint64_t by_state[SYN_JOB_N_STATES];
    uint64_t transitions[SYN_JOB_N_STATES][SYN_N_REASONS];
    syn_histogram queue_wait_s;
    uint64_t recovered_adopted, recovered_requeued, recovered_ended;
    uint64_t stalls, checkpoints;
} syn_jobs_stats;
const syn_jobs_stats *syn_jobs_get_stats(const syn_jobs *jobs);

#endif
