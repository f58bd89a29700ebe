/* The blocking client against a server on a thread of its own. */
#include "tests/unit/common/rpc/harness.h"

#include "common/base/clock.h"

#include <pthread.h>

/* A server thread; it answers until it is told to stop. */
typedef struct service {
    pthread_t thread;
    pthread_barrier_t ready;
    uv_loop_t loop;
    uv_async_t stop;
    echo_server echo;
    char address[64];
} service;

static void on_stop(uv_async_t *async)
{
    service *s = async->data;
    syn_rpc_call_unref(s->echo.kept);
    syn_rpc_server_close(s->echo.server, NULL, NULL);
    uv_close((uv_handle_t *)async, NULL);
}

static void *serve(void *argument)
{
    service *s = argument;

    assert_int_equal(uv_loop_init(&s->loop), 0);
    assert_int_equal(uv_async_init(&s->loop, &s->stop, on_stop), 0);
    s->stop.data = s;
    echo_server_init(&s->echo, &s->loop, NULL);
    assert_int_equal(syn_rpc_server_listen(s->echo.server, ":0"), SYN_OK);
    (void)snprintf(s->address, sizeof s->address, "%s", syn_rpc_server_address(s->echo.server, 0));
    (void)pthread_barrier_wait(&s->ready);
    run_down(&s->loop);
    return NULL;
}

static service *service_start(void)
{
    service *s = calloc(1, sizeof *s);
    assert_non_null(s);
    assert_int_equal(pthread_barrier_init(&s->ready, NULL, 2), 0);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
    (void)pthread_barrier_wait(&s->ready);
    return s;
}

static void service_stop(service *s)
{
    assert_int_equal(uv_async_send(&s->stop), 0);
    assert_int_equal(pthread_join(s->thread, NULL), 0);
    (void)pthread_barrier_destroy(&s->ready);
    free(s);
}

static syn_status call(syn_rpc_blocking *client, uint64_t what, const char *text,
                       uint32_t timeout_ms, ProtobufCMessage **response_out)
{
    chunk request = SYNCLINE__V1__TAIL_LOGS_RESPONSE__INIT;
    request.offset = what;
    request.data = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
    return syn_rpc_blocking_call(client, &echo_unary, &request.base, timeout_ms, response_out);
}

static void a_call_waits_for_its_answer(void **state)
{
    (void)state;
    service *s = service_start();
    syn_rpc_blocking *client;
    ProtobufCMessage *response;
    assert_int_equal(syn_rpc_blocking_new(s->address, &client), SYN_OK);

    for (int i = 0; i < 50; i++) {
        assert_int_equal(call(client, i % 2 ? DO_ECHO : DO_LATER, "text", 5000, &response), SYN_OK);
        assert_int_equal(((chunk *)response)->data.len, 4);
        syn_wire_free(response);
    }

    syn_rpc_blocking_free(client);
    service_stop(s);
}

static void failures_record_the_servers_sentence(void **state)
{
    (void)state;
    service *s = service_start();
    syn_rpc_blocking *client;
    ProtobufCMessage *response = NULL;
    assert_int_equal(syn_rpc_blocking_new(s->address, &client), SYN_OK);

    assert_int_equal(call(client, DO_FAIL, "no such thing", 0, &response), SYN_FAILED_PRECONDITION);
    assert_string_equal(syn_error_message(), "no such thing");
    assert_int_equal(call(client, DO_FAIL, "", 0, &response), SYN_FAILED_PRECONDITION);
    assert_string_equal(syn_error_message(), "failed precondition"); /* never an empty sentence */
    assert_int_equal(call(client, DO_TWICE, "", 0, &response), SYN_INTERNAL);
    assert_int_equal(call(client, DO_NOTHING_OK, "", 0, &response), SYN_INTERNAL);
    assert_null(response);

    syn_rpc_blocking_free(client);
    service_stop(s);
}

static void a_call_ends_at_its_timeout(void **state)
{
    (void)state;
    service *s = service_start();
    syn_rpc_blocking *client;
    ProtobufCMessage *response;
    assert_int_equal(syn_rpc_blocking_new(s->address, &client), SYN_OK);

    assert_int_equal(call(client, DO_HANG, "", 40, &response), SYN_DEADLINE_EXCEEDED);
    assert_int_equal(call(client, DO_ECHO, "", 5000, &response), SYN_OK); /* and life goes on */

    syn_wire_free(response);
    syn_rpc_blocking_free(client);
    service_stop(s);
}

static void a_server_that_is_away_is_unavailable(void **state)
{
    (void)state;
    syn_rpc_blocking *client;
    ProtobufCMessage *response;
    assert_int_equal(syn_rpc_blocking_new("unix:///nonexistent/s", &client), SYN_OK);

    assert_int_equal(call(client, DO_ECHO, "", 5000, &response), SYN_UNAVAILABLE);
    assert_string_equal(syn_error_message(),
                        "cannot reach the coordinator at unix:///nonexistent/s: No such file or "
                        "directory");
    syn_rpc_blocking_free(client);
    assert_int_equal(syn_rpc_blocking_new("not an address", &client), SYN_INVALID_ARGUMENT);
    syn_rpc_blocking_free(NULL);
}

