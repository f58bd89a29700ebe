/* WatchJobs, TailLogs, and what a client may ask otherwise, over a socket. */
#include "tests/unit/server/house.h"

static int setup(void **state)
{
    *state = house_new();
    return 0;
}

static int teardown(void **state)
{
    house_free(*state);
    return 0;
}

/* A server stream as it was received. */
typedef struct stream {
    syn_rpc_client_call *call;
    bool has_ended;
    syn_status status;
    int n, n_last, n_progress;
    uint64_t sequences[64];
    int states[64];
    syn_str bytes;
    uint64_t next_offset;
    bool has_gap;
    int final_state;
} stream;

static void on_watch(syn_rpc_client_call *call, const ProtobufCMessage *message, void *user)
{
    const Syncline__V1__WatchJobsResponse *r = (const Syncline__V1__WatchJobsResponse *)message;
    stream *s = user;
    (void)call;
    assert_non_null(r->job);
    if (r->event && s->n < 64) {
        s->sequences[s->n] = r->event->sequence;
        s->states[s->n++] = (int)r->event->to;
    }
    s->n_progress += !r->event && !r->is_last;
    s->n_last += r->is_last;
}

static void on_tail(syn_rpc_client_call *call, const ProtobufCMessage *message, void *user)
{
    const Syncline__V1__TailLogsResponse *r = (const Syncline__V1__TailLogsResponse *)message;
    stream *s = user;
    (void)call;
    s->has_gap = s->has_gap || r->offset != s->next_offset;
    s->next_offset = r->offset + r->data.len;
    syn_str_append_n(&s->bytes, r->data.data, r->data.len);
    s->n++;
    s->n_last += r->is_last;
    s->final_state = (int)r->final_state;
}

static void on_end(syn_rpc_client_call *call, syn_status status, const char *message, void *user)
{
    stream *s = user;
    (void)call, (void)message;
    s->has_ended = true;
    s->status = status;
}

static const syn_rpc_client_handler watch_handler = {.on_message = on_watch, .on_end = on_end};
static const syn_rpc_client_handler tail_handler = {.on_message = on_tail, .on_end = on_end};

static void start(house *h, stream *s, const syn_rpc_method *method,
                  const syn_rpc_client_handler *handler, const ProtobufCMessage *request)
{
    assert_int_equal(syn_rpc_client_start(h->channel, method, handler, s, 0, &s->call), SYN_OK);
    assert_int_equal(syn_rpc_client_send(s->call, request), SYN_OK);
    syn_rpc_client_half_close(s->call);
}

static void watch(house *h, stream *s, const char *job_id, uint64_t after, uint32_t interval_ms)
{
    Syncline__V1__WatchJobsRequest request = SYNCLINE__V1__WATCH_JOBS_REQUEST__INIT;
    request.job_id = (char *)job_id;
    request.after_sequence = after;
    request.progress_interval_ms = interval_ms;
    start(h, s, &syn_rpc_jobs_watch_jobs, &watch_handler, &request.base);
}

static void tail(house *h, stream *s, const char *job_id, uint64_t offset, bool follow,
                 bool launcher)
{
    Syncline__V1__TailLogsRequest request = SYNCLINE__V1__TAIL_LOGS_REQUEST__INIT;
    request.job_id = (char *)job_id;
    request.offset = s->next_offset = offset;
    request.follow = follow;
    if (launcher) {
        request.source_case = SYNCLINE__V1__TAIL_LOGS_REQUEST__SOURCE_LAUNCHER;
        request.launcher = true;
    }
    start(h, s, &syn_rpc_jobs_tail_logs, &tail_handler, &request.base);
}

static void wait_end(house *h, stream *s)
{
    while (!s->has_ended)
        house_turn(h);
}

static void run_job(house *h, uint32_t n_ranks, char job_id[32], rank *ranks)
{
    int before = n_launches;
    house_submit(h, n_ranks, job_id);
    house_wait_launch(h, before + 1);
    ranks_start(h, n_launches - 1, ranks, job_id);
    for (uint32_t r = 0; r < n_ranks; r++)
        rank_report(&ranks[r], job_id, launches[n_launches - 1].epoch, 5, SYN_PHASE_FORWARD);
    house_wait(h, job_id, SYN_JOB_RUNNING);
}

