/* Builds the mpirun line of a job, starts its supervisor, and reads what the supervisor recorded.
 */
#include "server/launch/launch.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/base/vec.h"
#include "server/launch/process.h"
#include "server/launch/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

uint32_t syn_launch_local_slots(int64_t override)
{
    cpu_set_t set;
    if (override > 0)
        return (uint32_t) override;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return (uint32_t)CPU_COUNT(&set);
    return 1;
}

static char *own_folder(void)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0)
        return NULL;
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = '\0';
    return syn_strdup(path);
}

/* `name` in one folder of a PATH-like list, NULL if none has it. */
static char *find_in_list(const char *name, const char *list)
{
    while (list && *list) {
        size_t n = strcspn(list, ":");
        syn_str path = {0};
        syn_str_append_n(&path, list, n);
        syn_str_appendf(&path, "/%s", name);
        if (path.data && access(path.data, X_OK) == 0)
            return syn_str_take(&path);
        syn_str_release(&path);
        list += n + (list[n] == ':');
    }
    return NULL;
}

syn_status syn_launch_find_program(const char *name, char **path_out)
{
    char *folder = own_folder();
    const char *override = getenv("SYNCLINE_BIN_DIR");
    char *path = find_in_list(name, override);

    if (!path)
        path = find_in_list(name, folder);
    if (!path)
        path = find_in_list(name, getenv("PATH"));
    syn_status status = SYN_OK;
    if (!path)
        status = SYN_FAIL(SYN_NOT_FOUND, "cannot find the program %s, neither in %s nor in PATH",
                          name, folder ? folder : "the folder of this program");
    syn_free(folder);
    *path_out = path;
    return status;
}

typedef SYN_VEC(char *) words;

/* Takes `word`. */
static bool push(words *list, char *word)
{
    if (word && syn_vec_push(list, word))
        return true;
    syn_free(word);
    return false;
}

static bool push_all(words *list, const char *const *texts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!push(list, syn_strdup(texts[i])))
            return false;
    return true;
}

static void release_words(words *list)
{
    for (size_t i = 0; i < list->n; i++)
        syn_free(list->items[i]);
    syn_vec_release(list);
}

static char *number(long long value)
{
    syn_str text = {0};
    syn_str_appendf(&text, "%lld", value);
    return syn_str_take(&text);
}

/* `syncline _supervise ... mpirun ... syncline-worker ...`, NULL-terminated. */
static syn_status build_command(const syn_launch_request *request, const char *folder, int ready_fd,
                                words *command)
{
    syn_status status = SYN_OK;
    char *syncline = NULL, *worker = NULL, *mpirun = NULL;
    uint32_t cores = syn_launch_local_slots(0);

    SYN_GOTO(syn_launch_find_program("syncline", &syncline));
    SYN_GOTO(syn_launch_find_program("syncline-worker", &worker));
    if (syn_launch_find_program("mpirun", &mpirun) != SYN_OK) {
        status = SYN_FAIL(SYN_FAILED_PRECONDITION,
                          "cannot find mpirun in PATH: install Open MPI (Debian: openmpi-bin)");
        goto out;
    }
    /* No binding: each rank has a communication thread beside its compute threads. */
    const char *const common[] = {"--bind-to", "none"};
    /* Spinning ranks that share cores starve each other unless they yield. */
    const char *const crowded[] = {"--oversubscribe", "--mca", "mpi_yield_when_idle", "1"};
    bool ok =
        push_all(command,
                 (const char *const[]){syncline, SYN_SUPERVISE_VERB, folder, request->job_id}, 4) &&
        push(command, number((long long)request->epoch)) &&
        push(command, number(request->die_with_parent)) && push(command, number(ready_fd)) &&
        push_all(command, (const char *const[]){mpirun, "-np"}, 2) &&
        push(command, number(request->n_ranks)) && push_all(command, common, 2) &&
        (request->n_ranks < cores || push_all(command, crowded, 4)) &&
        push_all(command,
                 (const char *const[]){worker, "--coordinator", request->address, "--job",
                                       request->job_id, "--epoch"},
                 6) &&
        push(command, number((long long)request->epoch)) &&
        push(command, syn_strdup("--attempt")) && push(command, number(request->attempt)) &&
        syn_vec_push(command, NULL);
    if (!ok)
        status = syn_fail_memory(1024, "an mpirun command line");
out:
    syn_free(syncline);
    syn_free(worker);
    syn_free(mpirun);
    return status;
}

