/* Sessions against each other in memory, and a server session against a peer that means harm. */
#include "common/rpc/session.h"

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/rpc/grpc_text.h"
#include "syncline/v1/jobs.pb-c.h"

#include <nghttp2/nghttp2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef Syncline__V1__TailLogsResponse chunk;

enum { MAX_CALLS = 300, QUEUE = 64 * 1024, CONNECTION_QUEUE = 1024 * 1024 };

/* What one side was told of a call. */
typedef struct seen {
    syn_stream *stream;
    size_t n_messages, last_size, n_drains;
    bool is_half_closed, is_closed;
    syn_status status;
    char message[SYN_GRPC_MESSAGE_MAX + 1];
    uint64_t timeout_ns;
    char path[100];
} seen;

/* One side: a session, and what it does when told something. */
typedef struct side {
    syn_session *session;
    syn_budget budget;
    seen calls[MAX_CALLS];
    size_t n_calls;
    bool has_goaway, has_pong;
    void (*on_message)(struct side *side, seen *call);
    void (*on_half_close)(struct side *side, seen *call);
    void (*on_drain)(struct side *side, seen *call);
} side;

static seen *new_call(side *s, syn_stream *stream)
{
    assert_true(s->n_calls < MAX_CALLS);
    seen *call = &s->calls[s->n_calls++];
    call->stream = stream;
    return call;
}

static void on_request(syn_stream *stream, const char *path, uint64_t timeout_ns, void *user)
{
    seen *call = new_call(user, stream);
    call->timeout_ns = timeout_ns;
    (void)snprintf(call->path, sizeof call->path, "%s", path);
    syn_stream_set_data(stream, call);
}

static void on_message(syn_stream *stream, const unsigned char *bytes, size_t size, void *user)
{
    side *s = user;
    seen *call = syn_stream_data(stream);
    unsigned sum = 0;

    for (size_t i = 0; i < size; i++) /* sanitizers see whether all of it is there */
        sum += bytes[i];
    assert_true(sum || !size || bytes[0] == 0);
    call->n_messages++;
    call->last_size = size;
    if (s->on_message)
        s->on_message(s, call);
}

static void on_half_close(syn_stream *stream, void *user)
{
    side *s = user;
    seen *call = syn_stream_data(stream);

    call->is_half_closed = true;
    if (s->on_half_close)
        s->on_half_close(s, call);
}

static void on_drain(syn_stream *stream, void *user)
{
    side *s = user;
    seen *call = syn_stream_data(stream);

    call->n_drains++;
    if (s->on_drain)
        s->on_drain(s, call);
}

static void on_close(syn_stream *stream, syn_status status, const char *message, void *user)
{
    seen *call = syn_stream_data(stream);

    (void)user;
    assert_false(call->is_closed); /* exactly once */
    call->is_closed = true;
    call->status = status;
    call->stream = NULL;
    (void)snprintf(call->message, sizeof call->message, "%s", message);
}

static void on_goaway(void *user)
{
    ((side *)user)->has_goaway = true;
}

static void on_pong(void *user)
{
    ((side *)user)->has_pong = true;
}

static const syn_session_events events = {on_request, on_message, on_half_close, on_drain,
                                          on_close,   on_goaway,  on_pong};

static side *side_new(bool is_server)
{
    side *s = calloc(1, sizeof *s);
    assert_non_null(s);
    const syn_session_options options = {
        .is_server = is_server,
        .max_streams = 100,
        .max_frames_per_s = 2000,
        .max_message_bytes = 4 * 1024 * 1024,
        .max_header_bytes = 16 * 1024,
        .stream_queue_bytes = QUEUE,
        .connection_queue_bytes = CONNECTION_QUEUE,
        .budget = &s->budget,
        .events = &events,
        .user = s,
    };
    assert_int_equal(syn_session_new(&options, &s->session), SYN_OK);
    return s;
}

static void side_free(side *s)
{
    syn_session_free(s->session, SYN_UNAVAILABLE, "gone");
    for (size_t i = 0; i < s->n_calls; i++)
        if (!s->calls[i].is_closed && s->calls[i].stream)
            fail_msg("call %zu was not told its end", i);
    assert_int_equal(s->budget.used, 0); /* all memory was given back */
    free(s);
}

