/* The asynchronous client: a channel, its connections, and the calls on them. */
#include "common/rpc/rpc.h"

#include "common/base/clock.h"
#include "common/rpc/address.h"
#include "common/rpc/conn.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { CONNECT_TIMEOUT_MS = 5000, CONNECTION_QUEUE_BYTES = 64 * 1024 * 1024 };
static const uint64_t ms_ns = 1000000;

/* One connection; usually there is one, and another while an old one ends after the server's
 * GOAWAY. */
typedef struct channel_conn {
    syn_conn conn; /* first */
    syn_rpc_channel *channel;
    struct channel_conn *next, **link;
    uv_getaddrinfo_t lookup;
    syn_task fail_task; /* tells of an error that was known at once */
    char error[128];
    bool is_looking_up, is_closed, is_lost;
} channel_conn;

struct syn_rpc_channel {
    syn_io io; /* first */
    syn_address address;
    char text[SYN_ADDRESS_TEXT];
    syn_rpc_channel_options options;
    syn_session_options session_options;
    channel_conn *conns;   /* all */
    channel_conn *current; /* the one for new calls; NULL: connect */
    syn_rpc_client_call *calls;
    syn_task close_task;
    bool is_closing;
    void (*done)(void *user);
    void *done_user;
};

struct syn_rpc_client_call {
    unsigned refs;
    syn_rpc_channel *channel; /* NULL once on_end was called */
    channel_conn *conn;       /* NULL once ended */
    syn_stream *stream;       /* NULL once ended, or when it could not be opened */
    syn_rpc_client_call *next, **link;
    const syn_rpc_method *method;
    const syn_rpc_client_handler *handler;
    void *user;
    uint32_t timeout_ms;
    syn_timer timer; /* of the deadline */
    syn_task task;   /* of on_end */
    syn_status status;
    char *message; /* owned: of the end */
    ProtobufCMessage *delivering;
    bool has_ended;
};

/* ---- the end of a call ---- */

void syn_rpc_client_ref(syn_rpc_client_call *call)
{
    call->refs++;
}

void syn_rpc_client_unref(syn_rpc_client_call *call)
{
    if (!call || --call->refs)
        return;
    syn_free(call->message);
    syn_free(call);
}

static void run_end(syn_task *task)
{
    syn_rpc_client_call *call =
        (syn_rpc_client_call *)(void *)((char *)task - offsetof(syn_rpc_client_call, task));

    call->channel = NULL;
    *call->link = call->next;
    if (call->next)
        call->next->link = call->link;
    call->handler->on_end(call, call->status, call->message ? call->message : "", call->user);
    syn_rpc_client_unref(call);
}

static void end_soon(syn_rpc_client_call *call, syn_status status, const char *message)
{
    if (call->has_ended)
        return;
    call->has_ended = true;
    call->status = status;
    call->message = syn_strdup(message);
    call->stream = NULL;
    call->conn = NULL;
    syn_io_timer_clear(&call->channel->io, &call->timer);
    syn_io_task_add(&call->channel->io, &call->task);
}

/* Gives the call up from our side. */
static void abandon(syn_rpc_client_call *call, syn_status status, const char *message)
{
    if (call->has_ended)
        return;
    if (call->stream) {
        syn_stream_cancel(call->stream);
        syn_conn_flush_soon(&call->conn->conn);
    }
    end_soon(call, status, message);
}

static void on_deadline(syn_timer *timer)
{
    syn_rpc_client_call *call =
        (syn_rpc_client_call *)(void *)((char *)timer - offsetof(syn_rpc_client_call, timer));
    bool is_connected = call->conn && call->conn->conn.is_connected;
    char text[SYN_ADDRESS_TEXT + 100];

    (void)snprintf(text, sizeof text, "%s %s within %u ms",
                   is_connected ? "no answer from" : "no connection to", call->channel->text,
                   call->timeout_ms);
    abandon(call, SYN_DEADLINE_EXCEEDED, text);
}

/* ---- what a session tells ---- */

