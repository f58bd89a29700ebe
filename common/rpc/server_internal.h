/* What the files of the server share. */
#ifndef COMMON_RPC_SERVER_INTERNAL_H
#define COMMON_RPC_SERVER_INTERNAL_H

#include "common/rpc/address.h"
#include "common/rpc/conn.h"
#include "common/rpc/rpc.h"

/* ---- health.c: grpc.health.v1 ---- */

typedef struct syn_health syn_health;
syn_status syn_health_new(syn_health **health_out);
/* The watchers' calls must have ended. NULL is accepted. */
void syn_health_free(syn_health *health);
/* The service to register. */
syn_rpc_service syn_health_service(syn_health *health);
/* Changes or adds a service name; tells who watches it. */
syn_status syn_health_set(syn_health *health, const char *service, bool is_serving);
/* Nothing is serving any more; watchers are told, and their calls ended. */
void syn_health_shutdown(syn_health *health);

/* ---- reflection.c: grpc.reflection.v1 and v1alpha ---- */

typedef struct syn_reflection syn_reflection;
/* `sets` are serialised FileDescriptorSets, borrowed. */
typedef struct syn_descriptor_set {
    const unsigned char *bytes;
    size_t size;
} syn_descriptor_set;
syn_status syn_reflection_new(const syn_descriptor_set *sets, size_t n_sets,
                              syn_reflection **reflection_out);
void syn_reflection_free(syn_reflection *reflection);
syn_rpc_service syn_reflection_service(syn_reflection *reflection);
syn_rpc_service syn_reflection_service_v1alpha(syn_reflection *reflection);
/* Lists a service name to those who ask. */
syn_status syn_reflection_add_service(syn_reflection *reflection, const char *name);

/* ---- server.c and server_call.c ---- */

typedef struct syn_server_conn {
    syn_conn conn; /* first */
    syn_rpc_server *server;
    struct syn_server_conn *next, **link;
    bool awaits_drain_pong, has_uid;
    uid_t uid;
    char peer[SYN_PEER_TEXT];
} syn_server_conn;

typedef struct syn_server_listener {
    uv_poll_t poll;
    syn_rpc_server *server;
    syn_socket socket;
    char text[SYN_ADDRESS_TEXT];
} syn_server_listener;

typedef struct syn_server_entry {
    char *path; /* owned: "/service/method" */
    const syn_rpc_handler *handler;
    void *user;
} syn_server_entry;

struct syn_rpc_server {
    syn_io io; /* first */
    syn_rpc_server_options options;
    syn_session_options session_options;
    syn_budget budget;
    syn_health *health;
    syn_reflection *reflection;
    SYN_VEC(syn_server_entry) entries; /* sorted by path */
    SYN_VEC(syn_server_listener *) listeners;
    syn_server_conn *conns;
    syn_rpc_call *calls;
    size_t n_conns, n_calls;
    syn_timer accept_timer, drain_timer;
    syn_task drain_task, close_task;
    uint64_t warned_ns;
    bool is_accept_paused, is_draining, is_closing;
    uint32_t drain_ms;
    void (*drain_done)(void *user);
    void *drain_user;
    void (*close_done)(void *user);
    void *close_user;
};

struct syn_rpc_call {
    unsigned refs;
    syn_rpc_server *server;     /* NULL once on_end was called */
    syn_server_conn *conn;      /* NULL once ended */
    syn_stream *stream;         /* NULL once ended */
    syn_rpc_call *next, **link; /* in the server's list */
    const syn_rpc_handler *handler;
    void *user, *data;
    uint64_t started_ns, deadline_ns;
    syn_timer timer; /* of the deadline */
    syn_task task;   /* of on_end */
    syn_status status;
    ProtobufCMessage *request;    /* owned: waits for the half-close */
    ProtobufCMessage *delivering; /* owned: during on_message */
    bool is_told, is_finished, has_ended, has_uid;
    uid_t uid;
    char peer[SYN_PEER_TEXT];
};

extern const syn_session_events syn_server_events;
/* Ends a call at once: what is queued is dropped, the client gets the status, on_end follows from
 * the loop. */
void syn_server_abandon(syn_rpc_call *call, syn_status status, const char *message);

#endif
