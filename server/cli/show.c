/* `syncline show`: one job, its first failure, its ranks and its history. */
#include "server/cli/cli.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#include <stdio.h>

static void print_bytes(const char *label, const ProtobufCBinaryData *bytes)
{
    char *text = syn_cli_bytes_text(bytes);
    if (text && *text)
        (void)printf("%-14s %s\n", label, text);
    syn_free(text);
}

static void print_failure(const Syncline__V1__Failure *failure)
{
    char *host = syn_cli_bytes_text(&failure->host);
    char *message = syn_cli_bytes_text(&failure->message);

    (void)printf("%-14s ", "first failure");
    if (failure->rank_known)
        (void)printf("rank %u%s%s, ", failure->rank, host && *host ? " on " : "", host ? host : "");
    if (failure->signal)
        (void)printf("signal %u, ", failure->signal);
    (void)printf("attempt %u, step %llu, %s: %s\n", failure->attempt,
                 (unsigned long long)failure->step, syn_cli_phase_name(failure->phase),
                 message ? message : "");
    syn_free(host);
    syn_free(message);
}

static void print_job(const Syncline__V1__GetJobResponse *response)
{
    const Syncline__V1__Job *job = response->job;
    char time[32], *progress = syn_cli_progress_text(job);

    (void)printf("%-14s %s\n", "job", job->job_id);
    print_bytes("name", &job->name);
    (void)printf("%-14s %s%s%s\n", "state", syn_cli_state_name(job->state), job->reason ? "  " : "",
                 syn_cli_reason_name(job->reason));
    print_bytes("reason", &job->reason_text);
    (void)printf("%-14s %u, attempt %u, priority %d\n", "ranks", job->n_ranks, job->attempt,
                 job->priority);
    if (progress && job->progress && job->progress->step)
        (void)printf("%-14s %s\n", "progress", progress);
    syn_free(progress);
    print_bytes("run directory", &job->run_dir);
    for (size_t i = 0; i < job->n_metrics; i++)
        (void)printf("%-14s %.6g\n", job->metrics[i]->name, job->metrics[i]->value);
    if (job->weights_sha256 && *job->weights_sha256)
        (void)printf("%-14s %s\n", "weights", job->weights_sha256);
    if (job->first_failure)
        print_failure(job->first_failure);
    for (size_t i = 0; i < job->n_rank_statuses; i++) {
        const Syncline__V1__RankStatus *rank = job->rank_statuses[i];
        char *host = syn_cli_bytes_text(&rank->host), bytes[32];
        (void)printf("  rank %-4u %s pid %llu  step %llu  %s  collective %llu  %s\n", rank->rank,
                     host ? host : "", (unsigned long long)rank->pid,
                     (unsigned long long)rank->step, syn_cli_phase_name(rank->phase),
                     (unsigned long long)rank->collective,
                     syn_format_bytes(bytes, rank->resident_bytes));
        syn_free(host);
    }
    for (size_t i = 0; i < response->n_events; i++) {
        const Syncline__V1__Event *event = response->events[i];
        char *text = syn_cli_bytes_text(&event->text);
        bool has_text = text && *text;
        (void)printf("  %s  %s%s%s%s%s\n", syn_clock_format(time, event->time_ns),
                     syn_cli_state_name(event->to), event->reason ? " " : "",
                     syn_cli_reason_name(event->reason), has_text ? "  " : "",
                     has_text ? text : "");
        syn_free(text);
    }
}

static const struct argp_option options[] = {SYN_CLI_CLIENT_OPTIONS, {0}};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    return syn_cli_client_parse(key, argument, state->input);
}

int syn_cli_show(int argc, char **argv)
{
    static const syn_cli_verb verb = {
        .usage = "ID",
        .doc = "Shows one job with its ranks, first failure and history.",
        .options = options,
        .parse = parse,
        .min_words = 1,
        .max_words = 1};
    syn_cli_client client = {0};
    Syncline__V1__GetJobResponse *response = NULL;
    char **words;
    int code = SYN_EXIT_SUCCEEDED;

    syn_cli_parse(&verb, argc, argv, &client, &words, NULL);
    syn_status status = syn_cli_connect(&client);
    if (status == SYN_OK)
        status = syn_cli_get_job(&client, words[0], &response);
    if (status != SYN_OK) {
        code = syn_cli_fail(status);
    } else if (client.json) {
        json_t *job = syn_cli_job_json(response->job), *events = json_array();
        for (size_t i = 0; i < response->n_events; i++)
            (void)json_array_append_new(events, syn_cli_event_json(response->events[i]));
        (void)json_object_set_new(job, "events", events);
        syn_cli_print_json(job);
    } else {
        print_job(response);
    }
    if (response)
        syn_wire_free(&response->base);
    syn_rpc_blocking_free(client.rpc);
    return code;
}
