/* Protocol-buffer messages from outside: the first byte chooses the type; what is accepted can be
 * packed and read again. */
#include "tests/fuzz/fuzz.h"

#include "common/base/mem.h"
#include "common/rpc/wire.h"

#include <syncline/v1/jobs.pb-c.h>
#include <syncline/v1/workers.pb-c.h>
#include <tensorflow/event.pb-c.h>

static const ProtobufCMessageDescriptor *const types[] = {
    &syncline__v1__submit_job_request__descriptor,
    &syncline__v1__get_job_response__descriptor,
    &syncline__v1__tail_logs_request__descriptor,
    &syncline__v1__register_worker_request__descriptor,
    &syncline__v1__worker_report__descriptor,
    &syncline__v1__directive__descriptor,
    &syncline__v1__report_outcome_request__descriptor,
    &tensorflow__event__descriptor,
};

static void read_fields(const uint8_t *bytes, size_t size)
{
    syn_wire_reader reader = {bytes, bytes + size};
    syn_wire_field field;
    bool has_field = true;

    while (has_field && syn_wire_next(&reader, &field, &has_field) == SYN_OK)
        if (has_field && field.type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
            SYN_BUG_ON(field.bytes < bytes || field.bytes + field.size > bytes + size);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    ProtobufCMessage *message = NULL, *again = NULL;
    unsigned char *packed = NULL;
    size_t packed_size;

    if (size == 0)
        return 0;
    read_fields(bytes + 1, size - 1);
    const ProtobufCMessageDescriptor *type = types[bytes[0] % (sizeof types / sizeof *types)];
    if (syn_wire_unpack(type, bytes + 1, size - 1, &message) != SYN_OK)
        return 0;
    SYN_BUG_ON(syn_wire_pack(message, &packed, &packed_size) != SYN_OK);
    SYN_BUG_ON(syn_wire_unpack(type, packed, packed_size, &again) != SYN_OK);
    syn_wire_free(again);
    syn_free(packed);
    syn_wire_free(message);
    return 0;
}
