/* A rank that fails in the middle of a step, and ranks that are not alike: everybody learns it,
 * nobody hangs. */
#include "tests/mpi/net.h"

static int last(void)
{
    return world_size() - 1;
}

/* The sentence of a failed step names the last rank. */
static void check_names_last(const char *sentence)
{
    char expected[512];
    (void)snprintf(expected, sizeof expected, "rank %d (%s) could not complete the step", last(),
                   syn_comm_host(syn_comm_world(), last()));
    CHECK(strcmp(sentence, expected) == 0);
}

/* A whole step works, whatever happened before. */
static void check_next_step_works(syn_module *net)
{
    double values[MAX_VALUES], expected[MAX_VALUES];
    syn_module *alone = net_new(5);
    net_zero_grad(net);
    CHECK_OK(syn_backward(net_loss(alone, 0, N_SAMPLES)));
    int n = net_gradients(alone, expected);

    CHECK_OK(syn_backward(syn_mul_scalar(net_loss(net, 0, N_SAMPLES), 1.0 / world_size())));
    CHECK_OK(syn_data_parallel_finish(net));

    CHECK(net_gradients(net, values) == n);
    check_close(values, expected, n);
    syn_module_free(alone);
}

static syn_module *parallel_net(void)
{
    syn_module *net = net_new(5);
    CHECK_OK(syn_data_parallel_with(
        net, (syn_data_parallel_options){.first_bucket_mb = 1e-6, .bucket_mb = 1e-6}));
    return net;
}

static void a_rank_that_abandons_its_step_releases_the_others(void)
{
    syn_agreement agreement = {0};
    syn_module *net = parallel_net();
    syn_status status = SYN_OK;
    bool fails = world_rank() == last();

    if (fails) {
        status = SYN_FAIL(SYN_DATA_LOSS, "block 7 is damaged");
        syn_data_parallel_abandon(net);
        status = SYN_FAIL(status, "block 7 is damaged");
    } else {
        status = syn_backward(net_loss(net, 0, N_SAMPLES));
        CHECK(status == SYN_ABORTED);
        check_names_last(syn_error());
        CHECK(syn_failed());
    }
    CHECK(syn_comm_agree(syn_comm_world(), status, NULL, &agreement) == SYN_DATA_LOSS);

    CHECK(agreement.culprit == last());
    CHECK(strcmp(agreement.sentence, "block 7 is damaged") == 0);
    syn_clear_error();
    check_next_step_works(net);
    syn_module_free(net);
}

/* A tensor operation of the graph whose gradient fails on one rank, after some buckets have left.
 */
static bool gradient_fails;

static syn_tensor *in_between(syn_module *self, void *state, syn_tensor *x)
{
    (void)self, (void)state;
    if (!gradient_fails)
        return x;
    /* Saved by the product, then changed in place: the tape refuses to go on. */
    syn_tensor *copy = syn_detach(syn_clone(x)), *y = syn_mul(x, copy);
    CHECK(syn_zero_(copy));
    return y;
}

static void a_backward_that_fails_half_way_releases_the_others(void)
{
    syn_manual_seed(5);
    syn_module *net =
        syn_sequential(syn_linear(N_IN, 7), syn_tanh_module(),
                       syn_module_new("Between", in_between, NULL, NULL), syn_linear(7, N_OUT));
    CHECK(net);
    CHECK_OK(syn_module_to(net, SYN_F64));
    CHECK_OK(syn_data_parallel_with(
        net, (syn_data_parallel_options){.first_bucket_mb = 1e-6, .bucket_mb = 1e-6}));
    for (int turn = 0; turn < 2; turn++) {
        gradient_fails = world_rank() == last();
        syn_tensor *loss = net_loss(net, 0, N_SAMPLES);
        gradient_fails = false;

        syn_status status = syn_backward(loss);

        if (world_rank() == last()) {
            CHECK(status == SYN_FAILED_PRECONDITION);
            CHECK(strstr(syn_error(), "changed in place"));
            CHECK(strstr(syn_error_message(), "changed in place"));
            syn_data_parallel_abandon(net); /* as the step loop does: nothing is left to do */
        } else {
            CHECK(status == SYN_ABORTED);
            check_names_last(syn_error());
            syn_data_parallel_abandon(net);
        }
        syn_clear_error();
        net_zero_grad(net);
        CHECK_OK(syn_backward(net_loss(net, 0, N_SAMPLES)));
        CHECK_OK(syn_data_parallel_finish(net));
        net_zero_grad(net);
    }
    syn_module_free(net);
}

static void a_failed_forward_ends_the_step_for_all(void)
{
    syn_module *net = parallel_net();
    bool fails = world_rank() == last();
    int wrong = fails ? 1 : 0;

    syn_tensor *x = net_samples(0, 2, N_IN + wrong, 0);
    syn_status status = syn_backward(syn_sum(syn_module_forward(net, x)));

    CHECK(status != SYN_OK && syn_failed());
    if (!fails) {
        CHECK(status == SYN_ABORTED);
        check_names_last(syn_error());
    }
    syn_clear_error();
    check_next_step_works(net);
    syn_module_free(net);
}

