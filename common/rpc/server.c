/* The server: services, listening, accepting, draining, closing. */
#include "common/rpc/server_internal.h"

#include "common/base/clock.h"
#include "common/base/log.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ACCEPTS_AT_ONCE = 64, MAX_BACKLOG = 10000 };
static const uint64_t ms_ns = 1000000, accept_pause_ms = 100, warn_pause_ms = 60000;

extern const unsigned char syn_proto_descriptors[];
extern const size_t syn_proto_descriptors_size;

/* ---- making ---- */

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const syn_server_entry *)a)->path, ((const syn_server_entry *)b)->path);
}

static syn_status add_service(syn_rpc_server *server, const syn_rpc_service *service)
{
    if (service->n_handlers == 0)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "a service without methods");
    for (size_t i = 0; i < service->n_handlers; i++) {
        const syn_rpc_method *method = service->handlers[i].method;
        size_t size = strlen(method->service) + strlen(method->name) + 3;
        char *path = syn_malloc(size);
        if (!path || !syn_vec_push(&server->entries, (syn_server_entry){path, &service->handlers[i],
                                                                        service->user})) {
            syn_free(path);
            return syn_fail_memory(size, "a method");
        }
        (void)snprintf(path, size, "/%s/%s", method->service, method->name);
    }
    const char *name = service->handlers[0].method->service;
    SYN_TRY(syn_health_set(server->health, name, true));
    return syn_reflection_add_service(server->reflection, name);
}

static syn_status add_services(syn_rpc_server *server)
{
    const syn_rpc_service own[] = {
        syn_health_service(server->health),
        syn_reflection_service(server->reflection),
        syn_reflection_service_v1alpha(server->reflection),
    };

    for (size_t i = 0; i < server->options.n_services; i++)
        SYN_TRY(add_service(server, &server->options.services[i]));
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        SYN_TRY(add_service(server, &own[i]));
    server->options.services = NULL; /* all copied */
    qsort(server->entries.items, server->entries.n, sizeof *server->entries.items, compare_entries);
    for (size_t i = 1; i < server->entries.n; i++)
        if (compare_entries(&server->entries.items[i - 1], &server->entries.items[i]) == 0)
            return SYN_FAIL(SYN_INVALID_ARGUMENT, "the method %s is there twice",
                            server->entries.items[i].path);
    return SYN_OK;
}

#define DEFAULT(field, value)                \
    do {                                     \
        if (!server->options.field)          \
            server->options.field = (value); \
    } while (0)

static void apply_defaults(syn_rpc_server *server)
{
    DEFAULT(max_streams, SYN_RPC_MAX_STREAMS);
    DEFAULT(max_connections, SYN_RPC_MAX_CONNECTIONS);
    DEFAULT(max_frames_per_s, SYN_RPC_MAX_FRAMES_PER_S);
    DEFAULT(max_message_bytes, SYN_RPC_MAX_MESSAGE_BYTES);
    DEFAULT(stream_queue_bytes, SYN_RPC_STREAM_QUEUE_BYTES);
    DEFAULT(connection_queue_bytes, SYN_RPC_CONNECTION_QUEUE_BYTES);
    DEFAULT(buffer_bytes, SYN_RPC_SERVER_BUFFER_BYTES);
    DEFAULT(handshake_timeout_ms, SYN_RPC_HANDSHAKE_TIMEOUT_MS);
    DEFAULT(keepalive_ms, SYN_RPC_KEEPALIVE_MS);
    DEFAULT(keepalive_timeout_ms, SYN_RPC_KEEPALIVE_TIMEOUT_MS);
    server->budget.limit = server->options.buffer_bytes;
    server->session_options = (syn_session_options){
        .is_server = true,
        .max_streams = server->options.max_streams,
        .max_frames_per_s = server->options.max_frames_per_s,
        .max_message_bytes = server->options.max_message_bytes,
        .max_header_bytes = SYN_RPC_MAX_HEADER_BYTES,
        .stream_queue_bytes = server->options.stream_queue_bytes,
        .connection_queue_bytes = server->options.connection_queue_bytes,
        .budget = &server->budget,
        .events = &syn_server_events,
    };
}

