/* The method table against the descriptors generated from the .proto files. */
#include "common/rpc/methods.h"

#include "common/rpc/wire.h"
#include "syncline/v1/cluster.pb-c.h"
#include "syncline/v1/jobs.pb-c.h"
#include "syncline/v1/workers.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

extern const unsigned char syn_proto_descriptors[];
extern const size_t syn_proto_descriptors_size;

static const syn_rpc_method *const methods[] = {
#define SYN_ADDRESS(symbol, ...) &syn_rpc_##symbol,
    SYN_RPC_METHOD_LIST(SYN_ADDRESS)
#undef SYN_ADDRESS
};
static const size_t n_methods = sizeof methods / sizeof *methods;

static const syn_rpc_method *find(const char *service, const char *name, size_t length)
{
    for (size_t i = 0; i < n_methods; i++)
        if (strcmp(methods[i]->service, service) == 0 && strlen(methods[i]->name) == length &&
            memcmp(methods[i]->name, name, length) == 0)
            return methods[i];
    fail_msg("%s/%.*s is missing in the table", service, (int)length, name);
    return NULL;
}

static void every_method_of_the_services_is_listed_with_its_types(void **state)
{
    (void)state;
    const ProtobufCServiceDescriptor *services[] = {&syncline__v1__jobs__descriptor,
                                                    &syncline__v1__workers__descriptor,
                                                    &syncline__v1__cluster__descriptor};
    size_t n = 0;

    for (size_t i = 0; i < 3; i++)
        for (unsigned k = 0; k < services[i]->n_methods; k++, n++) {
            const ProtobufCMethodDescriptor *expected = &services[i]->methods[k];
            const syn_rpc_method *m =
                find(services[i]->name, expected->name, strlen(expected->name));
            assert_ptr_equal(m->request, expected->input);
            assert_ptr_equal(m->response, expected->output);
        }
    assert_int_equal(n, n_methods); /* and no others */
}

/* Calls `visit` for each field `number` in `message`. */
static void each(const syn_wire_field *message, uint32_t number, const char *context,
                 void (*visit)(const syn_wire_field *field, const char *context))
{
    syn_wire_reader reader = {message->bytes, message->bytes + message->size};
    syn_wire_field field;
    bool has_field;

    for (;;) {
        assert_int_equal(syn_wire_next(&reader, &field, &has_field), SYN_OK);
        if (!has_field)
            return;
        if (field.number == number)
            visit(&field, context);
    }
}

static size_t n_visited;

static void visit_method(const syn_wire_field *method, const char *service)
{
    syn_wire_reader reader = {method->bytes, method->bytes + method->size};
    syn_wire_field field, name = {0};
    bool has_field, client = false, server = false;

    for (;;) {
        assert_int_equal(syn_wire_next(&reader, &field, &has_field), SYN_OK);
        if (!has_field)
            break;
        if (field.number == 1)
            name = field;
        client = client || (field.number == 5 && field.value);
        server = server || (field.number == 6 && field.value);
    }
    const syn_rpc_method *m = find(service, (const char *)name.bytes, name.size);
    assert_int_equal(m->client_streaming, client);
    assert_int_equal(m->server_streaming, server);
    n_visited++;
}

static void visit_service(const syn_wire_field *service, const char *package)
{
    char full[100];
    syn_wire_reader reader = {service->bytes, service->bytes + service->size};
    syn_wire_field name;
    bool has_field;

    (void)package;
    assert_int_equal(syn_wire_next(&reader, &name, &has_field), SYN_OK); /* field 1 comes first */
    assert_int_equal(name.number, 1);
    (void)snprintf(full, sizeof full, "syncline.v1.%.*s", (int)name.size, (const char *)name.bytes);
    each(service, 2, full, visit_method);
}

static void visit_file(const syn_wire_field *file, const char *context)
{
    (void)context;
    if (memmem(file->bytes, file->size < 30 ? file->size : 30, "syncline/v1/", 12))
        each(file, 6, "", visit_service);
}

static void the_streaming_flags_are_those_of_the_files(void **state)
{
    (void)state;
    const syn_wire_field set = {.bytes = syn_proto_descriptors, .size = syn_proto_descriptors_size};

    n_visited = 0;
    each(&set, 1, "", visit_file);

    assert_int_equal(n_visited, n_methods);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_of_the_services_is_listed_with_its_types),
        cmocka_unit_test(the_streaming_flags_are_those_of_the_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
