/* syncline.v1.Cluster: where ranks can run, and what runs there. */
#include "server/rpc/internal.h"

#include "common/base/clock.h"
#include "common/base/vec.h"

#include <string.h>
#include <unistd.h>

/* Nodes by (pool, host) in order of appearance. */
typedef struct node_list {
    syn_arena arena;
    SYN_VEC(Syncline__V1__Node *) nodes;
    bool failed;
} node_list;

static Syncline__V1__Node *add_node(node_list *list, const char *kind, const char *pool_id,
                                    const char *host)
{
    Syncline__V1__Node *node = syn_arena_alloc(&list->arena, sizeof *node);
    if (!node || !syn_vec_push(&list->nodes, node)) {
        list->failed = true;
        return NULL;
    }
    syncline__v1__node__init(node);
    node->kind = (char *)kind;
    node->pool_id = (char *)pool_id;
    node->host = syn_bytes_of(host);
    node->state = (char *)"up";
    return node;
}

static void add_job(node_list *list, Syncline__V1__Node *node, const char *job_id)
{
    for (size_t i = 0; i < node->n_job_ids; i++)
        if (strcmp(node->job_ids[i], job_id) == 0)
            return;
    char **grown = syn_arena_alloc(&list->arena, (node->n_job_ids + 1) * sizeof *grown);
    if (!grown) {
        list->failed = true;
        return;
    }
    if (node->n_job_ids)
        memcpy(grown, node->job_ids, node->n_job_ids * sizeof *grown);
    grown[node->n_job_ids++] = (char *)job_id;
    node->job_ids = grown;
}

static void add_local(node_list *list, syn_jobs *jobs)
{
    static char host[256];
    if (syn_jobs_local_slots(jobs) == 0)
        return;
    if (gethostname(host, sizeof host - 1) != 0)
        host[0] = '\0';
    Syncline__V1__Node *node = add_node(list, "local", "", host);
    if (!node)
        return;
    node->slots = (uint32_t)syn_jobs_local_slots(jobs);
    node->used = (uint32_t)syn_jobs_local_used(jobs);
    node->last_seen_ns = syn_clock_wall_ns();
    for (uint64_t n = 1; n <= syn_jobs_last_number(jobs); n++) {
        syn_job *job = syn_jobs_get(jobs, n);
        if (job && syn_job_state_is_live(syn_job_shown(job)->state) &&
            strcmp(syn_text_get(syn_job_shown(job)->placement), "local") == 0)
            add_job(list, node, syn_job_id(job));
    }
}

static void add_pool_rank(node_list *list, syn_jobs *jobs, const syn_worker *worker, size_t first)
{
    Syncline__V1__Node *node = NULL;
    for (size_t i = first; i < list->nodes.n && !node; i++) {
        Syncline__V1__Node *other = list->nodes.items[i];
        if (other->host.len == strlen(worker->host) &&
            memcmp(other->host.data, worker->host, other->host.len) == 0)
            node = other;
    }
    if (!node)
        node = add_node(list, "pool", worker->pool->pool_id, worker->host);
    if (!node)
        return;
    int64_t seen = syn_clock_wall_ns() - (int64_t)(syn_jobs_now_ns(jobs) - worker->contact_ns);
    syn_job *job = worker->job ? syn_jobs_get(jobs, worker->job) : NULL;
    node->slots++;
    node->used += worker->job != 0;
    if (seen > node->last_seen_ns)
        node->last_seen_ns = seen;
    if (!worker->session)
        node->state = (char *)"lost";
    if (job)
        add_job(list, node, syn_job_id(job));
}

static void list_nodes(syn_rpc_call *call, const ProtobufCMessage *message, void *user)
{
    syn_services *services = user;
    Syncline__V1__ListNodesResponse response = SYNCLINE__V1__LIST_NODES_RESPONSE__INIT;
    syn_cluster *cluster = syn_jobs_cluster(services->jobs);
    node_list list = {0};
    (void)message;
    add_local(&list, services->jobs);
    for (size_t p = 0; p < syn_cluster_n_pools(cluster); p++) {
        const syn_pool *pool = syn_cluster_pool(cluster, p);
        size_t first = list.nodes.n;
        for (uint32_t r = 0; r < pool->n_ranks; r++)
            if (pool->workers[r])
                add_pool_rank(&list, services->jobs, pool->workers[r], first);
    }
    response.nodes = list.nodes.items;
    response.n_nodes = list.nodes.n;
    if (list.failed)
        syn_rpc_call_fail(call, syn_fail_memory(4096, "an answer"));
    else
        syn_rpc_call_reply(call, &response.base);
    syn_vec_release(&list.nodes);
    syn_arena_release(&list.arena);
}

static void get_cluster(syn_rpc_call *call, const ProtobufCMessage *message, void *user)
{
    syn_services *services = user;
    syn_jobs *jobs = services->jobs;
    const syn_jobs_stats *stats = syn_jobs_get_stats(jobs);
    syn_cluster *cluster = syn_jobs_cluster(jobs);
    Syncline__V1__GetClusterResponse response = SYNCLINE__V1__GET_CLUSTER_RESPONSE__INIT;
    (void)message;
    response.version = (char *)SYN_VERSION;
    response.state_dir = syn_bytes_of(syn_jobs_state_dir(jobs));
    response.started_ns = syn_jobs_started_ns(jobs);
    response.slots = (uint32_t)syn_jobs_local_slots(jobs);
    response.used = (uint32_t)syn_jobs_local_used(jobs);
    for (size_t i = 0; i < syn_cluster_n_workers(cluster); i++) {
        const syn_worker *worker = syn_cluster_worker(cluster, i);
        response.slots += worker->pool != NULL;
        response.used += worker->pool && worker->job;
    }
    response.n_queued = (uint32_t)(stats->by_state[SYN_JOB_QUEUED] + stats->by_state[SYN_JOB_HELD]);
    for (int s = SYN_JOB_LAUNCHING; s <= SYN_JOB_DRAINING; s++)
        response.n_running += (uint32_t)stats->by_state[s];
    syn_rpc_call_reply(call, &response.base);
}

const syn_rpc_handler syn_cluster_handlers[] = {
    {.method = &syn_rpc_cluster_list_nodes, .on_message = list_nodes},
    {.method = &syn_rpc_cluster_get_cluster, .on_message = get_cluster},
};
const size_t syn_cluster_n_handlers = sizeof syn_cluster_handlers / sizeof *syn_cluster_handlers;
