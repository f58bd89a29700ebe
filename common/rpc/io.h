/* What a server or a channel has of its loop: timers in a heap, work to be done soon, and handles
 * being closed. */
#ifndef COMMON_RPC_IO_H
#define COMMON_RPC_IO_H

#include "common/base/vec.h"

#include <stdbool.h>
#include <stdint.h>
#include <syncline/status.h>
#include <uv.h>

typedef struct syn_io syn_io;

/* A point in time of somebody's; embedded in what it wakes. Start as {0}. */
typedef struct syn_timer {
    uint64_t at_ns; /* on the clock of syn_clock_monotonic_ns */
    size_t slot;    /* in the heap, from 1; 0: not set */
    void (*fire)(struct syn_timer *timer);
} syn_timer;

/* Work done once, soon, from the loop; embedded in what it works on. Start as {0}. */
typedef struct syn_task {
    struct syn_task *next;
    bool is_queued;
    void (*run)(struct syn_task *task);
} syn_task;

enum { SYN_IO_BUFFER_BYTES = 64 * 1024 };

struct syn_io {
    uv_loop_t *loop; /* borrowed */
    uv_idle_t soon;  /* active while tasks wait: the loop does not block then */
    uv_timer_t clock;
    SYN_VEC(syn_timer *) timers; /* a heap: items[0] is the earliest */
    syn_task *first_task, **last_task;
    size_t n_handles; /* not closed yet, beside our own two */
    bool is_closing;
    void (*on_closed)(syn_io *io);
    unsigned char
        in[SYN_IO_BUFFER_BYTES]; /* what a read callback is given: used up before it returns */
    unsigned char out[SYN_IO_BUFFER_BYTES];
};

syn_status syn_io_init(syn_io *io, uv_loop_t *loop);
/* Closes our handles once `n_handles` is 0, runs the tasks that are left, then calls `on_closed`,
 * which may free `io`. */
void syn_io_close(syn_io *io, void (*on_closed)(syn_io *io));
/* To be called when one of the counted handles has closed. */
void syn_io_handle_closed(syn_io *io);

/* (Re)arms; RESOURCE_EXHAUSTED when out of memory. */
syn_status syn_io_timer_set(syn_io *io, syn_timer *timer, uint64_t at_ns);
void syn_io_timer_clear(syn_io *io, syn_timer *timer);

/* Queues; nothing happens if it is queued already. */
void syn_io_task_add(syn_io *io, syn_task *task);
/* Runs what is queued now, also what that queues. Not to be called inside a protocol callback. */
void syn_io_tasks_run(syn_io *io);

#endif
