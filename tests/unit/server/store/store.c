/* The durable store: what was acknowledged is there after a reopening, and what is damaged does not
 * stop a start. */
#include "server/store/store.h"

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

typedef struct fixture {
    char dir[64];
    uv_loop_t loop;
    syn_store *store;
    int n_done, n_refused;
    char order[4096];
    char refusal[512], broken[1024];
    /* what a load saw */
    int n_jobs, n_specs, n_events, n_requests, n_launches, n_outcomes;
    syn_job_record *last;
    char spec[64], event_text[64];
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/syn-store-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(uv_loop_init(&f->loop), 0);
    syn_log_set_level(SYN_LOG_ERROR);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    assert_int_equal(uv_loop_close(&f->loop), 0);
    syn_job_record_free(f->last);
    (void)syn_dir_remove(f->dir);
    free(f);
    return 0;
}

static void open_store(fixture *f, uint32_t max_pages)
{
    const syn_store_options options = {.dir = f->dir, .loop = &f->loop, .max_pages = max_pages};
    assert_int_equal(syn_store_open(&options, &f->store), SYN_OK);
}

static void close_store(fixture *f)
{
    syn_store_close(f->store, NULL, NULL);
    f->store = NULL;
    while (uv_run(&f->loop, UV_RUN_ONCE)) {
    }
}

static void on_done(syn_change *change, syn_status status, const char *message, void *user)
{
    fixture *f = user;
    f->n_done++;
    if (status != SYN_OK) {
        f->n_refused++;
        (void)snprintf(f->refusal, sizeof f->refusal, "%s", message);
    }
    if (change->record) {
        size_t n = strlen(f->order);
        (void)snprintf(f->order + n, sizeof f->order - n, "%llu ",
                       (unsigned long long)change->record->number);
    }
}

static syn_change *change_of(fixture *f, uint64_t number)
{
    syn_change *change = syn_change_new();
    change->record = calloc(1, sizeof *change->record);
    change->record->number = number;
    change->record->state = SYN_JOB_QUEUED;
    change->record->n_ranks = 1;
    change->done = on_done;
    change->user = f;
    return change;
}

static void wait_for(fixture *f, int n)
{
    while (f->n_done < n)
        (void)uv_run(&f->loop, UV_RUN_ONCE);
}

static bool see_job(syn_job_record *record, void *user)
{
    fixture *f = user;
    f->n_jobs++;
    syn_job_record_free(f->last);
    f->last = record;
    return true;
}
static bool see_spec(uint64_t number, const char *json, void *user)
{
    fixture *f = user;
    (void)number;
    f->n_specs++;
    (void)snprintf(f->spec, sizeof f->spec, "%s", json);
    return true;
}
static bool see_event(syn_job_event *event, void *user)
{
    fixture *f = user;
    f->n_events++;
    (void)snprintf(f->event_text, sizeof f->event_text, "%s", syn_text_get(event->text));
    syn_job_event_free(event);
    return true;
}
static bool see_request(const syn_store_request *request, void *user)
{
    fixture *f = user;
    f->n_requests += strcmp(request->id, "r-1") == 0 && request->number == 1;
    return true;
}
static bool see_launch(const syn_store_launch *launch, void *user)
{
    fixture *f = user;
    f->n_launches += launch->pid == 4711 && launch->start_ticks == UINT64_MAX;
    return true;
}
static bool see_outcome(const syn_store_outcome *outcome, void *user)
{
    fixture *f = user;
    f->n_outcomes += outcome->rank == 3 && outcome->state == SYN_JOB_FAILED;
    return true;
}

static void load(fixture *f)
{
    const syn_store_visitor visitor = {see_job,    see_spec,    see_event, see_request,
                                       see_launch, see_outcome, f};
    assert_int_equal(syn_store_load(f->store, &visitor), SYN_OK);
}

