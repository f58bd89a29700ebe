/* What the files of this room share: the job with its live attempt, and the room's state. */
#ifndef SERVER_JOBS_INTERNAL_H
#define SERVER_JOBS_INTERNAL_H

#include "server/jobs/jobs.h"

#include "common/base/vec.h"
#include "server/jobs/request_map.h"
#include "server/sched/queue.h"

#include <uv.h>

/* One rank of the live attempt. */
typedef struct syn_attempt_rank {
    syn_worker *worker;     /* borrowed; NULL: not registered (again) yet, or gone */
    bool has_registered;    /* in this life of the coordinator */
    uint64_t idle_since_ns; /* a pool rank that is back and knows nothing of the job; 0: not so */
    syn_job_state outcome;  /* UNSPECIFIED until it is known */
} syn_attempt_rank;

/* What is known of the ranks that run now. In memory only: after a restart it is made anew from the
 * record. */
typedef struct syn_attempt {
    uint64_t epoch;
    uint32_t n_ranks;
    uint32_t *members;       /* (n_ranks) pool ranks, owned; NULL on this machine */
    syn_attempt_rank *ranks; /* (n_ranks), owned */
    uint32_t n_registered, n_outcomes;
    uint64_t began_ns;   /* for the time limit */
    uint64_t watched_ns; /* since when this life of the coordinator waits for its ranks */
    bool has_begun;      /* started by us (or found), not merely decided */
    bool was_adopted;    /* from an earlier life */
    bool has_handle;
    syn_launch_handle handle;
    syn_launch_state launch_state;
    syn_launch_exit exit;
    char *launch_error;      /* owned: the launch could not be started */
    char *resume_from;       /* owned: checkpoint directory, "" for none */
    syn_job_failure failure; /* the first rank's own error */
    syn_reason lost_reason;  /* not NONE: given up, and why */
    char *lost_text;         /* owned */
    uint64_t end_by_ns;      /* not 0: the ranks should be gone by then, or a signal follows */
    int n_signals;           /* 1: SIGTERM was sent, more: SIGKILL */
    bool stop_sent, pool_is_gone;
    bool is_stalled;
} syn_attempt;

typedef struct syn_reply {
    syn_jobs_reply_fn fn;
    void *user;
} syn_reply;
typedef SYN_VEC(syn_reply) syn_replies;

/* Travels with a change to the store and back. */
typedef struct syn_commit {
    syn_jobs *jobs;
    syn_job *job;
    syn_replies replies;
} syn_commit;

struct syn_job {
    syn_jobs *jobs;
    char id[SYN_JOB_ID_MAX];
    syn_job_record record;                 /* what was decided */
    syn_job_record *shown;                 /* what is committed; NULL: nothing yet */
    char *spec_json;                       /* owned; NULL once the job has ended */
    uint32_t n_pending;                    /* changes on their way to the store */
    SYN_VEC(const syn_job_event *) events; /* committed; owned by the room's log */
    syn_attempt *attempt;                  /* owned; while the state is a live one */
    syn_change *draft;                     /* being built; NULL: none */
    syn_commit *draft_commit;
    uint64_t not_before_ns; /* a retry waits */
    uint64_t find_until_ns; /* a launch of an earlier life is looked for */
    bool is_open;           /* in jobs->open */
};

struct syn_jobs {
    syn_jobs_options options;
    char *state_dir, *address;    /* owned */
    SYN_VEC(syn_job *) by_number; /* [number - 1]; NULL where there is none */
    SYN_VEC(syn_job *) open;      /* jobs that have not ended */
    SYN_VEC(syn_job_event *) log; /* committed events by sequence; owned */
    uint64_t last_number, last_sequence;
    syn_request_map requests;
    syn_cluster *cluster;
    uv_timer_t poll_timer, kick_timer;
    bool has_timers, is_started, is_stopping, is_broken;
    int n_closing;
    int64_t started_ns;
    syn_jobs_stats stats;
    void (*on_event)(syn_job *job, const syn_job_event *event, void *user);
    void *listener_user;
    void (*on_stopped)(void *user);
    void *stopped_user;
    void (*on_closed)(void *user);
    void *closed_user;
};

