/* The states of a job, the reasons for them, the phases of a rank, and which state may follow
 * which. */
#ifndef SERVER_SCHED_STATE_H
#define SERVER_SCHED_STATE_H

#include <stdbool.h>
#include <stdint.h>

/* X(NAME, number): the numbers are those of the wire (JobState) and of the store. */
#define SYN_JOB_STATE_LIST(X) \
    X(UNSPECIFIED, 0)         \
    X(QUEUED, 1)              \
    X(HELD, 2)                \
    X(LAUNCHING, 3)           \
    X(STARTING, 4)            \
    X(RUNNING, 5)             \
    X(RECOVERING, 6)          \
    X(DRAINING, 7)            \
    X(SUCCEEDED, 8)           \
    X(FAILED, 9)              \
    X(CANCELLED, 10)          \
    X(TIMED_OUT, 11)

typedef enum syn_job_state {
#define SYN_X(name, number) SYN_JOB_##name = number,
    SYN_JOB_STATE_LIST(SYN_X)
#undef SYN_X
} syn_job_state;
enum { SYN_JOB_N_STATES = 12 };

/* X(NAME, number, what `list` shows); numbers as Reason on the wire. */
#define SYN_REASON_LIST(X)                         \
    X(NONE, 0, "")                                 \
    X(PRIORITY, 1, "Priority")                     \
    X(RESOURCES, 2, "Resources")                   \
    X(HELD, 3, "Held")                             \
    X(LAUNCH_FAILED, 4, "LaunchFailed")            \
    X(PREEMPTED, 5, "Preempted")                   \
    X(TIME_LIMIT, 6, "TimeLimit")                  \
    X(USER_CANCELLED, 7, "UserCancelled")          \
    X(EXIT_NON_ZERO, 8, "ExitNonZero")             \
    X(SIGNAL, 9, "Signal")                         \
    X(OUT_OF_MEMORY, 10, "OutOfMemory")            \
    X(NODE_LOST, 11, "NodeLost")                   \
    X(STALLED, 12, "Stalled")                      \
    X(CRASH_LOOP, 13, "CrashLoop")                 \
    X(CHECKPOINT_CORRUPT, 14, "CheckpointCorrupt") \
    X(COORDINATOR_RECOVERED, 15, "CoordinatorRecovered")

typedef enum syn_reason {
#define SYN_X(name, number, text) SYN_REASON_##name = number,
    SYN_REASON_LIST(SYN_X)
#undef SYN_X
} syn_reason;
enum { SYN_N_REASONS = 16 };

/* X(NAME, number, word in sentences); numbers as Phase on the wire. */
#define SYN_PHASE_LIST(X)            \
    X(UNSPECIFIED, 0, "unknown")     \
    X(INIT, 1, "init")               \
    X(DATA_READ, 2, "data_read")     \
    X(FORWARD, 3, "forward")         \
    X(BACKWARD, 4, "backward")       \
    X(COMMUNICATE, 5, "communicate") \
    X(OPTIMIZE, 6, "optimize")       \
    X(AGREE, 7, "agree")             \
    X(EVALUATE, 8, "evaluate")       \
    X(CHECKPOINT, 9, "checkpoint")   \
    X(FINISHED, 10, "finished")

typedef enum syn_phase {
#define SYN_X(name, number, text) SYN_PHASE_##name = number,
    SYN_PHASE_LIST(SYN_X)
#undef SYN_X
} syn_phase;
enum { SYN_N_PHASES = 11 };

/* "QUEUED", "Priority", "data_read"; numbers outside the lists give "UNSPECIFIED", "" and
 * "unknown". */
const char *syn_job_state_name(syn_job_state state);
const char *syn_reason_name(syn_reason reason);
const char *syn_phase_name(syn_phase phase);

/* Ended: never left again. */
bool syn_job_state_is_terminal(syn_job_state state);
/* An attempt is under way: LAUNCHING, STARTING, RUNNING, RECOVERING, DRAINING. */
bool syn_job_state_is_live(syn_job_state state);
/* Whether `to` may follow `from`; UNSPECIFIED stands for a job that does not exist yet. */
bool syn_job_state_may_go(syn_job_state from, syn_job_state to);

#endif
