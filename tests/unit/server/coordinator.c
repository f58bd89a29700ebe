/* The coordinator as a whole: it starts, says where, refuses what is in its way, and ends when
 * told. */
#include "server/coordinator.h"

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/rpc/methods.h"
#include "syncline/v1/cluster.pb-c.h"
#include "syncline/v1/jobs.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

typedef struct fixture {
    char dir[64], state_dir[128], address[160], bound[256], http[256];
    syn_coordinator_options options;
    int ready_fd, stop_fd;
    bool is_ready;
    pthread_t thread;
    syn_status status;
    char sentence[1024];
} fixture;

static void on_ready(void *user, const char *grpc_address, const char *http_address)
{
    fixture *f = user;
    (void)snprintf(f->bound, sizeof f->bound, "%s", grpc_address);
    (void)snprintf(f->http, sizeof f->http, "%s", http_address ? http_address : "");
    f->is_ready = true;
    (void)eventfd_write(f->ready_fd, 1);
}

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/syn-coord-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->state_dir, sizeof f->state_dir, "%s/deep/state", f->dir);
    (void)snprintf(f->address, sizeof f->address, "unix://%s/socket", f->dir);
    f->ready_fd = eventfd(0, EFD_CLOEXEC);
    f->stop_fd = eventfd(0, EFD_CLOEXEC);
    f->options = (syn_coordinator_options){.state_dir = f->state_dir,
                                           .listen = f->address,
                                           .slots = 2,
                                           .is_private = true,
                                           .stop_fd = f->stop_fd,
                                           .on_ready = on_ready,
                                           .user = f};
    syn_log_set_level(SYN_LOG_ERROR);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    (void)close(f->ready_fd);
    (void)close(f->stop_fd);
    (void)syn_dir_remove(f->dir);
    free(f);
    return 0;
}

static void *run(void *user)
{
    fixture *f = user;
    f->status = syn_coordinator_run(&f->options);
    (void)snprintf(f->sentence, sizeof f->sentence, "%s", syn_error_message());
    (void)eventfd_write(f->ready_fd, 1);
    return NULL;
}

static void start(fixture *f)
{
    eventfd_t value;
    assert_int_equal(pthread_create(&f->thread, NULL, run, f), 0);
    assert_int_equal(eventfd_read(f->ready_fd, &value), 0);
}

static void stop(fixture *f)
{
    eventfd_t value;
    assert_int_equal(eventfd_write(f->stop_fd, 1), 0);
    assert_int_equal(pthread_join(f->thread, NULL), 0);
    (void)eventfd_read(f->stop_fd, &value);
    (void)eventfd_read(f->ready_fd, &value); /* of its end */
    f->is_ready = false;
}

static ProtobufCMessage *call(const char *address, const syn_rpc_method *method,
                              const ProtobufCMessage *request, syn_status *status_out)
{
    syn_rpc_blocking *client;
    ProtobufCMessage *response = NULL;
    assert_int_equal(syn_rpc_blocking_new(address, &client), SYN_OK);
    *status_out = syn_rpc_blocking_call(client, method, request, 10000, &response);
    syn_rpc_blocking_free(client);
    return *status_out == SYN_OK ? response : NULL;
}

static void it_starts_in_a_new_folder_answers_and_ends_when_told(void **state)
{
    fixture *f = *state;
    Syncline__V1__GetClusterRequest request = SYNCLINE__V1__GET_CLUSTER_REQUEST__INIT;
    syn_status status;
    f->options.http_listen = "127.0.0.1:0";
    start(f);

    assert_true(f->is_ready);
    assert_string_equal(f->bound, f->address);
    assert_true(strncmp(f->http, "127.0.0.1:", 10) == 0);
    Syncline__V1__GetClusterResponse *answer = (Syncline__V1__GetClusterResponse *)call(
        f->bound, &syn_rpc_cluster_get_cluster, &request.base, &status);
    assert_int_equal(status, SYN_OK);
    assert_int_equal(answer->slots, 2);
    syn_wire_free(&answer->base);
    stop(f);

    assert_int_equal(f->status, SYN_OK);
    start(f); /* the lock, the socket and the store are free again */
    assert_true(f->is_ready);
    stop(f);
    assert_int_equal(f->status, SYN_OK);
}

static void a_second_one_in_the_same_folder_is_refused_with_the_pid(void **state)
{
    fixture *f = *state;
    char other[200], expected[64];
    start(f);
    syn_coordinator_options options = f->options;
    (void)snprintf(other, sizeof other, "%s2", f->address);
    options.listen = other;

    assert_int_equal(syn_coordinator_run(&options), SYN_FAILED_PRECONDITION);

    (void)snprintf(expected, sizeof expected, "pid %ld", (long)getpid());
    assert_non_null(strstr(syn_error_message(), expected));
    assert_non_null(strstr(syn_error_message(), f->state_dir));
    stop(f);
}

static void what_is_in_its_way_is_one_sentence(void **state)
{
    fixture *f = *state;
    char path[200];
    syn_coordinator_options options = f->options;

    options.listen = "nonsense:port";
    assert_int_not_equal(syn_coordinator_run(&options), SYN_OK);
    assert_non_null(strstr(syn_error_message(), "nonsense:port"));
    options.listen = f->address;
    options.http_listen = "nonsense";
    assert_int_equal(syn_coordinator_run(&options), SYN_INVALID_ARGUMENT);
    assert_non_null(strstr(syn_error_message(), "nonsense"));
    options.http_listen = NULL;
    (void)snprintf(path, sizeof path, "%s/file", f->dir);
    assert_int_equal(syn_file_write_atomic(path, "x", 1), SYN_OK);
    options.state_dir = path;
    assert_int_not_equal(syn_coordinator_run(&options), SYN_OK);
    assert_non_null(strstr(syn_error_message(), path));
    options.state_dir = "";
    assert_int_equal(syn_coordinator_run(&options), SYN_INVALID_ARGUMENT);
}

