/* What the step loop publishes about itself while it runs, and what others ask of it; safe for all
 * threads. */
#ifndef WORKER_TRAIN_MONITOR_H
#define WORKER_TRAIN_MONITOR_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* X(NAME, number, text). The numbers are those of syncline.v1.Phase. */
#define SYN_PHASE_LIST(X)            \
    X(NONE, 0, "none")               \
    X(INIT, 1, "init")               \
    X(DATA_READ, 2, "data_read")     \
    X(FORWARD, 3, "forward")         \
    X(BACKWARD, 4, "backward")       \
    X(COMMUNICATE, 5, "communicate") \
    X(OPTIMIZE, 6, "optimize")       \
    X(AGREE, 7, "agree")             \
    X(EVALUATE, 8, "evaluate")       \
    X(CHECKPOINT, 9, "checkpoint")   \
    X(FINISHED, 10, "finished")

typedef enum syn_phase {
#define SYN_PHASE_ENUM(name, number, text) SYN_PHASE_##name = number,
    SYN_PHASE_LIST(SYN_PHASE_ENUM)
#undef SYN_PHASE_ENUM
} syn_phase;

/* "data_read"; "unknown" for a number that is none. */
const char *syn_phase_name(syn_phase phase);

/* What the loop has come to. Values of 0 in has_ members mean that there is none yet. */
typedef struct syn_train_status {
    int64_t step;         /* steps done */
    int64_t total_steps;  /* 0: not known */
    int64_t epoch;        /* from 1 */
    int64_t total_epochs; /* 0: the job is bounded by steps */
    syn_phase phase;
    int64_t since_ns; /* wall clock: in this phase since */
    bool has_loss;
    double train_loss;            /* of the last step, over all ranks */
    double samples_per_s;         /* of the last steps, over all ranks */
    double eta_s;                 /* negative: not known */
    double hidden_ms, exposed_ms; /* communication of the last step */
    int64_t updated_ns;           /* wall clock of the last finished step */
} syn_train_status;

/* Why a run is asked to stop; the greatest one asked for wins. */
typedef enum syn_stop {
    SYN_STOP_NONE,
    SYN_STOP_SIGNAL,
    SYN_STOP_DIRECTIVE,
    SYN_STOP_ABANDON, /* the job lives elsewhere by now: stop without touching its files */
} syn_stop;

enum { SYN_STOP_TEXT_BYTES = 256 };

/* Start it with syn_train_monitor_init. The requests may be set from a signal handler. */
typedef struct syn_train_monitor {
    pthread_mutex_t mutex;
    syn_train_status status;             /* guarded by mutex */
    char stop_text[SYN_STOP_TEXT_BYTES]; /* guarded by mutex: why the directive stops the run */
    _Atomic int stop;                    /* syn_stop */
    _Atomic int checkpoint;              /* a checkpoint is wanted at the next step boundary */
    _Atomic int signal;                  /* the signal behind SYN_STOP_SIGNAL */
} syn_train_monitor;

void syn_train_monitor_init(syn_train_monitor *monitor);
void syn_train_monitor_release(syn_train_monitor *monitor);
/* Forgets status and requests, before the next job. */
void syn_train_monitor_reset(syn_train_monitor *monitor);
/* Enters a phase; the time since is taken now. */
void syn_train_monitor_enter(syn_train_monitor *monitor, syn_phase phase);
/* Publishes everything except phase and since_ns. */
void syn_train_monitor_publish(syn_train_monitor *monitor, const syn_train_status *status);
void syn_train_monitor_read(syn_train_monitor *monitor, syn_train_status *status_out);
/* Asks the run to stop at the next step boundary. */
void syn_train_monitor_ask_stop(syn_train_monitor *monitor, const char *text);
/* What stands behind the strongest request: the text of syn_train_monitor_ask_stop, or "SIGTERM";
 * "" if this rank was not asked, or is to abandon the run. */
void syn_train_monitor_read_stop(syn_train_monitor *monitor, char text_out[SYN_STOP_TEXT_BYTES]);
/* Asks the run to end without a checkpoint: this launch of the job is stale. */
void syn_train_monitor_ask_abandon(syn_train_monitor *monitor);
/* Async-signal-safe. */
void syn_train_monitor_ask_stop_by_signal(syn_train_monitor *monitor, int signal);
void syn_train_monitor_ask_checkpoint(syn_train_monitor *monitor);

#endif
