/* The methods of the product's services, for servers and clients alike. */
#ifndef COMMON_RPC_METHODS_H
#define COMMON_RPC_METHODS_H

#include "common/rpc/rpc.h"

/* X(symbol, service, name, request type, response type, client streaming, server streaming), as the
 * files in proto/syncline/v1 say; a test compares them. */
#define SYN_RPC_METHOD_LIST(X)                                                                   \
    X(jobs_submit_job, "Jobs", "SubmitJob", submit_job_request, submit_job_response, 0, 0)       \
    X(jobs_get_job, "Jobs", "GetJob", get_job_request, get_job_response, 0, 0)                   \
    X(jobs_list_jobs, "Jobs", "ListJobs", list_jobs_request, list_jobs_response, 0, 0)           \
    X(jobs_watch_jobs, "Jobs", "WatchJobs", watch_jobs_request, watch_jobs_response, 0, 1)       \
    X(jobs_cancel_job, "Jobs", "CancelJob", cancel_job_request, cancel_job_response, 0, 0)       \
    X(jobs_tail_logs, "Jobs", "TailLogs", tail_logs_request, tail_logs_response, 0, 1)           \
    X(workers_register_worker, "Workers", "RegisterWorker", register_worker_request,             \
      register_worker_response, 0, 0)                                                            \
    X(workers_open_session, "Workers", "OpenSession", worker_report, directive, 1, 1)            \
    X(workers_report_outcome, "Workers", "ReportOutcome", report_outcome_request,                \
      report_outcome_response, 0, 0)                                                             \
    X(workers_commit_checkpoint, "Workers", "CommitCheckpoint", commit_checkpoint_request,       \
      commit_checkpoint_response, 0, 0)                                                          \
    X(cluster_list_nodes, "Cluster", "ListNodes", list_nodes_request, list_nodes_response, 0, 0) \
    X(cluster_get_cluster, "Cluster", "GetCluster", get_cluster_request, get_cluster_response, 0, 0)

/* syn_rpc_jobs_submit_job, syn_rpc_jobs_get_job, ... */
#define SYN_RPC_DECLARE(symbol, ...) extern const syn_rpc_method syn_rpc_##symbol;
SYN_RPC_METHOD_LIST(SYN_RPC_DECLARE)
#undef SYN_RPC_DECLARE

#endif
