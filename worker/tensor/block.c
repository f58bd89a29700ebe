/* The caching allocator: per-thread lists of small blocks over shared lists over mmap. */
#include "worker/tensor/block.h"

#include "common/base/mem.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Classes: multiples of 64 up to 1024, then four steps a doubling. */
enum {
    N_FINE = 16,
    N_CLASSES = N_FINE + 4 * 38,
    SMALL_CLASSES = N_FINE + 4 * 6, /* up to 64 KiB: kept by threads, carved from slabs */
    THREAD_KEEPS_BYTES = 1 << 18,   /* a class, in one thread's list */
    HUGE_PAGE = 2 << 20,
    SLAB_BYTES = 1 << 20,
};

typedef struct free_block {
    struct free_block *next;
} free_block;

static inline unsigned class_of(size_t size)
{
    if (size <= 1024)
        return (unsigned)((size + 63) / 64) - (size != 0);
    unsigned top = 63u - (unsigned)__builtin_clzll(size - 1); /* 2^top <= size - 1 < 2^(top+1) */
    unsigned quarter = (unsigned)((size - 1) >> (top - 2)) & 3;
    return N_FINE + 4 * (top - 10) + quarter;
}

static inline size_t class_bytes(unsigned c)
{
    if (c < N_FINE)
        return (size_t)(c + 1) * 64;
    unsigned top = (c - N_FINE) / 4 + 10, quarter = (c - N_FINE) % 4;
    return ((size_t)1 << top) + ((size_t)(quarter + 1) << (top - 2));
}

#ifdef SYN_SANITIZED

/* The sanitizers see each block's bounds and life. */
void *syn_block_alloc(size_t size)
{
    if (syn_mem_failpoint() || size > PTRDIFF_MAX / 2)
        return NULL;
    return aligned_alloc(64, (size + 63) / 64 * 64 + (size == 0) * 64);
}

void syn_block_free(void *block, size_t size)
{
    (void)size;
    free(block);
}

syn_block_stats syn_block_get_stats(void)
{
    (void)class_of;
    (void)class_bytes;
    return (syn_block_stats){0};
}

void syn_block_trim(void)
{
}

void syn_block_thread_flush(void)
{
}

#else

typedef struct thread_cache {
    free_block *lists[SMALL_CLASSES];
    unsigned counts[SMALL_CLASSES];
} thread_cache;
static _Thread_local thread_cache cache __attribute__((tls_model("initial-exec")));

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static free_block *shared[N_CLASSES];
static char *slab, *slab_end;
static size_t mapped_bytes, large_in_use, large_peak, large_cached;

static size_t map_bytes(size_t size)
{
    size_t unit = size >= HUGE_PAGE ? HUGE_PAGE : 4096;
    return (size + unit - 1) / unit * unit;
}

/* Memory of the machine: the system would promise more, and end a process when it is touched. */
static size_t physical_bytes(void)
{
    static size_t bytes; /* read with the lock held */
    if (!bytes)
        bytes = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    return bytes;
}

