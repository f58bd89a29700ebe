/* Data parallelism: buckets leave in index order as their gradients become ready, and are waited
 * for at the end of backward. */
#include "worker/parallel/data_parallel.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "worker/autograd/backward_end.h"
#include "worker/nn/module.h"
#include "worker/parallel/bucket.h"
#include "worker/parallel/manifest.h"
#include "worker/parallel/overlap.h"
#include "worker/tensor/tensor.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <syncline/autograd.h>

typedef struct engine engine;

/* What a parameter's ready hook gets. */
typedef struct ready_slot {
    engine *engine; /* borrowed */
    int bucket;
} ready_slot;

struct engine {
    syn_comm *comm; /* borrowed */
    syn_data_parallel_options options;
    syn_buckets buckets;
    ready_slot *slots;          /* owned; one per parameter */
    syn_bucket_timing *timings; /* owned; one per bucket */
    syn_overlap overlap;
    int next; /* the bucket to launch next; buckets before it are under way */
    bool is_hooked;
    bool sync;
    bool is_reached; /* a gradient became ready in this step, with sync on */
    bool is_reduced; /* since the last launch; the buckets' versions say whether they were written
                        since */
    bool has_failed; /* a backward pass of this step failed on this rank */
};

/* Two engines could launch in different orders on different ranks, so that overlap is for one
 * alone. */
static atomic_int n_engines;

/* ---- Launching and waiting ---- */

static void launch(engine *e)
{
    syn_bucket *bucket = &e->buckets.items[e->next];

    if (e->next == e->buckets.n - 1) {
        syn_bucket_set_extra(bucket, 0, e->has_failed ? 1 : 0);
        syn_bucket_set_extra(bucket, 1, e->has_failed ? syn_comm_rank(e->comm) + 1 : 0);
    }
    bucket->work = (syn_comm_work){.label = bucket->label, .bucket = e->next + 1, .status = SYN_OK};
    syn_comm_post_allreduce(e->comm, syn_tensor_data(bucket->flat),
                            (size_t)syn_tensor_numel(bucket->flat), syn_tensor_dtype(bucket->flat),
                            SYN_REDUCE_SUM, &bucket->work);
    e->next++;
}

static void gradient_is_ready(syn_tensor *leaf, void *user)
{
    ready_slot *slot = user;
    engine *e = slot->engine;

    (void)leaf;
    if (!e->sync)
        return;
    e->is_reached = true;
    e->buckets.items[slot->bucket].n_pending--;
    if (e->options.no_overlap || atomic_load(&n_engines) > 1)
        return;
    while (e->next < e->buckets.n && e->buckets.items[e->next].n_pending <= 0)
        launch(e);
}

/* Whether nothing was written to the buckets since they were reduced. */
static bool is_up_to_date(const engine *e)
{
    bool same = e->is_reduced;
    for (int b = 0; same && b < e->buckets.n; b++)
        same = syn_tensor_version(e->buckets.items[b].flat) == e->buckets.items[b].version;
    return same;
}

static void note_timings(engine *e, uint64_t backward_end_ns)
{
    for (int b = 0; b < e->buckets.n; b++) {
        const syn_bucket *bucket = &e->buckets.items[b];
        e->timings[b] = (syn_bucket_timing){.ready_ns = bucket->work.ready_ns,
                                            .start_ns = bucket->work.start_ns,
                                            .end_ns = bucket->work.end_ns,
                                            .bytes = bucket->work.bytes,
                                            .first_name = bucket->first_name,
                                            .algorithm = bucket->work.algorithm};
    }
    e->overlap.n_buckets = e->buckets.n;
    e->overlap.buckets = e->timings;
    syn_overlap_compute(&e->overlap, backward_end_ns, syn_comm_is_threaded());
}

/* Reads from the last bucket whether some rank could not complete the step. */
static syn_status check_failures(const engine *e)
{
    const syn_bucket *last = &e->buckets.items[e->buckets.n - 1];
    int n_failed = (int)syn_bucket_get_extra(last, 0), rank;

    if (n_failed == 0)
        return SYN_OK;
    rank = (int)syn_bucket_get_extra(last, 1) - 1;
    if (n_failed > 1 || rank < 0 || rank >= syn_comm_size(e->comm))
        return SYN_FAIL(SYN_ABORTED, "%d ranks could not complete the step", n_failed);
    return SYN_FAIL(SYN_ABORTED, "rank %d (%s) could not complete the step", rank,
                    syn_comm_host(e->comm, rank));
}

