/* Messages out of a stream's bytes: a zero byte, a 32-bit big-endian length, the message. */
#ifndef COMMON_RPC_FRAMING_H
#define COMMON_RPC_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <syncline/status.h>

enum { SYN_FRAMING_PREFIX = 5 };

/* Memory that many buffers share; `limit` 0 means none. */
typedef struct syn_budget {
    size_t used, limit;
} syn_budget;

static inline bool syn_budget_take(syn_budget *budget, size_t size)
{
    if (budget->limit && size > budget->limit - budget->used)
        return false;
    budget->used += size;
    return true;
}

static inline void syn_budget_give(syn_budget *budget, size_t size)
{
    budget->used -= size;
}

/* A message that is not whole yet. Memory grows with the bytes that came, not with the length that
 * was announced. */
typedef struct syn_framing {
    syn_budget *budget; /* borrowed */
    size_t max_bytes;   /* of a message */
    unsigned char prefix[SYN_FRAMING_PREFIX];
    unsigned n_prefix;
    size_t length;         /* of the message, once the prefix is whole */
    unsigned char *buffer; /* owned; counted in the budget */
    size_t used, capacity;
} syn_framing;

/* Bytes of a message; NULL: none is whole yet. */
typedef struct syn_framing_message {
    const unsigned char *bytes;
    size_t size;
} syn_framing_message;

/* Takes the next message from `*bytes`, which is advanced past what was used; it stays valid until
 * the next call. RESOURCE_EXHAUSTED for a message over `max_bytes` or over the budget,
 * UNIMPLEMENTED for a compressed one; the stream cannot be read further then. */
syn_status syn_framing_next(syn_framing *framing, const unsigned char **bytes,
                            const unsigned char *end, syn_framing_message *message_out);
/* Whether the stream may end here: not inside a message. */
bool syn_framing_is_whole(const syn_framing *framing);
/* Gives the memory back; what had come of a message is forgotten. */
void syn_framing_release(syn_framing *framing);

#endif
