/* The receiving half of a session, and its life. */
#include "common/rpc/session.h"

#include "common/base/mem.h"
#include "common/rpc/session_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    STREAM_WINDOW_BYTES = 256 * 1024,
    CONNECTION_WINDOW_BYTES = 1024 * 1024,
    RESET_BURST = 1000,    /* resets by the peer that are forgiven at once, */
    RESETS_PER_S = 100,    /* and for ever */
    OWN_RESET_TOKENS = 50, /* a reset that the peer made us send weighs as many frames */
    MAX_CONTINUATIONS = 8,
    MAX_SENT_HEADER_BYTES = 64 * 1024,
    MAX_SETTINGS = 32,
};

/* ---- streams ---- */

syn_stream *syn_stream_new(syn_session *session, int32_t id, void *data)
{
    syn_stream *stream = syn_calloc(1, sizeof *stream);

    if (!stream)
        return NULL;
    stream->session = session;
    stream->id = id;
    stream->data = data;
    stream->timeout_ns = UINT64_MAX;
    stream->framing.budget = session->options.budget;
    stream->framing.max_bytes = session->options.max_message_bytes;
    stream->last = &stream->first;
    stream->next = session->streams;
    stream->link = &session->streams;
    if (stream->next)
        stream->next->link = &stream->next;
    session->streams = stream;
    session->n_streams++;
    return stream;
}

void syn_stream_free(syn_stream *stream)
{
    syn_session *session = stream->session;

    if (stream->awaits_drain)
        session->n_awaiting--;
    syn_stream_drop_queue(stream);
    syn_framing_release(&stream->framing);
    *stream->link = stream->next;
    if (stream->next)
        stream->next->link = stream->link;
    session->n_streams--;
    syn_free(stream->path);
    syn_free(stream->message);
    syn_free(stream);
}

void syn_stream_drop_input(syn_stream *stream)
{
    stream->ignores_input = true;
    if (!stream->is_delivering)
        syn_framing_release(&stream->framing);
}

void syn_stream_conclude(syn_stream *stream, syn_status status, const char *message)
{
    syn_session *session = stream->session;

    if (stream->is_detached)
        return;
    stream->is_detached = true;
    stream->ignores_input = true;
    if (stream->is_open)
        session->options.events->on_close(stream, status, message ? message : "",
                                          session->options.user);
}

void syn_stream_set_data(syn_stream *stream, void *data)
{
    stream->data = data;
}

void *syn_stream_data(const syn_stream *stream)
{
    return stream->data;
}

/* ---- limits ---- */

/* Takes tokens from the bucket of frames; ends the session when there are none left. */
static void charge(syn_session *session, double tokens)
{
    double per_s = session->options.max_frames_per_s;

    if (session->now_ns > session->refilled_ns) {
        session->frame_tokens += (double)(session->now_ns - session->refilled_ns) * 1e-9 * per_s;
        if (session->frame_tokens > per_s)
            session->frame_tokens = per_s;
        session->refilled_ns = session->now_ns;
    }
    session->frame_tokens -= tokens;
    if (session->frame_tokens < 0 && !session->is_terminated) {
        session->is_terminated = true;
        (void)nghttp2_session_terminate_session(session->h2, NGHTTP2_ENHANCE_YOUR_CALM);
    }
}

static int on_begin_frame(nghttp2_session *h2, const nghttp2_frame_hd *hd, void *user)
{
    (void)h2;
    bool is_work =
        hd->type == NGHTTP2_HEADERS || /* bounded by streams and windows */
        (hd->type == NGHTTP2_DATA && (hd->length > 0 || (hd->flags & NGHTTP2_FLAG_END_STREAM)));

    if (!is_work)
        charge(user, 1);
    return 0;
}

/* ---- headers ---- */

static bool is_name(nghttp2_rcbuf *name, const char *wanted)
{
    nghttp2_vec v = nghttp2_rcbuf_get_buf(name);
    return v.len == strlen(wanted) && memcmp(v.base, wanted, v.len) == 0;
}

static void read_request_header(syn_stream *stream, nghttp2_rcbuf *name, const char *value,
                                size_t length)
{
    if (is_name(name, ":path")) {
        syn_free(stream->path);
        stream->path = syn_strndup(value, length);
    } else if (is_name(name, ":method")) {
        stream->is_post = length == 4 && memcmp(value, "POST", 4) == 0;
    } else if (is_name(name, "content-type")) {
        stream->has_grpc_type = syn_grpc_content_type_is_ok(value, length);
    } else if (is_name(name, "grpc-timeout")) {
        stream->has_bad_timeout = !syn_grpc_timeout_parse(value, length, &stream->timeout_ns);
    } else if (is_name(name, "grpc-encoding")) {
        stream->has_bad_encoding = length != 8 || memcmp(value, "identity", 8) != 0;
    }
}

