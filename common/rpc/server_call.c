/* Calls at the server: from a session's streams to handlers and back. */
#include "common/rpc/server_internal.h"

#include "common/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the end of a call ---- */

void syn_rpc_call_ref(syn_rpc_call *call)
{
    call->refs++;
}

void syn_rpc_call_unref(syn_rpc_call *call)
{
    if (!call || --call->refs)
        return;
    syn_wire_free(call->request);
    syn_free(call);
}

static void run_end(syn_task *task)
{
    syn_rpc_call *call = (syn_rpc_call *)(void *)((char *)task - offsetof(syn_rpc_call, task));
    syn_rpc_server *server = call->server;
    const syn_rpc_method *method = call->handler->method;

    call->server = NULL;
    *call->link = call->next;
    if (call->next)
        call->next->link = call->link;
    server->n_calls--;
    if (server->options.observe)
        server->options.observe(method->service, method->name, call->status,
                                syn_clock_monotonic_ns() - call->started_ns,
                                server->options.observe_user);
    if (call->is_told && call->handler->on_end)
        call->handler->on_end(call, call->status, call->user);
    syn_rpc_call_unref(call);
}

static void end_soon(syn_rpc_call *call, syn_status status)
{
    if (call->has_ended)
        return;
    call->has_ended = true;
    call->status = status;
    call->stream = NULL;
    call->conn = NULL;
    syn_io_timer_clear(&call->server->io, &call->timer);
    syn_io_task_add(&call->server->io, &call->task);
}

void syn_server_abandon(syn_rpc_call *call, syn_status status, const char *message)
{
    if (call->has_ended)
        return;
    syn_stream_set_data(call->stream, NULL);
    syn_stream_abort(call->stream, status, message);
    syn_conn_flush_soon(&call->conn->conn);
    end_soon(call, status);
}

static void on_deadline(syn_timer *timer)
{
    syn_rpc_call *call = (syn_rpc_call *)(void *)((char *)timer - offsetof(syn_rpc_call, timer));
    syn_server_abandon(call, SYN_DEADLINE_EXCEEDED, "the call's deadline has passed");
}

/* ---- what a session tells ---- */

static int compare_path(const void *path, const void *entry)
{
    return strcmp(path, ((const syn_server_entry *)entry)->path);
}

static syn_rpc_call *open_call(syn_server_conn *conn, syn_stream *stream,
                               const syn_server_entry *entry, uint64_t timeout_ns)
{
    syn_rpc_server *server = conn->server;
    syn_rpc_call *call = syn_calloc(1, sizeof *call);

    if (!call)
        return NULL;
    call->refs = 1;
    call->server = server;
    call->conn = conn;
    call->stream = stream;
    call->handler = entry->handler;
    call->user = entry->user;
    call->started_ns = syn_clock_monotonic_ns();
    call->deadline_ns =
        timeout_ns < UINT64_MAX - call->started_ns ? call->started_ns + timeout_ns : UINT64_MAX;
    call->timer.fire = on_deadline;
    call->task.run = run_end;
    call->has_uid = conn->has_uid;
    call->uid = conn->uid;
    memcpy(call->peer, conn->peer, sizeof call->peer);
    if (call->deadline_ns != UINT64_MAX &&
        syn_io_timer_set(&server->io, &call->timer, call->deadline_ns) != SYN_OK) {
        syn_free(call);
        return NULL;
    }
    call->next = server->calls;
    call->link = &server->calls;
    if (call->next)
        call->next->link = &call->next;
    server->calls = call;
    server->n_calls++;
    syn_stream_set_data(stream, call);
    return call;
}

static void on_request(syn_stream *stream, const char *path, uint64_t timeout_ns, void *user)
{
    syn_server_conn *conn = user;
    syn_rpc_server *server = conn->server;
    const syn_server_entry *entry = bsearch(path, server->entries.items, server->entries.n,
                                            sizeof *server->entries.items, compare_path);
    char text[300];

    if (!entry) {
        (void)snprintf(text, sizeof text, "the server has no method %.200s", path);
        syn_stream_finish(stream, SYN_UNIMPLEMENTED, text);
        if (server->options.observe)
            server->options.observe("unknown", "unknown", SYN_UNIMPLEMENTED, 0,
                                    server->options.observe_user);
        return;
    }
    syn_rpc_call *call = open_call(conn, stream, entry, timeout_ns);
    if (!call) {
        syn_stream_finish(stream, SYN_RESOURCE_EXHAUSTED, "the server is out of memory");
        return;
    }
    if (call->handler->on_start) {
        call->is_told = true;
        call->handler->on_start(call, call->user);
    }
}

/* Hands one message to the handler; owns it meanwhile. */
static void deliver(syn_rpc_call *call, ProtobufCMessage *message)
{
    call->is_told = true;
    call->delivering = message;
    call->handler->on_message(call, message, call->user);
    syn_wire_free(call->delivering);
    call->delivering = NULL;
}

