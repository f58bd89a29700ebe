/* The check of wire bytes against a descriptor, and unpacking into one bounded block of memory. */
#include "common/rpc/wire.h"

#include "common/base/mem.h"
#include "common/base/str.h"

#include <string.h>

enum {
    BUDGET_FACTOR = 4,
    BUDGET_BASE_BYTES = 1024 * 1024,
    FIRST_SLAB_MEMBERS = 16, /* protobuf-c notes this many fields of a message on its stack, */
    MEMBER_BYTES = 32,       /* and the further ones in slabs of twice the size each */
    MAX_TAG_BYTES = 5,
    MAX_LENGTH_BYTES = 5,
    MAX_VARINT_BYTES = 10,
};

typedef struct scan {
    size_t memory; /* what unpacking allocates */
    size_t budget;
} scan;

static size_t round_up(size_t size)
{
    return (size + 15) & ~(size_t)15;
}

static size_t budget_of(size_t size)
{
    return size > (SIZE_MAX - BUDGET_BASE_BYTES) / BUDGET_FACTOR
               ? SIZE_MAX
               : size * BUDGET_FACTOR + BUDGET_BASE_BYTES;
}

/* Advances `*at` past a varint of at most `max_bytes`; false when it is cut off or too long. */
static bool read_varint(const unsigned char **at, const unsigned char *end, int max_bytes,
                        uint64_t *value_out)
{
    uint64_t value = 0;
    const unsigned char *p = *at;

    for (int i = 0; i < max_bytes && p < end; i++) {
        unsigned char byte = *p++;
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (!(byte & 0x80)) {
            *at = p;
            *value_out = value;
            return true;
        }
    }
    return false;
}

static uint64_t read_fixed(const unsigned char *at, int n_bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < n_bytes; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

/* Why the next field cannot be read, NULL when it was. Advances `*at`. */
static const char *read_field(const unsigned char **at, const unsigned char *end,
                              syn_wire_field *field)
{
    uint64_t tag, value = 0;

    if (!read_varint(at, end, MAX_TAG_BYTES, &tag) || tag > UINT32_MAX)
        return "a field's tag is cut off or too long";
    if (tag >> 3 == 0)
        return "a field has the number 0";
    *field = (syn_wire_field){.number = (uint32_t)(tag >> 3), .type = (ProtobufCWireType)(tag & 7)};
    switch (tag & 7) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        if (!read_varint(at, end, MAX_VARINT_BYTES, &field->value))
            return "a number is cut off or longer than ten bytes";
        return NULL;
    case PROTOBUF_C_WIRE_TYPE_64BIT:
    case PROTOBUF_C_WIRE_TYPE_32BIT: {
        int n_bytes = (tag & 7) == PROTOBUF_C_WIRE_TYPE_64BIT ? 8 : 4;
        if (end - *at < n_bytes)
            return "a fixed-size number is cut off";
        field->value = read_fixed(*at, n_bytes);
        *at += n_bytes;
        return NULL;
    }
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        if (!read_varint(at, end, MAX_LENGTH_BYTES, &value))
            return "a length is cut off or too long";
        if (value > (uint64_t)(end - *at))
            return "a field is longer than what holds it";
        field->bytes = *at;
        field->size = (size_t)value;
        *at += value;
        return NULL;
    default:
        return "a field has a group or unknown wire type";
    }
}

syn_status syn_wire_next(syn_wire_reader *reader, syn_wire_field *field_out, bool *has_out)
{
    syn_wire_field field;

    if (reader->at >= reader->end) {
        *has_out = false;
        return SYN_OK;
    }
    const char *why = read_field(&reader->at, reader->end, &field);
    if (why)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "malformed message: %s", why);
    *field_out = field;
    *has_out = true;
    return SYN_OK;
}

static syn_status refuse(const ProtobufCMessageDescriptor *descriptor,
                         const ProtobufCFieldDescriptor *field, const char *why)
{
    return SYN_FAIL(SYN_INVALID_ARGUMENT, "malformed message %s%s%s: %s", descriptor->name,
                    field ? ", field " : "", field ? field->name : "", why);
}

