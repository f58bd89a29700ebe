/* libmicrohttpd on the coordinator's loop: its epoll descriptor is watched like any other. */
#include "server/http/http.h"

#include "common/base/mem.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

enum { MAX_CONNECTIONS = 64, IDLE_S = 15, MEMORY = 32 * 1024, MAX_JOBS = 1000 };

struct syn_http {
    syn_http_options options;
    char host[256], address[300];
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_timer_t timer;
    int n_closing;
    void (*done)(void *user);
    void *user;
};

/* ---- requests ---- */

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned code, const char *type,
                              syn_str *body)
{
    if (body->failed) {
        syn_str_release(body);
        code = MHD_HTTP_INTERNAL_SERVER_ERROR;
        type = "text/plain; charset=utf-8";
        syn_str_append(body, "out of memory\n");
    }
    size_t size = body->length;
    char *bytes = syn_str_take(body);
    struct MHD_Response *response =
        bytes ? MHD_create_response_from_buffer(size, bytes, MHD_RESPMEM_MUST_FREE) : NULL;
    if (!response) {
        syn_free(bytes);
        return MHD_NO;
    }
    (void)MHD_add_response_header(response, "Content-Type", type);
    (void)MHD_add_response_header(response, "Cache-Control", "no-store");
    (void)MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)MHD_add_response_header(response, "Allow", "GET, HEAD");
    enum MHD_Result result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned code,
                                   const char *text)
{
    syn_str body = {0};
    syn_str_appendf(&body, "%s\n", text);
    return answer(connection, code, "text/plain; charset=utf-8", &body);
}

/* Whether "name", "name:port" or "[addr]:port" names this machine as its users do. A page of
 * another site that has pointed its own name at us (DNS rebinding) sends that name. */
static bool is_own_host(const syn_http *http, const char *value, size_t length)
{
    const char *const names[] = {"localhost", "127.0.0.1", "[::1]", http->host};
    size_t end = length;
    for (size_t i = length; i > 0 && value[i - 1] != ']'; i--)
        if (value[i - 1] == ':')
            end = i - 1;
    for (size_t i = 0; i < 4; i++)
        if (end == strlen(names[i]) && strncasecmp(value, names[i], end) == 0)
            return true;
    return false;
}

static bool is_allowed(const syn_http *http, struct MHD_Connection *connection)
{
    const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host");
    const char *origin = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Origin");
    if (!host || !is_own_host(http, host, strlen(host)))
        return false;
    if (!origin)
        return true;
    return strncasecmp(origin, "http://", 7) == 0 &&
           is_own_host(http, origin + 7, strlen(origin + 7));
}

static enum MHD_Result answer_ready(syn_http *http, struct MHD_Connection *connection)
{
    const char *why = syn_jobs_not_ready(http->options.jobs);
    return why ? answer_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE, why)
               : answer_text(connection, MHD_HTTP_OK, "ready");
}

static enum MHD_Result answer_jobs(syn_http *http, struct MHD_Connection *connection)
{
    const char *limit = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "limit");
    const char *after = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "after");
    int64_t n = MAX_JOBS;
    uint64_t before = after ? syn_job_id_parse(after) : 0;
    syn_str body = {0};
    if ((limit && (!syn_parse_i64(limit, &n) || n < 1)) || (after && !before))
        return answer_text(connection, MHD_HTTP_BAD_REQUEST,
                           "limit is a number from 1 to 1000, after a job id");
    syn_http_print_jobs(http->options.jobs, before, n < MAX_JOBS ? (uint32_t)n : MAX_JOBS, &body);
    return answer(connection, MHD_HTTP_OK, "application/json", &body);
}

static enum MHD_Result answer_job(syn_http *http, struct MHD_Connection *connection,
                                  const char *job_id)
{
    syn_job *job = syn_jobs_find(http->options.jobs, job_id);
    syn_str body = {0};
    if (!job)
        return answer_text(connection, MHD_HTTP_NOT_FOUND, "there is no such job");
    syn_http_print_job(job, true, &body);
    return answer(connection, MHD_HTTP_OK, "application/json", &body);
}

