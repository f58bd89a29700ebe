/* Server reflection as tools use it: services, files by symbol, all they import. */
#include "tests/unit/common/rpc/harness.h"

#include "grpc/reflection/v1alpha/reflection.pb-c.h"

typedef Grpc__Reflection__V1alpha__ServerReflectionRequest reflection_request;
typedef Grpc__Reflection__V1alpha__ServerReflectionResponse reflection_response;

/* v1alpha from its own generated code: the server answers it with that of v1. */
static const syn_rpc_method v1_method = {
    "grpc.reflection.v1.ServerReflection",
    "ServerReflectionInfo",
    &grpc__reflection__v1alpha__server_reflection_request__descriptor,
    &grpc__reflection__v1alpha__server_reflection_response__descriptor,
    true,
    true};
static const syn_rpc_method v1alpha_method = {
    "grpc.reflection.v1alpha.ServerReflection",
    "ServerReflectionInfo",
    &grpc__reflection__v1alpha__server_reflection_request__descriptor,
    &grpc__reflection__v1alpha__server_reflection_response__descriptor,
    true,
    true};

static uv_loop_t loop;
static echo_server echo;
static syn_rpc_channel *channel;
static reflection_response *answers[8];
static size_t n_answers;

static int start(void **state)
{
    (void)state;
    n_answers = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    echo_server_init(&echo, &loop, NULL);
    assert_int_equal(syn_rpc_server_listen(echo.server, ":0"), SYN_OK);
    assert_int_equal(
        syn_rpc_channel_new(&loop, syn_rpc_server_address(echo.server, 0), NULL, &channel), SYN_OK);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_answers; i++)
        syn_wire_free((ProtobufCMessage *)answers[i]);
    syn_rpc_channel_close(channel, NULL, NULL);
    syn_rpc_server_close(echo.server, NULL, NULL);
    run_down(&loop);
    return 0;
}

static void on_message(syn_rpc_client_call *call, const ProtobufCMessage *message, void *user)
{
    (void)message;
    (void)user;
    assert_true(n_answers < 8);
    answers[n_answers++] = (reflection_response *)syn_rpc_client_take_message(call);
}

static const syn_rpc_client_handler handler = {.on_message = on_message, .on_end = heard_on_end};

/* Sends `n` requests in one call; it must end with OK. */
static void ask(const syn_rpc_method *method, const reflection_request *requests, size_t n)
{
    syn_rpc_client_call *call;
    heard h = {0};
    assert_int_equal(syn_rpc_client_start(channel, method, &handler, &h, 0, &call), SYN_OK);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(syn_rpc_client_send(call, &requests[i].base), SYN_OK);
    syn_rpc_client_half_close(call);
    assert_true(run_until(&loop, &h.has_ended));
    assert_int_equal(h.status, SYN_OK);
    assert_int_equal(n_answers, n);
}

static reflection_request symbol_request(const char *symbol)
{
    reflection_request request = GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__INIT;
    request.message_request_case =
        GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL;
    request.file_containing_symbol = (char *)symbol;
    return request;
}

/* The name of the i-th file of an answer: field 1 of a FileDescriptorProto. */
static bool is_file(const reflection_response *answer, size_t i, const char *name)
{
    assert_int_equal(
        answer->message_response_case,
        GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE);
    assert_true(i < answer->file_descriptor_response->n_file_descriptor_proto);
    const ProtobufCBinaryData *file = &answer->file_descriptor_response->file_descriptor_proto[i];
    return file->len > strlen(name) + 2 && file->data[0] == 0x0a && file->data[1] == strlen(name) &&
           memcmp(file->data + 2, name, strlen(name)) == 0;
}