static void failures_of_several_ranks_are_counted(void)
{
    char expected[128];
    syn_module *net = parallel_net();
    if (world_size() < 3) {
        syn_module_free(net);
        return;
    }
    if (world_rank() < 2) {
        syn_data_parallel_abandon(net);
    } else {
        CHECK(syn_backward(net_loss(net, 0, N_SAMPLES)) == SYN_ABORTED);
        (void)snprintf(expected, sizeof expected, "2 ranks could not complete the step");
        CHECK(strcmp(syn_error(), expected) == 0);
    }
    syn_clear_error();
    check_next_step_works(net);
    syn_module_free(net);
}

static void a_failure_while_accumulating_is_told_with_the_last_micro_batch(void)
{
    syn_module *net = parallel_net();
    bool fails = world_rank() == last();

    syn_data_parallel_set_sync(net, false);
    if (fails) {
        CHECK(syn_backward(net_samples(0, 2, N_IN, 0)) != SYN_OK); /* does not require a gradient */
    } else {
        CHECK_OK(syn_backward(net_loss(net, 0, N_SAMPLES)));
    }
    syn_clear_error();
    syn_data_parallel_set_sync(net, true);
    CHECK(syn_backward(net_loss(net, 0, N_SAMPLES)) == SYN_ABORTED);

    check_names_last(syn_error());
    syn_clear_error();
    check_next_step_works(net);
    syn_module_free(net);
}

static void modules_that_differ_are_refused_on_every_rank(void)
{
    char expected[512];
    const char *host = syn_comm_host(syn_comm_world(), last());
    if (world_size() < 2)
        return;
    syn_module *net = syn_sequential(syn_linear(2, world_rank() == last() ? 4 : 3));

    CHECK(syn_data_parallel(net) == SYN_FAILED_PRECONDITION);

    if (world_size() == 2)
        (void)snprintf(expected, sizeof expected,
                       "the ranks differ in parameter 0.weight: f32 (3, 2) on rank 0 (%s); f32 (4, "
                       "2) on rank 1 (%s)",
                       host, host);
    else
        (void)snprintf(expected, sizeof expected,
                       "the ranks differ in parameter 0.weight: f32 (3, 2) on ranks 0-%d; f32 (4, "
                       "2) on rank %d (%s)",
                       last() - 1, last(), host);
    CHECK(strcmp(syn_error_message(), expected) == 0);
    syn_module_free(net);
}

static void options_and_more_lines_that_differ_are_refused_on_every_rank(void)
{
    if (world_size() < 2)
        return;
    syn_module *net = net_new(1);
    syn_data_parallel_options options = {.first_bucket_mb = world_rank() == 0 ? 1e-6 : 1};

    CHECK(syn_data_parallel_with(net, options) == SYN_FAILED_PRECONDITION);
    CHECK(strstr(syn_error_message(), "the ranks differ in "));
    CHECK(syn_data_parallel_over(net, syn_comm_world(), (syn_data_parallel_options){0},
                                 world_rank() ? "data: a\n" : "data: b\n") ==
          SYN_FAILED_PRECONDITION);

    CHECK(strstr(syn_error_message(), "the ranks differ in data: b on rank 0 ("));
    CHECK_OK(syn_data_parallel(net));
    syn_module_free(net);
}

static void a_rank_that_cannot_set_up_fails_all_with_its_sentence(void)
{
    char expected[512];
    syn_module *net = syn_sequential(syn_linear(2, 2));
    if (world_rank() == last())
        CHECK_OK(syn_module_to(net, SYN_BF16));

    CHECK(syn_data_parallel(net) == SYN_UNIMPLEMENTED);

    (void)snprintf(
        expected, sizeof expected,
        "rank %d (%s): parameter 0.weight is bf16; gradients of f32 and f64 can be summed "
        "over ranks",
        last(), syn_comm_host(syn_comm_world(), last()));
    CHECK(strcmp(syn_error_message(), expected) == 0);
    syn_module_free(net);
    CHECK(syn_data_parallel(NULL) == SYN_INVALID_ARGUMENT);
}

int main(int argc, char **argv)
{
    if (syn_init_mpi(&argc, &argv) != SYN_OK)
        return 1;
    SYN_SCOPE {
        RUN(a_rank_that_abandons_its_step_releases_the_others);
        RUN(a_backward_that_fails_half_way_releases_the_others);
        RUN(a_failed_forward_ends_the_step_for_all);
        RUN(failures_of_several_ranks_are_counted);
        RUN(a_failure_while_accumulating_is_told_with_the_last_micro_batch);
        RUN(modules_that_differ_are_refused_on_every_rank);
        RUN(options_and_more_lines_that_differ_are_refused_on_every_rank);
        RUN(a_rank_that_cannot_set_up_fails_all_with_its_sentence);
    }
    return syn_finish();
}
