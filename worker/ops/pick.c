/* Places picked along one axis by index, and what is made of that: flips, rolls, repeats. */
#include "worker/ops/compose.h"

#include "common/base/mem.h"

#include <string.h>

/* ---- index_select ---- */

/* The axes before and after `dim` as one each. */
static void split(const int64_t *dims, int ndim, int dim, int64_t *outer, int64_t *inner)
{
    *outer = *inner = 1;
    for (int d = 0; d < ndim; d++) {
        if (d < dim)
            *outer *= dims[d];
        else if (d > dim)
            *inner *= dims[d];
    }
}

static syn_status check_range(const syn_op_call *call, const syn_tensor *index, int64_t extent)
{
    const int64_t *at = index->data;
    for (int64_t i = 0; i < index->numel; i++)
        if (at[i] < 0 || at[i] >= extent)
            return SYN_OP_FAIL(call, "index %lld (element %lld) is outside an axis of extent %lld",
                               (long long)at[i], (long long)i, (long long)extent);
    return SYN_OK;
}

static syn_status index_select_infer(syn_op_call *call, syn_meta *metas)
{
    const syn_tensor *x = call->inputs[0], *index = call->inputs[1];
    int dim;
    SYN_TRY(syn_infer_dim(call, call->attrs[0].i, x->ndim, &dim));
    if (index->ndim > 1)
        return SYN_OP_FAIL(call, "the index has %d axes, not 1", index->ndim);
    syn_meta_like(&metas[0], x);
    if (x->ndim)
        metas[0].shape.dims[dim] = index->numel;
    return SYN_OK;
}

static syn_status index_select_forward(syn_op_call *call)
{
    const syn_tensor *x = call->inputs[0];
    syn_tensor *index = syn_contiguous(syn_to(call->inputs[1], SYN_I64));
    int dim;
    int64_t outer, inner;
    if (!index)
        return syn_error_status();
    SYN_TRY(syn_infer_dim(call, call->attrs[0].i, x->ndim, &dim));
    int64_t extent = x->ndim ? x->dims[dim] : 1;
    SYN_TRY(check_range(call, index, extent));
    split(x->dims, x->ndim, dim, &outer, &inner);
    size_t size = syn_dtype_size((syn_dtype)x->dtype), row = (size_t)inner * size;
    for (int64_t i = 0; i < outer; i++) {
        syn_rows_args args = {.n_index = index->numel,
                              .n_rows = extent,
                              .width = inner,
                              .index = index->data,
                              .from = (char *)x->data + (size_t)(i * extent) * row,
                              .to = (char *)call->outputs[0]->data +
                                    (size_t)(i * index->numel) * row};
        syn_kernels->index->take_rows(&args, size);
    }
    return SYN_OK;
}

static void index_select_backward(syn_backward_call *call)
{
    syn_shape shape = syn_tensor_shape(call->inputs[0]);
    call->grad_inputs[0] = syn_call(
        &syn_op_index_select_backward, (syn_tensor *[]){call->grad_outputs[0], call->inputs[1]}, 2,
        (syn_value[]){SYN_INTS_OF(shape.dims, shape.ndim), call->attrs[0]}, 2);
}

const syn_op syn_op_index_select = {
    .name = "index_select",
    .doc = "Places of an axis by index.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("dim", INT), SYN_TENSOR_IN("index", SYN_DTYPES_INDEX)),
    .flags = SYN_OP_CONTIGUOUS,
    .dtypes = SYN_DTYPES_ALL,
    .saves = SYN_SAVE_INPUT(1),
    .infer = index_select_infer,
    .forward = index_select_forward,
    .backward = index_select_backward,
    SYN_SAMPLES("(5,3), 0, (4)i5", "(2,5,3), 1, (2)i5", "(2,3), -1, ()i3", "(5), 0, (0)i5"),
};

