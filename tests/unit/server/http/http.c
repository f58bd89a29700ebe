/* What browsers and Prometheus get, over a socket. */
#include "tests/unit/server/house.h"

#include "server/http/http.h"

#include <jansson.h>

typedef struct fixture {
    house *house;
    syn_http *http;
} fixture;

static void open_http(fixture *f)
{
    house_open(f->house);
    const syn_http_options options = {.loop = &f->house->loop,
                                      .listen = "127.0.0.1:0",
                                      .jobs = f->house->jobs,
                                      .store = f->house->store,
                                      .services = f->house->services,
                                      .server = f->house->server};
    assert_int_equal(syn_http_start(&options, &f->http), SYN_OK);
}

static void close_http(fixture *f)
{
    int n = 1;
    syn_http_close(f->http, count_down, &n);
    while (n)
        house_turn(f->house);
    house_close(f->house);
}

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    f->house = house_new();
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    house_free(f->house);
    free(f);
    return 0;
}

/* One request and everything that comes back until the server closes. */
typedef struct exchange {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    const char *request;
    size_t request_size;
    syn_str reply;
    char buffer[65536];
    bool has_closed;
} exchange;

static void on_closed(uv_handle_t *handle)
{
    ((exchange *)handle->data)->has_closed = true;
}

static void on_buffer(uv_handle_t *handle, size_t size, uv_buf_t *buffer)
{
    exchange *e = handle->data;
    (void)size;
    *buffer = uv_buf_init(e->buffer, sizeof e->buffer);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    exchange *e = stream->data;
    if (n > 0)
        syn_str_append_n(&e->reply, buffer->base, (size_t)n);
    else if (n < 0)
        uv_close((uv_handle_t *)stream, on_closed);
}

static void on_connect(uv_connect_t *connect, int status)
{
    exchange *e = connect->data;
    uv_buf_t buffer = uv_buf_init((char *)e->request, (unsigned)e->request_size);
    assert_int_equal(status, 0);
    assert_int_equal(uv_write(&e->write, connect->handle, &buffer, 1, NULL), 0);
    assert_int_equal(uv_read_start(connect->handle, on_buffer, on_read), 0);
}

/* The reply, head and body; the caller frees it (syn_free). */
static char *exchange_bytes(fixture *f, const char *bytes, size_t size)
{
    exchange *e = calloc(1, sizeof *e);
    struct sockaddr_in address;
    const char *colon = strrchr(syn_http_address(f->http), ':');
    e->request = bytes;
    e->request_size = size;
    assert_int_equal(uv_ip4_addr("127.0.0.1", atoi(colon + 1), &address), 0);
    assert_int_equal(uv_tcp_init(&f->house->loop, &e->tcp), 0);
    e->tcp.data = e->connect.data = e;
    assert_int_equal(
        uv_tcp_connect(&e->connect, &e->tcp, (const struct sockaddr *)&address, on_connect), 0);
    while (!e->has_closed)
        house_turn(f->house);
    char *reply = syn_str_take(&e->reply);
    free(e);
    return reply;
}

/* `line` is "GET /healthz", `headers` are whole lines. */
static char *ask(fixture *f, const char *line, const char *headers)
{
    char request[1024];
    int n = snprintf(request, sizeof request, "%s HTTP/1.1\r\nConnection: close\r\n%s\r\n", line,
                     headers);
    return exchange_bytes(f, request, (size_t)n);
}

static const char *const local = "Host: localhost:7481\r\n";

static void expect(fixture *f, const char *line, const char *headers, const char *status,
                   const char *part)
{
    char *reply = ask(f, line, headers);
    if (!syn_has_prefix(reply, status) || !strstr(reply, part))
        fail_msg("%s %s: %s", line, headers, reply);
    syn_free(reply);
}

static void health_readiness_and_version_are_told(void **state)
{
    fixture *f = *state;
    open_http(f);

    expect(f, "GET /healthz", local, "HTTP/1.1 200", "\r\n\r\nok\n");
    expect(f, "GET /readyz", local, "HTTP/1.1 200", "\r\n\r\nready\n");
    expect(f, "GET /version", local, "HTTP/1.1 200", "syncline " SYN_VERSION);
    expect(f, "HEAD /healthz", local, "HTTP/1.1 200", "");
    expect(f, "GET /nothing", local, "HTTP/1.1 404", "");
    expect(f, "GET /api/v1/jobs/j-000001", local, "HTTP/1.1 404", "no such job");

    close_http(f);
}

static void only_reading_is_served(void **state)
{
    fixture *f = *state;
    open_http(f);

    expect(f, "POST /api/v1/jobs", "Host: localhost\r\nContent-Length: 0\r\n", "HTTP/1.1 405",
           "Allow: GET");
    expect(f, "DELETE /api/v1/jobs/j-000001", local, "HTTP/1.1 405", "");

    close_http(f);
}

static void another_sites_names_are_refused(void **state)
{
    fixture *f = *state;
    open_http(f);

    expect(f, "GET /api/v1/jobs", "Host: evil.example:7481\r\n", "HTTP/1.1 403", "Host");
    expect(f, "GET /api/v1/jobs", "Host: localhost.evil.example\r\n", "HTTP/1.1 403", "");
    expect(f, "GET /api/v1/jobs", "Host: 127.0.0.1\r\nOrigin: http://evil.example\r\n",
           "HTTP/1.1 403", "");
    expect(f, "GET /api/v1/jobs", "Host: 127.0.0.1\r\nOrigin: null\r\n", "HTTP/1.1 403", "");
    expect(f, "GET /api/v1/jobs", "Host: 127.0.0.1:80\r\nOrigin: http://localhost:80\r\n",
           "HTTP/1.1 200", "");
    expect(f, "GET /api/v1/jobs", "Host: [::1]:80\r\n", "HTTP/1.1 200", "");

    close_http(f);
}

