/* A session on a socket: reading, writing, keepalive, and the end. */
#ifndef COMMON_RPC_CONN_H
#define COMMON_RPC_CONN_H

#include "common/rpc/io.h"
#include "common/rpc/session.h"

typedef struct syn_conn syn_conn;

/* Embedded as the first member in what a server or a channel keeps per connection. */
struct syn_conn {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    syn_io *io;           /* borrowed */
    syn_session *session; /* owned; NULL once closing */
    syn_timer timer;      /* until the handshake is done, then keepalive */
    syn_task task;        /* to flush */
    uv_write_t write;
    unsigned char *unwritten; /* owned, while is_writing */
    uint64_t handshake_ns, keepalive_ns, keepalive_timeout_ns;
    uint64_t pinged_ns, active_ns;
    bool pings_idle; /* also while no call is open */
    bool is_connected, is_writing, is_closing;
    int strikes;
    /* The handle is closed and the session gone: frees the memory. */
    void (*on_closed)(syn_conn *conn);
    /* Right before the session is freed, which ends its calls; `why` is one sentence's end. May be
     * NULL. */
    void (*on_lost)(syn_conn *conn, const char *why);
};

/* Opens the handle (not connected yet) and starts the handshake's time. `session` is taken also on
 * failure, on which the handle needs no closing. */
syn_status syn_conn_init(syn_conn *conn, syn_io *io, bool is_unix, syn_session *session);
/* The socket is connected: reads from now on. */
void syn_conn_start(syn_conn *conn);
/* Sends what the session has, from the loop, soon. */
void syn_conn_flush_soon(syn_conn *conn);
/* Sends what fits into the socket now. Not to be called inside a session's event. */
void syn_conn_flush(syn_conn *conn);
/* Ends the calls with `status` and the sentence, closes the socket. Not to be called inside a
 * session's event. */
void syn_conn_close(syn_conn *conn, syn_status status, const char *why);

#endif