static void on_message(syn_stream *stream, const unsigned char *bytes, size_t size, void *user)
{
    syn_rpc_client_call *call = syn_stream_data(stream);
    ProtobufCMessage *message;

    (void)user;
    if (call->has_ended)
        return;
    syn_status status = syn_wire_unpack(call->method->response, bytes, size, &message);
    if (status != SYN_OK) {
        abandon(call, status, syn_error_message());
        return;
    }
    call->delivering = message;
    if (call->handler->on_message)
        call->handler->on_message(call, message, call->user);
    syn_wire_free(call->delivering);
    call->delivering = NULL;
}

ProtobufCMessage *syn_rpc_client_take_message(syn_rpc_client_call *call)
{
    ProtobufCMessage *message = call->delivering;

    call->delivering = NULL;
    return message;
}

static void on_drain(syn_stream *stream, void *user)
{
    syn_rpc_client_call *call = syn_stream_data(stream);

    (void)user;
    if (!call->has_ended && call->handler->on_drain)
        call->handler->on_drain(call, call->user);
}

static void on_close(syn_stream *stream, syn_status status, const char *message, void *user)
{
    syn_rpc_client_call *call = syn_stream_data(stream);
    channel_conn *conn = user;
    char text[SYN_ADDRESS_TEXT + 600];

    if (conn->is_lost) {
        (void)snprintf(text, sizeof text, "cannot reach the coordinator at %s: %s",
                       conn->channel->text, message);
        message = text;
    }
    end_soon(call, status, message);
}

static void on_goaway(void *user)
{
    channel_conn *conn = user;

    if (conn->channel->current == conn)
        conn->channel->current = NULL;
}

static const syn_session_events client_events = {
    .on_message = on_message,
    .on_drain = on_drain,
    .on_close = on_close,
    .on_goaway = on_goaway,
};

/* ---- connecting ---- */

static void conn_free(channel_conn *conn)
{
    *conn->link = conn->next;
    if (conn->next)
        conn->next->link = conn->link;
    syn_free(conn);
}

static void on_conn_closed(syn_conn *base)
{
    channel_conn *conn = (channel_conn *)base;

    conn->is_closed = true;
    if (!conn->is_looking_up)
        conn_free(conn);
}

static void on_conn_lost(syn_conn *base)
{
    channel_conn *conn = (channel_conn *)base;

    conn->is_lost = true;
    on_goaway(conn);
}

static void run_fail(syn_task *task)
{
    channel_conn *conn = (channel_conn *)(void *)((char *)task - offsetof(channel_conn, fail_task));
    syn_conn_close(&conn->conn, SYN_UNAVAILABLE, conn->error);
}

static void fail_soon(channel_conn *conn, const char *why)
{
    (void)snprintf(conn->error, sizeof conn->error, "%s", why);
    syn_io_task_add(conn->conn.io, &conn->fail_task);
}

static void connect_socket(channel_conn *conn, const struct sockaddr *address, socklen_t size)
{
    const int one = 1;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        fail_soon(conn, strerror(errno));
        return;
    }
    if (address->sa_family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    int result = connect(fd, address, size), error = errno;
    if (result != 0 && error != EINPROGRESS && error != EINTR) {
        (void)close(fd);
        fail_soon(conn, strerror(error));
    } else if (syn_conn_open(&conn->conn, fd, result == 0) != SYN_OK) {
        fail_soon(conn, "the event loop does not take the socket");
    }
}

static void on_looked_up(uv_getaddrinfo_t *request, int error, struct addrinfo *found)
{
    channel_conn *conn = request->data;
    syn_io *io = conn->conn.io;

    conn->is_looking_up = false;
    if (conn->is_closed) {
        conn_free(conn);
    } else if (!conn->conn.is_closing && error) {
        syn_conn_close(&conn->conn, SYN_UNAVAILABLE, uv_strerror(error));
    } else if (!conn->conn.is_closing) {
        const struct addrinfo *chosen = found; /* our servers prefer IPv4 for a name, too */
        for (const struct addrinfo *i = found; i; i = i->ai_next)
            if (i->ai_family == AF_INET && chosen->ai_family != AF_INET)
                chosen = i;
        if (chosen)
            connect_socket(conn, chosen->ai_addr, chosen->ai_addrlen);
        else
            syn_conn_close(&conn->conn, SYN_UNAVAILABLE, "the name has no address");
    }
    uv_freeaddrinfo(found);
    syn_io_tasks_run(io);
    syn_io_handle_closed(io);
}