/* Carries bytes from one to the other, `step` at a time; how many in all. */
static size_t carry(side *from, side *to, size_t step)
{
    const unsigned char *bytes;
    size_t size, total = 0;

    while ((size = syn_session_pull(from->session, &bytes)) > 0) {
        unsigned char *copy = malloc(size);
        assert_non_null(copy);
        memcpy(copy, bytes, size);
        for (size_t at = 0; at < size; at += step) {
            size_t n = size - at < step ? size - at : step;
            assert_int_equal(syn_session_receive(to->session, copy + at, n, 1), SYN_OK);
        }
        free(copy);
        total += size;
    }
    return total;
}

static void settle(side *a, side *b, size_t step)
{
    while (carry(a, b, step) + carry(b, a, step)) {
    }
}

static side *client, *server;

static int start(void **state)
{
    (void)state;
    client = side_new(false);
    server = side_new(true);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    side_free(client);
    side_free(server);
    return 0;
}

static seen *request(const char *path, uint64_t timeout_ns)
{
    seen *call = new_call(client, NULL);
    const syn_session_call what = {path, "localhost", timeout_ns, call};
    assert_int_equal(syn_session_request(client->session, &what, &call->stream), SYN_OK);
    return call;
}

static syn_status send_chunk(syn_stream *stream, size_t size)
{
    chunk message = SYNCLINE__V1__TAIL_LOGS_RESPONSE__INIT;
    unsigned char *bytes = malloc(size + 1);
    assert_non_null(bytes);
    memset(bytes, 'x', size);
    message.data = (ProtobufCBinaryData){size, bytes};
    syn_status status = syn_stream_send(stream, &message.base);
    free(bytes);
    return status;
}

static void echo_once(side *s, seen *call)
{
    (void)s;
    assert_int_equal(send_chunk(call->stream, call->last_size), SYN_OK);
    syn_stream_finish(call->stream, SYN_OK, NULL);
}

/* ---- calls ---- */

static void a_unary_call_comes_back_in_steps_of_any_size(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 7, 100000};
    server->on_half_close = echo_once;

    for (size_t i = 0; i < 3; i++) {
        seen *call = request("/test.Echo/Unary", UINT64_C(1500000000));
        assert_int_equal(send_chunk(call->stream, 1000 * (i + 1)), SYN_OK);
        syn_stream_half_close(call->stream);
        settle(client, server, steps[i]);

        assert_string_equal(server->calls[i].path, "/test.Echo/Unary");
        assert_int_equal(server->calls[i].timeout_ns, UINT64_C(1500000000));
        assert_int_equal(server->calls[i].n_messages, 1);
        assert_true(server->calls[i].is_closed);
        assert_int_equal(server->calls[i].status, SYN_OK);
        assert_int_equal(call->n_messages, 1);
        assert_true(call->last_size > 1000 * (i + 1));
        assert_true(call->is_closed);
        assert_int_equal(call->status, SYN_OK);
    }
    assert_int_equal(syn_session_n_streams(client->session), 0);
    assert_int_equal(syn_session_n_streams(server->session), 0);
}

static void refuse_at_once(side *s, seen *call)
{
    (void)s;
    syn_stream_finish(call->stream, SYN_FAILED_PRECONDITION, "50% of \xc3\xa4pples\n");
}

static void an_immediate_error_carries_its_sentence(void **state)
{
    (void)state;
    server->on_half_close = refuse_at_once;

    seen *call = request("/test.Echo/Unary", UINT64_MAX);
    syn_stream_half_close(call->stream);
    settle(client, server, 100000);

    assert_int_equal(call->status, SYN_FAILED_PRECONDITION);
    assert_string_equal(call->message, "50% of \xc3\xa4pples\n");
    assert_int_equal(server->calls[0].timeout_ns, UINT64_MAX);
}

static void answering_before_the_client_has_ended_ends_the_call_for_both(void **state)
{
    (void)state;
    server->on_message = echo_once;

    seen *call = request("/test.Echo/Bidi", UINT64_MAX);
    assert_int_equal(send_chunk(call->stream, 10), SYN_OK);
    settle(client, server, 100000); /* no half-close by the client */

    assert_int_equal(call->n_messages, 1);
    assert_true(call->is_closed);
    assert_int_equal(call->status, SYN_OK); /* trailers came before the reset */
    assert_int_equal(syn_session_n_streams(server->session), 0);
    assert_int_equal(syn_session_n_streams(client->session), 0);
}