static void finish_job(house *h, const char *job_id, rank *ranks, uint32_t n)
{
    ranks_succeed(ranks, n, job_id, launches[n_launches - 1].epoch);
    end_launch(n_launches - 1, 0);
    house_wait(h, job_id, SYN_JOB_SUCCEEDED);
    ranks_vanish(ranks, n);
}

static void a_watch_sees_every_transition_and_ends_with_the_last(void **state)
{
    house *h = *state;
    rank ranks[1];
    char job_id[32];
    stream early = {0}, late = {0}, resumed = {0}, after = {0};
    house_open(h);
    house_submit(h, 1, job_id);
    watch(h, &early, job_id, 0, 0);
    house_wait_launch(h, 1);
    ranks_start(h, 0, ranks, "a");
    finish_job(h, job_id, ranks, 1);
    watch(h, &late, job_id, 0, 0);
    watch(h, &resumed, job_id, 3, 0);
    watch(h, &after, job_id, 5, 0);

    stream *all[] = {&early, &late, &resumed, &after};
    const int n_expected[] = {5, 5, 2, 0};
    for (int i = 0; i < 4; i++) {
        wait_end(h, all[i]);
        assert_int_equal(all[i]->status, SYN_OK);
        assert_int_equal(all[i]->n, n_expected[i]);
        assert_int_equal(all[i]->n_last, 1);
    }
    for (int i = 0; i < 5; i++) {
        assert_int_equal(early.sequences[i], i + 1);
        assert_int_equal(early.states[i], late.states[i]);
    }
    assert_int_equal(early.states[4], SYN_JOB_SUCCEEDED);
    assert_int_equal(resumed.sequences[0], 4);
    house_close(h);
}

static void a_watch_of_all_jobs_goes_on_over_their_ends(void **state)
{
    house *h = *state;
    rank ranks[1];
    char first[32], second[32];
    stream s = {0};
    house_open(h);
    watch(h, &s, "", 0, 0);
    run_job(h, 1, first, ranks);
    finish_job(h, first, ranks, 1);
    run_job(h, 1, second, ranks);
    finish_job(h, second, ranks, 1);

    while (s.n < 10)
        house_turn(h);

    assert_int_equal(s.n_last, 0);
    assert_false(s.has_ended);
    for (int i = 0; i < 10; i++)
        assert_int_equal(s.sequences[i], i + 1);
    syn_rpc_client_cancel(s.call);
    wait_end(h, &s);
    house_close(h);
}

static void progress_comes_between_the_events(void **state)
{
    house *h = *state;
    rank ranks[1];
    char job_id[32];
    stream s = {0};
    house_open(h);
    run_job(h, 1, job_id, ranks);
    watch(h, &s, job_id, 0, 1);
    while (s.n < 4)
        house_turn(h);

    for (uint64_t step = 6; s.n_progress < 3; step++) {
        int before = s.n_progress;
        rank_report(&ranks[0], job_id, 1, step, SYN_PHASE_FORWARD);
        while (s.n_progress == before)
            house_turn(h);
    }

    finish_job(h, job_id, ranks, 1);
    wait_end(h, &s);
    assert_int_equal(s.n_last, 1);
    house_close(h);
}

static void watches_and_logs_of_unknown_jobs_are_not_found(void **state)
{
    house *h = *state;
    stream s = {0}, t = {0};
    house_open(h);

    watch(h, &s, "j-000001", 0, 0);
    tail(h, &t, "nonsense", 0, true, false);
    wait_end(h, &s);
    wait_end(h, &t);

    assert_int_equal(s.status, SYN_NOT_FOUND);
    assert_int_equal(t.status, SYN_NOT_FOUND);
    house_close(h);
}

