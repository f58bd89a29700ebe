/* A session on a socket: reading, writing, keepalive, and the end. */
#ifndef COMMON_RPC_CONN_H
#define COMMON_RPC_CONN_H

#include "common/rpc/io.h"
#include "common/rpc/session.h"

typedef struct syn_conn syn_conn;

/* Embedded as the first member in what a server or a channel keeps per connection. The socket is
 * polled and written by send(2), which unlike libuv's streams never raises SIGPIPE in a program
 * that embeds us. */
struct syn_conn {
    uv_poll_t poll;
    int fd; /* owned; -1: not open */
    int events;
    syn_io *io;               /* borrowed */
    syn_session *session;     /* owned; NULL once closing */
    syn_timer timer;          /* until the handshake is done, then keepalive */
    syn_task task;            /* to flush, or to end without a handle */
    unsigned char *unwritten; /* owned: what the socket did not take */
    size_t unwritten_at, unwritten_size;
    uint64_t handshake_ns, keepalive_ns, keepalive_timeout_ns;
    uint64_t pinged_ns, active_ns;
    bool pings_idle;    /* also while no call is open */
    size_t max_backlog; /* frames queued for a peer that sends but does not read; 0: any number */
    bool is_connected, is_closing;
    int strikes;
    /* The handle is closed and the session gone: frees the memory. */
    void (*on_closed)(syn_conn *conn);
    /* Right before the session is freed, which ends its calls. May be NULL. */
    void (*on_lost)(syn_conn *conn);
};

/* Takes `session` and starts the handshake's time; there is no socket yet. */
void syn_conn_init(syn_conn *conn, syn_io *io, syn_session *session);
/* Takes a non-blocking socket, connected or connecting. On failure the connection is to be closed.
 */
syn_status syn_conn_open(syn_conn *conn, int fd, bool is_connected);
/* Sends what the session has, from the loop, soon. */
void syn_conn_flush_soon(syn_conn *conn);
/* Sends what fits into the socket now. Not to be called inside a session's event. */
void syn_conn_flush(syn_conn *conn);
/* Ends the calls with `status` and the sentence, closes the socket. Not to be called inside a
 * session's event. */
void syn_conn_close(syn_conn *conn, syn_status status, const char *why);

#endif