static void messages_after_an_early_answer_are_ignored(void **state)
{
    (void)state;
    server->on_message = refuse_at_once;

    seen *call = request("/test.Echo/Bidi", UINT64_MAX);
    for (int i = 0; i < 20; i++)
        assert_int_equal(send_chunk(call->stream, 10000), SYN_OK);
    settle(client, server, 100000);

    assert_int_equal(server->calls[0].n_messages, 1);
    assert_int_equal(call->status, SYN_FAILED_PRECONDITION);
}

static void cancelling_reaches_the_server(void **state)
{
    (void)state;
    seen *call = request("/test.Echo/Bidi", UINT64_MAX);
    settle(client, server, 100000);
    assert_int_equal(server->n_calls, 1);

    syn_stream_cancel(call->stream);
    call->stream = NULL;
    settle(client, server, 100000);

    assert_false(call->is_closed); /* who cancels is not told */
    assert_true(server->calls[0].is_closed);
    assert_int_equal(server->calls[0].status, SYN_CANCELLED);
}

static void a_call_cancelled_before_it_was_sent_never_shows(void **state)
{
    (void)state;
    seen *call = request("/test.Echo/Bidi", UINT64_MAX);

    syn_stream_cancel(call->stream);
    call->stream = NULL;
    settle(client, server, 100000);

    assert_int_equal(server->n_calls, 0);
    assert_int_equal(syn_session_n_streams(client->session), 0);
}

static void a_lost_connection_ends_all_calls_of_both_sides(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        (void)request("/test.Echo/Bidi", UINT64_MAX);
    settle(client, server, 100000);

    syn_session_free(client->session, SYN_UNAVAILABLE, "the connection is gone");
    client->session = NULL;

    for (int i = 0; i < 3; i++) {
        assert_true(client->calls[i].is_closed);
        assert_int_equal(client->calls[i].status, SYN_UNAVAILABLE);
        assert_string_equal(client->calls[i].message, "the connection is gone");
    }
}

static void more_calls_than_streams_wait_their_turn(void **state)
{
    (void)state;
    server->on_half_close = echo_once;

    for (int i = 0; i < 250; i++) {
        seen *call = request("/test.Echo/Unary", UINT64_MAX);
        assert_int_equal(send_chunk(call->stream, 100), SYN_OK);
        syn_stream_half_close(call->stream);
    }
    settle(client, server, 100000);

    for (int i = 0; i < 250; i++)
        assert_int_equal(client->calls[i].n_messages, 1);
}

/* ---- limits ---- */

static void a_message_over_the_limit_is_not_sent(void **state)
{
    (void)state;
    seen *call = request("/test.Echo/Unary", UINT64_MAX);
    assert_int_equal(send_chunk(call->stream, 4 * 1024 * 1024 + 1), SYN_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(syn_error_message(), "over the limit of 4194304"));

    assert_int_equal(send_chunk(call->stream, 3 * 1024 * 1024), SYN_OK);
    settle(client, server, 100000);
    assert_int_equal(server->calls[0].n_messages, 1); /* below it is fine */
}

static void fill(side *s, seen *call)
{
    (void)s;
    while (syn_stream_is_writable(call->stream))
        assert_int_equal(send_chunk(call->stream, 1000), SYN_OK);
    if (call->n_drains == 50)
        syn_stream_finish(call->stream, SYN_OK, NULL);
}

static void a_full_queue_says_so_and_tells_when_it_has_drained(void **state)
{
    (void)state;
    server->on_half_close = fill;
    server->on_drain = fill;

    seen *call = request("/test.Echo/Stream", UINT64_MAX);
    syn_stream_half_close(call->stream);
    carry(client, server, 100000);
    assert_in_range(syn_stream_pending(server->calls[0].stream), QUEUE, QUEUE + 1100);
    settle(client, server, 100000);

    assert_int_equal(server->calls[0].n_drains, 50);
    assert_true(call->n_messages * 1000 > 50 * QUEUE / 2);
    assert_int_equal(call->status, SYN_OK);
}

