/* The coordinator as a whole: opens the rooms in order, runs the loop, closes them in reverse. */
#include "server/coordinator.h"

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "server/http/http.h"
#include "server/jobs/jobs.h"
#include "server/rpc/services.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { DRAIN_MS = 2000 };

typedef struct coordinator {
    const syn_coordinator_options *options;
    uv_loop_t loop;
    char *state_dir; /* owned, absolute */
    int lock_fd;
    syn_store *store;
    syn_jobs *jobs;
    syn_services *services;
    syn_rpc_server *server;
    syn_http *http;
    uv_signal_t signals[2];
    uv_poll_t stop_poll;
    bool has_signals, has_stop_poll, is_ending, is_closing;
    int stage; /* of closing */
    syn_status status;
    char sentence[1024]; /* when status is not OK */
} coordinator;

/* ---- the end ---- */

static void close_handles(coordinator *c)
{
    for (int i = 0; i < 2 && c->has_signals; i++)
        uv_close((uv_handle_t *)&c->signals[i], NULL);
    if (c->has_stop_poll)
        uv_close((uv_handle_t *)&c->stop_poll, NULL);
}

/* One room after the other; each calls this again when nothing of it is left. */
static void close_next(void *user)
{
    coordinator *c = user;
    for (;;) {
        switch (c->stage++) {
        case 0:
            close_handles(c);
            if (!c->http)
                break;
            syn_http_close(c->http, close_next, c);
            return;
        case 1:
            if (!c->server)
                break;
            syn_rpc_server_close(c->server, close_next, c);
            return;
        case 2:
            if (c->jobs)
                syn_jobs_halt(c->jobs);
            if (!c->store)
                break;
            syn_store_close(c->store, close_next, c);
            return;
        default:
            syn_services_free(c->services);
            syn_jobs_close(c->jobs, NULL, NULL);
            return;
        }
    }
}

static void close_all(coordinator *c)
{
    if (c->is_closing)
        return;
    c->is_closing = true;
    close_next(c);
}

static void on_drained(void *user)
{
    close_all(user);
}

static void on_jobs_stopped(void *user)
{
    coordinator *c = user;
    if (c->is_closing)
        return;
    syn_services_end_streams(c->services, "the coordinator is ending");
    syn_rpc_server_drain(c->server, DRAIN_MS, on_drained, c);
}

static void end(coordinator *c, const char *why)
{
    if (c->is_ending)
        return;
    c->is_ending = true;
    SYN_INFO("the coordinator ends: %s", why);
    syn_rpc_server_set_serving(c->server, "", false);
    syn_jobs_stop(c->jobs, on_jobs_stopped, c);
}

static void on_signal(uv_signal_t *handle, int number)
{
    end(handle->data, number == SIGTERM ? "SIGTERM" : "SIGINT");
}

static void on_stop_fd(uv_poll_t *handle, int status, int events)
{
    (void)status, (void)events;
    (void)uv_poll_stop(handle);
    end(handle->data, "it was told to");
}

/* The store is broken: nothing that is said from now on could be kept. */
static void on_fatal(const char *sentence, void *user)
{
    coordinator *c = user;
    if (c->status == SYN_OK) {
        c->status = SYN_UNAVAILABLE;
        (void)snprintf(c->sentence, sizeof c->sentence,
                       "%s; the coordinator ends and takes its jobs up again at the next start",
                       sentence);
    }
    c->is_ending = true;
    close_all(c);
}

/* ---- the beginning ---- */

static syn_status open_state_dir(coordinator *c)
{
    if (!c->options->state_dir || !*c->options->state_dir)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "the coordinator needs a state folder");
    SYN_TRY(syn_dir_make(c->options->state_dir));
    c->state_dir = realpath(c->options->state_dir, NULL);
    if (!c->state_dir)
        return SYN_FAIL(SYN_UNKNOWN, "cannot resolve the state folder %s: %s",
                        c->options->state_dir, strerror(errno));
    return syn_store_lock(c->state_dir, &c->lock_fd);
}