static void append(const char *run_dir, const char *folder, const char *name, const char *text)
{
    char path[400];
    (void)snprintf(path, sizeof path, "%s/%s", run_dir, folder);
    assert_int_equal(syn_dir_make(path), SYN_OK);
    (void)snprintf(path, sizeof path, "%s/%s/%s", run_dir, folder, name);
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void a_followed_log_ends_only_with_the_job_and_loses_nothing(void **state)
{
    house *h = *state;
    rank ranks[1];
    char job_id[32], line[32];
    stream s = {0};
    house_open(h);
    run_job(h, 1, job_id, ranks);
    tail(h, &s, job_id, 0, true, false); /* there is no file yet */

    for (int i = 0; i < 50; i++) {
        (void)snprintf(line, sizeof line, "line %d\n", i);
        append(ranks[0].run_dir, "logs", "rank-0.log", line);
        house_turn(h);
        assert_false(s.has_ended);
    }
    while (s.bytes.length < 100)
        house_turn(h);
    append(ranks[0].run_dir, "logs", "rank-0.log", "the last words\xff\n"); /* not UTF-8 */
    finish_job(h, job_id, ranks, 1);
    wait_end(h, &s);

    assert_int_equal(s.status, SYN_OK);
    assert_int_equal(s.n_last, 1);
    assert_int_equal(s.final_state, SYN_JOB_SUCCEEDED);
    assert_false(s.has_gap);
    assert_true(syn_has_prefix(syn_str_get(&s.bytes), "line 0\nline 1\n"));
    assert_true(syn_has_suffix(syn_str_get(&s.bytes), "line 49\nthe last words\xff\n"));
    syn_str_release(&s.bytes);
    house_close(h);
}

static void a_log_is_resumed_at_its_offset(void **state)
{
    house *h = *state;
    rank ranks[1];
    char job_id[32];
    stream s = {0}, beyond = {0};
    house_open(h);
    run_job(h, 1, job_id, ranks);
    append(ranks[0].run_dir, "logs", "rank-0.log", "0123456789");

    tail(h, &s, job_id, 4, false, false);
    tail(h, &beyond, job_id, 1000, false, false);
    wait_end(h, &s);
    wait_end(h, &beyond);

    assert_string_equal(syn_str_get(&s.bytes), "456789");
    assert_int_equal(s.n_last, 1);
    assert_int_equal(s.final_state, 0); /* the job has not ended */
    assert_int_equal(beyond.bytes.length, 0);
    assert_int_equal(beyond.n_last, 1);
    syn_str_release(&beyond.bytes);
    syn_str_release(&s.bytes);
    finish_job(h, job_id, ranks, 1);
    house_close(h);
}

static void the_launchers_log_runs_over_all_attempts(void **state)
{
    house *h = *state;
    rank ranks[1];
    char job_id[32];
    stream s = {0};
    house_open(h);
    run_job(h, 1, job_id, ranks);
    append(ranks[0].run_dir, "attempt-1", "launcher.log", "first\n");
    tail(h, &s, job_id, 0, true, true);
    while (s.bytes.length < 6)
        house_turn(h);

    end_launch_by_signal(0, 0, 9);
    ranks_vanish(ranks, 1);
    house_wait_launch(h, 2);
    append(ranks[0].run_dir, "attempt-2", "launcher.log", "second\n");
    ranks_start(h, 1, ranks, "b");
    finish_job(h, job_id, ranks, 1);
    wait_end(h, &s);

    assert_string_equal(syn_str_get(&s.bytes), "first\nsecond\n");
    assert_false(s.has_gap);
    syn_str_release(&s.bytes);
    house_close(h);
}

static void a_long_log_comes_whole_to_a_slow_reader(void **state)
{
    house *h = *state;
    rank ranks[1];
    char job_id[32];
    stream s = {0};
    enum { BLOCK = 1 << 16, N = 64 };
    char *block = malloc(BLOCK + 1);
    house_open(h);
    run_job(h, 1, job_id, ranks);
    for (int i = 0; i < N; i++) {
        memset(block, 'a' + i % 26, BLOCK);
        block[BLOCK] = '\0';
        append(ranks[0].run_dir, "logs", "rank-0.log", block);
    }

    tail(h, &s, job_id, 0, false, false);
    wait_end(h, &s);

    assert_int_equal(s.bytes.length, (size_t)BLOCK * N);
    for (int i = 0; i < N; i++)
        assert_int_equal(s.bytes.data[(size_t)BLOCK * (size_t)i + 1], 'a' + i % 26);
    assert_false(s.has_gap);
    syn_str_release(&s.bytes);
    free(block);
    finish_job(h, job_id, ranks, 1);
    house_close(h);
}

static void jobs_are_listed_newest_first_in_pages(void **state)
{
    house *h = *state;
    char ids[5][32], after[32] = "";
    h->slots = -1;
    house_open(h);
    for (int i = 0; i < 5; i++)
        house_submit(h, 1, ids[i]);

    int seen = 0;
    for (bool has_more = true; has_more;) {
        Syncline__V1__ListJobsRequest request = SYNCLINE__V1__LIST_JOBS_REQUEST__INIT;
        request.limit = 2;
        request.after_job_id = after;
        Syncline__V1__ListJobsResponse *page = (Syncline__V1__ListJobsResponse *)house_call(
            h, &syn_rpc_jobs_list_jobs, &request.base, NULL, NULL);
        assert_true(page->n_jobs <= 2);
        for (size_t i = 0; i < page->n_jobs; i++, seen++)
            assert_string_equal(page->jobs[i]->job_id, ids[4 - seen]);
        (void)snprintf(after, sizeof after, "%s", ids[5 - seen]);
        has_more = page->has_more;
        syn_wire_free(&page->base);
    }

    assert_int_equal(seen, 5);
    house_close(h);
}

static void the_list_can_be_bounded_to_states(void **state)
{
    house *h = *state;
    rank ranks[1];
    char first[32], second[32];
    Syncline__V1__JobState wanted[] = {SYNCLINE__V1__JOB_STATE__JOB_STATE_SUCCEEDED};
    Syncline__V1__ListJobsRequest request = SYNCLINE__V1__LIST_JOBS_REQUEST__INIT;
    house_open(h);
    run_job(h, 1, first, ranks);
    finish_job(h, first, ranks, 1);
    house_submit(h, 1, second);
    request.states = wanted;
    request.n_states = 1;

    Syncline__V1__ListJobsResponse *page = (Syncline__V1__ListJobsResponse *)house_call(
        h, &syn_rpc_jobs_list_jobs, &request.base, NULL, NULL);

    assert_int_equal(page->n_jobs, 1);
    assert_string_equal(page->jobs[0]->job_id, first);
    assert_string_equal(page->jobs[0]->weights_sha256, "abc123");
    syn_wire_free(&page->base);
    house_close(h);
}

static void a_job_is_got_with_its_ranks_and_events(void **state)
{
    house *h = *state;
    rank ranks[2];
    char job_id[32];
    Syncline__V1__GetJobRequest request = SYNCLINE__V1__GET_JOB_REQUEST__INIT;
    house_open(h);
    run_job(h, 2, job_id, ranks);
    request.job_id = job_id;

    Syncline__V1__GetJobResponse *got = (Syncline__V1__GetJobResponse *)house_call(
        h, &syn_rpc_jobs_get_job, &request.base, NULL, NULL);

    assert_int_equal(got->n_events, 4);
    assert_int_equal(got->job->n_rank_statuses, 2);
    assert_int_equal(got->job->rank_statuses[1]->rank, 1);
    assert_int_equal(got->job->rank_statuses[1]->pid, 4001);
    assert_int_equal(got->job->progress->step, 5);
    syn_wire_free(&got->base);
    finish_job(h, job_id, ranks, 2);
    house_close(h);
}

static void the_nodes_say_what_runs_where(void **state)
{
    house *h = *state;
    rank ranks[2], pool = {.house = h, .worker_id = "p", .pool_id = "pool", .n_ranks = 1};
    char job_id[32];
    Syncline__V1__ListNodesRequest request = SYNCLINE__V1__LIST_NODES_REQUEST__INIT;
    Syncline__V1__GetClusterRequest whole = SYNCLINE__V1__GET_CLUSTER_REQUEST__INIT;
    house_open(h);
    run_job(h, 2, job_id, ranks);
    assert_int_equal(rank_register(&pool), SYN_OK);
    rank_open(&pool);
    rank_report(&pool, "", 0, 0, SYN_PHASE_UNSPECIFIED);

    Syncline__V1__ListNodesResponse *nodes = (Syncline__V1__ListNodesResponse *)house_call(
        h, &syn_rpc_cluster_list_nodes, &request.base, NULL, NULL);
    Syncline__V1__GetClusterResponse *cluster = (Syncline__V1__GetClusterResponse *)house_call(
        h, &syn_rpc_cluster_get_cluster, &whole.base, NULL, NULL);

    assert_int_equal(nodes->n_nodes, 2);
    assert_string_equal(nodes->nodes[0]->kind, "local");
    assert_int_equal(nodes->nodes[0]->slots, 4);
    assert_int_equal(nodes->nodes[0]->used, 2);
    assert_string_equal(nodes->nodes[0]->job_ids[0], job_id);
    assert_string_equal(nodes->nodes[1]->pool_id, "pool");
    assert_string_equal(nodes->nodes[1]->state, "up");
    assert_int_equal(nodes->nodes[1]->used, 0);
    assert_int_equal(cluster->slots, 5);
    assert_int_equal(cluster->used, 2);
    assert_int_equal(cluster->n_running, 1);
    syn_wire_free(&nodes->base);
    syn_wire_free(&cluster->base);
    finish_job(h, job_id, ranks, 2);
    ranks_vanish(&pool, 1);
    house_close(h);
}

static void every_method_takes_an_empty_request(void **state)
{
    house *h = *state;
    stream s = {0};
    static const struct {
        const syn_rpc_method *method;
        const ProtobufCMessageDescriptor *request;
        syn_status expected;
    } methods[] = {
        {&syn_rpc_jobs_submit_job, &syncline__v1__submit_job_request__descriptor,
         SYN_INVALID_ARGUMENT},
        {&syn_rpc_jobs_get_job, &syncline__v1__get_job_request__descriptor, SYN_NOT_FOUND},
        {&syn_rpc_jobs_list_jobs, &syncline__v1__list_jobs_request__descriptor, SYN_OK},
        {&syn_rpc_jobs_cancel_job, &syncline__v1__cancel_job_request__descriptor, SYN_NOT_FOUND},
        {&syn_rpc_workers_register_worker, &syncline__v1__register_worker_request__descriptor,
         SYN_INVALID_ARGUMENT},
        {&syn_rpc_workers_report_outcome, &syncline__v1__report_outcome_request__descriptor,
         SYN_NOT_FOUND},
        {&syn_rpc_workers_commit_checkpoint, &syncline__v1__commit_checkpoint_request__descriptor,
         SYN_NOT_FOUND},
        {&syn_rpc_cluster_list_nodes, &syncline__v1__list_nodes_request__descriptor, SYN_OK},
        {&syn_rpc_cluster_get_cluster, &syncline__v1__get_cluster_request__descriptor, SYN_OK},
    };
    house_open(h);
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        ProtobufCMessage *empty;
        syn_status status;
        assert_int_equal(syn_wire_unpack(methods[i].request, "", 0, &empty), SYN_OK);
        syn_wire_free(house_call(h, methods[i].method, empty, &status, NULL));
        if (status != methods[i].expected)
            fail_msg("%s answered %s", methods[i].method->name, syn_status_name(status));
        syn_wire_free(empty);
    }

    tail(h, &s, "", 0, false, false);
    wait_end(h, &s);
    assert_int_equal(s.status, SYN_NOT_FOUND);
    rank nobody = {.house = h};
    rank_open(&nobody);
    rank_report(&nobody, "", 0, 0, SYN_PHASE_UNSPECIFIED);
    while (!nobody.has_ended)
        house_turn(h);
    assert_int_equal(nobody.end_status, SYN_NOT_FOUND);
    house_close(h);
}