static void a_reader_that_stops_costs_bounded_memory(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        seen *call = request("/test.Echo/Stream", UINT64_MAX);
        syn_stream_half_close(call->stream);
    }
    settle(client, server, 100000);

    size_t n_refused = 0;
    for (int round = 0; round < 100; round++)
        for (int i = 0; i < 50; i++)
            n_refused += send_chunk(server->calls[i].stream, 1000) != SYN_OK;
    const unsigned char *bytes; /* what is written goes nowhere: no window updates come back */
    while (syn_session_pull(server->session, &bytes) > 0) {
    }

    assert_true(n_refused > 0);
    assert_true(server->budget.used <= CONNECTION_QUEUE);
    for (int i = 0; i < 50; i++)
        syn_stream_abort(server->calls[i].stream, SYN_RESOURCE_EXHAUSTED, "reads too slowly");
    assert_int_equal(server->budget.used, 0);
    settle(client, server, 100000);
    for (int i = 0; i < 50; i++)
        assert_int_equal(server->calls[i].status, SYN_RESOURCE_EXHAUSTED);
}

static void streams_that_nobody_reads_starve_no_other(void **state)
{
    (void)state;
    for (int i = 0; i < 30; i++)
        syn_stream_half_close(request("/test.Echo/Stream", UINT64_MAX)->stream);
    settle(client, server, 100000);
    for (int i = 0; i < 29; i++)
        while (syn_stream_is_writable(server->calls[i].stream))
            assert_int_equal(send_chunk(server->calls[i].stream, 1000), SYN_OK);

    assert_true(syn_stream_is_writable(server->calls[29].stream));
    assert_int_equal(send_chunk(server->calls[29].stream, 1000), SYN_OK);

    assert_true(server->budget.used <= CONNECTION_QUEUE);
    settle(client, server, 100000);
    assert_int_equal(client->calls[29].n_messages, 1);
    assert_true(server->calls[28].n_drains > 0);
}

static void an_abort_is_heard_by_a_client_whose_window_is_closed(void **state)
{
    (void)state;
    seen *call = request("/test.Echo/Stream", UINT64_MAX);
    syn_stream_half_close(call->stream);
    settle(client, server, 100000);
    for (int i = 0; i < 1000; i++)
        (void)send_chunk(server->calls[0].stream, 1000);
    syn_stream_finish(server->calls[0].stream, SYN_OK, NULL);
    /* the client sees what the window allows, but its updates are lost */
    carry(server, client, 100000);
    const unsigned char *lost;
    while (syn_session_pull(client->session, &lost) > 0) {
    }
    carry(server, client, 100000);
    assert_true(syn_stream_pending(server->calls[0].stream) > 0);
    assert_false(call->is_closed);

    syn_stream_abort(server->calls[0].stream, SYN_DEADLINE_EXCEEDED, "too late");
    carry(server, client, 100000);

    assert_true(call->is_closed);
    assert_int_equal(call->status, SYN_DEADLINE_EXCEEDED); /* and not the OK that would be a lie */
    assert_true(server->calls[0].is_closed);
}

static void draining_lets_running_calls_end(void **state)
{
    (void)state;
    seen *running = request("/test.Echo/Bidi", UINT64_MAX);
    settle(client, server, 100000);

    syn_session_drain(server->session);
    syn_session_ping(server->session);
    settle(client, server, 100000);
    assert_true(server->has_pong);
    assert_true(client->has_goaway);
    syn_session_drain(server->session);
    settle(client, server, 100000);
    assert_false(syn_session_is_finished(server->session));
    assert_int_equal(send_chunk(running->stream, 10), SYN_OK);
    settle(client, server, 100000);
    assert_int_equal(server->calls[0].n_messages, 1);
    syn_stream_finish(server->calls[0].stream, SYN_OK, NULL);
    settle(client, server, 100000);

    assert_int_equal(running->status, SYN_OK);
    assert_true(syn_session_is_finished(server->session));
    assert_true(syn_session_is_finished(client->session));
}

static void a_call_after_goaway_is_unavailable(void **state)
{
    (void)state;
    (void)request("/test.Echo/Bidi", UINT64_MAX);
    settle(client, server, 100000);
    syn_session_drain(server->session);
    syn_session_drain(server->session);
    settle(client, server, 100000);

    seen *late = new_call(client, NULL);
    const syn_session_call what = {"/test.Echo/Bidi", "localhost", UINT64_MAX, late};
    syn_status status = syn_session_request(client->session, &what, &late->stream);
    settle(client, server, 100000);

    assert_true(status == SYN_UNAVAILABLE || late->status == SYN_UNAVAILABLE);
    assert_int_equal(server->n_calls, 1);
}

