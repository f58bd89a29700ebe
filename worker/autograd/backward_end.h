/* Hooks that run at the end of every backward pass: how communication catches up with it. */
#ifndef WORKER_AUTOGRAD_BACKWARD_END_H
#define WORKER_AUTOGRAD_BACKWARD_END_H

#include <syncline/status.h>

/* Called on the thread that ran syn_backward or syn_backward_with (not syn_grad), after the last
 * gradient, with the status so far, also when it failed. Returns the status to go on with: what it
 * was given, or its own failure with a recorded sentence. */
typedef syn_status (*syn_backward_end_fn)(syn_status status, void *user);
/* Hooks run in the order in which they were added. Not while a backward pass runs. */
syn_status syn_backward_end_add(syn_backward_end_fn hook, void *user);
void syn_backward_end_remove(syn_backward_end_fn hook, void *user);
/* For the engine: runs all hooks and returns what the last one returned; `status` when there is
 * none. */
syn_status syn_backward_end_run(syn_status status);

#endif
