/* Data-parallel gradients against those of one process: uneven batches, unused parameters,
 * accumulation, groups. */
#include "tests/mpi/net.h"

#include "common/base/clock.h"

/* Limits so small that every parameter has its own bucket, and so large that one holds all. */
static const double bucket_limits_mb[] = {1e-6, 2e-4, 25};
enum { N_LIMITS = 3 };

static syn_data_parallel_options summed(double mb)
{
    return (syn_data_parallel_options){.first_bucket_mb = mb, .bucket_mb = mb};
}

/* The gradients of one process with all samples, parameters of `seed`. */
static int expected_gradients(uint64_t seed, double *out)
{
    syn_module *net = net_new(seed);
    CHECK_OK(syn_backward(net_loss(net, 0, N_SAMPLES)));
    int n = net_gradients(net, out);
    syn_module_free(net);
    return n;
}

/* One step of this rank over its samples. */
static void run_step(syn_module *net, syn_comm *comm)
{
    int begin, end;
    net_share(syn_comm_rank(comm), syn_comm_size(comm), &begin, &end);
    if (end > begin)
        CHECK_OK(syn_backward(net_loss(net, begin, end)));
    CHECK_OK(syn_data_parallel_finish(net));
}

static void gradients_of_uneven_and_empty_batches_equal_those_of_one_process(void)
{
    double values[MAX_VALUES], expected[MAX_VALUES];
    int n = expected_gradients(5, expected);
    for (int k = 0; k < N_LIMITS * 2; k++) {
        syn_module *net = net_new(5);
        syn_data_parallel_options options = summed(bucket_limits_mb[k / 2]);
        options.no_overlap = k % 2;
        CHECK_OK(syn_data_parallel_with(net, options));
        for (int turn = 0; turn < 3; turn++) {
            run_step(net, syn_comm_world());

            CHECK(net_gradients(net, values) == n);
            check_close(values, expected, n);
            check_same_on_all_ranks(syn_comm_world(), values, n);
            net_zero_grad(net);
        }
        syn_module_free(net);
    }
}

static void the_plain_call_averages(void)
{
    double values[MAX_VALUES], expected[MAX_VALUES];
    int n = expected_gradients(5, expected);
    syn_module *net = net_new(5);
    CHECK_OK(syn_data_parallel(net));

    CHECK_OK(syn_backward(net_loss(net, 0, N_SAMPLES)));

    net_gradients(net, values);
    check_close(values, expected, n);
    syn_module_free(net);
}

static void rank_0s_parameters_and_buffers_reach_everybody(void)
{
    double values[MAX_VALUES], expected[MAX_VALUES], stored[2];
    syn_module *net = net_new(100 + (uint64_t)world_rank()), *zero = net_new(100);
    double mine[2] = {world_rank(), 7};
    CHECK(
        syn_module_add_buffer(net, "stored", syn_keep(syn_from_data(mine, SYN_SHAPE(2), SYN_F64))));
    int n = net_parameters(zero, expected);

    CHECK_OK(syn_data_parallel(net));

    CHECK(net_parameters(net, values) == n);
    CHECK(memcmp(values, expected, (size_t)n * sizeof *values) == 0);
    CHECK_OK(syn_tensor_read(syn_module_buffers(net).items[0].tensor, stored));
    CHECK(stored[0] == 0 && stored[1] == 7);
    syn_module_free(net);
    syn_module_free(zero);
}

/* A module that uses its second layer only where it is told to. */
typedef struct branch {
    syn_module *always, *sometimes;
    bool uses_both;
} branch;

static syn_tensor *branch_forward(syn_module *self, void *state, syn_tensor *x)
{
    branch *b = state;
    (void)self;
    syn_tensor *y = syn_module_forward(b->always, x);
    return b->uses_both ? syn_add(y, syn_module_forward(b->sometimes, x)) : y;
}

static void parameters_that_no_or_some_ranks_use_count_as_zero_elsewhere(void)
{
    for (int k = 0; k < N_LIMITS; k++) {
        branch state = {0};
        syn_manual_seed(3);
        syn_module *net = syn_module_new("Branch", branch_forward, &state, NULL);
        state.always = syn_module_add_child(net, "always", syn_linear(N_IN, 1));
        state.sometimes = syn_module_add_child(net, "sometimes", syn_linear(N_IN, 1));
        syn_module *never = syn_module_add_child(net, "never", syn_linear(4, 4));
        CHECK(state.always && state.sometimes && never);
        CHECK_OK(syn_module_to(net, SYN_F64));
        CHECK_OK(syn_data_parallel_with(net, summed(bucket_limits_mb[k])));
        for (int turn = 0; turn < 2; turn++) {
            state.uses_both = world_rank() == turn % world_size();

            SYN_SCOPE {
                CHECK_OK(syn_backward(
                    syn_sum(syn_module_forward(net, syn_ones(SYN_SHAPE(2, N_IN), SYN_F64)))));
            }

            double always[1], sometimes[1], unused[16];
            CHECK_OK(
                syn_tensor_read(syn_grad_of(syn_module_parameters(net).items[1].tensor), always));
            CHECK_OK(syn_tensor_read(syn_grad_of(syn_module_parameters(net).items[3].tensor),
                                     sometimes));
            CHECK_OK(
                syn_tensor_read(syn_grad_of(syn_module_parameters(net).items[4].tensor), unused));
            CHECK(always[0] == 2.0 * world_size());
            CHECK(sometimes[0] == 2.0);
            CHECK(unused[0] == 0 && unused[15] == 0);
            net_zero_grad(net);
        }
        syn_module_free(net);
    }
}

