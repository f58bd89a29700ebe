/* The moving of bytes between a session and a socket. */
#include "common/rpc/conn.h"

#include "common/base/clock.h"
#include "common/base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MAX_ROUNDS = 16, /* buffers moved in one go, so that others get their turn */
    MAX_STRIKES = 1,
};
static const uint64_t strike_ns = UINT64_C(1000000000);

static void on_timer(syn_timer *timer);
static void on_task(syn_task *task);
static void on_poll(uv_poll_t *poll, int error, int events);

/* ---- life ---- */

void syn_conn_init(syn_conn *conn, syn_io *io, syn_session *session)
{
    conn->fd = -1;
    conn->io = io;
    conn->session = session;
    conn->timer.fire = on_timer;
    conn->task.run = on_task;
    io->n_handles++;
    conn->active_ns = syn_clock_monotonic_ns();
    /* out of memory for a timer: the connection lives without */
    (void)syn_io_timer_set(io, &conn->timer, conn->active_ns + conn->handshake_ns);
}

/* Listens to what we can make use of now. */
static void set_events(syn_conn *conn)
{
    bool needs_write = !conn->is_connected || conn->unwritten;
    int events = (conn->is_connected ? UV_READABLE : 0) | (needs_write ? UV_WRITABLE : 0);

    if (conn->is_closing || events == conn->events)
        return;
    conn->events = events;
    (void)uv_poll_start(&conn->poll, events, on_poll);
}

syn_status syn_conn_open(syn_conn *conn, int fd, bool is_connected)
{
    int error = uv_poll_init(conn->io->loop, &conn->poll, fd);

    if (error) {
        (void)close(fd);
        return SYN_FAIL(SYN_UNAVAILABLE, "%s", uv_strerror(error));
    }
    conn->fd = fd;
    conn->poll.data = conn;
    conn->is_connected = is_connected;
    set_events(conn);
    syn_conn_flush_soon(conn);
    return SYN_OK;
}

static void finish_close(syn_conn *conn)
{
    syn_io *io = conn->io;

    if (conn->task.is_queued)
        syn_io_tasks_run(io); /* or the queue would point to freed memory */
    syn_free(conn->unwritten);
    conn->on_closed(conn);
    syn_io_handle_closed(io);
}

static void on_handle_closed(uv_handle_t *handle)
{
    finish_close(handle->data);
}

void syn_conn_close(syn_conn *conn, syn_status status, const char *why)
{
    char text[512];

    if (conn->is_closing)
        return;
    (void)snprintf(text, sizeof text, "%s", why);
    conn->is_closing = true;
    syn_io_timer_clear(conn->io, &conn->timer);
    if (conn->on_lost)
        conn->on_lost(conn);
    syn_session *session = conn->session;
    conn->session = NULL;
    syn_session_free(session, status, text);
    if (conn->fd >= 0) {
        uv_close((uv_handle_t *)&conn->poll, on_handle_closed);
        (void)close(conn->fd);
        conn->fd = -1;
    } else {
        conn->events = -1; /* no handle: the task ends it */
        syn_io_task_add(conn->io, &conn->task);
    }
}

/* ---- keepalive ---- */

static void on_timer(syn_timer *timer)
{
    syn_conn *conn = (syn_conn *)(void *)((char *)timer - offsetof(syn_conn, timer));
    uint64_t now = syn_clock_monotonic_ns(), next = now + conn->keepalive_ns;

    if (!syn_session_is_ready(conn->session)) {
        syn_conn_close(conn, SYN_UNAVAILABLE,
                       conn->is_connected ? "no HTTP/2 came in time" : "connecting took too long");
        return;
    }
    if (conn->pinged_ns && conn->active_ns >= conn->pinged_ns)
        conn->pinged_ns = 0;
    if (conn->pinged_ns && conn->strikes++ >= MAX_STRIKES) {
        syn_conn_close(conn, SYN_UNAVAILABLE, "the other side does not answer any more");
        return;
    }
    if (conn->pinged_ns) { /* the loop itself may have been held up: read once more before judging
                            */
        next =
            now + (conn->keepalive_timeout_ns < strike_ns ? conn->keepalive_timeout_ns : strike_ns);
    } else if (conn->pings_idle || syn_session_n_streams(conn->session)) {
        conn->strikes = 0;
        conn->pinged_ns = now;
        next = now + conn->keepalive_timeout_ns;
        syn_session_ping(conn->session);
        syn_conn_flush_soon(conn);
    }
    (void)syn_io_timer_set(conn->io, &conn->timer, next);
}

/* The peer has proven alive; from the handshake's time to that of keepalive. */
static void note_activity(syn_conn *conn)
{
    conn->active_ns = syn_clock_monotonic_ns();
    if (conn->handshake_ns && syn_session_is_ready(conn->session)) {
        conn->handshake_ns = 0;
        (void)syn_io_timer_set(conn->io, &conn->timer, conn->active_ns + conn->keepalive_ns);
    }
}

/* ---- writing ---- */

/* How many bytes the socket took; -1 after closing the connection for an error. */
static ssize_t send_bytes(syn_conn *conn, const unsigned char *bytes, size_t size)
{
    ssize_t n = send(conn->fd, bytes, size, MSG_NOSIGNAL);

    if (n >= 0)
        return n;
    if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
        return 0;
    syn_conn_close(conn, SYN_UNAVAILABLE, strerror(errno));
    return -1;
}

