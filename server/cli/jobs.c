/* `syncline list`, `cancel`, `wait` and `nodes`. */
#include "server/cli/cli.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct argp_option client_options[] = {SYN_CLI_CLIENT_OPTIONS, {0}};

static error_t parse_client(int key, char *argument, struct argp_state *state)
{
    return syn_cli_client_parse(key, argument, state->input);
}

/* ---- list ---- */

struct list {
    syn_cli_client client;
    Syncline__V1__JobState states[16];
    size_t n_states;
    uint32_t limit;
};

static const struct argp_option list_options[] = {
    {"state", 's', "STATE", 0,
     "only jobs in this state (queued, running, failed, ...); may be given again", 1},
    {"limit", 'l', "N", 0, "at most so many (default 1000)", 1},
    SYN_CLI_CLIENT_OPTIONS,
    {0},
};

static error_t parse_list(int key, char *argument, struct argp_state *state)
{
    struct list *list = state->input;
    const ProtobufCEnumDescriptor *states = &syncline__v1__job_state__descriptor;

    switch (key) {
    case 's':
        for (unsigned i = 1; i < states->n_values; i++)
            if (strcasecmp(states->values[i].name + strlen("JOB_STATE_"), argument) == 0 &&
                list->n_states < 16) {
                list->states[list->n_states++] = (Syncline__V1__JobState)states->values[i].value;
                return 0;
            }
        argp_error(state, "--state %s: there is no such state", argument);
        return EINVAL;
    case 'l':
        list->limit = (uint32_t)syn_cli_integer(state, "--limit", argument, 1, 1000000);
        return 0;
    default:
        return syn_cli_client_parse(key, argument, &list->client);
    }
}

static void print_list(const Syncline__V1__ListJobsResponse *response)
{
    (void)printf("%-10s %-20s %-10s %-15s %5s %11s %9s %10s %s\n", "ID", "NAME", "STATE", "REASON",
                 "RANKS", "STEP", "LOSS", "ELAPSED", "ETA");
    for (size_t i = 0; i < response->n_jobs; i++) {
        const Syncline__V1__Job *job = response->jobs[i];
        const Syncline__V1__Progress *p = job->progress;
        char step[64] = "", loss[32] = "", elapsed[32] = "", eta[32] = "";
        char *name = syn_cli_bytes_text(&job->name);
        int64_t end = job->ended_ns ? job->ended_ns : syn_clock_wall_ns();

        if (p && p->total_steps)
            (void)snprintf(step, sizeof step, "%llu/%llu", (unsigned long long)p->step,
                           (unsigned long long)p->total_steps);
        if (p && p->has_loss)
            (void)snprintf(loss, sizeof loss, "%.4f", p->train_loss);
        if (job->started_ns)
            (void)syn_format_duration(elapsed, (double)(end - job->started_ns) * 1e-9);
        if (p && p->eta_s >= 0 && job->state == SYNCLINE__V1__JOB_STATE__JOB_STATE_RUNNING)
            (void)syn_format_duration(eta, p->eta_s);
        (void)printf("%-10s %-20.20s %-10s %-15s %5u %11s %9s %10s %s\n", job->job_id,
                     name ? name : "", syn_cli_state_name(job->state),
                     syn_cli_reason_name(job->reason), job->n_ranks, step, loss, elapsed, eta);
        syn_free(name);
    }
    if (response->has_more)
        (void)printf("(more: --limit N)\n");
}

