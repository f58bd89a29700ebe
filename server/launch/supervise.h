/* The supervisor: the small process between the coordinator and mpirun that records how a launch
 * ended. */
#ifndef SERVER_LAUNCH_SUPERVISE_H
#define SERVER_LAUNCH_SUPERVISE_H

#include "server/launch/launch.h"

/* The hidden verb the supervisor is started with:
 * `syncline _supervise DIR JOB EPOCH DIE_WITH_PARENT READY_FD COMMAND ...`; returns the exit code
 * of the process. */
#define SYN_SUPERVISE_VERB "_supervise"
int syn_supervise_main(int argc, char **argv);

/* Reads what mpirun printed and fills in rank, host, signal and sentence as far as it says them.
 * Any text is safe. */
void syn_launch_parse_report(const char *text, syn_launch_exit *exit_out);

#endif
