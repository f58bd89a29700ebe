/* Scratch memory of kernels: one block a thread, kept between calls, so that it is faulted in once.
 */
#ifndef WORKER_KERNELS_WORKSPACE_H
#define WORKER_KERNELS_WORKSPACE_H

#include <stddef.h>

/* At least `size_bytes`, aligned to 64, contents undefined; valid until the thread's next call.
 * `what` is named in the sentence recorded when there is no memory, and NULL returned. */
void *syn_workspace(size_t size_bytes, const char *what);
/* Gives the calling thread's block back. */
void syn_workspace_release(void);

/* Sizes rounded up to whole cache lines, for carving one block into several. */
static inline size_t syn_workspace_round(size_t size_bytes)
{
    return (size_bytes + 63) & ~(size_t)63;
}

#endif
