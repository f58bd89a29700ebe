/* HTTP/1.1 for browsers and Prometheus: GET only, on a port of its own, served on the coordinator's
 * loop. */
#ifndef SERVER_HTTP_HTTP_H
#define SERVER_HTTP_HTTP_H

#include "common/base/str.h"
#include "server/jobs/jobs.h"
#include "server/rpc/services.h"

typedef struct syn_http syn_http;

typedef struct syn_http_options {
    struct uv_loop_s *loop;
    const char
        *listen; /* HOST:PORT, [HOST6]:PORT or :PORT (127.0.0.1); port 0: chosen by the system */
    syn_jobs *jobs;
    syn_store *store;
    syn_services *services; /* may be NULL in tests */
    syn_rpc_server *server; /* may be NULL in tests */
} syn_http_options;

/* Errors are one sentence: a bad address, a port in use. */
syn_status syn_http_start(const syn_http_options *options, syn_http **http_out);
/* "127.0.0.1:7481" as bound. */
const char *syn_http_address(const syn_http *http);
/* `done` (may be NULL) is called from the loop. Accepts NULL (then it is not called). */
void syn_http_close(syn_http *http, void (*done)(void *user), void *user);

/* The bodies. */
void syn_http_print_metrics(const syn_http_options *options, syn_str *out);
/* One job as a JSON object; with its events and ranks when `is_full`. */
void syn_http_print_job(const syn_job *job, bool is_full, syn_str *out);
/* At most `limit` jobs below number `before` (0: from the newest). */
void syn_http_print_jobs(syn_jobs *jobs, uint64_t before, uint32_t limit, syn_str *out);

#endif