/* Our environment with what Open MPI and OpenMP need here; the texts of `added` belong to the list.
 */
static syn_status build_environment(const syn_launch_request *request, words *added, words *all)
{
    uint32_t cores = syn_launch_local_slots(0);
    int64_t threads = request->threads > 0           ? request->threads
                      : cores / request->n_ranks > 1 ? cores / request->n_ranks
                                                     : 1;
    bool ok = true;
    syn_str omp = {0};

    if (geteuid() == 0)
        ok = push(added, syn_strdup("OMPI_ALLOW_RUN_AS_ROOT=1")) &&
             push(added, syn_strdup("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"));
    syn_str_appendf(&omp, "OMP_NUM_THREADS=%lld", (long long)threads);
    ok = ok && push(added, syn_str_take(&omp));
    for (char **variable = environ; ok && *variable; variable++) {
        bool replaced = false;
        for (size_t i = 0; i < added->n; i++) {
            size_t n = strcspn(added->items[i], "=") + 1;
            replaced = replaced || strncmp(*variable, added->items[i], n) == 0;
        }
        if (!replaced)
            ok = syn_vec_push(all, *variable);
    }
    for (size_t i = 0; ok && i < added->n; i++)
        ok = syn_vec_push(all, added->items[i]);
    ok = ok && syn_vec_push(all, NULL);
    return ok ? SYN_OK : syn_fail_memory(4096, "an environment");
}

/* Starts the command in a session of its own with `ready_fd` open, and waits for its word. */
static syn_status spawn(words *command, words *environment, int ready[2], pid_t *pid_out)
{
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    sigset_t none, all;
    char word[1024];

    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
                                                    POSIX_SPAWN_SETSIGDEF);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setsigdefault(&attributes, &all);
    (void)posix_spawn_file_actions_init(&actions);
    int error = posix_spawn(pid_out, command->items[0], &actions, &attributes, command->items,
                            environment->items);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ready[1]);
    ready[1] = -1;
    if (error)
        return SYN_FAIL(SYN_UNAVAILABLE, "cannot start %s: %s", command->items[0], strerror(error));
    size_t n = 0;
    for (ssize_t got; n < sizeof word - 1; n += (size_t)got) {
        got = read(ready[0], word + n, sizeof word - 1 - n);
        if (got < 0 && errno == EINTR)
            got = 0;
        else if (got <= 0)
            break;
    }
    word[n] = '\0';
    if (n == 1 && word[0] == '\0')
        return SYN_OK;
    (void)waitpid(*pid_out, NULL, 0);
    return SYN_FAIL(SYN_UNAVAILABLE, "the supervisor of a launch ended at once%s%s", n ? ": " : "",
                    word);
}

static char *attempt_folder(const char *run_dir, uint32_t attempt)
{
    syn_str path = {0};
    syn_str_appendf(&path, "%s/attempt-%u", run_dir, attempt);
    return syn_str_take(&path);
}

