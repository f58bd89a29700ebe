/* What mpirun's own report says about the rank that failed. */
#include "server/launch/supervise.h"

#include "common/base/str.h"

#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Copies the report into one line: mpirun breaks its sentences at any blank. */
static char *one_line(const char *text)
{
    syn_str line = {0}, safe = {0};
    bool blank = true;
    syn_str_append_printable(&safe, text, strlen(text));
    for (const char *p = syn_str_get(&safe); *p; p++) {
        bool is_blank = isspace((unsigned char)*p) != 0;
        if (!is_blank)
            syn_str_append_n(&line, p, 1);
        else if (!blank)
            syn_str_append(&line, " ");
        blank = is_blank;
    }
    syn_str_release(&safe);
    return syn_str_take(&line);
}

/* "mpirun noticed that process rank 1 with PID 4711 on node n3 exited on signal 9 (Killed)." */
static bool parse_signal(const char *line, syn_launch_exit *exit_out)
{
    const char *p = strstr(line, "noticed that process rank ");
    unsigned rank;
    int signal;
    char host[256];

    if (!p ||
        sscanf(p, "noticed that process rank %u with PID %*u on node %255s exited on signal %d",
               &rank, host, &signal) != 3)
        return false;
    exit_out->rank_known = true;
    exit_out->rank = rank;
    exit_out->signal = signal;
    (void)snprintf(exit_out->host, sizeof exit_out->host, "%s", host);
    (void)snprintf(exit_out->message, sizeof exit_out->message,
                   "rank %u on %s was killed by signal %d (%s)", rank, host, signal,
                   strsignal(signal));
    return true;
}

/* "... exited with non-zero status ... Process name: [[51461,1],1] Exit code: 3" */
static bool parse_exit_code(const char *line, syn_launch_exit *exit_out)
{
    const char *p = strstr(line, "Process name: [[");
    unsigned rank;
    int code;

    if (!p || sscanf(p, "Process name: [[%*u,%*u],%u] Exit code: %d", &rank, &code) != 2)
        return false;
    exit_out->rank_known = true;
    exit_out->rank = rank;
    (void)snprintf(exit_out->message, sizeof exit_out->message, "rank %u ended with exit code %d",
                   rank, code);
    return true;
}

/* mpirun could not start the ranks at all. */
static bool parse_launch_failure(const char *line, syn_launch_exit *exit_out)
{
    static const char *const starts[] = {
        "There are not enough slots available",
        "mpirun was unable to launch the specified application",
        "mpirun was unable to find the specified executable file",
        "ORTE has lost communication with a remote daemon",
        "ORTE was unable to reliably start one or more daemons",
        "mpirun has detected an attempt to run as root",
    };
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        const char *p = strstr(line, starts[i]);
        if (!p)
            continue;
        size_t n = strcspn(p, ".");
        (void)snprintf(exit_out->message, sizeof exit_out->message, "%.*s",
                       (int)(n < 400 ? n : 400), p);
        return true;
    }
    return false;
}

void syn_launch_parse_report(const char *text, syn_launch_exit *exit_out)
{
    char *line = one_line(text);

    if (!line)
        return;
    if (!parse_signal(line, exit_out) && !parse_exit_code(line, exit_out))
        (void)parse_launch_failure(line, exit_out);
    free(line);
}