static void what_was_committed_is_there_after_a_reopening(void **state)
{
    fixture *f = *state;
    open_store(f, 0);
    assert_true(syn_store_is_new(f->store));
    syn_change *change = change_of(f, 1);
    syn_job_record *r = change->record;
    assert_true(syn_text_set(&r->name, "caf\xc3\xa9 \xff"));
    r->priority = -7;
    r->epoch = UINT64_MAX;
    r->time_limit_s = 1.5;
    r->progress.has_loss = true;
    r->progress.train_loss = (double)NAN;
    r->failure.phase = SYN_PHASE_AGREE;
    assert_true(syn_job_record_set_metric(r, "test_accuracy", 0.975));
    assert_true(syn_job_record_set_metric(r, "val_loss", (double)NAN));
    change->spec_json = syn_strdup("{\"name\": 1}");
    change->events[change->n_events++] = syn_calloc(1, sizeof(syn_job_event));
    *change->events[0] = (syn_job_event){
        .sequence = 9, .number = 1, .to = SYN_JOB_QUEUED, .text = syn_strdup("a sentence")};
    change->has_request = change->has_launch = change->has_outcome = true;
    change->request = (syn_store_request){.id = "r-1", .method = "SubmitJob", .number = 1};
    change->launch =
        (syn_store_launch){.number = 1, .epoch = 2, .pid = 4711, .start_ticks = UINT64_MAX};
    change->outcome =
        (syn_store_outcome){.number = 1, .epoch = 2, .rank = 3, .state = SYN_JOB_FAILED};

    syn_store_commit(f->store, change);
    wait_for(f, 1);
    close_store(f);
    open_store(f, 0);
    load(f);

    assert_false(syn_store_is_new(f->store));
    assert_int_equal(f->n_refused, 0);
    assert_int_equal(f->n_jobs, 1);
    assert_string_equal(f->last->name, "caf\xc3\xa9 \xff");
    assert_int_equal(f->last->priority, -7);
    assert_true(f->last->epoch == UINT64_MAX);
    assert_true(f->last->time_limit_s == 1.5);
    assert_true(isnan(f->last->progress.train_loss));
    assert_int_equal(f->last->failure.phase, SYN_PHASE_AGREE);
    assert_null(f->last->run_dir);
    assert_int_equal(f->last->n_metrics, 2);
    assert_string_equal(f->last->metrics[0].name, "test_accuracy");
    assert_true(f->last->metrics[0].value == 0.975);
    assert_true(isnan(f->last->metrics[1].value));
    assert_string_equal(f->spec, "{\"name\": 1}");
    assert_string_equal(f->event_text, "a sentence");
    assert_int_equal(f->n_requests + f->n_launches + f->n_outcomes, 3);
    close_store(f);
}

static void many_waiting_changes_share_commits_and_are_answered_in_order(void **state)
{
    fixture *f = *state;
    char expected[4096] = "";
    open_store(f, 0);
    for (uint64_t n = 1; n <= 500; n++) {
        size_t length = strlen(expected);
        (void)snprintf(expected + length, sizeof expected - length, "%llu ", (unsigned long long)n);
        syn_store_commit(f->store, change_of(f, n));
    }

    wait_for(f, 500);

    assert_string_equal(f->order, expected);
    assert_true(syn_store_commit_seconds(f->store)->n < 100);
    close_store(f);
}

static void closing_commits_what_waits(void **state)
{
    fixture *f = *state;
    open_store(f, 0);
    for (uint64_t n = 1; n <= 20; n++)
        syn_store_commit(f->store, change_of(f, n));

    close_store(f);

    assert_int_equal(f->n_done, 20);
    assert_int_equal(f->n_refused, 0);
    open_store(f, 0);
    load(f);
    assert_int_equal(f->n_jobs, 20);
    close_store(f);
}

static void the_later_change_of_a_job_wins(void **state)
{
    fixture *f = *state;
    open_store(f, 0);
    for (int i = 0; i < 3; i++) {
        syn_change *change = change_of(f, 1);
        change->record->version = (uint64_t)i;
        (void)syn_job_record_set_metric(change->record, "loss", i);
        syn_store_commit(f->store, change);
    }

    wait_for(f, 3);
    close_store(f);
    open_store(f, 0);
    load(f);

    assert_int_equal(f->n_jobs, 1);
    assert_int_equal(f->last->version, 2);
    assert_true(f->last->metrics[0].value == 2);
    close_store(f);
}

/* A job with a description too large for what is left. */
static syn_change *large_change(fixture *f, uint64_t number)
{
    syn_change *change = change_of(f, number);
    change->spec_json = syn_malloc(600001);
    memset(change->spec_json, 'x', 600000);
    change->spec_json[600000] = '\0';
    change->may_refuse = true;
    return change;
}

static void a_full_disk_refuses_the_submission_and_says_so(void **state)
{
    fixture *f = *state;
    open_store(f, 100);

    syn_store_commit(f->store, large_change(f, 1));
    wait_for(f, 1);

    assert_int_equal(f->n_refused, 1);
    assert_non_null(strstr(f->refusal, "full"));
    assert_non_null(strstr(f->refusal, f->dir));
    assert_non_null(syn_store_degraded(f->store));
    syn_change *small = change_of(f, 2);
    small->may_refuse = true;
    syn_store_commit(f->store, small);
    wait_for(f, 2);
    assert_int_equal(f->n_refused, 1);
    assert_null(syn_store_degraded(f->store));
    close_store(f);
    open_store(f, 0);
    load(f);
    assert_int_equal(f->n_jobs, 1); /* of the refused one nothing is left */
    assert_int_equal(f->last->number, 2);
    close_store(f);
}