/* ---- a peer that means harm ---- */

typedef struct bytes {
    unsigned char data[1 << 20];
    size_t n;
} bytes;

static void put(bytes *b, const void *data, size_t size)
{
    assert_true(b->n + size <= sizeof b->data);
    if (size)
        memcpy(b->data + b->n, data, size);
    b->n += size;
}

static void put_frame(bytes *b, int type, int flags, uint32_t stream_id, const void *payload,
                      size_t size)
{
    const unsigned char head[] = {(unsigned char)(size >> 16),
                                  (unsigned char)(size >> 8),
                                  (unsigned char)size,
                                  (unsigned char)type,
                                  (unsigned char)flags,
                                  (unsigned char)(stream_id >> 24),
                                  (unsigned char)(stream_id >> 16),
                                  (unsigned char)(stream_id >> 8),
                                  (unsigned char)stream_id};
    put(b, head, sizeof head);
    put(b, payload, size);
}

static bytes *attack_new(void)
{
    bytes *b = calloc(1, sizeof *b);
    assert_non_null(b);
    put(b, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    put_frame(b, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
    return b;
}

/* A literal header, not indexed. */
static void put_header(bytes *b, const char *name, const char *value)
{
    unsigned char head[3] = {0, (unsigned char)strlen(name)};
    put(b, head, 2);
    put(b, name, strlen(name));
    head[0] = (unsigned char)strlen(value);
    put(b, head, 1);
    put(b, value, strlen(value));
}

static void put_request(bytes *b, uint32_t stream_id, int flags, const char *content_type,
                        const char *extra_name, const char *extra_value)
{
    bytes *block = calloc(1, sizeof *block);
    assert_non_null(block);
    put_header(block, ":method", "POST");
    put_header(block, ":scheme", "http");
    put_header(block, ":path", "/test.Echo/Unary");
    put_header(block, ":authority", "x");
    put_header(block, "content-type", content_type);
    if (extra_name)
        put_header(block, extra_name, extra_value);
    put_frame(b, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | flags, stream_id, block->data,
              block->n);
    free(block);
}

/* Gives the bytes to the server in one go and throws its answers away; whether it wants to go on.
 */
static bool attack(bytes *b)
{
    const unsigned char *out;
    syn_status status = syn_session_receive(server->session, b->data, b->n, 1);

    b->n = 0;
    while (syn_session_pull(server->session, &out) > 0) {
    }
    return status == SYN_OK && !syn_session_is_finished(server->session);
}

static void garbage_is_no_http2(void **state)
{
    (void)state;
    bytes *b = calloc(1, sizeof *b);
    put(b, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);

    assert_false(attack(b));
    free(b);
}

static void random_frames_never_do_harm(void **state)
{
    (void)state;
    uint64_t seed = 0x9e3779b97f4a7c15u;

    for (int round = 0; round < 300; round++) {
        side_free(server);
        server = side_new(true);
        bytes *b = attack_new();
        for (int i = 0; i < 20; i++) {
            unsigned char payload[40];
            for (size_t k = 0; k < sizeof payload; k++) {
                seed = seed * 6364136223846793005u + 1442695040888963407u;
                payload[k] = (unsigned char)(seed >> 56);
            }
            if (i % 4 == 0)
                put_request(b, (uint32_t)(2 * i + 1), 0, "application/grpc", NULL, NULL);
            put_frame(b, payload[0] % 11, payload[1], payload[2] % 12, payload + 3,
                      payload[3] % 37);
        }
        (void)attack(b);
        free(b);
    }
}

static void cut_frames_wait_for_the_rest(void **state)
{
    (void)state;
    bytes *b = attack_new();
    put_request(b, 1, 0, "application/grpc", NULL, NULL);
    size_t whole = b->n;

    for (size_t n = 0; n < whole; n++) {
        side_free(server);
        server = side_new(true);
        assert_int_equal(syn_session_receive(server->session, b->data, n, 1), SYN_OK);
        assert_int_equal(server->n_calls, 0);
    }
    free(b);
}

static void a_rapid_reset_ends_the_connection(void **state)
{
    (void)state;
    bytes *b = attack_new();
    int n_rounds = 0;

    for (uint32_t id = 1; n_rounds < 10000; id += 2, n_rounds++) {
        /* calls that are not kept by the test: the wrong content type is answered below it */
        put_request(b, id, 0, "application/json", NULL, NULL);
        put_frame(b, NGHTTP2_RST_STREAM, 0, id, "\0\0\0\x08", 4);
        if (!attack(b))
            break;
    }
    assert_in_range(n_rounds, 10, 2000);
    free(b);
}

static void floods_of_empty_frames_end_the_connection(void **state)
{
    (void)state;
    static const struct {
        int type, flags;
        uint32_t stream_id;
        const char *payload;
        size_t size;
    } floods[] = {
        {NGHTTP2_PING, 0, 0, "12345678", 8},
        {NGHTTP2_SETTINGS, 0, 0, "", 0},
        {NGHTTP2_DATA, 0, 1, "", 0},
        {NGHTTP2_PRIORITY, 0, 1, "\0\0\0\x03\x10", 5},
        {NGHTTP2_WINDOW_UPDATE, 0, 1, "\0\0\0\x01", 4},
    };

    for (size_t i = 0; i < sizeof floods / sizeof *floods; i++) {
        side_free(server);
        server = side_new(true);
        bytes *b = attack_new();
        put_request(b, 1, 0, "application/grpc", NULL, NULL);
        int n = 0;
        while (n < 100000) {
            for (int k = 0; k < 100; k++, n++)
                put_frame(b, floods[i].type, floods[i].flags, floods[i].stream_id,
                          floods[i].payload, floods[i].size);
            if (!attack(b))
                break;
        }
        if (n >= 10000)
            fail_msg("flood %zu was taken", i);
        free(b);
    }
}

static void answers_to_a_header_bomb_are_errors(void **state)
{
    (void)state;
    char value[121];
    memset(value, 'v', 120);
    value[120] = '\0';
    bytes *b = attack_new(), *block = calloc(1, sizeof *block);
    put_header(block, ":method", "POST");
    put_header(block, ":scheme", "http");
    put_header(block, ":path", "/test.Echo/Unary");
    put_header(block, "content-type", "application/grpc");
    for (int i = 0; i < 120; i++) /* 15 KiB and the cost of their names */
        put_header(block, "x", value);
    put_frame(b, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, block->data, block->n);

    assert_int_equal(syn_session_receive(server->session, b->data, b->n, 1), SYN_OK);

    assert_int_equal(server->n_calls, 0); /* answered, but it never was a call */
    free(block);
    free(b);
}

static void endless_continuations_end_the_connection(void **state)
{
    (void)state;
    bytes *b = attack_new();
    put_frame(b, NGHTTP2_HEADERS, 0, 1, "", 0);
    bool goes_on = attack(b);

    for (int i = 0; i < 20 && goes_on; i++) {
        put_frame(b, NGHTTP2_CONTINUATION, 0, 1, "\0\x01y\x01z", 5);
        goes_on = attack(b);
    }
    assert_false(goes_on);
    free(b);
}

static void unfinished_messages_cost_what_came_and_not_what_was_announced(void **state)
{
    (void)state;
    bytes *b = attack_new();
    for (uint32_t id = 1; id < 200; id += 2) {
        put_request(b, id, 0, "application/grpc", NULL, NULL);
        put_frame(b, NGHTTP2_DATA, 0, id,
                  "\0\0\x3f\xff\xff"
                  "abc",
                  8); /* 4 MiB announced */
    }
    assert_true(attack(b));

    assert_int_equal(server->n_calls, 100);
    assert_true(server->budget.used <= 100 * 4096);
    free(b);
}

static void broken_messages_end_their_call_only(void **state)
{
    (void)state;
    static const struct {
        const char *data;
        size_t size;
        int flags;
        syn_status status;
    } cases[] = {
        {"\x01\0\0\0\0", 5, 0, SYN_UNIMPLEMENTED},            /* compressed */
        {"\x02\0\0\0\0", 5, 0, SYN_INTERNAL},                 /* no flag at all */
        {"\0\xff\xff\xff\xff", 5, 0, SYN_RESOURCE_EXHAUSTED}, /* 4 GiB */
        {"\0\0\0\0\x05"
         "ab",
         7, 1, SYN_INTERNAL},         /* ends inside the message */
        {"\0\0", 2, 1, SYN_INTERNAL}, /* ends inside the prefix */
    };
    bytes *b = attack_new();

    for (uint32_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_request(b, 2 * i + 1, 0, "application/grpc", NULL, NULL);
        put_frame(b, NGHTTP2_DATA, cases[i].flags, 2 * i + 1, cases[i].data, cases[i].size);
        assert_true(attack(b));
        assert_int_equal(server->n_calls, i + 1);
        assert_true(server->calls[i].is_closed);
        assert_int_equal(server->calls[i].status, cases[i].status);
    }
    free(b);
}

static void what_is_no_grpc_never_becomes_a_call(void **state)
{
    (void)state;
    bytes *b = attack_new();
    put_request(b, 1, NGHTTP2_FLAG_END_STREAM, "application/json", NULL, NULL);
    put_request(b, 3, NGHTTP2_FLAG_END_STREAM, "application/grpc", "grpc-timeout", "soon");
    put_request(b, 5, NGHTTP2_FLAG_END_STREAM, "application/grpc", "grpc-encoding", "gzip");
    const unsigned char *out;
    bool has_415 = false;

    assert_int_equal(syn_session_receive(server->session, b->data, b->n, 1), SYN_OK);
    for (size_t n; (n = syn_session_pull(server->session, &out)) > 0;)
        has_415 =
            has_415 || memmem(out, n, "415", 3) || n > 9; /* the number may be Huffman-coded */

    assert_true(has_415);
    assert_int_equal(server->n_calls, 0);
    assert_int_equal(syn_session_n_streams(server->session), 0);
    free(b);
}

static void a_failed_allocation_ends_in_an_error_and_no_leak(void **state)
{
    (void)state;
    server->on_half_close = echo_once;

    for (long n = 1; n < 120; n++) {
        side_free(client);
        side_free(server);
        client = side_new(false);
        server = side_new(true);
        seen *call = new_call(client, NULL);
        const syn_session_call what = {"/test.Echo/Unary", "x", UINT64_MAX, call};
        syn_mem_fail_after(n);
        if (syn_session_request(client->session, &what, &call->stream) == SYN_OK) {
            chunk message = SYNCLINE__V1__TAIL_LOGS_RESPONSE__INIT;
            (void)syn_stream_send(call->stream, &message.base);
            syn_stream_half_close(call->stream);
            const unsigned char *data;
            for (int round = 0; round < 4; round++) {
                for (size_t size; (size = syn_session_pull(client->session, &data)) > 0;)
                    (void)syn_session_receive(server->session, data, size, 1);
                syn_mem_fail_after(0);
                for (size_t size; (size = syn_session_pull(server->session, &data)) > 0;)
                    (void)syn_session_receive(client->session, data, size, 1);
            }
        }
        syn_mem_fail_after(0);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        T(a_unary_call_comes_back_in_steps_of_any_size),
        T(an_immediate_error_carries_its_sentence),
        T(answering_before_the_client_has_ended_ends_the_call_for_both),
        T(messages_after_an_early_answer_are_ignored),
        T(cancelling_reaches_the_server),
        T(a_call_cancelled_before_it_was_sent_never_shows),
        T(a_lost_connection_ends_all_calls_of_both_sides),
        T(more_calls_than_streams_wait_their_turn),
        T(a_message_over_the_limit_is_not_sent),
        T(a_full_queue_says_so_and_tells_when_it_has_drained),
        T(a_reader_that_stops_costs_bounded_memory),
        T(streams_that_nobody_reads_starve_no_other),
        T(an_abort_is_heard_by_a_client_whose_window_is_closed),
        T(draining_lets_running_calls_end),
        T(a_call_after_goaway_is_unavailable),
        T(garbage_is_no_http2),
        T(random_frames_never_do_harm),
        T(cut_frames_wait_for_the_rest),
        T(a_rapid_reset_ends_the_connection),
        T(floods_of_empty_frames_end_the_connection),
        T(answers_to_a_header_bomb_are_errors),
        T(endless_continuations_end_the_connection),
        T(unfinished_messages_cost_what_came_and_not_what_was_announced),
        T(broken_messages_end_their_call_only),
        T(what_is_no_grpc_never_becomes_a_call),
        T(a_failed_allocation_ends_in_an_error_and_no_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
