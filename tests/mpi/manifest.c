/* Manifests: equal ones pass, different ones give every rank the same sentence. */
#include "worker/parallel/manifest.h"

#include "tests/mpi/check.h"

static int last(void)
{
    return world_size() - 1;
}

/* Compares and checks that the sentence is the same everywhere and, on more than one rank, as
 * expected. */
static void check_difference(const char *mine, const char *expected)
{
    char theirs[2048] = {0};

    CHECK(syn_manifest_compare(syn_comm_world(), mine) == SYN_FAILED_PRECONDITION);

    const char *sentence = syn_error_message();
    if (strcmp(sentence, expected) != 0)
        (void)printf("expected: %s\nbut was:  %s\n", expected, sentence);
    CHECK(strcmp(sentence, expected) == 0);
    (void)snprintf(theirs, sizeof theirs, "%s", sentence);
    CHECK_OK(syn_comm_broadcast(syn_comm_world(), theirs, sizeof theirs, last()));
    CHECK(strcmp(theirs, syn_error_message()) == 0);
}

static void equal_manifests_pass(void)
{
    CHECK_OK(syn_manifest_compare(syn_comm_world(), "seed: 1\ndata: abc\n"));
    CHECK_OK(syn_manifest_compare(syn_comm_world(), ""));
}

static void the_first_differing_line_is_named_with_its_values_and_ranks(void)
{
    const char *host = syn_comm_host(syn_comm_world(), last());
    char expected[512], ranks[32];
    if (world_size() < 2)
        return;
    (void)snprintf(ranks, sizeof ranks, last() > 1 ? "ranks 0-%d" : "rank %d (%s)", last() - 1,
                   host);
    (void)snprintf(
        expected, sizeof expected,
        "the ranks differ in parameter 0.weight: f32 (5, 2) on %s; f32 (6, 2) on rank %d "
        "(%s)",
        ranks, last(), host);

    check_difference(world_rank() == last()
                         ? "seed: 1\nparameter 0.weight: f32 (6, 2)\nparameter 0.bias: f32 (6)\n"
                         : "seed: 1\nparameter 0.weight: f32 (5, 2)\nparameter 0.bias: f32 (5)\n",
                     expected);
}

static void a_missing_line_is_named_as_nothing(void)
{
    const char *host = syn_comm_host(syn_comm_world(), 0);
    char expected[512], ranks[32];
    if (world_size() < 2)
        return;
    (void)snprintf(ranks, sizeof ranks, last() > 1 ? "ranks 1-%d" : "rank %d (%s)", last(), host);
    (void)snprintf(expected, sizeof expected,
                   "the ranks differ in nothing on rank 0 (%s); buffer b: f32 (1) on %s", host,
                   ranks);

    check_difference(world_rank() == 0 ? "seed: 1\n" : "seed: 1\nbuffer b: f32 (1)\n", expected);
}

static void ranks_that_are_apart_are_listed(void)
{
    const char *host = syn_comm_host(syn_comm_world(), 1 % world_size());
    char expected[512];
    if (world_size() != 4)
        return;
    (void)snprintf(expected, sizeof expected,
                   "the ranks differ in seed: 7 on ranks 0, 2-3; 8 on rank 1 (%s)", host);

    check_difference(world_rank() == 1 ? "seed: 8\n" : "seed: 7\n", expected);
}

static void many_values_end_in_others_and_long_ones_are_cut(void)
{
    char mine[1024], expected[64];
    if (world_size() < 2)
        return;
    memset(mine, 'x', sizeof mine - 1);
    mine[sizeof mine - 1] = '\0';
    memcpy(mine, "data: ", 6);
    mine[6] = (char)('a' + world_rank());

    CHECK(syn_manifest_compare(syn_comm_world(), mine) == SYN_FAILED_PRECONDITION);

    (void)snprintf(expected, sizeof expected, "the ranks differ in data: axxx");
    CHECK(strncmp(syn_error_message(), expected, strlen(expected)) == 0);
    CHECK(strlen(syn_error_message()) < 1024);
}

int main(int argc, char **argv)
{
    if (syn_comm_start(&argc, &argv) != SYN_OK)
        return 1;
    RUN(equal_manifests_pass);
    RUN(the_first_differing_line_is_named_with_its_values_and_ranks);
    RUN(a_missing_line_is_named_as_nothing);
    RUN(ranks_that_are_apart_are_listed);
    RUN(many_values_end_in_others_and_long_ones_are_cut);
    syn_comm_stop();
    return 0;
}
