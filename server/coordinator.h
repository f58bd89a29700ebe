/* The coordinator as a whole: what `syncline serve` and `syncline run` start. */
#ifndef SERVER_COORDINATOR_H
#define SERVER_COORDINATOR_H

#include <stdbool.h>
#include <stdint.h>
#include <syncline/status.h>

typedef struct syn_coordinator_options {
    const char *state_dir;   /* created if absent; one coordinator per folder (lock file) */
    const char *listen;      /* unix:///PATH or HOST:PORT */
    const char *http_listen; /* HOST:PORT; NULL: none */
    int64_t slots; /* ranks that jobs may use on this machine at once; 0: its cores; -1: none, pools
                      only */
    bool oversubscribe; /* accept jobs with more ranks than slots (they run alone) */
    bool is_private;    /* of one `syncline run`: launches die with this process */
    int stop_fd; /* readable: drain and end; -1: none (SIGTERM/SIGINT do it when not private) */
    void (*on_ready)(void *user, const char *grpc_address,
                     const char *http_address); /* bound addresses */
    void *user;
} syn_coordinator_options;

/* Runs until told to stop; takes up the jobs of an earlier life first. Errors are one sentence
 * (port in use, folder locked by pid N, unreadable store ...). */
syn_status syn_coordinator_run(const syn_coordinator_options *options);

#endif
