/* Allocation that tests can make fail, and arenas. */
#include "common/base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local long countdown;
static _Thread_local int failed;

static int must_fail(void)
{
    if (__builtin_expect(countdown == 0, 1))
        return 0;
    if (--countdown > 0)
        return 0;
    failed = 1;
    return 1;
}

void syn_mem_fail_after(long n)
{
    countdown = n;
    failed = 0;
}

int syn_mem_has_failed(void)
{
    return failed;
}

int syn_mem_failpoint(void)
{
    return must_fail();
}

void *syn_malloc(size_t size)
{
    return must_fail() ? NULL : malloc(size ? size : 1);
}

void *syn_calloc(size_t count, size_t size)
{
    return must_fail() ? NULL : calloc(count ? count : 1, size ? size : 1);
}

void *syn_realloc(void *pointer, size_t size)
{
    return must_fail() ? NULL : realloc(pointer, size ? size : 1);
}

void syn_free(void *pointer)
{
    free(pointer);
}

char *syn_strndup(const char *text, size_t length)
{
    char *copy = syn_malloc(length + 1);
    if (copy) {
        memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}

char *syn_strdup(const char *text)
{
    return syn_strndup(text, strlen(text));
}

syn_status(syn_fail_memory)(size_t size_bytes, const char *what)
{
    return SYN_FAIL(SYN_RESOURCE_EXHAUSTED, "out of memory allocating %zu bytes for %s", size_bytes,
                    what);
}

typedef struct syn_arena_chunk {
    struct syn_arena_chunk *next;
    size_t used, size;
    _Alignas(16) unsigned char bytes[];
} chunk;

enum { CHUNK_BYTES = 16 * 1024 - (int)sizeof(chunk) };

void *syn_arena_alloc(syn_arena *arena, size_t size)
{
    chunk *head = arena->chunks;

    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + 15) & ~(size_t)15;
    if (!head || head->size - head->used < size) {
        size_t capacity = size > CHUNK_BYTES ? size : CHUNK_BYTES;
        head = syn_calloc(1, sizeof *head + capacity);
        if (!head)
            return NULL;
        head->size = capacity;
        head->next = arena->chunks;
        arena->chunks = head;
    }
    void *memory = head->bytes + head->used;
    head->used += size;
    return memory;
}

char *syn_arena_strdup(syn_arena *arena, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = syn_arena_alloc(arena, size);
    if (copy)
        memcpy(copy, text, size);
    return copy;
}

char *syn_arena_printf(syn_arena *arena, const char *format, ...)
{
    va_list args, again;

    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = n < 0 ? NULL : syn_arena_alloc(arena, (size_t)n + 1);
    if (text)
        (void)vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    return text;
}

void syn_arena_release(syn_arena *arena)
{
    for (chunk *c = arena->chunks, *next; c; c = next) {
        next = c->next;
        syn_free(c);
    }
    arena->chunks = NULL;
}