/* Launches what is left, waits for everything, and gets ready for the next step. */
static syn_status complete(engine *e)
{
    syn_status status = SYN_OK;
    uint64_t backward_end_ns = syn_clock_monotonic_ns();

    while (e->next < e->buckets.n)
        launch(e);
    for (int b = 0; b < e->buckets.n; b++) {
        syn_bucket *bucket = &e->buckets.items[b];
        syn_status one = syn_comm_wait(&bucket->work);
        if (status == SYN_OK && one != SYN_OK)
            status = syn_fail_context(one, "%s", bucket->label);
        if (e->options.average)
            syn_bucket_scale(bucket, 1.0 / syn_comm_size(e->comm));
        syn_tensor_bump_version(bucket->flat, "the sum over the ranks");
        bucket->version = syn_tensor_version(bucket->flat);
        bucket->n_pending = bucket->n_parameters;
    }
    note_timings(e, backward_end_ns);
    e->next = 0;
    e->is_reached = e->has_failed = false;
    e->is_reduced = true;
    return status != SYN_OK ? status : check_failures(e);
}

/* A failure comes back as it was, with its sentence, whatever the reduction said. */
static syn_status backward_ended(syn_status status, void *user)
{
    engine *e = user;

    if (status == SYN_OK) {
        if (!e->sync || !e->is_reached)
            return SYN_OK;
        status = complete(e);
        if (status != SYN_OK)
            (void)syn_stick(status);
        return status;
    }
    e->has_failed = true;
    if (e->sync && (e->is_reached || atomic_load(&n_engines) == 1)) {
        char sentence[2048];
        (void)snprintf(sentence, sizeof sentence, "%s",
                       syn_failed() ? syn_error() : syn_error_message());
        (void)complete(e);
        status = SYN_FAIL(status, "%s", sentence);
    }
    return status;
}

/* ---- Setting up ---- */

static void engine_detach(engine *e)
{
    if (!e->is_hooked)
        return;
    syn_backward_end_remove(backward_ended, e);
    for (int i = 0; i < e->buckets.n_parameters; i++)
        syn_set_grad_ready(e->buckets.parameters[i].tensor, NULL, NULL);
    atomic_fetch_sub(&n_engines, 1);
}

static void engine_free(void *pointer)
{
    engine *e = pointer;
    if (!e)
        return;
    engine_detach(e);
    syn_buckets_release(&e->buckets);
    syn_free(e->slots);
    syn_free(e->timings);
    syn_free(e);
}

/* The plan; nothing is sent. */
static syn_status engine_new(syn_module *module, syn_comm *comm, syn_data_parallel_options options,
                             engine **engine_out)
{
    double first_mb = options.first_bucket_mb > 0 ? options.first_bucket_mb : 1;
    double mb = options.bucket_mb > 0 ? options.bucket_mb : 25;
    syn_status status;

    if (!module)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "there is no module to make data parallel");
    if (syn_module_get_attached(module))
        return SYN_FAIL(SYN_ALREADY_EXISTS, "the module is data parallel already");
    engine *e = syn_calloc(1, sizeof *e);
    if (!e)
        return syn_fail_memory(sizeof *e, "data parallelism");
    e->comm = comm;
    e->options = options;
    e->sync = true;
    SYN_GOTO(syn_buckets_init(&e->buckets, syn_module_parameters(module),
                              (size_t)(first_mb * 1048576), (size_t)(mb * 1048576)));
    e->timings = syn_calloc((size_t)e->buckets.n, sizeof *e->timings);
    e->slots = syn_calloc((size_t)e->buckets.n_parameters, sizeof *e->slots);
    if (!e->timings || !e->slots) {
        status =
            syn_fail_memory((size_t)e->buckets.n_parameters * sizeof *e->slots, "data parallelism");
        goto out;
    }
    *engine_out = e;
    return SYN_OK;
out:
    engine_free(e);
    return status;
}

/* Hooks into the parameters and the backward pass; from here on the module owns the engine. */
static syn_status engine_attach(engine *e, syn_module *module)
{
    SYN_TRY(syn_backward_end_add(backward_ended, e));
    e->is_hooked = true;
    atomic_fetch_add(&n_engines, 1);
    for (int i = 0; i < e->buckets.n_parameters; i++) {
        e->slots[i] = (ready_slot){.engine = e, .bucket = e->buckets.parameters[i].bucket};
        syn_set_grad_ready(e->buckets.parameters[i].tensor, gradient_is_ready, &e->slots[i]);
    }
    return syn_module_attach(module, e, engine_free);
}