static json_t *json_of(fixture *f, const char *line)
{
    char *reply = ask(f, line, local);
    const char *body = strstr(reply, "\r\n\r\n");
    assert_non_null(body);
    json_t *value = json_loads(body, JSON_DISABLE_EOF_CHECK, NULL);
    assert_non_null(value);
    syn_free(reply);
    return value;
}

static void jobs_are_json_with_their_events_and_ranks(void **state)
{
    fixture *f = *state;
    rank ranks[1];
    char job_id[32], line[64];
    open_http(f);
    house_submit(f->house, 1, job_id);
    house_wait_launch(f->house, 1);
    ranks_start(f->house, 0, ranks, "a");
    rank_report(&ranks[0], job_id, 1, 5, SYN_PHASE_FORWARD);
    house_wait(f->house, job_id, SYN_JOB_RUNNING);
    (void)snprintf(line, sizeof line, "GET /api/v1/jobs/%s", job_id);

    json_t *one = json_of(f, line), *all = json_of(f, "GET /api/v1/jobs");

    assert_string_equal(json_string_value(json_object_get(one, "state")), "RUNNING");
    assert_int_equal(json_array_size(json_object_get(one, "events")), 4);
    json_t *first = json_array_get(json_object_get(one, "ranks"), 0);
    assert_string_equal(json_string_value(json_object_get(first, "phase")), "forward");
    assert_int_equal(json_array_size(json_object_get(all, "jobs")), 1);
    assert_true(json_is_false(json_object_get(all, "has_more")));
    json_decref(one);
    json_decref(all);
    ranks_vanish(ranks, 1);
    close_http(f);
}

static void the_list_comes_in_pages(void **state)
{
    fixture *f = *state;
    char ids[3][32];
    f->house->slots = -1;
    open_http(f);
    for (int i = 0; i < 3; i++)
        house_submit(f->house, 1, ids[i]);

    json_t *page = json_of(f, "GET /api/v1/jobs?limit=2");
    json_t *rest = json_of(f, "GET /api/v1/jobs?limit=2&after=j-000002");

    assert_int_equal(json_array_size(json_object_get(page, "jobs")), 2);
    assert_true(json_is_true(json_object_get(page, "has_more")));
    assert_int_equal(json_array_size(json_object_get(rest, "jobs")), 1);
    expect(f, "GET /api/v1/jobs?limit=none", local, "HTTP/1.1 400", "");
    expect(f, "GET /api/v1/jobs?after=x", local, "HTTP/1.1 400", "");
    json_decref(page);
    json_decref(rest);
    close_http(f);
}

static void metrics_are_in_the_text_format(void **state)
{
    fixture *f = *state;
    char job_id[32];
    f->house->slots = -1;
    open_http(f);
    house_submit(f->house, 1, job_id);

    char *reply = ask(f, "GET /metrics", local);

    static const char *const expected[] = {
        "Content-Type: text/plain; version=0.0.4",
        "\n# TYPE syncline_jobs gauge\n",
        "\nsyncline_jobs{state=\"queued\"} 1\n",
        "\nsyncline_jobs{state=\"failed\"} 0\n",
        "\nsyncline_job_transitions_total{to=\"queued\",reason=\"\"} 1\n",
        "\nsyncline_queue_wait_seconds_count 0\n",
        "\nsyncline_store_commit_seconds_count 1\n",
        "\nsyncline_rpc_requests_total{method=\"Jobs/SubmitJob\",code=\"OK\"} 1\n",
        "syncline_rpc_duration_seconds_bucket{method=\"Jobs/SubmitJob\",le=\"+Inf\"} 1\n",
        "\nsyncline_connections 1\n",
        "\nsyncline_workers{state=\"idle\"} 0\n",
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        if (!strstr(reply, expected[i]))
            fail_msg("%s is missing in %s", expected[i], reply);
    syn_free(reply);
    close_http(f);
}

static void garbage_is_answered_or_hung_up_on(void **state)
{
    fixture *f = *state;
    open_http(f);
    static const char *const garbage[] = {
        "\r\n\r\n", "GET\r\n\r\n", "\x16\x03\x01\x02\x00\x01\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"};

    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        char request[256];
        int n = snprintf(request, sizeof request, "%s%s", garbage[i],
                         "GET /healthz HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\n\r\n");
        syn_free(exchange_bytes(f, request, (size_t)n));
    }

    expect(f, "GET /healthz", local, "HTTP/1.1 200", "ok");
    close_http(f);
}

static void bad_and_taken_addresses_are_one_sentence(void **state)
{
    fixture *f = *state;
    syn_http *second = NULL;
    open_http(f);
    syn_http_options options = {
        .loop = &f->house->loop, .jobs = f->house->jobs, .store = f->house->store};

    options.listen = syn_http_address(f->http);
    assert_int_equal(syn_http_start(&options, &second), SYN_FAILED_PRECONDITION);
    assert_non_null(strstr(syn_error_message(), options.listen));
    static const char *const bad[] = {
        "", "localhost", "localhost:", "localhost:99999", "localhost:-1", "localhost:x", ":1x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        options.listen = bad[i];
        assert_int_equal(syn_http_start(&options, &second), SYN_INVALID_ARGUMENT);
    }

    close_http(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(health_readiness_and_version_are_told),
        TEST(only_reading_is_served),
        TEST(another_sites_names_are_refused),
        TEST(jobs_are_json_with_their_events_and_ranks),
        TEST(the_list_comes_in_pages),
        TEST(metrics_are_in_the_text_format),
        TEST(garbage_is_answered_or_hung_up_on),
        TEST(bad_and_taken_addresses_are_one_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