static void read_response_header(syn_stream *stream, nghttp2_rcbuf *name, const char *value,
                                 size_t length)
{
    char text[SYN_GRPC_MESSAGE_MAX + 1];

    if (is_name(name, ":status")) {
        stream->http_status = atoi(value);
    } else if (is_name(name, "content-type")) {
        stream->has_grpc_type = syn_grpc_content_type_is_ok(value, length);
    } else if (is_name(name, "grpc-status")) {
        stream->has_status = true;
        stream->status = syn_grpc_status_parse(value, length);
    } else if (is_name(name, "grpc-message")) {
        syn_grpc_message_decode(text, value, length);
        syn_free(stream->message);
        stream->message = syn_strdup(text);
    }
}

static int on_header(nghttp2_session *h2, const nghttp2_frame *frame, nghttp2_rcbuf *name,
                     nghttp2_rcbuf *value, uint8_t flags, void *user)
{
    syn_session *session = user;
    syn_stream *stream = nghttp2_session_get_stream_user_data(h2, frame->hd.stream_id);
    nghttp2_vec v = nghttp2_rcbuf_get_buf(value);

    (void)flags;
    if (!stream)
        return 0;
    stream->header_bytes += v.len + nghttp2_rcbuf_get_buf(name).len + 32;
    if (stream->header_bytes > session->options.max_header_bytes)
        return 0; /* judged when the block is whole */
    if (session->options.is_server)
        read_request_header(stream, name, (const char *)v.base, v.len);
    else
        read_response_header(stream, name, (const char *)v.base, v.len);
    return 0;
}

static int on_begin_headers(nghttp2_session *h2, const nghttp2_frame *frame, void *user)
{
    syn_session *session = user;

    if (!session->options.is_server || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    syn_stream *stream = syn_stream_new(session, frame->hd.stream_id, NULL);
    if (!stream || nghttp2_session_set_stream_user_data(h2, frame->hd.stream_id, stream) != 0) {
        if (stream)
            syn_stream_free(stream);
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    return 0;
}

static void refuse_request(syn_stream *stream, syn_status status, const char *message)
{
    stream->ignores_input = true;
    syn_stream_finish(stream, status, message);
}

static void open_request(syn_stream *stream)
{
    syn_session *session = stream->session;

    if (stream->header_bytes > session->options.max_header_bytes) {
        refuse_request(stream, SYN_RESOURCE_EXHAUSTED, "the request's headers are too large");
        return;
    }
    if (!stream->is_post || !stream->has_grpc_type) {
        stream->ignores_input = true;
        syn_stream_reject_http(stream, stream->is_post ? "415" : "405");
        return;
    }
    if (stream->has_bad_timeout) {
        refuse_request(stream, SYN_INVALID_ARGUMENT,
                       "grpc-timeout is not 1 to 8 digits and one of H M S m u n");
        return;
    }
    if (stream->has_bad_encoding) {
        refuse_request(stream, SYN_UNIMPLEMENTED, "compressed messages are not supported");
        return;
    }
    if (!stream->path) {
        refuse_request(stream, SYN_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    stream->is_open = true;
    session->options.events->on_request(stream, stream->path, stream->timeout_ns,
                                        session->options.user);
    syn_free(stream->path);
    stream->path = NULL;
}

/* ---- the ends ---- */

static void remote_end_at_server(syn_stream *stream)
{
    syn_session *session = stream->session;

    if (stream->ignores_input || stream->is_finishing)
        return;
    if (!syn_framing_is_whole(&stream->framing)) {
        refuse_request(stream, SYN_INTERNAL, "the request ends inside a message");
        return;
    }
    session->options.events->on_half_close(stream, session->options.user);
}

static void conclude_at_client(syn_stream *stream)
{
    char text[80];

    if (stream->header_bytes > stream->session->options.max_header_bytes)
        syn_stream_conclude(stream, SYN_RESOURCE_EXHAUSTED, "the answer's headers are too large");
    else if (stream->has_status && stream->status == SYN_OK &&
             !syn_framing_is_whole(&stream->framing))
        syn_stream_conclude(stream, SYN_INTERNAL, "the answer ends inside a message");
    else if (stream->has_status)
        syn_stream_conclude(stream, stream->status, stream->message);
    else {
        (void)snprintf(text, sizeof text, "the server answered with HTTP status %d and no gRPC one",
                       stream->http_status);
        syn_stream_conclude(stream, syn_grpc_status_of_http(stream->http_status), text);
    }
    if (!stream->has_local_end)
        (void)nghttp2_submit_rst_stream(stream->session->h2, NGHTTP2_FLAG_NONE, stream->id,
                                        NGHTTP2_CANCEL);
}

static void on_stream_frame(syn_session *session, syn_stream *stream, const nghttp2_frame *frame)
{
    if (session->options.is_server && frame->hd.type == NGHTTP2_HEADERS &&
        frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        open_request(stream);
    if (!session->options.is_server && frame->hd.type == NGHTTP2_HEADERS && !stream->has_headers &&
        stream->http_status >= 200) {
        stream->has_headers = true;
        /* what is no gRPC answer has a body that is none of ours */
        if (stream->http_status != 200 || !stream->has_grpc_type)
            stream->ignores_input = true;
    }
    if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) || stream->has_remote_end)
        return;
    stream->has_remote_end = true;
    if (session->options.is_server)
        remote_end_at_server(stream);
    else if (!stream->is_detached)
        conclude_at_client(stream);
}

static int on_frame_recv(nghttp2_session *h2, const nghttp2_frame *frame, void *user)
{
    syn_session *session = user;
    const syn_session_events *events = session->options.events;
    syn_stream *stream;

    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        stream = nghttp2_session_get_stream_user_data(h2, frame->hd.stream_id);
        if (stream)
            on_stream_frame(session, stream, frame);
        break;
    case NGHTTP2_SETTINGS:
        session->is_ready = true;
        break;
    case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) && events->on_pong)
            events->on_pong(session->options.user);
        break;
    case NGHTTP2_GOAWAY:
        session->has_goaway = true;
        if (events->on_goaway)
            events->on_goaway(session->options.user);
        break;
    default:
        break;
    }
    return 0;
}

