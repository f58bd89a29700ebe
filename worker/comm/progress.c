/* The progress record: two sequence locks, one written where collectives run and one by the step
 * loop. */
#include "worker/comm/internal.h"

#include "common/base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { LABEL_WORDS = 8 };

/* A writer makes `turn` odd, writes, and makes it even; a reader that saw the same even number
 * before and after has one consistent record. Every field is atomic, so that this is no race by C11
 * either. */
static struct {
    atomic_uint_fast64_t turn, state, sequence, bucket, since_ns, label[LABEL_WORDS];
} collective;
static struct {
    atomic_uint_fast64_t turn, phase, step, since_ns;
} loop;

void comm_progress_enter(const syn_comm_work *work, const char *what)
{
    uint64_t words[LABEL_WORDS] = {0};
    char text[sizeof words];
    int n = work->label ? snprintf(text, sizeof text, "%s, %s", what, work->label)
                        : snprintf(text, sizeof text, "%s", what);
    memcpy(words, text, n < 0 ? 0 : n < (int)sizeof text ? (size_t)n : sizeof text - 1);

    atomic_fetch_add(&collective.turn, 1);
    atomic_store(&collective.state, SYN_COMM_INSIDE);
    atomic_store(&collective.sequence, work->engine.comm->sequence);
    atomic_store(&collective.bucket, (uint64_t)work->bucket);
    atomic_store(&collective.since_ns, work->start_ns);
    for (int i = 0; i < LABEL_WORDS; i++)
        atomic_store(&collective.label[i], words[i]);
    atomic_fetch_add(&collective.turn, 1);
}

void comm_progress_leave(void)
{
    atomic_fetch_add(&collective.turn, 1);
    atomic_store(&collective.state, SYN_COMM_IDLE);
    atomic_store(&collective.since_ns, syn_clock_monotonic_ns());
    atomic_fetch_add(&collective.turn, 1);
}

void syn_progress_set(int phase, uint64_t step)
{
    atomic_fetch_add(&loop.turn, 1);
    atomic_store(&loop.phase, (uint64_t)phase);
    atomic_store(&loop.step, step);
    atomic_store(&loop.since_ns, syn_clock_monotonic_ns());
    atomic_fetch_add(&loop.turn, 1);
}

void syn_comm_get_progress(syn_comm_progress *progress_out)
{
    uint64_t words[LABEL_WORDS], turn;

    memset(progress_out, 0, sizeof *progress_out);
    do {
        turn = atomic_load(&collective.turn);
        progress_out->state = (syn_comm_state)atomic_load(&collective.state);
        progress_out->sequence = atomic_load(&collective.sequence);
        progress_out->bucket = (int)atomic_load(&collective.bucket);
        progress_out->since_ns = atomic_load(&collective.since_ns);
        for (int i = 0; i < LABEL_WORDS; i++)
            words[i] = atomic_load(&collective.label[i]);
    } while (turn % 2 != 0 || turn != atomic_load(&collective.turn));
    memcpy(progress_out->label, words, sizeof progress_out->label);
    do {
        turn = atomic_load(&loop.turn);
        progress_out->phase = (int)atomic_load(&loop.phase);
        progress_out->step = atomic_load(&loop.step);
        progress_out->phase_since_ns = atomic_load(&loop.since_ns);
    } while (turn % 2 != 0 || turn != atomic_load(&loop.turn));
}
