/* The worker under a coordinator: one launched job, or a pool that takes one job after another. */
#ifndef WORKER_AGENT_COORDINATED_H
#define WORKER_AGENT_COORDINATED_H

#include <stdint.h>

/* What the launcher put on the command line. */
typedef struct syn_launched_job {
    const char *address;
    const char *job_id;
    uint64_t epoch;
    uint32_t attempt;
} syn_launched_job;

/* Registers, trains the assignment on all ranks, reports how it ended. The outcome also lies in the
 * run directory. Returns the exit code: not 0 on rank 0 of a job that failed. Call after
 * syn_comm_start. Collective. */
int syn_launched_job_run(const syn_launched_job *launched);

/* Serves as a pool until the coordinator says leave, or SIGTERM. A job that fails leaves its
 * members idle and healthy. Call after syn_comm_start. Collective. */
int syn_pool_run(const char *address);

#endif
