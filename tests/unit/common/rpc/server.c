/* The server over real sockets: listening, calls and their ends, draining, attackers. */
#include "tests/unit/common/rpc/harness.h"

#include "common/base/clock.h"
#include "common/base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

typedef struct fixture {
    uv_loop_t loop;
    echo_server echo;
    syn_rpc_channel *channel;
} fixture;

static const char tcp[] = "127.0.0.1:0";

static fixture *fixture_new(const char *address, const syn_rpc_server_options *options)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    echo_server_init(&f->echo, &f->loop, options);
    if (syn_rpc_server_listen(f->echo.server, address) != SYN_OK)
        fail_msg("%s", syn_error_message());
    assert_int_equal(
        syn_rpc_channel_new(&f->loop, syn_rpc_server_address(f->echo.server, 0), NULL, &f->channel),
        SYN_OK);
    return f;
}

static void fixture_free(fixture *f)
{
    syn_rpc_channel_close(f->channel, NULL, NULL);
    syn_rpc_call_unref(f->echo.kept);
    syn_rpc_server_close(f->echo.server, echo_on_closed, &f->echo);
    run_down(&f->loop);
    assert_true(f->echo.is_closed);
    free(f);
}

static void a_unary_call_is_echoed_over_tcp(void **state)
{
    (void)state;
    fixture *f = fixture_new(tcp, NULL);
    heard h;

    (void)start_call(f->channel, &echo_unary, DO_ECHO, "hello", 0, &h);
    assert_true(run_until(&f->loop, &h.has_ended));

    assert_int_equal(h.status, SYN_OK);
    assert_int_equal(h.n_messages, 1);
    assert_int_equal(h.n_bytes, 5);
    assert_true(syn_has_prefix(f->echo.peer, "127.0.0.1:"));
    assert_false(f->echo.has_uid);
    assert_true(f->echo.deadline_ns == UINT64_MAX);
    assert_true(run_until_count(&f->loop, &f->echo.n_ended, 1));
    assert_int_equal(f->echo.last_status, SYN_OK);
    assert_string_equal(f->echo.last_method, "test.Echo/Unary");
    fixture_free(f);
}

