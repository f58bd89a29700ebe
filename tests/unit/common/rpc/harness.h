/* A server with an echo service on a loop of its own, for the tests of server and clients. */
#ifndef TESTS_UNIT_COMMON_RPC_HARNESS_H
#define TESTS_UNIT_COMMON_RPC_HARNESS_H

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/rpc/rpc.h"
#include "syncline/v1/jobs.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

/* Requests and answers are TailLogsResponse: `data` is echoed, `offset` says what to do. */
typedef Syncline__V1__TailLogsResponse chunk;
enum {
    DO_ECHO,
    DO_FAIL,       /* with FAILED_PRECONDITION and the data as its sentence */
    DO_HANG,       /* never answer */
    DO_LATER,      /* answer from a timer */
    DO_TWICE,      /* two answers to a unary call */
    DO_NOTHING_OK, /* OK without a message */
    DO_MANY = 100, /* Stream: offset - DO_MANY chunks of the data */
};

static const syn_rpc_method echo_unary = {"test.Echo",
                                          "Unary",
                                          &syncline__v1__tail_logs_response__descriptor,
                                          &syncline__v1__tail_logs_response__descriptor,
                                          false,
                                          false};
static const syn_rpc_method echo_stream = {"test.Echo",
                                           "Stream",
                                           &syncline__v1__tail_logs_response__descriptor,
                                           &syncline__v1__tail_logs_response__descriptor,
                                           false,
                                           true};
static const syn_rpc_method echo_collect = {"test.Echo",
                                            "Collect",
                                            &syncline__v1__tail_logs_response__descriptor,
                                            &syncline__v1__tail_logs_response__descriptor,
                                            true,
                                            false};
static const syn_rpc_method echo_bidi = {"test.Echo",
                                         "Bidi",
                                         &syncline__v1__tail_logs_response__descriptor,
                                         &syncline__v1__tail_logs_response__descriptor,
                                         true,
                                         true};
static const syn_rpc_method echo_missing = {"test.Echo",
                                            "Missing",
                                            &syncline__v1__tail_logs_response__descriptor,
                                            &syncline__v1__tail_logs_response__descriptor,
                                            false,
                                            false};

/* What a call at the server holds. */
typedef struct echo_call {
    uv_timer_t timer;
    syn_rpc_call *call;
    ProtobufCMessage *request; /* owned */
    uint64_t n_left, n_bytes;
} echo_call;

typedef struct echo_server {
    uv_loop_t *loop;
    syn_rpc_server *server;
    size_t n_started, n_ended, n_messages, n_observed, n_drains, most_pending;
    syn_status last_status, last_observed;
    char last_method[64], peer[64];
    bool has_uid;
    uid_t uid;
    uint64_t deadline_ns;
    syn_rpc_call *kept; /* the call that DO_HANG left; shared */
    bool is_drained, is_closed;
} echo_server;

static void echo_closed_timer(uv_handle_t *handle)
{
    echo_call *e = handle->data;

    syn_wire_free(e->request);
    syn_rpc_call_unref(e->call);
    free(e);
}

static void echo_on_timer(uv_timer_t *timer)
{
    echo_call *e = timer->data;
    syn_rpc_call_reply(e->call, e->request); /* also when the call has ended meanwhile */
    uv_close((uv_handle_t *)timer, echo_closed_timer);
}

static void echo_later(echo_server *s, syn_rpc_call *call, uint64_t after_ms)
{
    echo_call *e = calloc(1, sizeof *e);
    assert_non_null(e);
    (void)uv_timer_init(s->loop, &e->timer);
    e->timer.data = e;
    e->call = call;
    syn_rpc_call_ref(call);
    e->request = syn_rpc_call_take_message(call);
    assert_non_null(e->request);
    assert_null(syn_rpc_call_take_message(call));
    (void)uv_timer_start(&e->timer, echo_on_timer, after_ms, 0);
}

static void echo_note(echo_server *s, syn_rpc_call *call)
{
    s->n_messages++;
    (void)snprintf(s->peer, sizeof s->peer, "%s", syn_rpc_call_peer(call));
    s->has_uid = syn_rpc_call_peer_uid(call, &s->uid);
    s->deadline_ns = syn_rpc_call_deadline_ns(call);
}

static void echo_on_unary(syn_rpc_call *call, const ProtobufCMessage *message, void *user)
{
    const chunk *request = (const chunk *)message;
    echo_server *s = user;
    char text[64];

    echo_note(s, call);
    switch (request->offset) {
    case DO_FAIL:
        (void)snprintf(text, sizeof text, "%.*s", (int)request->data.len,
                       (char *)request->data.data);
        syn_rpc_call_finish(call, SYN_FAILED_PRECONDITION, text);
        break;
    case DO_HANG:
        if (!s->kept) {
            syn_rpc_call_ref(call);
            s->kept = call;
        }
        break;
    case DO_LATER:
        echo_later(s, call, 1);
        break;
    case DO_TWICE:
        (void)syn_rpc_call_send(call, message);
        syn_rpc_call_reply(call, message);
        break;
    case DO_NOTHING_OK:
        syn_rpc_call_finish(call, SYN_OK, NULL);
        break;
    default:
        syn_rpc_call_reply(call, message);
        break;
    }
}

