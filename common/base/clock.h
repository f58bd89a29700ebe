/* Time. Deadlines and intervals use the monotonic clock, records for people the wall clock. */
#ifndef COMMON_BASE_CLOCK_H
#define COMMON_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

uint64_t syn_clock_monotonic_ns(void);
/* Nanoseconds since 1970-01-01 UTC. */
int64_t syn_clock_wall_ns(void);
void syn_clock_sleep_ns(uint64_t ns);
/* "2026-01-31T12:00:00.123Z" into `buffer`, which is returned. */
char *syn_clock_format(char buffer[32], int64_t wall_ns);

#endif
