/* The check of wire bytes: what is refused, what passes, and that memory stays bounded. */
#include "common/rpc/wire.h"

#include "common/base/mem.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "syncline/v1/jobs.pb-c.h"
#include "syncline/v1/workers.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define JOB_DESCRIPTOR (&syncline__v1__job__descriptor)

/* message Node { Node next = 1; }, which the product's own files avoid. */
typedef struct nest {
    ProtobufCMessage base;
    struct nest *next;
} nest;
static const ProtobufCMessageDescriptor nest_descriptor;
static void nest_init(ProtobufCMessage *message)
{
    *(nest *)message = (nest){.base.descriptor = &nest_descriptor};
}
static const ProtobufCFieldDescriptor nest_fields[] = {
    {.name = "next",
     .id = 1,
     .label = PROTOBUF_C_LABEL_OPTIONAL,
     .type = PROTOBUF_C_TYPE_MESSAGE,
     .offset = offsetof(nest, next),
     .descriptor = &nest_descriptor},
};
static const unsigned nest_by_name[] = {0};
static const ProtobufCIntRange nest_ranges[] = {{1, 0}, {0, 1}};
static const ProtobufCMessageDescriptor nest_descriptor = {
    .magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
    .name = "test.Nest",
    .short_name = "Nest",
    .c_name = "Nest",
    .package_name = "test",
    .sizeof_message = sizeof(nest),
    .n_fields = 1,
    .fields = nest_fields,
    .fields_sorted_by_name = nest_by_name,
    .n_field_ranges = 1,
    .field_ranges = nest_ranges,
    .message_init = nest_init,
};

/* `depth` messages inside each other; returns the start within `buffer`, which is filled from its
 * end. */