static void services_are_listed_by_both_versions(void **state)
{
    (void)state;
    static const char *const expected[] = {"test.Echo", "grpc.health.v1.Health",
                                           "grpc.reflection.v1.ServerReflection",
                                           "grpc.reflection.v1alpha.ServerReflection"};
    reflection_request request = GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__INIT;
    request.host = (char *)"somewhere";
    request.message_request_case =
        GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES;
    request.list_services = (char *)"*";

    ask(&v1_method, &request, 1);
    syn_wire_free((ProtobufCMessage *)answers[0]);
    n_answers = 0;
    ask(&v1alpha_method, &request, 1);

    assert_string_equal(answers[0]->valid_host, "somewhere");
    assert_string_equal(answers[0]->original_request->list_services, "*");
    assert_int_equal(answers[0]->list_services_response->n_service, 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(answers[0]->list_services_response->service[i]->name, expected[i]);
}

static void every_kind_of_symbol_finds_its_file(void **state)
{
    (void)state;
    const reflection_request requests[] = {
        symbol_request("syncline.v1.Jobs"),                   /* a service */
        symbol_request("syncline.v1.Jobs.SubmitJob"),         /* a method */
        symbol_request("syncline.v1.Job"),                    /* a message */
        symbol_request("syncline.v1.Job.job_id"),             /* a field */
        symbol_request("syncline.v1.JobState"),               /* an enum */
        symbol_request("syncline.v1.JOB_STATE_QUEUED"),       /* a value, a sibling of its enum */
        symbol_request("syncline.v1.TailLogsRequest.source"), /* a oneof */
        symbol_request("grpc.health.v1.HealthCheckResponse.ServingStatus"), /* nested */
    };

    ask(&v1_method, requests, 8);

    assert_true(is_file(answers[0], 0, "syncline/v1/jobs.proto"));
    assert_true(is_file(answers[0], 1, "syncline/v1/job.proto")); /* with what it imports */
    assert_int_equal(answers[0]->file_descriptor_response->n_file_descriptor_proto, 2);
    assert_true(is_file(answers[1], 0, "syncline/v1/jobs.proto"));
    for (size_t i = 2; i < 6; i++)
        assert_true(is_file(answers[i], 0, "syncline/v1/job.proto"));
    assert_true(is_file(answers[6], 0, "syncline/v1/jobs.proto"));
    assert_true(is_file(answers[7], 0, "grpc/health/v1/health.proto"));
}

static void files_are_found_by_name(void **state)
{
    (void)state;
    reflection_request request = GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__INIT;
    request.message_request_case =
        GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME;
    request.file_by_filename = (char *)"syncline/v1/workers.proto";

    ask(&v1alpha_method, &request, 1);

    assert_true(is_file(answers[0], 0, "syncline/v1/workers.proto"));
}

static void what_is_not_there_is_an_error_in_the_answer(void **state)
{
    (void)state;
    reflection_request requests[4] = {symbol_request("no.Such"),
                                      GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__INIT,
                                      GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__INIT,
                                      GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__INIT};
    Grpc__Reflection__V1alpha__ExtensionRequest extension =
        GRPC__REFLECTION__V1ALPHA__EXTENSION_REQUEST__INIT;
    requests[1].message_request_case =
        GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_EXTENSION;
    requests[1].file_containing_extension = &extension;
    requests[2].message_request_case =
        GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_ALL_EXTENSION_NUMBERS_OF_TYPE;
    requests[2].all_extension_numbers_of_type = (char *)"syncline.v1.Job";

    ask(&v1_method, requests, 4); /* the last one asks nothing */

    assert_int_equal(answers[0]->error_response->error_code, SYN_NOT_FOUND);
    assert_int_equal(answers[1]->error_response->error_code, SYN_NOT_FOUND);
    assert_int_equal(answers[2]->all_extension_numbers_response->n_extension_number, 0);
    assert_int_equal(answers[3]->error_response->error_code, SYN_INVALID_ARGUMENT);
}

static void a_broken_descriptor_set_is_refused(void **state)
{
    (void)state;
    syn_rpc_server *server;
    const syn_rpc_server_options options = {.descriptors = (const unsigned char *)"\x0a\x7f",
                                            .descriptors_size = 2};

    assert_int_equal(syn_rpc_server_new(&loop, &options, &server), SYN_INVALID_ARGUMENT);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        T(services_are_listed_by_both_versions),
        T(every_kind_of_symbol_finds_its_file),
        T(files_are_found_by_name),
        T(what_is_not_there_is_an_error_in_the_answer),
        T(a_broken_descriptor_set_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
