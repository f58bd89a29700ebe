/* The blocking client: a channel driven by a loop of its own until an answer is there. */
#include "common/rpc/rpc.h"

#include "common/base/clock.h"
#include "common/base/mem.h"

#include <uv.h>

struct syn_rpc_blocking {
    uv_loop_t loop;
    uv_timer_t timer; /* bounds a wait */
    syn_rpc_channel *channel;
    bool is_timed_out;
};

/* A message that came before it was asked for. */
typedef struct queued {
    struct queued *next;
    ProtobufCMessage *message; /* owned */
} queued;

struct syn_rpc_blocking_stream {
    syn_rpc_blocking *client;  /* borrowed */
    syn_rpc_client_call *call; /* shared */
    queued *first, **last;     /* owned */
    bool has_ended;
    syn_status status;
    char *message; /* owned: of the end */
};

syn_status syn_rpc_blocking_new(const char *address, syn_rpc_blocking **client_out)
{
    syn_rpc_blocking *client = syn_calloc(1, sizeof *client);

    if (!client)
        return syn_fail_memory(sizeof *client, "a client");
    int error = uv_loop_init(&client->loop);
    if (error) {
        syn_free(client);
        return SYN_FAIL(SYN_INTERNAL, "cannot make an event loop: %s", uv_strerror(error));
    }
    (void)uv_timer_init(&client->loop, &client->timer); /* cannot fail */
    client->timer.data = client;
    syn_status status = syn_rpc_channel_new(&client->loop, address, NULL, &client->channel);
    if (status != SYN_OK) {
        syn_rpc_blocking_free(client);
        return status;
    }
    *client_out = client;
    return SYN_OK;
}

void syn_rpc_blocking_free(syn_rpc_blocking *client)
{
    if (!client)
        return;
    syn_rpc_channel_close(client->channel, NULL, NULL);
    uv_close((uv_handle_t *)&client->timer, NULL);
    (void)uv_run(&client->loop, UV_RUN_DEFAULT);
    SYN_BUG_ON(uv_loop_close(&client->loop) != 0);
    syn_free(client);
}

/* ---- streams ---- */

static void on_message(syn_rpc_client_call *call, const ProtobufCMessage *message, void *user)
{
    syn_rpc_blocking_stream *stream = user;
    queued *q = syn_malloc(sizeof *q);

    (void)message;
    if (!q) {
        syn_rpc_client_cancel(call);
        return;
    }
    *q = (queued){NULL, syn_rpc_client_take_message(call)};
    *stream->last = q;
    stream->last = &q->next;
}

static void on_end(syn_rpc_client_call *call, syn_status status, const char *message, void *user)
{
    syn_rpc_blocking_stream *stream = user;

    (void)call;
    stream->has_ended = true;
    stream->status = status;
    stream->message = syn_strdup(message);
}

static const syn_rpc_client_handler handler = {.on_message = on_message, .on_end = on_end};

static void on_timer(uv_timer_t *timer)
{
    ((syn_rpc_blocking *)timer->data)->is_timed_out = true;
}

syn_status syn_rpc_blocking_open(syn_rpc_blocking *client, const syn_rpc_method *method,
                                 const ProtobufCMessage *request, uint32_t timeout_ms,
                                 syn_rpc_blocking_stream **stream_out)
{
    syn_rpc_blocking_stream *stream = syn_calloc(1, sizeof *stream);

    if (!stream)
        return syn_fail_memory(sizeof *stream, "a call");
    stream->client = client;
    stream->last = &stream->first;
    (void)uv_run(&client->loop, UV_RUN_NOWAIT); /* notices a connection that was lost meanwhile */
    syn_status status =
        syn_rpc_client_start(client->channel, method, &handler, stream, timeout_ms, &stream->call);
    if (status != SYN_OK) {
        syn_free(stream);
        return status;
    }
    syn_rpc_client_ref(stream->call);
    status = syn_rpc_client_send(stream->call, request);
    if (status != SYN_OK) {
        syn_rpc_blocking_close(stream);
        return status;
    }
    syn_rpc_client_half_close(stream->call);
    *stream_out = stream;
    return SYN_OK;
}

/* Runs the loop until a message or the end is there, or the time has passed. */
static void wait_for(syn_rpc_blocking_stream *stream, uint32_t wait_ms)
{
    syn_rpc_blocking *client = stream->client;
    uv_run_mode mode = wait_ms ? UV_RUN_ONCE : UV_RUN_NOWAIT;

    client->is_timed_out = wait_ms == 0;
    if (wait_ms && wait_ms != UINT32_MAX) {
        uv_update_time(&client->loop);
        (void)uv_timer_start(&client->timer, on_timer, wait_ms, 0);
    }
    do
        (void)uv_run(&client->loop, mode);
    while (!stream->first && !stream->has_ended && !client->is_timed_out);
    (void)uv_timer_stop(&client->timer);
}

syn_status syn_rpc_blocking_next(syn_rpc_blocking_stream *stream, uint32_t wait_ms,
                                 ProtobufCMessage **message_out, bool *is_end_out)
{
    *message_out = NULL;
    *is_end_out = false;
    if (!stream->first && !stream->has_ended)
        wait_for(stream, wait_ms);
    if (stream->first) {
        queued *q = stream->first;
        stream->first = q->next;
        if (!stream->first)
            stream->last = &stream->first;
        *message_out = q->message;
        syn_free(q);
        return SYN_OK;
    }
    if (!stream->has_ended)
        return SYN_OK;
    *is_end_out = true;
    if (stream->status == SYN_OK)
        return SYN_OK;
    return SYN_FAIL(stream->status, "%s",
                    stream->message && *stream->message ? stream->message
                                                        : syn_status_text(stream->status));
}

void syn_rpc_blocking_close(syn_rpc_blocking_stream *stream)
{
    if (!stream)
        return;
    syn_rpc_client_cancel(stream->call);
    while (!stream->has_ended)
        (void)uv_run(&stream->client->loop, UV_RUN_NOWAIT);
    while (stream->first) {
        queued *q = stream->first;
        stream->first = q->next;
        syn_wire_free(q->message);
        syn_free(q);
    }
    syn_rpc_client_unref(stream->call);
    syn_free(stream->message);
    syn_free(stream);
}

syn_status syn_rpc_blocking_call(syn_rpc_blocking *client, const syn_rpc_method *method,
                                 const ProtobufCMessage *request, uint32_t timeout_ms,
                                 ProtobufCMessage **response_out)
{
    syn_rpc_blocking_stream *stream;
    ProtobufCMessage *response = NULL, *another = NULL;
    bool is_end = false;
    syn_status status;

    SYN_TRY(syn_rpc_blocking_open(client, method, request, timeout_ms, &stream));
    SYN_GOTO(syn_rpc_blocking_next(stream, UINT32_MAX, &response, &is_end));
    if (response)
        SYN_GOTO(syn_rpc_blocking_next(stream, UINT32_MAX, &another, &is_end));
    if (!response || another) {
        status = SYN_FAIL(SYN_INTERNAL, "the server answered %s with %s where one is expected",
                          method->name, another ? "several messages" : "no message");
        goto out;
    }
    *response_out = response;
    response = NULL;
out:
    syn_wire_free(response);
    syn_wire_free(another);
    syn_rpc_blocking_close(stream);
    return status;
}