static syn_status compare_manifests(const engine *e, syn_module *module, const char *more)
{
    syn_str manifest = {0};
    syn_status status;

    syn_str_appendf(&manifest, "syncline: %s\n", SYN_VERSION);
    syn_manifest_add_module(&manifest, module);
    syn_str_appendf(&manifest, "gradients: %s, %s\n", e->options.average ? "averaged" : "summed",
                    e->options.no_overlap ? "after backward" : "during backward");
    for (int b = 0; b < e->buckets.n; b++) {
        const syn_bucket *bucket = &e->buckets.items[b];
        syn_str_appendf(&manifest, "%s: %d parameters, %lld elements\n", bucket->label,
                        bucket->n_parameters, (long long)bucket->n_elements);
    }
    if (more)
        syn_str_append(&manifest, more);
    status = manifest.failed ? syn_fail_memory(manifest.length, "the manifest") : SYN_OK;
    SYN_GOTO(syn_comm_agree(e->comm, status, NULL, NULL));
    SYN_GOTO(syn_manifest_compare(e->comm, syn_str_get(&manifest)));
out:
    syn_str_release(&manifest);
    return status;
}

/* Copies rank 0's values into everybody's tensors. */
static syn_status broadcast_tensors(syn_comm *comm, syn_parameters list)
{
    for (int i = 0; i < list.n; i++) {
        syn_tensor *tensor = list.items[i].tensor;
        size_t bytes = (size_t)syn_tensor_numel(tensor) * syn_dtype_size(syn_tensor_dtype(tensor));
        bool is_direct = syn_tensor_is_contiguous(tensor);
        void *copy = is_direct ? NULL : syn_malloc(bytes);
        void *data = is_direct ? syn_tensor_data(tensor) : copy;
        syn_status status = SYN_OK;
        if (!is_direct) /* the same tensors on all ranks by the manifest: all agree or none does */
            status = syn_comm_agree(comm,
                                    copy ? syn_tensor_read(tensor, copy)
                                         : syn_fail_memory(bytes, "a parameter's copy"),
                                    NULL, NULL);
        if (status == SYN_OK)
            status = syn_comm_broadcast(comm, data, bytes, 0);
        if (status == SYN_OK && !is_direct)
            status = syn_tensor_write(tensor, copy);
        syn_free(copy);
        SYN_TRY(status);
        if (is_direct)
            syn_tensor_bump_version(tensor, "rank 0's values");
    }
    return SYN_OK;
}

syn_status syn_data_parallel_over(syn_module *module, syn_comm *comm,
                                  syn_data_parallel_options options, const char *manifest)
{
    engine *e = NULL;
    syn_status status;

    if (!comm)
        return SYN_FAIL(SYN_FAILED_PRECONDITION,
                        "call syn_init_mpi before making a module data parallel");
    /* Whoever cannot go on tells the others before the next thing they do together. */
    SYN_GOTO(syn_comm_agree(comm, engine_new(module, comm, options, &e), NULL, NULL));
    SYN_GOTO(compare_manifests(e, module, manifest));
    status = syn_buckets_allocate(&e->buckets, comm);
    if (status == SYN_OK)
        status = engine_attach(e, module);
    SYN_GOTO(syn_comm_agree(comm, status, NULL, NULL));
    SYN_GOTO(broadcast_tensors(comm, syn_module_parameters(module)));
    SYN_GOTO(broadcast_tensors(comm, syn_module_buffers(module)));
    return SYN_OK;
out:
    if (e && syn_module_get_attached(module) == e)
        (void)syn_module_take_attached(module);
    engine_free(e);
    return status;
}

syn_status syn_data_parallel_with(syn_module *module, syn_data_parallel_options options)
{
    return syn_data_parallel_over(module, syn_comm_world(), options, NULL);
}

syn_status syn_data_parallel(syn_module *module)
{
    return syn_data_parallel_with(module, (syn_data_parallel_options){.average = true});
}

void syn_data_parallel_remove(syn_module *module)
{
    engine *e = syn_module_get_attached(module);
    if (e)
        engine_free(syn_module_take_attached(module));
}

syn_buckets *syn_data_parallel_buckets(const syn_module *module)
{
    engine *e = syn_module_get_attached(module);
    return e ? &e->buckets : NULL;
}

/* ---- The step ---- */

void syn_data_parallel_set_sync(syn_module *module, bool sync)
{
    engine *e = syn_module_get_attached(module);
    if (e)
        e->sync = sync;
}

syn_status syn_data_parallel_finish(syn_module *module)
{
    engine *e = syn_module_get_attached(module);
    if (!e)
        return SYN_FAIL(SYN_FAILED_PRECONDITION, "the module is not data parallel");
    syn_status status = is_up_to_date(e) ? SYN_OK : complete(e);
    e->is_reduced = false; /* the next call belongs to the next step, whatever happens between */
    return status;
}

void syn_data_parallel_abandon(syn_module *module)
{
    engine *e = syn_module_get_attached(module);
    if (!e)
        return;
    if (!is_up_to_date(e)) {
        e->has_failed = true;
        (void)complete(e);
    }
    e->is_reduced = false;
}

void syn_data_parallel_get_overlap(const syn_module *module, syn_overlap *overlap_out)
{
    const engine *e = syn_module_get_attached(module);
    *overlap_out = e ? e->overlap : (syn_overlap){0};
}
