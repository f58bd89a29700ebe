/* Running one job under plain mpirun: the job to all ranks, the run directory, messages, exit
 * codes. */
#include "worker/train/plain.h"

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "worker/comm/comm.h"
#include "worker/train/rundir.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- signals ---- */

static syn_train_monitor *_Atomic signalled;
static _Atomic bool was_signalled;

static void on_signal(int number)
{
    syn_train_monitor *monitor = atomic_load(&signalled);
    atomic_store(&was_signalled, true);
    if (monitor)
        syn_train_monitor_ask_stop_by_signal(monitor, number);
}

void syn_plain_catch_signals(syn_train_monitor *monitor)
{
    struct sigaction action = {.sa_flags = SA_RESTART};
    action.sa_handler = monitor ? on_signal : SIG_DFL;
    (void)sigemptyset(&action.sa_mask);
    atomic_store(&signalled, monitor);
    (void)sigaction(SIGTERM, &action, NULL);
    action.sa_flags |= (int)SA_RESETHAND;
    (void)sigaction(SIGINT, &action, NULL);
}

bool syn_plain_was_signalled(void)
{
    return atomic_load(&was_signalled);
}

/* ---- the job, the same on all ranks ---- */

/* Rank 0's text on all ranks; heap. `text` is used on rank 0 only. */
static syn_status share_text(const char *text, char **text_out)
{
    syn_comm *world = syn_comm_world();
    uint64_t size = text ? strlen(text) : 0;

    SYN_TRY(syn_comm_broadcast(world, &size, sizeof size, 0));
    char *copy = syn_calloc(1, size + 1);
    SYN_TRY(syn_comm_agree(world, copy ? SYN_OK : syn_fail_memory(size, "the job"), NULL, NULL));
    if (text)
        memcpy(copy, text, size);
    syn_status status = size ? syn_comm_broadcast(world, copy, size, 0) : SYN_OK;
    if (status != SYN_OK)
        syn_free(copy);
    else
        *text_out = copy;
    return status;
}

/* Rank 0: the complete job as JSON. */
static syn_status read_job(const syn_plain_options *options, char **json_out, char **name_out)
{
    syn_status status = SYN_OK;
    syn_job_spec spec = {0};
    char *path = options->job_file ? syn_strdup(options->job_file)
                                   : syn_path_join(options->resume, "job.yaml");

    if (!path)
        return syn_fail_memory(0, "a path");
    if (!options->job_file && !syn_path_exists(path))
        SYN_GOTO(SYN_FAIL(SYN_NOT_FOUND,
                          "%s is no run directory, it has no job.yaml: give a job file too, or the "
                          "folder of the run",
                          options->resume));
    SYN_GOTO(syn_job_spec_load(path, options->overrides, options->n_overrides, &spec));
    *json_out = syn_job_spec_to_json(&spec);
    *name_out = syn_strdup(spec.name);
    if (!*json_out || !*name_out)
        status = syn_fail_memory(0, "the job");
out:
    syn_job_spec_release(&spec);
    syn_free(path);
    return status;
}

static syn_status make_absolute(const char *path, char **absolute_out)
{
    char here[4096];
    if (!getcwd(here, sizeof here))
        return SYN_FAIL(SYN_UNKNOWN, "cannot tell the working directory: %s", strerror(errno));
    *absolute_out = syn_path_join(here, path);
    return *absolute_out ? SYN_OK : syn_fail_memory(strlen(path), "a path");
}

/* "runs/<name>-2026-01-31T12-00-00" (UTC, as `syncline run` has it), with a number behind it if
 * that is taken. */