int syn_cli_list(int argc, char **argv)
{
    static const syn_cli_verb verb = {
        .doc = "Lists jobs, the newest first.", .options = list_options, .parse = parse_list};
    struct list list = {0};
    Syncline__V1__ListJobsRequest request = SYNCLINE__V1__LIST_JOBS_REQUEST__INIT;
    ProtobufCMessage *message = NULL;

    syn_cli_parse(&verb, argc, argv, &list, NULL, NULL);
    request.states = list.states;
    request.n_states = list.n_states;
    request.limit = list.limit;
    syn_status status = syn_cli_connect(&list.client);
    if (status == SYN_OK)
        status = syn_rpc_blocking_call(list.client.rpc, &syn_rpc_jobs_list_jobs, &request.base,
                                       30000, &message);
    if (status == SYN_OK && list.client.json) {
        const Syncline__V1__ListJobsResponse *response = (const void *)message;
        json_t *jobs = json_array();
        for (size_t i = 0; i < response->n_jobs; i++)
            (void)json_array_append_new(jobs, syn_cli_job_json(response->jobs[i]));
        syn_cli_print_json(json_pack("{s:o,s:b}", "jobs", jobs, "has_more", response->has_more));
    } else if (status == SYN_OK) {
        print_list((const void *)message);
    }
    int code = status == SYN_OK ? SYN_EXIT_SUCCEEDED : syn_cli_fail(status);
    syn_wire_free(message);
    syn_rpc_blocking_free(list.client.rpc);
    return code;
}

/* ---- cancel ---- */

int syn_cli_cancel(int argc, char **argv)
{
    static const syn_cli_verb verb = {
        .usage = "ID...",
        .doc = "Cancels jobs: a queued one at once, a running one at its next step.",
        .options = client_options,
        .parse = parse_client,
        .min_words = 1,
        .max_words = 256};
    syn_cli_client client = {0};
    char **ids;
    int n, code = SYN_EXIT_SUCCEEDED;

    syn_cli_parse(&verb, argc, argv, &client, &ids, &n);
    syn_status status = syn_cli_connect(&client);
    if (status != SYN_OK)
        return syn_cli_fail(status);
    for (int i = 0; i < n; i++) {
        Syncline__V1__JobState state;
        status = syn_cli_cancel_job(&client, ids[i], "syncline cancel", &state);
        if (status != SYN_OK)
            code = syn_cli_fail(status);
        else if (client.json)
            syn_cli_print_json(
                json_pack("{s:s,s:s}", "job_id", ids[i], "state", syn_cli_state_name(state)));
        else if (syn_cli_is_terminal(state))
            (void)printf("%s %s\n", ids[i], syn_cli_state_name(state));
    }
    syn_rpc_blocking_free(client.rpc);
    return code;
}

/* ---- wait ---- */

enum { MAX_TIMEOUT_S = 1000000000 };

struct wait {
    syn_cli_client client;
    double timeout_s;
    Syncline__V1__JobState state; /* of the job that is being waited for */
};

static const struct argp_option wait_options[] = {
    {"timeout", 't', "SECONDS", 0, "give up after so long (exit code 7; the jobs go on)", 1},
    SYN_CLI_CLIENT_OPTIONS,
    {0},
};

static error_t parse_wait(int key, char *argument, struct argp_state *state)
{
    struct wait *wait = state->input;
    if (key == 't') {
        if (!syn_parse_f64(argument, &wait->timeout_s) || !(wait->timeout_s > 0) ||
            !(wait->timeout_s <= MAX_TIMEOUT_S))
            argp_error(state, "--timeout %s: a number of seconds above 0, at most %d, is wanted",
                       argument, MAX_TIMEOUT_S);
        return 0;
    }
    return syn_cli_client_parse(key, argument, &wait->client);
}

static void on_wait_record(const Syncline__V1__WatchJobsResponse *record, void *user)
{
    struct wait *wait = user;
    wait->state = record->job->state;
    if (record->is_last && wait->client.json)
        syn_cli_print_json(syn_cli_job_json(record->job));
    else if (record->is_last)
        (void)printf("%s %s\n", record->job->job_id, syn_cli_state_name(record->job->state));
}