static void server_free(syn_rpc_server *server)
{
    for (size_t i = 0; i < server->entries.n; i++)
        syn_free(server->entries.items[i].path);
    syn_vec_release(&server->entries);
    for (size_t i = 0; i < server->listeners.n; i++)
        syn_free(server->listeners.items[i]);
    syn_vec_release(&server->listeners);
    syn_health_free(server->health);
    syn_reflection_free(server->reflection);
    syn_free(server);
}

static void run_drain(syn_task *task);
static void run_close(syn_task *task);
static void on_accept_timer(syn_timer *timer);
static void on_drain_timer(syn_timer *timer);

syn_status syn_rpc_server_new(uv_loop_t *loop, const syn_rpc_server_options *options,
                              syn_rpc_server **server_out)
{
    const syn_descriptor_set sets[] = {
        {syn_proto_descriptors, syn_proto_descriptors_size},
        {options->descriptors, options->descriptors ? options->descriptors_size : 0},
    };
    syn_rpc_server *server = syn_calloc(1, sizeof *server);
    syn_status status;

    if (!server)
        return syn_fail_memory(sizeof *server, "the server");
    server->options = *options;
    server->drain_task.run = run_drain;
    server->close_task.run = run_close;
    server->accept_timer.fire = on_accept_timer;
    server->drain_timer.fire = on_drain_timer;
    apply_defaults(server);
    SYN_GOTO(syn_health_new(&server->health));
    SYN_GOTO(syn_reflection_new(sets, options->descriptors ? 2 : 1, &server->reflection));
    SYN_GOTO(add_services(server));
    SYN_GOTO(syn_io_init(&server->io, loop));
    *server_out = server;
    server = NULL;
out:
    if (server)
        server_free(server);
    return status;
}

/* ---- accepting ---- */

static void on_acceptable(uv_poll_t *poll, int error, int events);

static void accept_set(syn_rpc_server *server, bool is_on)
{
    server->is_accept_paused = !is_on;
    for (size_t i = 0; i < server->listeners.n; i++) {
        uv_poll_t *poll = &server->listeners.items[i]->poll;
        if (uv_is_closing((uv_handle_t *)poll))
            continue;
        if (is_on)
            (void)uv_poll_start(poll, UV_READABLE, on_acceptable);
        else
            (void)uv_poll_stop(poll);
    }
}

static void on_accept_timer(syn_timer *timer)
{
    syn_rpc_server *server =
        (syn_rpc_server *)(void *)((char *)timer - offsetof(syn_rpc_server, accept_timer));

    if (server->n_conns < server->options.max_connections && !server->is_draining)
        accept_set(server, true);
}

/* Waits for what it takes to accept (a free descriptor, memory, a connection to end) instead of
 * spinning. */
static void accept_pause(syn_rpc_server *server, const char *why)
{
    uint64_t now = syn_clock_monotonic_ns();

    accept_set(server, false);
    if (!server->warned_ns || now - server->warned_ns > warn_pause_ms * ms_ns) {
        server->warned_ns = now;
        SYN_WARN("accepting of connections pauses: %s (%zu are open)", why, server->n_conns);
    }
    (void)syn_io_timer_set(&server->io, &server->accept_timer, now + accept_pause_ms * ms_ns);
}

static void on_conn_closed(syn_conn *base)
{
    syn_server_conn *conn = (syn_server_conn *)base;
    syn_rpc_server *server = conn->server;

    *conn->link = conn->next;
    if (conn->next)
        conn->next->link = conn->link;
    server->n_conns--;
    syn_free(conn);
    if (server->is_accept_paused && !server->is_draining &&
        server->n_conns < server->options.max_connections)
        accept_set(server, true);
    if (server->is_draining && server->n_conns == 0)
        syn_io_task_add(&server->io, &server->drain_task);
}

