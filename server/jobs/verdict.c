/* Judging the end of an attempt, and whether to try again. */
#include "server/jobs/verdict.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *signal_name(int number)
{
    const char *name = number > 0 ? sigabbrev_np(number) : NULL;
    return name ? name : "?";
}

static bool is_success(const syn_attempt_facts *f)
{
    if (!f->rank0_succeeded)
        return false;
    if (f->n_succeeded == f->n_ranks || (f->was_killed && f->n_failed == 0))
        return true;
    return !f->is_pooled && f->launch_state == SYN_LAUNCH_EXITED && f->exit->exit_code == 0 &&
           f->n_failed == 0;
}

static void take_own_failure(const syn_attempt_facts *f, syn_verdict *v)
{
    const syn_job_failure *failure = f->failure;
    const char *message = syn_text_get(failure->message);
    v->kind = SYN_VERDICT_FAILED;
    v->reason = SYN_REASON_EXIT_NON_ZERO;
    v->has_failure = true;
    v->rank_known = failure->rank_known;
    v->rank = failure->rank;
    v->signal = failure->signal;
    v->exit_code = failure->exit_code;
    v->step = failure->step;
    v->phase = failure->phase;
    (void)snprintf(v->host, sizeof v->host, "%s", syn_text_get(failure->host));
    (void)snprintf(v->message, sizeof v->message, "%s", message);
    if (failure->rank_known)
        (void)snprintf(v->text, sizeof v->text, "rank %u: %s", failure->rank,
                       *message ? message : "it failed without saying why");
    else
        (void)snprintf(v->text, sizeof v->text, "%s",
                       *message ? message : "a rank failed without saying why");
}

/* "rank 2 (node3, pid 4711) was killed by signal 9 (SIGKILL) in step 41, phase backward" */
static void describe_signal(const syn_attempt_facts *f, syn_verdict *v)
{
    const syn_launch_exit *e = f->exit;
    const char *host = e->host[0] ? e->host : f->culprit_host ? f->culprit_host : "";
    int n = 0;
    if (e->rank_known)
        n = snprintf(v->text, sizeof v->text, "rank %u", e->rank);
    else
        n = snprintf(v->text, sizeof v->text, "a rank");
    if (*host && f->culprit_pid)
        n += snprintf(v->text + n, sizeof v->text - (size_t)n, " (%s, pid %" PRIu64 ")", host,
                      f->culprit_pid);
    else if (*host)
        n += snprintf(v->text + n, sizeof v->text - (size_t)n, " (%s)", host);
    n += snprintf(v->text + n, sizeof v->text - (size_t)n, " was killed by signal %d (SIG%s)",
                  e->signal, signal_name(e->signal));
    if (f->culprit_phase != SYN_PHASE_UNSPECIFIED)
        (void)snprintf(v->text + n, sizeof v->text - (size_t)n, " in step %" PRIu64 ", phase %s",
                       f->culprit_step, syn_phase_name(f->culprit_phase));
}

static void take_launch_end(const syn_attempt_facts *f, syn_verdict *v)
{
    const syn_launch_exit *e = f->exit;
    v->has_failure = true;
    v->rank_known = e->rank_known;
    v->rank = e->rank;
    v->signal = (uint32_t)(e->signal > 0 ? e->signal : 0);
    v->exit_code = e->exit_code;
    v->step = f->culprit_phase != SYN_PHASE_UNSPECIFIED ? f->culprit_step : f->step;
    v->phase = f->culprit_phase;
    (void)snprintf(v->host, sizeof v->host, "%s",
                   e->host[0] ? e->host : syn_text_get(f->culprit_host));
}