static syn_status open_rooms(coordinator *c)
{
    const syn_coordinator_options *o = c->options;
    syn_rpc_server_options server_options;
    const syn_store_options store_options = {
        .dir = c->state_dir, .loop = &c->loop, .on_broken = on_fatal, .user = c};
    SYN_TRY(syn_store_open(&store_options, &c->store));
    const syn_jobs_options jobs_options = {
        .loop = &c->loop,
        .store = c->store,
        .state_dir = c->state_dir,
        .slots = o->slots < 0 ? -1 : (int64_t)syn_launch_local_slots(o->slots),
        .oversubscribe = o->oversubscribe,
        .is_private = o->is_private,
        .launcher = {syn_launch_start, syn_launch_find, syn_launch_poll, syn_launch_kill},
        .sessions = syn_rpc_session_ops,
        .on_fatal = on_fatal,
        .user = c,
    };
    SYN_TRY(syn_jobs_new(&jobs_options, &c->jobs));
    SYN_TRY(syn_services_new(&c->loop, c->jobs, &c->services));
    syn_services_describe(c->services, &server_options);
    SYN_TRY(syn_rpc_server_new(&c->loop, &server_options, &c->server));
    SYN_TRY(syn_rpc_server_listen(c->server, o->listen));
    if (o->http_listen) {
        const syn_http_options http_options = {.loop = &c->loop,
                                               .listen = o->http_listen,
                                               .jobs = c->jobs,
                                               .store = c->store,
                                               .services = c->services,
                                               .server = c->server};
        SYN_TRY(syn_http_start(&http_options, &c->http));
    }
    return syn_jobs_start(c->jobs, syn_rpc_server_address(c->server, 0));
}

static syn_status watch_for_end(coordinator *c)
{
    static const int numbers[2] = {SIGTERM, SIGINT};
    if (!c->options->is_private) {
        for (int i = 0; i < 2; i++) {
            (void)uv_signal_init(&c->loop, &c->signals[i]);
            c->signals[i].data = c;
            (void)uv_signal_start(&c->signals[i], on_signal, numbers[i]);
        }
        c->has_signals = true;
    }
    if (c->options->stop_fd >= 0) {
        if (uv_poll_init(&c->loop, &c->stop_poll, c->options->stop_fd) != 0)
            return SYN_FAIL(SYN_INVALID_ARGUMENT, "cannot watch descriptor %d for the end",
                            c->options->stop_fd);
        c->has_stop_poll = true;
        c->stop_poll.data = c;
        (void)uv_poll_start(&c->stop_poll, UV_READABLE, on_stop_fd);
    }
    return SYN_OK;
}

/* A client that goes away must not end the process; a program that embeds us may have decided
 * otherwise. */
static void ignore_broken_pipes(void)
{
    struct sigaction action;
    if (sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL) {
        action = (struct sigaction){.sa_handler = SIG_IGN};
        (void)sigaction(SIGPIPE, &action, NULL);
    }
}

syn_status syn_coordinator_run(const syn_coordinator_options *options)
{
    coordinator c = {.options = options, .lock_fd = -1};
    ignore_broken_pipes();
    if (uv_loop_init(&c.loop) != 0)
        return SYN_FAIL(SYN_RESOURCE_EXHAUSTED,
                        "cannot start the coordinator: no more descriptors");
    syn_status status = open_state_dir(&c);
    if (status == SYN_OK)
        status = open_rooms(&c);
    if (status == SYN_OK)
        status = watch_for_end(&c);
    if (status != SYN_OK && c.status == SYN_OK) {
        c.status = status;
        (void)snprintf(c.sentence, sizeof c.sentence, "%s", syn_error_message());
    }
    if (c.status == SYN_OK && options->on_ready)
        options->on_ready(options->user, syn_rpc_server_address(c.server, 0),
                          c.http ? syn_http_address(c.http) : NULL);
    if (c.status != SYN_OK)
        close_all(&c);
    (void)uv_run(&c.loop, UV_RUN_DEFAULT);
    int left = uv_loop_close(&c.loop);
    SYN_BUG_ON(left != 0);
    if (c.lock_fd >= 0)
        syn_store_unlock(c.state_dir, c.lock_fd);
    free(c.state_dir); /* realpath's */
    return c.status == SYN_OK ? SYN_OK : SYN_FAIL(c.status, "%s", c.sentence);
}
