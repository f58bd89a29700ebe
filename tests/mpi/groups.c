/* Groups of ranks: disjoint, overlapping in time, made again and again, and their refusals. */
#include "tests/mpi/check.h"

static void check_sum(syn_comm *comm, double mine, double expected)
{
    CHECK_OK(syn_comm_allreduce(comm, &mine, 1, SYN_F64, SYN_REDUCE_SUM));
    CHECK(mine == expected);
}

static void the_world_knows_its_ranks(void)
{
    syn_comm *world = syn_comm_world();

    CHECK(syn_comm_is_started());
    CHECK(syn_comm_rank(world) >= 0 && syn_comm_rank(world) < syn_comm_size(world));
    CHECK(syn_comm_world_rank(world, world_size() - 1) == world_size() - 1);
    CHECK(syn_comm_host(world, 0)[0] != '\0');
    int n_here = 0, n_before = 0;
    for (int r = 0; r < world_size(); r++) {
        bool is_here = strcmp(syn_comm_host(world, r), syn_comm_host(world, world_rank())) == 0;
        n_here += is_here;
        n_before += is_here && r < world_rank();
    }
    CHECK(syn_comm_local_size(world) == n_here && syn_comm_local_rank(world) == n_before);
    CHECK(syn_comm_cores_per_rank() >= 1);
    CHECK_OK(syn_comm_start(NULL, NULL)); /* again: harmless */
    CHECK(syn_comm_world() == world);
}

static void a_group_orders_its_ranks_as_listed(void)
{
    int reversed[64], n = world_size();
    syn_comm *comm;
    for (int i = 0; i < n; i++)
        reversed[i] = n - 1 - i;

    CHECK_OK(syn_comm_new(reversed, n, 1, &comm));

    CHECK(syn_comm_size(comm) == n && syn_comm_rank(comm) == n - 1 - world_rank());
    CHECK(syn_comm_world_rank(comm, 0) == n - 1);
    CHECK(syn_comm_local_rank(comm) ==
          syn_comm_local_size(comm) - 1 - syn_comm_local_rank(syn_comm_world()));
    int from = world_rank();
    CHECK_OK(syn_comm_broadcast(comm, &from, sizeof from, 0));
    CHECK(from == n - 1);
    syn_comm_free(comm);
}

/* Even and odd ranks each make groups at their own pace: only members take part. */
static void disjoint_groups_live_independently_many_times(void)
{
    int mine[64], n = 0, parity = world_rank() % 2, turns = parity ? 40 : 17;
    for (int r = parity; r < world_size(); r += 2)
        mine[n++] = r;

    for (int turn = 0; turn < turns; turn++) {
        syn_comm *comm;
        CHECK_OK(syn_comm_new(mine, n, turn, &comm));
        check_sum(comm, 1, n);
        CHECK_OK(syn_comm_barrier(comm));
        syn_comm_free(comm);
    }
}

static void several_groups_of_one_rank_are_alive_together(void)
{
    syn_comm *all[5], *self;
    int everyone[64], me = world_rank();
    for (int r = 0; r < world_size(); r++)
        everyone[r] = r;

    for (int g = 0; g < 5; g++)
        CHECK_OK(syn_comm_new(everyone, world_size(), 7, &all[g]));
    CHECK_OK(syn_comm_new(&me, 1, 8, &self));

    for (int g = 4; g >= 0; g--)
        check_sum(all[g], g, (double)g * world_size());
    check_sum(self, 3, 3);
    CHECK(syn_comm_size(self) == 1 && syn_comm_world_rank(self, 0) == me);
    for (int g = 0; g < 5; g += 2)
        syn_comm_free(all[g]);
    check_sum(all[1], 1, world_size());
    syn_comm_free(all[1]);
    syn_comm_free(all[3]);
    syn_comm_free(self);
    check_sum(syn_comm_world(), 1, world_size());
}

static void sequence_numbers_are_counted_per_group(void)
{
    syn_comm_progress p;
    syn_comm *comm;
    int me = world_rank();
    CHECK_OK(syn_comm_new(&me, 1, 3, &comm));
    syn_comm_get_progress(&p);
    uint64_t first = p.sequence;

    CHECK_OK(syn_comm_barrier(syn_comm_world()));
    CHECK_OK(syn_comm_barrier(comm));
    syn_comm_get_progress(&p);

    CHECK(p.sequence == first + 1);
    CHECK(strcmp(p.label, "barrier") == 0);
    syn_comm_free(comm);
}

static void groups_that_make_no_sense_are_refused_without_the_others(void)
{
    syn_comm *comm = NULL;
    int n = world_size(), outside[] = {world_rank(), n}, twice[] = {world_rank(), world_rank()};
    int other = (world_rank() + 1) % n;

    CHECK(syn_comm_new(outside, 2, 0, &comm) == SYN_INVALID_ARGUMENT);
    CHECK(strstr(syn_error_message(), "a group names rank"));
    CHECK(syn_comm_new(twice, 2, 0, &comm) == SYN_INVALID_ARGUMENT);
    CHECK(strstr(syn_error_message(), "twice"));
    CHECK(n == 1 || syn_comm_new(&other, 1, 0, &comm) == SYN_INVALID_ARGUMENT);
    CHECK(syn_comm_new(&other, 0, 0, &comm) == SYN_INVALID_ARGUMENT);
    CHECK(syn_comm_new(&other, 1, -1, &comm) == SYN_INVALID_ARGUMENT);
    CHECK(comm == NULL);
    syn_comm_free(NULL);
    syn_comm_free(syn_comm_world()); /* left alone */
    check_sum(syn_comm_world(), 1, n);
}

int main(int argc, char **argv)
{
    if (syn_comm_start(&argc, &argv) != SYN_OK)
        return 1;
    RUN(the_world_knows_its_ranks);
    RUN(a_group_orders_its_ranks_as_listed);
    RUN(disjoint_groups_live_independently_many_times);
    RUN(several_groups_of_one_rank_are_alive_together);
    RUN(sequence_numbers_are_counted_per_group);
    RUN(groups_that_make_no_sense_are_refused_without_the_others);
    syn_comm_stop();
    syn_comm_stop(); /* again: harmless */
    return syn_comm_is_started() ? 1 : 0;
}