static void conn_open(syn_rpc_server *server, int fd, bool is_unix)
{
    syn_server_conn *conn = syn_calloc(1, sizeof *conn);
    syn_session_options options = server->session_options;
    syn_session *session = NULL;
    const int one = 1;

    options.user = conn;
    if (!conn || syn_session_new(&options, &session) != SYN_OK) {
        syn_free(conn);
        (void)close(fd);
        return;
    }
    conn->server = server;
    conn->conn.on_closed = on_conn_closed;
    conn->conn.pings_idle = true;
    conn->conn.max_backlog = MAX_BACKLOG;
    conn->conn.handshake_ns = server->options.handshake_timeout_ms * ms_ns;
    conn->conn.keepalive_ns = server->options.keepalive_ms * ms_ns;
    conn->conn.keepalive_timeout_ns = server->options.keepalive_timeout_ms * ms_ns;
    syn_conn_init(&conn->conn, &server->io, session);
    syn_socket_peer(fd, conn->peer, &conn->has_uid, &conn->uid);
    conn->next = server->conns;
    conn->link = &server->conns;
    if (conn->next)
        conn->next->link = &conn->next;
    server->conns = conn;
    server->n_conns++;
    if (!is_unix)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (syn_conn_open(&conn->conn, fd, true) != SYN_OK)
        syn_conn_close(&conn->conn, SYN_UNAVAILABLE, syn_error_message());
}

static void on_acceptable(uv_poll_t *poll, int error, int events)
{
    syn_server_listener *listener = poll->data;
    syn_rpc_server *server = listener->server;

    (void)events;
    for (int i = 0; i < ACCEPTS_AT_ONCE && !error; i++) {
        if (server->n_conns >= server->options.max_connections) {
            accept_pause(server, "there are as many as allowed");
            return;
        }
        int fd = accept4(listener->socket.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            conn_open(server, fd, listener->socket.address.is_unix);
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            accept_pause(server, strerror(errno));
            return;
        }
    }
}

/* ---- listening ---- */

static void on_listener_closed(uv_handle_t *handle)
{
    syn_server_listener *listener = handle->data;
    syn_io_handle_closed(&listener->server->io);
}

static void listeners_close(syn_rpc_server *server)
{
    for (size_t i = 0; i < server->listeners.n; i++) {
        syn_server_listener *listener = server->listeners.items[i];
        if (uv_is_closing((uv_handle_t *)&listener->poll))
            continue;
        uv_close((uv_handle_t *)&listener->poll, on_listener_closed);
        syn_socket_close(&listener->socket);
    }
}

syn_status syn_rpc_server_listen(syn_rpc_server *server, const char *address)
{
    syn_address parsed;

    SYN_TRY(syn_address_parse(address, &parsed));
    syn_server_listener *listener = syn_calloc(1, sizeof *listener);
    if (!listener)
        return syn_fail_memory(sizeof *listener, "an address to listen on");
    syn_status status = syn_socket_listen(&parsed, &listener->socket);
    if (status != SYN_OK) {
        syn_free(listener);
        return status;
    }
    listener->server = server;
    syn_address_format(&listener->socket.address, listener->text);
    if (!syn_vec_push(&server->listeners, listener)) {
        syn_socket_close(&listener->socket);
        syn_free(listener);
        return syn_fail_memory(sizeof listener, "an address to listen on");
    }
    int error = uv_poll_init(server->io.loop, &listener->poll, listener->socket.fd);
    if (error) {
        server->listeners.n--;
        syn_socket_close(&listener->socket);
        syn_free(listener);
        return SYN_FAIL(SYN_INTERNAL, "cannot listen on %s: %s", address, uv_strerror(error));
    }
    listener->poll.data = listener;
    server->io.n_handles++;
    if (!server->is_accept_paused)
        (void)uv_poll_start(&listener->poll, UV_READABLE, on_acceptable);
    return SYN_OK;
}

const char *syn_rpc_server_address(const syn_rpc_server *server, size_t i)
{
    return i < server->listeners.n ? server->listeners.items[i]->text : NULL;
}

size_t syn_rpc_server_n_connections(const syn_rpc_server *server)
{
    return server->n_conns;
}

size_t syn_rpc_server_n_calls(const syn_rpc_server *server)
{
    return server->n_calls;
}

void syn_rpc_server_set_serving(syn_rpc_server *server, const char *service, bool is_serving)
{
    (void)syn_health_set(server->health, service, is_serving);
}