static void echo_pump(syn_rpc_call *call, void *user)
{
    echo_server *s = user;
    echo_call *e = syn_rpc_call_data(call);

    while (e->n_left && syn_rpc_call_is_writable(call)) {
        assert_int_equal(syn_rpc_call_send(call, e->request), SYN_OK);
        e->n_left--;
        if (syn_rpc_call_pending_bytes(call) > s->most_pending)
            s->most_pending = syn_rpc_call_pending_bytes(call);
    }
    if (!e->n_left)
        syn_rpc_call_finish(call, SYN_OK, NULL);
}

static void echo_on_drain(syn_rpc_call *call, void *user)
{
    ((echo_server *)user)->n_drains++;
    echo_pump(call, user);
}

static void echo_on_stream(syn_rpc_call *call, const ProtobufCMessage *message, void *user)
{
    echo_call *e = calloc(1, sizeof *e);
    assert_non_null(e);
    echo_note(user, call);
    e->n_left = ((const chunk *)message)->offset - DO_MANY;
    e->request = syn_rpc_call_take_message(call);
    syn_rpc_call_set_data(call, e);
    echo_pump(call, user);
}

static void echo_on_collect_start(syn_rpc_call *call, void *user)
{
    echo_call *e = calloc(1, sizeof *e);
    assert_non_null(e);
    ((echo_server *)user)->n_started++;
    syn_rpc_call_set_data(call, e);
}

static void echo_on_collect(syn_rpc_call *call, const ProtobufCMessage *message, void *user)
{
    echo_call *e = syn_rpc_call_data(call);
    ((echo_server *)user)->n_messages++;
    e->n_bytes += ((const chunk *)message)->data.len;
}

static void echo_on_collect_half_close(syn_rpc_call *call, void *user)
{
    echo_call *e = syn_rpc_call_data(call);
    chunk answer = SYNCLINE__V1__TAIL_LOGS_RESPONSE__INIT;

    (void)user;
    answer.offset = e->n_bytes;
    syn_rpc_call_reply(call, &answer.base);
}

static void echo_on_bidi(syn_rpc_call *call, const ProtobufCMessage *message, void *user)
{
    ((echo_server *)user)->n_messages++;
    (void)syn_rpc_call_send(call, message);
}

static void echo_on_end(syn_rpc_call *call, syn_status status, void *user)
{
    echo_server *s = user;
    echo_call *e = syn_rpc_call_data(call);

    assert_true(syn_rpc_call_has_ended(call));
    s->n_ended++;
    s->last_status = status;
    if (e) {
        syn_wire_free(e->request);
        free(e);
    }
}

static const syn_rpc_handler echo_handlers[] = {
    {.method = &echo_unary, .on_message = echo_on_unary, .on_end = echo_on_end},
    {.method = &echo_stream,
     .on_message = echo_on_stream,
     .on_drain = echo_on_drain,
     .on_end = echo_on_end},
    {.method = &echo_collect,
     .on_start = echo_on_collect_start,
     .on_message = echo_on_collect,
     .on_half_close = echo_on_collect_half_close,
     .on_end = echo_on_end},
    {.method = &echo_bidi, .on_message = echo_on_bidi, .on_end = echo_on_end},
};

static void echo_observe(const char *service, const char *method, syn_status status,
                         uint64_t duration_ns, void *user)
{
    echo_server *s = user;

    assert_true(duration_ns < UINT64_C(100000000000));
    s->n_observed++;
    s->last_observed = status;
    (void)snprintf(s->last_method, sizeof s->last_method, "%s/%s", service, method);
}

/* `options` may be NULL. */
static void echo_server_init(echo_server *s, uv_loop_t *loop, const syn_rpc_server_options *options)
{
    syn_rpc_server_options o = options ? *options : (syn_rpc_server_options){0};
    const syn_rpc_service service = {echo_handlers, sizeof echo_handlers / sizeof *echo_handlers,
                                     s};

    *s = (echo_server){.loop = loop};
    o.services = &service;
    o.n_services = 1;
    o.observe = echo_observe;
    o.observe_user = s;
    assert_int_equal(syn_rpc_server_new(loop, &o, &s->server), SYN_OK);
}

static __attribute__((unused)) void echo_on_closed(void *user)
{
    ((echo_server *)user)->is_closed = true;
}

