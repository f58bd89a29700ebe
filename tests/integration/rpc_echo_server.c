/* A server of rpc_echo.proto: `rpc_echo_server ADDRESS...` prints each bound address and serves
 * until SIGTERM. */
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/rpc/rpc.h"
#include "rpc_echo.pb-c.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

typedef Syncline__Test__EchoRequest request;
typedef Syncline__Test__EchoResponse response;

extern const unsigned char rpc_echo_descriptors[];
extern const size_t rpc_echo_descriptors_size;

enum { DRAIN_MS = 5000 };

static uv_loop_t loop;
static syn_rpc_server *server;
static uv_signal_t on_term;
static uint32_t n_ended, n_cancelled;

/* What a call holds. */
typedef struct work {
    uv_timer_t timer;
    syn_rpc_call *call; /* shared while the timer runs */
    request *request;   /* owned */
    uint32_t n_sent;
    uint64_t total_bytes;
} work;

static const syn_rpc_method methods[] = {
    {"syncline.test.Echo", "Unary", &syncline__test__echo_request__descriptor,
     &syncline__test__echo_response__descriptor, false, false},
    {"syncline.test.Echo", "Stream", &syncline__test__echo_request__descriptor,
     &syncline__test__echo_response__descriptor, false, true},
    {"syncline.test.Echo", "Collect", &syncline__test__echo_request__descriptor,
     &syncline__test__echo_response__descriptor, true, false},
    {"syncline.test.Echo", "Talk", &syncline__test__echo_request__descriptor,
     &syncline__test__echo_response__descriptor, true, true},
};

static response answer_to(syn_rpc_call *call, const request *r)
{
    response a = SYNCLINE__TEST__ECHO_RESPONSE__INIT;
    uint64_t deadline = syn_rpc_call_deadline_ns(call), now = syn_clock_monotonic_ns();

    if (r) {
        a.text = r->text;
        a.payload = r->payload;
    }
    a.deadline_left_ms = deadline == UINT64_MAX ? -1 : (int64_t)(deadline - now) / 1000000;
    a.n_ended = n_ended;
    a.n_cancelled = n_cancelled;
    a.peer = (char *)syn_rpc_call_peer(call);
    return a;
}

static void answer(syn_rpc_call *call, const request *r)
{
    response a = answer_to(call, r);

    if (r->code)
        syn_rpc_call_finish(call, (syn_status)r->code, r->text);
    else
        syn_rpc_call_reply(call, &a.base);
}

static void on_work_closed(uv_handle_t *handle)
{
    work *w = handle->data;

    syn_rpc_call_unref(w->call);
    syn_wire_free(&w->request->base);
    syn_free(w);
}

static void on_delay(uv_timer_t *timer)
{
    work *w = timer->data;

    answer(w->call, w->request); /* does nothing if the call has ended meanwhile */
    uv_close((uv_handle_t *)timer, on_work_closed);
}

static void on_unary(syn_rpc_call *call, const ProtobufCMessage *message, void *user)
{
    const request *r = (const request *)message;

    (void)user;
    if (r->delay_ms == 0) {
        answer(call, r);
        return;
    }
    if (r->delay_ms < 0)
        return; /* until the client gives up */
    work *w = syn_calloc(1, sizeof *w);
    SYN_BUG_ON(!w);
    (void)uv_timer_init(&loop, &w->timer);
    w->timer.data = w;
    w->call = call;
    syn_rpc_call_ref(call);
    w->request = (request *)syn_rpc_call_take_message(call);
    (void)uv_timer_start(&w->timer, on_delay, (uint64_t)w->request->delay_ms, 0);
}

static void pump(syn_rpc_call *call, void *user)
{
    work *w = syn_rpc_call_data(call);

    (void)user;
    while (syn_rpc_call_is_writable(call) &&
           (!w->request->count || w->n_sent < w->request->count)) {
        response a = answer_to(call, w->request);
        a.index = w->n_sent++;
        if (syn_rpc_call_send(call, &a.base) != SYN_OK)
            return;
    }
    if (w->request->count && w->n_sent == w->request->count)
        syn_rpc_call_finish(call, (syn_status)w->request->code, w->request->text);
}

