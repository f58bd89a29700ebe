/* Scratch memory of kernels: a growing block for each thread, released when the thread ends. */
#include "worker/kernels/workspace.h"
#include "common/base/mem.h"
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

/* Blocks above this are not kept for the next call. */
#define KEPT_BYTES_MAX ((size_t)256 << 20)

typedef struct block {
    size_t size_bytes;
    void *memory; /* owned */
} block;

static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static __thread block thread_block;

static void release_block(void *pointer)
{
    block *b = pointer;
    syn_free(b->memory);
    *b = (block){0};
}

static void release_main_block(void)
{
    release_block(&thread_block);
}

static void create_key(void)
{
    SYN_BUG_ON(pthread_key_create(&key, release_block));
    atexit(release_main_block); /* the main thread returns without running key destructors */
}

void syn_workspace_release(void)
{
    release_block(&thread_block);
}

void *syn_workspace(size_t size_bytes, const char *what)
{
    block *b = &thread_block;
    if (b->size_bytes < size_bytes || b->size_bytes > KEPT_BYTES_MAX) {
        pthread_once(&key_once, create_key);
        release_block(b);
        b->memory = syn_malloc(size_bytes + 64);
        if (!b->memory) {
            syn_fail_memory(size_bytes, what);
            return NULL;
        }
        b->size_bytes = size_bytes;
        pthread_setspecific(key, b);
    }
    return (void *)(((uintptr_t)b->memory + 63) & ~(uintptr_t)63);
}
