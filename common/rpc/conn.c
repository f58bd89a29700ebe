/* The moving of bytes between a session and a libuv stream. */
#include "common/rpc/conn.h"

#include "common/base/clock.h"
#include "common/base/mem.h"

#include <stdio.h>
#include <string.h>

enum {
    MAX_BACKLOG = 10000, /* frames queued for a peer that sends but does not read */
    MAX_ROUNDS = 16,     /* buffers written in one go, so that others get their turn */
    MAX_STRIKES = 1,
};
static const uint64_t strike_ns = UINT64_C(1000000000);

static void on_timer(syn_timer *timer);
static void on_task(syn_task *task);

syn_status syn_conn_init(syn_conn *conn, syn_io *io, bool is_unix, syn_session *session)
{
    int error =
        is_unix ? uv_pipe_init(io->loop, &conn->uv.pipe, 0) : uv_tcp_init(io->loop, &conn->uv.tcp);

    if (error) {
        syn_session_free(session, SYN_UNAVAILABLE, "");
        return SYN_FAIL(SYN_UNAVAILABLE, "cannot make a socket: %s", uv_strerror(error));
    }
    conn->uv.handle.data = conn;
    conn->io = io;
    conn->session = session;
    conn->timer.fire = on_timer;
    conn->task.run = on_task;
    io->n_handles++;
    conn->active_ns = syn_clock_monotonic_ns();
    /* out of memory for a timer: the connection lives without */
    (void)syn_io_timer_set(io, &conn->timer, conn->active_ns + conn->handshake_ns);
    return SYN_OK;
}

/* ---- the end ---- */

static void on_handle_closed(uv_handle_t *handle)
{
    syn_conn *conn = handle->data;
    syn_io *io = conn->io;

    if (conn->task.is_queued)
        syn_io_tasks_run(io); /* or the queue would point to freed memory */
    syn_free(conn->unwritten);
    conn->on_closed(conn);
    syn_io_handle_closed(io);
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
        conn->on_lost(conn, text);
    syn_session *session = conn->session;
    conn->session = NULL;
    syn_session_free(session, status, text);
    uv_close(&conn->uv.handle, on_handle_closed);
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
        next = now + strike_ns;
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
    if (conn->handshake_ns && conn->session && syn_session_is_ready(conn->session)) {
        conn->handshake_ns = 0;
        (void)syn_io_timer_set(conn->io, &conn->timer, conn->active_ns + conn->keepalive_ns);
    }
}

/* ---- writing ---- */

static void on_written(uv_write_t *request, int error)
{
    syn_conn *conn = request->data;

    conn->is_writing = false;
    syn_free(conn->unwritten);
    conn->unwritten = NULL;
    if (conn->is_closing)
        return;
    if (error) {
        syn_conn_close(conn, SYN_UNAVAILABLE, uv_strerror(error));
    } else {
        note_activity(conn);
        syn_conn_flush(conn);
    }
    syn_io_tasks_run(conn->io);
}

/* Hands the rest of io->out, and what was pulled beyond, to libuv. */
static void write_later(syn_conn *conn, const unsigned char *rest, size_t n_rest,
                        const unsigned char *pulled, size_t n_pulled)
{
    unsigned char *copy = syn_malloc(n_rest + n_pulled);

    if (!copy) {
        syn_conn_close(conn, SYN_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    memcpy(copy, rest, n_rest);
    if (n_pulled)
        memcpy(copy + n_rest, pulled, n_pulled);
    uv_buf_t buffer = uv_buf_init((char *)copy, (unsigned)(n_rest + n_pulled));
    conn->unwritten = copy;
    conn->write.data = conn;
    conn->is_writing = true;
    int error = uv_write(&conn->write, &conn->uv.stream, &buffer, 1, on_written);
    if (error) {
        conn->is_writing = false;
        syn_conn_close(conn, SYN_UNAVAILABLE, uv_strerror(error));
    }
}

void syn_conn_flush(syn_conn *conn)
{
    unsigned char *out = conn->io->out;
    const unsigned char *pulled = NULL;
    size_t n_pulled = 0;

    if (conn->is_writing || conn->is_closing || !conn->is_connected)
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
        uv_buf_t buffer = uv_buf_init((char *)out, (unsigned)n);
        int written = uv_try_write(&conn->uv.stream, &buffer, 1);
        if (written == UV_EAGAIN)
            written = 0;
        if (written < 0) {
            syn_conn_close(conn, SYN_UNAVAILABLE, uv_strerror(written));
            return;
        }
        if ((size_t)written < n) {
            write_later(conn, out + written, n - (size_t)written, pulled, n_pulled);
            return;
        }
    }
    syn_conn_flush_soon(conn);
}

static void on_task(syn_task *task)
{
    syn_conn_flush((syn_conn *)(void *)((char *)task - offsetof(syn_conn, task)));
}

void syn_conn_flush_soon(syn_conn *conn)
{
    if (!conn->is_closing)
        syn_io_task_add(conn->io, &conn->task);
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    syn_conn *conn = handle->data;

    (void)suggested;
    *buffer = uv_buf_init((char *)conn->io->in, SYN_IO_BUFFER_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    syn_conn *conn = stream->data;
    syn_io *io = conn->io;

    if (n == 0)
        return;
    if (n < 0) {
        syn_conn_close(conn, SYN_UNAVAILABLE,
                       n == UV_EOF ? "the connection was closed by the other side"
                                   : uv_strerror((int)n));
        syn_io_tasks_run(io);
        return;
    }
    uint64_t now = syn_clock_monotonic_ns();
    syn_status status = syn_session_receive(conn->session, buffer->base, (size_t)n, now);
    note_activity(conn);
    if (status == SYN_OK && syn_session_backlog(conn->session) > MAX_BACKLOG)
        status = SYN_FAIL(SYN_UNAVAILABLE, "the peer sends and does not read");
    if (status != SYN_OK) {
        char why[256];
        (void)snprintf(why, sizeof why, "%s", syn_error_message());
        syn_conn_flush(conn);
        syn_conn_close(conn, SYN_UNAVAILABLE, why);
    } else {
        syn_conn_flush(conn);
    }
    syn_io_tasks_run(io);
}

void syn_conn_start(syn_conn *conn)
{
    conn->is_connected = true;
    int error = uv_read_start(&conn->uv.stream, on_alloc, on_read);
    if (error)
        syn_conn_close(conn, SYN_UNAVAILABLE, uv_strerror(error));
    else
        syn_conn_flush_soon(conn);
}