static void on_stream(syn_rpc_call *call, const ProtobufCMessage *message, void *user)
{
    work *w = syn_calloc(1, sizeof *w);

    (void)message;
    SYN_BUG_ON(!w);
    w->request = (request *)syn_rpc_call_take_message(call);
    syn_rpc_call_set_data(call, w);
    pump(call, user);
}

static void on_collect_start(syn_rpc_call *call, void *user)
{
    work *w = syn_calloc(1, sizeof *w);

    (void)user;
    SYN_BUG_ON(!w);
    syn_rpc_call_set_data(call, w);
}

static void on_collect(syn_rpc_call *call, const ProtobufCMessage *message, void *user)
{
    work *w = syn_rpc_call_data(call);

    (void)user;
    w->n_sent++;
    w->total_bytes += ((const request *)message)->payload.len;
    if (((const request *)message)->code) /* an answer before the client has ended */
        answer(call, (const request *)message);
}

static void on_collect_end(syn_rpc_call *call, void *user)
{
    work *w = syn_rpc_call_data(call);
    response a = answer_to(call, NULL);

    (void)user;
    a.index = w->n_sent;
    a.total_bytes = w->total_bytes;
    syn_rpc_call_reply(call, &a.base);
}

static void on_talk(syn_rpc_call *call, const ProtobufCMessage *message, void *user)
{
    const request *r = (const request *)message;
    response a = answer_to(call, r);

    (void)user;
    if (r->code)
        syn_rpc_call_finish(call, (syn_status)r->code, r->text);
    else
        (void)syn_rpc_call_send(call, &a.base);
}

static void on_end(syn_rpc_call *call, syn_status status, void *user)
{
    work *w = syn_rpc_call_data(call);

    (void)user;
    n_ended++;
    n_cancelled += status == SYN_CANCELLED || status == SYN_DEADLINE_EXCEEDED;
    if (!w)
        return;
    syn_wire_free(w->request ? &w->request->base : NULL);
    syn_free(w);
}

static const syn_rpc_handler handlers[] = {
    {.method = &methods[0], .on_message = on_unary, .on_end = on_end},
    {.method = &methods[1], .on_message = on_stream, .on_drain = pump, .on_end = on_end},
    {.method = &methods[2],
     .on_start = on_collect_start,
     .on_message = on_collect,
     .on_half_close = on_collect_end,
     .on_end = on_end},
    {.method = &methods[3], .on_message = on_talk, .on_end = on_end},
};

static void on_drained(void *user)
{
    (void)user;
    uv_close((uv_handle_t *)&on_term, NULL);
    syn_rpc_server_close(server, NULL, NULL);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)handle;
    (void)number;
    syn_rpc_server_drain(server, DRAIN_MS, on_drained, NULL);
}

int main(int argc, char **argv)
{
    const syn_rpc_service service = {handlers, sizeof handlers / sizeof *handlers, NULL};
    const syn_rpc_server_options options = {.services = &service,
                                            .n_services = 1,
                                            .descriptors = rpc_echo_descriptors,
                                            .descriptors_size = rpc_echo_descriptors_size};
    syn_status status = SYN_OK;

    if (uv_loop_init(&loop) != 0 || uv_signal_init(&loop, &on_term) != 0)
        return 1;
    status = syn_rpc_server_new(&loop, &options, &server);
    for (int i = 1; i < argc && status == SYN_OK; i++)
        status = syn_rpc_server_listen(server, argv[i]);
    if (status != SYN_OK) {
        (void)fprintf(stderr, "%s\n", syn_error_message());
        return 2;
    }
    (void)uv_signal_start(&on_term, on_signal, SIGTERM);
    const char *address;
    for (size_t i = 0; (address = syn_rpc_server_address(server, i)); i++)
        (void)printf("%s\n", address);
    (void)fflush(stdout);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop) == 0 ? 0 : 3;
}
