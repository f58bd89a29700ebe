/* The asynchronous client: servers that are away, come back, shut down; deadlines; closing. */
#include "tests/unit/common/rpc/harness.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static uv_loop_t loop;

static int start(void **state)
{
    (void)state;
    return uv_loop_init(&loop);
}

static int stop(void **state)
{
    (void)state;
    run_down(&loop);
    return 0;
}

static syn_rpc_channel *channel_to(const char *address)
{
    syn_rpc_channel *channel;
    assert_int_equal(syn_rpc_channel_new(&loop, address, NULL, &channel), SYN_OK);
    return channel;
}

/* A bound socket on 127.0.0.1; connections are taken by the kernel only if `listens`. */
static int raw_server(bool listens, char address[64])
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    if (listens)
        assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &size), 0);
    (void)snprintf(address, 64, "127.0.0.1:%u", ntohs(in.sin_port));
    return fd;
}

static void a_server_that_is_away_is_unavailable_and_named(void **state)
{
    (void)state;
    char address[64], expected[200];
    int fd = raw_server(false, address);
    syn_rpc_channel *channel = channel_to(address);
    heard h;

    (void)start_call(channel, &echo_unary, DO_ECHO, "", 0, &h);
    assert_true(run_until(&loop, &h.has_ended));

    assert_int_equal(h.status, SYN_UNAVAILABLE);
    (void)snprintf(expected, sizeof expected,
                   "cannot reach the coordinator at %s: Connection refused", address);
    assert_string_equal(h.message, expected);
    syn_rpc_channel_close(channel, NULL, NULL);
    (void)close(fd);
}

static void a_unix_socket_that_is_not_there_is_unavailable(void **state)
{
    (void)state;
    syn_rpc_channel *channel = channel_to("unix:///nonexistent/syncline.sock");
    heard h;

    (void)start_call(channel, &echo_unary, DO_ECHO, "", 0, &h);
    assert_true(run_until(&loop, &h.has_ended));

    assert_int_equal(h.status, SYN_UNAVAILABLE);
    assert_string_equal(h.message, "cannot reach the coordinator at unix:///nonexistent/"
                                   "syncline.sock: No such file or directory");
    syn_rpc_channel_close(channel, NULL, NULL);
}

static void the_next_call_connects_again(void **state)
{
    (void)state;
    char *folder = scratch_make(), address[300];
    echo_server first, second;
    heard h;
    (void)snprintf(address, sizeof address, "unix://%s/s", folder);
    syn_rpc_channel *channel = channel_to(address);
    echo_server_init(&first, &loop, NULL);
    assert_int_equal(syn_rpc_server_listen(first.server, address), SYN_OK);
    (void)start_call(channel, &echo_unary, DO_ECHO, "", 0, &h);
    assert_true(run_until(&loop, &h.has_ended));
    assert_int_equal(h.status, SYN_OK);

    syn_rpc_server_close(first.server, echo_on_closed, &first);
    assert_true(run_until(&loop, &first.is_closed));
    (void)start_call(channel, &echo_unary, DO_ECHO, "", 0, &h);
    assert_true(run_until(&loop, &h.has_ended));
    assert_int_equal(h.status, SYN_UNAVAILABLE);
    echo_server_init(&second, &loop, NULL);
    assert_int_equal(syn_rpc_server_listen(second.server, address), SYN_OK);
    (void)start_call(channel, &echo_unary, DO_ECHO, "", 0, &h);
    assert_true(run_until(&loop, &h.has_ended));

    assert_int_equal(h.status, SYN_OK);
    syn_rpc_channel_close(channel, NULL, NULL);
    syn_rpc_server_close(second.server, echo_on_closed, &second);
    assert_true(run_until(&loop, &second.is_closed));
    scratch_remove(folder);
}

static void a_call_in_flight_learns_that_its_server_is_gone(void **state)
{
    (void)state;
    char address[64];
    int fd = raw_server(true, address);
    syn_rpc_channel *channel = channel_to(address);
    heard h;
    (void)start_call(channel, &echo_unary, DO_ECHO, "", 0, &h);
    for (int i = 0; i < 20; i++)
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    assert_false(h.has_ended);

    int connection = accept(fd, NULL, NULL);
    assert_true(connection >= 0);
    (void)close(connection); /* with unread bytes: a reset */
    assert_true(run_until(&loop, &h.has_ended));

    assert_int_equal(h.status, SYN_UNAVAILABLE);
    assert_true(syn_has_prefix(h.message, "cannot reach the coordinator at 127.0.0.1:"));
    syn_rpc_channel_close(channel, NULL, NULL);
    (void)close(fd);
}