static syn_status index_select_backward_infer(syn_op_call *call, syn_meta *metas)
{
    const syn_value *sizes = &call->attrs[0];
    const syn_tensor *grad = call->inputs[0];
    int dim;
    int64_t numel;
    SYN_TRY(syn_shape_check(sizes->n, sizes->ints, (syn_dtype)grad->dtype, &numel));
    SYN_TRY(syn_infer_dim(call, call->attrs[1].i, sizes->n, &dim));
    bool is_same = grad->ndim == sizes->n;
    for (int d = 0; is_same && d < grad->ndim; d++)
        is_same = grad->dims[d] == (d == dim ? call->inputs[1]->numel : sizes->ints[d]);
    if (!is_same)
        return SYN_OP_FAIL(call, "the gradient does not have the shape of what was picked");
    syn_meta_set(&metas[0], (syn_dtype)grad->dtype, sizes->n, sizes->ints);
    return SYN_OK;
}

static syn_status index_select_backward_forward(syn_op_call *call)
{
    const syn_tensor *grad = call->inputs[0];
    syn_tensor *whole = call->outputs[0];
    syn_tensor *index = syn_contiguous(syn_to(call->inputs[1], SYN_I64));
    int dim;
    int64_t outer, inner;
    if (!index)
        return syn_error_status();
    SYN_TRY(syn_infer_dim(call, call->attrs[1].i, whole->ndim, &dim));
    int64_t extent = whole->ndim ? whole->dims[dim] : 1;
    SYN_TRY(check_range(call, index, extent));
    split(whole->dims, whole->ndim, dim, &outer, &inner);
    size_t size = syn_dtype_size((syn_dtype)whole->dtype), row = (size_t)inner * size;
    memset(whole->data, 0, (size_t)whole->numel * size);
    for (int64_t i = 0; i < outer && grad->numel; i++) {
        syn_rows_args args = {.n_index = index->numel,
                              .n_rows = extent,
                              .width = inner,
                              .index = index->data,
                              .from = (char *)grad->data + (size_t)(i * index->numel) * row,
                              .to = (char *)whole->data + (size_t)(i * extent) * row};
        syn_kernels->index->add_rows[whole->dtype](&args);
    }
    return SYN_OK;
}

static void index_select_backward_backward(syn_backward_call *call)
{
    call->grad_inputs[0] =
        syn_call(&syn_op_index_select, (syn_tensor *[]){call->grad_outputs[0], call->inputs[1]}, 2,
                 call->attrs + 1, 1);
}

const syn_op syn_op_index_select_backward = {
    .name = "index_select_backward",
    .doc = "Zeros of input_sizes to which the gradient's places are added by index.",
    SYN_ARGS(SYN_TENSOR("grad_output"), SYN_ARG("input_sizes", INTS), SYN_ARG("dim", INT),
             SYN_TENSOR_IN("index", SYN_DTYPES_INDEX)),
    .flags = SYN_OP_CONTIGUOUS | SYN_OP_INTERNAL,
    .dtypes = SYN_DTYPES_FLOAT,
    .saves = SYN_SAVE_INPUT(1),
    .infer = index_select_backward_infer,
    .forward = index_select_backward_forward,
    .backward = index_select_backward_backward,
    SYN_SAMPLES("(4,3), [5,3], 0, (4)i5", "(2,2,3), [2,5,3], 1, (2)i5"),
};

syn_tensor *syn_pick(syn_tensor *x, int dim, const int64_t *index, int64_t n)
{
    if (!x)
        return NULL;
    syn_tensor *places = syn_from_data(index, (syn_shape){1, {n}}, SYN_I64);
    return syn_call(&syn_op_index_select, (syn_tensor *[]){x, places}, 2, &SYN_INT_OF(dim), 1);
}

/* ---- Compositions: the place each element of the new axis comes from ---- */

/* parameters: two numbers of the caller. */
typedef int64_t (*origin_fn)(int64_t i, int64_t extent, const int64_t *parameters);