static void look_up(channel_conn *conn)
{
    const syn_address *address = &conn->channel->address;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    char port[8];

    (void)snprintf(port, sizeof port, "%u", address->port);
    conn->lookup.data = conn;
    int error = uv_getaddrinfo(conn->conn.io->loop, &conn->lookup, on_looked_up, address->host,
                               port, &hints);
    if (error) {
        fail_soon(conn, uv_strerror(error));
        return;
    }
    conn->is_looking_up = true;
    conn->conn.io->n_handles++;
}

static void connect_start(channel_conn *conn)
{
    const syn_address *address = &conn->channel->address;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_in in;
    struct sockaddr_in6 in6;

    if (address->is_unix) {
        memcpy(un.sun_path, address->path, sizeof un.sun_path);
        connect_socket(conn, (const struct sockaddr *)&un, sizeof un);
    } else if (uv_ip4_addr(address->host, address->port, &in) == 0) {
        connect_socket(conn, (const struct sockaddr *)&in, sizeof in);
    } else if (uv_ip6_addr(address->host, address->port, &in6) == 0) {
        connect_socket(conn, (const struct sockaddr *)&in6, sizeof in6);
    } else {
        look_up(conn);
    }
}

/* The connection for a new call; made if there is none. Its session takes calls before it is
 * connected. */
static syn_status channel_connect(syn_rpc_channel *channel, channel_conn **conn_out)
{
    syn_session_options options = channel->session_options;
    syn_session *session = NULL;

    if (channel->current) {
        *conn_out = channel->current;
        return SYN_OK;
    }
    channel_conn *conn = syn_calloc(1, sizeof *conn);
    if (!conn)
        return syn_fail_memory(sizeof *conn, "a connection");
    options.user = conn;
    conn->channel = channel;
    conn->conn.on_closed = on_conn_closed;
    conn->conn.on_lost = on_conn_lost;
    conn->conn.handshake_ns = channel->options.connect_timeout_ms * ms_ns;
    conn->conn.keepalive_ns = channel->options.keepalive_ms * ms_ns;
    conn->conn.keepalive_timeout_ns = channel->options.keepalive_timeout_ms * ms_ns;
    conn->fail_task.run = run_fail;
    syn_status status = syn_session_new(&options, &session);
    if (status != SYN_OK) {
        syn_free(conn);
        return status;
    }
    syn_conn_init(&conn->conn, &channel->io, session);
    conn->next = channel->conns;
    conn->link = &channel->conns;
    if (conn->next)
        conn->next->link = &conn->next;
    channel->conns = conn;
    channel->current = conn;
    connect_start(conn);
    *conn_out = conn;
    return SYN_OK;
}

/* ---- the channel ---- */

static void run_close(syn_task *task);