static unsigned char *build_nest(unsigned char *buffer, size_t capacity, int depth)
{
    unsigned char *start = buffer + capacity;

    for (int i = 1; i < depth; i++) {
        size_t inner = (size_t)(buffer + capacity - start), rest = inner;
        unsigned char length[10];
        size_t n = 0;
        do {
            length[n++] = (unsigned char)((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
            rest >>= 7;
        } while (rest);
        start -= n;
        memcpy(start, length, n);
        *--start = 1 << 3 | 2;
    }
    return start;
}

static syn_status unpack(const ProtobufCMessageDescriptor *descriptor, const void *bytes, size_t n)
{
    ProtobufCMessage *message = NULL;
    syn_status status = syn_wire_unpack(descriptor, bytes, n, &message);

    assert_true((status == SYN_OK) == (message != NULL));
    syn_wire_free(message);
    return status;
}

static void a_packed_message_comes_back_equal(void **state)
{
    (void)state;
    Syncline__V1__Assignment assignment = SYNCLINE__V1__ASSIGNMENT__INIT;
    uint32_t members[300];
    for (uint32_t i = 0; i < 300; i++)
        members[i] = i * 1000;
    assignment.job_id = (char *)"j-000001";
    assignment.epoch = UINT64_MAX;
    assignment.job_json = (ProtobufCBinaryData){3, (uint8_t *)"\0\xff\x01"};
    assignment.n_members = 300;
    assignment.members = members;
    Syncline__V1__RegisterWorkerResponse response = SYNCLINE__V1__REGISTER_WORKER_RESPONSE__INIT;
    response.assignment = &assignment;
    unsigned char *bytes, *again;
    size_t size, size_again;
    ProtobufCMessage *message;

    assert_int_equal(syn_wire_pack(&response.base, &bytes, &size), SYN_OK);
    assert_int_equal(syn_wire_unpack(response.base.descriptor, bytes, size, &message), SYN_OK);

    assert_int_equal(syn_wire_pack(message, &again, &size_again), SYN_OK);
    assert_int_equal(size_again, size);
    assert_memory_equal(again, bytes, size);
    syn_wire_free(message);
    syn_free(bytes);
    syn_free(again);
}

static void an_empty_message_is_whole(void **state)
{
    (void)state;
    ProtobufCMessage *message;

    assert_int_equal(syn_wire_unpack(JOB_DESCRIPTOR, NULL, 0, &message), SYN_OK);
    assert_string_equal(((Syncline__V1__Job *)message)->job_id, "");
    syn_wire_free(message);
    syn_wire_free(NULL);
}

static void nesting_is_allowed_up_to_the_limit_and_not_beyond(void **state)
{
    (void)state;
    unsigned char buffer[4096];
    const unsigned char *end = buffer + sizeof buffer;
    unsigned char *allowed = build_nest(buffer, sizeof buffer, SYN_WIRE_MAX_DEPTH);
    assert_int_equal(unpack(&nest_descriptor, allowed, (size_t)(end - allowed)), SYN_OK);

    unsigned char *refused = build_nest(buffer, sizeof buffer, SYN_WIRE_MAX_DEPTH + 1);
    assert_int_equal(unpack(&nest_descriptor, refused, (size_t)(end - refused)),
                     SYN_INVALID_ARGUMENT);
    assert_non_null(strstr(syn_error_message(), "nested deeper than 64"));
}

static void a_nested_bomb_is_refused_and_not_followed(void **state)
{
    (void)state;
    size_t capacity = 4 * 1024 * 1024;
    unsigned char *buffer = malloc(capacity);
    assert_non_null(buffer);
    unsigned char *start = build_nest(buffer, capacity, 800000);

    assert_int_equal(unpack(&nest_descriptor, start, (size_t)(buffer + capacity - start)),
                     SYN_INVALID_ARGUMENT);
    free(buffer);
}

static void text_must_be_utf8_without_nul_and_bytes_may_be_anything(void **state)
{
    (void)state;
    /* GetJobRequest.job_id = 1 is a string, CancelJobRequest.text = 3 is bytes */
    assert_int_equal(unpack(&syncline__v1__get_job_request__descriptor, "\x0a\x02\xc3\xa4", 4),
                     SYN_OK);
    assert_int_equal(unpack(&syncline__v1__get_job_request__descriptor, "\x0a\x02\xc3\x28", 4),
                     SYN_INVALID_ARGUMENT);
    assert_non_null(strstr(syn_error_message(), "syncline.v1.GetJobRequest, field job_id"));
    assert_int_equal(unpack(&syncline__v1__get_job_request__descriptor,
                            "\x0a\x03"
                            "a\0b",
                            5),
                     SYN_INVALID_ARGUMENT);
    assert_int_equal(unpack(&syncline__v1__cancel_job_request__descriptor,
                            "\x1a\x03"
                            "\xff\0b",
                            5),
                     SYN_OK);
}

static void malformed_fields_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } bad[] = {
        {"\x0a", 1},                                              /* no length */
        {"\x0a\x05xyz", 5},                                       /* shorter than its length */
        {"\x0a\xff\xff\xff\xff\x0f", 6},                          /* 4 GiB announced */
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11},     /* a length of ten bytes */
        {"\x18", 1},                                              /* no number */
        {"\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12}, /* a number of eleven bytes */
        {"\x80", 1},                                              /* half a tag */
        {"\xff\xff\xff\xff\xff\x01", 6},                          /* a tag of six bytes */
        {"\x02\x00", 2},                                          /* field number 0 */
        {"\x0b\x0c", 2},                                          /* a group */
        {"\x0c", 1},                                              /* the end of a group */
        {"\x0e", 1},                                              /* wire type 6 */
        {"\x0f", 1},                                              /* wire type 7 */
        {"\x08\x01", 2},                                          /* job_id as a number */
        {"\x1a\x01\x01", 3},                                      /* state as text */
        {"\xb1\x01\x01\x02\x03", 5},                              /* a double that is cut off */
        {"\xfd\x7f\x01\x02", 4},                                  /* an unknown one cut off */
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        syn_error_clear();
        if (unpack(JOB_DESCRIPTOR, bad[i].bytes, bad[i].size) != SYN_INVALID_ARGUMENT)
            fail_msg("case %zu was not refused", i);
        assert_non_null(strstr(syn_error_message(), "malformed message"));
    }
}

