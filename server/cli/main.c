/* The command line `syncline VERB ...`. */
#include "server/cli/cli.h"

#include "common/base/str.h"
#include "server/launch/supervise.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} verbs[] = {
#define ROW(name, function, summary) {name, syn_cli_##function, summary},
    SYN_VERB_LIST(ROW)
#undef ROW
};
enum { N_VERBS = sizeof verbs / sizeof *verbs };

static void print_overview(FILE *out)
{
    (void)fprintf(out,
                  "Usage: syncline VERB [OPTION...] [ARGUMENT...]\n"
                  "Trains neural networks across the processes of an MPI cluster.\n\nVerbs:\n");
    for (int i = 0; i < N_VERBS; i++)
        (void)fprintf(out, "  %-9s %s\n", verbs[i].name, verbs[i].summary);
    (void)fprintf(out, "\n`syncline help VERB` prints a verb's options.\n\nExit codes:\n");
#define ROW(name, code, text) (void)fprintf(out, "  %d  %s\n", code, text);
    SYN_EXIT_LIST(ROW)
#undef ROW
    (void)fprintf(out, "\nEnvironment:\n"
                       "  SYNCLINE_ADDRESS  the coordinator that submit, list, show ... talk to\n"
                       "  SYNCLINE_LOG      debug, info, warn or error (default info)\n"
                       "\nExample:\n  syncline run docs/examples/digits.yaml -n 2\n");
}

static int dispatch(const char *name, int argc, char **argv)
{
    const char *names[N_VERBS];
    char program[64];

    for (int i = 0; i < N_VERBS; i++) {
        names[i] = verbs[i].name;
        if (strcmp(name, verbs[i].name) != 0)
            continue;
        (void)snprintf(program, sizeof program, "syncline %s", name);
        argv[0] = program;
        return verbs[i].run(argc, argv);
    }
    const char *near = syn_suggest(name, names, N_VERBS);
    syn_str text = {0};
    syn_str_append_printable(&text, name, strlen(name));
    (void)fprintf(stderr, "syncline: there is no verb \"%s\"%s%s%s `syncline help` lists them\n",
                  syn_str_get(&text), near ? "; did you mean \"" : "", near ? near : "",
                  near ? "\"?" : ".");
    syn_str_release(&text);
    return SYN_EXIT_USAGE;
}

int syn_cli_help(int argc, char **argv)
{
    static char help_option[] = "--help";
    if (argc < 2) {
        print_overview(stdout);
        return SYN_EXIT_SUCCEEDED;
    }
    char *words[] = {argv[0], help_option, NULL};
    return strcmp(argv[1], "help") == 0 ? (print_overview(stdout), 0) : dispatch(argv[1], 2, words);
}

int syn_cli_version(int argc, char **argv)
{
    bool json = argc > 1 && (strcmp(argv[1], "--json") == 0 || strcmp(argv[1], "-j") == 0);

    if (argc > 1 + (int)json) {
        bool is_asked = strcmp(argv[1], "--help") == 0;
        (void)fprintf(is_asked ? stdout : stderr, "Usage: syncline version [--json]\n");
        return is_asked ? SYN_EXIT_SUCCEEDED : SYN_EXIT_USAGE;
    }
    if (json)
        syn_cli_print_json(json_pack("{s:s}", "version", SYN_VERSION));
    else
        (void)printf("syncline " SYN_VERSION "\n");
    return SYN_EXIT_SUCCEEDED;
}

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        print_overview(stderr);
        return SYN_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_overview(stdout);
        return SYN_EXIT_SUCCEEDED;
    }
    if (strcmp(argv[1], "--version") == 0)
        return syn_cli_version(1, argv);
    if (strcmp(argv[1], SYN_SUPERVISE_VERB) == 0)
        return syn_supervise_main(argc - 1, argv + 1);
    return dispatch(argv[1], argc - 1, argv + 1);
}
