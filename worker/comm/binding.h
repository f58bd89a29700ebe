/* The cores this process may run on, and undoing a launcher's binding that would trap its threads.
 */
#ifndef WORKER_COMM_BINDING_H
#define WORKER_COMM_BINDING_H

#include <stdbool.h>

typedef struct comm_binding {
    int n_before, n_after; /* cores allowed */
    int n_launcher;        /* cores allowed to the launcher; 0: not looked up */
    bool undone, trapped;
} comm_binding;

/* mpirun binds each rank to one core when there are few ranks; the computing threads and the comm
 * thread would take turns on it. When the launcher itself may use more cores than its ranks here
 * are bound to together, or the rank is to run more threads than it has cores (OMP_NUM_THREADS),
 * gives the calling thread, and so those it starts later, the launcher's cores. */
comm_binding comm_binding_undo(void);
/* Says in one line what was done, or that threads are trapped; nothing when there is nothing to
 * say. */
void comm_binding_report(const comm_binding *binding);
/* Cores the calling thread may use now; at least 1. */
int comm_binding_cores(void);

#endif
