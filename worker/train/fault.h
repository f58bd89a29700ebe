/* Failures made on purpose, for tests only; nothing happens unless the environment asks for it. */
#ifndef WORKER_TRAIN_FAULT_H
#define WORKER_TRAIN_FAULT_H

#include <stdbool.h>
#include <stdint.h>
#include <syncline/status.h>

/* SYNCLINE_TEST_FAULT   kill (default when a rank and a step are given): SIGKILL to itself
 *                       stop: SIGSTOP to itself, as a hang
 *                       fail: the step fails on this rank with a sentence
 *                       nan:  the step's loss on this rank becomes NaN
 * SYNCLINE_TEST_KILL_RANK  the job's rank it happens on
 * SYNCLINE_TEST_KILL_STEP  in this step (steps done before)
 * Only in attempt 1, so that a restarted job gets past it; with SYNCLINE_TEST_EVERY_ATTEMPT=1 in
 * all.
 *
 * SYNCLINE_TEST_SHARD_TABLE  "5,1,2": how many of the job's virtual shards each rank computes,
 *                            instead of dividing them evenly (read where the run is set up) */
syn_status syn_train_fault(int rank, int64_t step, uint32_t attempt, double *loss);

#endif