static syn_status default_run_dir(const char *name, char **path_out)
{
    char stamp[32];
    struct tm utc;
    time_t now = (time_t)(syn_clock_wall_ns() / 1000000000);

    (void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H-%M-%S", gmtime_r(&now, &utc));
    for (int i = 1;; i++) {
        syn_str path = {0};
        syn_str_appendf(&path, "runs/%s-%s", name, stamp);
        if (i > 1)
            syn_str_appendf(&path, "-%d", i);
        if (path.failed)
            return syn_fail_memory(path.length, "a path");
        syn_status status =
            syn_path_exists(path.data) ? SYN_ALREADY_EXISTS : make_absolute(path.data, path_out);
        syn_str_release(&path);
        if (status != SYN_ALREADY_EXISTS)
            return status;
    }
}

/* Rank 0: where the run is written. */
static syn_status choose_run_dir(const syn_plain_options *options, const char *name,
                                 char **path_out)
{
    bool goes_on = options->resume && syn_rundir_is_run(options->resume);
    if (!options->run_dir)
        return goes_on ? make_absolute(options->resume, path_out) : default_run_dir(name, path_out);
    SYN_TRY(make_absolute(options->run_dir, path_out));
    if (options->resume || !syn_rundir_is_run(*path_out))
        return SYN_OK;
    syn_status status =
        SYN_FAIL(SYN_ALREADY_EXISTS,
                 "%s already holds a run: give another --run-dir, or --resume %s to go on with it",
                 *path_out, options->run_dir);
    syn_free(*path_out);
    *path_out = NULL;
    return status;
}

/* What a run needs, equal on all ranks. */
typedef struct plain_job {
    syn_job_spec spec;
    char *run_dir; /* owned */
    char *resume;  /* owned; "" for none */
} plain_job;

static syn_status prepare(const syn_plain_options *options, plain_job *job)
{
    syn_comm *world = syn_comm_world();
    syn_status status = SYN_OK;
    char *json = NULL, *name = NULL, *run_dir = NULL, *resume = NULL, *shared = NULL;
    bool is_first = syn_comm_rank(world) == 0;

    if (is_first) {
        status = read_job(options, &json, &name);
        if (status == SYN_OK)
            status = choose_run_dir(options, name, &run_dir);
        if (status == SYN_OK && options->resume)
            status = make_absolute(options->resume, &resume);
    }
    SYN_GOTO(syn_comm_agree(world, status, NULL, NULL));
    SYN_GOTO(share_text(json, &shared));
    SYN_GOTO(share_text(run_dir, &job->run_dir));
    SYN_GOTO(share_text(resume, &job->resume));
    status = syn_job_spec_parse(shared, strlen(shared), "job.json", "/", "/", NULL, 0, &job->spec);
    status = syn_comm_agree(world, status, NULL, NULL);
out:
    if (is_first)
        syn_free(json);
    syn_free(name);
    syn_free(run_dir);
    syn_free(resume);
    syn_free(shared);
    return status;
}

/* ---- telling how it ended ---- */

static void print_failure(const syn_train_failure *failure)
{
    if (failure->rank < 0)
        (void)fprintf(stderr, "syncline-worker: %s\n", failure->message);
    else if (failure->phase == SYN_PHASE_INIT || failure->phase == SYN_PHASE_NONE)
        (void)fprintf(stderr, "syncline-worker: rank %d (%s): %s\n", failure->rank, failure->host,
                      failure->message);
    else
        (void)fprintf(stderr, "syncline-worker: rank %d (%s), %s after step %" PRId64 ": %s\n",
                      failure->rank, failure->host, syn_phase_name(failure->phase), failure->step,
                      failure->message);
}

static void print_summary(const syn_train_result *result, const char *run_dir)
{
    char duration[32];
    if (result->state == SYN_TRAIN_CANCELLED) {
        (void)printf("%s\n", result->failure.message);
    } else {
        (void)printf("done: %" PRId64 " steps in %s", result->steps,
                     syn_format_duration(duration, result->elapsed_s));
        for (int i = 0; i < result->n_metrics; i++)
            (void)printf(", %s %.4f", result->metrics[i].name, result->metrics[i].value);
        (void)printf("\nweights sha256 %s\n", result->weights_sha256);
    }
    (void)printf("%s\n", run_dir);
    (void)fflush(stdout);
}

static void tell(const syn_plain_options *options, const syn_train_result *result,
                 const syn_rundir_identity *identity, const char *run_dir)
{
    char *json = NULL;
    if (result->state == SYN_TRAIN_FAILED && result->is_culprit)
        print_failure(&result->failure);
    if (identity->rank != 0)
        return;
    if (options->json && syn_train_result_to_json(result, identity, &json) == SYN_OK) {
        (void)fputs(json, stdout);
        (void)fflush(stdout);
    } else if (!options->json && result->state != SYN_TRAIN_FAILED) {
        print_summary(result, run_dir);
    }
    syn_free(json);
}

static int train(const syn_plain_options *options, const plain_job *job)
{
    syn_rundir_identity identity = {.attempt = 1, .rank = syn_comm_rank(syn_comm_world())};
    syn_train_monitor monitor;
    syn_train_result result;
    char prefix[32];
    int log_fd = -1;

    (void)snprintf(prefix, sizeof prefix, "rank %d", identity.rank);
    syn_log_set_prefix(prefix);
    if (syn_rundir_open_log(job->run_dir, identity.rank, &log_fd) == SYN_OK)
        syn_log_set_fd(log_fd);
    syn_train_monitor_init(&monitor);
    syn_plain_catch_signals(&monitor);
    syn_train_request request = {.spec = &job->spec,
                                 .comm = syn_comm_world(),
                                 .run_dir = job->run_dir,
                                 .resume_from = job->resume,
                                 .attempt = identity.attempt,
                                 .shows_progress = !options->json,
                                 .monitor = &monitor};
    (void)syn_train_run(&request, &result);
    if (syn_rundir_write_outcome(job->run_dir, &result, &identity) != SYN_OK)
        SYN_WARN("%s", syn_error_message());
    tell(options, &result, &identity, job->run_dir);
    syn_plain_catch_signals(NULL);
    syn_train_monitor_release(&monitor);
    syn_log_set_fd(STDERR_FILENO);
    if (log_fd >= 0)
        (void)close(log_fd);
    return result.state == SYN_TRAIN_SUCCEEDED ? SYN_EXIT_OK
           : result.state == SYN_TRAIN_FAILED  ? SYN_EXIT_FAILED
                                               : SYN_EXIT_CANCELLED;
}

int syn_plain_run(const syn_plain_options *options)
{
    plain_job job = {0};
    bool is_first = syn_comm_rank(syn_comm_world()) == 0;
    int exit_code;

    if (prepare(options, &job) == SYN_OK) {
        exit_code = train(options, &job);
    } else {
        /* Only rank 0 reads; its sentence without "rank 0 (host): " before it. */
        exit_code = SYN_EXIT_USAGE;
        const char *sentence = syn_error_message(), *text = strstr(sentence, "): ");
        if (is_first)
            (void)fprintf(stderr, "syncline-worker: %s\n",
                          syn_has_prefix(sentence, "rank 0 (") && text ? text + 3 : sentence);
    }
    syn_job_spec_release(&job.spec);
    syn_free(job.run_dir);
    syn_free(job.resume);
    return is_first ? exit_code : SYN_EXIT_OK;
}