static void a_unary_call_is_echoed_over_a_unix_socket(void **state)
{
    (void)state;
    char *folder = scratch_make(), address[300];
    struct stat st;
    (void)snprintf(address, sizeof address, "unix://%s/s", folder);
    fixture *f = fixture_new(address, NULL);
    heard h;

    (void)start_call(f->channel, &echo_unary, DO_ECHO, "hello", 0, &h);
    assert_true(run_until(&f->loop, &h.has_ended));

    assert_int_equal(h.status, SYN_OK);
    assert_true(f->echo.has_uid);
    assert_int_equal(f->echo.uid, getuid());
    assert_true(syn_has_prefix(f->echo.peer, "unix:pid "));
    assert_string_equal(syn_rpc_server_address(f->echo.server, 0), address);
    assert_int_equal(lstat(address + strlen("unix://"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    fixture_free(f);
    assert_int_equal(lstat(address + strlen("unix://"), &st), -1); /* cleaned up */
    scratch_remove(folder);
}

static void an_unknown_method_is_unimplemented_and_observed_as_unknown(void **state)
{
    (void)state;
    fixture *f = fixture_new(tcp, NULL);
    heard h;

    (void)start_call(f->channel, &echo_missing, DO_ECHO, "", 0, &h);
    assert_true(run_until(&f->loop, &h.has_ended));

    assert_int_equal(h.status, SYN_UNIMPLEMENTED);
    assert_string_equal(h.message, "the server has no method /test.Echo/Missing");
    assert_string_equal(f->echo.last_method, "unknown/unknown");
    assert_int_equal(f->echo.n_ended, 0);
    fixture_free(f);
}

static void a_failure_carries_its_sentence(void **state)
{
    (void)state;
    fixture *f = fixture_new(tcp, NULL);
    heard h;

    (void)start_call(f->channel, &echo_unary, DO_FAIL, "100% n\xc3\xb6t\n", 0, &h);
    assert_true(run_until(&f->loop, &h.has_ended));

    assert_int_equal(h.status, SYN_FAILED_PRECONDITION);
    assert_string_equal(h.message, "100% n\xc3\xb6t\n");
    assert_int_equal(f->echo.last_observed, SYN_FAILED_PRECONDITION);
    fixture_free(f);
}

static void an_answer_may_come_later(void **state)
{
    (void)state;
    fixture *f = fixture_new(tcp, NULL);
    heard h[20];

    for (int i = 0; i < 20; i++)
        (void)start_call(f->channel, &echo_unary, DO_LATER, "later", 0, &h[i]);

    for (int i = 0; i < 20; i++) {
        assert_true(run_until(&f->loop, &h[i].has_ended));
        assert_int_equal(h[i].status, SYN_OK);
        assert_int_equal(h[i].n_bytes, 5);
    }
    assert_true(run_until_count(&f->loop, &f->echo.n_ended, 20));
    assert_int_equal(syn_rpc_server_n_calls(f->echo.server), 0);
    fixture_free(f);
}

static void an_answer_after_the_end_does_nothing(void **state)
{
    (void)state;
    fixture *f = fixture_new(tcp, NULL);
    chunk answer = SYNCLINE__V1__TAIL_LOGS_RESPONSE__INIT;
    heard h;
    syn_rpc_client_call *call = start_call(f->channel, &echo_unary, DO_HANG, "", 0, &h);
    assert_true(run_until_count(&f->loop, &f->echo.n_messages, 1));

    syn_rpc_client_cancel(call);
    assert_false(h.has_ended);
    assert_true(run_until_count(&f->loop, &f->echo.n_ended, 1));

    assert_int_equal(h.status, SYN_CANCELLED);
    assert_int_equal(f->echo.last_status, SYN_CANCELLED);
    assert_int_equal(f->echo.last_observed, SYN_CANCELLED);
    assert_true(syn_rpc_call_has_ended(f->echo.kept));
    assert_int_equal(syn_rpc_call_send(f->echo.kept, &answer.base), SYN_OK);
    syn_rpc_call_reply(f->echo.kept, &answer.base);
    syn_rpc_call_finish(f->echo.kept, SYN_OK, NULL);
    assert_false(syn_rpc_call_is_writable(f->echo.kept));
    assert_int_equal(syn_rpc_call_pending_bytes(f->echo.kept), 0);
    fixture_free(f);
    assert_int_equal(h.n_ends, 1);
}

static void a_call_outlives_its_server_harmlessly(void **state)
{
    (void)state;
    fixture *f = fixture_new(tcp, NULL);
    chunk answer = SYNCLINE__V1__TAIL_LOGS_RESPONSE__INIT;
    heard h;
    (void)start_call(f->channel, &echo_unary, DO_HANG, "", 0, &h);
    assert_true(run_until_count(&f->loop, &f->echo.n_messages, 1));
    syn_rpc_call *kept = f->echo.kept;
    f->echo.kept = NULL;

    syn_rpc_server_close(f->echo.server, echo_on_closed, &f->echo);
    assert_false(f->echo.is_closed); /* never from inside */
    assert_int_equal(f->echo.n_ended, 0);
    assert_true(run_until(&f->loop, &f->echo.is_closed));

    assert_int_equal(f->echo.n_ended, 1);
    assert_int_equal(f->echo.last_status, SYN_UNAVAILABLE);
    syn_rpc_call_reply(kept, &answer.base);
    assert_non_null(syn_rpc_call_method(kept));
    syn_rpc_call_unref(kept);
    assert_true(run_until(&f->loop, &h.has_ended));
    assert_int_equal(h.status, SYN_UNAVAILABLE);
    syn_rpc_channel_close(f->channel, NULL, NULL);
    run_down(&f->loop);
    free(f);
}

static void the_server_ends_a_call_at_its_deadline(void **state)
{
    (void)state;
    fixture *f = fixture_new(tcp, NULL);
    heard h;
    uint64_t before = syn_clock_monotonic_ns();

    (void)start_call(f->channel, &echo_unary, DO_HANG, "", 50, &h);
    assert_true(run_until(&f->loop, &h.has_ended));

    assert_int_equal(h.status, SYN_DEADLINE_EXCEEDED);
    assert_true(run_until_count(&f->loop, &f->echo.n_ended, 1));
    assert_true(f->echo.last_status == SYN_DEADLINE_EXCEEDED ||
                f->echo.last_status == SYN_CANCELLED);
    assert_true(f->echo.deadline_ns >= before + 40000000);
    assert_true(f->echo.deadline_ns <= syn_clock_monotonic_ns());
    fixture_free(f);
}

static void a_lost_connection_ends_its_calls(void **state)
{
    (void)state;
    fixture *f = fixture_new(tcp, NULL);
    heard h;
    (void)start_call(f->channel, &echo_unary, DO_HANG, "", 0, &h);
    assert_true(run_until_count(&f->loop, &f->echo.n_messages, 1));

    syn_rpc_channel_close(f->channel, NULL, NULL);
    f->channel = NULL;
    assert_true(run_until_count(&f->loop, &f->echo.n_ended, 1));

    assert_int_equal(h.status, SYN_CANCELLED);
    assert_true(f->echo.last_status == SYN_CANCELLED || f->echo.last_status == SYN_UNAVAILABLE);
    fixture_free(f);
}

static void a_stream_obeys_flow_control(void **state)
{
    (void)state;
    fixture *f = fixture_new(tcp, NULL);
    char text[30001];
    memset(text, 's', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    heard h;

    (void)start_call(f->channel, &echo_stream, DO_MANY + 1000, text, 0, &h);
    assert_true(run_until(&f->loop, &h.has_ended));

    assert_int_equal(h.status, SYN_OK);
    assert_int_equal(h.n_messages, 1000);
    assert_int_equal(h.n_bytes, 30000000);
    assert_true(f->echo.n_drains > 50);
    assert_true(f->echo.most_pending <= SYN_RPC_STREAM_QUEUE_BYTES + 2 * sizeof text);
    fixture_free(f);
}

static void a_client_stream_is_collected(void **state)
{
    (void)state;
    fixture *f = fixture_new(tcp, NULL);
    syn_rpc_client_call *call;
    heard h = {0};
    assert_int_equal(syn_rpc_client_start(f->channel, &echo_collect, &heard_handler, &h, 0, &call),
                     SYN_OK);
    syn_rpc_client_ref(call);
    size_t sent = 0;

    while (syn_rpc_client_is_writable(call)) {
        assert_int_equal(send_chunk(call, 0, "", 10000), SYN_OK);
        sent++;
    }
    assert_true(run_until_count(&f->loop, &h.n_drains, 1));
    for (; sent < 100; sent++)
        assert_int_equal(send_chunk(call, 0, "", 10000), SYN_OK);
    syn_rpc_client_half_close(call);
    assert_true(run_until(&f->loop, &h.has_ended));

    assert_int_equal(h.status, SYN_OK);
    assert_int_equal(h.last_offset, 1000000);
    assert_int_equal(f->echo.n_started, 1);
    assert_int_equal(syn_rpc_client_send(call, NULL), SYN_OK); /* after the end: nothing */
    syn_rpc_client_unref(call);
    fixture_free(f);
}

static void an_empty_client_stream_is_one(void **state)
{
    (void)state;
    fixture *f = fixture_new(tcp, NULL);
    syn_rpc_client_call *call;
    heard h = {0};
    assert_int_equal(syn_rpc_client_start(f->channel, &echo_collect, &heard_handler, &h, 0, &call),
                     SYN_OK);
    syn_rpc_client_half_close(call);
    assert_true(run_until(&f->loop, &h.has_ended));

    assert_int_equal(h.status, SYN_OK);
    assert_int_equal(h.last_offset, 0);
    fixture_free(f);
}

static void both_sides_of_a_bidirectional_call_talk(void **state)
{
    (void)state;
    fixture *f = fixture_new(tcp, NULL);
    syn_rpc_client_call *call;
    heard h = {0};
    assert_int_equal(syn_rpc_client_start(f->channel, &echo_bidi, &heard_handler, &h, 0, &call),
                     SYN_OK);

    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(send_chunk(call, i, "ping", 4), SYN_OK);
        assert_true(run_until_count(&f->loop, &h.n_messages, i + 1));
        assert_int_equal(h.last_offset, i);
    }
    syn_rpc_client_half_close(call); /* no on_half_close: finished with OK */
    assert_true(run_until(&f->loop, &h.has_ended));

    assert_int_equal(h.status, SYN_OK);
    assert_true(run_until_count(&f->loop, &f->echo.n_ended, 1));
    fixture_free(f);
}

static void none_or_two_messages_are_no_unary_request(void **state)
{
    (void)state;
    fixture *f = fixture_new(tcp, NULL);
    syn_rpc_client_call *call;
    heard h = {0};
    assert_int_equal(syn_rpc_client_start(f->channel, &echo_unary, &heard_handler, &h, 0, &call),
                     SYN_OK);
    syn_rpc_client_half_close(call);
    assert_true(run_until(&f->loop, &h.has_ended));
    assert_int_equal(h.status, SYN_UNIMPLEMENTED);

    h = (heard){0};
    assert_int_equal(syn_rpc_client_start(f->channel, &echo_unary, &heard_handler, &h, 0, &call),
                     SYN_OK);
    assert_int_equal(send_chunk(call, 0, "a", 1), SYN_OK);
    assert_int_equal(send_chunk(call, 0, "b", 1), SYN_OK);
    syn_rpc_client_half_close(call);
    assert_true(run_until(&f->loop, &h.has_ended));
    assert_int_equal(h.status, SYN_UNIMPLEMENTED);

    assert_int_equal(f->echo.n_messages, 0);
    assert_int_equal(f->echo.n_ended, 0); /* the handler never saw them */
    assert_true(run_until_count(&f->loop, &f->echo.n_observed, 2));
    fixture_free(f);
}

static void big_messages_pass_and_bigger_ones_are_refused(void **state)
{
    (void)state;
    fixture *f = fixture_new(tcp, NULL);
    syn_rpc_client_call *call;
    heard h = {0};
    assert_int_equal(syn_rpc_client_start(f->channel, &echo_unary, &heard_handler, &h, 0, &call),
                     SYN_OK);
    assert_int_equal(send_chunk(call, 0, "", SYN_RPC_MAX_MESSAGE_BYTES + 1),
                     SYN_RESOURCE_EXHAUSTED);
    assert_int_equal(send_chunk(call, 0, "", SYN_RPC_MAX_MESSAGE_BYTES - 100), SYN_OK);
    syn_rpc_client_half_close(call);
    assert_true(run_until(&f->loop, &h.has_ended));

    assert_int_equal(h.status, SYN_OK);
    assert_int_equal(h.n_bytes, SYN_RPC_MAX_MESSAGE_BYTES - 100);
    fixture_free(f);
}

static void draining_waits_for_running_calls_and_refuses_new_connections(void **state)
{
    (void)state;
    fixture *f = fixture_new(tcp, NULL);
    chunk answer = SYNCLINE__V1__TAIL_LOGS_RESPONSE__INIT;
    syn_rpc_channel *late;
    heard running, refused;
    (void)start_call(f->channel, &echo_unary, DO_HANG, "", 0, &running);
    assert_true(run_until_count(&f->loop, &f->echo.n_messages, 1));

    syn_rpc_server_drain(f->echo.server, 60000, echo_on_drained, &f->echo);
    assert_int_equal(
        syn_rpc_channel_new(&f->loop, syn_rpc_server_address(f->echo.server, 0), NULL, &late),
        SYN_OK);
    for (int i = 0; i < 20; i++) /* the drain begins */
        (void)uv_run(&f->loop, UV_RUN_NOWAIT);
    (void)start_call(late, &echo_unary, DO_ECHO, "", 0, &refused);
    assert_true(run_until(&f->loop, &refused.has_ended));
    assert_int_equal(refused.status, SYN_UNAVAILABLE);
    assert_false(f->echo.is_drained);
    syn_rpc_call_reply(f->echo.kept, &answer.base);
    assert_true(run_until(&f->loop, &f->echo.is_drained));

    assert_true(run_until(&f->loop, &running.has_ended));
    assert_int_equal(running.status, SYN_OK);
    assert_int_equal(syn_rpc_server_n_connections(f->echo.server), 0);
    syn_rpc_channel_close(late, NULL, NULL);
    fixture_free(f);
}

static void draining_ends_what_is_left_after_the_grace(void **state)
{
    (void)state;
    fixture *f = fixture_new(tcp, NULL);
    heard h;
    (void)start_call(f->channel, &echo_unary, DO_HANG, "", 0, &h);
    assert_true(run_until_count(&f->loop, &f->echo.n_messages, 1));

    syn_rpc_server_drain(f->echo.server, 20, echo_on_drained, &f->echo);
    assert_true(run_until(&f->loop, &f->echo.is_drained));

    assert_int_equal(f->echo.n_ended, 1);
    assert_int_equal(f->echo.last_status, SYN_UNAVAILABLE);
    assert_true(run_until(&f->loop, &h.has_ended));
    assert_int_equal(h.status, SYN_UNAVAILABLE);
    assert_string_equal(h.message, "the server is shutting down");
    fixture_free(f);
}

static void an_idle_server_drains_at_once(void **state)
{
    (void)state;
    fixture *f = fixture_new(tcp, NULL);
    heard h;
    (void)start_call(f->channel, &echo_unary, DO_ECHO, "", 0, &h);
    assert_true(run_until(&f->loop, &h.has_ended));

    syn_rpc_server_drain(f->echo.server, 60000, echo_on_drained, &f->echo);
    assert_false(f->echo.is_drained);

    assert_true(run_until(&f->loop, &f->echo.is_drained)); /* the idle connection goes, too */
    fixture_free(f);
}

static void the_same_method_twice_is_refused(void **state)
{
    (void)state;
    uv_loop_t loop;
    syn_rpc_server *server;
    const syn_rpc_service twice[] = {{echo_handlers, 1, NULL}, {echo_handlers, 1, NULL}};
    const syn_rpc_server_options options = {.services = twice, .n_services = 2};
    assert_int_equal(uv_loop_init(&loop), 0);

    assert_int_equal(syn_rpc_server_new(&loop, &options, &server), SYN_INVALID_ARGUMENT);
    assert_non_null(strstr(syn_error_message(), "/test.Echo/Unary is there twice"));
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void a_failed_allocation_while_starting_is_an_error_and_leaks_nothing(void **state)
{
    (void)state;
    uv_loop_t loop;
    syn_rpc_server *server;
    const syn_rpc_service service = {echo_handlers, 1, NULL};
    const syn_rpc_server_options options = {.services = &service, .n_services = 1};
    assert_int_equal(uv_loop_init(&loop), 0);

    for (long n = 1;; n++) {
        syn_mem_fail_after(n);
        syn_status status = syn_rpc_server_new(&loop, &options, &server);
        bool has_failed = syn_mem_has_failed();
        syn_mem_fail_after(0);
        assert_int_equal(status, has_failed ? SYN_RESOURCE_EXHAUSTED : SYN_OK);
        if (!has_failed)
            break;
    }

    syn_rpc_server_close(server, NULL, NULL);
    run_down(&loop);
}

/* ---- peers that mean harm, over real sockets ---- */

static int raw_connect(const fixture *f)
{
    const char *address = syn_rpc_server_address(f->echo.server, 0);
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)atoi(strchr(address, ':') + 1))};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void raw_send(int fd, const void *bytes, size_t size)
{
    assert_int_equal(send(fd, bytes, size, MSG_NOSIGNAL), (ssize_t)size);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    char buffer[4096];

    (void)status;
    (void)events;
    ssize_t n = recv(*(int *)poll->data, buffer, sizeof buffer, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        *(int *)poll->data = -1;
}

static void on_poll_closed(uv_handle_t *handle)
{
    *(bool *)handle->data = true;
}

/* Runs until the server has hung up on `fd`. */
static bool wait_for_hang_up(fixture *f, int fd)
{
    int seen = fd;
    uv_poll_t poll;
    bool is_late = false, is_closed = false;
    uv_timer_t *guard = malloc(sizeof *guard);
    assert_non_null(guard);
    (void)uv_timer_init(&f->loop, guard);
    guard->data = &is_late;
    uv_update_time(&f->loop);
    (void)uv_timer_start(guard, guard_fired, 10000, 0);
    (void)uv_poll_init(&f->loop, &poll, fd);
    poll.data = &seen;
    (void)uv_poll_start(&poll, UV_READABLE | UV_DISCONNECT, on_poll);
    while (seen >= 0 && !is_late)
        (void)uv_run(&f->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)guard, guard_closed);
    poll.data = &is_closed;
    uv_close((uv_handle_t *)&poll, on_poll_closed);
    while (!is_closed)
        (void)uv_run(&f->loop, UV_RUN_NOWAIT);
    return seen < 0;
}

/* Whether the server still answers others. */
static void assert_serves(fixture *f)
{
    heard h;
    (void)start_call(f->channel, &echo_unary, DO_ECHO, "well", 5000, &h);
    assert_true(run_until(&f->loop, &h.has_ended));
    assert_int_equal(h.status, SYN_OK);
}

static void silence_is_hung_up_on(void **state)
{
    (void)state;
    const syn_rpc_server_options options = {.handshake_timeout_ms = 30};
    fixture *f = fixture_new(tcp, &options);
    int fd = raw_connect(f);

    assert_true(wait_for_hang_up(f, fd));

    assert_serves(f);
    (void)close(fd);
    fixture_free(f);
}

static void garbage_is_hung_up_on(void **state)
{
    (void)state;
    fixture *f = fixture_new(tcp, NULL);
    int fd = raw_connect(f);

    raw_send(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
    assert_true(wait_for_hang_up(f, fd));

    assert_serves(f);
    (void)close(fd);
    fixture_free(f);
}

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

static void a_peer_that_answers_no_ping_is_hung_up_on(void **state)
{
    (void)state;
    const syn_rpc_server_options options = {.keepalive_ms = 20, .keepalive_timeout_ms = 20};
    fixture *f = fixture_new(tcp, &options);
    int fd = raw_connect(f);

    raw_send(fd, preface, sizeof preface - 1);
    assert_true(wait_for_hang_up(f, fd));

    assert_serves(f);
    (void)close(fd);
    fixture_free(f);
}

static void a_cut_frame_leaves_others_alone(void **state)
{
    (void)state;
    fixture *f = fixture_new(tcp, NULL);
    int fd = raw_connect(f);

    raw_send(fd, preface, sizeof preface - 1);
    raw_send(fd, "\0\x10\0\x01\x04\0\0\0\x01half", 13);
    assert_serves(f);

    (void)close(fd);
    assert_serves(f);
    fixture_free(f);
}

static void connections_beyond_the_limit_wait_until_one_ends(void **state)
{
    (void)state;
    const syn_rpc_server_options options = {.max_connections = 2};
    syn_log_set_level(SYN_LOG_ERROR);
    fixture *f = fixture_new(tcp, &options);
    int first = raw_connect(f), second = raw_connect(f);
    raw_send(first, preface, sizeof preface - 1);
    raw_send(second, preface, sizeof preface - 1);
    while (syn_rpc_server_n_connections(f->echo.server) < 2)
        (void)uv_run(&f->loop, UV_RUN_ONCE);
    heard h;
    (void)start_call(f->channel, &echo_unary, DO_ECHO, "", 5000, &h);
    for (int i = 0; i < 50; i++)
        (void)uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_false(h.has_ended);
    assert_int_equal(syn_rpc_server_n_connections(f->echo.server), 2);

    (void)close(first);
    assert_true(run_until(&f->loop, &h.has_ended));

    assert_int_equal(h.status, SYN_OK);
    (void)close(second);
    fixture_free(f);
}

static void running_out_of_descriptors_pauses_accepting(void **state)
{
    (void)state;
    syn_log_set_level(SYN_LOG_ERROR);
    fixture *f = fixture_new(tcp, NULL);
    assert_serves(f);
    int client = raw_connect(f), spare = dup(client);
    struct rlimit limit, tight;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    (void)close(spare);
    tight = limit;
    tight.rlim_cur = (rlim_t)spare; /* nothing more can be opened */

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    for (int i = 0; i < 50; i++)
        (void)uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_int_equal(syn_rpc_server_n_connections(f->echo.server), 1);
    assert_serves(f); /* on the connection there is */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    bool is_accepted = false;
    for (int i = 0; i < 1000 && !is_accepted; i++) { /* the pause ends by itself */
        (void)uv_run(&f->loop, UV_RUN_ONCE);
        is_accepted = syn_rpc_server_n_connections(f->echo.server) == 2;
    }

    assert_true(is_accepted);
    (void)close(client);
    fixture_free(f);
}

static void slow_readers_end_with_resource_exhausted(void **state)
{
    (void)state;
    const syn_rpc_server_options options = {.connection_queue_bytes = 512 * 1024};
    fixture *f = fixture_new(tcp, &options);
    chunk answer = SYNCLINE__V1__TAIL_LOGS_RESPONSE__INIT;
    uint8_t *bytes = calloc(1, 100000);
    assert_non_null(bytes);
    answer.data = (ProtobufCBinaryData){100000, bytes};
    heard h;
    (void)start_call(f->channel, &echo_unary, DO_HANG, "", 0, &h);
    assert_true(run_until_count(&f->loop, &f->echo.n_messages, 1));

    syn_status status = SYN_OK;
    for (int i = 0; i < 100 && status == SYN_OK; i++) /* the loop does not run: nothing is read */
        status = syn_rpc_call_send(f->echo.kept, &answer.base);
    assert_int_equal(status, SYN_RESOURCE_EXHAUSTED);
    assert_int_equal(f->echo.n_ended, 0); /* from the loop, later */
    assert_true(run_until(&f->loop, &h.has_ended));

    assert_int_equal(h.status, SYN_RESOURCE_EXHAUSTED);
    assert_true(run_until_count(&f->loop, &f->echo.n_ended, 1));
    free(bytes);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_unary_call_is_echoed_over_tcp),
        cmocka_unit_test(a_unary_call_is_echoed_over_a_unix_socket),
        cmocka_unit_test(an_unknown_method_is_unimplemented_and_observed_as_unknown),
        cmocka_unit_test(a_failure_carries_its_sentence),
        cmocka_unit_test(an_answer_may_come_later),
        cmocka_unit_test(an_answer_after_the_end_does_nothing),
        cmocka_unit_test(a_call_outlives_its_server_harmlessly),
        cmocka_unit_test(the_server_ends_a_call_at_its_deadline),
        cmocka_unit_test(a_lost_connection_ends_its_calls),
        cmocka_unit_test(a_stream_obeys_flow_control),
        cmocka_unit_test(a_client_stream_is_collected),
        cmocka_unit_test(an_empty_client_stream_is_one),
        cmocka_unit_test(both_sides_of_a_bidirectional_call_talk),
        cmocka_unit_test(none_or_two_messages_are_no_unary_request),
        cmocka_unit_test(big_messages_pass_and_bigger_ones_are_refused),
        cmocka_unit_test(draining_waits_for_running_calls_and_refuses_new_connections),
        cmocka_unit_test(draining_ends_what_is_left_after_the_grace),
        cmocka_unit_test(an_idle_server_drains_at_once),
        cmocka_unit_test(the_same_method_twice_is_refused),
        cmocka_unit_test(a_failed_allocation_while_starting_is_an_error_and_leaks_nothing),
        cmocka_unit_test(silence_is_hung_up_on),
        cmocka_unit_test(garbage_is_hung_up_on),
        cmocka_unit_test(a_peer_that_answers_no_ping_is_hung_up_on),
        cmocka_unit_test(a_cut_frame_leaves_others_alone),
        cmocka_unit_test(connections_beyond_the_limit_wait_until_one_ends),
        cmocka_unit_test(running_out_of_descriptors_pauses_accepting),
        cmocka_unit_test(slow_readers_end_with_resource_exhausted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