static void packed_numbers_must_fill_their_field(void **state)
{
    (void)state;
    /* Assignment.members = 7, repeated uint32 */
    const ProtobufCMessageDescriptor *d = &syncline__v1__assignment__descriptor;

    assert_int_equal(unpack(d, "\x3a\x03\x01\x80\x01", 5), SYN_OK);
    assert_int_equal(unpack(d, "\x3a\x02\x01\x80", 4), SYN_INVALID_ARGUMENT);
    assert_int_equal(unpack(d, "\x38\x05\x38\x06", 4), SYN_OK); /* one by one is allowed, too */
}

static void unknown_fields_pass(void **state)
{
    (void)state;
    static const char unknown[] = "\xf8\x07\x01\xfa\x07\x02hi\xfd\x07\x01\x02\x03\x04";

    assert_int_equal(unpack(JOB_DESCRIPTOR, unknown, sizeof unknown - 1), SYN_OK);
}

static void a_message_that_would_swell_is_refused(void **state)
{
    (void)state;
    /* SubmitJobRequest.overrides = 4, repeated bytes: two bytes of wire become an element of 16 and
     * more */
    size_t size = 2 * 1000 * 1000;
    unsigned char *bytes = malloc(size);
    assert_non_null(bytes);
    for (size_t i = 0; i < size; i += 2) {
        bytes[i] = 4 << 3 | 2;
        bytes[i + 1] = 0;
    }

    assert_int_equal(unpack(&syncline__v1__submit_job_request__descriptor, bytes, size),
                     SYN_RESOURCE_EXHAUSTED);
    assert_int_equal(unpack(&syncline__v1__submit_job_request__descriptor, bytes, 20000), SYN_OK);
    free(bytes);
}

static void merging_a_message_again_and_again_stays_in_the_budget(void **state)
{
    (void)state;
    /* RegisterWorkerResponse.assignment = 1 many times: protobuf-c merges, copying all members so
     * far each time */
    size_t n = 4000, size = n * 5;
    unsigned char *bytes = malloc(size);
    assert_non_null(bytes);
    for (size_t i = 0; i < n; i++)
        memcpy(bytes + i * 5, "\x0a\x03\x3a\x01\x07", 5);

    assert_int_equal(unpack(&syncline__v1__register_worker_response__descriptor, bytes, size),
                     SYN_RESOURCE_EXHAUSTED);
    assert_int_equal(unpack(&syncline__v1__register_worker_response__descriptor, bytes, 50),
                     SYN_OK);
    free(bytes);
}

static void every_prefix_of_a_message_is_judged_without_harm(void **state)
{
    (void)state;
    Syncline__V1__Event event = SYNCLINE__V1__EVENT__INIT, *events[] = {&event, &event};
    Syncline__V1__Job job = SYNCLINE__V1__JOB__INIT;
    Syncline__V1__GetJobResponse response = SYNCLINE__V1__GET_JOB_RESPONSE__INIT;
    unsigned char *bytes;
    size_t size, n_passed = 0;
    event.job_id = (char *)"j-1";
    event.text = (ProtobufCBinaryData){5, (uint8_t *)"hello"};
    job.elapsed_s = 2.5;
    job.name = (ProtobufCBinaryData){4, (uint8_t *)"mine"};
    response.job = &job;
    response.n_events = 2;
    response.events = events;
    assert_int_equal(syn_wire_pack(&response.base, &bytes, &size), SYN_OK);

    for (size_t n = 0; n <= size; n++) {
        unsigned char *part = malloc(n + 1); /* of this size, so that reading past it shows */
        assert_non_null(part);
        memcpy(part, bytes, n);
        part = realloc(part, n ? n : 1);
        n_passed += unpack(response.base.descriptor, part, n) == SYN_OK;
        free(part);
    }

    assert_int_equal(n_passed, 4); /* whole fields only: none, the job, and each event */
    syn_free(bytes);
}

