/* Timers, deferred work and the orderly closing of handles. */
#include "common/rpc/io.h"

#include "common/base/clock.h"

static void on_soon(uv_idle_t *handle);

syn_status syn_io_init(syn_io *io, uv_loop_t *loop)
{
    io->loop = loop;
    io->last_task = &io->first_task;
    int error = uv_idle_init(loop, &io->soon);
    if (error)
        return SYN_FAIL(SYN_INTERNAL, "cannot make an event handle: %s", uv_strerror(error));
    (void)uv_timer_init(loop, &io->clock); /* cannot fail */
    io->soon.data = io;
    io->clock.data = io;
    return SYN_OK;
}

/* ---- timers: a binary heap ---- */

static void heap_put(syn_io *io, size_t i, syn_timer *timer)
{
    io->timers.items[i] = timer;
    timer->slot = i + 1;
}

static void heap_up(syn_io *io, size_t i)
{
    syn_timer *timer = io->timers.items[i];

    while (i > 0 && io->timers.items[(i - 1) / 2]->at_ns > timer->at_ns) {
        heap_put(io, i, io->timers.items[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    heap_put(io, i, timer);
}

static void heap_down(syn_io *io, size_t i)
{
    syn_timer *timer = io->timers.items[i];

    for (size_t child; (child = 2 * i + 1) < io->timers.n; i = child) {
        if (child + 1 < io->timers.n &&
            io->timers.items[child + 1]->at_ns < io->timers.items[child]->at_ns)
            child++;
        if (io->timers.items[child]->at_ns >= timer->at_ns)
            break;
        heap_put(io, i, io->timers.items[child]);
    }
    heap_put(io, i, timer);
}

static void on_clock(uv_timer_t *handle);

static void arm(syn_io *io)
{
    if (io->is_closing)
        return;
    if (io->timers.n == 0) {
        (void)uv_timer_stop(&io->clock);
        return;
    }
    uint64_t at = io->timers.items[0]->at_ns, now = syn_clock_monotonic_ns();
    uint64_t wait_ms = at > now ? (at - now + 999999) / 1000000 : 0;
    /* libuv counts from its own idea of now, which may be old */
    uint64_t behind_ms = uv_hrtime() / 1000000;
    behind_ms = behind_ms > uv_now(io->loop) ? behind_ms - uv_now(io->loop) : 0;
    (void)uv_timer_start(&io->clock, on_clock, wait_ms + behind_ms, 0);
}

static void on_clock(uv_timer_t *handle)
{
    syn_io *io = handle->data;
    uint64_t now = syn_clock_monotonic_ns();

    while (io->timers.n && io->timers.items[0]->at_ns <= now) {
        syn_timer *timer = io->timers.items[0];
        syn_io_timer_clear(io, timer);
        timer->fire(timer);
    }
    arm(io);
}

syn_status syn_io_timer_set(syn_io *io, syn_timer *timer, uint64_t at_ns)
{
    if (!timer->slot) {
        if (!syn_vec_push(&io->timers, timer))
            return syn_fail_memory(sizeof timer * io->timers.capacity * 2, "timers");
        timer->slot = io->timers.n;
    }
    timer->at_ns = at_ns;
    heap_up(io, timer->slot - 1);
    heap_down(io, timer->slot - 1);
    if (timer->slot == 1)
        arm(io);
    return SYN_OK;
}

void syn_io_timer_clear(syn_io *io, syn_timer *timer)
{
    size_t i = timer->slot;

    if (!i--)
        return;
    timer->slot = 0;
    syn_timer *last = io->timers.items[--io->timers.n];
    if (last == timer)
        return;
    heap_put(io, i, last);
    heap_up(io, i);
    heap_down(io, last->slot - 1);
}

/* ---- tasks ---- */

static void on_soon(uv_idle_t *handle)
{
    syn_io_tasks_run(handle->data);
}

void syn_io_task_add(syn_io *io, syn_task *task)
{
    if (task->is_queued)
        return;
    task->is_queued = true;
    task->next = NULL;
    *io->last_task = task;
    io->last_task = &task->next;
    if (!uv_is_closing((uv_handle_t *)&io->soon))
        (void)uv_idle_start(&io->soon, on_soon);
}

void syn_io_tasks_run(syn_io *io)
{
    syn_task *task;

    while ((task = io->first_task)) {
        io->first_task = task->next;
        if (!io->first_task)
            io->last_task = &io->first_task;
        task->is_queued = false;
        task->run(task);
    }
    if (!uv_is_closing((uv_handle_t *)&io->soon))
        (void)uv_idle_stop(&io->soon);
}

/* ---- closing ---- */

static void on_last_closed(uv_handle_t *handle)
{
    syn_io *io = handle->data;

    syn_vec_release(&io->timers);
    io->on_closed(io);
}

static void on_soon_closed(uv_handle_t *handle)
{
    syn_io *io = handle->data;
    uv_close((uv_handle_t *)&io->clock, on_last_closed);
}

void syn_io_handle_closed(syn_io *io)
{
    io->n_handles--;
    if (!io->is_closing || io->n_handles)
        return;
    syn_io_tasks_run(io);
    uv_close((uv_handle_t *)&io->soon, on_soon_closed);
}

void syn_io_close(syn_io *io, void (*on_closed)(syn_io *io))
{
    SYN_BUG_ON(io->is_closing);
    io->is_closing = true;
    io->on_closed = on_closed;
    (void)uv_timer_stop(&io->clock);
    io->n_handles++; /* so that an io without handles closes as others do */
    syn_io_handle_closed(io);
}
