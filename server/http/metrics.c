/* The numbers for Prometheus (text exposition format 0.0.4). */
#include "server/http/http.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

static void head(syn_str *out, const char *name, const char *type, const char *help)
{
    syn_str_appendf(out, "# HELP syncline_%s %s\n# TYPE syncline_%s %s\n", name, help, name, type);
}

/* `labels` is "" or "method=\"x\"". */
static void print_histogram(syn_str *out, const char *name, const char *labels,
                            const syn_histogram *h)
{
    const char *comma = *labels ? "," : "", *open = *labels ? "{" : "", *close = *labels ? "}" : "";
    uint64_t sum = 0;
    for (int i = 0; i < SYN_HISTOGRAM_N_BOUNDS; i++) {
        sum += h->counts[i];
        syn_str_appendf(out, "syncline_%s_bucket{%s%sle=\"%g\"} %" PRIu64 "\n", name, labels, comma,
                        syn_histogram_bounds[i], sum);
    }
    syn_str_appendf(out, "syncline_%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, labels, comma,
                    h->n);
    syn_str_appendf(out, "syncline_%s_sum%s%s%s %.9g\nsyncline_%s_count%s%s%s %" PRIu64 "\n", name,
                    open, labels, close, h->sum, name, open, labels, close, h->n);
}

static void print_lower(syn_str *out, const char *text)
{
    for (; *text; text++)
        syn_str_appendf(out, "%c", tolower((unsigned char)*text));
}

static void print_jobs(const syn_jobs_stats *stats, syn_str *out)
{
    head(out, "jobs", "gauge", "Jobs by state.");
    for (int s = 1; s < SYN_JOB_N_STATES; s++) {
        syn_str_append(out, "syncline_jobs{state=\"");
        print_lower(out, syn_job_state_name((syn_job_state)s));
        syn_str_appendf(out, "\"} %" PRIu64 "\n", stats->by_state[s]);
    }
    head(out, "job_transitions_total", "counter",
         "Transitions by the state gone to and the reason.");
    for (int s = 1; s < SYN_JOB_N_STATES; s++)
        for (int r = 0; r < SYN_N_REASONS; r++) {
            if (!stats->transitions[s][r])
                continue;
            syn_str_append(out, "syncline_job_transitions_total{to=\"");
            print_lower(out, syn_job_state_name((syn_job_state)s));
            syn_str_appendf(out, "\",reason=\"%s\"} %" PRIu64 "\n", syn_reason_name((syn_reason)r),
                            stats->transitions[s][r]);
        }
    head(out, "queue_wait_seconds", "histogram", "From submission to the first launch.");
    print_histogram(out, "queue_wait_seconds", "", &stats->queue_wait_s);
    head(out, "recovered_jobs_total", "counter", "Jobs of an earlier life that were taken up.");
    syn_str_appendf(out,
                    "syncline_recovered_jobs_total{outcome=\"adopted\"} %" PRIu64
                    "\nsyncline_recovered_jobs_total{outcome=\"requeued\"} %" PRIu64
                    "\nsyncline_recovered_jobs_total{outcome=\"ended\"} %" PRIu64 "\n",
                    stats->recovered_adopted, stats->recovered_requeued, stats->recovered_ended);
    head(out, "stalls_total", "counter", "Times a rank did not move for too long.");
    syn_str_appendf(out, "syncline_stalls_total %" PRIu64 "\n", stats->stalls);
    head(out, "checkpoints_total", "counter", "Checkpoints announced.");
    syn_str_appendf(out, "syncline_checkpoints_total %" PRIu64 "\n", stats->checkpoints);
}

static void print_workers(syn_jobs *jobs, syn_str *out)
{
    syn_cluster *cluster = syn_jobs_cluster(jobs);
    size_t n_idle = 0, n_busy = 0, n_lost = 0;
    double oldest_s = 0;
    uint64_t now = syn_jobs_now_ns(jobs);
    for (size_t i = 0; i < syn_cluster_n_workers(cluster); i++) {
        const syn_worker *worker = syn_cluster_worker(cluster, i);
        double age_s = (double)(now - worker->contact_ns) * 1e-9;
        if (!worker->session)
            n_lost++;
        else if (worker->job)
            n_busy++;
        else
            n_idle++;
        oldest_s = age_s > oldest_s ? age_s : oldest_s;
    }
    head(out, "workers", "gauge", "Worker processes by state.");
    syn_str_appendf(out,
                    "syncline_workers{state=\"busy\"} %zu\nsyncline_workers{state=\"idle\"} %zu\n"
                    "syncline_workers{state=\"disconnected\"} %zu\n",
                    n_busy, n_idle, n_lost);
    head(out, "worker_report_age_seconds", "gauge", "Since the report of the quietest worker.");
    syn_str_appendf(out, "syncline_worker_report_age_seconds %.3f\n", oldest_s);
}

static void print_rpc(const syn_services *services, syn_str *out)
{
    head(out, "rpc_requests_total", "counter", "Calls that have ended, by method and status code.");
    for (size_t i = 0; i < syn_services_n_stats(services); i++)
        for (int c = 0; c < 17; c++) {
            const syn_rpc_stat *stat = syn_services_stat(services, i);
            if (stat->by_code[c])
                syn_str_appendf(
                    out, "syncline_rpc_requests_total{method=\"%s\",code=\"%s\"} %" PRIu64 "\n",
                    stat->name, syn_status_name((syn_status)c), stat->by_code[c]);
        }
    head(out, "rpc_duration_seconds", "histogram", "Duration of calls; of streams, their life.");
    for (size_t i = 0; i < syn_services_n_stats(services); i++) {
        const syn_rpc_stat *stat = syn_services_stat(services, i);
        syn_str label = {0};
        syn_str_appendf(&label, "method=\"%s\"", stat->name);
        print_histogram(out, "rpc_duration_seconds", syn_str_get(&label), &stat->seconds);
        syn_str_release(&label);
    }
    head(out, "log_bytes_total", "counter", "Log bytes sent to clients.");
    syn_str_appendf(out, "syncline_log_bytes_total %" PRIu64 "\n",
                    syn_services_log_bytes(services));
}

void syn_http_print_metrics(const syn_http_options *options, syn_str *out)
{
    print_jobs(syn_jobs_get_stats(options->jobs), out);
    print_workers(options->jobs, out);
    head(out, "store_commit_seconds", "histogram", "Commits of the job store, in groups.");
    print_histogram(out, "store_commit_seconds", "", syn_store_commit_seconds(options->store));
    if (options->services)
        print_rpc(options->services, out);
    if (options->server) {
        head(out, "connections", "gauge", "Open gRPC connections.");
        syn_str_appendf(out, "syncline_connections %zu\n",
                        syn_rpc_server_n_connections(options->server));
    }
}
