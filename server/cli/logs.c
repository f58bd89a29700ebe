/* `syncline logs`: the bytes of a rank's log, followed to the job's end, resumed by offset when the
 * coordinator was away. */
#include "server/cli/cli.h"

#include "common/base/clock.h"
#include "common/base/mem.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct logs {
    syn_cli_client client;
    const char *job_id;
    int64_t rank; /* -1: the launcher */
    bool follow;
    uint64_t offset;
    Syncline__V1__JobState final_state;
    uint64_t next_progress_ns;
    bool mid_line; /* the last byte printed was no newline: the progress line must wait */
};

static const struct argp_option options[] = {
    {"follow", 'f', NULL, 0, "go on until the job has ended; the exit code says how", 1},
    {"rank", 'r', "R", 0, "of this rank (default 0)", 1},
    {"launcher", 'l', NULL, 0, "what mpirun itself printed", 1},
    SYN_CLI_CLIENT_OPTIONS,
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct logs *logs = state->input;
    switch (key) {
    case 'f':
        logs->follow = true;
        return 0;
    case 'r':
        logs->rank = syn_cli_integer(state, "--rank", argument, 0, 1000000);
        return 0;
    case 'l':
        logs->rank = -1;
        return 0;
    default:
        return syn_cli_client_parse(key, argument, &logs->client);
    }
}

/* A progress line under the log, only when both ends are a terminal, about twice a second. */
static void show_progress(struct logs *logs)
{
    Syncline__V1__GetJobResponse *response;
    uint64_t now = syn_clock_monotonic_ns();

    if (!isatty(STDOUT_FILENO) || !isatty(STDERR_FILENO) || logs->mid_line ||
        now < logs->next_progress_ns)
        return;
    logs->next_progress_ns = now + 500000000;
    if (syn_cli_get_job(&logs->client, logs->job_id, &response) != SYN_OK)
        return;
    char *text = syn_cli_progress_text(response->job);
    syn_cli_status_line(text);
    syn_free(text);
    syn_wire_free(&response->base);
}

static void print_data(struct logs *logs, const ProtobufCBinaryData *data)
{
    if (data->len == 0)
        return;
    syn_cli_status_line_clear();
    if (logs->client.json)
        syn_cli_print_json(json_pack("{s:I,s:o}", "offset", (json_int_t)logs->offset, "text",
                                     syn_cli_bytes_json(data)));
    else
        (void)fwrite(data->data, 1, data->len, stdout);
    (void)fflush(stdout);
    logs->mid_line = data->data[data->len - 1] != '\n';
}

static syn_status tail_once(struct logs *logs, bool *is_last)
{
    Syncline__V1__TailLogsRequest request = SYNCLINE__V1__TAIL_LOGS_REQUEST__INIT;
    syn_rpc_blocking_stream *stream = NULL;
    syn_status status;

    request.job_id = (char *)(uintptr_t)logs->job_id;
    request.offset = logs->offset;
    request.follow = logs->follow;
    if (logs->rank < 0) {
        request.source_case = SYNCLINE__V1__TAIL_LOGS_REQUEST__SOURCE_LAUNCHER;
        request.launcher = 1;
    } else {
        request.source_case = SYNCLINE__V1__TAIL_LOGS_REQUEST__SOURCE_RANK;
        request.rank = (uint32_t)logs->rank;
    }
    SYN_GOTO(syn_rpc_blocking_open(logs->client.rpc, &syn_rpc_jobs_tail_logs, &request.base, 0,
                                   &stream));
    for (bool is_end = false; !is_end && !*is_last;) {
        ProtobufCMessage *message = NULL;
        SYN_GOTO(syn_rpc_blocking_next(stream, 200, &message, &is_end));
        if (message) {
            const Syncline__V1__TailLogsResponse *part = (const void *)message;
            logs->offset = part->offset;
            print_data(logs, &part->data);
            logs->offset += part->data.len;
            logs->final_state = part->final_state;
            *is_last = part->is_last;
            syn_wire_free(message);
        }
        if (logs->follow && !*is_last)
            show_progress(logs);
    }
out:
    syn_rpc_blocking_close(stream);
    return status;
}

/* Why nothing was printed: the job waits, or it never came so far. */
static void explain_empty(struct logs *logs)
{
    Syncline__V1__GetJobResponse *response;
    if (syn_cli_get_job(&logs->client, logs->job_id, &response) != SYN_OK)
        return;
    const Syncline__V1__Job *job = response->job;
    char *reason = syn_cli_bytes_text(&job->reason_text);
    bool has_reason = reason && *reason;
    (void)fprintf(stderr, "syncline: this log of job %s is empty; the job is %s%s%s\n", job->job_id,
                  syn_cli_state_name(job->state), has_reason ? ": " : "", has_reason ? reason : "");
    syn_free(reason);
    syn_wire_free(&response->base);
}

/* A wrong address fails here, at once: patience is for a coordinator that is started again. */
static syn_status check_job(struct logs *logs)
{
    Syncline__V1__GetJobResponse *response;
    SYN_TRY(syn_cli_get_job(&logs->client, logs->job_id, &response));
    syn_wire_free(&response->base);
    return SYN_OK;
}

int syn_cli_logs(int argc, char **argv)
{
    static const syn_cli_verb verb = {.usage = "ID",
                                      .doc = "Prints the log of one rank of a job. With --json, "
                                             "an object for each piece of it, with its offset.",
                                      .options = options,
                                      .parse = parse,
                                      .min_words = 1,
                                      .max_words = 1};
    struct logs logs = {0};
    char **words;
    bool is_last = false;
    uint64_t away_since = 0;

    syn_cli_parse(&verb, argc, argv, &logs, &words, NULL);
    logs.job_id = words[0];
    syn_status status = syn_cli_connect(&logs.client);
    if (status == SYN_OK && logs.follow)
        status = check_job(&logs);
    while (status == SYN_OK && !is_last) {
        uint64_t before = logs.offset;
        status = tail_once(&logs, &is_last);
        if (!logs.follow)
            break;
        /* Only an explicit last record ends a followed log: anything else is an interruption. */
        if (is_last || (status != SYN_OK && status != SYN_UNAVAILABLE))
            break;
        uint64_t now = syn_clock_monotonic_ns();
        if (!away_since || logs.offset != before)
            away_since = now;
        if (now - away_since > 60000000000ull)
            break;
        status = SYN_OK;
        syn_clock_sleep_ns(200000000);
    }
    if (logs.follow && status == SYN_OK && !is_last)
        status = SYN_FAIL(SYN_UNAVAILABLE, "the coordinator at %s was away for more than 60 s",
                          logs.client.address);
    syn_cli_status_line_clear();
    if (status == SYN_OK && logs.offset == 0)
        explain_empty(&logs);
    int code = status != SYN_OK ? syn_cli_fail(status)
               : logs.follow && syn_cli_is_terminal(logs.final_state)
                   ? syn_cli_state_exit_code(logs.final_state)
                   : SYN_EXIT_SUCCEEDED;
    syn_rpc_blocking_free(logs.client.rpc);
    return code;
}