static void judge_launch_exit(const syn_attempt_facts *f, syn_verdict *v)
{
    const syn_launch_exit *e = f->exit;
    take_launch_end(f, v);
    if (e->signal > 0) {
        v->kind = SYN_VERDICT_RECOVER;
        v->reason = SYN_REASON_SIGNAL;
        describe_signal(f, v);
    } else if (f->n_registered < f->n_ranks && f->n_failed == 0) {
        v->kind = SYN_VERDICT_RECOVER;
        v->reason = SYN_REASON_LAUNCH_FAILED;
        (void)snprintf(v->text, sizeof v->text,
                       "the launch ended with exit code %d when %u of %u ranks had come up%s%s",
                       e->exit_code, f->n_registered, f->n_ranks, e->message[0] ? ": " : "",
                       e->message);
    } else if (f->n_cancelled > 0 && f->n_failed == 0) {
        v->kind = SYN_VERDICT_RECOVER;
        v->reason = SYN_REASON_SIGNAL;
        (void)snprintf(v->text, sizeof v->text,
                       "the ranks were told to stop by a signal that the coordinator did not send");
    } else {
        v->kind = SYN_VERDICT_FAILED;
        v->reason = SYN_REASON_EXIT_NON_ZERO;
        if (e->message[0])
            (void)snprintf(v->text, sizeof v->text, "%s", e->message);
        else
            (void)snprintf(v->text, sizeof v->text,
                           "the ranks ended with exit code %d and without an outcome of rank 0",
                           e->exit_code);
    }
    (void)snprintf(v->message, sizeof v->message, "%.1199s", v->text);
}

void syn_attempt_judge(const syn_attempt_facts *f, syn_verdict *v)
{
    *v = (syn_verdict){.kind = SYN_VERDICT_RECOVER};
    if (is_success(f)) {
        v->kind = SYN_VERDICT_SUCCEEDED;
        return;
    }
    if (f->failure) {
        take_own_failure(f, v);
        return;
    }
    if (f->lost_reason != SYN_REASON_NONE) {
        v->reason = f->lost_reason;
        (void)snprintf(v->text, sizeof v->text, "%s", syn_text_get(f->lost_text));
    } else if (f->launch_error) {
        v->reason = SYN_REASON_LAUNCH_FAILED;
        (void)snprintf(v->text, sizeof v->text, "the launch did not start: %s", f->launch_error);
    } else if (f->is_pooled) {
        v->kind = f->n_cancelled > 0 && f->n_failed == 0 ? SYN_VERDICT_RECOVER : SYN_VERDICT_FAILED;
        v->reason = v->kind == SYN_VERDICT_RECOVER ? SYN_REASON_SIGNAL : SYN_REASON_EXIT_NON_ZERO;
        (void)snprintf(v->text, sizeof v->text, "%s",
                       v->kind == SYN_VERDICT_RECOVER
                           ? "the ranks were told to stop by somebody else than the coordinator"
                           : "the ranks ended without success and without saying why");
    } else if (f->launch_state == SYN_LAUNCH_LOST) {
        v->reason = SYN_REASON_NODE_LOST;
        (void)snprintf(v->text, sizeof v->text,
                       "the launcher of the ranks vanished without a record of its end");
    } else {
        judge_launch_exit(f, v);
        return;
    }
    v->has_failure = true;
    v->step = f->step;
    (void)snprintf(v->message, sizeof v->message, "%.1199s", v->text);
}

void syn_retry_decide(const syn_job_record *record, syn_reason reason, uint64_t step,
                      syn_retry *retry)
{
    bool is_same_step = record->n_failed_there > 0 && record->last_failed_step == step;
    *retry = (syn_retry){.again = true,
                         .reason = reason,
                         .is_free = reason == SYN_REASON_PREEMPTED ||
                                    reason == SYN_REASON_COORDINATOR_RECOVERED};
    if (retry->is_free) {
        retry->n_failed_there = record->n_failed_there;
        return;
    }
    /* A launch that never began says nothing about a step. */
    retry->n_failed_there = reason == SYN_REASON_LAUNCH_FAILED ? 0
                            : is_same_step                     ? record->n_failed_there + 1
                                                               : 1;
    if (record->restarts_used >= record->restarts_allowed) {
        retry->again = false;
        if (record->restarts_allowed > 0)
            (void)snprintf(retry->text, sizeof retry->text, "no restart is left (%u of %u used)",
                           record->restarts_used, record->restarts_allowed);
    }
    if (retry->n_failed_there >= SYN_CRASH_LOOP_ATTEMPTS) {
        retry->again = false;
        retry->reason = SYN_REASON_CRASH_LOOP;
        (void)snprintf(retry->text, sizeof retry->text,
                       "%u attempts in a row ended at step %" PRIu64, retry->n_failed_there, step);
    }
}