static void accumulation_sends_only_with_the_last_micro_batch(void)
{
    double values[MAX_VALUES], expected[MAX_VALUES];
    syn_comm_progress before, between, after;
    syn_overlap overlap;
    int begin, end, n = expected_gradients(5, expected);
    syn_module *net = net_new(5);
    CHECK_OK(syn_data_parallel_with(net, summed(1e-6)));
    net_share(world_rank(), world_size(), &begin, &end);
    for (int turn = 0; turn < 2; turn++) {
        syn_comm_get_progress(&before);
        syn_data_parallel_set_sync(net, false);
        for (int i = begin; i < end - 1; i++)
            CHECK_OK(syn_backward(net_loss(net, i, i + 1)));
        syn_comm_get_progress(&between);
        uint64_t between_ns = syn_clock_monotonic_ns();
        syn_data_parallel_set_sync(net, true);
        if (end > begin)
            CHECK_OK(syn_backward(net_loss(net, end - 1, end)));
        CHECK_OK(syn_data_parallel_finish(net));
        syn_comm_get_progress(&after);

        syn_data_parallel_get_overlap(net, &overlap);
        CHECK(between.sequence == before.sequence);
        for (int b = 0; b < overlap.n_buckets; b++)
            CHECK(overlap.buckets[b].ready_ns >= between_ns);
        CHECK(after.sequence == before.sequence + (uint64_t)overlap.n_buckets);
        CHECK(net_gradients(net, values) == n);
        check_close(values, expected, n);
        net_zero_grad(net);
    }
    syn_module_free(net);
}

static void training_gives_the_same_weights_as_one_process(void)
{
    double values[MAX_VALUES], expected[MAX_VALUES];
    syn_module *net = net_new(9), *alone = net_new(9);
    CHECK_OK(syn_data_parallel_with(net, summed(1e-6)));
    syn_optimizer *opt =
        syn_sgd(syn_module_parameters(net), (syn_sgd_options){.lr = 0.1, .momentum = 0.9});
    syn_optimizer *opt_alone =
        syn_sgd(syn_module_parameters(alone), (syn_sgd_options){.lr = 0.1, .momentum = 0.9});

    for (int step = 0; step < 20; step++) {
        SYN_SCOPE {
            run_step(net, syn_comm_world());
            syn_optimizer_step(opt);
            syn_optimizer_zero_grad(opt);
            CHECK_OK(syn_backward(net_loss(alone, 0, N_SAMPLES)));
            syn_optimizer_step(opt_alone);
            syn_optimizer_zero_grad(opt_alone);
        }
    }

    int n = net_parameters(net, values);
    CHECK(net_parameters(alone, expected) == n && !syn_failed());
    for (int i = 0; i < n; i++)
        CHECK(fabs(values[i] - expected[i]) < 1e-12);
    check_same_on_all_ranks(syn_comm_world(), values, n);
    syn_optimizer_free(opt);
    syn_optimizer_free(opt_alone);
    syn_module_free(net);
    syn_module_free(alone);
}

static void two_modules_trained_in_turn_and_together_do_not_mix(void)
{
    double a_values[MAX_VALUES], b_values[MAX_VALUES], a_one[MAX_VALUES], b_one[MAX_VALUES];
    int n = expected_gradients(5, a_one);
    (void)expected_gradients(6, b_one);
    syn_module *a = net_new(5), *b = net_new(6);
    CHECK_OK(syn_data_parallel_with(a, summed(1e-6)));
    CHECK_OK(syn_data_parallel_with(b, summed(1e-6)));

    CHECK_OK(syn_backward(net_loss(a, 0, N_SAMPLES)));
    net_gradients(b, b_values);
    for (int i = 0; i < n; i++)
        CHECK(b_values[i] == 0);
    net_zero_grad(a);
    /* Gradients become ready in the reverse order of recording, which differs between the ranks. */
    bool a_first = world_rank() == 0;
    syn_tensor *first = net_loss(a_first ? a : b, 0, N_SAMPLES);
    CHECK_OK(syn_backward(syn_add(first, net_loss(a_first ? b : a, 0, N_SAMPLES))));

    net_gradients(a, a_values);
    net_gradients(b, b_values);
    for (int i = 0; i < n; i++) {
        a_one[i] *= world_size();
        b_one[i] *= world_size();
    }
    check_close(a_values, a_one, n);
    check_close(b_values, b_one, n);
    net_zero_grad(a);
    CHECK_OK(syn_backward(net_loss(a, 0, N_SAMPLES))); /* leaves b's gradients alone */
    net_gradients(b, b_values);
    check_close(b_values, b_one, n);
    syn_module_free(a);
    syn_module_free(b);
}

