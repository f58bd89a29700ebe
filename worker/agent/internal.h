/* What the files of the agent share. */
#ifndef WORKER_AGENT_INTERNAL_H
#define WORKER_AGENT_INTERNAL_H

#include "common/base/vec.h"
#include "common/rpc/rpc.h"
#include "worker/agent/agent.h"

#include <pthread.h>
#include <uv.h>

enum {
    SYN_AGENT_FIRST_BACKOFF_MS = 100,
    SYN_AGENT_LAST_BACKOFF_MS = 2000,
    SYN_AGENT_CALL_TIMEOUT_MS = 5000,
    SYN_AGENT_REPORT_MS = 250, /* unless the coordinator names another interval */
};

/* Something to be delivered: an outcome, or a checkpoint's announcement when `path` is set. */
typedef struct delivery {
    struct delivery *next;
    char *job_id; /* owned */
    uint64_t epoch;
    uint32_t attempt;
    int rank;
    syn_train_result result;
    int64_t step;
    char *path; /* owned */
    char digest[65];
} delivery;

/* The job that reports speak of. */
typedef struct current_job {
    char *job_id; /* owned; NULL: idle */
    uint64_t epoch;
    uint32_t attempt;
    int rank;
} current_job;

struct syn_agent {
    /* Set before the thread starts. */
    char *address, *job_id, *pool_id, *host; /* owned */
    char worker_id[128];
    uint64_t epoch;
    uint32_t attempt;
    int rank, n_ranks;
    syn_train_monitor *monitor; /* borrowed */
    pthread_t thread;

    pthread_mutex_t mutex;
    pthread_cond_t changed; /* on the monotonic clock */
    /* Guarded by mutex. */
    SYN_VEC(syn_assignment) assignments;
    uint64_t seen_epoch; /* of the assignment taken last: the coordinator may repeat it */
    char *seen_job;      /* owned */
    bool leave, refused, closing, was_attached;
    char sentence[1024]; /* of the refusal */
    char last_error[512];
    current_job job;
    char *stopped_job; /* owned: a stop that came before its job began here */
    uint64_t stopped_epoch;
    char stop_text[256];
    delivery *first, *last; /* owned; the first may be under way */

    /* The thread's own. */
    uv_loop_t loop;
    uv_async_t wake;
    uv_timer_t attach_timer, report_timer, deliver_timer;
    syn_rpc_channel *channel;     /* owned */
    syn_rpc_client_call *session; /* borrowed until its end; NULL: none */
    uint32_t report_ms, attach_backoff_ms, deliver_backoff_ms;
    uint64_t sequence;
    bool is_first_report, is_delivering, is_registering, has_closed;
};

/* session.c, on the thread: attaches now. */
void syn_agent_attach(syn_agent *agent);
/* deliver.c, on the thread: sends the first queued delivery unless one is under way. */
void syn_agent_deliver(syn_agent *agent);
void syn_agent_delivery_free(delivery *item);

/* agent.c: puts an assignment of the coordinator into the queue unless it was seen. */
void syn_agent_add_assignment(syn_agent *agent, const void *message);
/* Whether the coordinator will never say anything else to the same question. */
bool syn_agent_is_final(syn_status status);
/* Twice the time before, up to the last. */
uint32_t syn_agent_next_backoff(uint32_t backoff_ms);

#endif
