/* The sending half of a session: requests, answers, the queue of messages and its limits. */
#include "common/rpc/session_internal.h"

#include "common/base/mem.h"

#include <stdio.h>
#include <string.h>

static const char user_agent[] = "grpc-c-syncline/" SYN_VERSION;

static nghttp2_nv header(const char *name, const char *value)
{
    return (nghttp2_nv){.name = (uint8_t *)name,
                        .value = (uint8_t *)value,
                        .namelen = strlen(name),
                        .valuelen = strlen(value)};
}

/* ---- the queue ---- */

void syn_stream_drop_queue(syn_stream *stream)
{
    while (stream->first) {
        syn_stream_block *block = stream->first;
        stream->first = block->next;
        syn_budget_give(stream->session->options.budget, block->size);
        syn_free(block);
    }
    stream->last = &stream->first;
    stream->session->pending -= stream->pending;
    stream->pending = 0;
}

static syn_status check_room(const syn_stream *stream, size_t size, const char *type)
{
    syn_session *session = stream->session;
    const syn_session_options *o = &session->options;

    if (size > o->max_message_bytes)
        return SYN_FAIL(SYN_RESOURCE_EXHAUSTED, "the %s of %zu bytes is over the limit of %zu",
                        type, size, o->max_message_bytes);
    if (session->pending && session->pending + size > o->connection_queue_bytes)
        return SYN_FAIL(SYN_RESOURCE_EXHAUSTED,
                        "%zu bytes wait on a connection whose peer does not read",
                        session->pending);
    if (!syn_budget_take(o->budget, size + SYN_FRAMING_PREFIX))
        return SYN_FAIL(SYN_RESOURCE_EXHAUSTED, "%zu bytes wait on all connections together",
                        o->budget->used);
    return SYN_OK;
}

/* Packs `message` behind its prefix and appends it. */
static syn_status enqueue(syn_stream *stream, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);

    SYN_TRY(check_room(stream, size, message->descriptor->name));
    syn_stream_block *block = syn_malloc(sizeof *block + SYN_FRAMING_PREFIX + size);
    if (!block) {
        syn_budget_give(stream->session->options.budget, size + SYN_FRAMING_PREFIX);
        return syn_fail_memory(size, message->descriptor->name);
    }
    *block = (syn_stream_block){.size = SYN_FRAMING_PREFIX + size};
    block->bytes[0] = 0;
    for (int i = 0; i < 4; i++)
        block->bytes[1 + i] = (unsigned char)(size >> (24 - 8 * i));
    (void)protobuf_c_message_pack(message, block->bytes + SYN_FRAMING_PREFIX);
    *stream->last = block;
    stream->last = &block->next;
    stream->pending += block->size;
    stream->session->pending += block->size;
    return SYN_OK;
}

static size_t dequeue(syn_stream *stream, unsigned char *buffer, size_t room)
{
    size_t n = 0;

    while (stream->first && n < room) {
        syn_stream_block *block = stream->first;
        size_t part = block->size - block->offset;
        if (part > room - n)
            part = room - n;
        memcpy(buffer + n, block->bytes + block->offset, part);
        block->offset += part;
        n += part;
        if (block->offset < block->size)
            break;
        stream->first = block->next;
        if (!stream->first)
            stream->last = &stream->first;
        syn_budget_give(stream->session->options.budget, block->size);
        syn_free(block);
    }
    stream->pending -= n;
    stream->session->pending -= n;
    return n;
}

/* The headers that carry the status; `code` and `encoded` hold their values. Returns how many. */
static size_t status_headers(const syn_stream *stream, nghttp2_nv headers[2], char code[16],
                             char encoded[SYN_GRPC_ENCODED_MAX])
{
    (void)snprintf(code, 16, "%d", (int)stream->status);
    headers[0] = header("grpc-status", code);
    if (!stream->message || !*stream->message)
        return 1;
    (void)syn_grpc_message_encode(encoded, stream->message);
    headers[1] = header("grpc-message", encoded);
    return 2;
}

static int submit_trailers(syn_stream *stream)
{
    char code[16], encoded[SYN_GRPC_ENCODED_MAX];
    nghttp2_nv headers[2];
    size_t n = status_headers(stream, headers, code, encoded);

    stream->has_trailers = true;
    return nghttp2_submit_trailer(stream->session->h2, stream->id, headers, n);
}

