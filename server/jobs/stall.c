/* Names the rank that keeps the others waiting. */
#include "server/jobs/stall.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "server/jobs/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool is_waiting(syn_phase phase)
{
    return phase == SYN_PHASE_COMMUNICATE || phase == SYN_PHASE_AGREE;
}

/* Whether `a` is further behind than `b`. */
static bool is_behind(const syn_worker *a, const syn_worker *b)
{
    if (a->status.step != b->status.step)
        return a->status.step < b->status.step;
    return a->status.collective < b->status.collective;
}

/* "0-4, 6 and 7" of the ranks that are marked. */
static void append_ranks(syn_str *out, const bool *marked, uint32_t n_ranks)
{
    syn_str items[2] = {{0}}; /* what comes before the last item, and that */
    for (uint32_t r = 0; r < n_ranks;) {
        uint32_t end = r;
        while (end < n_ranks && marked[end])
            end++;
        if (end == r) {
            r++;
            continue;
        }
        if (end - r == 2)
            end = r + 1; /* two neighbours are listed, not spanned */
        if (items[1].length) {
            syn_str_appendf(&items[0], "%s%s", items[0].length ? ", " : "", syn_str_get(&items[1]));
            syn_str_clear(&items[1]);
        }
        if (end - r == 1)
            syn_str_appendf(&items[1], "%" PRIu32, r);
        else
            syn_str_appendf(&items[1], "%" PRIu32 "-%" PRIu32, r, end - 1);
        r = end;
    }
    if (items[0].length)
        syn_str_appendf(out, "%s and ", syn_str_get(&items[0]));
    syn_str_append(out, syn_str_get(&items[1]));
    syn_str_release(&items[0]);
    syn_str_release(&items[1]);
}

/* Marks the culprits among ranks of which none moves; their number. */
static uint32_t mark_culprits(const syn_worker *const *ranks, uint32_t n_ranks, bool *marked)
{
    const syn_worker *last = NULL;
    bool has_busy = false;
    uint32_t n = 0;
    for (uint32_t r = 0; r < n_ranks; r++)
        if (ranks[r] && (!last || is_behind(ranks[r], last)))
            last = ranks[r];
    for (uint32_t r = 0; r < n_ranks; r++) {
        marked[r] = ranks[r] && !is_behind(last, ranks[r]);
        has_busy = has_busy || (marked[r] && !is_waiting(ranks[r]->status.phase));
    }
    for (uint32_t r = 0; r < n_ranks; r++) {
        marked[r] = marked[r] && (!has_busy || !is_waiting(ranks[r]->status.phase));
        n += marked[r];
    }
    return n;
}

/* Nobody moves, so whoever is not a culprit waits, whatever it calls its phase. */
static void describe_others(syn_str *out, const syn_worker *const *ranks, uint32_t n_ranks,
                            const bool *culprits, bool *waiting)
{
    const syn_worker *ahead = NULL;
    uint32_t n = 0;
    for (uint32_t r = 0; r < n_ranks; r++) {
        waiting[r] = ranks[r] && !culprits[r];
        n += waiting[r];
        if (waiting[r] && (!ahead || is_behind(ahead, ranks[r])))
            ahead = ranks[r];
    }
    if (n == 0)
        return;
    syn_str_append(out, n == 1 ? "; rank " : "; ranks ");
    append_ranks(out, waiting, n_ranks);
    syn_str_appendf(out, " wait%s in step %" PRIu64 ", collective %" PRIu64, n == 1 ? "s" : "",
                    ahead->status.step, ahead->status.collective);
    if (ahead->label[0])
        syn_str_appendf(out, ", %s", ahead->label);
}

bool syn_stall_describe(const syn_worker *const *ranks, uint32_t n_ranks, uint64_t now_ns,
                        uint64_t limit_ns, char *text_out, size_t size, uint32_t *first_out)
{
    char duration[32];
    const syn_worker *culprit = NULL;
    uint32_t n_known = 0, first = 0;
    for (uint32_t r = 0; r < n_ranks; r++) {
        if (ranks[r] && now_ns - ranks[r]->phase_change_ns <= limit_ns)
            return false;
        n_known += ranks[r] != NULL;
    }
    bool *marks = n_known ? syn_calloc(n_ranks, 2 * sizeof *marks) : NULL;
    if (!marks)
        return false;
    uint32_t n_culprits = mark_culprits(ranks, n_ranks, marks);
    while (!marks[first])
        first++;
    culprit = ranks[first];
    bool is_mute = now_ns - culprit->contact_ns > limit_ns;
    uint64_t since = is_mute ? culprit->contact_ns : culprit->phase_change_ns;
    (void)syn_format_duration(duration, (double)(now_ns - since) * 1e-9);
    syn_str out = {0};
    syn_str_append(&out, n_culprits == 1 ? "rank " : "ranks ");
    append_ranks(&out, marks, n_ranks);
    if (n_culprits == 1)
        syn_str_appendf(&out, " (%s, pid %" PRIu64 ")", culprit->host, culprit->pid);
    if (is_mute)
        syn_str_appendf(&out, " %s not reported for %s, last from %s of step %" PRIu64,
                        n_culprits == 1 ? "has" : "have", duration,
                        syn_phase_name(culprit->status.phase), culprit->status.step);
    else
        syn_str_appendf(&out, " %s been in %s of step %" PRIu64 " for %s",
                        n_culprits == 1 ? "has" : "have", syn_phase_name(culprit->status.phase),
                        culprit->status.step, duration);
    describe_others(&out, ranks, n_ranks, marks, marks + n_ranks);
    (void)snprintf(text_out, size, "%s", syn_str_get(&out));
    syn_str_release(&out);
    syn_free(marks);
    *first_out = first;
    return true;
}

/* Shown on the running job, and told once in the log; it is no transition. */
static void show(syn_job *job, syn_reason reason, const char *text)
{
    syn_job_record *faces[] = {&job->record, job->shown};
    for (int i = 0; i < 2; i++) {
        if (!faces[i] || faces[i]->state != SYN_JOB_RUNNING)
            continue;
        faces[i]->reason = reason;
        (void)syn_text_set(&faces[i]->reason_text, text);
    }
}

void syn_job_watch_progress(syn_job *job)
{
    syn_attempt *attempt = job->attempt;
    uint64_t limit_ns = (uint64_t)job->jobs->options.stall_ms * 1000000u;
    char text[1024];
    uint32_t first;
    const syn_worker **ranks = syn_calloc(attempt->n_ranks, sizeof *ranks);
    if (!ranks)
        return;
    for (uint32_t r = 0; r < attempt->n_ranks; r++)
        if (attempt->ranks[r].outcome == SYN_JOB_UNSPECIFIED)
            ranks[r] = attempt->ranks[r].worker;
    bool is_stalled = syn_stall_describe(ranks, attempt->n_ranks, syn_clock_monotonic_ns(),
                                         limit_ns, text, sizeof text, &first);
    if (is_stalled) {
        if (!attempt->is_stalled) {
            job->jobs->stats.stalls++;
            SYN_WARN("%s stalls: %s", job->id, text);
        }
        show(job, SYN_REASON_STALLED, text);
    } else if (attempt->is_stalled) {
        SYN_INFO("%s moves again", job->id);
        show(job, SYN_REASON_NONE, "");
    }
    attempt->is_stalled = is_stalled;
    syn_free(ranks);
}