syn_status syn_rpc_channel_new(uv_loop_t *loop, const char *address,
                               const syn_rpc_channel_options *options,
                               syn_rpc_channel **channel_out)
{
    syn_address parsed;

    SYN_TRY(syn_address_parse(address, &parsed));
    if (!parsed.is_unix && parsed.port == 0)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "bad address \"%.200s\": port 0 is for servers only",
                        address);
    syn_rpc_channel *channel = syn_calloc(1, sizeof *channel);
    if (!channel)
        return syn_fail_memory(sizeof *channel, "a channel");
    syn_rpc_channel_options o = options ? *options : (syn_rpc_channel_options){0};
    o.connect_timeout_ms = o.connect_timeout_ms ? o.connect_timeout_ms : CONNECT_TIMEOUT_MS;
    o.keepalive_ms = o.keepalive_ms ? o.keepalive_ms : SYN_RPC_KEEPALIVE_MS;
    o.keepalive_timeout_ms =
        o.keepalive_timeout_ms ? o.keepalive_timeout_ms : SYN_RPC_KEEPALIVE_TIMEOUT_MS;
    o.max_message_bytes = o.max_message_bytes ? o.max_message_bytes : SYN_RPC_MAX_MESSAGE_BYTES;
    channel->options = o;
    channel->address = parsed;
    syn_address_format(&parsed, channel->text);
    channel->session_options = (syn_session_options){
        .max_streams = SYN_RPC_MAX_STREAMS,
        .max_frames_per_s = SYN_RPC_MAX_FRAMES_PER_S,
        .max_message_bytes = o.max_message_bytes,
        .max_header_bytes = SYN_RPC_MAX_HEADER_BYTES,
        .stream_queue_bytes = SYN_RPC_STREAM_QUEUE_BYTES,
        .connection_queue_bytes = CONNECTION_QUEUE_BYTES,
        .events = &client_events,
    };
    channel->close_task.run = run_close;
    syn_status status = syn_io_init(&channel->io, loop);
    if (status != SYN_OK) {
        syn_free(channel);
        return status;
    }
    *channel_out = channel;
    return SYN_OK;
}

const char *syn_rpc_channel_address(const syn_rpc_channel *channel)
{
    return channel->text;
}

static void on_io_closed(syn_io *io)
{
    syn_rpc_channel *channel = (syn_rpc_channel *)io;
    void (*done)(void *user) = channel->done;
    void *user = channel->done_user;

    syn_free(channel);
    if (done)
        done(user);
}

static void run_close(syn_task *task)
{
    syn_rpc_channel *channel =
        (syn_rpc_channel *)(void *)((char *)task - offsetof(syn_rpc_channel, close_task));

    for (syn_rpc_client_call *call = channel->calls; call; call = call->next)
        abandon(call, SYN_CANCELLED, "the client was closed");
    for (channel_conn *conn = channel->conns; conn; conn = conn->next) {
        if (conn->conn.session)
            syn_session_terminate(conn->conn.session);
        syn_conn_flush(&conn->conn);
        syn_conn_close(&conn->conn, SYN_CANCELLED, "the client was closed");
    }
    syn_io_tasks_run(&channel->io); /* the calls' ends */
    syn_io_close(&channel->io, on_io_closed);
}

void syn_rpc_channel_close(syn_rpc_channel *channel, void (*done)(void *user), void *user)
{
    if (!channel || channel->is_closing)
        return;
    channel->is_closing = true;
    channel->done = done;
    channel->done_user = user;
    syn_io_task_add(&channel->io, &channel->close_task);
}

/* ---- calls ---- */

/* Opens the call's stream; what goes wrong is told by on_end. */
static void open_stream(syn_rpc_client_call *call)
{
    syn_rpc_channel *channel = call->channel;
    char path[256];
    const syn_session_call request = {
        .path = path,
        .authority = channel->address.is_unix ? "localhost" : channel->text,
        .timeout_ns = call->timeout_ms ? call->timeout_ms * ms_ns : UINT64_MAX,
        .data = call,
    };
    int n = snprintf(path, sizeof path, "/%s/%s", call->method->service, call->method->name);

    if (channel->is_closing) {
        end_soon(call, SYN_CANCELLED, "the client was closed");
        return;
    }
    if (n >= (int)sizeof path) {
        end_soon(call, SYN_INTERNAL, "the method's name is too long");
        return;
    }
    syn_status status = SYN_OK;
    for (int attempt = 0; attempt < 2; attempt++) {
        status = channel_connect(channel, &call->conn);
        if (status != SYN_OK)
            break;
        status = syn_session_request(call->conn->conn.session, &request, &call->stream);
        if (status == SYN_OK) {
            syn_conn_flush_soon(&call->conn->conn);
            return;
        }
        channel->current = NULL; /* a connection that has used up its stream numbers */
    }
    end_soon(call, status, syn_error_message());
}

