/* The state machine as a table. */
#include "server/sched/state.h"

#define BIT(name) (1u << SYN_JOB_##name)

static const uint16_t followers[SYN_JOB_N_STATES] = {
    [SYN_JOB_UNSPECIFIED] = BIT(QUEUED) | BIT(HELD),
    [SYN_JOB_QUEUED] = BIT(HELD) | BIT(LAUNCHING) | BIT(CANCELLED),
    [SYN_JOB_HELD] = BIT(QUEUED) | BIT(CANCELLED),
    [SYN_JOB_LAUNCHING] = BIT(STARTING) | BIT(RECOVERING) | BIT(DRAINING) | BIT(FAILED),
    [SYN_JOB_STARTING] = BIT(RUNNING) | BIT(RECOVERING) | BIT(DRAINING) | BIT(FAILED),
    [SYN_JOB_RUNNING] = BIT(SUCCEEDED) | BIT(FAILED) | BIT(CANCELLED) | BIT(TIMED_OUT) |
                        BIT(RECOVERING) | BIT(DRAINING),
    [SYN_JOB_RECOVERING] = BIT(QUEUED) | BIT(FAILED) | BIT(DRAINING),
    [SYN_JOB_DRAINING] = BIT(QUEUED) | BIT(CANCELLED) | BIT(TIMED_OUT),
};

static const char *const state_names[SYN_JOB_N_STATES] = {
#define SYN_X(name, number) [number] = #name,
    SYN_JOB_STATE_LIST(SYN_X)
#undef SYN_X
};
static const char *const reason_names[SYN_N_REASONS] = {
#define SYN_X(name, number, text) [number] = text,
    SYN_REASON_LIST(SYN_X)
#undef SYN_X
};
static const char *const phase_names[SYN_N_PHASES] = {
#define SYN_X(name, number, text) [number] = text,
    SYN_PHASE_LIST(SYN_X)
#undef SYN_X
};

const char *syn_job_state_name(syn_job_state state)
{
    return state_names[(unsigned)state < SYN_JOB_N_STATES ? state : SYN_JOB_UNSPECIFIED];
}

const char *syn_reason_name(syn_reason reason)
{
    return reason_names[(unsigned)reason < SYN_N_REASONS ? reason : SYN_REASON_NONE];
}

const char *syn_phase_name(syn_phase phase)
{
    return phase_names[(unsigned)phase < SYN_N_PHASES ? phase : SYN_PHASE_UNSPECIFIED];
}

bool syn_job_state_is_terminal(syn_job_state state)
{
    return state == SYN_JOB_SUCCEEDED || state == SYN_JOB_FAILED || state == SYN_JOB_CANCELLED ||
           state == SYN_JOB_TIMED_OUT;
}

bool syn_job_state_is_live(syn_job_state state)
{
    return state >= SYN_JOB_LAUNCHING && state <= SYN_JOB_DRAINING;
}

bool syn_job_state_may_go(syn_job_state from, syn_job_state to)
{
    if ((unsigned)from >= SYN_JOB_N_STATES || (unsigned)to >= SYN_JOB_N_STATES)
        return false;
    return (followers[from] >> to & 1u) != 0;
}
