/* `syncline run`: a private coordinator on a unix socket, one job, its progress, its end. */
#include "server/cli/cli.h"

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/base/vec.h"
#include "common/format/job_spec.h"
#include "server/coordinator.h"
#include "server/launch/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

/* Beyond so many ranks for each core a run on one machine is refused rather than left to crawl. */
enum { RANKS_PER_CORE = 8 };

struct run {
    syn_cli_client client;
    syn_cli_submission submission;
    SYN_VEC(char *) overrides;
    bool quiet;
    /* the private coordinator */
    pthread_t thread;
    char *run_dir, *state_dir, *socket_dir, *address;
    int ready_fd, stop_fd;
    syn_status serve_status;
    char serve_message[1024];
    atomic_bool is_ready, has_ended;
    /* what is known of the job */
    char job_id[64];
    json_t *final;
    Syncline__V1__JobState state;
    int n_interrupts_seen;
    uint64_t started_ns;
};

static const struct argp_option options[] = {
    {"ranks", 'n', "N", 0, "number of ranks (default: the job file's `ranks`)", 1},
    {"set", 's', "KEY=VALUE", 0, "override a key of the job file (may be given often)", 1},
    {"run-dir", 'd', "DIR", 0, "where the run's files go (default runs/NAME-TIME)", 2},
    {"resume", 'r', "DIR", 0, "start from this run's or checkpoint's state", 2},
    {"restarts", 'R', "N", 0, "relaunches after a lost rank (default: the job file's)", 2},
    {"quiet", 'q', NULL, 0, "print the result only", 3},
    {"json", 'j', NULL, 0, "print, last on standard output, one JSON object with the result", 3},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct run *run = state->input;
    switch (key) {
    case 'n':
        run->submission.n_ranks = syn_cli_integer(state, "-n", argument, 1, 1000000);
        return 0;
    case 's':
        return syn_vec_push(&run->overrides, argument) ? 0 : ENOMEM;
    case 'd':
        run->submission.run_dir = argument;
        return 0;
    case 'r':
        run->submission.resume = argument;
        return 0;
    case 'R':
        run->submission.max_restarts = syn_cli_integer(state, "--restarts", argument, 0, 1000);
        return 0;
    case 'q':
        run->quiet = true;
        return 0;
    case 'j':
        run->client.json = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- Ctrl-C ---- */

static volatile sig_atomic_t n_interrupts;
static volatile sig_atomic_t terminated;

static void on_signal(int signal)
{
    if (signal == SIGINT)
        n_interrupts++;
    else
        terminated = 1;
}

static void on_tick(void *user)
{
    struct run *run = user;
    int n = n_interrupts;

    if (terminated && run->n_interrupts_seen < 2) {
        n = 2;
        terminated = 0;
    }
    if (n == run->n_interrupts_seen)
        return;
    syn_cli_status_line_clear();
    if (n == 1) {
        (void)fprintf(stderr, "Interrupt: the run goes on. Press Ctrl-C once more to cancel it.\n");
    } else if (run->n_interrupts_seen < 2) {
        (void)fprintf(stderr, "Cancelling %s ...\n", run->job_id);
        if (syn_cli_cancel_job(&run->client, run->job_id, "Ctrl-C", NULL) != SYN_OK)
            (void)syn_cli_fail(SYN_UNKNOWN);
    }
    run->n_interrupts_seen = n;
}

/* ---- what is printed ---- */

static void on_record(const Syncline__V1__WatchJobsResponse *record, void *user)
{
    struct run *run = user;
    const Syncline__V1__Job *job = record->job;
    const Syncline__V1__Event *event = record->event;
    char *progress = syn_cli_progress_text(job);

    run->state = job->state;
    if (event && !run->quiet &&
        (event->to == SYNCLINE__V1__JOB_STATE__JOB_STATE_RECOVERING ||
         event->to == SYNCLINE__V1__JOB_STATE__JOB_STATE_DRAINING)) {
        char *text = syn_cli_bytes_text(&event->text);
        syn_cli_status_line_clear();
        (void)fprintf(stderr, "%s: %s\n", syn_cli_state_name(event->to), text ? text : "");
        syn_free(text);
    }
    if (!run->quiet && !record->is_last)
        syn_cli_status_line(progress);
    syn_free(progress);
    if (record->is_last) {
        json_decref(run->final);
        run->final = syn_cli_job_json(job);
    }
}

/* The contract of `run --json`: these keys, one line. */
static void print_result_json(const struct run *run)
{
    json_t *result = json_object();
    static const char *const keys[] = {
        "state",   "job_id",        "run_dir", "ranks",          "steps",
        "metrics", "samples_per_s", "comm",    "weights_sha256", "elapsed_s",
        "reason",  "reason_text",   "attempt", "first_failure"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        (void)json_object_set(result, keys[i], json_object_get(run->final, keys[i]));
    syn_cli_print_json(result);
}

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static void print_result(const struct run *run)
{
    const json_t *job = run->final, *comm = json_object_get(job, "comm"), *value;
    const char *name, *reason = json_string_value(json_object_get(job, "reason_text"));
    char duration[32];
    long long steps = json_integer_value(json_object_get(job, "steps"));
    long long ranks = json_integer_value(json_object_get(job, "ranks"));

    (void)printf(
        "%s after %s: %lld step%s on %lld rank%s, %.0f samples/s\n",
        json_string_value(json_object_get(job, "state")),
        syn_format_duration(duration, (double)(syn_clock_monotonic_ns() - run->started_ns) * 1e-9),
        steps, steps == 1 ? "" : "s", ranks, ranks == 1 ? "" : "s", number(job, "samples_per_s"));
    /* A failure's reason has been printed to standard error. */
    if (reason && *reason && run->state != SYNCLINE__V1__JOB_STATE__JOB_STATE_SUCCEEDED &&
        run->state != SYNCLINE__V1__JOB_STATE__JOB_STATE_FAILED)
        (void)printf("  reason         %s\n", reason);
    json_object_foreach((json_t *)(uintptr_t)json_object_get(job, "metrics"), name, value)
    {
        if (strstr(name, "accuracy"))
            (void)printf("  %-14s %.2f %%\n", name, 100 * json_number_value(value));
        else
            (void)printf("  %-14s %.4f\n", name, json_number_value(value));
    }
    if (ranks > 1 && steps > 0)
        (void)printf("  communication  %.2f ms a step hidden, %.2f ms exposed\n",
                     number(comm, "hidden_ms"), number(comm, "exposed_ms"));
    (void)printf("  files          %s\n", run->run_dir);
}

/* ---- the private coordinator ---- */

static void on_ready(void *user, const char *grpc_address, const char *http_address)
{
    struct run *run = user;
    (void)grpc_address, (void)http_address;
    atomic_store(&run->is_ready, true);
    (void)eventfd_write(run->ready_fd, 1);
}

static void *serve(void *user)
{
    struct run *run = user;
    sigset_t all;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, NULL); /* Ctrl-C is the main thread's */
    syn_coordinator_options coordinator = {
        .state_dir = run->state_dir,
        .listen = run->address,
        .slots = (int64_t)syn_launch_local_slots(0) * RANKS_PER_CORE,
        .is_private = true,
        .stop_fd = run->stop_fd,
        .on_ready = on_ready,
        .user = run,
    };
    run->serve_status = syn_coordinator_run(&coordinator);
    (void)snprintf(run->serve_message, sizeof run->serve_message, "%s", syn_error_message());
    atomic_store(&run->has_ended, true);
    (void)eventfd_write(run->ready_fd, 1);
    return NULL;
}

/* The job's name, or its file's without folder and ending. */
static syn_status append_name(syn_str *path, const syn_job_spec *spec, const char *file)
{
    const char *slash = strrchr(file, '/'), *base = slash ? slash + 1 : file;
    const char *dot = strrchr(base, '.');

    if (*spec->name)
        syn_str_append(path, spec->name);
    else
        syn_str_append_n(path, base, dot && dot > base ? (size_t)(dot - base) : strlen(base));
    return path->failed ? syn_fail_memory(256, "a path") : SYN_OK;
}

/* A folder that is not there is a mistake of usage, told before anything is launched. */
static syn_status check_resume(const char *resume)
{
    struct stat info;
    if (!resume || (stat(resume, &info) == 0 && S_ISDIR(info.st_mode)))
        return SYN_OK;
    return SYN_FAIL(SYN_INVALID_ARGUMENT, "cannot resume from %s: there is no such folder", resume);
}

/* Two runs in one folder would mix their curves and checkpoints. One that failed before it trained
 * has none. */
static syn_status check_is_new(const char *resume, const char *run_dir)
{
    char *curve = resume ? NULL : syn_path_join(run_dir, "metrics.csv");
    bool is_taken = curve && syn_path_exists(curve);
    syn_free(curve);
    return is_taken ? SYN_FAIL(SYN_ALREADY_EXISTS,
                               "%s already holds a run: give another --run-dir, or --resume %s to "
                               "go on with it",
                               run_dir, run_dir)
                    : SYN_OK;
}

/* runs/NAME-2026-01-31T12-00-00, with -2, -3 ... when it is taken. */
static syn_status choose_run_dir(struct run *run, const syn_job_spec *spec)
{
    char when[32];
    syn_str path = {0};

    if (run->submission.run_dir) {
        syn_str_append(&path, run->submission.run_dir);
    } else {
        (void)syn_clock_format(when, syn_clock_wall_ns());
        when[19] = '\0';
        for (char *p = when; *p; p++)
            if (*p == ':')
                *p = '-';
        syn_str_append(&path, "runs/");
        SYN_TRY(append_name(&path, spec, run->submission.file));
        syn_str_appendf(&path, "-%s", when);
        size_t length = path.length;
        for (int i = 2; path.data && syn_path_exists(path.data) && i < 10000; i++) {
            path.length = length;
            syn_str_appendf(&path, "-%d", i);
        }
    }
    if (path.failed)
        return syn_fail_memory(256, "a path");
    const char *resume = run->submission.resume;
    if (!resume && spec->checkpoint.resume && *spec->checkpoint.resume)
        resume = spec->checkpoint.resume;
    syn_status status = check_resume(resume);
    if (status == SYN_OK)
        status = check_is_new(resume, path.data);
    if (status == SYN_OK)
        status = syn_dir_make(path.data);
    run->run_dir = status == SYN_OK ? realpath(path.data, NULL) : NULL;
    syn_str_release(&path);
    run->state_dir = run->run_dir ? syn_path_join(run->run_dir, ".coordinator") : NULL;
    if (status == SYN_OK && !run->state_dir)
        status = SYN_FAIL(SYN_UNKNOWN, "cannot resolve the run directory: %s", strerror(errno));
    return status;
}

static syn_status start_coordinator(struct run *run)
{
    const char *folder = getenv("XDG_RUNTIME_DIR");
    syn_str path = {0};
    eventfd_t value;

    /* Unix socket paths are short: not in the run directory, whose path may be long. */
    syn_str_appendf(&path, "%s/syncline-XXXXXX", folder && strlen(folder) < 60 ? folder : "/tmp");
    run->socket_dir = syn_str_take(&path);
    if (!run->socket_dir || !mkdtemp(run->socket_dir)) {
        syn_status status = SYN_FAIL(SYN_UNKNOWN, "cannot make a folder for the socket, %s: %s",
                                     run->socket_dir ? run->socket_dir : "", strerror(errno));
        syn_free(run->socket_dir);
        run->socket_dir = NULL;
        return status;
    }
    syn_str_appendf(&path, "unix://%s/grpc", run->socket_dir);
    run->address = syn_str_take(&path);
    run->ready_fd = eventfd(0, EFD_CLOEXEC);
    run->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (!run->address || run->ready_fd < 0 || run->stop_fd < 0)
        return SYN_FAIL(SYN_RESOURCE_EXHAUSTED, "cannot start the coordinator: %s",
                        strerror(errno));
    int error = pthread_create(&run->thread, NULL, serve, run);
    if (error) {
        run->thread = 0;
        return SYN_FAIL(SYN_RESOURCE_EXHAUSTED, "cannot start a thread: %s", strerror(error));
    }
    while (!atomic_load(&run->is_ready) && !atomic_load(&run->has_ended))
        (void)eventfd_read(run->ready_fd, &value);
    if (!atomic_load(&run->is_ready))
        return SYN_FAIL(run->serve_status == SYN_OK ? SYN_INTERNAL : run->serve_status, "%s",
                        run->serve_message);
    run->client.address = run->address;
    return syn_cli_connect(&run->client);
}

static void stop_coordinator(struct run *run)
{
    syn_rpc_blocking_free(run->client.rpc);
    if (run->thread) {
        (void)eventfd_write(run->stop_fd, 1);
        (void)pthread_join(run->thread, NULL);
    }
    if (run->socket_dir) {
        (void)syn_dir_remove(run->socket_dir);
        syn_free(run->socket_dir);
    }
    syn_free(run->address);
    syn_free(run->state_dir);
    free(run->run_dir);
}

static syn_status follow(struct run *run)
{
    Syncline__V1__SubmitJobResponse *response;
    syn_cli_watch watch = {
        .progress_ms = 200, .patience_s = 10, .tick = on_tick, .record = on_record, .user = run};

    SYN_TRY(syn_cli_submit_job(&run->client, &run->submission, &response));
    (void)snprintf(run->job_id, sizeof run->job_id, "%s", response->job->job_id);
    uint32_t n_ranks = response->job->n_ranks, cores = syn_launch_local_slots(0);
    syn_wire_free(&response->base);
    if (!run->quiet)
        (void)fprintf(stderr, "run %s on %u rank%s, files in %s\n", run->submission.file, n_ranks,
                      n_ranks == 1 ? "" : "s", run->run_dir);
    if (!run->quiet && n_ranks > cores)
        (void)fprintf(stderr, "note: %u ranks share %u core%s (mpirun --oversubscribe)\n", n_ranks,
                      cores, cores == 1 ? "" : "s");
    watch.job_id = run->job_id;
    syn_status status = syn_cli_watch_job(&run->client, &watch);
    syn_cli_status_line_clear();
    return status;
}

int syn_cli_run(int argc, char **argv)
{
    static const syn_cli_verb verb = {
        .usage = "FILE",
        .doc =
            "Runs the job that FILE (YAML or JSON) describes on this machine, without a daemon.\v"
            "Example: syncline run docs/examples/digits.yaml -n 2 --set train.epochs=3",
        .options = options,
        .parse = parse,
        .min_words = 1,
        .max_words = 1};
    struct run run = {.submission.max_restarts = -1, .ready_fd = -1, .stop_fd = -1};
    struct sigaction action = {.sa_handler = on_signal};
    syn_job_spec spec = {0};
    char **words;
    int code;

    syn_cli_parse(&verb, argc, argv, &run, &words, NULL);
    run.submission.file = words[0];
    run.submission.overrides = run.overrides.items;
    run.submission.n_overrides = run.overrides.n;
    run.started_ns = syn_clock_monotonic_ns();
    syn_status status = syn_job_spec_load(words[0], (const char *const *)run.overrides.items,
                                          run.overrides.n, &spec);
    if (status != SYN_OK) {
        (void)syn_cli_fail(status);
        syn_vec_release(&run.overrides);
        return SYN_EXIT_USAGE;
    }
    if (!getenv("SYNCLINE_LOG"))
        syn_log_set_level(SYN_LOG_WARN); /* the coordinator is a detail here */
    status = choose_run_dir(&run, &spec);
    run.submission.run_dir = run.run_dir;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
    if (status == SYN_OK)
        status = start_coordinator(&run);
    if (status == SYN_OK)
        status = follow(&run);
    if (status != SYN_OK) {
        code = syn_cli_fail(status);
        if (!run.run_dir) /* no such folder, not: no such job */
            code = SYN_EXIT_USAGE;
    } else {
        code = syn_cli_state_exit_code(run.state);
        if (run.state == SYNCLINE__V1__JOB_STATE__JOB_STATE_FAILED)
            (void)fprintf(stderr, "syncline: %s\n",
                          json_string_value(json_object_get(run.final, "reason_text")));
        if (run.client.json)
            print_result_json(&run);
        else
            print_result(&run);
    }
    json_decref(run.final);
    syn_job_spec_release(&spec);
    stop_coordinator(&run);
    syn_vec_release(&run.overrides);
    return code;
}