ProtobufCMessage *syn_rpc_call_take_message(syn_rpc_call *call)
{
    ProtobufCMessage *message = call->delivering;

    call->delivering = NULL;
    return message;
}

static void on_message(syn_stream *stream, const unsigned char *bytes, size_t size, void *user)
{
    syn_rpc_call *call = syn_stream_data(stream);
    ProtobufCMessage *message;

    (void)user;
    if (!call || call->is_finished)
        return;
    const syn_rpc_method *method = call->handler->method;
    if (call->request) {
        syn_rpc_call_finish(call, SYN_UNIMPLEMENTED, "the method takes one message, not several");
        return;
    }
    syn_status status = syn_wire_unpack(method->request, bytes, size, &message);
    if (status != SYN_OK) {
        syn_rpc_call_fail(call, status);
        return;
    }
    if (method->client_streaming)
        deliver(call, message);
    else
        call->request = message;
}

static void on_half_close(syn_stream *stream, void *user)
{
    syn_rpc_call *call = syn_stream_data(stream);

    (void)user;
    if (!call || call->is_finished)
        return;
    if (call->handler->method->client_streaming) {
        call->is_told = true;
        if (call->handler->on_half_close)
            call->handler->on_half_close(call, call->user);
        else
            syn_rpc_call_finish(call, SYN_OK, NULL);
        return;
    }
    ProtobufCMessage *request = call->request;
    call->request = NULL;
    if (request)
        deliver(call, request);
    else
        syn_rpc_call_finish(call, SYN_UNIMPLEMENTED, "the method takes one message, not none");
}

static void on_drain(syn_stream *stream, void *user)
{
    syn_rpc_call *call = syn_stream_data(stream);

    (void)user;
    if (call && !call->is_finished && call->handler->on_drain)
        call->handler->on_drain(call, call->user);
}

static void on_close(syn_stream *stream, syn_status status, const char *message, void *user)
{
    syn_rpc_call *call = syn_stream_data(stream);

    (void)message;
    (void)user;
    if (call)
        end_soon(call, status);
}

static void on_pong(void *user)
{
    syn_server_conn *conn = user;

    if (!conn->awaits_drain_pong)
        return;
    conn->awaits_drain_pong = false;
    syn_session_drain(conn->conn.session);
}

const syn_session_events syn_server_events = {
    .on_request = on_request,
    .on_message = on_message,
    .on_half_close = on_half_close,
    .on_drain = on_drain,
    .on_close = on_close,
    .on_pong = on_pong,
};

/* ---- what handlers do ---- */

syn_status syn_rpc_call_send(syn_rpc_call *call, const ProtobufCMessage *message)
{
    if (call->has_ended || call->is_finished)
        return SYN_OK;
    syn_status status = syn_stream_send(call->stream, message);
    if (status != SYN_OK) {
        char text[256];
        (void)snprintf(text, sizeof text, "%s", syn_error_message());
        syn_server_abandon(call, status, text);
        return status;
    }
    syn_conn_flush_soon(&call->conn->conn);
    return SYN_OK;
}

void syn_rpc_call_finish(syn_rpc_call *call, syn_status status, const char *message)
{
    if (call->has_ended || call->is_finished)
        return;
    call->is_finished = true;
    syn_stream_finish(call->stream, status, message);
    syn_conn_flush_soon(&call->conn->conn);
}

void syn_rpc_call_fail(syn_rpc_call *call, syn_status status)
{
    syn_rpc_call_finish(call, status, syn_error_message());
}

void syn_rpc_call_reply(syn_rpc_call *call, const ProtobufCMessage *message)
{
    if (syn_rpc_call_send(call, message) == SYN_OK)
        syn_rpc_call_finish(call, SYN_OK, NULL);
}

void syn_rpc_call_set_data(syn_rpc_call *call, void *data)
{
    call->data = data;
}

void *syn_rpc_call_data(const syn_rpc_call *call)
{
    return call->data;
}

size_t syn_rpc_call_pending_bytes(const syn_rpc_call *call)
{
    return call->has_ended ? 0 : syn_stream_pending(call->stream);
}

bool syn_rpc_call_is_writable(syn_rpc_call *call)
{
    return !call->has_ended && !call->is_finished && syn_stream_is_writable(call->stream);
}

bool syn_rpc_call_has_ended(const syn_rpc_call *call)
{
    return call->has_ended;
}

uint64_t syn_rpc_call_deadline_ns(const syn_rpc_call *call)
{
    return call->deadline_ns;
}

const char *syn_rpc_call_peer(const syn_rpc_call *call)
{
    return call->peer;
}

bool syn_rpc_call_peer_uid(const syn_rpc_call *call, uid_t *uid_out)
{
    if (call->has_uid)
        *uid_out = call->uid;
    return call->has_uid;
}

const syn_rpc_method *syn_rpc_call_method(const syn_rpc_call *call)
{
    return call->handler->method;
}
