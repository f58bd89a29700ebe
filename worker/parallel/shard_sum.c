/* A stack of partial sums as a binary counter keeps it, bucket by bucket. */
#include "worker/parallel/shard_sum.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "worker/parallel/bucket.h"
#include "worker/parallel/overlap.h"
#include "worker/tensor/tensor.h"

#include <string.h>

struct syn_shard_sum {
    syn_module *module;   /* borrowed */
    syn_buckets *buckets; /* borrowed from the module */
    syn_comm *comm;       /* borrowed */
    syn_comm_tree *tree;  /* owned */
    int n_shards;
    syn_shard_range range; /* of this rank */
    int next;              /* shard of the range to be pushed next, from 0 */
    int height, capacity;  /* of the stack */
    /* Owned: the stack's sums of bucket b are parts[b * capacity + level]; after the buckets, the
     * totals'. */
    void **parts;
    syn_comm_work *works;       /* owned; one per bucket */
    syn_bucket_timing *timings; /* owned; one per bucket */
    syn_overlap overlap;
};

syn_shard_range syn_shard_sum_range(const int *table, int rank)
{
    syn_shard_range range = {0, table[rank]};
    for (int r = 0; r < rank; r++)
        range.first += table[r];
    return range;
}

/* Every rank's subtrees, and how they go together. */
static syn_status make_tree(syn_shard_sum *sum, const int *table)
{
    size_t size = (size_t)syn_comm_size(sum->comm);
    int *n_parts = syn_calloc(size, sizeof *n_parts), n = 0;
    /* A subtree holds a shard, so there are no more of them. */
    int *merges = syn_calloc((size_t)sum->n_shards, sizeof *merges);
    syn_status status = SYN_OK;

    if (!n_parts || !merges)
        SYN_GOTO(syn_fail_memory((size_t)sum->n_shards * sizeof *merges, "the tree of shards"));
    for (int r = 0, first = 0; r < (int)size; first += table[r++]) {
        syn_shard_range nodes[SYN_SHARD_TREE_HEIGHT];
        n_parts[r] = syn_shard_tree_cover(sum->n_shards, (syn_shard_range){first, table[r]}, nodes);
        for (int i = 0; i < n_parts[r]; i++)
            merges[n++] = syn_shard_tree_merges(sum->n_shards, 0, nodes[i]);
    }
    status = syn_comm_tree_new(sum->comm, n_parts, merges, &sum->tree);
out:
    syn_free(n_parts);
    syn_free(merges);
    return status;
}

static size_t bucket_bytes(const syn_bucket *bucket)
{
    return (size_t)bucket->n_elements * syn_dtype_size(bucket->dtype);
}

static syn_status allocate(syn_shard_sum *sum)
{
    size_t n = (size_t)sum->buckets->n, levels = (size_t)sum->capacity;

    sum->parts = syn_calloc((n + 1) * levels + 1, sizeof *sum->parts);
    sum->works = syn_calloc(n, sizeof *sum->works);
    sum->timings = syn_calloc(n, sizeof *sum->timings);
    if (!sum->parts || !sum->works || !sum->timings)
        return syn_fail_memory(n * sizeof *sum->works, "the sums over shards");
    for (size_t b = 0; b <= n; b++) {
        size_t bytes = b < n ? bucket_bytes(&sum->buckets->items[b]) : 0;
        if (b == n)
            bytes = SYN_SHARD_TOTALS * sizeof(double);
        for (size_t level = 0; level < levels; level++) {
            void *part = sum->parts[b * levels + level] = syn_calloc(bytes + 1, 1);
            if (!part)
                return syn_fail_memory(bytes, "the gradients of some shards");
        }
    }
    return SYN_OK;
}

syn_status syn_shard_sum_new(syn_module *module, syn_comm *comm, const int *table,
                             syn_shard_sum **sum_out)
{
    syn_buckets *buckets = syn_data_parallel_buckets(module);
    syn_status status;

    if (!buckets)
        return SYN_FAIL(SYN_FAILED_PRECONDITION, "the module is not data parallel");
    syn_shard_sum *sum = syn_calloc(1, sizeof *sum);
    if (!sum)
        return syn_fail_memory(sizeof *sum, "the sums over shards");
    sum->module = module;
    sum->buckets = buckets;
    sum->comm = comm;
    for (int r = 0; r < syn_comm_size(comm); r++)
        sum->n_shards += table[r];
    sum->range = syn_shard_sum_range(table, syn_comm_rank(comm));
    sum->capacity = syn_shard_tree_height(sum->n_shards, sum->range);
    SYN_GOTO(make_tree(sum, table));
    SYN_GOTO(allocate(sum));
    syn_data_parallel_set_sync(module, false);
    *sum_out = sum;
    return SYN_OK;
out:
    syn_shard_sum_free(sum);
    return status;
}

