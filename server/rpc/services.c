/* The list of services, their counters, and the streams that are open. */
#include "server/rpc/internal.h"

#include <stdio.h>
#include <string.h>

void syn_stream_link(syn_stream *stream, syn_stream **list)
{
    stream->next = *list;
    stream->link = list;
    if (*list)
        (*list)->link = &stream->next;
    *list = stream;
}

void syn_stream_unlink(syn_stream *stream)
{
    if (!stream->link)
        return;
    *stream->link = stream->next;
    if (stream->next)
        stream->next->link = stream->link;
    stream->link = NULL;
}

syn_status syn_services_new(struct uv_loop_s *loop, syn_jobs *jobs, syn_services **services_out)
{
    syn_services *services = syn_calloc(1, sizeof *services);
    if (!services)
        return syn_fail_memory(sizeof *services, "the services");
    services->loop = loop;
    services->jobs = jobs;
    services->list[0] = (syn_rpc_service){syn_jobs_handlers, syn_jobs_n_handlers, services};
    services->list[1] = (syn_rpc_service){syn_workers_handlers, syn_workers_n_handlers, services};
    services->list[2] = (syn_rpc_service){syn_cluster_handlers, syn_cluster_n_handlers, services};
    syn_jobs_set_listener(jobs, syn_watch_notify, services);
    *services_out = services;
    return SYN_OK;
}

void syn_services_free(syn_services *services)
{
    syn_free(services);
}

/* The counters of a method; those beyond the table share its last entry, so that names cannot grow
 * without bound. */
static syn_rpc_stat *get_stat(syn_services *services, const char *service, const char *method)
{
    char name[64];
    const char *dot = strrchr(service, '.');
    (void)snprintf(name, sizeof name, "%.30s/%.30s", dot ? dot + 1 : service, method);
    for (size_t i = 0; i < services->n_stats; i++)
        if (strcmp(services->stats[i].name, name) == 0)
            return &services->stats[i];
    if (services->n_stats == SYN_RPC_MAX_STATS)
        return &services->stats[SYN_RPC_MAX_STATS - 1];
    syn_rpc_stat *stat = &services->stats[services->n_stats++];
    (void)snprintf(stat->name, sizeof stat->name, "%s", name);
    return stat;
}

static void observe(const char *service, const char *method, syn_status status,
                    uint64_t duration_ns, void *user)
{
    syn_rpc_stat *stat = get_stat(user, service, method);
    stat->by_code[(unsigned)status < 17 ? status : SYN_UNKNOWN]++;
    syn_histogram_observe(&stat->seconds, (double)duration_ns * 1e-9);
}

void syn_services_describe(syn_services *services, syn_rpc_server_options *options_out)
{
    *options_out = (syn_rpc_server_options){
        .services = services->list, .n_services = 3, .observe = observe, .observe_user = services};
}

void syn_services_end_streams(syn_services *services, const char *message)
{
    syn_stream *const lists[] = {services->watchers, services->tails, services->sessions};
    for (size_t i = 0; i < 3; i++)
        for (syn_stream *s = lists[i]; s; s = s->next)
            syn_rpc_call_finish(s->call, SYN_UNAVAILABLE, message);
}

size_t syn_services_n_stats(const syn_services *services)
{
    return services->n_stats;
}

const syn_rpc_stat *syn_services_stat(const syn_services *services, size_t i)
{
    return &services->stats[i];
}

uint64_t syn_services_log_bytes(const syn_services *services)
{
    return services->log_bytes;
}
