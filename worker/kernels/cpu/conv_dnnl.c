/* Convolution by oneDNN: compiled primitives are cached by extents; arrays are converted to the
 * layouts they prefer. */
#include "common/base/mem.h"
#include "worker/kernels/cpu/conv_paths.h"
#include "worker/kernels/workspace.h"
#include <oneapi/dnnl/dnnl.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

enum { N_ARRAYS = 3, CACHE_SLOTS = 512, CACHE_PROBES = 8, MIN_BLOCK_CHANNELS = 16 };
enum { X, W, Y };

typedef struct conv_key {
    syn_conv_dims dims;
    int64_t kind, has_bias;
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
           d->dilation[0] == 1 && d->dilation[1] == 1 && d->groups == 1 && d->c_in >= 32 &&
           d->c_out >= 32 && d->padding[0] <= 1 && d->padding[1] <= 1;
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
    dnnl_memory_desc_init_by_tag(&plan->plain[Y], 4, y, dnnl_f32, dnnl_nchw);
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
        if (prefers_winograd(&key->dims))
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
    conv_plan *plan = plan_new(key);
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

static syn_status run(const conv_plan *plan, const syn_conv_arrays *a)
{
    if (plan->is_unsupported)
        return SYN_UNIMPLEMENTED;
    if (!stream && dnnl_stream_create(&stream, engine, dnnl_stream_default_flags))
        return SYN_FAIL(SYN_INTERNAL, "oneDNN gives no stream");
    size_t size = plan->scratch_bytes + 64;
    for (int i = 0; i < N_ARRAYS; i++)
        if (plan->reorders[i])
            size += syn_workspace_round(plan->inner_bytes[i]);
    char *block = syn_workspace(size, "a convolution");
    if (!block)
        return SYN_RESOURCE_EXHAUSTED;
    dnnl_status_t status = execute(plan, a, block);
    return status ? SYN_FAIL(SYN_INTERNAL, "oneDNN failed to convolve (status %d)", (int)status)
                  : SYN_OK;
}

syn_status syn_conv_dnnl(syn_conv_kind kind, const syn_conv_dims *dims, const syn_conv_arrays *a)
{
    conv_key key;
    memset(&key, 0, sizeof(key));
    key.dims = *dims;
    key.kind = (int64_t)kind;
    key.has_bias = a->bias != NULL;
    pthread_mutex_lock(&lock);
    conv_plan *plan = plan_ref_locked(&key);
    pthread_mutex_unlock(&lock);
    if (!plan)
        return syn_fail_memory(sizeof(conv_plan), "a convolution's plan");
    syn_status status = run(plan, a);
    pthread_mutex_lock(&lock);
    plan_unref_locked(plan);
    pthread_mutex_unlock(&lock);
    return status;
}