static enum MHD_Result handle(void *user, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **state)
{
    static int seen;
    syn_http *http = user;
    syn_str body = {0};
    (void)version, (void)upload;
    if (*state == NULL) { /* the headers; the answer is given when the request is complete */
        *state = &seen;
        return MHD_YES;
    }
    if (*upload_size > 0) {
        *upload_size = 0;
        return MHD_YES;
    }
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET is served here");
    if (!is_allowed(http, connection))
        return answer_text(connection, MHD_HTTP_FORBIDDEN,
                           "the Host or Origin of the request is not this coordinator");
    if (strcmp(url, "/healthz") == 0)
        return answer_text(connection, MHD_HTTP_OK, "ok");
    if (strcmp(url, "/readyz") == 0)
        return answer_ready(http, connection);
    if (strcmp(url, "/version") == 0)
        return answer_text(connection, MHD_HTTP_OK, "syncline " SYN_VERSION);
    if (strcmp(url, "/metrics") == 0) {
        syn_http_print_metrics(&http->options, &body);
        return answer(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", &body);
    }
    if (strcmp(url, "/api/v1/jobs") == 0)
        return answer_jobs(http, connection);
    if (syn_has_prefix(url, "/api/v1/jobs/"))
        return answer_job(http, connection, url + strlen("/api/v1/jobs/"));
    return answer_text(connection, MHD_HTTP_NOT_FOUND, "there is nothing here");
}

/* ---- the daemon on the loop ---- */

static void on_timer(uv_timer_t *timer);

static void run(syn_http *http)
{
    MHD_UNSIGNED_LONG_LONG timeout_ms;
    (void)MHD_run(http->daemon);
    if (MHD_get_timeout(http->daemon, &timeout_ms) == MHD_YES)
        (void)uv_timer_start(&http->timer, on_timer, timeout_ms, 0);
    else
        (void)uv_timer_stop(&http->timer);
}

static void on_timer(uv_timer_t *timer)
{
    run(timer->data);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    run(poll->data);
}

/* "HOST:PORT" in two. */
static syn_status split_address(const char *address, char host[256], char port[16])
{
    const char *colon = strrchr(address, ':');
    const char *start = address, *end = colon;
    int64_t number;
    if (colon && address[0] == '[' && colon > address + 1 && colon[-1] == ']')
        start++, end--;
    if (!colon || end - start > 255 || strlen(colon + 1) > 5 ||
        !syn_parse_i64(colon + 1, &number) || number < 0 || number > 65535)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "the HTTP address is HOST:PORT, not \"%.200s\"",
                        address);
    (void)snprintf(host, 256, "%.*s", (int)(end - start), start);
    if (!*host)
        (void)snprintf(host, 256, "127.0.0.1");
    (void)snprintf(port, 16, "%s", colon + 1);
    return SYN_OK;
}

static syn_status open_socket(const char *address, const char *host, const char *port, int *fd_out)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int error = getaddrinfo(host, port, &hints, &found), one = 1;
    if (error)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "cannot serve HTTP on %s: %s", address,
                        gai_strerror(error));
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bool is_bound =
        fd >= 0 && bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, 64) == 0;
    int reason = errno;
    freeaddrinfo(found);
    if (is_bound) {
        *fd_out = fd;
        return SYN_OK;
    }
    if (fd >= 0)
        (void)close(fd);
    return SYN_FAIL(reason == EADDRINUSE ? SYN_FAILED_PRECONDITION : SYN_UNKNOWN,
                    "cannot serve HTTP on %s: %s", address, strerror(reason));
}

/* The bound address, with the port that the system chose. */
static void note_address(syn_http *http, int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } bound = {0};
    socklen_t size = sizeof bound;
    unsigned port = 0;
    if (getsockname(fd, &bound.any, &size) == 0)
        port = ntohs(bound.any.sa_family == AF_INET6 ? bound.v6.sin6_port : bound.v4.sin_port);
    bool is_v6 = strchr(http->host, ':') != NULL;
    (void)snprintf(http->address, sizeof http->address, "%s%s%s:%u", is_v6 ? "[" : "", http->host,
                   is_v6 ? "]" : "", port);
}

static syn_status start_daemon(syn_http *http, int fd)
{
    http->daemon = MHD_start_daemon(
        MHD_USE_EPOLL, 0, NULL, NULL, handle, http, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)MAX_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY, MHD_OPTION_END);
    if (!http->daemon) {
        (void)close(fd);
        return SYN_FAIL(SYN_RESOURCE_EXHAUSTED,
                        "cannot serve HTTP on %s: no more descriptors or memory", http->address);
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (!info || uv_poll_init(http->options.loop, &http->poll, info->epoll_fd) != 0) {
        MHD_stop_daemon(http->daemon);
        return SYN_FAIL(SYN_INTERNAL, "cannot watch the HTTP server's descriptor");
    }
    (void)uv_timer_init(http->options.loop, &http->timer);
    http->poll.data = http->timer.data = http;
    (void)uv_poll_start(&http->poll, UV_READABLE, on_poll);
    return SYN_OK;
}

syn_status syn_http_start(const syn_http_options *options, syn_http **http_out)
{
    char port[16];
    int fd = -1;
    syn_http *http = syn_calloc(1, sizeof *http);
    if (!http)
        return syn_fail_memory(sizeof *http, "the HTTP server");
    http->options = *options;
    syn_status status = split_address(options->listen, http->host, port);
    if (status == SYN_OK)
        status = open_socket(options->listen, http->host, port, &fd);
    if (status == SYN_OK) {
        note_address(http, fd);
        status = start_daemon(http, fd);
    }
    if (status != SYN_OK) {
        syn_free(http);
        return status;
    }
    *http_out = http;
    return SYN_OK;
}

const char *syn_http_address(const syn_http *http)
{
    return http->address;
}

static void on_closed(uv_handle_t *handle)
{
    syn_http *http = handle->data;
    if (--http->n_closing > 0)
        return;
    MHD_stop_daemon(http->daemon);
    if (http->done)
        http->done(http->user);
    syn_free(http);
}

void syn_http_close(syn_http *http, void (*done)(void *user), void *user)
{
    if (!http)
        return;
    http->done = done;
    http->user = user;
    http->n_closing = 2;
    uv_close((uv_handle_t *)&http->poll, on_closed);
    uv_close((uv_handle_t *)&http->timer, on_closed);
}