void syn_shard_sum_free(syn_shard_sum *sum)
{
    if (!sum)
        return;
    size_t n = ((size_t)sum->buckets->n + 1) * (size_t)sum->capacity;
    for (size_t i = 0; sum->parts && i < n; i++)
        syn_free(sum->parts[i]);
    syn_comm_tree_free(sum->tree);
    syn_free(sum->parts);
    syn_free(sum->works);
    syn_free(sum->timings);
    syn_free(sum);
}

/* Puts one term on the stack, or adds it to what lies there. `parts` is the stack. */
static void push(void **parts, int height, int merges, const void *term, size_t count,
                 syn_dtype dtype)
{
    if (merges == 0) {
        memcpy(parts[height], term, count * syn_dtype_size(dtype));
        return;
    }
    syn_comm_add(parts[height - 1], term, count, dtype);
    for (int m = 1; m < merges; m++)
        syn_comm_add(parts[height - m - 1], parts[height - m], count, dtype);
}

syn_status syn_shard_sum_push(syn_shard_sum *sum, const double totals[SYN_SHARD_TOTALS])
{
    size_t levels = (size_t)sum->capacity, n = (size_t)sum->buckets->n;

    if (sum->next >= sum->range.n)
        return SYN_FAIL(SYN_FAILED_PRECONDITION, "this rank has %d shards, and all were summed",
                        sum->range.n);
    int merges = syn_shard_tree_merges(sum->n_shards, sum->range.first,
                                       (syn_shard_range){sum->range.first + sum->next, 1});
    for (size_t b = 0; b < n; b++) {
        syn_bucket *bucket = &sum->buckets->items[b];
        void *data = syn_tensor_data(bucket->flat);
        push(sum->parts + b * levels, sum->height, merges, data, (size_t)bucket->n_elements,
             bucket->dtype);
        memset(data, 0, bucket_bytes(bucket));
        syn_tensor_bump_version(bucket->flat, "the sum over shards");
    }
    push(sum->parts + n * levels, sum->height, merges, totals, SYN_SHARD_TOTALS, SYN_F64);
    sum->height += 1 - merges;
    sum->next++;
    return SYN_OK;
}

static void note_timings(syn_shard_sum *sum, uint64_t begin_ns)
{
    for (int b = 0; b < sum->buckets->n; b++) {
        const syn_comm_work *work = &sum->works[b];
        sum->timings[b] = (syn_bucket_timing){.ready_ns = work->ready_ns,
                                              .start_ns = work->start_ns,
                                              .end_ns = work->end_ns,
                                              .bytes = work->bytes,
                                              .first_name = sum->buckets->items[b].first_name,
                                              .algorithm = work->algorithm};
    }
    sum->overlap.n_buckets = sum->buckets->n;
    sum->overlap.buckets = sum->timings;
    syn_overlap_compute(&sum->overlap, begin_ns, true);
}

syn_status syn_shard_sum_finish(syn_shard_sum *sum, double totals_out[SYN_SHARD_TOTALS])
{
    size_t levels = (size_t)sum->capacity, n = (size_t)sum->buckets->n;
    uint64_t begin_ns = syn_clock_monotonic_ns();
    syn_comm_work last = {.label = "totals"};
    syn_status status;

    for (size_t b = 0; b < n; b++) {
        syn_bucket *bucket = &sum->buckets->items[b];
        sum->works[b] = (syn_comm_work){.label = bucket->label, .bucket = (int)b + 1};
        syn_comm_post_tree_sum(sum->tree, sum->parts + b * levels, syn_tensor_data(bucket->flat),
                               (size_t)bucket->n_elements, bucket->dtype, &sum->works[b]);
    }
    syn_comm_post_tree_sum(sum->tree, sum->parts + n * levels, totals_out, SYN_SHARD_TOTALS,
                           SYN_F64, &last);
    status = syn_comm_wait(&last);
    for (size_t b = 0; b < n; b++) {
        syn_bucket *bucket = &sum->buckets->items[b];
        syn_status one = syn_comm_wait(&sum->works[b]);
        if (one != SYN_OK)
            status = syn_fail_context(one, "%s", bucket->label);
        syn_tensor_bump_version(bucket->flat, "the sum over shards");
    }
    note_timings(sum, begin_ns);
    sum->next = sum->height = 0;
    return status;
}

void syn_shard_sum_get_overlap(const syn_shard_sum *sum, syn_overlap *overlap_out)
{
    *overlap_out = sum->overlap;
}
