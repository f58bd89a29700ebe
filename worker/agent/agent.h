/* The worker's side of the coordinator: a thread that registers, reports, obeys directives and
 * delivers outcomes. */
#ifndef WORKER_AGENT_AGENT_H
#define WORKER_AGENT_AGENT_H

#include "worker/train/train.h"

#include <stdbool.h>
#include <stdint.h>
#include <syncline/status.h>

/* One per process. The thread attaches (RegisterWorker, then OpenSession) and attaches again, 0.1
 * to 2 s apart, for as long as the agent lives; meanwhile the step loop runs on undisturbed. Every
 * interval it sends what the monitor and the communication's progress record say. A stop or
 * checkpoint directive sets the monitor's requests, which the step loop agrees upon at its next
 * step boundary. */
typedef struct syn_agent syn_agent;

/* Strings are copied; the monitor is borrowed until syn_agent_free. */
typedef struct syn_agent_options {
    const char *address;
    const char *job_id;  /* launched for this job; NULL or "": serves a pool */
    uint64_t epoch;      /* of the launch */
    uint32_t attempt;    /* of the launch */
    const char *pool_id; /* the same on all ranks of one mpirun; NULL or "" for a job */
    int rank, n_ranks;   /* in the world group */
    const char *host;
    syn_train_monitor *monitor;
} syn_agent_options;

/* Starts the thread. INVALID_ARGUMENT for a bad address; that nobody answers there is not an error.
 */
syn_status syn_agent_new(const syn_agent_options *options, syn_agent **agent_out);
/* Leaves the coordinator, ends the thread and frees. What was not delivered is given up. NULL is
 * accepted. */
void syn_agent_free(syn_agent *agent);

/* A job for this rank; owned by whoever took it (syn_assignment_release). */
typedef struct syn_assignment {
    char *job_id;
    uint64_t epoch;
    uint32_t attempt;
    char *job_json;
    char *run_dir;
    char *resume_from; /* "" : from scratch */
    int *members;      /* world ranks; the job's rank r is members[r] */
    int n_members;     /* 0: all of the world */
} syn_assignment;
void syn_assignment_release(syn_assignment *assignment);

typedef enum syn_agent_event {
    SYN_AGENT_NOTHING,  /* the time is over */
    SYN_AGENT_ASSIGNED, /* `assignment` is filled */
    SYN_AGENT_LEAVE,    /* the coordinator wants this pool rank to finish */
    SYN_AGENT_REFUSED,  /* the coordinator does not want this rank (a stale epoch): the sentence is
                           recorded for the caller */
} syn_agent_event;
/* Waits up to `timeout_ms` for the next event. LEAVE and REFUSED are given again at every further
 * call. */
syn_agent_event syn_agent_wait(syn_agent *agent, uint32_t timeout_ms,
                               syn_assignment *assignment_out);
/* Whether the coordinator has answered since the start. */
bool syn_agent_was_attached(syn_agent *agent);
/* Why it could not be reached last, as one sentence into `buffer`, which is returned. */
char *syn_agent_last_error(syn_agent *agent, char *buffer, size_t size);

/* Reports speak of this job from now on, as its rank `job_rank`; a stop for it that came early is
 * handed to the monitor. */
void syn_agent_begin_job(syn_agent *agent, const syn_assignment *assignment, int job_rank);
/* Reports say that the rank is idle. */
void syn_agent_end_job(syn_agent *agent);

/* Queues how the current job ended on this rank; delivered in order, retried until the coordinator
 * has acknowledged it. */
syn_status syn_agent_report_outcome(syn_agent *agent, const syn_train_result *result);
/* Queues the announcement of a checkpoint of the current job. */
syn_status syn_agent_commit_checkpoint(syn_agent *agent, int64_t step, const char *path,
                                       const char *manifest_sha256);
/* Waits until everything queued was delivered; false if `timeout_ms` was over before. */
bool syn_agent_flush(syn_agent *agent, uint32_t timeout_ms);

#endif
