/* grpc.reflection: the files and symbols of the linked-in descriptor sets, for tools that know none
 * of them. */
#include "common/rpc/server_internal.h"

#include "grpc/reflection/v1/reflection.pb-c.h"

#include <stdio.h>
#include <string.h>

typedef Grpc__Reflection__V1__ServerReflectionRequest reflection_request;
typedef Grpc__Reflection__V1__ServerReflectionResponse reflection_response;

/* Field numbers of google/protobuf/descriptor.proto. */
enum {
    SET_FILE = 1,
    FILE_NAME = 1,
    FILE_PACKAGE = 2,
    FILE_DEPENDENCY = 3,
    FILE_MESSAGE = 4,
    FILE_ENUM = 5,
    FILE_SERVICE = 6,
    ANY_NAME = 1, /* of messages, fields, enums, values, services, methods */
    MESSAGE_FIELD = 2,
    MESSAGE_NESTED = 3,
    MESSAGE_ENUM = 4,
    MESSAGE_ONEOF = 8,
    ENUM_VALUE = 2,
    SERVICE_METHOD = 2,
    MAX_NESTING = 32,
    MAX_REPLY_FILES = 256,
};

typedef struct file {
    const char *name;
    ProtobufCBinaryData bytes; /* borrowed from the set */
    bool is_marked;            /* already in the answer being made */
} file;

typedef struct symbol {
    const char *name; /* full, without a leading dot */
    size_t file;
} symbol;

struct syn_reflection {
    syn_arena arena; /* of the names */
    SYN_VEC(file) files;
    SYN_VEC(symbol) symbols;
    SYN_VEC(const char *) services;
};

/* Both versions have the same messages on the wire. */
static const syn_rpc_method v1_method = {
    .service = "grpc.reflection.v1.ServerReflection",
    .name = "ServerReflectionInfo",
    .request = &grpc__reflection__v1__server_reflection_request__descriptor,
    .response = &grpc__reflection__v1__server_reflection_response__descriptor,
    .client_streaming = true,
    .server_streaming = true,
};
static const syn_rpc_method v1alpha_method = {
    .service = "grpc.reflection.v1alpha.ServerReflection",
    .name = "ServerReflectionInfo",
    .request = &grpc__reflection__v1__server_reflection_request__descriptor,
    .response = &grpc__reflection__v1__server_reflection_response__descriptor,
    .client_streaming = true,
    .server_streaming = true,
};

/* ---- the index ---- */

static syn_status out_of_memory(void)
{
    return syn_fail_memory(sizeof(symbol), "the reflection index");
}

/* The value of a text field, "" when it is absent. Borrowed, not terminated. */
static syn_status text_field(const syn_wire_field *message, uint32_t number, const char **text_out,
                             int *length_out)
{
    syn_wire_reader reader = {message->bytes, message->bytes + message->size};
    syn_wire_field field;
    bool has_field;

    *text_out = "";
    *length_out = 0;
    for (;;) {
        SYN_TRY(syn_wire_next(&reader, &field, &has_field));
        if (!has_field)
            return SYN_OK;
        if (field.number == number && field.type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED) {
            *text_out = (const char *)field.bytes;
            *length_out = (int)field.size;
        }
    }
}

/* Notes "<scope>.<name>" of one declaration; its full name is `*full_out`. */
static syn_status add_symbol(syn_reflection *r, const char *scope, const syn_wire_field *declared,
                             const char **full_out)
{
    const char *name;
    int length;

    SYN_TRY(text_field(declared, ANY_NAME, &name, &length));
    const char *full =
        syn_arena_printf(&r->arena, "%s%s%.*s", scope, *scope ? "." : "", length, name);
    if (!full || !syn_vec_push(&r->symbols, (symbol){full, r->files.n - 1}))
        return out_of_memory();
    *full_out = full;
    return SYN_OK;
}

/* Notes the declarations in a message, enum or service: those whose field number is in `numbers`
 * (ended by 0). */
