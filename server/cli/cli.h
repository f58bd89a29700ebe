/* What the verbs of the command line share: the table of verbs, exit codes, the connection, output.
 */
#ifndef SERVER_CLI_CLI_H
#define SERVER_CLI_CLI_H

#include "common/rpc/methods.h"
#include "common/rpc/rpc.h"
#include "syncline/v1/cluster.pb-c.h"
#include "syncline/v1/jobs.pb-c.h"

#include <argp.h>
#include <jansson.h>
#include <stdbool.h>
#include <syncline/status.h>

/* Exit codes of every verb. */
#define SYN_EXIT_LIST(X)                                                           \
    X(SUCCEEDED, 0, "the job succeeded, or the command did what it was asked")     \
    X(FAILED, 1, "the job failed, or an error that has no code of its own")        \
    X(USAGE, 2, "wrong usage, a bad job file, or a request that can never be met") \
    X(NOT_FOUND, 3, "no such job")                                                 \
    X(NOT_ALLOWED, 4, "not allowed")                                               \
    X(UNREACHABLE, 5, "the coordinator cannot be reached")                         \
    X(CANCELLED, 6, "the job was cancelled")                                       \
    X(TIMED_OUT, 7, "the job's time limit, or --timeout, was reached")
enum syn_exit {
#define SYN_EXIT_ENUM(name, code, text) SYN_EXIT_##name = (code),
    SYN_EXIT_LIST(SYN_EXIT_ENUM)
#undef SYN_EXIT_ENUM
};

/* X(verb, function suffix, summary). `syncline help` prints it; main dispatches on it. */
#define SYN_VERB_LIST(X)                                                           \
    X("run", run, "run a job on this machine and wait for its end")                \
    X("serve", serve, "run a coordinator that queues, places and watches jobs")    \
    X("submit", submit, "queue a job at a coordinator")                            \
    X("list", list, "list jobs, the newest first")                                 \
    X("show", show, "show one job with its history")                               \
    X("logs", logs, "print the log of a rank, and follow it")                      \
    X("cancel", cancel, "cancel a job")                                            \
    X("wait", wait, "wait for the end of jobs; the exit code says how they ended") \
    X("nodes", nodes, "list the machines and pools that jobs run on")              \
    X("version", version, "print the version")                                     \
    X("help", help, "print this overview, or the options of a verb")
#define SYN_VERB_DECLARE(name, function, summary) int syn_cli_##function(int argc, char **argv);
SYN_VERB_LIST(SYN_VERB_DECLARE)
#undef SYN_VERB_DECLARE

/* Parses the options of a verb with argp: usage errors exit with 2, --help with 0; `options` may be
 * NULL. `words_out` gets the positional words (as many as between min and max, else it is a usage
 * error). */
typedef struct syn_cli_verb {
    const char *usage; /* "FILE" */
    const char *doc;
    const struct argp_option *options;
    error_t (*parse)(int key, char *argument, struct argp_state *state);
    int min_words, max_words;
} syn_cli_verb;
void syn_cli_parse(const syn_cli_verb *verb, int argc, char **argv, void *input, char ***words_out,
                   int *n_words_out);
/* Integer option value within bounds, else a usage error that names option, value and bounds. */
int64_t syn_cli_integer(struct argp_state *state, const char *option, const char *text, int64_t min,
                        int64_t max);

/* The options every verb has that talks to a coordinator. */
typedef struct syn_cli_client {
    const char *address; /* --address, else SYNCLINE_ADDRESS, else 127.0.0.1:7480 */
    bool json;
    syn_rpc_blocking *rpc; /* owned */
} syn_cli_client;
#define SYN_CLI_CLIENT_OPTIONS                                                      \
    {"address",                                                                     \
     'a',                                                                           \
     "ADDRESS",                                                                     \
     0,                                                                             \
     "the coordinator: unix:///PATH or HOST:PORT (default $SYNCLINE_ADDRESS, then " \
     "127.0.0.1:7480)",                                                             \
     90},                                                                           \
    {                                                                               \
        "json", 'j', NULL, 0, "print JSON", 91                                      \
    }
