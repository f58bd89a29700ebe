/* Convolution by oneDNN: compiled primitives are cached by extents; arrays are converted to the
 * layouts they prefer. */
#include "common/base/mem.h"
#include "worker/kernels/backend.h"
#include "worker/kernels/cpu/conv_paths.h"
#include "worker/kernels/workspace.h"
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

enum { N_ARRAYS = 3, CACHE_SLOTS = 512, CACHE_PROBES = 8, MIN_BLOCK_CHANNELS = 16 };
enum { LEAST_WINOGRAD_CHANNELS = 32 };
enum { X, W, Y };

/* y_channels: those of the array that y is a slice of. is_single: compiled for one thread.
 * is_direct: without Winograd. */
typedef struct conv_key {
    syn_conv_dims dims;
    int64_t kind, has_bias, y_channels, is_single, is_direct;
} conv_key;

/* One compiled convolution. Reorders are NULL where the plain layout is used as it is. */
typedef struct conv_plan {
    conv_key key;
    int users; /* under the lock; one of them is the cache */
    uint64_t last_used;
    bool is_unsupported;
    dnnl_primitive_t conv, reorders[N_ARRAYS];
    dnnl_memory_desc_t plain[N_ARRAYS], inner[N_ARRAYS], bias;
    size_t inner_bytes[N_ARRAYS], scratch_bytes;
} conv_plan;

int syn_kernels_reproducible;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static conv_plan *slots[CACHE_SLOTS]; /* owned; an entry lies within CACHE_PROBES of its hash */
static uint64_t clock_ticks;
static dnnl_engine_t engine;
static __thread dnnl_stream_t stream; /* lives as long as the process's OpenMP pool */

static void plan_free(conv_plan *plan)
{
    if (!plan)
        return;
    dnnl_primitive_destroy(plan->conv);
    for (int i = 0; i < N_ARRAYS; i++)
        dnnl_primitive_destroy(plan->reorders[i]);
    syn_free(plan);
}

static void plan_unref_locked(conv_plan *plan)
{
    if (plan && --plan->users == 0)
        plan_free(plan);
}

/* ---- Making a plan ---- */

/* oneDNN's padding on the far side: the near one unless the extents (output_padding) ask for
 * another. */
static dnnl_dim_t far_padding(const syn_conv_dims *d, int axis)
{
    int64_t in = axis ? d->w_in : d->h_in, out = axis ? d->w_out : d->h_out;
    int64_t span = ((axis ? d->kw : d->kh) - 1) * d->dilation[axis] + 1;
    if ((in - span + 2 * d->padding[axis]) / d->stride[axis] + 1 == out)
        return d->padding[axis];
    return (out - 1) * d->stride[axis] + span - in - d->padding[axis];
}

/* Winograd's F(4x4, 3x3) halves the time where the channels fill its products (Lavin and Gray,
 * 2016). */
static bool prefers_winograd(const syn_conv_dims *d)
{
    return d->kh == 3 && d->kw == 3 && d->stride[0] == 1 && d->stride[1] == 1 &&
           d->dilation[0] == 1 && d->dilation[1] == 1 && d->groups == 1 &&
           d->c_in >= LEAST_WINOGRAD_CHANNELS && d->c_out >= LEAST_WINOGRAD_CHANNELS &&
           d->padding[0] <= 1 && d->padding[1] <= 1;
}

/* The weights' gradient of few channels is fastest with channels last: 0.30 ms instead of
 * 0.47 for LeNet's second. */
static dnnl_format_tag_t data_tag(const conv_key *key)
{
    bool is_narrow = key->dims.c_in / key->dims.groups < MIN_BLOCK_CHANNELS &&
                     key->dims.c_out / key->dims.groups <= MIN_BLOCK_CHANNELS;
    return key->kind == SYN_CONV_GRAD_WEIGHT && is_narrow ? dnnl_nhwc : dnnl_format_tag_any;
}

