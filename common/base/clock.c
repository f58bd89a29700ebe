/* Clocks. */
#include "common/base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

uint64_t syn_clock_monotonic_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int64_t syn_clock_wall_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void syn_clock_sleep_ns(uint64_t ns)
{
    struct timespec t = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
    while (nanosleep(&t, &t) != 0 && errno == EINTR) {
    }
}

char *syn_clock_format(char buffer[32], int64_t wall_ns)
{
    int64_t ns = wall_ns % 1000000000; /* before 1970 the remainder is negative */
    ns += ns < 0 ? 1000000000 : 0;
    time_t seconds = (time_t)(wall_ns / 1000000000) - (wall_ns % 1000000000 < 0);
    struct tm tm;
    size_t n = gmtime_r(&seconds, &tm) ? strftime(buffer, 32, "%Y-%m-%dT%H:%M:%S", &tm) : 0;
    (void)snprintf(buffer + n, 32 - n, ".%03dZ", (int)(ns / 1000000));
    return buffer;
}