/* ARGP_ERR_UNKNOWN when the key is none of theirs. */
error_t syn_cli_client_parse(int key, char *argument, syn_cli_client *client);
/* Makes the (lazy) connection. */
syn_status syn_cli_connect(syn_cli_client *client);

/* Prints "syncline: SENTENCE" to standard error and returns the exit code for the status. */
int syn_cli_fail(syn_status status);
int syn_cli_exit_code(syn_status status);
int syn_cli_state_exit_code(Syncline__V1__JobState state);

/* ---- shared calls (unary, 30 s) ---- */
syn_status syn_cli_get_job(syn_cli_client *client, const char *job_id,
                           Syncline__V1__GetJobResponse **response_out);
/* `state_out`, the job's state after the call, may be NULL. */
syn_status syn_cli_cancel_job(syn_cli_client *client, const char *job_id, const char *text,
                              Syncline__V1__JobState *state_out);
/* Reads the file and submits it. `job_out` is inside `*response_out`. */
typedef struct syn_cli_submission {
    const char *file;
    char **overrides;
    size_t n_overrides;
    int64_t n_ranks, priority, max_restarts; /* n_ranks 0 and max_restarts -1: the job file's */
    const char *run_dir, *resume;            /* NULL: none */
} syn_cli_submission;
syn_status syn_cli_submit_job(syn_cli_client *client, const syn_cli_submission *submission,
                              Syncline__V1__SubmitJobResponse **response_out);
/* Follows a job to its end (0) or until `*stop` is set; `line` is called for each record.
 * Re-attaches while the coordinator, once it has answered, is away for up to `patience_s`.
 * `*job_out` gets the last known job; the caller frees the response with syn_wire_free. */
typedef void (*syn_cli_record_fn)(const Syncline__V1__WatchJobsResponse *record, void *user);
typedef struct syn_cli_watch {
    const char *job_id;
    uint32_t progress_ms; /* 0: transitions only */
    double patience_s;
    double timeout_s;         /* 0: none */
    uint64_t start_ns;        /* monotonic: since when it counts; 0: since the call */
    void (*tick)(void *user); /* about five times a second, also without records; may be NULL */
    syn_cli_record_fn record;
    void *user;
} syn_cli_watch;
syn_status syn_cli_watch_job(syn_cli_client *client, const syn_cli_watch *watch);

/* ---- rendering ---- */
const char *syn_cli_state_name(Syncline__V1__JobState state); /* "RUNNING" */
const char *syn_cli_reason_name(Syncline__V1__Reason reason); /* "ExitNonZero", "" for none */
const char *syn_cli_phase_name(Syncline__V1__Phase phase);    /* "forward" */
bool syn_cli_is_terminal(Syncline__V1__JobState state);
json_t *syn_cli_job_json(const Syncline__V1__Job *job);
json_t *syn_cli_event_json(const Syncline__V1__Event *event);
/* Text of any bytes, made printable. */
json_t *syn_cli_bytes_json(const ProtobufCBinaryData *bytes);
char *syn_cli_bytes_text(const ProtobufCBinaryData *bytes);
/* Prints and releases one JSON value followed by a newline. */
void syn_cli_print_json(json_t *value);
/* "epoch 2/5  step 812/2000  loss 0.1234  52341 samples/s  ETA 12 s  comm 83 % hidden" into a heap
 * string. */
char *syn_cli_progress_text(const Syncline__V1__Job *job);
/* A line at the bottom of the terminal that is rewritten in place; nothing when standard error is
 * no terminal. */
void syn_cli_status_line(const char *text);
void syn_cli_status_line_clear(void);

/* A random UUID (version 4) as text. */
void syn_cli_uuid(char out[37]);

#endif