static void a_deadline_passes_without_any_answer(void **state)
{
    (void)state;
    char address[64];
    int fd = raw_server(true, address); /* takes the connection, says nothing */
    syn_rpc_channel *channel = channel_to(address);
    heard h;

    (void)start_call(channel, &echo_unary, DO_ECHO, "", 30, &h);
    assert_true(run_until(&loop, &h.has_ended));

    assert_int_equal(h.status, SYN_DEADLINE_EXCEEDED);
    assert_non_null(strstr(h.message, "within 30 ms"));
    syn_rpc_channel_close(channel, NULL, NULL);
    (void)close(fd);
}

static void a_server_that_never_speaks_http2_is_given_up(void **state)
{
    (void)state;
    char address[64];
    int fd = raw_server(true, address);
    const syn_rpc_channel_options options = {.connect_timeout_ms = 30};
    syn_rpc_channel *channel;
    assert_int_equal(syn_rpc_channel_new(&loop, address, &options, &channel), SYN_OK);
    heard h;

    (void)start_call(channel, &echo_unary, DO_ECHO, "", 0, &h);
    assert_true(run_until(&loop, &h.has_ended));

    assert_int_equal(h.status, SYN_UNAVAILABLE);
    assert_non_null(strstr(h.message, "no HTTP/2 came in time"));
    syn_rpc_channel_close(channel, NULL, NULL);
    (void)close(fd);
}

static void a_server_that_dies_silently_is_noticed_by_pings(void **state)
{
    (void)state;
    char address[64];
    int fd = raw_server(true, address);
    const syn_rpc_channel_options options = {.keepalive_ms = 20, .keepalive_timeout_ms = 20};
    syn_rpc_channel *channel;
    assert_int_equal(syn_rpc_channel_new(&loop, address, &options, &channel), SYN_OK);
    heard h;
    (void)start_call(channel, &echo_unary, DO_ECHO, "", 0, &h);
    for (int i = 0; i < 20; i++)
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    int connection = accept(fd, NULL, NULL);
    assert_int_equal(send(connection, "\0\0\0\x04\0\0\0\0\0", 9, MSG_NOSIGNAL), 9); /* SETTINGS */

    assert_true(run_until(&loop, &h.has_ended));

    assert_int_equal(h.status, SYN_UNAVAILABLE);
    assert_non_null(strstr(h.message, "does not answer any more"));
    syn_rpc_channel_close(channel, NULL, NULL);
    (void)close(connection);
    (void)close(fd);
}

static void a_name_is_looked_up(void **state)
{
    (void)state;
    echo_server echo;
    char address[64];
    heard h;
    echo_server_init(&echo, &loop, NULL);
    assert_int_equal(syn_rpc_server_listen(echo.server, "localhost:0"), SYN_OK);
    (void)snprintf(address, sizeof address, "%s", syn_rpc_server_address(echo.server, 0));
    assert_true(syn_has_prefix(address, "localhost:"));
    syn_rpc_channel *channel = channel_to(address);

    (void)start_call(channel, &echo_unary, DO_ECHO, "", 0, &h);
    assert_true(run_until(&loop, &h.has_ended));

    assert_int_equal(h.status, SYN_OK);
    syn_rpc_channel_close(channel, NULL, NULL);
    syn_rpc_server_close(echo.server, NULL, NULL);
}

static void closing_during_a_lookup_is_safe(void **state)
{
    (void)state;
    syn_rpc_channel *channel = channel_to("localhost:9");
    heard h;

    (void)start_call(channel, &echo_unary, DO_ECHO, "", 0, &h);
    syn_rpc_channel_close(channel, NULL, NULL);
    assert_false(h.has_ended);
    assert_true(run_until(&loop, &h.has_ended));

    assert_int_equal(h.status, SYN_CANCELLED);
    assert_int_equal(h.n_ends, 1);
}