/* ---- the end ---- */

/* Ends every call and connection, telling the clients as far as their sockets take it. */
static void hang_up(syn_rpc_server *server)
{
    for (syn_rpc_call *call = server->calls; call; call = call->next)
        syn_server_abandon(call, SYN_UNAVAILABLE, "the server is shutting down");
    for (syn_server_conn *conn = server->conns; conn; conn = conn->next) {
        syn_conn_flush(&conn->conn);
        if (conn->conn.session)
            syn_session_terminate(conn->conn.session);
        syn_conn_flush(&conn->conn);
        syn_conn_close(&conn->conn, SYN_UNAVAILABLE, "the server is shutting down");
    }
}

static void drain_finish(syn_rpc_server *server)
{
    void (*done)(void *user) = server->drain_done;

    syn_io_timer_clear(&server->io, &server->drain_timer);
    server->drain_done = NULL;
    if (done)
        done(server->drain_user);
}

static void on_drain_timer(syn_timer *timer)
{
    syn_rpc_server *server =
        (syn_rpc_server *)(void *)((char *)timer - offsetof(syn_rpc_server, drain_timer));

    hang_up(server); /* the last connection to be gone queues the drain task */
    syn_io_tasks_run(&server->io);
}

static void drain_start(syn_rpc_server *server)
{
    server->is_draining = true;
    listeners_close(server);
    syn_health_shutdown(server->health);
    for (syn_server_conn *conn = server->conns; conn; conn = conn->next) {
        if (conn->conn.is_closing)
            continue;
        if (!syn_session_is_ready(conn->conn.session)) {
            syn_conn_close(&conn->conn, SYN_UNAVAILABLE, "the server is shutting down");
            continue;
        }
        syn_session_drain(conn->conn.session);
        conn->awaits_drain_pong = true;
        syn_session_ping(conn->conn.session);
        syn_conn_flush_soon(&conn->conn);
    }
    if (server->drain_ms == 0 ||
        syn_io_timer_set(&server->io, &server->drain_timer,
                         syn_clock_monotonic_ns() + server->drain_ms * ms_ns) != SYN_OK)
        hang_up(server);
}

static void run_drain(syn_task *task)
{
    syn_rpc_server *server =
        (syn_rpc_server *)(void *)((char *)task - offsetof(syn_rpc_server, drain_task));

    if (!server->is_draining)
        drain_start(server);
    if (server->n_conns == 0 && server->n_calls == 0)
        drain_finish(server);
    else if (server->n_conns == 0)
        syn_io_task_add(&server->io,
                        &server->drain_task); /* after the calls' ends, queued before */
}

void syn_rpc_server_drain(syn_rpc_server *server, uint32_t grace_ms, void (*done)(void *user),
                          void *user)
{
    if (server->drain_done || server->is_draining || server->is_closing)
        return;
    server->drain_ms = grace_ms;
    server->drain_done = done;
    server->drain_user = user;
    syn_io_task_add(&server->io, &server->drain_task);
}

static void on_io_closed(syn_io *io)
{
    syn_rpc_server *server = (syn_rpc_server *)io;
    void (*done)(void *user) = server->close_done;
    void *user = server->close_user;

    server_free(server);
    if (done)
        done(user);
}

static void run_close(syn_task *task)
{
    syn_rpc_server *server =
        (syn_rpc_server *)(void *)((char *)task - offsetof(syn_rpc_server, close_task));

    server->is_draining = true; /* nothing is accepted any more */
    listeners_close(server);
    syn_health_shutdown(server->health);
    hang_up(server);
    syn_io_tasks_run(&server->io); /* the calls' ends */
    drain_finish(server);
    syn_io_timer_clear(&server->io, &server->accept_timer);
    syn_io_close(&server->io, on_io_closed);
}

void syn_rpc_server_close(syn_rpc_server *server, void (*done)(void *user), void *user)
{
    if (!server || server->is_closing)
        return;
    server->is_closing = true;
    server->close_done = done;
    server->close_user = user;
    syn_io_task_add(&server->io, &server->close_task);
}