static ssize_t read_data(nghttp2_session *h2, int32_t stream_id, uint8_t *buffer, size_t room,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    syn_stream *stream = source->ptr;
    size_t n = dequeue(stream, buffer, room);

    (void)h2;
    (void)stream_id;
    (void)user;
    if (stream->first)
        return (ssize_t)n;
    if (!stream->is_finishing)
        return n ? (ssize_t)n : NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream->session->options.is_server) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (submit_trailers(stream) != 0)
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    return (ssize_t)n;
}

static void resume(syn_stream *stream)
{
    /* fails for a stream that is not opened or not deferred: it will be read anyway */
    (void)nghttp2_session_resume_data(stream->session->h2, stream->id);
}

/* ---- server ---- */

static syn_status submit_response(syn_stream *stream)
{
    const nghttp2_nv headers[] = {
        header(":status", "200"),
        header("content-type", "application/grpc"),
        header("grpc-accept-encoding", "identity"),
    };
    nghttp2_data_provider provider = {.source.ptr = stream, .read_callback = read_data};
    int error = nghttp2_submit_response(stream->session->h2, stream->id, headers,
                                        sizeof headers / sizeof *headers, &provider);

    if (error)
        return SYN_FAIL(SYN_RESOURCE_EXHAUSTED, "cannot answer: %s", nghttp2_strerror(error));
    stream->has_headers = true;
    return SYN_OK;
}

/* The whole answer in one frame. */
static void submit_trailers_only(syn_stream *stream)
{
    char code[16], encoded[SYN_GRPC_ENCODED_MAX];
    nghttp2_nv headers[4] = {header(":status", "200"), header("content-type", "application/grpc")};
    size_t n = 2 + status_headers(stream, headers + 2, code, encoded);

    stream->has_trailers = true;
    if (nghttp2_submit_response(stream->session->h2, stream->id, headers, n, NULL) != 0)
        (void)nghttp2_submit_rst_stream(stream->session->h2, NGHTTP2_FLAG_NONE, stream->id,
                                        NGHTTP2_INTERNAL_ERROR);
}

void syn_stream_reject_http(syn_stream *stream, const char *http_status)
{
    const nghttp2_nv headers[] = {header(":status", http_status)};

    stream->is_finishing = true;
    (void)nghttp2_submit_response(stream->session->h2, stream->id, headers, 1, NULL);
}

void syn_stream_finish(syn_stream *stream, syn_status status, const char *message)
{
    if (stream->is_finishing || stream->is_detached)
        return;
    stream->is_finishing = true;
    stream->status = status;
    if (message && *message)
        stream->message = syn_strndup(message, strnlen(message, SYN_GRPC_MESSAGE_MAX + 1));
    syn_stream_drop_input(stream);
    if (stream->has_headers)
        resume(stream);
    else
        submit_trailers_only(stream);
}

void syn_stream_abort(syn_stream *stream, syn_status status, const char *message)
{
    if (stream->is_detached || stream->has_trailers)
        return;
    syn_stream_drop_queue(stream);
    syn_stream_drop_input(stream);
    stream->is_finishing = true;
    stream->status = status;
    syn_free(stream->message);
    stream->message = message && *message ? syn_strdup(message) : NULL;
    /* trailers are no DATA: they need no window, which a client that does not read has closed */
    if (!stream->has_headers)
        submit_trailers_only(stream);
    else if (submit_trailers(stream) != 0)
        (void)nghttp2_submit_rst_stream(stream->session->h2, NGHTTP2_FLAG_NONE, stream->id,
                                        NGHTTP2_INTERNAL_ERROR);
}

/* ---- client ---- */

syn_status syn_session_request(syn_session *session, const syn_session_call *call,
                               syn_stream **stream_out)
{
    char timeout[16];
    nghttp2_nv headers[9] = {
        header(":method", "POST"),        header(":scheme", "http"),
        header(":path", call->path),      header(":authority", call->authority),
        header("te", "trailers"),         header("content-type", "application/grpc"),
        header("user-agent", user_agent), header("grpc-accept-encoding", "identity"),
    };
    size_t n = 8;
    syn_stream *stream = syn_stream_new(session, 0, call->data);

    if (!stream)
        return syn_fail_memory(sizeof *stream, "a call");
    stream->is_open = true;
    if (call->timeout_ns != UINT64_MAX) {
        syn_grpc_timeout_format(timeout, call->timeout_ns);
        headers[n++] = header("grpc-timeout", timeout);
    }
    nghttp2_data_provider provider = {.source.ptr = stream, .read_callback = read_data};
    int32_t id = nghttp2_submit_request(session->h2, NULL, headers, n, &provider, stream);
    if (id < 0) {
        syn_stream_free(stream);
        return SYN_FAIL(SYN_UNAVAILABLE, "cannot open a call: %s", nghttp2_strerror(id));
    }
    stream->id = id;
    *stream_out = stream;
    return SYN_OK;
}