/* jobs.c */
syn_job *syn_job_new(syn_jobs *jobs, uint64_t number);
void syn_job_free(syn_job *job);
/* Puts the job into the table (and takes the record's number for the last one). */
syn_status syn_jobs_add(syn_jobs *jobs, syn_job *job);
void syn_jobs_drop(syn_jobs *jobs, syn_job *job);
void syn_jobs_fatal(syn_jobs *jobs, const char *sentence);
/* Looks at the queue soon. */
void syn_jobs_kick(syn_jobs *jobs);

/* change.c: building the next change of a job */
/* NULL when out of memory (the room is broken then). */
syn_change *syn_job_draft(syn_job *job);
void syn_job_move(syn_job *job, syn_job_state to, syn_reason reason, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The reply comes when the draft is committed. */
void syn_job_reply_after(syn_job *job, syn_jobs_reply_fn fn, void *user);
/* Hands the draft to the store; nothing without one. */
void syn_job_flush(syn_job *job);

/* attempt.c */
syn_attempt *syn_attempt_new(uint32_t n_ranks, uint64_t epoch);
void syn_attempt_free(syn_attempt *attempt);
/* Frees the job's attempt and lets go of its workers. */
void syn_job_end_attempt(syn_job *job);
/* "4,5,6" to (n) ranks, and back. */
syn_status syn_members_parse(const char *text, uint32_t n, uint32_t **members_out);
char *syn_members_format(const uint32_t *members, uint32_t n);
bool syn_job_is_pooled(const syn_job *job);
syn_pool *syn_job_pool(const syn_job *job);
void syn_job_fill_assignment(const syn_job *job, syn_assignment *assignment_out);
/* The highest step any rank has reported. */
uint64_t syn_attempt_step(const syn_job *job);
/* Tells every connected rank that has not finished to stop. */
void syn_job_send_stop(syn_job *job);
/* A rank's end becomes known. */
void syn_attempt_set_outcome(syn_attempt *attempt, uint32_t rank, syn_job_state outcome);

/* drive.c */
/* Does what is due for the job: launches, watches, ends. Harmless at any time. */
void syn_job_drive(syn_job *job);
/* Gives the attempt up: its ranks are made to end, then it is tried again or failed. */
void syn_job_give_up(syn_job *job, syn_reason reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* conclude.c */
/* The ranks are gone: what that means for the job. */
void syn_job_conclude(syn_job *job);
/* Takes the results of rank 0 and the first failure into the record. */
syn_status syn_job_take_outcome(syn_job *job, const syn_rank_outcome *outcome);

/* schedule.c */
void syn_jobs_schedule(syn_jobs *jobs);
void syn_jobs_describe_cluster(syn_jobs *jobs, syn_sched_cluster *cluster_out);

/* outcome_file.c: outcomes that were reported to nobody */
void syn_job_read_outcome_files(syn_job *job);

/* resume.c */
/* The newest complete checkpoint the next attempt can start from, "" if none. Heap; NULL when out
 * of memory. */
char *syn_job_find_resume(const syn_job *job, uint64_t *step_out);

/* recover.c */
syn_status syn_jobs_load(syn_jobs *jobs);
void syn_jobs_recover(syn_jobs *jobs);

/* workers.c */
void syn_jobs_expire_pools(syn_jobs *jobs);
void syn_jobs_remove_pool(syn_jobs *jobs, syn_pool *pool, const char *why);

/* Gives the attempt up when a rank of it has been idle for too long. */
void syn_job_check_idle_rank(syn_job *job, uint32_t rank, uint64_t now_ns);

/* stall.c */
void syn_job_watch_progress(syn_job *job);

#endif