static void fail_input(syn_stream *stream, syn_status status)
{
    syn_stream_drop_input(stream);
    if (stream->session->options.is_server) {
        syn_stream_finish(stream, status, syn_error_message());
    } else {
        syn_stream_conclude(stream, status, syn_error_message());
        (void)nghttp2_submit_rst_stream(stream->session->h2, NGHTTP2_FLAG_NONE, stream->id,
                                        NGHTTP2_CANCEL);
    }
}

static int on_data(nghttp2_session *h2, uint8_t flags, int32_t stream_id, const uint8_t *bytes,
                   size_t size, void *user)
{
    syn_session *session = user;
    syn_stream *stream = nghttp2_session_get_stream_user_data(h2, stream_id);
    const unsigned char *end = bytes + size;
    syn_framing_message message;

    (void)flags;
    while (stream && !stream->ignores_input && !stream->is_detached) {
        syn_status status = syn_framing_next(&stream->framing, &bytes, end, &message);
        if (status != SYN_OK) {
            fail_input(stream, status);
            break;
        }
        if (!message.bytes)
            break;
        stream->is_delivering = true;
        session->options.events->on_message(stream, message.bytes, message.size,
                                            session->options.user);
        stream->is_delivering = false;
    }
    if (stream && stream->ignores_input)
        syn_stream_drop_input(stream);
    return 0;
}