static void closing_cancels_open_calls(void **state)
{
    (void)state;
    echo_server echo;
    heard h[10];
    echo_server_init(&echo, &loop, NULL);
    assert_int_equal(syn_rpc_server_listen(echo.server, ":0"), SYN_OK);
    syn_rpc_channel *channel = channel_to(syn_rpc_server_address(echo.server, 0));
    for (int i = 0; i < 10; i++)
        (void)start_call(channel, &echo_unary, DO_HANG, "", 0, &h[i]);
    assert_true(run_until_count(&loop, &echo.n_messages, 10));

    syn_rpc_channel_close(channel, echo_on_closed, &echo);
    syn_rpc_call_unref(echo.kept);
    assert_true(run_until(&loop, &echo.is_closed));

    for (int i = 0; i < 10; i++) {
        assert_int_equal(h[i].n_ends, 1);
        assert_int_equal(h[i].status, SYN_CANCELLED);
    }
    assert_true(run_until_count(&loop, &echo.n_ended, 10));
    syn_rpc_server_close(echo.server, NULL, NULL);
}

/* Calls again from inside on_end, as many times as `user` says. */
typedef struct chain {
    syn_rpc_channel *channel;
    size_t n_left, n_done;
} chain;

static void chain_on_reply(syn_status status, const char *message, const ProtobufCMessage *reply,
                           void *user)
{
    chain *c = user;
    chunk request = SYNCLINE__V1__TAIL_LOGS_RESPONSE__INIT;

    (void)message;
    assert_int_equal(status, SYN_OK);
    assert_non_null(reply);
    c->n_done++;
    if (c->n_left-- > 0)
        assert_int_equal(
            syn_rpc_client_unary(c->channel, &echo_unary, &request.base, 1000, chain_on_reply, c),
            SYN_OK);
}

static void calls_may_start_where_others_end(void **state)
{
    (void)state;
    echo_server echo;
    echo_server_init(&echo, &loop, NULL);
    assert_int_equal(syn_rpc_server_listen(echo.server, ":0"), SYN_OK);
    chunk request = SYNCLINE__V1__TAIL_LOGS_RESPONSE__INIT;
    chain c = {channel_to(syn_rpc_server_address(echo.server, 0)), 500, 0};

    assert_int_equal(
        syn_rpc_client_unary(c.channel, &echo_unary, &request.base, 1000, chain_on_reply, &c),
        SYN_OK);
    assert_true(run_until_count(&loop, &c.n_done, 501));

    syn_rpc_channel_close(c.channel, NULL, NULL);
    syn_rpc_server_close(echo.server, NULL, NULL);
}

static void a_unary_answer_is_exactly_one_message(void **state)
{
    (void)state;
    echo_server echo;
    heard h = {0};
    chunk request = SYNCLINE__V1__TAIL_LOGS_RESPONSE__INIT;
    echo_server_init(&echo, &loop, NULL);
    assert_int_equal(syn_rpc_server_listen(echo.server, ":0"), SYN_OK);
    syn_rpc_channel *channel = channel_to(syn_rpc_server_address(echo.server, 0));

    request.offset = DO_TWICE;
    assert_int_equal(
        syn_rpc_client_unary(channel, &echo_unary, &request.base, 0, heard_on_reply, &h), SYN_OK);
    assert_true(run_until(&loop, &h.has_ended));
    assert_int_equal(h.status, SYN_INTERNAL);
    assert_int_equal(h.n_messages, 0);
    h = (heard){0};
    request.offset = DO_NOTHING_OK;
    assert_int_equal(
        syn_rpc_client_unary(channel, &echo_unary, &request.base, 0, heard_on_reply, &h), SYN_OK);
    assert_true(run_until(&loop, &h.has_ended));
    assert_int_equal(h.status, SYN_INTERNAL);

    syn_rpc_channel_close(channel, NULL, NULL);
    syn_rpc_server_close(echo.server, NULL, NULL);
}

