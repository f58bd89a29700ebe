/* The mailbox between the step loop and whoever watches it. */
#include "worker/train/monitor.h"

#include "common/base/clock.h"
#include "worker/comm/comm.h"

#include <stdio.h>
#include <string.h>

const char *syn_phase_name(syn_phase phase)
{
    switch (phase) {
#define CASE(name, number, text) \
    case SYN_PHASE_##name:       \
        return text;
        SYN_PHASE_LIST(CASE)
#undef CASE
    }
    return "unknown";
}

void syn_train_monitor_init(syn_train_monitor *monitor)
{
    memset(monitor, 0, sizeof *monitor);
    (void)pthread_mutex_init(&monitor->mutex, NULL);
    monitor->status.eta_s = -1;
}

void syn_train_monitor_release(syn_train_monitor *monitor)
{
    (void)pthread_mutex_destroy(&monitor->mutex);
}

void syn_train_monitor_reset(syn_train_monitor *monitor)
{
    (void)pthread_mutex_lock(&monitor->mutex);
    monitor->status = (syn_train_status){.eta_s = -1};
    monitor->stop_text[0] = '\0';
    (void)pthread_mutex_unlock(&monitor->mutex);
    atomic_store(&monitor->checkpoint, 0);
    atomic_store(&monitor->stop, SYN_STOP_NONE);
    atomic_store(&monitor->signal, 0);
}

void syn_train_monitor_enter(syn_train_monitor *monitor, syn_phase phase)
{
    int64_t now = syn_clock_wall_ns();
    (void)pthread_mutex_lock(&monitor->mutex);
    monitor->status.phase = phase;
    monitor->status.since_ns = now;
    syn_progress_set((int)phase, (uint64_t)monitor->status.step);
    (void)pthread_mutex_unlock(&monitor->mutex);
}

void syn_train_monitor_publish(syn_train_monitor *monitor, const syn_train_status *status)
{
    (void)pthread_mutex_lock(&monitor->mutex);
    syn_phase phase = monitor->status.phase;
    int64_t since_ns = monitor->status.since_ns;
    monitor->status = *status;
    monitor->status.phase = phase;
    monitor->status.since_ns = since_ns;
    (void)pthread_mutex_unlock(&monitor->mutex);
}

void syn_train_monitor_read(syn_train_monitor *monitor, syn_train_status *status_out)
{
    (void)pthread_mutex_lock(&monitor->mutex);
    *status_out = monitor->status;
    (void)pthread_mutex_unlock(&monitor->mutex);
}

static void raise_stop(syn_train_monitor *monitor, int wanted)
{
    int now = atomic_load(&monitor->stop);
    while (now < wanted && !atomic_compare_exchange_weak(&monitor->stop, &now, wanted))
        ;
}

void syn_train_monitor_ask_stop(syn_train_monitor *monitor, const char *text)
{
    (void)pthread_mutex_lock(&monitor->mutex);
    (void)snprintf(monitor->stop_text, sizeof monitor->stop_text, "%s", text);
    (void)pthread_mutex_unlock(&monitor->mutex);
    raise_stop(monitor, SYN_STOP_DIRECTIVE);
}

void syn_train_monitor_read_stop(syn_train_monitor *monitor, char text_out[SYN_STOP_TEXT_BYTES])
{
    int signal = atomic_load(&monitor->signal);
    const char *name = signal ? sigabbrev_np(signal) : NULL;

    text_out[0] = '\0';
    (void)pthread_mutex_lock(&monitor->mutex);
    if (atomic_load(&monitor->stop) == SYN_STOP_DIRECTIVE)
        memcpy(text_out, monitor->stop_text, SYN_STOP_TEXT_BYTES);
    else if (atomic_load(&monitor->stop) == SYN_STOP_SIGNAL && name)
        (void)snprintf(text_out, SYN_STOP_TEXT_BYTES, "SIG%s", name);
    (void)pthread_mutex_unlock(&monitor->mutex);
}

void syn_train_monitor_ask_abandon(syn_train_monitor *monitor)
{
    raise_stop(monitor, SYN_STOP_ABANDON);
}

void syn_train_monitor_ask_stop_by_signal(syn_train_monitor *monitor, int signal)
{
    atomic_store(&monitor->signal, signal);
    raise_stop(monitor, SYN_STOP_SIGNAL);
}

void syn_train_monitor_ask_checkpoint(syn_train_monitor *monitor)
{
    atomic_store(&monitor->checkpoint, 1);
}
