/* Collectives over all ranks: values, order of the sums, pieces, what the works and the progress
 * record say. */
#include "tests/mpi/check.h"

#include "common/base/mem.h"

#include <math.h>
#include <pthread.h>

/* A number whose sum over ranks depends on the order in f32. */
static float awkward(int rank, size_t i)
{
    return (float)((double)(rank + 1) * 1.1e-3 * (double)(i % 977 + 1) + 1e4 * (double)(i % 3));
}

static void sum_of_f64_is_exact_for_small_integers(void)
{
    double values[1000];
    for (int i = 0; i < 1000; i++)
        values[i] = (double)(i * (world_rank() + 1));

    CHECK_OK(syn_comm_allreduce(syn_comm_world(), values, 1000, SYN_F64, SYN_REDUCE_SUM));

    for (int i = 0; i < 1000; i++)
        CHECK(values[i] == (double)i * world_size() * (world_size() + 1) / 2);
}

static void max_and_min_of_i64_keep_all_bits(void)
{
    int64_t max[2] = {INT64_MAX - world_rank(), -5 - world_rank()};
    int64_t min[2] = {INT64_MIN + world_rank(), world_rank()};

    CHECK_OK(syn_comm_allreduce(syn_comm_world(), max, 2, SYN_I64, SYN_REDUCE_MAX));
    CHECK_OK(syn_comm_allreduce(syn_comm_world(), min, 2, SYN_I64, SYN_REDUCE_MIN));

    CHECK(max[0] == INT64_MAX && max[1] == -5);
    CHECK(min[0] == INT64_MIN && min[1] == 0);
}

static void sums_of_f32_have_the_same_bits_on_every_rank_and_every_time(void)
{
    static const size_t counts[] = {1, 3, 1000, 70000, 1200001};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        size_t n = counts[c], bytes = n * sizeof(float);
        float *values = syn_malloc(bytes), *first = syn_malloc(bytes);
        CHECK(values && first);
        for (int turn = 0; turn < 3; turn++) {
            for (size_t i = 0; i < n; i++)
                values[i] = awkward(world_rank(), i);
            CHECK_OK(syn_comm_allreduce(syn_comm_world(), values, n, SYN_F32, SYN_REDUCE_SUM));
            if (turn == 0)
                memcpy(first, values, bytes);
            CHECK(memcmp(first, values, bytes) == 0);
        }
        CHECK_OK(syn_comm_broadcast(syn_comm_world(), first, bytes, world_size() - 1));
        CHECK(memcmp(first, values, bytes) == 0);
        for (size_t i = 0; i < n; i++) {
            double sum = 0;
            for (int r = 0; r < world_size(); r++)
                sum += (double)awkward(r, i);
            CHECK(fabs((double)values[i] - sum) <= sum * 1e-6);
        }
        syn_free(values);
        syn_free(first);
    }
}

static void pieces_give_the_same_as_the_whole(void)
{
    enum { N = 10007 };
    double values[N];
    char bytes[N], *all = syn_malloc((size_t)world_size() * N);
    CHECK(all);
    for (int i = 0; i < N; i++) {
        values[i] = i + world_rank();
        bytes[i] = (char)(i * 7 + world_rank());
    }

    syn_comm_set_chunk_bytes(96);
    CHECK_OK(syn_comm_allreduce(syn_comm_world(), values, N, SYN_F64, SYN_REDUCE_SUM));
    CHECK_OK(syn_comm_allgather(syn_comm_world(), bytes, N, all));
    CHECK_OK(syn_comm_broadcast(syn_comm_world(), bytes, N, world_size() - 1));
    syn_comm_set_chunk_bytes((size_t)1 << 30);

    for (int i = 0; i < N; i++) {
        CHECK(values[i] == (double)i * world_size() + world_size() * (world_size() - 1) / 2.0);
        CHECK(bytes[i] == (char)(i * 7 + world_size() - 1));
        for (int r = 0; r < world_size(); r++)
            CHECK(all[r * N + i] == (char)(i * 7 + r));
    }
    syn_free(all);
}