static void a_draining_server_is_left_for_a_new_one(void **state)
{
    (void)state;
    char *folder = scratch_make(), address[300];
    echo_server old, new;
    heard running, h;
    chunk answer = SYNCLINE__V1__TAIL_LOGS_RESPONSE__INIT;
    (void)snprintf(address, sizeof address, "unix://%s/s", folder);
    echo_server_init(&old, &loop, NULL);
    assert_int_equal(syn_rpc_server_listen(old.server, address), SYN_OK);
    syn_rpc_channel *channel = channel_to(address);
    (void)start_call(channel, &echo_unary, DO_HANG, "", 0, &running);
    assert_true(run_until_count(&loop, &old.n_messages, 1));

    syn_rpc_server_drain(old.server, 60000, echo_on_drained, &old);
    echo_server_init(&new, &loop, NULL);
    while (syn_rpc_server_listen(new.server, address) != SYN_OK) /* once the old one has let go */
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    for (int i = 0; i < 20; i++) /* the client hears of it */
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    (void)start_call(channel, &echo_unary, DO_ECHO, "", 0, &h);
    assert_true(run_until(&loop, &h.has_ended));

    assert_int_equal(h.status, SYN_OK);
    assert_int_equal(new.n_messages, 1); /* by the new one, while the old call goes on */
    assert_false(running.has_ended);
    syn_rpc_call_reply(old.kept, &answer.base);
    assert_true(run_until(&loop, &running.has_ended));
    assert_int_equal(running.status, SYN_OK);
    syn_rpc_call_unref(old.kept);
    assert_true(run_until(&loop, &old.is_drained));
    syn_rpc_channel_close(channel, NULL, NULL);
    syn_rpc_server_close(old.server, echo_on_closed, &old);
    syn_rpc_server_close(new.server, echo_on_closed, &new);
    assert_true(run_until(&loop, &new.is_closed));
    assert_true(run_until(&loop, &old.is_closed));
    scratch_remove(folder);
}

static void bad_addresses_are_refused_at_once(void **state)
{
    (void)state;
    syn_rpc_channel *channel;

    assert_int_equal(syn_rpc_channel_new(&loop, "127.0.0.1:0", NULL, &channel),
                     SYN_INVALID_ARGUMENT);
    assert_int_equal(syn_rpc_channel_new(&loop, "host:port", NULL, &channel), SYN_INVALID_ARGUMENT);
    assert_non_null(strstr(syn_error_message(), "\"host:port\""));
}

static void a_failed_allocation_ends_in_an_error_and_no_leak(void **state)
{
    (void)state;
    echo_server echo;
    chunk request = SYNCLINE__V1__TAIL_LOGS_RESPONSE__INIT;
    echo_server_init(&echo, &loop, NULL);
    assert_int_equal(syn_rpc_server_listen(echo.server, ":0"), SYN_OK);
    char address[64];
    (void)snprintf(address, sizeof address, "%s", syn_rpc_server_address(echo.server, 0));

    for (long n = 1; n < 150; n++) {
        heard h = {0};
        syn_rpc_channel *channel = NULL;
        syn_mem_fail_after(n);
        syn_status status = syn_rpc_channel_new(&loop, address, NULL, &channel);
        if (status == SYN_OK)
            status =
                syn_rpc_client_unary(channel, &echo_unary, &request.base, 2000, heard_on_reply, &h);
        if (status == SYN_OK)
            assert_true(run_until(&loop, &h.has_ended));
        else
            assert_int_equal(status, SYN_RESOURCE_EXHAUSTED);
        syn_mem_fail_after(0);
        syn_rpc_channel_close(channel, NULL, NULL);
    }
    syn_rpc_server_close(echo.server, NULL, NULL);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        T(a_server_that_is_away_is_unavailable_and_named),
        T(a_unix_socket_that_is_not_there_is_unavailable),
        T(the_next_call_connects_again),
        T(a_call_in_flight_learns_that_its_server_is_gone),
        T(a_deadline_passes_without_any_answer),
        T(a_server_that_never_speaks_http2_is_given_up),
        T(a_server_that_dies_silently_is_noticed_by_pings),
        T(a_name_is_looked_up),
        T(closing_during_a_lookup_is_safe),
        T(closing_cancels_open_calls),
        T(calls_may_start_where_others_end),
        T(a_unary_answer_is_exactly_one_message),
        T(a_draining_server_is_left_for_a_new_one),
        T(bad_addresses_are_refused_at_once),
        T(a_failed_allocation_ends_in_an_error_and_no_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