static syn_status add_members(syn_reflection *r, const char *scope, const syn_wire_field *outer,
                              const uint32_t *numbers)
{
    syn_wire_reader reader = {outer->bytes, outer->bytes + outer->size};
    syn_wire_field field;
    const char *full;
    bool has_field;

    for (;;) {
        SYN_TRY(syn_wire_next(&reader, &field, &has_field));
        if (!has_field)
            return SYN_OK;
        for (const uint32_t *n = numbers; *n; n++)
            if (field.number == *n && field.type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
                SYN_TRY(add_symbol(r, scope, &field, &full));
    }
}

static syn_status add_enum(syn_reflection *r, const char *scope, const syn_wire_field *declared)
{
    const char *full;

    SYN_TRY(add_symbol(r, scope, declared, &full));
    /* values are siblings of their enum, as in C++ */
    return add_members(r, scope, declared, (const uint32_t[]){ENUM_VALUE, 0});
}

static syn_status add_message(syn_reflection *r, const char *scope, const syn_wire_field *declared,
                              int depth)
{
    syn_wire_reader reader = {declared->bytes, declared->bytes + declared->size};
    syn_wire_field field;
    const char *full;
    bool has_field;

    if (depth > MAX_NESTING)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "a descriptor is nested deeper than %d", MAX_NESTING);
    SYN_TRY(add_symbol(r, scope, declared, &full));
    SYN_TRY(add_members(r, full, declared, (const uint32_t[]){MESSAGE_FIELD, MESSAGE_ONEOF, 0}));
    for (;;) {
        SYN_TRY(syn_wire_next(&reader, &field, &has_field));
        if (!has_field)
            return SYN_OK;
        if (field.type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
            continue;
        if (field.number == MESSAGE_NESTED)
            SYN_TRY(add_message(r, full, &field, depth + 1));
        else if (field.number == MESSAGE_ENUM)
            SYN_TRY(add_enum(r, full, &field));
    }
}

static syn_status add_declarations(syn_reflection *r, const char *package,
                                   const syn_wire_field *descriptor)
{
    syn_wire_reader reader = {descriptor->bytes, descriptor->bytes + descriptor->size};
    syn_wire_field field;
    const char *full;
    bool has_field;

    for (;;) {
        SYN_TRY(syn_wire_next(&reader, &field, &has_field));
        if (!has_field)
            return SYN_OK;
        if (field.type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
            continue;
        if (field.number == FILE_MESSAGE) {
            SYN_TRY(add_message(r, package, &field, 1));
        } else if (field.number == FILE_ENUM) {
            SYN_TRY(add_enum(r, package, &field));
        } else if (field.number == FILE_SERVICE) {
            SYN_TRY(add_symbol(r, package, &field, &full));
            SYN_TRY(add_members(r, full, &field, (const uint32_t[]){SERVICE_METHOD, 0}));
        }
    }
}

static file *find_file(syn_reflection *r, const char *name, size_t length)
{
    for (size_t i = 0; i < r->files.n; i++)
        if (strlen(r->files.items[i].name) == length &&
            memcmp(r->files.items[i].name, name, length) == 0)
            return &r->files.items[i];
    return NULL;
}

static syn_status add_file(syn_reflection *r, const syn_wire_field *descriptor)
{
    const char *text;
    int length;

    SYN_TRY(text_field(descriptor, FILE_NAME, &text, &length));
    if (find_file(r, text, (size_t)length))
        return SYN_OK; /* in several sets */
    const char *name = syn_arena_printf(&r->arena, "%.*s", length, text);
    SYN_TRY(text_field(descriptor, FILE_PACKAGE, &text, &length));
    const char *package = syn_arena_printf(&r->arena, "%.*s", length, text);
    ProtobufCBinaryData bytes = {descriptor->size, (uint8_t *)descriptor->bytes};
    if (!name || !package || !syn_vec_push(&r->files, (file){name, bytes, false}))
        return out_of_memory();
    return add_declarations(r, package, descriptor);
}

static syn_status add_set(syn_reflection *r, const syn_descriptor_set *set)
{
    syn_wire_reader reader = {set->bytes, set->bytes + set->size};
    syn_wire_field field;
    bool has_field;

    for (;;) {
        SYN_TRY(syn_wire_next(&reader, &field, &has_field));
        if (!has_field)
            return SYN_OK;
        if (field.number == SET_FILE && field.type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
            SYN_TRY(add_file(r, &field));
    }
}

syn_status syn_reflection_new(const syn_descriptor_set *sets, size_t n_sets,
                              syn_reflection **reflection_out)
{
    syn_reflection *r = syn_calloc(1, sizeof *r);

    if (!r)
        return out_of_memory();
    for (size_t i = 0; i < n_sets; i++) {
        syn_status status = add_set(r, &sets[i]);
        if (status != SYN_OK) {
            syn_reflection_free(r);
            return status;
        }
    }
    *reflection_out = r;
    return SYN_OK;
}

void syn_reflection_free(syn_reflection *reflection)
{
    if (!reflection)
        return;
    syn_vec_release(&reflection->files);
    syn_vec_release(&reflection->symbols);
    syn_vec_release(&reflection->services);
    syn_arena_release(&reflection->arena);
    syn_free(reflection);
}

syn_status syn_reflection_add_service(syn_reflection *reflection, const char *name)
{
    const char *copy = syn_arena_strdup(&reflection->arena, name);

    return copy && syn_vec_push(&reflection->services, copy) ? SYN_OK : out_of_memory();
}

/* ---- answers ---- */

typedef struct file_list {
    ProtobufCBinaryData items[MAX_REPLY_FILES];
    size_t n;
} file_list;

/* Appends a file and what it imports, each once. The list itself is the queue of what is still to
 * be looked at. */
static syn_status collect_files(syn_reflection *r, file *start, file_list *list)
{
    for (size_t i = 0; i < r->files.n; i++)
        r->files.items[i].is_marked = false;
    start->is_marked = true;
    list->items[0] = start->bytes;
    list->n = 1;
    for (size_t i = 0; i < list->n; i++) {
        syn_wire_reader reader = {list->items[i].data, list->items[i].data + list->items[i].len};
        syn_wire_field field;
        bool has_field = true;
        while (has_field) {
            SYN_TRY(syn_wire_next(&reader, &field, &has_field));
            if (!has_field || field.number != FILE_DEPENDENCY)
                continue;
            file *next = find_file(r, (const char *)field.bytes, field.size);
            if (!next || next->is_marked || list->n == MAX_REPLY_FILES)
                continue;
            next->is_marked = true;
            list->items[list->n++] = next->bytes;
        }
    }
    return SYN_OK;
}

/* The answer to `request` without its body. */
static reflection_response answer_to(const reflection_request *request)
{
    reflection_response response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;

    response.valid_host = request->host;
    response.original_request = (reflection_request *)request;
    return response;
}

static void reply_error(syn_rpc_call *call, const reflection_request *request, syn_status code,
                        const char *text)
{
    Grpc__Reflection__V1__ErrorResponse error = GRPC__REFLECTION__V1__ERROR_RESPONSE__INIT;
    reflection_response response = answer_to(request);

    error.error_code = (int32_t)code;
    error.error_message = (char *)text;
    response.message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
    response.error_response = &error;
    (void)syn_rpc_call_send(call, &response.base); /* a failure ends the call */
}

static void reply_file(syn_rpc_call *call, const reflection_request *request, syn_reflection *r,
                       file *found)
{
    Grpc__Reflection__V1__FileDescriptorResponse files =
        GRPC__REFLECTION__V1__FILE_DESCRIPTOR_RESPONSE__INIT;
    reflection_response response = answer_to(request);
    file_list list;

    if (!found) {
        reply_error(call, request, SYN_NOT_FOUND, "the server does not know this");
        return;
    }
    if (collect_files(r, found, &list) != SYN_OK) {
        reply_error(call, request, SYN_INTERNAL, syn_error_message());
        return;
    }
    files.n_file_descriptor_proto = list.n;
    files.file_descriptor_proto = list.items;
    response.message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
    response.file_descriptor_response = &files;
    (void)syn_rpc_call_send(call, &response.base);
}

static void reply_services(syn_rpc_call *call, const reflection_request *request, syn_reflection *r)
{
    Grpc__Reflection__V1__ListServiceResponse list =
        GRPC__REFLECTION__V1__LIST_SERVICE_RESPONSE__INIT;
    reflection_response response = answer_to(request);
    Grpc__Reflection__V1__ServiceResponse *items = syn_calloc(r->services.n, sizeof *items);
    Grpc__Reflection__V1__ServiceResponse **pointers = syn_calloc(r->services.n, sizeof *pointers);

    if (!items || !pointers) {
        reply_error(call, request, SYN_RESOURCE_EXHAUSTED, "the server is out of memory");
        goto out;
    }
    for (size_t i = 0; i < r->services.n; i++) {
        grpc__reflection__v1__service_response__init(&items[i]);
        items[i].name = (char *)r->services.items[i];
        pointers[i] = &items[i];
    }
    list.n_service = r->services.n;
    list.service = pointers;
    response.message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
    response.list_services_response = &list;
    (void)syn_rpc_call_send(call, &response.base);
out:
    syn_free(items);
    syn_free(pointers);
}

static file *file_of_symbol(syn_reflection *r, const char *name)
{
    for (size_t i = 0; i < r->symbols.n; i++)
        if (strcmp(r->symbols.items[i].name, name) == 0)
            return &r->files.items[r->symbols.items[i].file];
    return NULL;
}

static void reply_extension_numbers(syn_rpc_call *call, const reflection_request *request,
                                    syn_reflection *r)
{
    Grpc__Reflection__V1__ExtensionNumberResponse numbers =
        GRPC__REFLECTION__V1__EXTENSION_NUMBER_RESPONSE__INIT;
    reflection_response response = answer_to(request);

    if (!file_of_symbol(r, request->all_extension_numbers_of_type)) {
        reply_error(call, request, SYN_NOT_FOUND, "the server does not know this type");
        return;
    }
    /* proto3 messages have no extensions: the list is empty */
    numbers.base_type_name = request->all_extension_numbers_of_type;
    response.message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ALL_EXTENSION_NUMBERS_RESPONSE;
    response.all_extension_numbers_response = &numbers;
    (void)syn_rpc_call_send(call, &response.base);
}

static void on_request(syn_rpc_call *call, const ProtobufCMessage *message, void *user)
{
    const reflection_request *request = (const reflection_request *)message;
    syn_reflection *r = user;

    switch (request->message_request_case) {
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
        reply_file(call, request, r,
                   find_file(r, request->file_by_filename, strlen(request->file_by_filename)));
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
        reply_file(call, request, r, file_of_symbol(r, request->file_containing_symbol));
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_EXTENSION:
        reply_error(call, request, SYN_NOT_FOUND, "the server has no extensions");
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_ALL_EXTENSION_NUMBERS_OF_TYPE:
        reply_extension_numbers(call, request, r);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
        reply_services(call, request, r);
        break;
    default:
        reply_error(call, request, SYN_INVALID_ARGUMENT, "the request asks nothing");
        break;
    }
}

static void on_half_close(syn_rpc_call *call, void *user)
{
    (void)user;
    syn_rpc_call_finish(call, SYN_OK, NULL);
}

static const syn_rpc_handler v1_handlers[] = {
    {.method = &v1_method, .on_message = on_request, .on_half_close = on_half_close},
};
static const syn_rpc_handler v1alpha_handlers[] = {
    {.method = &v1alpha_method, .on_message = on_request, .on_half_close = on_half_close},
};

syn_rpc_service syn_reflection_service(syn_reflection *reflection)
{
    return (syn_rpc_service){v1_handlers, 1, reflection};
}

syn_rpc_service syn_reflection_service_v1alpha(syn_reflection *reflection)
{
    return (syn_rpc_service){v1alpha_handlers, 1, reflection};
}