static void a_change_that_cannot_be_refused_waits_for_room(void **state)
{
    fixture *f = *state;
    open_store(f, 100);
    syn_change *stubborn = large_change(f, 1);
    stubborn->may_refuse = false;

    syn_store_commit(f->store, stubborn);
    syn_store_commit(f->store, large_change(f, 2));
    wait_for(f, 1);

    assert_string_equal(f->order, "2 "); /* only the refusable one was answered */
    close_store(f);
    assert_int_equal(f->n_done, 2);
    assert_int_equal(f->n_refused, 2);
}

static void on_broken(const char *sentence, void *user)
{
    fixture *f = user;
    (void)snprintf(f->broken, sizeof f->broken, "%s", sentence);
}

static void an_input_output_error_is_the_end_of_the_store(void **state)
{
    fixture *f = *state;
    const syn_store_options options = {
        .dir = f->dir, .loop = &f->loop, .on_broken = on_broken, .user = f};
    struct rlimit before, small;
    assert_int_equal(syn_store_open(&options, &f->store), SYN_OK);
    syn_store_commit(f->store, change_of(f, 1));
    wait_for(f, 1);
    /* No file may grow beyond this: the writes of the log fail, and not because the disk is full.
     */
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 100000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);

    syn_store_commit(f->store, large_change(f, 2));
    while (!f->broken[0])
        (void)uv_run(&f->loop, UV_RUN_ONCE);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);

    assert_int_equal(f->n_refused, 1);
    assert_non_null(strstr(f->broken, "coordinator.db"));
    syn_store_commit(f->store, change_of(f, 3)); /* nothing is taken any more */
    wait_for(f, 3);
    assert_int_equal(f->n_refused, 2);
    close_store(f);
    open_store(f, 0);
    load(f);
    assert_true(f->n_jobs >= 1); /* what was acknowledged is there */
    close_store(f);
}

static bool has_file_with(const char *dir, const char *part)
{
    bool found = false;
    DIR *handle = opendir(dir);
    for (struct dirent *entry; (entry = readdir(handle));)
        found = found || strstr(entry->d_name, part);
    (void)closedir(handle);
    return found;
}

static void a_damaged_file_is_moved_aside_and_a_new_one_begun(void **state)
{
    fixture *f = *state;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/coordinator.db", f->dir);
    assert_int_equal(syn_file_write_atomic(path, "this is no database at all, is it?", 34), SYN_OK);

    open_store(f, 0);
    load(f);

    assert_true(syn_store_is_new(f->store));
    assert_int_equal(f->n_jobs, 0);
    assert_true(has_file_with(f->dir, "coordinator.db.damaged-"));
    syn_store_commit(f->store, change_of(f, 1));
    wait_for(f, 1);
    assert_int_equal(f->n_refused, 0);
    close_store(f);
}

static void a_file_with_torn_pages_is_moved_aside(void **state)
{
    fixture *f = *state;
    char path[128], junk[8192];
    (void)snprintf(path, sizeof path, "%s/coordinator.db", f->dir);
    open_store(f, 0);
    for (uint64_t n = 1; n <= 200; n++)
        syn_store_commit(f->store, change_of(f, n));
    wait_for(f, 200);
    close_store(f);
    memset(junk, 0xa5, sizeof junk);
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, junk, sizeof junk, 8192), (ssize_t)sizeof junk);
    (void)close(fd);

    open_store(f, 0);

    assert_true(syn_store_is_new(f->store));
    assert_true(has_file_with(f->dir, ".damaged-"));
    close_store(f);
}

/* Copies <from>/<name> to <to>/<name> without its last `cut` bytes. */
static void copy_file(const char *from, const char *to, const char *name, size_t cut)
{
    char *source = syn_path_join(from, name), *target = syn_path_join(to, name), *bytes = NULL;
    size_t size = 0;
    assert_int_equal(syn_file_read(source, 1 << 24, &bytes, &size), SYN_OK);
    assert_true(size > cut);
    assert_int_equal(syn_file_write_atomic(target, bytes, size - cut), SYN_OK);
    syn_free(source);
    syn_free(target);
    syn_free(bytes);
}