static __attribute__((unused)) void echo_on_drained(void *user)
{
    ((echo_server *)user)->is_drained = true;
}

/* ---- a loop that gives up instead of hanging ---- */

static void guard_fired(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static void guard_closed(uv_handle_t *handle)
{
    free(handle);
}

/* Runs until `*flag` or ten seconds have passed; whether it was the flag. */
static __attribute__((unused)) bool run_until(uv_loop_t *loop, const bool *flag)
{
    bool is_late = false;
    uv_timer_t *guard = malloc(sizeof *guard);
    assert_non_null(guard);
    uv_update_time(loop);
    (void)uv_timer_init(loop, guard);
    guard->data = &is_late;
    (void)uv_timer_start(guard, guard_fired, 10000, 0);
    while (!*flag && !is_late)
        (void)uv_run(loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)guard, guard_closed);
    return *flag;
}

static __attribute__((unused)) bool run_until_count(uv_loop_t *loop, const size_t *count,
                                                    size_t wanted)
{
    bool is_late = false;
    uv_timer_t *guard = malloc(sizeof *guard);
    assert_non_null(guard);
    uv_update_time(loop);
    (void)uv_timer_init(loop, guard);
    guard->data = &is_late;
    (void)uv_timer_start(guard, guard_fired, 10000, 0);
    while (*count < wanted && !is_late)
        (void)uv_run(loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)guard, guard_closed);
    return *count >= wanted;
}

static __attribute__((unused)) void run_down(uv_loop_t *loop)
{
    while (uv_run(loop, UV_RUN_DEFAULT)) {
    }
    assert_int_equal(uv_loop_close(loop), 0);
}

/* ---- what a client call was told ---- */

typedef struct heard {
    size_t n_messages, n_bytes, n_drains, n_ends;
    uint64_t last_offset;
    bool has_ended;
    syn_status status;
    char message[600];
} heard;

static void heard_on_message(syn_rpc_client_call *call, const ProtobufCMessage *message, void *user)
{
    heard *h = user;

    (void)call;
    h->n_messages++;
    h->n_bytes += ((const chunk *)message)->data.len;
    h->last_offset = ((const chunk *)message)->offset;
}

static void heard_on_drain(syn_rpc_client_call *call, void *user)
{
    (void)call;
    ((heard *)user)->n_drains++;
}

static void heard_on_end(syn_rpc_client_call *call, syn_status status, const char *message,
                         void *user)
{
    heard *h = user;

    (void)call;
    h->n_ends++;
    h->has_ended = true;
    h->status = status;
    (void)snprintf(h->message, sizeof h->message, "%s", message);
}

static const syn_rpc_client_handler heard_handler = {heard_on_message, heard_on_drain,
                                                     heard_on_end};

static __attribute__((unused)) void heard_on_reply(syn_status status, const char *message,
                                                   const ProtobufCMessage *reply, void *user)
{
    if (reply)
        heard_on_message(NULL, reply, user);
    heard_on_end(NULL, status, message, user);
}

static __attribute__((unused)) syn_status send_chunk(syn_rpc_client_call *call, uint64_t offset,
                                                     const char *text, size_t size)
{
    chunk request = SYNCLINE__V1__TAIL_LOGS_RESPONSE__INIT;
    char *bytes = calloc(1, size + 1);
    assert_non_null(bytes);
    memcpy(bytes, text, strlen(text) < size ? strlen(text) : size);
    request.offset = offset;
    request.data = (ProtobufCBinaryData){size, (uint8_t *)bytes};
    syn_status status = syn_rpc_client_send(call, &request.base);
    free(bytes);
    return status;
}

/* Starts a call with one whole request. */
static __attribute__((unused)) syn_rpc_client_call *start_call(syn_rpc_channel *channel,
                                                               const syn_rpc_method *method,
                                                               uint64_t offset, const char *text,
                                                               uint32_t timeout_ms, heard *h)
{
    syn_rpc_client_call *call;

    *h = (heard){0};
    assert_int_equal(syn_rpc_client_start(channel, method, &heard_handler, h, timeout_ms, &call),
                     SYN_OK);
    assert_int_equal(send_chunk(call, offset, text, strlen(text)), SYN_OK);
    syn_rpc_client_half_close(call);
    assert_false(h->has_ended); /* never from inside */
    return call;
}

/* A folder of its own under the system's temporary one; the caller frees the path. */
static __attribute__((unused)) char *scratch_make(void)
{
    const char *base = getenv("TMPDIR");
    char path[256];
    (void)snprintf(path, sizeof path, "%s/syn-rpc-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(path));
    return strdup(path);
}

static __attribute__((unused)) void scratch_remove(char *path)
{
    assert_int_equal(syn_dir_remove(path), SYN_OK);
    free(path);
}

#endif