static void groups_train_by_themselves(void)
{
    double values[MAX_VALUES], expected[MAX_VALUES];
    int members[64], n_members = 0, parity = world_rank() % 2;
    syn_comm *comm;
    for (int r = parity; r < world_size(); r += 2)
        members[n_members++] = r;
    CHECK_OK(syn_comm_new(members, n_members, 4, &comm));
    int n = expected_gradients(20 + (uint64_t)parity, expected);
    syn_module *net = net_new(20 + (uint64_t)parity);
    CHECK_OK(
        syn_data_parallel_over(net, comm, summed(1e-6), parity ? "data: odd\n" : "data: even\n"));

    for (int turn = 0; turn < (parity ? 2 : 5); turn++) {
        run_step(net, comm);
        net_gradients(net, values);
        check_close(values, expected, n);
        net_zero_grad(net);
    }

    syn_module_free(net);
    syn_comm_free(comm);
}

static void overlap_is_accounted_per_bucket(void)
{
    syn_overlap o;
    syn_module *net = net_new(5);
    CHECK_OK(syn_data_parallel_with(net, summed(1e-6)));
    syn_data_parallel_get_overlap(net, &o);
    CHECK(o.n_buckets == 0 && o.bytes == 0);

    run_step(net, syn_comm_world());
    syn_data_parallel_get_overlap(net, &o);

    CHECK(o.n_buckets == 6);
    CHECK(strcmp(o.buckets[0].first_name, "4.bias") == 0);
    CHECK(strcmp(o.buckets[5].first_name, "0.weight") == 0);
    CHECK(o.hidden_ms >= 0 && o.exposed_ms >= 0 && o.bytes_per_s > 0);
    size_t bytes = 0;
    for (int b = 0; b < o.n_buckets; b++) {
        CHECK(o.buckets[b].ready_ns <= o.buckets[b].start_ns);
        CHECK(o.buckets[b].start_ns <= o.buckets[b].end_ns && o.buckets[b].algorithm);
        CHECK(b == 0 || o.buckets[b - 1].end_ns <= o.buckets[b].start_ns);
        bytes += o.buckets[b].bytes;
    }
    CHECK(bytes == o.bytes && bytes >= (3 * 7 + 7 + 7 * 5 + 5 + 5 * 2 + 2) * sizeof(double));
    syn_module_free(net);
}

static void a_module_given_back_communicates_no_more(void)
{
    double values[MAX_VALUES], expected[MAX_VALUES];
    syn_comm_progress before, after;
    int n = expected_gradients(5, expected);
    syn_module *net = net_new(5);
    CHECK_OK(syn_data_parallel(net));
    CHECK(syn_data_parallel(net) == SYN_ALREADY_EXISTS);
    syn_data_parallel_remove(net);
    syn_comm_get_progress(&before);

    net_zero_grad(net);
    CHECK_OK(syn_backward(net_loss(net, 0, N_SAMPLES)));

    syn_comm_get_progress(&after);
    CHECK(before.sequence == after.sequence);
    net_gradients(net, values);
    check_close(values, expected, n);
    CHECK(syn_data_parallel_finish(net) == SYN_FAILED_PRECONDITION);
    CHECK_OK(syn_data_parallel(net)); /* and again */
    syn_module_free(net);
}

int main(int argc, char **argv)
{
    if (syn_init_mpi(&argc, &argv) != SYN_OK)
        return 1;
    CHECK(syn_rank() == world_rank() && syn_size() == world_size());
    SYN_SCOPE {
        RUN(gradients_of_uneven_and_empty_batches_equal_those_of_one_process);
        RUN(the_plain_call_averages);
        RUN(rank_0s_parameters_and_buffers_reach_everybody);
        RUN(parameters_that_no_or_some_ranks_use_count_as_zero_elsewhere);
        RUN(accumulation_sends_only_with_the_last_micro_batch);
        RUN(training_gives_the_same_weights_as_one_process);
        RUN(two_modules_trained_in_turn_and_together_do_not_mix);
        RUN(groups_train_by_themselves);
        RUN(overlap_is_accounted_per_bucket);
        RUN(a_module_given_back_communicates_no_more);
    }
    return syn_finish();
}