static void describe_arrays(conv_plan *plan, dnnl_memory_desc_t wanted[N_ARRAYS])
{
    const syn_conv_dims *d = &plan->key.dims;
    bool is_grouped = d->groups > 1;
    dnnl_dims_t x = {d->n, d->c_in, d->h_in, d->w_in}, y = {d->n, d->c_out, d->h_out, d->w_out};
    dnnl_dims_t dense = {d->c_out, d->c_in, d->kh, d->kw}, c_out = {d->c_out};
    dnnl_dims_t grouped = {d->groups, d->c_out / d->groups, d->c_in / d->groups, d->kh, d->kw};
    int64_t *w = is_grouped ? grouped : dense;
    int w_ndim = is_grouped ? 5 : 4;
    dnnl_format_tag_t tag = data_tag(&plan->key);
    dnnl_memory_desc_init_by_tag(&plan->plain[X], 4, x, dnnl_f32, dnnl_nchw);
    dnnl_memory_desc_init_by_tag(&plan->plain[W], w_ndim, w, dnnl_f32,
                                 is_grouped ? dnnl_goihw : dnnl_oihw);
    dnnl_dims_t y_steps = {plan->key.y_channels * d->h_out * d->w_out, d->h_out * d->w_out,
                           d->w_out, 1};
    dnnl_memory_desc_init_by_strides(&plan->plain[Y], 4, y, dnnl_f32, y_steps);
    dnnl_memory_desc_init_by_tag(&plan->bias, 1, c_out, dnnl_f32, dnnl_x);
    dnnl_memory_desc_init_by_tag(&wanted[X], 4, x, dnnl_f32, tag);
    dnnl_memory_desc_init_by_tag(&wanted[W], w_ndim, w, dnnl_f32, dnnl_format_tag_any);
    dnnl_memory_desc_init_by_tag(&wanted[Y], 4, y, dnnl_f32, tag);
}

static dnnl_status_t describe_conv(conv_plan *plan, dnnl_alg_kind_t algorithm,
                                   const_dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *out)
{
    const syn_conv_dims *d = &plan->key.dims;
    dnnl_memory_desc_t m[N_ARRAYS];
    describe_arrays(plan, m);
    dnnl_dims_t stride = {d->stride[0], d->stride[1]};
    dnnl_dims_t dilates = {d->dilation[0] - 1, d->dilation[1] - 1};
    dnnl_dims_t near = {d->padding[0], d->padding[1]};
    dnnl_dims_t far = {far_padding(d, 0), far_padding(d, 1)};
    dnnl_convolution_desc_t forward, backward;
    dnnl_primitive_desc_t hint = NULL;
    dnnl_status_t status = dnnl_dilated_convolution_forward_desc_init(
        &forward, dnnl_forward_training, algorithm, &m[X], &m[W],
        plan->key.has_bias ? &plan->bias : NULL, &m[Y], stride, dilates, near, far);
    if (!status)
        status = dnnl_primitive_desc_create(&hint, &forward, attr, engine, NULL);
    if (status || plan->key.kind == SYN_CONV_FORWARD) {
        *out = hint;
        return status;
    }
    if (plan->key.kind == SYN_CONV_GRAD_INPUT)
        status = dnnl_dilated_convolution_backward_data_desc_init(
            &backward, algorithm, &m[X], &m[W], &m[Y], stride, dilates, near, far);
    else
        status = dnnl_dilated_convolution_backward_weights_desc_init(
            &backward, algorithm, &m[X], &m[W], NULL, &m[Y], stride, dilates, near, far);
    if (!status)
        status = dnnl_primitive_desc_create(out, &backward, attr, engine, hint);
    dnnl_primitive_desc_destroy(hint);
    return status;
}

/* Converts `from` to `to`; NULL where they are equal. */
static dnnl_status_t make_reorder(const dnnl_memory_desc_t *from, const dnnl_memory_desc_t *to,
                                  const_dnnl_primitive_attr_t attr, conv_plan *plan, int which)
{
    dnnl_primitive_desc_t description;
    if (dnnl_memory_desc_equal(from, to))
        return dnnl_success;
    dnnl_status_t status =
        dnnl_reorder_primitive_desc_create(&description, from, engine, to, engine, attr);
    if (status)
        return status;
    status = dnnl_primitive_create(&plan->reorders[which], description);
    size_t size = dnnl_memory_desc_get_size(
        dnnl_primitive_desc_query_md(description, dnnl_query_scratchpad_md, 0));
    plan->scratch_bytes = size > plan->scratch_bytes ? size : plan->scratch_bytes;
    dnnl_primitive_desc_destroy(description);
    return status;
}

static int output_of(int64_t kind)
{
    return kind == SYN_CONV_FORWARD ? Y : kind == SYN_CONV_GRAD_INPUT ? X : W;
}