syn_status syn_rpc_client_start(syn_rpc_channel *channel, const syn_rpc_method *method,
                                const syn_rpc_client_handler *handler, void *user,
                                uint32_t timeout_ms, syn_rpc_client_call **call_out)
{
    syn_rpc_client_call *call = syn_calloc(1, sizeof *call);

    if (!call)
        return syn_fail_memory(sizeof *call, "a call");
    call->refs = 1;
    call->channel = channel;
    call->method = method;
    call->handler = handler;
    call->user = user;
    call->timeout_ms = timeout_ms;
    call->timer.fire = on_deadline;
    call->task.run = run_end;
    if (timeout_ms) {
        syn_status status = syn_io_timer_set(&channel->io, &call->timer,
                                             syn_clock_monotonic_ns() + timeout_ms * ms_ns);
        if (status != SYN_OK) {
            syn_free(call);
            return status;
        }
    }
    call->next = channel->calls;
    call->link = &channel->calls;
    if (call->next)
        call->next->link = &call->next;
    channel->calls = call;
    open_stream(call);
    if (call_out)
        *call_out = call;
    return SYN_OK;
}

syn_status syn_rpc_client_send(syn_rpc_client_call *call, const ProtobufCMessage *message)
{
    if (call->has_ended)
        return SYN_OK;
    SYN_TRY(syn_stream_send(call->stream, message));
    syn_conn_flush_soon(&call->conn->conn);
    return SYN_OK;
}

void syn_rpc_client_half_close(syn_rpc_client_call *call)
{
    if (call->has_ended)
        return;
    syn_stream_half_close(call->stream);
    syn_conn_flush_soon(&call->conn->conn);
}

void syn_rpc_client_cancel(syn_rpc_client_call *call)
{
    abandon(call, SYN_CANCELLED, "the call was cancelled");
}

size_t syn_rpc_client_pending_bytes(const syn_rpc_client_call *call)
{
    return call->has_ended ? 0 : syn_stream_pending(call->stream);
}

bool syn_rpc_client_is_writable(syn_rpc_client_call *call)
{
    return !call->has_ended && syn_stream_is_writable(call->stream);
}

/* ---- unary calls ---- */

typedef struct unary {
    syn_rpc_reply_fn on_reply;
    void *user;
    ProtobufCMessage *reply; /* owned */
    unsigned n_replies;
} unary;

static void unary_on_message(syn_rpc_client_call *call, const ProtobufCMessage *message, void *user)
{
    unary *u = user;

    (void)message;
    if (u->n_replies++ == 0)
        u->reply = syn_rpc_client_take_message(call);
}

static void unary_on_end(syn_rpc_client_call *call, syn_status status, const char *message,
                         void *user)
{
    unary *u = user;

    (void)call;
    if (status == SYN_OK && u->n_replies != 1) {
        status = SYN_INTERNAL;
        message = "the server answered with none or several messages where one is expected";
    }
    u->on_reply(status, message, status == SYN_OK ? u->reply : NULL, u->user);
    syn_wire_free(u->reply);
    syn_free(u);
}

static const syn_rpc_client_handler unary_handler = {.on_message = unary_on_message,
                                                     .on_end = unary_on_end};

syn_status syn_rpc_client_unary(syn_rpc_channel *channel, const syn_rpc_method *method,
                                const ProtobufCMessage *request, uint32_t timeout_ms,
                                syn_rpc_reply_fn on_reply, void *user)
{
    syn_rpc_client_call *call;
    unary *u = syn_calloc(1, sizeof *u);

    if (!u)
        return syn_fail_memory(sizeof *u, "a call");
    u->on_reply = on_reply;
    u->user = user;
    syn_status status = syn_rpc_client_start(channel, method, &unary_handler, u, timeout_ms, &call);
    if (status != SYN_OK) {
        syn_free(u);
        return status;
    }
    status = syn_rpc_client_send(call, request);
    if (status != SYN_OK)
        abandon(call, status, syn_error_message()); /* told by on_reply */
    else
        syn_rpc_client_half_close(call);
    return SYN_OK;
}