static void nothing_is_reduced_broadcast_and_gathered_without_harm(void)
{
    size_t offsets[65];
    char *all = NULL;
    CHECK(world_size() <= 64);

    CHECK_OK(syn_comm_allreduce(syn_comm_world(), NULL, 0, SYN_F32, SYN_REDUCE_SUM));
    CHECK_OK(syn_comm_broadcast(syn_comm_world(), NULL, 0, 0));
    CHECK_OK(syn_comm_allgather(syn_comm_world(), NULL, 0, NULL));
    CHECK_OK(syn_comm_allgatherv(syn_comm_world(), NULL, 0, &all, offsets));

    CHECK(offsets[world_size()] == 0);
    syn_free(all);
}

static void gathering_keeps_every_ranks_bytes_in_rank_order(void)
{
    char mine[64], *all;
    size_t offsets[65];
    memset(mine, 'a' + world_rank(), sizeof mine);

    CHECK_OK(syn_comm_allgatherv(syn_comm_world(), mine, (size_t)world_rank() * 3, &all, offsets));

    for (int r = 0; r < world_size(); r++) {
        CHECK(offsets[r + 1] - offsets[r] == (size_t)r * 3);
        for (size_t i = offsets[r]; i < offsets[r + 1]; i++)
            CHECK(all[i] == 'a' + r);
    }
    syn_free(all);
}

static void texts_of_all_ranks_arrive_everywhere(void)
{
    char mine[64], theirs[64];
    syn_comm_texts texts;
    (void)snprintf(mine, sizeof mine, "rank %d says %.*s", world_rank(), world_rank(), "hello");

    CHECK_OK(syn_comm_gather_texts(syn_comm_world(), mine, &texts));

    CHECK(texts.n == world_size());
    for (int r = 0; r < world_size(); r++) {
        (void)snprintf(theirs, sizeof theirs, "rank %d says %.*s", r, r, "hello");
        CHECK(strcmp(texts.items[r], theirs) == 0);
    }
    syn_comm_texts_release(&texts);
}

static void a_type_that_cannot_be_summed_is_refused_by_name(void)
{
    char bytes[4] = {0};

    CHECK(syn_comm_allreduce(syn_comm_world(), bytes, 4, SYN_U8, SYN_REDUCE_SUM) ==
          SYN_UNIMPLEMENTED);

    CHECK(strcmp(syn_error_message(), "all-reduce of u8 is not supported: f32, f64 and i64 are") ==
          0);
}

static void a_broadcast_from_nowhere_is_refused(void)
{
    char byte = 0;

    CHECK(syn_comm_broadcast(syn_comm_world(), &byte, 1, world_size()) == SYN_INVALID_ARGUMENT);
    CHECK(syn_comm_broadcast(syn_comm_world(), &byte, 1, -1) == SYN_INVALID_ARGUMENT);
}

static void posted_works_run_in_order_and_carry_their_times(void)
{
    enum { N = 8 };
    double values[N][100];
    syn_comm_work works[N];
    memset(works, 0, sizeof works);

    for (int w = 0; w < N; w++) {
        for (int i = 0; i < 100; i++)
            values[w][i] = w;
        works[w].bucket = w + 1;
        syn_comm_post_allreduce(syn_comm_world(), values[w], 100, SYN_F64, SYN_REDUCE_SUM,
                                &works[w]);
    }
    CHECK_OK(syn_comm_wait(&works[N - 1]));

    for (int w = 0; w < N; w++) {
        CHECK(syn_comm_is_done(&works[w]));
        CHECK_OK(syn_comm_wait(&works[w]));
        CHECK(values[w][99] == (double)w * world_size());
        CHECK(works[w].bytes == sizeof values[w] && works[w].algorithm);
        CHECK(works[w].ready_ns <= works[w].start_ns && works[w].start_ns <= works[w].end_ns);
        CHECK(w == 0 || works[w - 1].end_ns <= works[w].start_ns);
    }
}

