/* Starting the ranks of a job with mpirun under a supervisor that outlives the coordinator. */
#ifndef SERVER_LAUNCH_LAUNCH_H
#define SERVER_LAUNCH_LAUNCH_H

#include <stdbool.h>
#include <stdint.h>
#include <syncline/status.h>
#include <sys/types.h>

/* What one launch needs; strings are borrowed. Its files lie in <run_dir>/attempt-<attempt>/:
 * supervisor.json (pid, start time, tag: written before mpirun starts), launcher.log (what mpirun
 * and the ranks print), exit.json (written atomically when mpirun has ended). */
typedef struct syn_launch_request {
    const char *job_id;
    uint64_t epoch; /* the tag: job_id and epoch name a launch uniquely */
    uint32_t attempt;
    uint32_t n_ranks;
    const char *run_dir;  /* absolute; exists */
    const char *address;  /* of the coordinator, as workers reach it */
    int64_t threads;      /* OMP_NUM_THREADS per rank; 0: cores divided by ranks, at least 1 */
    bool die_with_parent; /* a private coordinator: the launch ends when the coordinator's process
                             does */
} syn_launch_request;

/* Identifies a supervisor process even if its pid is used again. */
typedef struct syn_launch_handle {
    pid_t pid;
    uint64_t start_ticks; /* field 22 of /proc/<pid>/stat */
} syn_launch_handle;

typedef enum syn_launch_state {
    SYN_LAUNCH_ALIVE,
    SYN_LAUNCH_EXITED, /* exit.json is there */
    SYN_LAUNCH_LOST,   /* neither the process nor exit.json: the machine or the supervisor died */
} syn_launch_state;

/* What is known about the end of a launch. */
typedef struct syn_launch_exit {
    int exit_code; /* of mpirun */
    int signal;    /* that killed a rank (or mpirun); 0: none */
    bool rank_known;
    uint32_t rank;      /* the first rank that mpirun reported as failed */
    char host[256];     /* its host, "" if not known */
    char message[1024]; /* one sentence made from mpirun's report, "" if there was nothing to say */
} syn_launch_exit;

/* Forks the supervisor (its own session, so that it survives the coordinator) and returns once
 * supervisor.json is durable. The mpirun line is written as the first line of launcher.log. Sets by
 * itself what is right here: the variables that let root run, oversubscription when ranks outnumber
 * cores, no binding when a rank has several threads or shares a core, yielding when idle. */
syn_status syn_launch_start(const syn_launch_request *request, syn_launch_handle *handle_out);
/* Looks for the launch of this attempt and epoch on disk, for recovery; SYN_NOT_FOUND if it never
 * started. */
syn_status syn_launch_find(const char *run_dir, uint32_t attempt, uint64_t epoch,
                           syn_launch_handle *handle_out);
/* Never blocks. Fills `exit_out` when the state is EXITED. */
syn_launch_state syn_launch_poll(const syn_launch_handle *handle, const char *run_dir,
                                 uint32_t attempt, syn_launch_exit *exit_out);
/* Sends SIGTERM (mpirun ends its ranks) or SIGKILL to every process of the launch. Harmless when it
 * has ended. */
void syn_launch_kill(const syn_launch_handle *handle, bool force);
/* Number of ranks this machine takes: its cores (of the process's affinity mask), or `override`
 * when positive. */
uint32_t syn_launch_local_slots(int64_t override);
/* The path of a program of ours (beside this executable, else in PATH). Heap; the error names what
 * was looked for. */
syn_status syn_launch_find_program(const char *name, char **path_out);

#endif
