/* The durable job store: SQLite behind one writer thread that commits waiting changes in groups.
 *
 * The loop thread builds changes and hands them over; each is one transaction (several may share a
 * commit). A change's callback runs on the loop when its commit is on disk: only then may anybody
 * be told. Reading happens once, at start. */
#ifndef SERVER_STORE_STORE_H
#define SERVER_STORE_STORE_H

#include "common/base/histogram.h"
#include "server/store/record.h"

#include <stdbool.h>
#include <stdint.h>
#include <syncline/status.h>

struct uv_loop_s;
typedef struct syn_store syn_store;

/* One row of the event log: a transition. */
typedef struct syn_job_event {
    uint64_t sequence, number; /* number: of the job */
    int64_t time_ns;
    syn_job_state from, to;
    syn_reason reason;
    uint32_t attempt;
    char *text; /* owned, may be NULL */
} syn_job_event;
void syn_job_event_free(syn_job_event *event);

typedef struct syn_store_request {
    char id[129];
    char body_sha256[65];
    char method[24];
    uint64_t number; /* the job it answered with */
} syn_store_request;

/* The supervisor of one launch. */
typedef struct syn_store_launch {
    uint64_t number, epoch;
    uint32_t attempt;
    int64_t pid;
    uint64_t start_ticks;
} syn_store_launch;

/* How a rank's part of one epoch ended. */
typedef struct syn_store_outcome {
    uint64_t number, epoch;
    uint32_t rank;
    syn_job_state state; /* SUCCEEDED, FAILED, CANCELLED */
} syn_store_outcome;

typedef struct syn_store_checkpoint {
    uint64_t number, epoch, step;
    char *path; /* owned */
    char manifest_sha256[65];
} syn_store_checkpoint;

enum { SYN_CHANGE_MAX_EVENTS = 6 };

/* One transaction. Members that are zero are left out. Owns what it points to. */
typedef struct syn_change {
    syn_job_record *record;
    syn_job_event *events[SYN_CHANGE_MAX_EVENTS];
    size_t n_events;
    char *spec_json; /* of record's job */
    bool has_request, has_launch, has_outcome, has_checkpoint;
    syn_store_request request;
    syn_store_launch launch;
    syn_store_outcome outcome;
    syn_store_checkpoint checkpoint;
    /* On a full disk the change is given up with RESOURCE_EXHAUSTED; others wait until there is
     * room. */
    bool may_refuse;
    /* On the loop, in the order of syn_store_commit. `done` may take members out (set them to
     * NULL). UNAVAILABLE: the store is closing or broken and nobody knows whether the change is on
     * disk. */
    void (*done)(struct syn_change *change, syn_status status, const char *message, void *user);
    void *user;
    struct syn_change *next; /* the store's */
    syn_status status;       /* the store's */
} syn_change;
syn_change *syn_change_new(void);
void syn_change_free(syn_change *change);

typedef struct syn_store_options {
    const char *dir; /* exists; the file is coordinator.db in it */
    struct uv_loop_s *loop;
    /* On the loop, once: a commit failed for another reason than a full disk. The process must end;
     * what was not yet answered may or may not be there after the next start. */
    void (*on_broken)(const char *sentence, void *user);
    void *user;
    uint32_t max_pages; /* 0: no limit; tests make the disk full with it */
} syn_store_options;

/* Opens or creates the store. A file that is not a sound database is moved aside with a message and
 * a new one begun. */
syn_status syn_store_open(const syn_store_options *options, syn_store **store_out);

/* Called for every row at start, in the order jobs, specs, events, requests, launches, outcomes.
 * The pointed-to structs are handed over where the comment says so. A callback that returns false
 * means the row makes no sense: it is logged and left alone. */
typedef struct syn_store_visitor {
    bool (*on_job)(syn_job_record *record,
                   void *user); /* takes the heap record, also when it returns false */
    bool (*on_spec)(uint64_t number, const char *spec_json,
                    void *user);                        /* of jobs that have not ended */
    bool (*on_event)(syn_job_event *event, void *user); /* takes, as above */
    bool (*on_request)(const syn_store_request *request, void *user);
    bool (*on_launch)(const syn_store_launch *launch, void *user); /* of jobs that have not ended */
    bool (*on_outcome)(const syn_store_outcome *outcome,
                       void *user); /* of jobs that have not ended */
    void *user;
} syn_store_visitor;
/* Before the first commit. */
syn_status syn_store_load(syn_store *store, const syn_store_visitor *visitor);
/* Whether this store was made because the old file was damaged or missing. */
bool syn_store_is_new(const syn_store *store);

/* Takes the change; its callback follows, never from inside this call. */
void syn_store_commit(syn_store *store, syn_change *change);
/* NULL, or why the store takes no refusable changes now (disk full). Borrowed until the loop turns.
 */
const char *syn_store_degraded(const syn_store *store);
/* Seconds per commit; borrowed, the loop's. */
const syn_histogram *syn_store_commit_seconds(const syn_store *store);
/* Commits what waits, then closes; `done` (may be NULL) is called from the loop. Accepts NULL
 * (`done` is not called). */
void syn_store_close(syn_store *store, void (*done)(void *user), void *user);

/* One coordinator per state directory: locks <dir>/coordinator.pid and writes our pid.
 * FAILED_PRECONDITION names the pid of the one that has it. The lock goes with the descriptor, also
 * when the process is killed. */
syn_status syn_store_lock(const char *dir, int *fd_out);
void syn_store_unlock(const char *dir, int fd);

#endif
