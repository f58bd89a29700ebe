/* `syncline submit`: queue a job, or print it complete with --dry-run. */
#include "server/cli/cli.h"

#include "common/base/mem.h"
#include "common/base/vec.h"
#include "common/format/job_spec.h"

#include <stdio.h>

struct submit {
    syn_cli_client client;
    syn_cli_submission submission;
    SYN_VEC(char *) overrides;
    bool dry_run;
};

static const struct argp_option options[] = {
    {"ranks", 'n', "N", 0, "number of ranks (default: the job file's `ranks`)", 1},
    {"set", 's', "KEY=VALUE", 0, "override a key of the job file (may be given often)", 1},
    {"priority", 'p', "N", 0, "higher starts first (default 0)", 2},
    {"run-dir", 'd', "DIR", 0, "where the run's files go (default: chosen by the coordinator)", 2},
    {"resume", 'r', "DIR", 0, "start from this run's or checkpoint's state", 2},
    {"restarts", 'R', "N", 0, "relaunches after a lost rank or host (default: the job file's)", 2},
    {"dry-run", 'y', NULL, 0, "print the complete job with all defaults; submit nothing", 3},
    SYN_CLI_CLIENT_OPTIONS,
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct submit *submit = state->input;
    switch (key) {
    case 'n':
        submit->submission.n_ranks = syn_cli_integer(state, "-n", argument, 1, 1000000);
        return 0;
    case 's':
        return syn_vec_push(&submit->overrides, argument) ? 0 : ENOMEM;
    case 'p':
        submit->submission.priority =
            syn_cli_integer(state, "--priority", argument, -1000000, 1000000);
        return 0;
    case 'd':
        submit->submission.run_dir = argument;
        return 0;
    case 'r':
        submit->submission.resume = argument;
        return 0;
    case 'R':
        submit->submission.max_restarts = syn_cli_integer(state, "--restarts", argument, 0, 1000);
        return 0;
    case 'y':
        submit->dry_run = true;
        return 0;
    default:
        return syn_cli_client_parse(key, argument, &submit->client);
    }
}

static int print_complete(const struct submit *submit)
{
    syn_job_spec spec;
    syn_status status =
        syn_job_spec_load(submit->submission.file, (const char *const *)submit->overrides.items,
                          submit->overrides.n, &spec);
    if (status != SYN_OK) {
        (void)syn_cli_fail(status);
        return SYN_EXIT_USAGE;
    }
    if (submit->submission.n_ranks > 0)
        spec.ranks = submit->submission.n_ranks;
    char *text = submit->client.json ? syn_job_spec_to_json(&spec) : syn_job_spec_to_yaml(&spec);
    syn_job_spec_release(&spec);
    if (!text)
        return syn_cli_fail(syn_fail_memory(4096, "the job's text"));
    (void)puts(text);
    syn_free(text);
    return SYN_EXIT_SUCCEEDED;
}

static int submit_job(struct submit *submit)
{
    Syncline__V1__SubmitJobResponse *response = NULL;
    syn_status status = syn_cli_connect(&submit->client);

    submit->submission.overrides = submit->overrides.items;
    submit->submission.n_overrides = submit->overrides.n;
    if (status == SYN_OK)
        status = syn_cli_submit_job(&submit->client, &submit->submission, &response);
    if (status != SYN_OK) {
        int code = syn_cli_fail(status);
        syn_rpc_blocking_free(submit->client.rpc);
        /* A job file that cannot be read is a mistake of usage, as one that cannot be parsed is. */
        return status == SYN_NOT_FOUND || status == SYN_PERMISSION_DENIED ? SYN_EXIT_USAGE : code;
    }
    if (submit->client.json)
        syn_cli_print_json(syn_cli_job_json(response->job));
    else
        (void)printf("%s\n", response->job->job_id);
    syn_wire_free(&response->base);
    syn_rpc_blocking_free(submit->client.rpc);
    return SYN_EXIT_SUCCEEDED;
}

int syn_cli_submit(int argc, char **argv)
{
    static const syn_cli_verb verb = {
        .usage = "FILE",
        .doc = "Queues the job that FILE (YAML or JSON) describes and prints its id.\v"
               "Example: syncline submit docs/examples/mnist-mlp.yaml -n 2 --set "
               "data.path=/data/mnist",
        .options = options,
        .parse = parse,
        .min_words = 1,
        .max_words = 1,
    };
    struct submit submit = {.submission.max_restarts = -1};
    char **words;

    syn_cli_parse(&verb, argc, argv, &submit, &words, NULL);
    submit.submission.file = words[0];
    int code = submit.dry_run ? print_complete(&submit) : submit_job(&submit);
    syn_vec_release(&submit.overrides);
    return code;
}
