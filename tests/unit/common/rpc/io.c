/* Timers in their order, and work done soon. */
#include "common/rpc/io.h"

#include "common/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { N = 200 };

typedef struct waker {
    syn_timer timer; /* first */
    size_t fired_as; /* from 1 */
} waker;

static uv_loop_t loop;
static syn_io *io;
static size_t n_fired, n_run;
static bool is_closed;

static int start(void **state)
{
    (void)state;
    n_fired = n_run = 0;
    is_closed = false;
    io = calloc(1, sizeof *io);
    return io && uv_loop_init(&loop) == 0 && syn_io_init(io, &loop) == SYN_OK ? 0 : -1;
}

static void on_closed(syn_io *closed)
{
    is_closed = true;
    free(closed);
}

static int stop(void **state)
{
    (void)state;
    syn_io_close(io, on_closed);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    return is_closed && uv_loop_close(&loop) == 0 ? 0 : -1;
}

static void fire(syn_timer *timer)
{
    ((waker *)timer)->fired_as = ++n_fired;
}

static void timers_fire_in_order_and_cleared_ones_do_not(void **state)
{
    (void)state;
    waker wakers[N] = {0};
    uint64_t now = syn_clock_monotonic_ns();
    size_t n_expected = 0;
    for (size_t i = 0; i < N; i++) {
        wakers[i].timer.fire = fire;
        assert_int_equal(syn_io_timer_set(io, &wakers[i].timer, now + 50000000), SYN_OK);
    }
    for (size_t i = 0; i < N; i++) /* again, in an order of their own, within 2 ms */
        assert_int_equal(
            syn_io_timer_set(io, &wakers[i].timer, now + (i * 7919 % N) * 10000 + 1000), SYN_OK);
    for (size_t i = 0; i < N; i += 3)
        syn_io_timer_clear(io, &wakers[i].timer);
    for (size_t i = 0; i < N; i++)
        n_expected += i % 3 != 0;

    while (n_fired < n_expected)
        (void)uv_run(&loop, UV_RUN_ONCE);

    for (size_t i = 0; i < N; i++) {
        assert_int_equal(wakers[i].timer.slot, 0);
        assert_true((wakers[i].fired_as == 0) == (i % 3 == 0));
        for (size_t k = 0; k < i; k++)
            if (wakers[i].fired_as && wakers[k].fired_as)
                assert_true((wakers[i].timer.at_ns < wakers[k].timer.at_ns) ==
                            (wakers[i].fired_as < wakers[k].fired_as));
    }
}

static void a_timer_never_fires_early(void **state)
{
    (void)state;
    waker a = {.timer.fire = fire};
    uint64_t at = syn_clock_monotonic_ns() + 3500000;
    assert_int_equal(syn_io_timer_set(io, &a.timer, at), SYN_OK);

    while (!n_fired)
        (void)uv_run(&loop, UV_RUN_ONCE);

    assert_true(syn_clock_monotonic_ns() >= at);
}

static syn_task first, second;

static void run_second(syn_task *task)
{
    assert_ptr_equal(task, &second);
    n_run++;
}

static void run_first(syn_task *task)
{
    assert_ptr_equal(task, &first);
    n_run++;
    syn_io_task_add(io, &second); /* is run in the same go */
}

static void tasks_run_once_each_and_from_the_loop(void **state)
{
    (void)state;
    first = (syn_task){.run = run_first};
    second = (syn_task){.run = run_second};

    syn_io_task_add(io, &first);
    syn_io_task_add(io, &first);
    assert_int_equal(n_run, 0);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_run, 2);

    syn_io_task_add(io, &second); /* may be queued again afterwards */
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_run, 3);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        T(timers_fire_in_order_and_cleared_ones_do_not),
        T(a_timer_never_fires_early),
        T(tasks_run_once_each_and_from_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
