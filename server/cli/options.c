/* Option parsing, exit codes and the connection of the verbs. */
#include "server/cli/cli.h"

#include "common/base/mem.h"
#include "common/base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct parse_state {
    const syn_cli_verb *verb;
    void *input;
    char **words;
    int n_words;
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct parse_state *parse = state->input;

    switch (key) {
    case ARGP_KEY_ARG:
        if (parse->n_words >= parse->verb->max_words)
            argp_error(state, "unexpected \"%s\"", argument);
        parse->words[parse->n_words++] = argument;
        return 0;
    case ARGP_KEY_END:
        if (parse->n_words < parse->verb->min_words)
            argp_error(state, "%s is missing", parse->verb->usage);
        return 0;
    default:
        if (!parse->verb->parse)
            return ARGP_ERR_UNKNOWN;
        state->input = parse->input;
        error_t error = parse->verb->parse(key, argument, state);
        state->input = parse;
        return error;
    }
}

void syn_cli_parse(const syn_cli_verb *verb, int argc, char **argv, void *input, char ***words_out,
                   int *n_words_out)
{
    static char *words[256]; /* one verb is parsed per process */
    struct parse_state parse = {.verb = verb, .input = input, .words = words};
    struct argp argp = {.options = verb->options,
                        .parser = parse_option,
                        .args_doc = verb->usage,
                        .doc = verb->doc};

    argp_err_exit_status = SYN_EXIT_USAGE;
    (void)argp_parse(&argp, argc, argv, 0, NULL, &parse);
    if (words_out)
        *words_out = words;
    if (n_words_out)
        *n_words_out = parse.n_words;
}

int64_t syn_cli_integer(struct argp_state *state, const char *option, const char *text, int64_t min,
                        int64_t max)
{
    int64_t value;
    if (!syn_parse_i64(text, &value) || value < min || value > max) {
        argp_error(state, "%s %s: a whole number from %lld to %lld is wanted", option, text,
                   (long long)min, (long long)max);
        exit(SYN_EXIT_USAGE);
    }
    return value;
}

error_t syn_cli_client_parse(int key, char *argument, syn_cli_client *client)
{
    switch (key) {
    case 'a':
        client->address = argument;
        return 0;
    case 'j':
        client->json = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

syn_status syn_cli_connect(syn_cli_client *client)
{
    if (!client->address)
        client->address = getenv("SYNCLINE_ADDRESS");
    if (!client->address || !*client->address)
        client->address = "127.0.0.1:7480";
    return syn_rpc_blocking_new(client->address, &client->rpc);
}

int syn_cli_exit_code(syn_status status)
{
    switch (status) {
    case SYN_OK:
        return SYN_EXIT_SUCCEEDED;
    case SYN_INVALID_ARGUMENT:
    case SYN_FAILED_PRECONDITION:
    case SYN_ALREADY_EXISTS:
    case SYN_OUT_OF_RANGE:
        return SYN_EXIT_USAGE;
    case SYN_NOT_FOUND:
        return SYN_EXIT_NOT_FOUND;
    case SYN_PERMISSION_DENIED:
    case SYN_UNAUTHENTICATED:
        return SYN_EXIT_NOT_ALLOWED;
    case SYN_UNAVAILABLE:
        return SYN_EXIT_UNREACHABLE;
    case SYN_CANCELLED:
        return SYN_EXIT_CANCELLED;
    case SYN_DEADLINE_EXCEEDED:
        return SYN_EXIT_TIMED_OUT;
    case SYN_UNKNOWN:
    case SYN_RESOURCE_EXHAUSTED:
    case SYN_ABORTED:
    case SYN_UNIMPLEMENTED:
    case SYN_INTERNAL:
    case SYN_DATA_LOSS:
        break;
    }
    return SYN_EXIT_FAILED;
}

int syn_cli_fail(syn_status status)
{
    syn_cli_status_line_clear();
    syn_str text = {0};
    const char *message = syn_error_message();
    syn_str_append_printable(&text, message, strlen(message));
    (void)fprintf(stderr, "syncline: %s\n",
                  *message ? syn_str_get(&text) : syn_status_text(status));
    syn_str_release(&text);
    return syn_cli_exit_code(status);
}

int syn_cli_state_exit_code(Syncline__V1__JobState state)
{
    switch (state) {
    case SYNCLINE__V1__JOB_STATE__JOB_STATE_SUCCEEDED:
        return SYN_EXIT_SUCCEEDED;
    case SYNCLINE__V1__JOB_STATE__JOB_STATE_CANCELLED:
        return SYN_EXIT_CANCELLED;
    case SYNCLINE__V1__JOB_STATE__JOB_STATE_TIMED_OUT:
        return SYN_EXIT_TIMED_OUT;
    default:
        return SYN_EXIT_FAILED;
    }
}

void syn_cli_uuid(char out[37])
{
    unsigned char b[16];
    SYN_BUG_ON(getrandom(b, sizeof b, 0) != sizeof b);
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    (void)snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                   b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12],
                   b[13], b[14], b[15]);
}