static void an_address_that_a_living_process_has_is_refused(void **state)
{
    fixture *f = *state;
    char folder[200];
    start(f);
    syn_coordinator_options options = f->options;
    (void)snprintf(folder, sizeof folder, "%s/other", f->dir);
    options.state_dir = folder;

    assert_int_not_equal(syn_coordinator_run(&options), SYN_OK);

    assert_non_null(strstr(syn_error_message(), "socket"));
    stop(f);
}

static void fill_submit(Syncline__V1__SubmitJobRequest *submit, const char *request_id)
{
    static const char text[] = "name: x\nmodel: {kind: mlp, hidden: [4]}\ndata: {kind: digits}\n"
                               "train: {max_steps: 1}\n";
    syncline__v1__submit_job_request__init(submit);
    submit->request_id = (char *)request_id;
    submit->job_file = (ProtobufCBinaryData){.len = sizeof text - 1, .data = (uint8_t *)text};
}

static void a_broken_disk_ends_it_with_one_sentence_and_the_next_start_goes_on(void **state)
{
    fixture *f = *state;
    Syncline__V1__SubmitJobRequest submit;
    struct rlimit before, small;
    syn_status status;
    int n_taken = 0;
    f->options.slots = -1;
    f->options.is_private = false;
    start(f);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 400000; /* the log cannot grow beyond */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);

    do {
        char id[32];
        (void)snprintf(id, sizeof id, "r-%d", n_taken);
        fill_submit(&submit, id);
        syn_wire_free(call(f->bound, &syn_rpc_jobs_submit_job, &submit.base, &status));
        n_taken += status == SYN_OK;
    } while (status == SYN_OK);
    assert_int_equal(pthread_join(f->thread, NULL), 0); /* by itself */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);

    assert_int_equal(status, SYN_UNAVAILABLE);
    assert_int_equal(f->status, SYN_UNAVAILABLE);
    assert_non_null(strstr(f->sentence, "coordinator.db"));
    assert_non_null(strstr(f->sentence, "next start"));
    eventfd_t value;
    (void)eventfd_read(f->ready_fd, &value);
    f->options.is_private = true;
    start(f);
    fill_submit(&submit, "r-0");
    Syncline__V1__SubmitJobResponse *again = (Syncline__V1__SubmitJobResponse *)call(
        f->bound, &syn_rpc_jobs_submit_job, &submit.base, &status);
    assert_int_equal(status, SYN_OK);
    assert_string_equal(again->job->job_id,
                        "j-000001"); /* acknowledged before, and still the same */
    syn_wire_free(&again->base);
    stop(f);
    assert_true(n_taken > 0);
}

static void a_watched_job_does_not_keep_it_from_ending(void **state)
{
    fixture *f = *state;
    Syncline__V1__SubmitJobRequest submit;
    Syncline__V1__WatchJobsRequest watch = SYNCLINE__V1__WATCH_JOBS_REQUEST__INIT;
    syn_rpc_blocking *client;
    syn_rpc_blocking_stream *stream;
    ProtobufCMessage *message;
    syn_status status;
    bool is_end;
    f->options.slots = -1;
    start(f);
    fill_submit(&submit, "r");
    syn_wire_free(call(f->bound, &syn_rpc_jobs_submit_job, &submit.base, &status));
    assert_int_equal(status, SYN_OK);
    assert_int_equal(syn_rpc_blocking_new(f->bound, &client), SYN_OK);
    assert_int_equal(
        syn_rpc_blocking_open(client, &syn_rpc_jobs_watch_jobs, &watch.base, 0, &stream), SYN_OK);
    assert_int_equal(syn_rpc_blocking_next(stream, 10000, &message, &is_end), SYN_OK);
    syn_wire_free(message);

    stop(f);

    /* A private coordinator cancels what waits: the watcher sees it, then the end. */
    int n_cancelled = 0;
    while ((status = syn_rpc_blocking_next(stream, 10000, &message, &is_end)) == SYN_OK &&
           message) {
        const Syncline__V1__WatchJobsResponse *r = (const Syncline__V1__WatchJobsResponse *)message;
        n_cancelled += r->event && r->event->to == SYNCLINE__V1__JOB_STATE__JOB_STATE_CANCELLED;
        syn_wire_free(message);
    }
    assert_int_equal(n_cancelled, 1);
    assert_int_equal(status, SYN_UNAVAILABLE);
    syn_rpc_blocking_close(stream);
    syn_rpc_blocking_free(client);
    assert_int_equal(f->status, SYN_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_starts_in_a_new_folder_answers_and_ends_when_told),
        TEST(a_second_one_in_the_same_folder_is_refused_with_the_pid),
        TEST(what_is_in_its_way_is_one_sentence),
        TEST(an_address_that_a_living_process_has_is_refused),
        TEST(a_broken_disk_ends_it_with_one_sentence_and_the_next_start_goes_on),
        TEST(a_watched_job_does_not_keep_it_from_ending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
