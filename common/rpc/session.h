/* One gRPC connection without its socket: bytes in, bytes out, calls as streams; either side of
 * HTTP/2. */
#ifndef COMMON_RPC_SESSION_H
#define COMMON_RPC_SESSION_H

#include "common/rpc/framing.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <syncline/status.h>

typedef struct syn_session syn_session;
/* One call of a session. Freed by the session after on_close. */
typedef struct syn_stream syn_stream;

/* What a session tells. Called from inside syn_session_receive and syn_session_pull; they may call
 * anything of this header except those two and syn_session_free. */
typedef struct syn_session_events {
    /* Server: a well-formed gRPC request. `timeout_ns` is UINT64_MAX when there is none. */
    void (*on_request)(syn_stream *stream, const char *path, uint64_t timeout_ns, void *user);
    /* Bytes of one whole message, valid until the callback returns. */
    void (*on_message)(syn_stream *stream, const unsigned char *bytes, size_t size, void *user);
    /* Server: the client sends no more messages. */
    void (*on_half_close)(syn_stream *stream, void *user);
    /* syn_stream_is_writable was false and is true again. */
    void (*on_drain)(syn_stream *stream, void *user);
    /* The end, exactly once for each stream of a request, unless syn_stream_cancel came first.
     * Server: `status` is what the client got, or CANCELLED by it. Client: the server's status and
     * sentence, or ours. */
    void (*on_close)(syn_stream *stream, syn_status status, const char *message, void *user);
    /* Client: the server takes no further calls on this connection. Server and client: NULL
     * allowed. */
    void (*on_goaway)(void *user);
    /* Our ping was answered. NULL allowed. */
    void (*on_pong)(void *user);
} syn_session_events;

typedef struct syn_session_options {
    bool is_server;
    uint32_t max_streams, max_frames_per_s;
    size_t max_message_bytes, max_header_bytes, stream_queue_bytes, connection_queue_bytes;
    syn_budget *budget;               /* borrowed; shared by the sessions of a server */
    const syn_session_events *events; /* borrowed */
    void *user;
} syn_session_options;

syn_status syn_session_new(const syn_session_options *options, syn_session **session_out);
/* Ends what is open with `status` and one sentence (on_close), then frees. NULL is accepted. */
void syn_session_free(syn_session *session, syn_status status, const char *message);

/* Takes bytes from the peer. Fails with one sentence when the connection is beyond use: close it.
 * `now_ns` limits the rate of frames. */
syn_status syn_session_receive(syn_session *session, const void *bytes, size_t size,
                               uint64_t now_ns);
/* The next bytes for the peer, 0 when there are none now; valid until the next call. */
size_t syn_session_pull(syn_session *session, const unsigned char **bytes_out);
/* Nothing will be read or written any more: close the connection. */
bool syn_session_is_finished(const syn_session *session);
/* The peer's SETTINGS have arrived: it does speak HTTP/2. */
bool syn_session_is_ready(const syn_session *session);
/* Frames waiting to be sent; a peer that makes it grow is to be dropped. */
size_t syn_session_backlog(const syn_session *session);
size_t syn_session_n_streams(const syn_session *session);
void syn_session_ping(syn_session *session);
/* Server: asks the client to open no more calls (first call), then refuses further ones (second
 * call). Calls that run go on; the session is finished when the last has ended. */
void syn_session_drain(syn_session *session);
/* Sends GOAWAY and ends: for the very end of a connection. */
void syn_session_terminate(syn_session *session);

/* Client: opens a call. */
typedef struct syn_session_call {
    const char *path, *authority;
    uint64_t timeout_ns; /* UINT64_MAX: none */
    void *data;          /* of the stream */
} syn_session_call;
syn_status syn_session_request(syn_session *session, const syn_session_call *call,
                               syn_stream **stream_out);
/* Client: no more messages. */
void syn_stream_half_close(syn_stream *stream);

void syn_stream_set_data(syn_stream *stream, void *data);
void *syn_stream_data(const syn_stream *stream);
/* Queues a message. RESOURCE_EXHAUSTED when it is over the size limit or the connection's queue is
 * full. */
syn_status syn_stream_send(syn_stream *stream, const ProtobufCMessage *message);
/* Server: ends the call after what is queued. Does nothing a second time. */
void syn_stream_finish(syn_stream *stream, syn_status status, const char *message);
/* Server: ends the call now: what is queued is dropped, also after syn_stream_finish, and the
 * client gets this status even if it reads no messages. */
void syn_stream_abort(syn_stream *stream, syn_status status, const char *message);
/* Drops the call at once: no event follows, the peer gets CANCEL. The pointer is not to be used
 * afterwards. */
void syn_stream_cancel(syn_stream *stream);
size_t syn_stream_pending(const syn_stream *stream);
/* Whether more is welcome; when not, on_drain follows. */
bool syn_stream_is_writable(syn_stream *stream);

#endif