void syn_stream_half_close(syn_stream *stream)
{
    if (stream->is_finishing || stream->is_detached)
        return;
    stream->is_finishing = true;
    resume(stream);
}

/* ---- both ---- */

syn_status syn_stream_send(syn_stream *stream, const ProtobufCMessage *message)
{
    if (stream->is_finishing || stream->is_detached)
        return SYN_OK;
    SYN_TRY(enqueue(stream, message));
    if (stream->session->options.is_server && !stream->has_headers)
        return submit_response(stream);
    resume(stream);
    return SYN_OK;
}

void syn_stream_cancel(syn_stream *stream)
{
    stream->is_detached = true;
    syn_stream_drop_queue(stream);
    syn_stream_drop_input(stream);
    (void)nghttp2_submit_rst_stream(stream->session->h2, NGHTTP2_FLAG_NONE, stream->id,
                                    NGHTTP2_CANCEL);
}

size_t syn_stream_pending(const syn_stream *stream)
{
    return stream->pending;
}

/* Whether the queues are filled to less than one `part`-th of what makes streams wait. */
static bool has_room(const syn_stream *stream, size_t part)
{
    const syn_session_options *o = &stream->session->options;

    /* one message at a time always, or streams that nobody reads would starve the others */
    if (stream->pending == 0)
        return stream->session->pending <= o->connection_queue_bytes;
    return stream->pending <= o->stream_queue_bytes / part &&
           stream->session->pending <= o->connection_queue_bytes / 2 / part;
}

bool syn_stream_is_writable(syn_stream *stream)
{
    if (stream->is_finishing || stream->is_detached)
        return false;
    if (!stream->awaits_drain && has_room(stream, 1))
        return true;
    if (!stream->awaits_drain)
        stream->session->n_awaiting++;
    stream->awaits_drain = true;
    return false;
}

static void tell_drained(syn_session *session)
{
    for (syn_stream *stream = session->streams, *next; stream && session->n_awaiting;
         stream = next) {
        next = stream->next;
        if (!stream->awaits_drain || !has_room(stream, 2))
            continue;
        stream->awaits_drain = false;
        session->n_awaiting--;
        if (!stream->is_finishing && !stream->is_detached)
            session->options.events->on_drain(stream, session->options.user);
    }
}

size_t syn_session_pull(syn_session *session, const unsigned char **bytes_out)
{
    for (int round = 0; round < 2 && !session->is_broken; round++) {
        const uint8_t *bytes;
        ssize_t n = nghttp2_session_mem_send(session->h2, &bytes);
        if (n > 0) {
            *bytes_out = bytes;
            return (size_t)n;
        }
        session->is_broken = session->is_broken || n < 0;
        if (n < 0 || !session->n_awaiting)
            return 0;
        tell_drained(session); /* which may queue more */
    }
    return 0;
}

size_t syn_session_backlog(const syn_session *session)
{
    return nghttp2_session_get_outbound_queue_size(session->h2);
}

void syn_session_ping(syn_session *session)
{
    (void)nghttp2_submit_ping(session->h2, NGHTTP2_FLAG_NONE, NULL);
}

void syn_session_drain(syn_session *session)
{
    if (!session->has_drain_notice) {
        session->has_drain_notice = true;
        (void)nghttp2_submit_shutdown_notice(session->h2);
        return;
    }
    (void)nghttp2_submit_goaway(session->h2, NGHTTP2_FLAG_NONE,
                                nghttp2_session_get_last_proc_stream_id(session->h2),
                                NGHTTP2_NO_ERROR, NULL, 0);
}

void syn_session_terminate(syn_session *session)
{
    if (session->is_terminated)
        return;
    session->is_terminated = true;
    (void)nghttp2_session_terminate_session(session->h2, NGHTTP2_NO_ERROR);
}