syn_status syn_launch_start(const syn_launch_request *request, syn_launch_handle *handle_out)
{
    syn_status status = SYN_OK;
    words command = {0}, added = {0}, environment = {0};
    int ready[2] = {-1, -1};
    pid_t pid = 0;
    char *folder = attempt_folder(request->run_dir, request->attempt);

    if (!folder)
        return syn_fail_memory(256, "a path");
    SYN_GOTO(syn_dir_make(folder));
    /* Close-on-exec is lifted for the writing end only, at a number that posix_spawn keeps. */
    if (pipe2(ready, O_CLOEXEC) != 0) {
        status = SYN_FAIL(SYN_RESOURCE_EXHAUSTED, "cannot make a pipe: %s", strerror(errno));
        goto out;
    }
    (void)fcntl(ready[1], F_SETFD, 0);
    SYN_GOTO(build_command(request, folder, ready[1], &command));
    SYN_GOTO(build_environment(request, &added, &environment));
    SYN_GOTO(spawn(&command, &environment, ready, &pid));
    handle_out->pid = pid;
    handle_out->start_ticks = syn_process_start_ticks(pid);
out:
    for (int i = 0; i < 2; i++)
        if (ready[i] >= 0)
            (void)close(ready[i]);
    release_words(&command);
    release_words(&added);
    syn_vec_release(&environment); /* its texts are borrowed */
    syn_free(folder);
    return status;
}

/* A small JSON object written by the supervisor; NULL if absent or damaged. */
static json_t *read_record(const char *run_dir, uint32_t attempt, const char *name)
{
    char *folder = attempt_folder(run_dir, attempt);
    char *path = folder ? syn_path_join(folder, name) : NULL;
    char *text = NULL;
    size_t size = 0;
    json_t *record = NULL;

    if (path && syn_file_read(path, 65536, &text, &size) == SYN_OK)
        record = json_loadb(text, size, 0, NULL);
    syn_free(text);
    syn_free(path);
    syn_free(folder);
    return record;
}

static int64_t get_integer(const json_t *record, const char *key)
{
    return json_integer_value(json_object_get(record, key));
}

syn_status syn_launch_find(const char *run_dir, uint32_t attempt, uint64_t epoch,
                           syn_launch_handle *handle_out)
{
    json_t *record = read_record(run_dir, attempt, "supervisor.json");
    bool found = record && (uint64_t)get_integer(record, "epoch") == epoch;

    if (found) {
        handle_out->pid = (pid_t)get_integer(record, "pid");
        handle_out->start_ticks = (uint64_t)get_integer(record, "start_ticks");
    }
    json_decref(record);
    return found ? SYN_OK
                 : SYN_FAIL(SYN_NOT_FOUND, "attempt %u in %s was never launched", attempt, run_dir);
}

static void copy_text(char *out, size_t size, const json_t *record, const char *key)
{
    const char *text = json_string_value(json_object_get(record, key));
    (void)snprintf(out, size, "%s", text ? text : "");
}

static bool is_alive(const syn_launch_handle *handle)
{
    if (handle->pid <= 0)
        return false;
    (void)waitpid(handle->pid, NULL, WNOHANG); /* ours, or not a child after a restart: harmless */
    uint64_t ticks = syn_process_start_ticks(handle->pid);
    return ticks != 0 && ticks == handle->start_ticks;
}

syn_launch_state syn_launch_poll(const syn_launch_handle *handle, const char *run_dir,
                                 uint32_t attempt, syn_launch_exit *exit_out)
{
    if (is_alive(handle))
        return SYN_LAUNCH_ALIVE;
    json_t *record = read_record(run_dir, attempt, "exit.json");
    if (!record)
        return SYN_LAUNCH_LOST;
    *exit_out = (syn_launch_exit){
        .exit_code = (int)get_integer(record, "exit_code"),
        .signal = (int)get_integer(record, "signal"),
        .rank_known = json_is_true(json_object_get(record, "rank_known")),
        .rank = (uint32_t)get_integer(record, "rank"),
    };
    copy_text(exit_out->host, sizeof exit_out->host, record, "host");
    copy_text(exit_out->message, sizeof exit_out->message, record, "message");
    json_decref(record);
    return SYN_LAUNCH_EXITED;
}

void syn_launch_kill(const syn_launch_handle *handle, bool force)
{
    if (!is_alive(handle))
        return;
    if (force)
        (void)syn_process_signal_session(handle->pid, SIGKILL, handle->pid);
    (void)kill(handle->pid, SIGTERM);
}