static void random_bytes_never_do_harm(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *descriptors[] = {
        JOB_DESCRIPTOR, &syncline__v1__worker_report__descriptor, &nest_descriptor,
        &grpc__reflection__v1__server_reflection_response__descriptor};
    uint64_t seed = 88172645463325252u;
    unsigned char bytes[64];

    for (int round = 0; round < 20000; round++) {
        for (size_t i = 0; i < sizeof bytes; i++) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            bytes[i] = (unsigned char)(seed % 5 ? seed % 40 : seed >> 32);
        }
        (void)unpack(descriptors[round % 4], bytes, (size_t)(seed >> 40) % sizeof bytes);
    }
}

static void a_failed_allocation_is_an_error_and_leaks_nothing(void **state)
{
    (void)state;
    ProtobufCMessage *message = NULL;

    for (long n = 1;; n++) {
        syn_mem_fail_after(n);
        syn_status status =
            syn_wire_unpack(&syncline__v1__get_job_request__descriptor, "\x0a\x03j-1", 5, &message);
        bool has_failed = syn_mem_has_failed();
        syn_mem_fail_after(0);
        if (!has_failed) {
            assert_int_equal(status, SYN_OK);
            break;
        }
        assert_int_equal(status, SYN_RESOURCE_EXHAUSTED);
    }
    syn_wire_free(message);
}

static void the_reader_gives_fields_in_order(void **state)
{
    (void)state;
    static const unsigned char bytes[] = "\x08\x96\x01\x12\x03"
                                         "abc\x1d\x01\x00\x00\x00\x21\x02\0\0\0\0\0\0\0";
    syn_wire_reader reader = {bytes, bytes + sizeof bytes - 1};
    syn_wire_field field;
    bool has_field;

    assert_int_equal(syn_wire_next(&reader, &field, &has_field), SYN_OK);
    assert_int_equal(field.number, 1);
    assert_int_equal(field.value, 150);
    assert_int_equal(syn_wire_next(&reader, &field, &has_field), SYN_OK);
    assert_int_equal(field.size, 3);
    assert_memory_equal(field.bytes, "abc", 3);
    assert_int_equal(syn_wire_next(&reader, &field, &has_field), SYN_OK);
    assert_int_equal(field.value, 1);
    assert_int_equal(syn_wire_next(&reader, &field, &has_field), SYN_OK);
    assert_int_equal(field.value, 2);
    assert_int_equal(syn_wire_next(&reader, &field, &has_field), SYN_OK);
    assert_false(has_field);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_packed_message_comes_back_equal),
        cmocka_unit_test(an_empty_message_is_whole),
        cmocka_unit_test(nesting_is_allowed_up_to_the_limit_and_not_beyond),
        cmocka_unit_test(a_nested_bomb_is_refused_and_not_followed),
        cmocka_unit_test(text_must_be_utf8_without_nul_and_bytes_may_be_anything),
        cmocka_unit_test(malformed_fields_are_refused),
        cmocka_unit_test(packed_numbers_must_fill_their_field),
        cmocka_unit_test(unknown_fields_pass),
        cmocka_unit_test(a_message_that_would_swell_is_refused),
        cmocka_unit_test(merging_a_message_again_and_again_stays_in_the_budget),
        cmocka_unit_test(every_prefix_of_a_message_is_judged_without_harm),
        cmocka_unit_test(random_bytes_never_do_harm),
        cmocka_unit_test(a_failed_allocation_is_an_error_and_leaks_nothing),
        cmocka_unit_test(the_reader_gives_fields_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