static void waiting_for_what_was_not_posted_is_an_error(void)
{
    syn_comm_work work = {0};

    CHECK(!syn_comm_is_done(&work));
    CHECK(syn_comm_wait(&work) == SYN_FAILED_PRECONDITION);
}

/* Shared memory on one host, private memory where the library is asked for: the same sums, also of
 * parts. */
static void memory_of_ours_is_reduced_in_place(void)
{
    enum { N = 50000 };
    void *memory[3];
    syn_comm_work work = {0};
    for (int k = 0; k < 3; k++) {
        CHECK_OK(syn_comm_alloc(syn_comm_world(), N * sizeof(float), &memory[k]));
        CHECK((uintptr_t)memory[k] % 64 == 0);
        for (int i = 0; i < N; i++)
            CHECK(((float *)memory[k])[i] == 0);
    }
    bool is_shared =
        syn_comm_local_size(syn_comm_world()) == world_size() && !getenv("SYNCLINE_ALLREDUCE");
    const char *expected = world_size() == 1 ? "alone" : is_shared ? "shared window" : "library";

    static const size_t parts[][2] = {{0, N}, {0, 1}, {16, 17}, {12345, 70}, {N - 1, 1}, {7, 0}};
    for (int p = 0; p < 6; p++) {
        float *x = memory[p % 3], before[N];
        for (size_t i = 0; i < N; i++)
            before[i] = x[i] = awkward(world_rank(), i);
        syn_comm_post_allreduce(syn_comm_world(), x + parts[p][0], parts[p][1], SYN_F32,
                                SYN_REDUCE_SUM, &work);
        CHECK_OK(syn_comm_wait(&work));
        CHECK(parts[p][1] == 0 || strcmp(work.algorithm, expected) == 0);
        for (size_t i = 0; i < N; i++) {
            float sum = awkward(0, i);
            for (int r = 1; r < world_size(); r++)
                sum += awkward(r, i);
            bool is_inside = i >= parts[p][0] && i < parts[p][0] + parts[p][1];
            CHECK(is_inside ? fabsf(x[i] - sum) <= (is_shared ? 0 : sum * 1e-6f)
                            : x[i] == before[i]);
        }
        CHECK_OK(syn_comm_barrier(syn_comm_world()));
    }
    double *y = memory[0];
    int64_t *z = memory[1];
    y[3] = -1.5 - world_rank();
    z[5] = INT64_MIN + world_rank();
    CHECK_OK(syn_comm_allreduce(syn_comm_world(), y + 3, 1, SYN_F64, SYN_REDUCE_MAX));
    CHECK_OK(syn_comm_allreduce(syn_comm_world(), z + 5, 1, SYN_I64, SYN_REDUCE_MIN));
    CHECK(y[3] == -1.5 && z[5] == INT64_MIN);
    if (world_rank() == 0) /* giving back is not collective */
        syn_comm_dealloc(memory[1]);
    CHECK_OK(syn_comm_allreduce(syn_comm_world(), memory[2], N, SYN_F32, SYN_REDUCE_MAX));
    syn_comm_dealloc(memory[0]);
    if (world_rank() != 0)
        syn_comm_dealloc(memory[1]);
    syn_comm_dealloc(memory[2]);
    syn_comm_dealloc(NULL);
}

