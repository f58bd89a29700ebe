/* gRPC over HTTP/2 for everybody else: methods, addresses, the server, the asynchronous client, the
 * blocking client.
 *
 * Everything that belongs to a loop (server, channel, calls) is used on that loop's thread only;
 * other threads hand work over with their own uv_async_t. Callbacks are made from the loop, never
 * from inside a function of this header, with one exception that its comment names
 * (syn_rpc_blocking_*, which runs a loop of its own). */
#ifndef COMMON_RPC_RPC_H
#define COMMON_RPC_RPC_H

#include "common/rpc/wire.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <syncline/status.h>
#include <sys/types.h>

struct uv_loop_s; /* uv_loop_t: callers of the blocking client need not know libuv */

/* ---- methods ---- */

/* What protobuf-c's own descriptors do not tell. The product's methods are listed in
 * "common/rpc/methods.h". */
typedef struct syn_rpc_method {
    const char *service; /* "syncline.v1.Jobs" */
    const char *name;    /* "SubmitJob" */
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *response;
    bool client_streaming;
    bool server_streaming;
} syn_rpc_method;

/* ---- addresses ---- */

/* "unix:///path", "host:port", "[::1]:port", ":port" (127.0.0.1), "host" (the default port). Port 0
 * lets the system choose (servers only). */
enum { SYN_RPC_DEFAULT_PORT = 7480 };

/* INVALID_ARGUMENT with a sentence that names the address when it is none of the forms above. */
syn_status syn_rpc_address_check(const char *address);

/* ---- limits ---- */

/* 0 in any member of the options means these. */
enum {
    SYN_RPC_MAX_STREAMS = 100,                   /* at a time, per connection */
    SYN_RPC_MAX_CONNECTIONS = 1024,              /* accepting pauses beyond */
    SYN_RPC_MAX_MESSAGE_BYTES = 4 * 1024 * 1024, /* either direction */
    SYN_RPC_MAX_HEADER_BYTES = 16 * 1024,        /* names and values of one header block */
    SYN_RPC_STREAM_QUEUE_BYTES = 256 * 1024,     /* beyond it a call is not writable */
    SYN_RPC_CONNECTION_QUEUE_BYTES =
        8 * 1024 * 1024, /* calls of a client that does not read end beyond it */
    SYN_RPC_SERVER_BUFFER_BYTES = 256 * 1024 * 1024, /* all connections, both directions */
    SYN_RPC_HANDSHAKE_TIMEOUT_MS = 5000,             /* until the first valid SETTINGS frame */
    SYN_RPC_KEEPALIVE_TIMEOUT_MS = 20000,
    SYN_RPC_KEEPALIVE_MS = 30000, /* our pings; unanswered within 20 s: the connection is dead */
    SYN_RPC_MAX_FRAMES_PER_S = 20000, /* frames other than DATA with bytes and HEADERS */
};

/* ---- server ---- */

typedef struct syn_rpc_server syn_rpc_server;
/* One call at the server. Borrowed by the callbacks until on_end; syn_rpc_call_ref keeps it longer.
 */
typedef struct syn_rpc_call syn_rpc_call;

/* How a method is served. Every callback may be NULL except on_message. `user` is the service's. */
typedef struct syn_rpc_handler {
    const syn_rpc_method *method;
    /* The headers have arrived. Of use to client-streaming methods. */
    void (*on_start)(syn_rpc_call *call, void *user);
    /* A request message, borrowed until the callback returns. A method without client streaming
     * gets exactly one, and only after the client has sent everything (a call with none or two of
     * them never gets here). */
    void (*on_message)(syn_rpc_call *call, const ProtobufCMessage *message, void *user);
    /* The client sends nothing more (client-streaming methods only). NULL: the call is finished
     * with OK. */
    void (*on_half_close)(syn_rpc_call *call, void *user);
    /* The call was not writable and is again (see syn_rpc_call_is_writable). */
    void (*on_drain)(syn_rpc_call *call, void *user);
    /* The end: answered, cancelled by the client, past its deadline, its connection gone, or the
     * server closed. Exactly once for every call that got any of the others, always from the
     * loop, also after our own syn_rpc_call_finish. `status` is what the client got or would have
     * got. Release what syn_rpc_call_data holds. */
    void (*on_end)(syn_rpc_call *call, syn_status status, void *user);
} syn_rpc_handler;

