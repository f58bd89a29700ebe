/* Protocol-buffer bytes from outside: checked before they are unpacked, and read field by field. */
#ifndef COMMON_RPC_WIRE_H
#define COMMON_RPC_WIRE_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <syncline/status.h>

enum { SYN_WIRE_MAX_DEPTH = 64 };

/* Whether `bytes` may be given to protobuf-c as a message of this type. protobuf-c itself has no
 * recursion limit, checks no UTF-8 and lets a small message take much memory. Refused with one
 * sentence: cut-off fields, field number 0, the group wire types, varints longer than ten bytes,
 * nesting deeper than SYN_WIRE_MAX_DEPTH, `string` fields that are not UTF-8 or hold NUL (all
 * INVALID_ARGUMENT), and messages that would take more than 4 x size + 1 MiB of memory
 * (RESOURCE_EXHAUSTED). `*memory_out` (may be NULL) is what unpacking will take, in bytes. */
syn_status syn_wire_check(const ProtobufCMessageDescriptor *descriptor, const void *bytes,
                          size_t size, size_t *memory_out);

/* Checks, then unpacks within the memory budget. The caller frees `*message_out` with syn_wire_free
 * and with nothing else; it is one block of memory, so parts of it cannot be taken out. */
syn_status syn_wire_unpack(const ProtobufCMessageDescriptor *descriptor, const void *bytes,
                           size_t size, ProtobufCMessage **message_out);
/* NULL is accepted. */
void syn_wire_free(ProtobufCMessage *message);

/* Packs into a heap buffer (syn_free). */
syn_status syn_wire_pack(const ProtobufCMessage *message, unsigned char **bytes_out,
                         size_t *size_out);

/* One field of a message, as it lies in the bytes. */
typedef struct syn_wire_field {
    uint32_t number;
    ProtobufCWireType type;
    uint64_t value;             /* VARINT, 32BIT, 64BIT */
    const unsigned char *bytes; /* LENGTH_PREFIXED; borrowed from the message */
    size_t size;
} syn_wire_field;
/* Reads fields one by one without a descriptor; start it as {bytes, bytes + size}. */
typedef struct syn_wire_reader {
    const unsigned char *at, *end;
} syn_wire_reader;
/* The next field; OK with `*has_out` false at the end. INVALID_ARGUMENT for what syn_wire_check
 * calls malformed. */
syn_status syn_wire_next(syn_wire_reader *reader, syn_wire_field *field_out, bool *has_out);

#endif