static dnnl_status_t finish_plan(conv_plan *plan, const_dnnl_primitive_attr_t attr,
                                 const_dnnl_primitive_desc_t description)
{
    static const dnnl_query_t queries[][N_ARRAYS] = {
        {dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_dst_md},
        {dnnl_query_diff_src_md, dnnl_query_weights_md, dnnl_query_diff_dst_md},
        {dnnl_query_src_md, dnnl_query_diff_weights_md, dnnl_query_diff_dst_md}};
    dnnl_status_t status = dnnl_primitive_create(&plan->conv, description);
    plan->scratch_bytes = dnnl_memory_desc_get_size(
        dnnl_primitive_desc_query_md(description, dnnl_query_scratchpad_md, 0));
    int output = output_of(plan->key.kind);
    for (int i = 0; i < N_ARRAYS && !status; i++) {
        const dnnl_memory_desc_t *inner =
            dnnl_primitive_desc_query_md(description, queries[plan->key.kind][i], 0);
        plan->inner[i] = *inner;
        plan->inner_bytes[i] = dnnl_memory_desc_get_size(inner);
        const dnnl_memory_desc_t *from = i == output ? inner : &plan->plain[i];
        status = make_reorder(from, i == output ? &plan->plain[i] : inner, attr, plan, i);
    }
    return status;
}

static conv_plan *plan_new(const conv_key *key)
{
    conv_plan *plan = syn_calloc(1, sizeof(*plan));
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t description = NULL;
    if (!plan)
        return NULL;
    plan->key = *key;
    plan->users = 1;
    dnnl_status_t status = dnnl_primitive_attr_create(&attr);
    if (!status)
        status = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (!status) {
        status = dnnl_unimplemented;
        if (prefers_winograd(&key->dims) && !key->is_direct)
            status = describe_conv(plan, dnnl_convolution_winograd, attr, &description);
        if (status)
            status = describe_conv(plan, dnnl_convolution_direct, attr, &description);
    }
    if (!status)
        status = finish_plan(plan, attr, description);
    plan->is_unsupported = status != dnnl_success;
    dnnl_primitive_desc_destroy(description);
    dnnl_primitive_attr_destroy(attr);
    return plan;
}

/* ---- The cache ---- */