typedef struct syn_rpc_service {
    const syn_rpc_handler *handlers; /* borrowed for the server's life; all of one service name */
    size_t n_handlers;
    void *user;
} syn_rpc_service;

/* Called after every call: for metrics. A method that does not exist is reported as ("unknown",
 * "unknown"). */
typedef void (*syn_rpc_observe_fn)(const char *service, const char *method, syn_status status,
                                   uint64_t duration_ns, void *user);

typedef struct syn_rpc_server_options {
    const syn_rpc_service *services; /* copied; health and reflection are added by the server */
    size_t n_services;
    syn_rpc_observe_fn observe; /* may be NULL */
    void *observe_user;
    /* Further FileDescriptorSet for reflection besides the product's; NULL for none. Borrowed. */
    const unsigned char *descriptors;
    size_t descriptors_size;
    /* Limits; 0: the constants above. */
    uint32_t max_streams, max_connections, max_frames_per_s;
    size_t max_message_bytes, stream_queue_bytes, connection_queue_bytes, buffer_bytes;
    uint32_t handshake_timeout_ms, keepalive_ms, keepalive_timeout_ms;
} syn_rpc_server_options;

/* A server that listens nowhere yet. */
syn_status syn_rpc_server_new(struct uv_loop_s *loop, const syn_rpc_server_options *options,
                              syn_rpc_server **server_out);
/* Listens; may be called for several addresses. One clear sentence naming the address when it is in
 * use, when it is not loopback (there is neither TLS nor a token yet), or when a live process owns
 * the unix socket; the socket file of a dead one is replaced. Socket files get mode 0600 and are
 * removed on close. */
syn_status syn_rpc_server_listen(syn_rpc_server *server, const char *address);
/* The i-th address in the order of listening, with the port the system chose, in the form clients
 * take; NULL past the last. Borrowed. */
const char *syn_rpc_server_address(const syn_rpc_server *server, size_t i);
size_t syn_rpc_server_n_connections(const syn_rpc_server *server);
size_t syn_rpc_server_n_calls(const syn_rpc_server *server);
/* What grpc.health.v1 answers for a service name ("" is the whole server; all start as serving). */
void syn_rpc_server_set_serving(syn_rpc_server *server, const char *service, bool is_serving);
/* Stops accepting, tells every client by GOAWAY to open no further calls, lets running ones end;
 * `done` is called from the loop when the last has ended or after `grace_ms` (those left are then
 * ended with UNAVAILABLE). Health answers NOT_SERVING meanwhile. */
void syn_rpc_server_drain(syn_rpc_server *server, uint32_t grace_ms, void (*done)(void *user),
                          void *user);
/* Ends all calls (on_end with UNAVAILABLE), closes all handles and frees the server; `done` (may be
 * NULL) is called from the loop when nothing of it is left. Accepts NULL (then `done` is not
 * called). */
void syn_rpc_server_close(syn_rpc_server *server, void (*done)(void *user), void *user);

void syn_rpc_call_ref(syn_rpc_call *call);
void syn_rpc_call_unref(syn_rpc_call *call);
/* Queues one message; it is copied. A method without server streaming sends one and then finishes.
 * After the call has ended (or was finished) this does nothing and returns OK. RESOURCE_EXHAUSTED,
 * and the call ends with it, when the message is larger than the limit or the client has left more
 * unread than a connection may hold. */
syn_status syn_rpc_call_send(syn_rpc_call *call, const ProtobufCMessage *message);
/* Ends the call with a status and one sentence (NULL: none); queued messages are delivered first.
 * Does nothing after the end or a second time. The sentence may hold any bytes; it is
 * percent-encoded, and cut at 4 KiB. */
