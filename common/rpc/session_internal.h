/* What the receiving and the sending half of a session share. */
#ifndef COMMON_RPC_SESSION_INTERNAL_H
#define COMMON_RPC_SESSION_INTERNAL_H

#include "common/rpc/grpc_text.h"
#include "common/rpc/session.h"

#include <nghttp2/nghttp2.h>

/* A framed message on its way out. */
typedef struct syn_stream_block {
    struct syn_stream_block *next;
    size_t offset, size;
    unsigned char bytes[];
} syn_stream_block;

struct syn_session {
    syn_session_options options;
    nghttp2_session *h2; /* owned */
    syn_stream *streams; /* owned, all that are open */
    size_t n_streams;
    size_t pending;        /* bytes of messages queued on all streams */
    size_t n_awaiting;     /* streams to be told when they are writable */
    syn_budget own_budget; /* when the options name none */
    uint64_t now_ns, refilled_ns;
    double frame_tokens;
    bool is_ready, is_terminated, has_drain_notice, has_goaway;
    bool is_broken; /* out of memory, or bytes that are no HTTP/2: nothing more goes in or out */
};

struct syn_stream {
    syn_session *session;
    syn_stream *next, **link;
    void *data; /* the user's */
    int32_t id;
    bool is_detached; /* no event is wanted any more */

    /* what comes in */
    syn_framing framing;
    char *path; /* owned; server */
    size_t header_bytes;
    uint64_t timeout_ns;
    int http_status; /* client */
    syn_status status;
    char *message; /* owned; client: of the trailers; server: of syn_stream_finish */
    bool has_status, is_post, has_bad_timeout, has_bad_encoding, has_grpc_type;
    bool is_open;        /* server: on_request was called. Client: always */
    bool ignores_input;  /* what still comes is dropped */
    bool has_remote_end; /* END_STREAM came */
    bool is_delivering;  /* on_message runs: its bytes lie in `framing` */

    /* what goes out */
    syn_stream_block *first, **last; /* owned */
    size_t pending;
    bool has_trailers; /* the status is submitted: nothing can follow */
    bool has_headers;  /* response headers are submitted */
    bool is_finishing; /* server: trailers follow the queue. Client: END_STREAM follows it */
    bool has_local_end, awaits_drain;
};

/* session.c */
syn_stream *syn_stream_new(syn_session *session, int32_t id, void *data);
void syn_stream_free(syn_stream *stream);
/* Ignores what still comes in and gives its memory back. */
void syn_stream_drop_input(syn_stream *stream);
/* Tells the end, once. */
void syn_stream_conclude(syn_stream *stream, syn_status status, const char *message);

/* session_send.c */
void syn_stream_drop_queue(syn_stream *stream);
/* Answers without a gRPC status: what speaks no gRPC gets an HTTP one. */
void syn_stream_reject_http(syn_stream *stream, const char *http_status);

#endif
