/* The product's services over the rooms below: unpack, call a room, reply. */
#ifndef SERVER_RPC_SERVICES_H
#define SERVER_RPC_SERVICES_H

#include "common/base/histogram.h"
#include "common/rpc/rpc.h"
#include "server/jobs/jobs.h"

/* Per method, for /metrics. */
typedef struct syn_rpc_stat {
    char name[64]; /* "Jobs/SubmitJob" */
    uint64_t by_code[17];
    syn_histogram seconds;
} syn_rpc_stat;

enum { SYN_RPC_MAX_STATS = 32 };

typedef struct syn_services syn_services;

/* How directives reach the sessions that this room serves. */
extern const syn_session_ops syn_rpc_session_ops;

syn_status syn_services_new(struct uv_loop_s *loop, syn_jobs *jobs, syn_services **services_out);
/* What syn_rpc_server_new needs; borrowed from `services`. */
void syn_services_describe(syn_services *services, syn_rpc_server_options *options_out);
/* Lets streams end that would go on for ever, so that the server can drain. */
void syn_services_end_streams(syn_services *services, const char *message);
/* After the server is closed. Accepts NULL. */
void syn_services_free(syn_services *services);

size_t syn_services_n_stats(const syn_services *services);
const syn_rpc_stat *syn_services_stat(const syn_services *services, size_t i);
uint64_t syn_services_log_bytes(const syn_services *services);

#endif
