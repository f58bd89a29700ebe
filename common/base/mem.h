/* Heap allocation with a failpoint for tests, and arenas for what dies together. */
#ifndef COMMON_BASE_MEM_H
#define COMMON_BASE_MEM_H

#include <stddef.h>
#include <syncline/status.h>

/* As the C library's, but they can be made to fail. They return NULL without recording a sentence.
 */
void *syn_malloc(size_t size);
void *syn_calloc(size_t count, size_t size);
void *syn_realloc(void *pointer, size_t size);
void syn_free(void *pointer);
char *syn_strdup(const char *text);
char *syn_strndup(const char *text, size_t length);
/* Records "out of memory allocating N bytes for WHAT" and returns SYN_RESOURCE_EXHAUSTED. */
syn_status syn_fail_memory(size_t size_bytes, const char *what);
#define syn_fail_memory(size_bytes, what) \
    syn_fail_with(SYN_RESOURCE_EXHAUSTED, (syn_fail_memory)((size_bytes), (what)))

/* Tests: the n-th allocation of this thread from now on (1 = next) fails, once; 0 switches it off.
 */
void syn_mem_fail_after(long n);
/* Tests: whether the armed failure has happened since it was armed. */
int syn_mem_has_failed(void);

/* For allocators that do not go through syn_malloc: whether this allocation is the one to fail. */
int syn_mem_failpoint(void);

/* Bump allocation in chunks; all of it is released at once. */
typedef struct syn_arena {
    struct syn_arena_chunk *chunks; /* owned */
} syn_arena;
/* Zeroed memory aligned to 16 bytes, NULL when there is none. The arena may start as {0}. */
void *syn_arena_alloc(syn_arena *arena, size_t size);
char *syn_arena_strdup(syn_arena *arena, const char *text);
char *syn_arena_printf(syn_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void syn_arena_release(syn_arena *arena);

#endif
