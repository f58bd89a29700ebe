/* grpc.health.v1: whether the server and each of its services is serving, for probes. */
#include "common/rpc/server_internal.h"

#include "grpc/health/v1/health.pb-c.h"

#include <string.h>

typedef Grpc__Health__V1__HealthCheckRequest check_request;
typedef Grpc__Health__V1__HealthCheckResponse check_response;
typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus serving_status;

typedef struct health_entry {
    char *name; /* owned */
    bool is_serving;
} health_entry;

/* One Watch call. */
typedef struct watcher {
    struct watcher *next, **link;
    syn_rpc_call *call; /* shared */
    char *service;      /* owned */
    serving_status told;
} watcher;

struct syn_health {
    SYN_VEC(health_entry) entries;
    watcher *watchers;
    bool is_down;
};

static const syn_rpc_method check_method = {
    .service = "grpc.health.v1.Health",
    .name = "Check",
    .request = &grpc__health__v1__health_check_request__descriptor,
    .response = &grpc__health__v1__health_check_response__descriptor,
};
static const syn_rpc_method watch_method = {
    .service = "grpc.health.v1.Health",
    .name = "Watch",
    .request = &grpc__health__v1__health_check_request__descriptor,
    .response = &grpc__health__v1__health_check_response__descriptor,
    .server_streaming = true,
};

static health_entry *find(syn_health *health, const char *name)
{
    for (size_t i = 0; i < health->entries.n; i++)
        if (strcmp(health->entries.items[i].name, name) == 0)
            return &health->entries.items[i];
    return NULL;
}

static serving_status status_of(syn_health *health, const char *name)
{
    const health_entry *entry = find(health, name);

    if (!entry)
        return GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN;
    return entry->is_serving && !health->is_down
               ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
               : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING;
}

static void on_check(syn_rpc_call *call, const ProtobufCMessage *message, void *user)
{
    const check_request *request = (const check_request *)message;
    check_response response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

    response.status = status_of(user, request->service);
    if (response.status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN)
        syn_rpc_call_finish(call, SYN_NOT_FOUND, "the server has no such service");
    else
        syn_rpc_call_reply(call, &response.base);
}

static void tell(syn_health *health, watcher *w)
{
    check_response response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

    response.status = status_of(health, w->service);
    if (response.status != w->told)
        (void)syn_rpc_call_send(w->call, &response.base); /* a failure ends the call */
    w->told = response.status;
    if (health->is_down)
        syn_rpc_call_finish(w->call, SYN_UNAVAILABLE, "the server is shutting down");
}

static void on_watch(syn_rpc_call *call, const ProtobufCMessage *message, void *user)
{
    const check_request *request = (const check_request *)message;
    syn_health *health = user;
    watcher *w = syn_calloc(1, sizeof *w);

    if (w)
        w->service = syn_strdup(request->service);
    if (!w || !w->service) {
        syn_free(w);
        syn_rpc_call_finish(call, SYN_RESOURCE_EXHAUSTED, "the server is out of memory");
        return;
    }
    w->call = call;
    w->told = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__UNKNOWN;
    w->next = health->watchers;
    w->link = &health->watchers;
    if (w->next)
        w->next->link = &w->next;
    health->watchers = w;
    syn_rpc_call_set_data(call, w);
    tell(health, w);
}

static void on_watch_end(syn_rpc_call *call, syn_status status, void *user)
{
    watcher *w = syn_rpc_call_data(call);

    (void)status;
    (void)user;
    if (!w)
        return;
    *w->link = w->next;
    if (w->next)
        w->next->link = w->link;
    syn_free(w->service);
    syn_free(w);
}

static const syn_rpc_handler handlers[] = {
    {.method = &check_method, .on_message = on_check},
    {.method = &watch_method, .on_message = on_watch, .on_end = on_watch_end},
};

syn_rpc_service syn_health_service(syn_health *health)
{
    return (syn_rpc_service){handlers, sizeof handlers / sizeof *handlers, health};
}

syn_status syn_health_set(syn_health *health, const char *service, bool is_serving)
{
    health_entry *entry = find(health, service);

    if (entry) {
        entry->is_serving = is_serving;
    } else {
        char *name = syn_strdup(service);
        if (!name || !syn_vec_push(&health->entries, (health_entry){name, is_serving})) {
            syn_free(name);
            return syn_fail_memory(strlen(service) + 1, "a service name");
        }
    }
    for (watcher *w = health->watchers; w; w = w->next)
        tell(health, w);
    return SYN_OK;
}

void syn_health_shutdown(syn_health *health)
{
    health->is_down = true;
    for (watcher *w = health->watchers; w; w = w->next)
        tell(health, w);
}

syn_status syn_health_new(syn_health **health_out)
{
    syn_health *health = syn_calloc(1, sizeof *health);

    if (!health)
        return syn_fail_memory(sizeof *health, "the health service");
    syn_status status = syn_health_set(health, "", true);
    if (status != SYN_OK) {
        syn_health_free(health);
        return status;
    }
    *health_out = health;
    return SYN_OK;
}

void syn_health_free(syn_health *health)
{
    if (!health)
        return;
    SYN_BUG_ON(health->watchers);
    for (size_t i = 0; i < health->entries.n; i++)
        syn_free(health->entries.items[i].name);
    syn_vec_release(&health->entries);
    syn_free(health);
}