/* Fresh pages; huge-page aligned from 2 MiB on. Called with the lock held. */
static void *map_pages(size_t size)
{
    size = map_bytes(size);
    if (size > physical_bytes() || mapped_bytes > physical_bytes() - size)
        return NULL;
    size_t slack = size >= HUGE_PAGE ? HUGE_PAGE : 0;
    char *p = mmap(NULL, size + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (slack) {
        size_t head = (HUGE_PAGE - (uintptr_t)p % HUGE_PAGE) % HUGE_PAGE;
        if (head)
            (void)munmap(p, head);
        if (slack - head)
            (void)munmap(p + head + size, slack - head);
        p += head;
        (void)madvise(p, size, MADV_HUGEPAGE);
    }
    mapped_bytes += size;
    return p;
}

static void unmap_cached(void)
{
    for (unsigned c = SMALL_CLASSES; c < N_CLASSES; c++)
        while (shared[c]) {
            free_block *block = shared[c];
            shared[c] = block->next;
            (void)munmap(block, map_bytes(class_bytes(c)));
            mapped_bytes -= map_bytes(class_bytes(c));
        }
    large_cached = 0;
}

static void *alloc_large(unsigned c)
{
    size_t bytes = class_bytes(c);
    (void)pthread_mutex_lock(&lock);
    free_block *block = shared[c];
    if (block) {
        shared[c] = block->next;
        large_cached -= bytes;
    } else {
        block = map_pages(bytes);
        if (!block) {
            unmap_cached();
            block = map_pages(bytes);
        }
    }
    if (block) {
        large_in_use += bytes;
        if (large_in_use > large_peak)
            large_peak = large_in_use;
    }
    (void)pthread_mutex_unlock(&lock);
    return block;
}

/* Keeps what one step needs at its peak, and as much again for other sizes. */
static void free_large(void *pointer, unsigned c)
{
    size_t bytes = class_bytes(c);
    (void)pthread_mutex_lock(&lock);
    large_in_use -= bytes;
    if (large_in_use + large_cached + bytes > 2 * large_peak) {
        (void)munmap(pointer, map_bytes(bytes));
        mapped_bytes -= map_bytes(bytes);
    } else {
        free_block *block = pointer;
        block->next = shared[c];
        shared[c] = block;
        large_cached += bytes;
    }
    (void)pthread_mutex_unlock(&lock);
}

/* Moves up to 32 blocks (16 KiB at most) of a class into the thread's list. */
static bool refill(unsigned c)
{
    size_t bytes = class_bytes(c);
    unsigned want = bytes >= 16384 ? 1 : bytes >= 512 ? (unsigned)(16384 / bytes) : 32;
    unsigned got = 0;
    (void)pthread_mutex_lock(&lock);
    for (; got < want; got++) {
        free_block *block = shared[c];
        if (block) {
            shared[c] = block->next;
        } else {
            if ((size_t)(slab_end - slab) < bytes) {
                char *fresh = map_pages(SLAB_BYTES);
                if (!fresh)
                    break;
                slab = fresh;
                slab_end = fresh + SLAB_BYTES;
            }
            block = (free_block *)(void *)slab;
            slab += bytes;
        }
        block->next = cache.lists[c];
        cache.lists[c] = block;
    }
    (void)pthread_mutex_unlock(&lock);
    cache.counts[c] += got;
    return got > 0;
}

static void give_back(unsigned c, unsigned n)
{
    (void)pthread_mutex_lock(&lock);
    for (; n && cache.lists[c]; n--) {
        free_block *block = cache.lists[c];
        cache.lists[c] = block->next;
        cache.counts[c]--;
        block->next = shared[c];
        shared[c] = block;
    }
    (void)pthread_mutex_unlock(&lock);
}

void *syn_block_alloc(size_t size)
{
    if (syn_mem_failpoint() || size > (size_t)1 << 46)
        return NULL;
    unsigned c = class_of(size);
    if (c >= SMALL_CLASSES)
        return alloc_large(c);
    if (!cache.lists[c] && !refill(c))
        return NULL;
    free_block *block = cache.lists[c];
    cache.lists[c] = block->next;
    cache.counts[c]--;
    return block;
}

void syn_block_free(void *block, size_t size)
{
    if (!block)
        return;
    unsigned c = class_of(size);
    if (c >= SMALL_CLASSES) {
        free_large(block, c);
        return;
    }
    ((free_block *)block)->next = cache.lists[c];
    cache.lists[c] = block;
    if (++cache.counts[c] * class_bytes(c) > THREAD_KEEPS_BYTES && cache.counts[c] > 8)
        give_back(c, cache.counts[c] / 2);
}

syn_block_stats syn_block_get_stats(void)
{
    (void)pthread_mutex_lock(&lock);
    syn_block_stats stats = {large_in_use, mapped_bytes};
    (void)pthread_mutex_unlock(&lock);
    return stats;
}

void syn_block_trim(void)
{
    (void)pthread_mutex_lock(&lock);
    unmap_cached();
    large_peak = large_in_use;
    (void)pthread_mutex_unlock(&lock);
}

void syn_block_thread_flush(void)
{
    for (unsigned c = 0; c < SMALL_CLASSES; c++)
        give_back(c, cache.counts[c]);
}

#endif