static void a_newer_session_of_a_worker_takes_the_place_of_the_older(void **state)
{
    house *h = *state;
    rank ranks[1], again;
    char job_id[32];
    house_open(h);
    run_job(h, 1, job_id, ranks);
    again = ranks[0];

    rank_open(&again);
    rank_report(&again, job_id, 1, 6, SYN_PHASE_FORWARD);
    while (!ranks[0].has_ended)
        house_turn(h);

    assert_int_equal(ranks[0].end_status, SYN_ABORTED);
    assert_false(again.has_ended);
    finish_job(h, job_id, &again, 1);
    house_close(h);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_watch_sees_every_transition_and_ends_with_the_last),
        TEST(a_watch_of_all_jobs_goes_on_over_their_ends),
        TEST(progress_comes_between_the_events),
        TEST(watches_and_logs_of_unknown_jobs_are_not_found),
        TEST(a_followed_log_ends_only_with_the_job_and_loses_nothing),
        TEST(a_log_is_resumed_at_its_offset),
        TEST(the_launchers_log_runs_over_all_attempts),
        TEST(a_long_log_comes_whole_to_a_slow_reader),
        TEST(jobs_are_listed_newest_first_in_pages),
        TEST(the_list_can_be_bounded_to_states),
        TEST(a_job_is_got_with_its_ranks_and_events),
        TEST(the_nodes_say_what_runs_where),
        TEST(every_method_takes_an_empty_request),
        TEST(a_newer_session_of_a_worker_takes_the_place_of_the_older),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
