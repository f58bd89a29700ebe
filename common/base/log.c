/* Log lines, one write(2) each. */
#include "common/base/log.h"

#include "common/base/clock.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const char *const level_names[] = {"DEBUG", "INFO", "WARN", "ERROR"};
static _Atomic int threshold = -1;
static _Atomic int log_fd = 2;
static char log_prefix[64];

static int get_threshold(void)
{
    int level = atomic_load_explicit(&threshold, memory_order_relaxed);
    if (level >= 0)
        return level;
    const char *name = getenv("SYNCLINE_LOG");
    level = SYN_LOG_INFO;
    for (int i = 0; name && i < 4; i++)
        if (strcasecmp(name, level_names[i]) == 0)
            level = i;
    atomic_store_explicit(&threshold, level, memory_order_relaxed);
    return level;
}

void syn_log_set_level(syn_log_level level)
{
    atomic_store(&threshold, (int)level);
}

void syn_log_set_prefix(const char *prefix)
{
    (void)snprintf(log_prefix, sizeof log_prefix, "%s%s", prefix, *prefix ? ": " : "");
}

void syn_log_set_fd(int fd)
{
    atomic_store(&log_fd, fd);
}

void syn_log_line(syn_log_level level, const char *format, ...)
{
    char line[4096], when[32];
    va_list args;

    if ((int)level < get_threshold())
        return;
    int n = snprintf(line, sizeof line, "%s %-5s %s", syn_clock_format(when, syn_clock_wall_ns()),
                     level_names[level], log_prefix);
    va_start(args, format);
    int m = vsnprintf(line + n, sizeof line - (size_t)n - 1, format, args);
    va_end(args);
    size_t length = (size_t)n + (m < 0 ? 0 : (size_t)m);
    if (length > sizeof line - 2)
        length = sizeof line - 2;
    line[length++] = '\n';
    ssize_t written = write(atomic_load(&log_fd), line, length);
    (void)written; /* a log that cannot be written has nowhere to complain */
}
