/* What /proc says about processes. */
#include "server/launch/process.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct process_stat {
    char state;
    pid_t session;
    uint64_t start_ticks;
};

static bool read_stat(pid_t pid, struct process_stat *stat_out)
{
    char path[64], text[1024];

    (void)snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    (void)close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    /* The command's name is in parentheses and may itself hold any character: start after the last
     * one. */
    char *p = strrchr(text, ')');
    long session;
    unsigned long long start;
    if (!p || sscanf(p + 1,
                     " %c %*d %*d %ld %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
                     "%llu",
                     &stat_out->state, &session, &start) != 3)
        return false;
    stat_out->session = (pid_t)session;
    stat_out->start_ticks = start;
    return true;
}

uint64_t syn_process_start_ticks(pid_t pid)
{
    struct process_stat stat;
    return pid > 0 && read_stat(pid, &stat) && stat.state != 'Z' ? stat.start_ticks : 0;
}

unsigned syn_process_signal_session(pid_t session, int signal, pid_t spare)
{
    unsigned n = 0;
    DIR *proc = opendir("/proc");

    if (!proc)
        return 0;
    for (struct dirent *entry; (entry = readdir(proc));) {
        struct process_stat stat;
        pid_t pid = (pid_t)atol(entry->d_name);
        if (!isdigit((unsigned char)entry->d_name[0]) || pid == spare || !read_stat(pid, &stat))
            continue;
        if (stat.session == session && stat.state != 'Z') {
            n++;
            (void)kill(pid, signal);
        }
    }
    (void)closedir(proc);
    return n;
}