static void memory_shared_by_two_groups_of_the_same_ranks_is_kept_apart(void)
{
    syn_comm *groups[2];
    void *memory[2];
    int everyone[64];
    for (int r = 0; r < world_size(); r++)
        everyone[r] = r;
    for (int g = 0; g < 2; g++) {
        CHECK_OK(syn_comm_new(everyone, world_size(), 1, &groups[g]));
        CHECK_OK(syn_comm_alloc(groups[g], 64, &memory[g]));
        *(double *)memory[g] = g + 1;
    }

    for (int g = 0; g < 2; g++)
        for (int other = 0; other < 2; other++) {
            CHECK_OK(syn_comm_allreduce(groups[other], memory[g], 1, SYN_F64, SYN_REDUCE_SUM));
        }

    for (int g = 0; g < 2; g++) {
        CHECK(*(double *)memory[g] == (g + 1.0) * world_size() * world_size());
        syn_comm_free(groups[g]);
        CHECK(*(double *)memory[g] == (g + 1.0) * world_size() * world_size());
        syn_comm_dealloc(memory[g]); /* also after its group */
    }
}

static void progress_names_the_last_collective(void)
{
    syn_comm_progress before, after;
    double value = 1;
    syn_comm_work work = {.label = "bucket 3 (conv4.weight)", .bucket = 3};

    syn_comm_get_progress(&before);
    syn_progress_set(5, 812);
    syn_comm_post_allreduce(syn_comm_world(), &value, 1, SYN_F64, SYN_REDUCE_SUM, &work);
    CHECK_OK(syn_comm_wait(&work));
    syn_comm_get_progress(&after);

    CHECK(after.state == SYN_COMM_IDLE);
    CHECK(after.sequence == before.sequence + 1);
    CHECK(after.bucket == 3 && after.since_ns >= work.start_ns);
    CHECK(strcmp(after.label, "all-reduce, bucket 3 (conv4.weight)") == 0);
    CHECK(after.phase == 5 && after.step == 812 && after.phase_since_ns > 0);
}

/* The agent thread reads while the comm thread and the step loop write: what it sees belongs
 * together. */
static void *read_progress(void *stop)
{
    syn_comm_progress p;
    do {
        syn_comm_get_progress(&p);
        CHECK(p.step == (uint64_t)p.phase * 10);
    } while (!*(_Atomic bool *)stop);
    return NULL;
}

static void progress_read_by_another_thread_is_consistent(void)
{
    static _Atomic bool stop;
    pthread_t reader;
    int64_t value = 1;
    syn_progress_set(0, 0);
    CHECK(pthread_create(&reader, NULL, read_progress, (void *)&stop) == 0);

    for (int i = 0; i < 200; i++) {
        syn_progress_set(i % 10, (uint64_t)(i % 10) * 10);
        CHECK_OK(syn_comm_allreduce(syn_comm_world(), &value, 1, SYN_I64, SYN_REDUCE_MAX));
    }

    stop = true;
    CHECK(pthread_join(reader, NULL) == 0);
}

int main(int argc, char **argv)
{
    if (syn_comm_start(&argc, &argv) != SYN_OK)
        return 1;
    RUN(sum_of_f64_is_exact_for_small_integers);
    RUN(max_and_min_of_i64_keep_all_bits);
    RUN(sums_of_f32_have_the_same_bits_on_every_rank_and_every_time);
    RUN(pieces_give_the_same_as_the_whole);
    RUN(nothing_is_reduced_broadcast_and_gathered_without_harm);
    RUN(gathering_keeps_every_ranks_bytes_in_rank_order);
    RUN(texts_of_all_ranks_arrive_everywhere);
    RUN(a_type_that_cannot_be_summed_is_refused_by_name);
    RUN(a_broadcast_from_nowhere_is_refused);
    RUN(posted_works_run_in_order_and_carry_their_times);
    RUN(waiting_for_what_was_not_posted_is_an_error);
    RUN(memory_of_ours_is_reduced_in_place);
    RUN(memory_shared_by_two_groups_of_the_same_ranks_is_kept_apart);
    RUN(progress_names_the_last_collective);
    RUN(progress_read_by_another_thread_is_consistent);
    syn_comm_stop();
    return 0;
}
