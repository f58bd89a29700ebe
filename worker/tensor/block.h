/* Blocks of memory for tensors, handles and tape nodes: cached by size class, so that steady-state
 * steps neither call malloc nor touch new pages. */
#ifndef WORKER_TENSOR_BLOCK_H
#define WORKER_TENSOR_BLOCK_H

#include <stddef.h>

/* A block of at least `size` bytes, aligned to 64; NULL without a sentence when there is none.
 * Contents undefined. Blocks of 2 MiB and more are aligned to huge pages and advised so.
 * Thread-safe; any thread may free. */
void *syn_block_alloc(size_t size);
/* `size` as given to syn_block_alloc. NULL is accepted. */
void syn_block_free(void *block, size_t size);

/* Bytes in blocks above 64 KiB handed out, and mapped from the system altogether. */
typedef struct syn_block_stats {
    size_t in_use_bytes, mapped_bytes;
} syn_block_stats;
syn_block_stats syn_block_get_stats(void);
/* Gives cached large blocks back to the system. */
void syn_block_trim(void);
/* Hands the calling thread's cache to the others (at thread exit). */
void syn_block_thread_flush(void);

#endif
