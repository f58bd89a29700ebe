/* Outcomes that a rank wrote beside its run before it could report them. */
#include "server/jobs/internal.h"

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_OUTCOME_FILE = 1 << 20, MAX_METRICS = 256 };

static double number_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : 0;
}

/* A count; 0 for anything that is none. */
static uint64_t count_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    json_int_t count = json_is_integer(value) ? json_integer_value(value) : 0;
    return count > 0 ? (uint64_t)count : 0;
}

static char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return (char *)(text ? text : ""); /* only read */
}

/* Phases are written as their names or numbers. */
static syn_phase phase_of(const json_t *object)
{
    const json_t *value = json_object_get(object, "phase");
    const char *name = json_string_value(value);
    if (json_is_integer(value) && json_integer_value(value) >= 0 &&
        json_integer_value(value) < SYN_N_PHASES)
        return (syn_phase)json_integer_value(value);
    for (int i = 0; name && i < SYN_N_PHASES; i++)
        if (strcasecmp(name, syn_phase_name((syn_phase)i)) == 0)
            return (syn_phase)i;
    return SYN_PHASE_UNSPECIFIED;
}

static syn_job_state state_of(const json_t *object)
{
    const char *name = text_of(object, "state");
    for (int s = SYN_JOB_SUCCEEDED; s <= SYN_JOB_CANCELLED; s++)
        if (strcmp(name, syn_job_state_name((syn_job_state)s)) == 0)
            return (syn_job_state)s;
    return SYN_JOB_UNSPECIFIED;
}

static size_t metrics_of(const json_t *object, syn_job_metric metrics_out[MAX_METRICS])
{
    json_t *metrics = json_object_get(object, "metrics"), *value;
    const char *name;
    size_t n = 0;
    json_object_foreach(metrics, name, value)
    {
        if (n == MAX_METRICS)
            break;
        metrics_out[n++] = (syn_job_metric){
            (char *)name, json_is_number(value) ? json_number_value(value) : (double)NAN};
    }
    return n;
}

static void take(syn_job *job, uint32_t rank, const json_t *file)
{
    syn_job_metric metrics[MAX_METRICS];
    const json_t *failed = json_object_get(file, "failure");
    syn_job_failure failure = {.is_set = true, .rank_known = true, .attempt = job->record.attempt};
    syn_rank_outcome outcome = {.job_id = job->id,
                                .epoch = job->attempt->epoch,
                                .rank = rank,
                                .state = state_of(file),
                                .metrics = metrics,
                                .n_metrics = metrics_of(file, metrics),
                                .weights_sha256 = text_of(file, "weights_sha256"),
                                .steps = count_of(file, "steps"),
                                .elapsed_s = number_of(file, "elapsed_s"),
                                .samples_per_s = number_of(file, "samples_per_s"),
                                .hidden_ms = number_of(file, "hidden_ms"),
                                .exposed_ms = number_of(file, "exposed_ms")};
    if (outcome.state == SYN_JOB_UNSPECIFIED || count_of(file, "epoch") != job->attempt->epoch ||
        strcmp(text_of(file, "job_id"), job->id) != 0 || count_of(file, "rank") != rank)
        return; /* of another launch */
    if (json_is_object(failed)) {
        failure.rank = (uint32_t)count_of(failed, "rank");
        failure.signal = (uint32_t)count_of(failed, "signal");
        failure.exit_code = (int32_t)count_of(failed, "exit_code");
        failure.step = count_of(failed, "step");
        failure.phase = phase_of(failed);
        failure.host = text_of(failed, "host");
        failure.message = text_of(failed, "message");
        outcome.failure = &failure;
    }
    if (syn_job_take_outcome(job, &outcome) != SYN_OK)
        SYN_WARN("%s: the outcome of rank %u is lost: %s", job->id, rank, syn_error_message());
}

void syn_job_read_outcome_files(syn_job *job)
{
    for (uint32_t r = 0; r < job->attempt->n_ranks; r++) {
        syn_str path = {0};
        char *text = NULL;
        size_t size;
        json_error_t error;
        if (job->attempt->ranks[r].outcome != SYN_JOB_UNSPECIFIED)
            continue;
        syn_str_appendf(&path, "%s/attempt-%u/outcome-rank%u.json",
                        syn_text_get(job->record.run_dir), job->record.attempt, r);
        if (!path.failed && syn_path_exists(path.data) &&
            syn_file_read(path.data, MAX_OUTCOME_FILE, &text, &size) == SYN_OK) {
            json_t *file = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
            if (json_is_object(file))
                take(job, r, file);
            else
                SYN_WARN("%s: %s is not an outcome: %s", job->id, path.data, error.text);
            json_decref(file);
        }
        syn_free(text);
        syn_str_release(&path);
    }
}