static syn_tensor *rearrange(syn_tensor *x, int dim, int64_t n, origin_fn origin,
                             const int64_t *parameters)
{
    if (!x || n < 0)
        return NULL;
    int64_t extent = x->ndim ? x->dims[dim] : 1;
    size_t size = (size_t)(n ? n : 1) * sizeof(int64_t);
    int64_t *index = syn_malloc(size);
    if (!index)
        return syn_stick(syn_fail_memory(size, "an index"));
    for (int64_t i = 0; i < n; i++)
        index[i] = origin(i, extent, parameters);
    syn_tensor *y = syn_pick(x, dim, index, n);
    syn_free(index);
    return y;
}

static int64_t from_end(int64_t i, int64_t extent, const int64_t *parameters)
{
    (void)parameters;
    return extent - 1 - i;
}

/* Each axis once; false with the error stuck. */
static bool distinct_axes(const syn_op_call *call, const syn_value *dims, int *out)
{
    bool seen[SYN_MAX_DIMS] = {0};
    for (int i = 0; i < dims->n; i++) {
        if (i == SYN_MAX_DIMS ||
            !syn_compose_dim(call, dims->ints[i], call->inputs[0]->ndim, &out[i]))
            return false;
        if (seen[out[i]]) {
            SYN_COMPOSE_FAIL(call, "axis %d is named twice", out[i]);
            return false;
        }
        seen[out[i]] = true;
    }
    return true;
}

static void flip_compose(syn_op_call *call)
{
    syn_tensor *x = call->inputs[0];
    int axes[SYN_MAX_DIMS];
    if (!distinct_axes(call, &call->attrs[0], axes))
        return;
    for (int i = 0; x && i < call->attrs[0].n; i++)
        x = rearrange(x, axes[i], x->ndim ? x->dims[axes[i]] : 1, from_end, NULL);
    call->outputs[0] = x == call->inputs[0] ? syn_clone(x) : x;
}

const syn_op syn_op_flip = {
    .name = "flip",
    .doc = "The places of axes in reverse order.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("dims", INTS)),
    .dtypes = SYN_DTYPES_ALL,
    .compose = flip_compose,
    SYN_SAMPLES("(2,3), [0]", "(2,3,2), [-1,0]", "(2,3), []"),
};

static int64_t rolled(int64_t i, int64_t extent, const int64_t *shift)
{
    int64_t from = (i - shift[0] % extent) % extent;
    return from < 0 ? from + extent : from;
}

static void roll_compose(syn_op_call *call)
{
    syn_tensor *x = call->inputs[0], *y = x;
    const syn_value *shifts = &call->attrs[0], *dims = &call->attrs[1];
    bool is_flat = dims->kind == SYN_VALUE_NONE || dims->n == 0;
    if (shifts->n != (is_flat ? 1 : dims->n)) {
        SYN_COMPOSE_FAIL(call, "%d shifts do not fit %d axes", shifts->n, dims->n);
        return;
    }
    if (is_flat) {
        y = syn_flatten(x, 0);
        y = rearrange(y, 0, x->numel, rolled, shifts->ints);
        call->outputs[0] = syn_reshape(y, syn_tensor_shape(x));
        return;
    }
    for (int i = 0; i < dims->n; i++) {
        int d;
        if (!syn_compose_dim(call, dims->ints[i], x->ndim, &d))
            return;
        y = rearrange(y, d, x->ndim ? x->dims[d] : 1, rolled, &shifts->ints[i]);
    }
    call->outputs[0] = y;
}

const syn_op syn_op_roll = {
    .name = "roll",
    .doc = "Places moved along axes, those beyond the end coming in at the start.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("shifts", INTS),
             SYN_ARG_OR("dims", INTS, SYN_FALLBACK_NONE)),
    .dtypes = SYN_DTYPES_ALL,
    .compose = roll_compose,
    SYN_SAMPLES("(2,3), 2", "(2,3), [1,-5], [0,1]", "(2,3), 1, 1"),
};

/* ---- Repeats ---- */

static int64_t tiled(int64_t i, int64_t extent, const int64_t *unused)
{
    (void)unused;
    return i % extent;
}

static int64_t stretched(int64_t i, int64_t extent, const int64_t *times)
{
    (void)extent;
    return i / times[0];
}