static syn_status spend(scan *s, size_t size)
{
    s->memory += round_up(size);
    if (s->memory > s->budget)
        return SYN_FAIL(SYN_RESOURCE_EXHAUSTED,
                        "message refused: unpacked it takes more than %zu bytes of memory, "
                        "4 times its size and 1 MiB",
                        s->budget);
    return SYN_OK;
}

/* How a type lies on the wire outside of packed fields. */
static ProtobufCWireType wire_type_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return PROTOBUF_C_WIRE_TYPE_32BIT;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return PROTOBUF_C_WIRE_TYPE_64BIT;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    default:
        return PROTOBUF_C_WIRE_TYPE_VARINT;
    }
}

/* Size of one element in a repeated field's C array. */
static size_t element_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    default:
        return 4;
    }
}

/* Numbers in a packed field; -1 when they do not fill it. */
static int64_t count_packed(const syn_wire_field *wire, ProtobufCType type)
{
    int64_t n = 0;
    int run = 0;

    switch (wire_type_of(type)) {
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        return wire->size % 4 ? -1 : (int64_t)(wire->size / 4);
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        return wire->size % 8 ? -1 : (int64_t)(wire->size / 8);
    default:
        for (size_t i = 0; i < wire->size; i++) {
            run++;
            if (!(wire->bytes[i] & 0x80)) {
                n++;
                run = 0;
            } else if (run >= MAX_VARINT_BYTES) {
                return -1;
            }
        }
        return run ? -1 : n;
    }
}

static syn_status scan_message(scan *s, const ProtobufCMessageDescriptor *descriptor,
                               const unsigned char *at, const unsigned char *end, int depth);

static syn_status scan_known(scan *s, const ProtobufCMessageDescriptor *descriptor,
                             const ProtobufCFieldDescriptor *field, const syn_wire_field *wire,
                             int depth)
{
    bool is_repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
    ProtobufCWireType expected = wire_type_of(field->type);

    if (is_repeated && wire->type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED &&
        expected != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED) {
        int64_t n = count_packed(wire, field->type);
        if (n < 0)
            return refuse(descriptor, field, "the packed numbers do not fill the field");
        /* protobuf-c makes room for as many booleans as there are bytes */
        size_t n_slots = field->type == PROTOBUF_C_TYPE_BOOL ? wire->size : (size_t)n;
        return spend(s, n_slots * element_size(field->type));
    }
    if (wire->type != expected)
        return refuse(descriptor, field, "the wire type is not that of the field");
    if (is_repeated)
        s->memory += element_size(field->type); /* the next spend() compares */
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        if (!syn_utf8_is_valid(wire->bytes, wire->size))
            return refuse(descriptor, field, "the text is not UTF-8 or holds a NUL byte");
        return spend(s, wire->size + 1);
    case PROTOBUF_C_TYPE_BYTES:
        return spend(s, wire->size);
    case PROTOBUF_C_TYPE_MESSAGE:
        return scan_message(s, field->descriptor, wire->bytes, wire->bytes + wire->size, depth + 1);
    default:
        return spend(s, 0);
    }
}

/* Recursion is bounded by SYN_WIRE_MAX_DEPTH. */
static syn_status scan_message(scan *s, const ProtobufCMessageDescriptor *descriptor,
                               const unsigned char *at, const unsigned char *end, int depth)
{
    const ProtobufCFieldDescriptor *field = NULL;
    size_t n_members = 0, slab_end = FIRST_SLAB_MEMBERS, slab = FIRST_SLAB_MEMBERS;
    bool has_repeated = false;

    if (depth > SYN_WIRE_MAX_DEPTH)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "malformed message: nested deeper than %d",
                        (int)SYN_WIRE_MAX_DEPTH);
    SYN_TRY(spend(s, descriptor->sizeof_message));
    SYN_TRY(spend(s, descriptor->n_fields / 8));
    while (at < end) {
        syn_wire_field wire;
        const unsigned char *start = at;
        const char *why = read_field(&at, end, &wire);
        if (why)
            return refuse(descriptor, NULL, why);
        if (n_members++ == slab_end) {
            slab *= 2;
            slab_end += slab;
            SYN_TRY(spend(s, slab * MEMBER_BYTES));
        }
        if (!field || field->id != wire.number)
            field = protobuf_c_message_descriptor_get_field(descriptor, wire.number);
        if (!field) {
            SYN_TRY(spend(s, sizeof(ProtobufCMessageUnknownField) + (size_t)(at - start)));
            continue;
        }
        if (field->label == PROTOBUF_C_LABEL_REPEATED && !has_repeated) {
            has_repeated = true;
            SYN_TRY(spend(s, (size_t)descriptor->n_fields * 16));
        }
        SYN_TRY(scan_known(s, descriptor, field, &wire, depth));
    }
    return SYN_OK;
}