static void a_stream_is_read_message_by_message(void **state)
{
    (void)state;
    service *s = service_start();
    syn_rpc_blocking *client;
    syn_rpc_blocking_stream *stream;
    chunk request = SYNCLINE__V1__TAIL_LOGS_RESPONSE__INIT;
    ProtobufCMessage *message;
    bool is_end = false;
    size_t n = 0;
    request.offset = DO_MANY + 2000;
    request.data = (ProtobufCBinaryData){1000, calloc(1, 1000)};
    assert_int_equal(syn_rpc_blocking_new(s->address, &client), SYN_OK);
    assert_int_equal(syn_rpc_blocking_open(client, &echo_stream, &request.base, 0, &stream),
                     SYN_OK);

    while (syn_rpc_blocking_next(stream, UINT32_MAX, &message, &is_end) == SYN_OK && !is_end) {
        n += ((chunk *)message)->data.len;
        syn_wire_free(message);
    }

    assert_int_equal(n, 2000 * 1000);
    assert_true(is_end);
    assert_int_equal(syn_rpc_blocking_next(stream, 0, &message, &is_end), SYN_OK); /* again */
    assert_true(is_end);
    syn_rpc_blocking_close(stream);
    syn_rpc_blocking_free(client);
    free(request.data.data);
    service_stop(s);
}

static void waiting_for_a_message_has_its_own_timeout(void **state)
{
    (void)state;
    service *s = service_start();
    syn_rpc_blocking *client;
    syn_rpc_blocking_stream *stream;
    chunk request = SYNCLINE__V1__TAIL_LOGS_RESPONSE__INIT;
    ProtobufCMessage *message;
    bool is_end;
    request.offset = DO_HANG;
    assert_int_equal(syn_rpc_blocking_new(s->address, &client), SYN_OK);
    assert_int_equal(syn_rpc_blocking_open(client, &echo_unary, &request.base, 0, &stream), SYN_OK);

    uint64_t before = syn_clock_monotonic_ns();
    assert_int_equal(syn_rpc_blocking_next(stream, 30, &message, &is_end), SYN_OK);
    assert_true(syn_clock_monotonic_ns() - before >= 29000000);
    assert_null(message);
    assert_false(is_end);
    assert_int_equal(syn_rpc_blocking_next(stream, 0, &message, &is_end), SYN_OK);
    assert_null(message);

    syn_rpc_blocking_close(stream); /* cancels */
    syn_rpc_blocking_free(client);
    service_stop(s);
}

static void a_lost_server_is_told_by_next_again_and_again(void **state)
{
    (void)state;
    service *s = service_start();
    syn_rpc_blocking *client;
    syn_rpc_blocking_stream *stream;
    chunk request = SYNCLINE__V1__TAIL_LOGS_RESPONSE__INIT;
    ProtobufCMessage *message;
    bool is_end;
    request.offset = DO_HANG;
    assert_int_equal(syn_rpc_blocking_new(s->address, &client), SYN_OK);
    assert_int_equal(syn_rpc_blocking_open(client, &echo_unary, &request.base, 0, &stream), SYN_OK);
    assert_int_equal(syn_rpc_blocking_next(stream, 20, &message, &is_end), SYN_OK);

    service_stop(s);

    for (int i = 0; i < 2; i++) {
        assert_int_equal(syn_rpc_blocking_next(stream, UINT32_MAX, &message, &is_end),
                         SYN_UNAVAILABLE);
        assert_true(is_end);
        assert_true(*syn_error_message() != '\0');
    }
    syn_rpc_blocking_close(stream);
    syn_rpc_blocking_free(client);
}

static void *hammer(void *address)
{
    syn_rpc_blocking *client;
    ProtobufCMessage *response;

    assert_int_equal(syn_rpc_blocking_new(address, &client), SYN_OK);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(call(client, DO_ECHO, "text", 20000, &response), SYN_OK);
        syn_wire_free(response);
    }
    syn_rpc_blocking_free(client);
    return NULL;
}

static void several_threads_have_a_client_each(void **state)
{
    (void)state;
    service *s = service_start();
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, s->address), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);

    service_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_waits_for_its_answer),
        cmocka_unit_test(failures_record_the_servers_sentence),
        cmocka_unit_test(a_call_ends_at_its_timeout),
        cmocka_unit_test(a_server_that_is_away_is_unavailable),
        cmocka_unit_test(a_stream_is_read_message_by_message),
        cmocka_unit_test(waiting_for_a_message_has_its_own_timeout),
        cmocka_unit_test(a_lost_server_is_told_by_next_again_and_again),
        cmocka_unit_test(several_threads_have_a_client_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