static int on_frame_send(nghttp2_session *h2, const nghttp2_frame *frame, void *user)
{
    syn_session *session = user;

    if (frame->hd.type == NGHTTP2_RST_STREAM && session->options.is_server &&
        frame->rst_stream.error_code != NGHTTP2_NO_ERROR)
        charge(session, OWN_RESET_TOKENS);
    if ((frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) ||
        !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return 0;
    syn_stream *stream = nghttp2_session_get_stream_user_data(h2, frame->hd.stream_id);
    if (!stream)
        return 0;
    stream->has_local_end = true;
    /* answered before the client has said all: it need not go on (RFC 9113, 8.1) */
    if (session->options.is_server && !stream->has_remote_end)
        (void)nghttp2_submit_rst_stream(h2, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_NO_ERROR);
    return 0;
}

static int on_stream_close(nghttp2_session *h2, int32_t stream_id, uint32_t error_code, void *user)
{
    syn_session *session = user;
    syn_stream *stream = nghttp2_session_get_stream_user_data(h2, stream_id);
    char text[100];

    if (!stream)
        return 0;
    if (session->options.is_server && stream->has_local_end) {
        syn_stream_conclude(stream, stream->status, stream->message);
    } else if (session->options.is_server) {
        syn_stream_conclude(stream, SYN_CANCELLED, "the client has cancelled the call");
    } else if (stream->has_status) {
        conclude_at_client(stream);
    } else {
        syn_status status = syn_grpc_status_of_h2(error_code);
        if (session->has_goaway && status == SYN_INTERNAL)
            status = SYN_UNAVAILABLE;
        (void)snprintf(text, sizeof text, "the server ended the call with %s",
                       status == SYN_UNAVAILABLE ? "a refusal: it is shutting down"
                                                 : nghttp2_http2_strerror(error_code));
        syn_stream_conclude(stream, status, text);
    }
    (void)nghttp2_session_set_stream_user_data(h2, stream_id, NULL);
    syn_stream_free(stream);
    return 0;
}

/* ---- life ---- */

static void *h2_malloc(size_t size, void *user)
{
    (void)user;
    return syn_malloc(size);
}

static void h2_free(void *pointer, void *user)
{
    (void)user;
    syn_free(pointer);
}

static void *h2_calloc(size_t count, size_t size, void *user)
{
    (void)user;
    return syn_calloc(count, size);
}

static void *h2_realloc(void *pointer, size_t size, void *user)
{
    (void)user;
    return syn_realloc(pointer, size);
}

static syn_status make_h2(syn_session *session)
{
    nghttp2_mem memory = {NULL, h2_malloc, h2_free, h2_calloc, h2_realloc};
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    int error = nghttp2_session_callbacks_new(&callbacks);

    if (!error)
        error = nghttp2_option_new(&option);
    if (!error) {
        nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
        nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
        nghttp2_session_callbacks_set_on_header_callback2(callbacks, on_header);
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
        nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
        nghttp2_option_set_no_closed_streams(option, 1);
        nghttp2_option_set_max_settings(option, MAX_SETTINGS);
        nghttp2_option_set_stream_reset_rate_limit(option, RESET_BURST, RESETS_PER_S);
        nghttp2_option_set_max_continuations(option, MAX_CONTINUATIONS);
        nghttp2_option_set_max_send_header_block_length(option, MAX_SENT_HEADER_BYTES);
        error =
            session->options.is_server
                ? nghttp2_session_server_new3(&session->h2, callbacks, session, option, &memory)
                : nghttp2_session_client_new3(&session->h2, callbacks, session, option, &memory);
    }
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    if (error)
        return SYN_FAIL(SYN_RESOURCE_EXHAUSTED, "cannot make an HTTP/2 session: %s",
                        nghttp2_strerror(error));
    return SYN_OK;
}

static syn_status submit_settings(syn_session *session)
{
    const syn_session_options *o = &session->options;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)o->max_header_bytes},
        {o->is_server ? NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS : NGHTTP2_SETTINGS_ENABLE_PUSH,
         o->is_server ? o->max_streams : 0},
    };
    int error = nghttp2_submit_settings(session->h2, NGHTTP2_FLAG_NONE, settings,
                                        sizeof settings / sizeof *settings);

    if (!error)
        error = nghttp2_session_set_local_window_size(session->h2, NGHTTP2_FLAG_NONE, 0,
                                                      CONNECTION_WINDOW_BYTES);
    if (error)
        return SYN_FAIL(SYN_RESOURCE_EXHAUSTED, "cannot start an HTTP/2 session: %s",
                        nghttp2_strerror(error));
    return SYN_OK;
}

syn_status syn_session_new(const syn_session_options *options, syn_session **session_out)
{
    syn_session *session = syn_calloc(1, sizeof *session);
    syn_status status;

    if (!session)
        return syn_fail_memory(sizeof *session, "a connection");
    session->options = *options;
    session->frame_tokens = options->max_frames_per_s;
    if (!session->options.budget)
        session->options.budget = &session->own_budget;
    SYN_GOTO(make_h2(session));
    SYN_GOTO(submit_settings(session));
    *session_out = session;
    session = NULL;
out:
    if (session)
        syn_session_free(session, status, "");
    return status;
}

void syn_session_free(syn_session *session, syn_status status, const char *message)
{
    if (!session)
        return;
    nghttp2_session_del(session->h2); /* closes no streams: that is left to us */
    session->h2 = NULL;
    while (session->streams) {
        syn_stream *stream = session->streams;
        syn_stream_conclude(stream, status, message);
        syn_stream_free(stream);
    }
    syn_free(session);
}

syn_status syn_session_receive(syn_session *session, const void *bytes, size_t size,
                               uint64_t now_ns)
{
    if (session->is_broken)
        return SYN_FAIL(SYN_UNAVAILABLE, "the connection is beyond use");
    if (!session->refilled_ns)
        session->refilled_ns = now_ns;
    session->now_ns = now_ns;
    ssize_t used = nghttp2_session_mem_recv(session->h2, bytes, size);
    session->is_broken = used < 0; /* nghttp2 must not be called again */
    if (used < 0)
        return SYN_FAIL(SYN_UNAVAILABLE, "the peer does not keep to HTTP/2: %s",
                        nghttp2_strerror((int)used));
    return SYN_OK;
}

bool syn_session_is_finished(const syn_session *session)
{
    return session->is_broken ||
           (!nghttp2_session_want_read(session->h2) && !nghttp2_session_want_write(session->h2));
}

bool syn_session_is_ready(const syn_session *session)
{
    return session->is_ready;
}

size_t syn_session_n_streams(const syn_session *session)
{
    return session->n_streams;
}
