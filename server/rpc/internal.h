/* What the services share. */
#ifndef SERVER_RPC_INTERNAL_H
#define SERVER_RPC_INTERNAL_H

#include "server/rpc/services.h"

#include "common/base/mem.h"
#include "common/rpc/methods.h"
#include "syncline/v1/cluster.pb-c.h"
#include "syncline/v1/jobs.pb-c.h"
#include "syncline/v1/workers.pb-c.h"

#include <uv.h>

/* A stream that lives on the server: linked into its kind's list. */
typedef struct syn_stream {
    struct syn_stream *next, **link;
    syn_services *services;
    syn_rpc_call *call;
} syn_stream;

struct syn_services {
    struct uv_loop_s *loop;
    syn_jobs *jobs;
    syn_rpc_service list[3];
    syn_stream *watchers, *tails, *sessions;
    syn_rpc_stat stats[SYN_RPC_MAX_STATS];
    size_t n_stats;
    uint64_t log_bytes;
};

void syn_stream_link(syn_stream *stream, syn_stream **list);
void syn_stream_unlink(syn_stream *stream);

/* jobs_service.c, watch.c, tail.c, workers_service.c, cluster_service.c */
extern const syn_rpc_handler syn_jobs_handlers[];
extern const size_t syn_jobs_n_handlers;
extern const syn_rpc_handler syn_workers_handlers[];
extern const size_t syn_workers_n_handlers;
extern const syn_rpc_handler syn_cluster_handlers[];
extern const size_t syn_cluster_n_handlers;

void syn_watch_start(syn_rpc_call *call, const ProtobufCMessage *message, void *user);
void syn_watch_drain(syn_rpc_call *call, void *user);
void syn_watch_end(syn_rpc_call *call, syn_status status, void *user);
/* A job has a new event. */
void syn_watch_notify(syn_job *job, const syn_job_event *event, void *user);
void syn_tail_start(syn_rpc_call *call, const ProtobufCMessage *message, void *user);
void syn_tail_drain(syn_rpc_call *call, void *user);
void syn_tail_end(syn_rpc_call *call, syn_status status, void *user);

/* convert.c. Messages borrow from the job and from the arena. */
/* NULL when out of memory. */
Syncline__V1__Job *syn_convert_job(syn_arena *arena, const syn_job *job, bool with_ranks);
void syn_convert_event(const syn_job_event *event, char job_id[SYN_JOB_ID_MAX],
                       Syncline__V1__Event *message_out);
void syn_convert_rank_status(const Syncline__V1__RankStatus *message, syn_rank_status *status_out);
void syn_convert_progress(const Syncline__V1__Progress *message, syn_job_progress *progress_out);
ProtobufCBinaryData syn_bytes_of(const char *text);
/* The bytes as text in the arena; INVALID_ARGUMENT when they hold a NUL or are more than `limit`.
 * "" for none. */
syn_status syn_bytes_to_text(syn_arena *arena, const ProtobufCBinaryData *bytes, size_t limit,
                             const char *what, const char **text_out);
/* Text for people: whatever is not printable is replaced, and it is cut at `limit`. NULL when out
 * of memory. */
char *syn_bytes_to_printable(syn_arena *arena, const ProtobufCBinaryData *bytes, size_t limit);

#endif
