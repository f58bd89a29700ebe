/* What the end of an attempt means: a pure function of what is known about it. */
#ifndef SERVER_JOBS_VERDICT_H
#define SERVER_JOBS_VERDICT_H

#include "server/launch/launch.h"
#include "server/store/record.h"

#include <stdbool.h>
#include <stddef.h>

/* Texts are borrowed, NULL where there is nothing to say. */
typedef struct syn_attempt_facts {
    uint32_t n_ranks, n_registered;              /* registered: in this attempt, at any time */
    uint32_t n_succeeded, n_failed, n_cancelled; /* outcomes */
    bool rank0_succeeded;
    bool is_pooled; /* no launcher: the next four mean nothing */
    syn_launch_state launch_state;
    const syn_launch_exit *exit;    /* when EXITED */
    const char *launch_error;       /* it could not be started */
    bool was_killed;                /* we sent a signal, so the exit code says nothing */
    const syn_job_failure *failure; /* the first rank's own error; NULL: none */
    syn_reason lost_reason;         /* given up by the coordinator; NONE: not */
    const char *lost_text;
    uint64_t step; /* the highest reported */
    /* what the culprit that the launcher names said last; NULL: not known */
    const char *culprit_host;
    uint64_t culprit_step, culprit_pid;
    syn_phase culprit_phase;
} syn_attempt_facts;

typedef enum syn_verdict_kind {
    SYN_VERDICT_SUCCEEDED,
    SYN_VERDICT_FAILED,  /* by itself: trying again would not help */
    SYN_VERDICT_RECOVER, /* something around it broke: to be tried again */
} syn_verdict_kind;

typedef struct syn_verdict {
    syn_verdict_kind kind;
    syn_reason reason;
    char text[1400];  /* one sentence */
    bool has_failure; /* rank .. message below belong into the record's first failure */
    bool rank_known;
    uint32_t rank, signal;
    int32_t exit_code;
    uint64_t step;
    syn_phase phase;
    char host[256], message[1200];
} syn_verdict;

/* The first of these that holds:
 *   rank 0 succeeded and so did the launcher (or every rank, or we had to end a launcher that
 * lingered) -> SUCCEEDED a rank reported an error of its own                                     ->
 * FAILED, ExitNonZero we gave the ranks up                                                    ->
 * RECOVER with that reason the launch could not start, or ended before all ranks had registered ->
 * RECOVER, LaunchFailed a rank was killed by a signal                                           ->
 * RECOVER, Signal the launcher vanished                                                   ->
 * RECOVER, NodeLost the ranks were told to stop by somebody else                            ->
 * RECOVER, Signal anything else ended with an error or without an outcome                 ->
 * FAILED, ExitNonZero */
void syn_attempt_judge(const syn_attempt_facts *facts, syn_verdict *verdict_out);

/* What follows a RECOVER verdict at step `step`. */
typedef struct syn_retry {
    bool again;
    syn_reason reason;       /* of the FAILED state when not again */
    bool is_free;            /* takes no restart from the job */
    uint32_t n_failed_there; /* attempts in a row that ended at this step, with this one */
    char text[256];          /* why not again; "" when again */
} syn_retry;
enum { SYN_CRASH_LOOP_ATTEMPTS = 3 };
void syn_retry_decide(const syn_job_record *record, syn_reason reason, uint64_t step,
                      syn_retry *retry_out);

#endif