syn_status syn_wire_check(const ProtobufCMessageDescriptor *descriptor, const void *bytes,
                          size_t size, size_t *memory_out)
{
    scan s = {.budget = budget_of(size)};
    static const unsigned char nothing[1];
    const unsigned char *at = size ? bytes : nothing;

    SYN_TRY(scan_message(&s, descriptor, at, at + size, 1));
    if (memory_out)
        *memory_out = s.memory;
    return SYN_OK;
}

/* One message's memory. What the scan foresaw comes from one block; what it did not (merging a
 * sub-message that is there twice allocates anew) from further ones, all within the budget. */
typedef struct block {
    struct block *next;
    size_t used, size;
    size_t spent, budget; /* of the first block: over all blocks */
    _Alignas(16) unsigned char bytes[];
} block;

static void *block_alloc(void *data, size_t size)
{
    block *first = data, *b = first;
    size_t needed = round_up(size);

    if (size > first->budget || needed > first->budget - first->spent)
        return NULL;
    if (first->size - first->used < needed) {
        b = first->next;
        if (!b || b->size - b->used < needed) {
            size_t capacity = needed > 4096 ? needed : 4096;
            b = syn_malloc(sizeof *b + capacity);
            if (!b)
                return NULL;
            *b = (block){.next = first->next, .size = capacity};
            first->next = b;
        }
    }
    void *memory = b->bytes + b->used;
    b->used += needed;
    first->spent += needed;
    return memory;
}

static void block_free(void *data, void *pointer)
{
    (void)data;
    (void)pointer;
}

static void blocks_free(block *b)
{
    while (b) {
        block *next = b->next;
        syn_free(b);
        b = next;
    }
}

syn_status syn_wire_unpack(const ProtobufCMessageDescriptor *descriptor, const void *bytes,
                           size_t size, ProtobufCMessage **message_out)
{
    size_t memory;

    SYN_TRY(syn_wire_check(descriptor, bytes, size, &memory));
    block *b = syn_malloc(sizeof *b + memory);
    if (!b)
        return syn_fail_memory(sizeof *b + memory, descriptor->name);
    *b = (block){.size = memory, .budget = budget_of(size)};
    ProtobufCAllocator allocator = {block_alloc, block_free, b};
    ProtobufCMessage *message =
        protobuf_c_message_unpack(descriptor, &allocator, size, size ? bytes : (const void *)"");
    if (!message) {
        bool is_spent = b->spent > b->budget / 2;
        blocks_free(b);
        if (is_spent)
            return SYN_FAIL(SYN_RESOURCE_EXHAUSTED,
                            "message %s refused: unpacking it takes too much memory",
                            descriptor->name);
        return refuse(descriptor, NULL, "it could not be unpacked");
    }
    SYN_BUG_ON((unsigned char *)message != b->bytes);
    *message_out = message;
    return SYN_OK;
}

void syn_wire_free(ProtobufCMessage *message)
{
    if (message)
        blocks_free((block *)(void *)((unsigned char *)message - offsetof(block, bytes)));
}

syn_status syn_wire_pack(const ProtobufCMessage *message, unsigned char **bytes_out,
                         size_t *size_out)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    unsigned char *bytes = syn_malloc(size);

    if (!bytes)
        return syn_fail_memory(size, message->descriptor->name);
    *size_out = protobuf_c_message_pack(message, bytes);
    *bytes_out = bytes;
    return SYN_OK;
}