static void repeat_compose(syn_op_call *call)
{
    syn_tensor *x = call->inputs[0];
    const syn_value *times = &call->attrs[0];
    if (times->n < x->ndim || times->n > SYN_MAX_DIMS) {
        SYN_COMPOSE_FAIL(call, "%d repeats do not fit %d axes", times->n, x->ndim);
        return;
    }
    while (x && x->ndim < times->n)
        x = syn_unsqueeze(x, 0);
    for (int d = 0; x && d < times->n; d++) {
        int64_t n;
        if (times->ints[d] < 0 || __builtin_mul_overflow(x->dims[d], times->ints[d], &n)) {
            SYN_COMPOSE_FAIL(call, "%lld repeats are not possible", (long long)times->ints[d]);
            return;
        }
        if (times->ints[d] != 1)
            x = rearrange(x, d, n, tiled, NULL);
    }
    call->outputs[0] = x == call->inputs[0] ? syn_clone(x) : x;
}

const syn_op syn_op_repeat = {
    .name = "repeat",
    .doc = "Each axis so many times over; more numbers than axes make new ones in front.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("repeats", INTS)),
    .dtypes = SYN_DTYPES_ALL,
    .compose = repeat_compose,
    SYN_SAMPLES("(2,3), [2,1]", "(3), [2,2]", "(2), [0]"),
};

static void repeat_interleave_compose(syn_op_call *call)
{
    syn_tensor *x = call->inputs[0];
    const syn_value *axis = &call->attrs[1];
    int64_t times = call->attrs[0].i, n;
    int dim = 0;
    if (axis->kind == SYN_VALUE_NONE)
        x = syn_flatten(x, 0);
    else if (!syn_compose_dim(call, axis->i, x->ndim, &dim))
        return;
    if (x && (times < 0 || __builtin_mul_overflow(x->ndim ? x->dims[dim] : 1, times, &n)))
        SYN_COMPOSE_FAIL(call, "%lld repeats are not possible", (long long)times);
    else if (x)
        call->outputs[0] = rearrange(x, dim, n, stretched, &times);
}

const syn_op syn_op_repeat_interleave = {
    .name = "repeat_interleave",
    .doc = "Each place of an axis so many times in a row; of the flattened tensor without dim.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("repeats", INT),
             SYN_ARG_OR("dim", INT, SYN_FALLBACK_NONE)),
    .dtypes = SYN_DTYPES_ALL,
    .compose = repeat_interleave_compose,
    SYN_SAMPLES("(2,3), 2", "(2,3), 3, 1"),
};

/* ---- Padding ---- */

static int64_t reflected(int64_t i, int64_t extent, const int64_t *before)
{
    int64_t from = i - before[0];
    from = from < 0 ? -from : from;
    return from >= extent ? 2 * (extent - 1) - from : from;
}

static int64_t replicated(int64_t i, int64_t extent, const int64_t *before)
{
    int64_t from = i - before[0];
    return from < 0 ? 0 : from >= extent ? extent - 1 : from;
}

static int64_t wrapped(int64_t i, int64_t extent, const int64_t *before)
{
    int64_t from = (i - before[0]) % extent;
    return from < 0 ? from + extent : from;
}

