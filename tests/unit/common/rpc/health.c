/* grpc.health.v1 as probes see it. */
#include "tests/unit/common/rpc/harness.h"

#include "grpc/health/v1/health.pb-c.h"

typedef Grpc__Health__V1__HealthCheckRequest check_request;
typedef Grpc__Health__V1__HealthCheckResponse check_response;

enum {
    SERVING = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING,
    NOT_SERVING = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING,
    SERVICE_UNKNOWN = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN,
};

static const syn_rpc_method check_method = {
    .service = "grpc.health.v1.Health",
    .name = "Check",
    .request = &grpc__health__v1__health_check_request__descriptor,
    .response = &grpc__health__v1__health_check_response__descriptor,
};
static const syn_rpc_method watch_method = {
    .service = "grpc.health.v1.Health",
    .name = "Watch",
    .request = &grpc__health__v1__health_check_request__descriptor,
    .response = &grpc__health__v1__health_check_response__descriptor,
    .server_streaming = true,
};

static uv_loop_t loop;
static echo_server echo;
static syn_rpc_channel *channel;

static int start(void **state)
{
    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    echo_server_init(&echo, &loop, NULL);
    assert_int_equal(syn_rpc_server_listen(echo.server, ":0"), SYN_OK);
    assert_int_equal(
        syn_rpc_channel_new(&loop, syn_rpc_server_address(echo.server, 0), NULL, &channel), SYN_OK);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    syn_rpc_channel_close(channel, NULL, NULL);
    syn_rpc_server_close(echo.server, NULL, NULL);
    run_down(&loop);
    return 0;
}

/* What one call was told. */
typedef struct told {
    size_t n;
    int states[8];
    bool has_ended;
    syn_status status;
} told;

static void on_message(syn_rpc_client_call *call, const ProtobufCMessage *message, void *user)
{
    told *t = user;
    (void)call;
    assert_true(t->n < 8);
    t->states[t->n++] = (int)((const check_response *)message)->status;
}

static void on_end(syn_rpc_client_call *call, syn_status status, const char *message, void *user)
{
    told *t = user;
    (void)call;
    (void)message;
    t->status = status;
    t->has_ended = true;
}

static const syn_rpc_client_handler handler = {.on_message = on_message, .on_end = on_end};

static syn_rpc_client_call *ask(const syn_rpc_method *method, const char *service, told *t)
{
    syn_rpc_client_call *call;
    check_request request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    request.service = (char *)service;
    *t = (told){0};
    assert_int_equal(syn_rpc_client_start(channel, method, &handler, t, 0, &call), SYN_OK);
    assert_int_equal(syn_rpc_client_send(call, &request.base), SYN_OK);
    syn_rpc_client_half_close(call);
    return call;
}

static void expect(const char *service, syn_status status, int state)
{
    told t;
    (void)ask(&check_method, service, &t);
    assert_true(run_until(&loop, &t.has_ended));
    assert_int_equal(t.status, status);
    assert_int_equal(t.n, status == SYN_OK);
    if (t.n)
        assert_int_equal(t.states[0], state);
}

static void check_knows_the_server_and_its_services(void **state)
{
    (void)state;
    expect("", SYN_OK, SERVING);
    expect("test.Echo", SYN_OK, SERVING);
    expect("grpc.health.v1.Health", SYN_OK, SERVING);
    expect("no.such.Service", SYN_NOT_FOUND, 0);

    syn_rpc_server_set_serving(echo.server, "test.Echo", false);
    expect("test.Echo", SYN_OK, NOT_SERVING);
    expect("", SYN_OK, SERVING);
}

static void watch_tells_the_state_and_its_changes(void **state)
{
    (void)state;
    told t, unknown;
    syn_rpc_client_call *call = ask(&watch_method, "test.Echo", &t);
    syn_rpc_client_call *other = ask(&watch_method, "later.Service", &unknown);
    assert_true(run_until_count(&loop, &t.n, 1));
    assert_true(run_until_count(&loop, &unknown.n, 1));
    assert_int_equal(t.states[0], SERVING);
    assert_int_equal(unknown.states[0], SERVICE_UNKNOWN);

    syn_rpc_server_set_serving(echo.server, "test.Echo", false);
    syn_rpc_server_set_serving(echo.server, "test.Echo", false); /* no change, not told */
    syn_rpc_server_set_serving(echo.server, "later.Service", true);
    assert_true(run_until_count(&loop, &t.n, 2));
    assert_true(run_until_count(&loop, &unknown.n, 2));
    syn_rpc_server_set_serving(echo.server, "test.Echo", true);
    assert_true(run_until_count(&loop, &t.n, 3));

    assert_int_equal(t.states[1], NOT_SERVING);
    assert_int_equal(t.states[2], SERVING);
    assert_int_equal(unknown.states[1], SERVING);
    syn_rpc_client_cancel(call);
    syn_rpc_client_cancel(other);
    assert_true(run_until_count(&loop, &echo.n_observed, 2));
    syn_rpc_server_set_serving(echo.server, "test.Echo", false); /* nobody watches any more */
}

static void watchers_hear_of_a_drain_and_do_not_hold_it_up(void **state)
{
    (void)state;
    told t;
    (void)ask(&watch_method, "", &t);
    assert_true(run_until_count(&loop, &t.n, 1));

    syn_rpc_server_drain(echo.server, 60000, echo_on_drained, &echo);
    assert_true(run_until(&loop, &t.has_ended));

    assert_int_equal(t.n, 2);
    assert_int_equal(t.states[1], NOT_SERVING);
    assert_int_equal(t.status, SYN_UNAVAILABLE);
    assert_true(run_until(&loop, &echo.is_drained));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        T(check_knows_the_server_and_its_services),
        T(watch_tells_the_state_and_its_changes),
        T(watchers_hear_of_a_drain_and_do_not_hold_it_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
