/* Folders, logs and JSON of the run directory. */
#include "worker/train/rundir.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "worker/train/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *syn_train_state_name(syn_train_state state)
{
    return state == SYN_TRAIN_SUCCEEDED ? "SUCCEEDED"
           : state == SYN_TRAIN_FAILED  ? "FAILED"
                                        : "CANCELLED";
}

static syn_status make_dir(const char *run_dir, const char *name)
{
    char *path = syn_path_join(run_dir, name);
    if (!path)
        return syn_fail_memory(strlen(run_dir), "a path");
    syn_status status = syn_dir_make(path);
    syn_free(path);
    return status;
}

static syn_status write_text(const char *run_dir, const char *name, const char *text)
{
    char *path = syn_path_join(run_dir, name);
    if (!path)
        return syn_fail_memory(strlen(run_dir), "a path");
    syn_status status = syn_file_write_atomic(path, text, strlen(text));
    syn_free(path);
    return status;
}

syn_status syn_rundir_prepare(const char *run_dir, const syn_job_spec *spec)
{
    SYN_TRY(make_dir(run_dir, "checkpoints"));
    SYN_TRY(make_dir(run_dir, "logs"));
    return syn_rundir_is_run(run_dir) ? SYN_OK : syn_rundir_write_job(run_dir, spec);
}

syn_status syn_rundir_write_job(const char *run_dir, const syn_job_spec *spec)
{
    char *yaml = syn_job_spec_to_yaml(spec);
    if (!yaml)
        return syn_fail_memory(0, "the job's text");
    syn_status status = write_text(run_dir, "job.yaml", yaml);
    syn_free(yaml);
    return status;
}

bool syn_rundir_is_run(const char *path)
{
    char *job = syn_path_join(path, "job.yaml");
    bool is_run = job && syn_path_exists(job);
    syn_free(job);
    return is_run;
}

bool syn_rundir_has_results(const char *run_dir)
{
    char *result = syn_path_join(run_dir, "result.json");
    bool has_results = (result && syn_path_exists(result)) || syn_checkpoint_exists(run_dir);
    syn_free(result);
    return has_results;
}

syn_status syn_rundir_open_log(const char *run_dir, int rank, int *fd_out)
{
    syn_str path = {0};
    SYN_TRY(make_dir(run_dir, "logs"));
    syn_str_appendf(&path, "%s/logs/rank-%d.log", run_dir, rank);
    if (path.failed)
        return syn_fail_memory(path.length, "a path");
    int fd = open(path.data, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    syn_status status =
        fd >= 0 ? SYN_OK
                : SYN_FAIL(SYN_UNKNOWN, "cannot open the log %s: %s", path.data, strerror(errno));
    if (fd >= 0)
        *fd_out = fd;
    syn_str_release(&path);
    return status;
}

syn_status syn_rundir_redirect(const char *run_dir, int rank, syn_rundir_saved *saved_out)
{
    int fd = -1;
    *saved_out = (syn_rundir_saved){-1, -1};
    SYN_TRY(syn_rundir_open_log(run_dir, rank, &fd));
    (void)fflush(stdout);
    (void)fflush(stderr);
    saved_out->out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    saved_out->err = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    syn_status status = SYN_OK;
    if (dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
        status = SYN_FAIL(SYN_UNKNOWN, "cannot write output to the log of rank %d in %s: %s", rank,
                          run_dir, strerror(errno));
    (void)close(fd);
    return status;
}

void syn_rundir_restore(syn_rundir_saved *saved)
{
    (void)fflush(stdout);
    (void)fflush(stderr);
    if (saved->out >= 0) {
        (void)dup2(saved->out, STDOUT_FILENO);
        (void)close(saved->out);
    }
    if (saved->err >= 0) {
        (void)dup2(saved->err, STDERR_FILENO);
        (void)close(saved->err);
    }
    *saved = (syn_rundir_saved){-1, -1};
}

/* JSON has no NaN: such a value becomes null. */
static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *text(const char *bytes)
{
    syn_str printable = {0};
    syn_str_append_printable(&printable, bytes, strlen(bytes));
    json_t *string = json_string(syn_str_get(&printable));
    syn_str_release(&printable);
    return string;
}

static json_t *failure_to_json(const syn_train_failure *failure)
{
    json_t *rank = failure->rank >= 0 ? json_integer(failure->rank) : json_null();
    return json_pack("{s:o, s:o, s:i, s:i, s:I, s:s, s:s, s:o}", "rank", rank, "host",
                     text(failure->host), "signal", failure->signal, "exit_code",
                     failure->exit_code, "step", (json_int_t)failure->step, "phase",
                     syn_phase_name(failure->phase), "code", syn_status_name(failure->code),
                     "message", text(failure->message));
}

syn_status syn_train_result_to_json(const syn_train_result *result,
                                    const syn_rundir_identity *identity, char **json_out)
{
    json_t *metrics = json_object();
    for (int i = 0; i < result->n_metrics; i++)
        (void)json_object_set_new(metrics, result->metrics[i].name,
                                  number(result->metrics[i].value));
    json_t *failure =
        result->state == SYN_TRAIN_FAILED ? failure_to_json(&result->failure) : json_null();
    json_t *object = json_pack(
        "{s:s, s:I, s:i, s:i, s:s, s:o, s:o, s:s, s:I, s:o, s:o, s:o, s:o}", "job_id",
        identity->job_id ? identity->job_id : "", "epoch", (json_int_t)identity->epoch, "attempt",
        (int)identity->attempt, "rank", identity->rank, "state",
        syn_train_state_name(result->state), "failure", failure, "metrics", metrics,
        "weights_sha256", result->weights_sha256, "steps", (json_int_t)result->steps, "elapsed_s",
        number(result->elapsed_s), "samples_per_s", number(result->samples_per_s), "hidden_ms",
        number(result->hidden_ms), "exposed_ms", number(result->exposed_ms));
    char *dumped = object ? json_dumps(object, JSON_INDENT(2)) : NULL;
    json_decref(object);
    if (!dumped)
        return syn_fail_memory(1024, "the result");
    syn_str line = {0};
    syn_str_appendf(&line, "%s\n", dumped);
    free(dumped);
    *json_out = syn_str_take(&line);
    return *json_out ? SYN_OK : syn_fail_memory(1024, "the result");
}

syn_status syn_rundir_write_outcome(const char *run_dir, const syn_train_result *result,
                                    const syn_rundir_identity *identity)
{
    syn_status status = SYN_OK;
    char folder[32], name[80], *json = NULL;

    (void)snprintf(folder, sizeof folder, "attempt-%u", identity->attempt);
    (void)snprintf(name, sizeof name, "%s/outcome-rank%d.json", folder, identity->rank);
    SYN_GOTO(make_dir(run_dir, folder));
    SYN_GOTO(syn_train_result_to_json(result, identity, &json));
    status = write_text(run_dir, name, json);
out:
    syn_free(json);
    return status;
}

syn_status syn_rundir_write_result(const char *run_dir, const syn_train_result *result,
                                   const syn_rundir_identity *identity)
{
    char *json = NULL;
    SYN_TRY(syn_train_result_to_json(result, identity, &json));
    syn_status status = write_text(run_dir, "result.json", json);
    syn_free(json);
    return status;
}