static syn_tensor *pad_edges(const syn_op_call *call, const char *mode, const syn_value *pad)
{
    syn_tensor *x = call->inputs[0];
    bool is_reflect = strcmp(mode, "reflect") == 0, is_circular = strcmp(mode, "circular") == 0;
    origin_fn origin = is_reflect ? reflected : is_circular ? wrapped : replicated;
    if (!is_reflect && !is_circular && strcmp(mode, "replicate") != 0)
        return syn_stick(SYN_OP_FAIL(call, "there is no mode \"%s\"", mode));
    if (pad->n / 2 != x->ndim - 2 && pad->n / 2 != x->ndim - 1)
        return syn_stick(SYN_OP_FAIL(call, "%d numbers do not fit %d axes", pad->n, x->ndim));
    for (int i = 0; x && i < pad->n / 2; i++) {
        int d = x->ndim - 1 - i;
        const int64_t *p = &pad->ints[2 * i];
        int64_t extent = x->dims[d], most = is_reflect    ? extent - 1
                                            : is_circular ? extent
                                                          : INT32_MAX;
        if (p[0] > most || p[1] > most || p[0] > INT32_MAX || p[1] > INT32_MAX || p[0] < -extent ||
            p[1] < -extent || extent + p[0] + p[1] < 0 || extent == 0)
            return syn_stick(
                SYN_OP_FAIL(call, "%s padding of %lld and %lld does not fit extent %lld", mode,
                            (long long)p[0], (long long)p[1], (long long)extent));
        if (is_circular && (p[0] < 0 || p[1] < 0)) { /* what is cut off does not come in again */
            int64_t start = p[0] < 0 ? -p[0] : 0, stop = extent + (p[1] < 0 ? p[1] : 0);
            int64_t kept[1] = {p[0] < 0 ? 0 : p[0]};
            x = start < stop ? syn_slice(x, d, start, stop, 1)
                             : syn_stick(SYN_OP_FAIL(call, "nothing is left of axis %d", d));
            x = rearrange(x, d, extent + p[0] + p[1], origin, kept);
            continue;
        }
        x = rearrange(x, d, extent + p[0] + p[1], origin, p);
    }
    return x;
}

/* A constant around: the axis in the middle of full tensors, cut first where negative. */
static syn_tensor *pad_constant(const syn_op_call *call, const syn_value *pad, double value)
{
    syn_tensor *x = call->inputs[0];
    if (pad->n / 2 > x->ndim)
        return syn_stick(SYN_OP_FAIL(call, "%d numbers do not fit %d axes", pad->n, x->ndim));
    for (int i = 0; x && i < pad->n / 2; i++) {
        int d = x->ndim - 1 - i, n = 0;
        syn_tensor *parts[3];
        int64_t before = pad->ints[2 * i], after = pad->ints[2 * i + 1], extent = x->dims[d];
        int64_t start = before < 0 ? -before : 0, stop = extent + (after < 0 ? after : 0);
        if (start > extent || stop < start)
            return syn_stick(SYN_OP_FAIL(call, "more is cut off than axis %d has", d));
        syn_shape edge = syn_tensor_shape(x);
        if ((edge.dims[d] = before) > 0)
            parts[n++] = syn_full(edge, value, (syn_dtype)x->dtype);
        parts[n++] = start || stop != extent ? syn_slice(x, d, start, stop, 1) : x;
        if ((edge.dims[d] = after) > 0)
            parts[n++] = syn_full(edge, value, (syn_dtype)x->dtype);
        x = n > 1 ? syn_cat(parts, n, d) : parts[0];
    }
    return x && x == call->inputs[0] ? syn_clone(x) : x;
}

static void pad_compose(syn_op_call *call)
{
    const syn_value *pad = &call->attrs[0], *value = &call->attrs[2];
    const char *mode = call->attrs[1].string;
    double number = value->kind == SYN_VALUE_NONE ? 0 : syn_value_number(value);
    if (pad->n % 2)
        SYN_COMPOSE_FAIL(call, "%d numbers are not pairs", pad->n);
    else if (strcmp(mode, "constant") == 0)
        call->outputs[0] = pad_constant(call, pad, number);
    else
        call->outputs[0] = pad_edges(call, mode, pad);
}

const syn_op syn_op_pad = {
    .name = "pad",
    .doc = "More places before and after each of the last axes (pairs, the last axis first): a "
           "constant, or by mode reflect, replicate or circular; negative numbers cut off.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("pad", INTS),
             SYN_ARG_OR("mode", STRING, SYN_FALLBACK_STRING("constant")),
             SYN_ARG_OR("value", NUMBER, SYN_FALLBACK_NONE)),
    .dtypes = SYN_DTYPES_ALL,
    .compose = pad_compose,
    SYN_SAMPLES("(2,3), [1,2]", "(2,3), [-1,1,0,2], value=1.5", "(1,2,3), [2,1], mode='reflect'",
                "(1,2,3), [2,3], mode='replicate'", "(1,2,3), [2,3], mode='circular'"),
};
