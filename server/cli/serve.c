/* `syncline serve`: the coordinator in the foreground. */
#include "server/cli/cli.h"

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "server/coordinator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct argp_option options[] = {
    {"state-dir", 'd', "DIR", 0,
     "where jobs and runs are kept (default $XDG_STATE_HOME/syncline or ~/.local/state/syncline)",
     1},
    {"listen", 'l', "ADDRESS", 0, "unix:///PATH or HOST:PORT for gRPC (default 127.0.0.1:7480)", 1},
    {"http", 'w', "HOST:PORT", 0,
     "for browsers and Prometheus (default 127.0.0.1:7481; \"none\" switches it off)", 1},
    {"slots", 'n', "N", 0,
     "ranks that jobs may use at once on this machine (default: its cores; 0: only pools)", 2},
    {"json", 'j', NULL, 0, "print one JSON object with the bound addresses when ready", 3},
    {0},
};

struct serve {
    syn_coordinator_options options;
    bool json, has_http;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct serve *serve = state->input;
    switch (key) {
    case 'd':
        serve->options.state_dir = argument;
        return 0;
    case 'l':
        serve->options.listen = argument;
        return 0;
    case 'w':
        serve->has_http = true;
        serve->options.http_listen = strcmp(argument, "none") == 0 ? NULL : argument;
        return 0;
    case 'n':
        serve->options.slots = syn_cli_integer(state, "--slots", argument, 0, 100000);
        if (serve->options.slots == 0)
            serve->options.slots = -1;
        return 0;
    case 'j':
        serve->json = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static char *default_state_dir(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    syn_str path = {0};
    if (state && state[0] == '/')
        syn_str_appendf(&path, "%s/syncline", state);
    else
        syn_str_appendf(&path, "%s/.local/state/syncline", home ? home : ".");
    return syn_str_take(&path);
}

static void on_ready(void *user, const char *grpc_address, const char *http_address)
{
    const struct serve *serve = user;
    if (serve->json) {
        syn_cli_print_json(json_pack("{s:s,s:s*,s:s}", "address", grpc_address, "http",
                                     http_address, "state_dir", serve->options.state_dir));
    } else {
        (void)printf("serving %s", grpc_address);
        if (http_address)
            (void)printf(", http://%s", http_address);
        (void)printf(", state in %s\n", serve->options.state_dir);
    }
    (void)fflush(stdout);
}

int syn_cli_serve(int argc, char **argv)
{
    static const syn_cli_verb verb = {.doc =
                                          "Runs the coordinator until SIGTERM or Ctrl-C. Jobs that "
                                          "run go on without it and are taken up again by the next "
                                          "one with the same --state-dir.",
                                      .options = options,
                                      .parse = parse};
    struct serve serve = {.options = {.stop_fd = -1, .on_ready = on_ready}};
    char *folder = default_state_dir();

    syn_cli_parse(&verb, argc, argv, &serve, NULL, NULL);
    serve.options.user = &serve;
    if (!serve.options.state_dir)
        serve.options.state_dir = folder;
    if (!serve.options.listen)
        serve.options.listen = "127.0.0.1:7480";
    if (!serve.has_http)
        serve.options.http_listen = "127.0.0.1:7481";
    syn_status status = syn_coordinator_run(&serve.options);
    syn_free(folder);
    if (status == SYN_OK)
        return SYN_EXIT_SUCCEEDED;
    (void)syn_cli_fail(status);
    return status == SYN_INVALID_ARGUMENT ? SYN_EXIT_USAGE : SYN_EXIT_FAILED;
}