/* Keeps the rest of io->out, and what was pulled beyond, until the socket takes more. */
static void keep_unwritten(syn_conn *conn, const unsigned char *rest, size_t n_rest,
                           const unsigned char *pulled, size_t n_pulled)
{
    conn->unwritten = syn_malloc(n_rest + n_pulled);
    if (!conn->unwritten) {
        syn_conn_close(conn, SYN_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    memcpy(conn->unwritten, rest, n_rest);
    if (n_pulled)
        memcpy(conn->unwritten + n_rest, pulled, n_pulled);
    conn->unwritten_at = 0;
    conn->unwritten_size = n_rest + n_pulled;
    set_events(conn);
}

static void write_unwritten(syn_conn *conn)
{
    ssize_t n = send_bytes(conn, conn->unwritten + conn->unwritten_at,
                           conn->unwritten_size - conn->unwritten_at);

    if (n <= 0)
        return;
    note_activity(conn);
    conn->unwritten_at += (size_t)n;
    if (conn->unwritten_at < conn->unwritten_size)
        return;
    syn_free(conn->unwritten);
    conn->unwritten = NULL;
    syn_conn_flush(conn);
    set_events(conn);
}

void syn_conn_flush(syn_conn *conn)
{
    unsigned char *out = conn->io->out;
    const unsigned char *pulled = NULL;
    size_t n_pulled = 0;

    if (conn->unwritten || conn->is_closing || !conn->is_connected)
        return;
    for (int round = 0; round < MAX_ROUNDS || n_pulled; round++) {
        size_t n = 0;
        while (n < SYN_IO_BUFFER_BYTES) {
            if (!n_pulled && !(n_pulled = syn_session_pull(conn->session, &pulled)))
                break;
            size_t part = n_pulled < SYN_IO_BUFFER_BYTES - n ? n_pulled : SYN_IO_BUFFER_BYTES - n;
            memcpy(out + n, pulled, part);
            n += part;
            pulled += part;
            n_pulled -= part;
        }
        if (n == 0) {
            if (syn_session_is_finished(conn->session))
                syn_conn_close(conn, SYN_UNAVAILABLE, "the connection was ended");
            return;
        }
        ssize_t sent = send_bytes(conn, out, n);
        if (sent < 0)
            return;
        if ((size_t)sent < n) {
            keep_unwritten(conn, out + sent, n - (size_t)sent, pulled, n_pulled);
            return;
        }
    }
    syn_conn_flush_soon(conn);
}

static void on_task(syn_task *task)
{
    syn_conn *conn = (syn_conn *)(void *)((char *)task - offsetof(syn_conn, task));

    if (conn->events == -1)
        finish_close(conn);
    else
        syn_conn_flush(conn);
}

void syn_conn_flush_soon(syn_conn *conn)
{
    if (!conn->is_closing)
        syn_io_task_add(conn->io, &conn->task);
}

/* ---- reading ---- */

static void take_bytes(syn_conn *conn, size_t n)
{
    syn_status status =
        syn_session_receive(conn->session, conn->io->in, n, syn_clock_monotonic_ns());

    note_activity(conn);
    if (status == SYN_OK && conn->max_backlog &&
        syn_session_backlog(conn->session) > conn->max_backlog)
        status = SYN_FAIL(SYN_UNAVAILABLE, "the peer sends and does not read");
    if (status == SYN_OK) {
        syn_conn_flush(conn);
        return;
    }
    syn_conn_close(conn, SYN_UNAVAILABLE, syn_error_message());
}

static void read_bytes(syn_conn *conn)
{
    for (int round = 0; round < MAX_ROUNDS && !conn->is_closing; round++) {
        ssize_t n = recv(conn->fd, conn->io->in, SYN_IO_BUFFER_BYTES, 0);
        if (n > 0)
            take_bytes(conn, (size_t)n);
        else if (n == 0)
            syn_conn_close(conn, SYN_UNAVAILABLE, "the connection was closed by the other side");
        else if (errno != EAGAIN && errno != EINTR)
            syn_conn_close(conn, SYN_UNAVAILABLE, strerror(errno));
        if (n < SYN_IO_BUFFER_BYTES)
            return;
    }
}

static void finish_connect(syn_conn *conn)
{
    int error = 0;
    socklen_t size = sizeof error;

    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    if (error) {
        syn_conn_close(conn, SYN_UNAVAILABLE, strerror(error));
        return;
    }
    conn->is_connected = true;
    syn_conn_flush(conn);
    set_events(conn);
}

static void on_poll(uv_poll_t *poll, int error, int events)
{
    syn_conn *conn = poll->data;
    syn_io *io = conn->io;

    if (!conn->is_connected) {
        finish_connect(conn);
    } else {
        /* libuv tells of a reset as EBADF; the socket itself knows the reason, and what came before
         * it */
        if (error || (events & UV_READABLE))
            read_bytes(conn);
        if (!conn->is_closing && conn->unwritten && (events & UV_WRITABLE))
            write_unwritten(conn);
    }
    if (error && !conn->is_closing)
        syn_conn_close(conn, SYN_UNAVAILABLE, "the connection was reset");
    syn_io_tasks_run(io);
}
