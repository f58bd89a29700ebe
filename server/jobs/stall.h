/* Who keeps the others waiting: a pure function of what the ranks have reported. */
#ifndef SERVER_JOBS_STALL_H
#define SERVER_JOBS_STALL_H

#include "server/cluster/cluster.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether no rank has moved (step, phase or collective) for `limit_ns`. If so `text_out` names the
 * culprits: the ranks that are furthest behind in (step, collective) and, among them, those that do
 * not wait for others; or all of them, when they wait for each other. "rank 5 (node3, pid 4711) has
 * been in data_read of step 812 for 35 s; ranks 0-4, 6 and 7 wait in step 812, collective 37,
 * bucket 3 (conv4.weight)". Ranks that have finished or are not known are NULL and are left out.
 * `*first_out` is the first culprit. */
bool syn_stall_describe(const syn_worker *const *ranks, uint32_t n_ranks, uint64_t now_ns,
                        uint64_t limit_ns, char *text_out, size_t size, uint32_t *first_out);

#endif
