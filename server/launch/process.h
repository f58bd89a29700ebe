/* Processes by pid and start time, and what is alive in a session: /proc, read safely. */
#ifndef SERVER_LAUNCH_PROCESS_H
#define SERVER_LAUNCH_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Start time in clock ticks since boot (field 22 of /proc/<pid>/stat), 0 if there is no such
 * process or it is a zombie. */
uint64_t syn_process_start_ticks(pid_t pid);
/* Sends `signal` to every process whose session is `session`, except `spare` (0: none). Returns how
 * many there were. */
unsigned syn_process_signal_session(pid_t session, int signal, pid_t spare);

#endif