int syn_cli_wait(int argc, char **argv)
{
    static const syn_cli_verb verb = {.usage = "ID...",
                                      .doc = "Waits until the jobs have ended. The exit code is "
                                             "that of the first that did not succeed.",
                                      .options = wait_options,
                                      .parse = parse_wait,
                                      .min_words = 1,
                                      .max_words = 256};
    struct wait wait = {0};
    char **ids;
    int n, code = SYN_EXIT_SUCCEEDED;

    syn_cli_parse(&verb, argc, argv, &wait, &ids, &n);
    uint64_t start = syn_clock_monotonic_ns();
    syn_status status = syn_cli_connect(&wait.client);
    for (int i = 0; status == SYN_OK && i < n; i++) {
        syn_cli_watch watch = {.job_id = ids[i],
                               .patience_s = 60,
                               .timeout_s = wait.timeout_s,
                               .start_ns = start,
                               .record = on_wait_record,
                               .user = &wait};
        status = syn_cli_watch_job(&wait.client, &watch);
        if (status == SYN_OK && code == SYN_EXIT_SUCCEEDED)
            code = syn_cli_state_exit_code(wait.state);
    }
    if (status != SYN_OK)
        code = syn_cli_fail(status);
    syn_rpc_blocking_free(wait.client.rpc);
    return code;
}

/* ---- nodes ---- */

static json_t *node_json(const Syncline__V1__Node *node)
{
    json_t *ids = json_array();
    char seen[32];
    for (size_t i = 0; i < node->n_job_ids; i++)
        (void)json_array_append_new(ids, json_string(node->job_ids[i]));
    return json_pack("{s:o,s:s,s:s,s:I,s:I,s:o,s:s,s:s}", "host", syn_cli_bytes_json(&node->host),
                     "kind", node->kind, "pool_id", node->pool_id, "slots", (json_int_t)node->slots,
                     "used", (json_int_t)node->used, "job_ids", ids, "last_seen",
                     syn_clock_format(seen, node->last_seen_ns), "state", node->state);
}

static void print_node(const Syncline__V1__Node *node)
{
    char *host = syn_cli_bytes_text(&node->host);
    (void)printf("%-20s %-6s %-5s %5u %5u  ", host ? host : "", node->kind, node->state,
                 node->slots, node->used);
    for (size_t i = 0; i < node->n_job_ids; i++)
        (void)printf("%s%s", i ? "," : "", node->job_ids[i]);
    (void)printf("%s%s\n", *node->pool_id ? "  " : "", node->pool_id);
    syn_free(host);
}

int syn_cli_nodes(int argc, char **argv)
{
    static const syn_cli_verb verb = {.doc = "Lists the machines and pools that jobs run on.",
                                      .options = client_options,
                                      .parse = parse_client};
    syn_cli_client client = {0};
    Syncline__V1__ListNodesRequest request = SYNCLINE__V1__LIST_NODES_REQUEST__INIT;
    ProtobufCMessage *message = NULL;

    syn_cli_parse(&verb, argc, argv, &client, NULL, NULL);
    syn_status status = syn_cli_connect(&client);
    if (status == SYN_OK)
        status = syn_rpc_blocking_call(client.rpc, &syn_rpc_cluster_list_nodes, &request.base,
                                       30000, &message);
    if (status == SYN_OK) {
        const Syncline__V1__ListNodesResponse *response = (const void *)message;
        json_t *nodes = json_array();
        if (!client.json)
            (void)printf("%-20s %-6s %-5s %5s %5s  %s\n", "HOST", "KIND", "STATE", "SLOTS", "USED",
                         "JOBS");
        for (size_t i = 0; i < response->n_nodes; i++) {
            if (client.json)
                (void)json_array_append_new(nodes, node_json(response->nodes[i]));
            else
                print_node(response->nodes[i]);
        }
        if (client.json)
            syn_cli_print_json(json_pack("{s:O}", "nodes", nodes));
        json_decref(nodes);
    }
    int code = status == SYN_OK ? SYN_EXIT_SUCCEEDED : syn_cli_fail(status);
    syn_wire_free(message);
    syn_rpc_blocking_free(client.rpc);
    return code;
}
