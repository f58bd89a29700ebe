/* The assembler of length-prefixed messages. */
#include "common/rpc/framing.h"

#include "common/base/mem.h"

#include <string.h>

enum { FIRST_CAPACITY = 4096 };

static syn_status read_prefix(syn_framing *framing, const unsigned char **bytes,
                              const unsigned char *end)
{
    while (framing->n_prefix < SYN_FRAMING_PREFIX && *bytes < end)
        framing->prefix[framing->n_prefix++] = *(*bytes)++;
    if (framing->n_prefix < SYN_FRAMING_PREFIX)
        return SYN_OK;
    const unsigned char *p = framing->prefix;
    framing->length = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
    framing->used = 0;
    if (p[0] == 1)
        return SYN_FAIL(SYN_UNIMPLEMENTED, "compressed messages are not supported");
    if (p[0] != 0)
        return SYN_FAIL(SYN_INTERNAL, "a message starts with %d where 0 is expected", p[0]);
    if (framing->length > framing->max_bytes)
        return SYN_FAIL(SYN_RESOURCE_EXHAUSTED, "a message of %zu bytes is over the limit of %zu",
                        framing->length, framing->max_bytes);
    return SYN_OK;
}

static syn_status make_room(syn_framing *framing, size_t needed)
{
    size_t capacity = framing->capacity ? framing->capacity : FIRST_CAPACITY;

    if (needed <= framing->capacity)
        return SYN_OK;
    while (capacity < needed)
        capacity *= 2;
    if (capacity > framing->length)
        capacity = framing->length;
    if (!syn_budget_take(framing->budget, capacity - framing->capacity))
        return SYN_FAIL(SYN_RESOURCE_EXHAUSTED,
                        "the server holds too many unfinished messages: %zu bytes",
                        framing->budget->used);
    unsigned char *grown = syn_realloc(framing->buffer, capacity);
    if (!grown) {
        syn_budget_give(framing->budget, capacity - framing->capacity);
        return syn_fail_memory(capacity, "a message");
    }
    framing->buffer = grown;
    framing->capacity = capacity;
    return SYN_OK;
}

syn_status syn_framing_next(syn_framing *framing, const unsigned char **bytes,
                            const unsigned char *end, syn_framing_message *message_out)
{
    *message_out = (syn_framing_message){0};
    if (framing->n_prefix < SYN_FRAMING_PREFIX) {
        if (framing->n_prefix == 0)
            syn_framing_release(framing); /* the message handed out last */
        SYN_TRY(read_prefix(framing, bytes, end));
        if (framing->n_prefix < SYN_FRAMING_PREFIX)
            return SYN_OK;
    }
    size_t available = (size_t)(end - *bytes);
    if (framing->used == 0 && available >= framing->length) { /* whole: no copy */
        message_out->bytes = *bytes;
        *bytes += framing->length;
    } else {
        size_t n = framing->length - framing->used;
        if (n > available)
            n = available;
        if (n == 0)
            return SYN_OK;
        SYN_TRY(make_room(framing, framing->used + n));
        memcpy(framing->buffer + framing->used, *bytes, n);
        framing->used += n;
        *bytes += n;
        if (framing->used < framing->length)
            return SYN_OK;
        message_out->bytes = framing->buffer;
    }
    message_out->size = framing->length;
    framing->n_prefix = 0;
    return SYN_OK;
}

bool syn_framing_is_whole(const syn_framing *framing)
{
    return framing->n_prefix == 0;
}

void syn_framing_release(syn_framing *framing)
{
    syn_budget_give(framing->budget, framing->capacity);
    syn_free(framing->buffer);
    *framing = (syn_framing){.budget = framing->budget, .max_bytes = framing->max_bytes};
}