static void a_cut_off_log_loses_only_what_was_cut(void **state)
{
    fixture *f = *state;
    char crashed[] = "/tmp/syn-store-XXXXXX", dir[64];
    assert_non_null(mkdtemp(crashed));
    open_store(f, 0);
    syn_store_commit(f->store, change_of(f, 1));
    wait_for(f, 1);
    syn_store_commit(f->store, change_of(f, 2));
    wait_for(f, 2);
    /* the files as a power cut would leave them, with the last page of the log half written */
    copy_file(f->dir, crashed, "coordinator.db", 0);
    copy_file(f->dir, crashed, "coordinator.db-wal", 100);
    close_store(f);

    memcpy(dir, f->dir, sizeof dir);
    memcpy(f->dir, crashed, sizeof crashed);
    open_store(f, 0);
    load(f);

    assert_false(syn_store_is_new(f->store));
    assert_int_equal(f->n_jobs, 1);
    assert_int_equal(f->last->number, 1);
    close_store(f);
    memcpy(f->dir, dir, sizeof dir);
    assert_int_equal(syn_dir_remove(crashed), SYN_OK);
}

static void a_row_that_makes_no_sense_is_left_alone(void **state)
{
    fixture *f = *state;
    open_store(f, 0);
    for (uint64_t n = 1; n <= 3; n++) {
        syn_change *change = change_of(f, n);
        if (n == 2)
            change->record->state = (syn_job_state)77;
        syn_store_commit(f->store, change);
    }
    wait_for(f, 3);
    close_store(f);

    open_store(f, 0);
    load(f);

    assert_int_equal(f->n_jobs, 2);
    assert_int_equal(f->last->number, 3);
    close_store(f);
}

static void one_coordinator_has_the_folder(void **state)
{
    fixture *f = *state;
    int first = -1, second = -1, status, go[2], told[2];
    char byte = 0, expected[64];
    assert_int_equal(pipe(go) + pipe(told), 0);
    pid_t child = fork();
    if (child == 0) {
        syn_status locked = syn_store_lock(f->dir, &first);
        (void)!write(told[1], &byte, 1);
        (void)!read(go[0], &byte, 1);
        _exit(locked == SYN_OK ? 0 : 1);
    }
    assert_int_equal(read(told[0], &byte, 1), 1);

    assert_int_equal(syn_store_lock(f->dir, &second), SYN_FAILED_PRECONDITION);

    (void)snprintf(expected, sizeof expected, "pid %ld", (long)child);
    assert_non_null(strstr(syn_error_message(), expected));
    assert_int_equal(write(go[1], &byte, 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(syn_store_lock(f->dir, &second), SYN_OK); /* its end let go of it */
    syn_store_unlock(f->dir, second);
    for (int i = 0; i < 2; i++)
        (void)(close(go[i]) + close(told[i]));
}

static void job_ids_are_read_back_and_nothing_else_is(void **state)
{
    (void)state;
    char id[SYN_JOB_ID_MAX];
    assert_string_equal(syn_job_id_format(id, 1), "j-000001");
    assert_string_equal(syn_job_id_format(id, 12345678), "j-12345678");
    assert_int_equal(syn_job_id_parse("j-000001"), 1);
    assert_int_equal(syn_job_id_parse("j-12345678"), 12345678);
    const char *const bad[] = {"",
                               "j",
                               "j-",
                               "j-1",
                               "j-00000a",
                               "k-000001",
                               "j-0012345678",
                               "j-000001 ",
                               "j-99999999999999999999999",
                               "j-000000",
                               "j--00001"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(syn_job_id_parse(bad[i]), 0);
}

static void a_copy_without_memory_is_no_copy(void **state)
{
    (void)state;
    syn_job_record record = {.number = 1};
    assert_true(syn_text_set(&record.name, "x"));
    assert_true(syn_text_set(&record.failure.message, "y"));
    assert_true(syn_job_record_set_metric(&record, "m", 1));
    for (long n = 1;; n++) {
        syn_mem_fail_after(n);
        syn_job_record *copy = syn_job_record_copy(&record);
        bool has_failed = syn_mem_has_failed();
        syn_mem_fail_after(0);
        if (!has_failed) {
            assert_string_equal(copy->failure.message, "y");
            syn_job_record_free(copy);
            break;
        }
        assert_null(copy);
    }
    syn_job_record_release(&record);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_committed_is_there_after_a_reopening),
        TEST(many_waiting_changes_share_commits_and_are_answered_in_order),
        TEST(closing_commits_what_waits),
        TEST(the_later_change_of_a_job_wins),
        TEST(a_full_disk_refuses_the_submission_and_says_so),
        TEST(a_change_that_cannot_be_refused_waits_for_room),
        TEST(an_input_output_error_is_the_end_of_the_store),
        TEST(a_damaged_file_is_moved_aside_and_a_new_one_begun),
        TEST(a_file_with_torn_pages_is_moved_aside),
        TEST(a_cut_off_log_loses_only_what_was_cut),
        TEST(a_row_that_makes_no_sense_is_left_alone),
        TEST(one_coordinator_has_the_folder),
        cmocka_unit_test(job_ids_are_read_back_and_nothing_else_is),
        cmocka_unit_test(a_copy_without_memory_is_no_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