void syn_rpc_call_finish(syn_rpc_call *call, syn_status status, const char *message);
/* Finishes with `status` and this thread's recorded sentence. */
void syn_rpc_call_fail(syn_rpc_call *call, syn_status status);
/* Sends the one message and finishes with OK. */
void syn_rpc_call_reply(syn_rpc_call *call, const ProtobufCMessage *message);
/* A pointer of the handler's, NULL at first. */
void syn_rpc_call_set_data(syn_rpc_call *call, void *data);
void *syn_rpc_call_data(const syn_rpc_call *call);
/* Inside on_message: makes the message the caller's, who frees it with syn_wire_free (to answer
 * later, or to hand it to another thread). NULL outside of on_message or a second time. */
ProtobufCMessage *syn_rpc_call_take_message(syn_rpc_call *call);
/* Bytes of messages not yet handed to the network, and whether more is welcome: fewer than the
 * stream's queue limit, and the call has not ended. Once false, on_drain tells when it is true
 * again. */
size_t syn_rpc_call_pending_bytes(const syn_rpc_call *call);
bool syn_rpc_call_is_writable(syn_rpc_call *call);
/* Whether on_end was called or is about to be: sends do nothing any more. */
bool syn_rpc_call_has_ended(const syn_rpc_call *call);
/* On the clock of syn_clock_monotonic_ns; UINT64_MAX when the client set none. The server ends the
 * call by itself. */
uint64_t syn_rpc_call_deadline_ns(const syn_rpc_call *call);
/* "127.0.0.1:41234" or "unix:pid 4711 uid 1000". Borrowed. */
const char *syn_rpc_call_peer(const syn_rpc_call *call);
/* The client's user id when it came over a unix socket. */
bool syn_rpc_call_peer_uid(const syn_rpc_call *call, uid_t *uid_out);
const syn_rpc_method *syn_rpc_call_method(const syn_rpc_call *call);

/* ---- asynchronous client ---- */

/* A connection to one server, made at the first call and again at the next call after it was lost.
 */
typedef struct syn_rpc_channel syn_rpc_channel;
typedef struct syn_rpc_client_call syn_rpc_client_call;

typedef struct syn_rpc_channel_options {
    uint32_t
        connect_timeout_ms; /* 0: 5000; covers name lookup, connect and the server's SETTINGS */
    uint32_t keepalive_ms;  /* 0: SYN_RPC_KEEPALIVE_MS; pings while calls are open */
    uint32_t keepalive_timeout_ms; /* 0: 20000; an unanswered ping ends the connection */
    size_t max_message_bytes;      /* 0: SYN_RPC_MAX_MESSAGE_BYTES */
} syn_rpc_channel_options;

/* Every member may be NULL except on_end. Not called any more after on_end. */
typedef struct syn_rpc_client_handler {
    /* A message of the server, borrowed until the callback returns. */
    void (*on_message)(syn_rpc_client_call *call, const ProtobufCMessage *message, void *user);
    /* The call was not writable and is again. */
    void (*on_drain)(syn_rpc_client_call *call, void *user);
    /* Exactly once, from the loop. `message` is the server's sentence or ours: a lost connection is
     * UNAVAILABLE, "cannot reach the coordinator at ADDRESS: REASON". Valid UTF-8 is not promised.
     */
    void (*on_end)(syn_rpc_client_call *call, syn_status status, const char *message, void *user);
} syn_rpc_client_handler;

/* `options` may be NULL. INVALID_ARGUMENT for a bad address; nothing is connected yet. */
syn_status syn_rpc_channel_new(struct uv_loop_s *loop, const char *address,
                               const syn_rpc_channel_options *options,
                               syn_rpc_channel **channel_out);
/* Ends open calls (on_end with CANCELLED), closes all handles and frees the channel; `done` (may be
 * NULL) is called from the loop when nothing of it is left. Accepts NULL (then `done` is not
 * called). */
void syn_rpc_channel_close(syn_rpc_channel *channel, void (*done)(void *user), void *user);
const char *syn_rpc_channel_address(const syn_rpc_channel *channel);

