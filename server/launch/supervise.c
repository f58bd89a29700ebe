/* The supervisor runs mpirun, forwards signals, leaves no process behind and writes exit.json. */
#include "server/launch/supervise.h"

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "server/launch/process.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REPORT_BYTES = 256 * 1024, TERM_GRACE_S = 5 };

static volatile sig_atomic_t stop_requested;

static void on_stop(int signal)
{
    (void)signal;
    stop_requested = 1;
}

static syn_status write_json(const char *folder, const char *name, json_t *object)
{
    syn_status status;
    char *path = syn_path_join(folder, name);
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;

    if (!path || !text)
        status = syn_fail_memory(256, name);
    else
        status = syn_file_write_atomic(path, text, strlen(text));
    json_decref(object);
    free(text);
    syn_free(path);
    return status;
}

/* The end of the log: the report of mpirun is the last thing in it. */
static char *read_tail(const char *path)
{
    char *text = syn_calloc(1, REPORT_BYTES + 1);
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (text && fd >= 0) {
        off_t size = lseek(fd, 0, SEEK_END);
        ssize_t n = pread(fd, text, REPORT_BYTES, size > REPORT_BYTES ? size - REPORT_BYTES : 0);
        for (ssize_t i = 0; i < n; i++)
            if (text[i] == '\0')
                text[i] = ' ';
    }
    if (fd >= 0)
        (void)close(fd);
    return text;
}

static pid_t start_child(char **command, const char *log_path)
{
    pid_t parent = getpid(), child = fork();

    if (child != 0)
        return child;
    /* mpirun must not outlive its supervisor. It gets a group of its own, so that a Ctrl-C at the
     * terminal is ours to handle. */
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(127);
    (void)setpgid(0, 0);
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)execvp(command[0], command);
    (void)fprintf(stderr, "cannot run %s: %s (log %s)\n", command[0], strerror(errno), log_path);
    _exit(127);
}

/* Waits for `child`; on a stop request SIGTERM, after the grace SIGKILL for everything of the
 * session. */
static int wait_for(pid_t child)
{
    uint64_t stop_ns = 0;
    int wait_status = 0;

    for (;;) {
        pid_t pid = waitpid(-1, &wait_status, WNOHANG);
        if (pid == child)
            return wait_status;
        if (pid > 0)
            continue;
        if (stop_requested && !stop_ns) {
            stop_ns = syn_clock_monotonic_ns();
            (void)kill(child, SIGTERM);
        } else if (stop_ns && syn_clock_monotonic_ns() - stop_ns > TERM_GRACE_S * 1000000000ull) {
            (void)syn_process_signal_session(getpid(), SIGKILL, getpid());
            stop_ns = syn_clock_monotonic_ns();
        }
        syn_clock_sleep_ns(20000000);
    }
}

static syn_status record_end(const char *folder, const char *log_path, int wait_status)
{
    syn_launch_exit end = {0};
    char *report = read_tail(log_path);

    if (WIFSIGNALED(wait_status)) {
        end.exit_code = 128 + WTERMSIG(wait_status);
        end.signal = WTERMSIG(wait_status);
        (void)snprintf(end.message, sizeof end.message, "mpirun was killed by signal %d (%s)",
                       end.signal, strsignal(end.signal));
    } else {
        end.exit_code = WEXITSTATUS(wait_status);
    }
    if (report && end.exit_code != 0)
        syn_launch_parse_report(report, &end);
    syn_free(report);
    return write_json(folder, "exit.json",
                      json_pack("{s:i,s:i,s:b,s:i,s:s%,s:s%,s:I}", "exit_code", end.exit_code,
                                "signal", end.signal, "rank_known", (int)end.rank_known, "rank",
                                (int)end.rank, "host", end.host, strlen(end.host), "message",
                                end.message, strlen(end.message), "ended_ns",
                                (json_int_t)syn_clock_wall_ns()));
}

/* Everything of this launch that is still there is killed; we are its subreaper and its session's
 * leader. */
static void leave_nothing(void)
{
    for (int i = 0; i < 250; i++) {
        while (waitpid(-1, NULL, WNOHANG) > 0) {
        }
        if (syn_process_signal_session(getpid(), SIGKILL, getpid()) == 0)
            return;
        syn_clock_sleep_ns(20000000);
    }
}

static int redirect(const char *log_path)
{
    int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (log < 0 || null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
        return -1;
    return 0;
}

int syn_supervise_main(int argc, char **argv)
{
    if (argc < 7)
        return 2;
    const char *folder = argv[1], *job = argv[2];
    long long epoch = atoll(argv[3]);
    bool die_with_parent = atoi(argv[4]) != 0;
    int ready_fd = atoi(argv[5]);
    char **command = argv + 6;
    pid_t parent = getppid();
    char *log_path = syn_path_join(folder, "launcher.log");

    if (!log_path)
        return 1;
    if (die_with_parent) {
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent)
            return 1;
    }
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    struct sigaction action = {.sa_handler = on_stop};
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    (void)signal(SIGHUP, SIG_IGN);
    if (redirect(log_path) != 0) {
        (void)dprintf(ready_fd, "cannot write %s: %s", log_path, strerror(errno));
        return 1;
    }
    if (write_json(folder, "supervisor.json",
                   json_pack("{s:i,s:I,s:s,s:I}", "pid", (int)getpid(), "start_ticks",
                             (json_int_t)syn_process_start_ticks(getpid()), "job_id", job, "epoch",
                             (json_int_t)epoch)) != SYN_OK) {
        (void)dprintf(ready_fd, "%s", syn_error_message());
        return 1;
    }
    for (char **word = command; *word; word++)
        (void)dprintf(1, "%s%s", word == command ? "+ " : " ", *word);
    (void)dprintf(1, "\n");
    (void)!write(ready_fd, "", 1); /* a NUL says: ready */
    (void)close(ready_fd);

    pid_t child = start_child(command, log_path);
    int wait_status = child < 0 ? 127 << 8 : wait_for(child);
    leave_nothing();
    syn_status status = record_end(folder, log_path, wait_status);
    if (status != SYN_OK)
        (void)dprintf(2, "%s\n", syn_error_message());
    syn_free(log_path);
    return status == SYN_OK ? 0 : 1;
}
