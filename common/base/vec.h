/* Typed growing arrays as macros: SYN_VEC(int) v = {0}; if (!syn_vec_push(&v, 3)) ...;
 * syn_vec_release(&v). */
#ifndef COMMON_BASE_VEC_H
#define COMMON_BASE_VEC_H

#include "common/base/mem.h"

#include <stdbool.h>
#include <stddef.h>

#define SYN_VEC(type)       \
    struct {                \
        type *items;        \
        size_t n, capacity; \
    }

/* Whether there is room for one more element of `size` bytes (grows by doubling). */
static inline bool syn_vec_grow(void **items, size_t n, size_t *capacity, size_t size)
{
    if (n < *capacity)
        return true;
    size_t wanted = *capacity ? *capacity * 2 : 8;
    void *grown = syn_realloc(*items, wanted * size);
    if (!grown)
        return false;
    *items = grown;
    *capacity = wanted;
    return true;
}

/* Appends; false when out of memory. */
#define syn_vec_push(v, ...)                                                        \
    (syn_vec_grow((void **)&(v)->items, (v)->n, &(v)->capacity, sizeof *(v)->items) \
         ? ((v)->items[(v)->n++] = (__VA_ARGS__), true)                             \
         : false)
#define syn_vec_release(v) (syn_free((v)->items), (v)->items = NULL, (v)->n = (v)->capacity = 0)

#endif
