/* What rank 0 tells people while it trains: a line that is rewritten on a terminal, plain lines
 * elsewhere. */
#ifndef WORKER_TRAIN_DISPLAY_H
#define WORKER_TRAIN_DISPLAY_H

#include "worker/train/monitor.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct syn_display {
    bool is_shown;     /* on standard output, besides the log */
    bool is_terminal;  /* the output is a terminal: lines may be rewritten */
    bool has_line;     /* an unfinished line stands on the terminal */
    bool is_alone;     /* one rank: nothing is communicated */
    uint64_t drawn_ns; /* monotonic: when */
} syn_display;

/* Of a job on `n_ranks` ranks. Under mpirun standard output is a pseudo-terminal whatever mpirun's
 * own is, so mpirun's is looked at. */
void syn_display_init(syn_display *display, bool is_shown, int n_ranks);
/* One line for the log, and for people: "step 100/1200 epoch 1/10: loss 0.4321, ...". */
void syn_display_note(syn_display *display, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Called after every step; draws on a terminal at most ten times a second, no more than fits into
 * its width. */
void syn_display_step(syn_display *display, const syn_train_status *status);
/* The same as a plain line; called every log_every_steps. */
void syn_display_log(syn_display *display, const syn_train_status *status, double lr);
/* Ends an unfinished line. */
void syn_display_finish(syn_display *display);

#endif