static uint64_t hash_key(const conv_key *key)
{
    const unsigned char *bytes = (const unsigned char *)key;
    uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */
    for (size_t i = 0; i < sizeof(*key); i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3;
    return hash ^ hash >> 29;
}

/* The plan of that key with one more user, NULL when there is no memory. Replaces the least
 * recently used of the probed slots when all are taken. */
static conv_plan *plan_ref_locked(const conv_key *key)
{
    uint64_t hash = hash_key(key);
    size_t victim = hash % CACHE_SLOTS;
    for (uint64_t probe = 0; probe < CACHE_PROBES; probe++) {
        size_t slot = (hash + probe) % CACHE_SLOTS;
        if (slots[slot] && memcmp(&slots[slot]->key, key, sizeof(*key)) == 0) {
            slots[slot]->last_used = ++clock_ticks;
            slots[slot]->users++;
            return slots[slot];
        }
        if (slots[victim] && (!slots[slot] || slots[slot]->last_used < slots[victim]->last_used))
            victim = slot;
    }
    if (!engine && dnnl_engine_create(&engine, dnnl_cpu, 0))
        return NULL;
    int n_threads = omp_get_max_threads();
    if (key->is_single)
        omp_set_num_threads(1);
    conv_plan *plan = plan_new(key);
    omp_set_num_threads(n_threads);
    if (!plan)
        return NULL;
    plan_unref_locked(slots[victim]);
    slots[victim] = plan;
    plan->last_used = ++clock_ticks;
    plan->users++;
    return plan;
}

void syn_conv_dnnl_clear(void)
{
    pthread_mutex_lock(&lock);
    for (int i = 0; i < CACHE_SLOTS; i++) {
        plan_unref_locked(slots[i]);
        slots[i] = NULL;
    }
    pthread_mutex_unlock(&lock);
}

/* ---- Running a plan ---- */

/* Up to 8 memory objects of one execution; `failed` once one could not be made. */
typedef struct memories {
    dnnl_memory_t items[8];
    int n;
    bool failed;
} memories;

static dnnl_memory_t wrap(memories *all, const dnnl_memory_desc_t *description, void *data)
{
    dnnl_memory_t memory = NULL;
    if (dnnl_memory_create(&memory, description, engine, data))
        all->failed = true;
    else
        all->items[all->n++] = memory;
    return memory;
}

static dnnl_status_t convert(const conv_plan *plan, int which, dnnl_memory_t from, dnnl_memory_t to,
                             dnnl_memory_t scratch)
{
    dnnl_exec_arg_t args[] = {
        {DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}, {DNNL_ARG_SCRATCHPAD, scratch}};
    return dnnl_primitive_execute(plan->reorders[which], stream, 3, args);
}

/* `block` holds the arrays in their inner layouts and the scratchpad. */
static dnnl_status_t execute(const conv_plan *plan, const syn_conv_arrays *a, char *block)
{
    static const int names[][N_ARRAYS] = {{DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
                                          {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
                                          {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST}};
    memories all = {0};
    dnnl_memory_t plain[N_ARRAYS], inner[N_ARRAYS];
    void *data[] = {a->x, a->w, a->y};
    int output = output_of(plan->key.kind);
    for (int i = 0; i < N_ARRAYS; i++) {
        plain[i] = inner[i] = wrap(&all, &plan->plain[i], data[i]);
        if (plan->reorders[i]) {
            inner[i] = wrap(&all, &plan->inner[i], block);
            block += syn_workspace_round(plan->inner_bytes[i]);
        }
    }
    dnnl_dims_t scratch_dims = {(dnnl_dim_t)plan->scratch_bytes};
    dnnl_memory_desc_t scratch_md;
    dnnl_memory_desc_init_by_tag(&scratch_md, 1, scratch_dims, dnnl_u8, dnnl_x);
    dnnl_memory_t scratch = wrap(&all, &scratch_md, block);
    dnnl_memory_t bias = plan->key.has_bias ? wrap(&all, &plan->bias, a->bias) : NULL;

    dnnl_status_t status = all.failed ? dnnl_out_of_memory : dnnl_success;
    for (int i = 0; i < N_ARRAYS && !status; i++)
        if (plan->reorders[i] && i != output)
            status = convert(plan, i, plain[i], inner[i], scratch);
    dnnl_exec_arg_t args[5] = {{DNNL_ARG_SCRATCHPAD, scratch}, {DNNL_ARG_BIAS, bias}};
    int n = bias ? 2 : 1;
    for (int i = 0; i < N_ARRAYS; i++)
        args[n++] = (dnnl_exec_arg_t){names[plan->key.kind][i], inner[i]};
    if (!status)
        status = dnnl_primitive_execute(plan->conv, stream, n, args);
    if (!status && plan->reorders[output])
        status = convert(plan, output, inner[output], plain[output], scratch);
    for (int i = 0; i < all.n; i++)
        dnnl_memory_destroy(all.items[i]);
    return status;
}

static size_t block_bytes(const conv_plan *plan)
{
    size_t size = syn_workspace_round(plan->scratch_bytes + 64);
    for (int i = 0; i < N_ARRAYS; i++)
        if (plan->reorders[i])
            size += syn_workspace_round(plan->inner_bytes[i]);
    return size;
}

static syn_status run(const conv_plan *plan, const syn_conv_arrays *a, char *block)
{
    if (!stream && dnnl_stream_create(&stream, engine, dnnl_stream_default_flags))
        return SYN_FAIL(SYN_INTERNAL, "oneDNN gives no stream");
    dnnl_status_t status = execute(plan, a, block);
    return status ? SYN_FAIL(SYN_INTERNAL, "oneDNN failed to convolve (status %d)", (int)status)
                  : SYN_OK;
}

static conv_plan *plan_ref(const syn_conv_dims *dims, syn_conv_kind kind, bool has_bias,
                           int64_t y_channels)
{
    conv_key key;
    memset(&key, 0, sizeof(key));
    key.dims = *dims;
    key.kind = (int64_t)kind;
    key.has_bias = has_bias;
    key.y_channels = y_channels;
    key.is_single = kind == SYN_CONV_GRAD_WEIGHT;
    /* Winograd's tiles are divided by the number of threads, and with them the order of its sums.
     */
    key.is_direct = syn_kernels_reproducible && !key.is_single;
    pthread_mutex_lock(&lock);
    conv_plan *plan = plan_ref_locked(&key);
    pthread_mutex_unlock(&lock);
    return plan;
}

static void plan_unref(conv_plan *plan)
{
    pthread_mutex_lock(&lock);
    plan_unref_locked(plan);
    pthread_mutex_unlock(&lock);
}

/* ---- The weights' gradient in parts ----
 * oneDNN would share the samples among the threads there are and add up what they found: other sums
 * for every number of threads. So the work is divided here, by the extents alone, and each part is
 * computed by one thread. */

/* The largest divisor of n up to `most`. */
static int64_t divisor_up_to(int64_t n, int64_t most)
{
    int64_t divisor = most < n ? most : n;
    while (divisor > 1 && n % divisor)
        divisor--;
    return divisor > 1 ? divisor : 1;
}

/* Parts of about 15 million operations (60 where Winograd's transforms have to pay off): of the
 * samples where each part keeps some 1600 positions, so that adding up its weights costs little;
 * else of the output channels, by whole blocks. */
static void divide(const syn_conv_dims *d, int64_t *sample_parts, int64_t *channel_parts)
{
    enum { MOST_PARTS = 32, LEAST_POSITIONS = 1600 };
    int64_t positions = d->n * d->h_out * d->w_out;
    int64_t block = prefers_winograd(d) ? LEAST_WINOGRAD_CHANNELS : MIN_BLOCK_CHANNELS;
    double least = prefers_winograd(d) ? 6e7 : 1.5e7;
    double flops = 2.0 * (double)positions * (double)(d->c_out * d->kh * d->kw) *
                   (double)(d->c_in / d->groups);
    int64_t parts = flops > least * MOST_PARTS ? MOST_PARTS : (int64_t)(flops / least);
    int64_t most = positions / LEAST_POSITIONS;
    *sample_parts = divisor_up_to(d->n, most < parts ? most : parts);
    *channel_parts = 1;
    if (d->groups == 1 && d->c_out % block == 0)
        *channel_parts = divisor_up_to(d->c_out / block, parts / *sample_parts);
}

/* w = the sum of n_parts arrays, in order. */
static void add_parts(int64_t n_parts, int64_t n, const float *parts, float *w)
{
#pragma omp parallel for schedule(static) if (n >= 1 << 16)
    for (int64_t i = 0; i < n; i++) {
        float sum = parts[i];
        for (int64_t p = 1; p < n_parts; p++)
            sum += parts[p * n + i];
        w[i] = sum;
    }
}

static syn_status run_parts(const conv_plan *plan, const syn_conv_dims *d, const syn_conv_arrays *a,
                            const int64_t parts[2])
{
    const syn_conv_dims *part = &plan->key.dims;
    int64_t n_w = d->c_out * (d->c_in / d->groups) * d->kh * d->kw, n_failed = 0;
    size_t sums_bytes = parts[0] > 1 ? (size_t)(parts[0] * n_w) * sizeof(float) : 0;
    size_t each = block_bytes(plan), n_threads = (size_t)omp_get_max_threads();
    sums_bytes = syn_workspace_round(sums_bytes);
    char *memory = syn_workspace(sums_bytes + n_threads * each, "a convolution");
    if (!memory)
        return SYN_RESOURCE_EXHAUSTED;
    float *sums = parts[0] > 1 ? (float *)(void *)memory : a->w;
#pragma omp parallel for schedule(static) reduction(+ : n_failed) if (parts[0] * parts[1] > 1)
    for (int64_t i = 0; i < parts[0] * parts[1]; i++) {
        int64_t samples = i / parts[1] * part->n, channels = i % parts[1] * part->c_out;
        syn_conv_arrays own = {.x = (float *)a->x + samples * d->c_in * d->h_in * d->w_in,
                               .w = sums + i / parts[1] * n_w + channels * (n_w / d->c_out),
                               .y = (float *)a->y +
                                    (samples * d->c_out + channels) * d->h_out * d->w_out};
        char *block = memory + sums_bytes + (size_t)omp_get_thread_num() * each;
        n_failed += run(plan, &own, block) != SYN_OK;
    }
    if (n_failed)
        return SYN_FAIL(SYN_INTERNAL, "oneDNN failed to convolve");
    if (parts[0] > 1)
        add_parts(parts[0], n_w, sums, a->w);
    return SYN_OK;
}

static syn_status grad_weight(const syn_conv_dims *d, const syn_conv_arrays *a)
{
    int64_t parts[2];
    syn_conv_dims part = *d;
    divide(d, &parts[0], &parts[1]);
    part.n /= parts[0];
    part.c_out /= parts[1];
    conv_plan *plan = plan_ref(&part, SYN_CONV_GRAD_WEIGHT, false, d->c_out);
    if (!plan)
        return syn_fail_memory(sizeof(conv_plan), "a convolution's plan");
    syn_status status = plan->is_unsupported ? SYN_UNIMPLEMENTED : run_parts(plan, d, a, parts);
    plan_unref(plan);
    return status;
}

syn_status syn_conv_dnnl(syn_conv_kind kind, const syn_conv_dims *dims, const syn_conv_arrays *a)
{
    if (kind == SYN_CONV_GRAD_WEIGHT)
        return grad_weight(dims, a);
    conv_plan *plan = plan_ref(dims, kind, a->bias != NULL, dims->c_out);
    if (!plan)
        return syn_fail_memory(sizeof(conv_plan), "a convolution's plan");
    syn_status status = SYN_UNIMPLEMENTED;
    if (!plan->is_unsupported) {
        char *block = syn_workspace(block_bytes(plan), "a convolution");
        status = block ? run(plan, a, block) : SYN_RESOURCE_EXHAUSTED;
    }
    plan_unref(plan);
    return status;
}