/* Starts a call. `handler` is borrowed until on_end. `timeout_ms` 0: no deadline. `*call_out` (may
 * be NULL) is borrowed until on_end; syn_rpc_client_ref keeps it longer. Fails only when out of
 * memory: that the server is away comes by on_end. */
syn_status syn_rpc_client_start(syn_rpc_channel *channel, const syn_rpc_method *method,
                                const syn_rpc_client_handler *handler, void *user,
                                uint32_t timeout_ms, syn_rpc_client_call **call_out);
/* Queues one request message (copied); does nothing and returns OK after the end.
 * RESOURCE_EXHAUSTED, and the message is not sent, when it is larger than the limit or the call
 * holds more than that unsent. */
syn_status syn_rpc_client_send(syn_rpc_client_call *call, const ProtobufCMessage *message);
/* We send nothing more. Needed for every call, also for unary ones. */
void syn_rpc_client_half_close(syn_rpc_client_call *call);
/* Gives the call up; on_end follows from the loop with CANCELLED. Harmless after the end. */
void syn_rpc_client_cancel(syn_rpc_client_call *call);
void syn_rpc_client_ref(syn_rpc_client_call *call);
void syn_rpc_client_unref(syn_rpc_client_call *call);
size_t syn_rpc_client_pending_bytes(const syn_rpc_client_call *call);
bool syn_rpc_client_is_writable(syn_rpc_client_call *call);
/* As syn_rpc_call_take_message. */
ProtobufCMessage *syn_rpc_client_take_message(syn_rpc_client_call *call);

/* `reply` is NULL unless `status` is OK; borrowed until the callback returns. */
typedef void (*syn_rpc_reply_fn)(syn_status status, const char *message,
                                 const ProtobufCMessage *reply, void *user);
/* A whole unary call; `on_reply` is called exactly once, from the loop, when this returned OK. */
syn_status syn_rpc_client_unary(syn_rpc_channel *channel, const syn_rpc_method *method,
                                const ProtobufCMessage *request, uint32_t timeout_ms,
                                syn_rpc_reply_fn on_reply, void *user);

/* ---- blocking client ---- */

/* A channel with a loop of its own, for command lines. Used by one thread at a time. Failures
 * record the server's sentence (syn_error_message). */
typedef struct syn_rpc_blocking syn_rpc_blocking;
typedef struct syn_rpc_blocking_stream syn_rpc_blocking_stream;

syn_status syn_rpc_blocking_new(const char *address, syn_rpc_blocking **client_out);
/* Cancels what is open; streams must have been closed before. NULL is accepted. */
void syn_rpc_blocking_free(syn_rpc_blocking *client);
/* A unary call. `timeout_ms` 0: none. The caller frees `*response_out` with syn_wire_free. */
syn_status syn_rpc_blocking_call(syn_rpc_blocking *client, const syn_rpc_method *method,
                                 const ProtobufCMessage *request, uint32_t timeout_ms,
                                 ProtobufCMessage **response_out);
/* Starts a server-streaming call. `timeout_ms` bounds the whole stream; 0: none. */
syn_status syn_rpc_blocking_open(syn_rpc_blocking *client, const syn_rpc_method *method,
                                 const ProtobufCMessage *request, uint32_t timeout_ms,
                                 syn_rpc_blocking_stream **stream_out);
/* Waits up to `wait_ms` (0: only looks; UINT32_MAX: for ever) for the next message, which the
 * caller frees with syn_wire_free. OK with NULL and `*is_end_out` false: none came in time. OK with
 * NULL and true: the stream ended with OK. Anything else is how the stream ended, again at every
 * further call. */
syn_status syn_rpc_blocking_next(syn_rpc_blocking_stream *stream, uint32_t wait_ms,
                                 ProtobufCMessage **message_out, bool *is_end_out);
/* Cancels the stream if it has not ended, and frees it. NULL is accepted. */
void syn_rpc_blocking_close(syn_rpc_blocking_stream *stream);

#endif
