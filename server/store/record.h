/* A job as the store keeps it: one row, described by one table of columns. */
#ifndef SERVER_STORE_RECORD_H
#define SERVER_STORE_RECORD_H

#include "server/sched/state.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <syncline/status.h>

typedef struct syn_job_progress {
    uint64_t step, total_steps;
    uint32_t epoch, total_epochs;
    bool has_loss;
    double train_loss, samples_per_s;
    double eta_s; /* negative: unknown */
    double hidden_ms, exposed_ms;
    int64_t updated_ns;
} syn_job_progress;

/* The first rank that failed in an attempt: the culprit, not the ranks that died of it. */
typedef struct syn_job_failure {
    bool is_set, rank_known;
    uint32_t rank, attempt;
    uint32_t signal; /* 0: not killed by one */
    int32_t exit_code;
    uint64_t step;
    syn_phase phase;
    char *host, *message; /* owned, or NULL */
} syn_job_failure;

typedef struct syn_job_metric {
    char *name; /* owned */
    double value;
} syn_job_metric;

/* Texts are owned and may be NULL, which means "". */
typedef struct syn_job_record {
    uint64_t number; /* "j-000001" is number 1 */
    char *name, *run_dir;
    syn_job_state state;
    syn_reason reason;
    char *reason_text;
    uint32_t attempt; /* from 1 */
    uint32_t n_ranks;
    int32_t priority;
    uint32_t restarts_allowed, restarts_used;
    double time_limit_s;                        /* 0: none */
    int64_t submitted_ns, started_ns, ended_ns; /* 0: not yet */
    int64_t attempt_started_ns;
    uint64_t epoch;        /* of the last launch; 0: none yet */
    uint64_t version;      /* grows with every change */
    char *placement;       /* "local" or a pool's id; NULL: none yet */
    char *members;         /* pool ranks of job ranks 0.., "4,5,6"; NULL on this machine */
    char *resume_from;     /* asked for at submission */
    char *checkpoint_path; /* the newest announced one */
    uint64_t checkpoint_step;
    bool has_checkpoint;
    uint64_t last_failed_step; /* crash loop: so many attempts in a row ended at this step */
    uint32_t n_failed_there;
    syn_job_progress progress;
    syn_job_failure failure;
    char *weights_sha256;
    uint64_t steps;
    double elapsed_s, samples_per_s, hidden_ms, exposed_ms;
    syn_job_metric *metrics; /* (n_metrics), owned; a table of its own in the store */
    size_t n_metrics;
} syn_job_record;

typedef enum syn_column_kind {
    SYN_COLUMN_U64,
    SYN_COLUMN_I64,
    SYN_COLUMN_U32,
    SYN_COLUMN_I32, /* enums too */
    SYN_COLUMN_BOOL,
    SYN_COLUMN_F64,
    SYN_COLUMN_TEXT,
} syn_column_kind;

/* Column 0 is the key `number`. */
typedef struct syn_record_column {
    const char *name;
    syn_column_kind kind;
    size_t offset; /* into syn_job_record */
} syn_record_column;
extern const syn_record_column syn_record_columns[];
extern const size_t syn_record_n_columns;

/* A deep copy on the heap; NULL when out of memory. */
syn_job_record *syn_job_record_copy(const syn_job_record *record);
/* Empties the record, not its memory. */
void syn_job_record_release(syn_job_record *record);
void syn_job_record_free(syn_job_record *record);
/* Replaces an owned text by a copy of `value` (NULL allowed). On failure the text is NULL and false
 * is returned. */
bool syn_text_set(char **text, const char *value);
/* "" for NULL. */
const char *syn_text_get(const char *text);
/* Replaces what `to` owns by copies; `to` is set. False when out of memory, with some text missing.
 */
bool syn_job_failure_copy(syn_job_failure *to, const syn_job_failure *from);
/* Adds a final metric, or replaces the one of this name. */
bool syn_job_record_set_metric(syn_job_record *record, const char *name, double value);

enum { SYN_JOB_ID_MAX = 24 };
/* "j-000001" into `buffer`, which is returned. */
char *syn_job_id_format(char buffer[SYN_JOB_ID_MAX], uint64_t number);
/* The number of a job id; 0 when it is not one. */
uint64_t syn_job_id_parse(const char *job_id);

#endif
