/* A job started by mpirun or srun alone, without a coordinator. */
#ifndef WORKER_TRAIN_PLAIN_H
#define WORKER_TRAIN_PLAIN_H

#include <stdbool.h>
#include <stddef.h>

/* Exit codes of the worker, the same as the command line's. */
enum {
    SYN_EXIT_OK = 0,
    SYN_EXIT_FAILED = 1,
    SYN_EXIT_USAGE = 2,
    SYN_EXIT_UNREACHABLE = 5,
    SYN_EXIT_CANCELLED = 6,
};

typedef struct syn_plain_options {
    const char *job_file;         /* NULL: the job.yaml of the run given by `resume` */
    const char *const *overrides; /* "key.path=value" */
    size_t n_overrides;
    const char *run_dir; /* NULL: the resumed run's, else runs/<name>-<time> */
    const char *resume;  /* run or checkpoint directory; NULL: none */
    bool json;           /* the result as JSON on standard output instead of progress */
} syn_plain_options;

/* Reads the job on rank 0, trains it on all ranks and prints how it ended: one sentence from the
 * rank that failed. Call after syn_comm_start. Returns the exit code; all ranks but 0 get 0,
 * because mpirun prints a block for each that does not. Collective. */
int syn_plain_run(const syn_plain_options *options);

/* SIGTERM and SIGINT ask the run that `monitor` belongs to, to stop at the next step boundary; a
 * second SIGINT ends the process as usual. NULL undoes it. */
struct syn_train_monitor;
void syn_plain_catch_signals(struct syn_train_monitor *monitor);
/* Whether one of them came since the process began. */
bool syn_plain_was_signalled(void);

#endif
