/* The comm thread: takes posted works one after the other and runs them; callers sleep until theirs
 * is done. */
#include "worker/comm/internal.h"

#include "common/base/clock.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static struct {
    pthread_mutex_t lock;
    pthread_cond_t posted, finished;
    syn_comm_work *first, *last; /* under lock: posted and not yet taken */
    bool stopping;               /* under lock */
    bool threaded;               /* constant while started */
    pthread_t thread;
} engine = {.lock = PTHREAD_MUTEX_INITIALIZER,
            .posted = PTHREAD_COND_INITIALIZER,
            .finished = PTHREAD_COND_INITIALIZER};

/* Runs one work here and now; its results become visible to the waiter through `done` under the
 * lock. */
static void run_work(syn_comm_work *work)
{
    work->start_ns = syn_clock_monotonic_ns();
    work->engine.comm->sequence++;
    comm_progress_enter(work, work->algorithm);
    syn_status status = work->engine.run(work);
    work->end_ns = syn_clock_monotonic_ns();
    comm_progress_leave();
    if (status != SYN_OK)
        (void)snprintf(work->engine.message, sizeof work->engine.message, "%s",
                       syn_error_message());

    pthread_mutex_lock(&engine.lock);
    work->status = status;
    work->engine.done = true;
    pthread_cond_broadcast(&engine.finished);
    pthread_mutex_unlock(&engine.lock);
}

static void *comm_thread(void *unused)
{
    (void)unused;
    for (;;) {
        pthread_mutex_lock(&engine.lock);
        while (!engine.first && !engine.stopping)
            pthread_cond_wait(&engine.posted, &engine.lock);
        syn_comm_work *work = engine.first;
        if (work) {
            engine.first = work->engine.next;
            if (!engine.first)
                engine.last = NULL;
        }
        pthread_mutex_unlock(&engine.lock);
        if (!work)
            return NULL;
        run_work(work);
    }
}

syn_status comm_engine_start(bool threaded)
{
    engine.threaded = threaded;
    engine.stopping = false;
    if (!threaded)
        return SYN_OK;

    /* Signals are for the program's own threads: a handler here would interrupt MPI. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&engine.thread, NULL, comm_thread, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        return SYN_FAIL(SYN_RESOURCE_EXHAUSTED, "cannot start the communication thread: %s",
                        strerror(error));
    (void)pthread_setname_np(engine.thread, "syn-comm");
    return SYN_OK;
}

void comm_engine_stop(void)
{
    if (!engine.threaded)
        return;
    pthread_mutex_lock(&engine.lock);
    engine.stopping = true;
    pthread_cond_signal(&engine.posted);
    pthread_mutex_unlock(&engine.lock);
    pthread_join(engine.thread, NULL);
    engine.threaded = false;
}

bool syn_comm_is_threaded(void)
{
    return engine.threaded;
}

void comm_post(syn_comm_work *work)
{
    work->engine.next = NULL;
    work->engine.done = false;
    work->engine.posted = true;
    work->engine.message[0] = '\0';
    work->ready_ns = syn_clock_monotonic_ns();
    if (!engine.threaded) {
        run_work(work);
        return;
    }
    pthread_mutex_lock(&engine.lock);
    if (engine.last)
        engine.last->engine.next = work;
    else
        engine.first = work;
    engine.last = work;
    pthread_cond_signal(&engine.posted);
    pthread_mutex_unlock(&engine.lock);
}

syn_status syn_comm_wait(syn_comm_work *work)
{
    if (!work->engine.posted)
        return SYN_FAIL(SYN_FAILED_PRECONDITION, "waiting for a collective that was never posted");
    pthread_mutex_lock(&engine.lock);
    while (!work->engine.done)
        pthread_cond_wait(&engine.finished, &engine.lock);
    pthread_mutex_unlock(&engine.lock);
    return work->status == SYN_OK ? SYN_OK : SYN_FAIL(work->status, "%s", work->engine.message);
}

bool syn_comm_is_done(const syn_comm_work *work)
{
    pthread_mutex_lock(&engine.lock);
    bool done = work->engine.posted && work->engine.done;
    pthread_mutex_unlock(&engine.lock);
    return done;
}

syn_status comm_run(syn_comm_work *work)
{
    comm_post(work);
    return syn_comm_wait(work);
}
