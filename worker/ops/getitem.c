/* Indexing in Python's notation: numbers, slices, new axes, index tensors and masks. */
#include "worker/ops/compose.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- nonzero ---- */

static bool is_set(const syn_tensor *x, int64_t i)
{
    size_t size = syn_dtype_size((syn_dtype)x->dtype);
    const unsigned char *at = (const unsigned char *)x->data + (size_t)i * size;
    if (x->dtype == SYN_F32)
        return *(const float *)(const void *)at != 0;
    if (x->dtype == SYN_F64)
        return *(const double *)(const void *)at != 0;
    for (size_t k = 0; k < size; k++)
        if (at[k])
            return true;
    return false;
}

/* (n, ndim): one row of coordinates an element. */
static syn_tensor *coordinates(syn_tensor *x)
{
    syn_tensor *dense = syn_contiguous(x);
    int64_t n = 0;
    for (int64_t i = 0; dense && i < dense->numel; i++)
        n += is_set(dense, i);
    syn_tensor *rows = dense ? syn_empty(SYN_SHAPE(n, dense->ndim), SYN_I64) : NULL;
    int64_t *row = rows ? rows->data : NULL;
    for (int64_t i = 0; rows && i < dense->numel; i++) {
        if (!is_set(dense, i))
            continue;
        int64_t rest = i;
        for (int d = dense->ndim - 1; d >= 0; rest /= dense->dims[d--])
            row[d] = rest % dense->dims[d];
        row += dense->ndim;
    }
    return rows;
}

static void nonzero_compose(syn_op_call *call)
{
    syn_tensor *x = call->inputs[0];
    if (!(SYN_DTYPES_REAL >> x->dtype & 1))
        SYN_COMPOSE_FAIL(call, "it is not possible for %s", syn_dtype_name((syn_dtype)x->dtype));
    else
        call->outputs[0] = coordinates(x);
}

const syn_op syn_op_nonzero = {
    .name = "nonzero",
    .doc = "The coordinates of elements that are not 0, a row each.",
    SYN_ARGS(SYN_TENSOR("input")),
    .flags = SYN_OP_NO_GRAD | SYN_OP_DATA_SHAPE,
    .dtypes = SYN_DTYPES_REAL,
    .compose = nonzero_compose,
    SYN_SAMPLES("(2,3)b", "(2,3)", "(0,3)"),
};

/* ---- The text ---- */

typedef enum item_kind { ITEM_INT, ITEM_SLICE, ITEM_NEW, ITEM_REST, ITEM_TENSOR } item_kind;

typedef struct item {
    item_kind kind;
    syn_value bounds[3]; /* ITEM_SLICE; the first for ITEM_INT */
} item;

enum { MOST_ITEMS = 32 };

static const char *skip(const char *at)
{
    while (isspace((unsigned char)*at))
        at++;
    return at;
}

/* A number, or none, and what follows it. */
static const char *read_bound(const char *at, syn_value *out)
{
    char *end;
    at = skip(at);
    long long value = strtoll(at, &end, 10);
    *out = end == at ? SYN_NONE : SYN_INT_OF(value);
    return skip(end);
}

static const char *read_item(const char *at, item *out)
{
    at = skip(at);
    if (strncmp(at, "None", 4) == 0)
        return out->kind = ITEM_NEW, skip(at + 4);
    if (strncmp(at, "...", 3) == 0)
        return out->kind = ITEM_REST, skip(at + 3);
    if (*at == 't')
        return out->kind = ITEM_TENSOR, skip(at + 1);
    at = read_bound(at, &out->bounds[0]);
    out->bounds[1] = SYN_NONE;
    out->bounds[2] = SYN_NONE;
    out->kind = *at == ':' ? ITEM_SLICE : ITEM_INT;
    for (int i = 1; i < 3 && *at == ':'; i++)
        at = read_bound(at + 1, &out->bounds[i]);
    if (out->bounds[2].kind == SYN_VALUE_NONE)
        out->bounds[2] = SYN_INT_OF(1);
    if (out->kind == ITEM_INT && out->bounds[0].kind == SYN_VALUE_NONE)
        return NULL;
    return at;
}

/* How many items there are, -1 with the error stuck. */
static int read_items(const syn_op_call *call, const char *text, item *items)
{
    int n = 0;
    const char *at = skip(text);
    while (*at) {
        at = n < MOST_ITEMS ? read_item(at, &items[n++]) : NULL;
        if (!at || (*at && *at != ',')) {
            SYN_COMPOSE_FAIL(call, "the index \"%.80s\" is not one", text);
            return -1;
        }
        at = skip(at + (*at == ','));
    }
    return n;
}

/* ---- Views: all but tensors ---- */

/* The axes that index tensors pick from, and the tensors, one an axis. */
typedef struct picks {
    int dim[SYN_MAX_DIMS];
    syn_tensor *index[SYN_MAX_DIMS];
    int n;
} picks;

static bool is_mask(const syn_tensor *x)
{
    return x->dtype == SYN_BOOL || x->dtype == SYN_U8;
}

static int axes_taken(const item *it, const syn_tensor *tensor)
{
    if (it->kind == ITEM_TENSOR)
        return is_mask(tensor) ? tensor->ndim : 1;
    return it->kind == ITEM_INT || it->kind == ITEM_SLICE;
}

/* A mask becomes one index an axis. */
static bool add_mask(const syn_op_call *call, const syn_tensor *x, int dim, syn_tensor *mask,
                     picks *out)
{
    if (mask->ndim == 0 || dim + mask->ndim > x->ndim) {
        SYN_COMPOSE_FAIL(call, "a mask of %d axes cannot be used here", mask->ndim);
        return false;
    }
    for (int d = 0; d < mask->ndim; d++)
        if (mask->dims[d] != x->dims[dim + d]) {
            SYN_COMPOSE_FAIL(call, "the mask's extent %lld is %lld in the tensor",
                             (long long)mask->dims[d], (long long)x->dims[dim + d]);
            return false;
        }
    syn_tensor *rows = coordinates(mask);
    for (int d = 0; d < mask->ndim && out->n < SYN_MAX_DIMS; d++) {
        out->dim[out->n] = dim + d;
        if (!(out->index[out->n++] = syn_select(rows, 1, d)))
            return false;
    }
    return true;
}

static bool add_tensor(const syn_op_call *call, const syn_tensor *x, int dim, syn_tensor *tensor,
                       picks *out)
{
    if (is_mask(tensor))
        return add_mask(call, x, dim, tensor, out);
    if (syn_dtype_get_kind((syn_dtype)tensor->dtype) != SYN_KIND_INTEGER ||
        out->n == SYN_MAX_DIMS) {
        SYN_COMPOSE_FAIL(call, "an index is %s; it may be integers or bool",
                         syn_dtype_name((syn_dtype)tensor->dtype));
        return false;
    }
    out->dim[out->n] = dim;
    return (out->index[out->n++] = syn_to(tensor, SYN_I64)) != NULL;
}

static syn_tensor *take_views(const syn_op_call *call, const item *items, int n, picks *out)
{
    syn_tensor *x = call->inputs[0];
    int taken = 0, n_rest = 0, dim = 0, next = 1;
    for (int i = 0, t = 1; i < n; i++) {
        if (items[i].kind == ITEM_TENSOR && t >= call->n_inputs)
            return syn_stick(SYN_OP_FAIL(call, "there are fewer tensors than t in the index"));
        taken += axes_taken(&items[i], items[i].kind == ITEM_TENSOR ? call->inputs[t++] : NULL);
        n_rest += items[i].kind == ITEM_REST;
    }
    if (taken > x->ndim || n_rest > 1)
        return syn_stick(SYN_OP_FAIL(call, "too many indices for %d axes", x->ndim));
    int rest = x->ndim - taken;
    for (int i = 0; x && i < n; i++) {
        const syn_value *b = items[i].bounds;
        if (items[i].kind == ITEM_INT) {
            x = syn_call(&syn_op_select, &x, 1, (syn_value[]){SYN_INT_OF(dim), b[0]}, 2);
        } else if (items[i].kind == ITEM_SLICE) {
            x = syn_call(&syn_op_slice, &x, 1, (syn_value[]){SYN_INT_OF(dim++), b[0], b[1], b[2]},
                         4);
        } else if (items[i].kind == ITEM_NEW) {
            x = syn_unsqueeze(x, dim++);
        } else if (items[i].kind == ITEM_REST) {
            dim += rest;
        } else {
            syn_tensor *index = call->inputs[next++];
            if (!add_tensor(call, x, dim, index, out))
                return NULL;
            dim += is_mask(index) ? index->ndim : 1;
        }
    }
    return x;
}

/* ---- Index tensors ---- */

/* All indices with the shape they broadcast to. */
static bool broadcast_all(const syn_op_call *call, picks *p, syn_shape *shape)
{
    shape->ndim = 0;
    for (int i = 0; i < p->n; i++) {
        const syn_tensor *x = p->index[i];
        for (; shape->ndim < x->ndim; shape->ndim++) {
            memmove(shape->dims + 1, shape->dims, (size_t)shape->ndim * sizeof *shape->dims);
            shape->dims[0] = 1;
        }
        for (int d = 0; d < x->ndim; d++) {
            int64_t *extent = &shape->dims[shape->ndim - x->ndim + d];
            if (*extent != 1 && x->dims[d] != 1 && *extent != x->dims[d]) {
                SYN_COMPOSE_FAIL(call, "the index tensors' extents %lld and %lld do not broadcast",
                                 (long long)*extent, (long long)x->dims[d]);
                return false;
            }
            *extent = *extent == 1 ? x->dims[d] : *extent;
        }
    }
    for (int i = 0; i < p->n; i++)
        if (!(p->index[i] = syn_contiguous(syn_expand(p->index[i], *shape))))
            return false;
    return true;
}

/* The row numbers among the picked axes as one. */
static syn_tensor *row_numbers(const syn_op_call *call, const syn_tensor *x, const picks *p)
{
    int64_t n = p->index[0]->numel;
    syn_tensor *rows = syn_zeros(SYN_SHAPE(n), SYN_I64);
    int64_t *row = rows ? rows->data : NULL;
    for (int k = 0; rows && k < p->n; k++) {
        int64_t extent = x->dims[p->dim[k]];
        const int64_t *index = p->index[k]->data;
        for (int64_t i = 0; i < n; i++) {
            int64_t place = index[i] < 0 ? index[i] + extent : index[i];
            if (place < 0 || place >= extent)
                return syn_stick(SYN_OP_FAIL(call, "index %lld is outside axis %d of extent %lld",
                                             (long long)index[i], p->dim[k], (long long)extent));
            row[i] = row[i] * extent + place;
        }
    }
    return rows;
}

/* The picked axes in front, as one; `rest` says what follows. */
static syn_tensor *picked_first(syn_tensor *x, const picks *p, syn_shape *rest)
{
    int order[SYN_MAX_DIMS], n = 0;
    syn_shape flat = {.ndim = 1, .dims = {1}};
    bool is_picked[SYN_MAX_DIMS] = {0};
    rest->ndim = 0;
    for (int k = 0; k < p->n; k++) {
        is_picked[order[n++] = p->dim[k]] = true;
        flat.dims[0] *= x->dims[p->dim[k]];
    }
    for (int d = 0; d < x->ndim; d++)
        if (!is_picked[d]) {
            order[n++] = d;
            rest->dims[rest->ndim++] = flat.dims[flat.ndim++] = x->dims[d];
        }
    return syn_reshape(syn_permute(x, order, n), flat);
}

static syn_tensor *pick_all(const syn_op_call *call, syn_tensor *x, picks *p)
{
    syn_shape shape, rest;
    int order[SYN_MAX_DIMS], at = 0;
    if (!broadcast_all(call, p, &shape))
        return NULL;
    syn_tensor *rows = row_numbers(call, x, p), *first = picked_first(x, p, &rest);
    if (shape.ndim + rest.ndim > SYN_MAX_DIMS)
        return syn_stick(SYN_OP_FAIL(call, "the result has too many axes"));
    syn_tensor *y =
        syn_call(&syn_op_index_select, (syn_tensor *[]){first, rows}, 2, &SYN_INT_OF(0), 1);
    int lead = p->dim[p->n - 1] - p->dim[0] == p->n - 1 ? p->dim[0] : 0, n_index = shape.ndim;
    for (int d = 0; d < rest.ndim; d++)
        shape.dims[shape.ndim++] = rest.dims[d];
    y = syn_reshape(y, shape);
    if (lead == 0)
        return y;
    for (int d = 0; d < lead; d++) /* neighbours: the picked axes stand where they stood */
        order[at++] = n_index + d;
    for (int d = 0; d < n_index; d++)
        order[at++] = d;
    for (int d = lead; d < rest.ndim; d++)
        order[at++] = n_index + d;
    return syn_permute(y, order, at);
}

static void getitem_compose(syn_op_call *call)
{
    item items[MOST_ITEMS];
    picks p = {.n = 0};
    int n = read_items(call, call->attrs[0].string, items);
    syn_tensor *x = n < 0 ? NULL : take_views(call, items, n, &p);
    call->outputs[0] = x && p.n ? pick_all(call, x, &p) : x;
}

const syn_op syn_op___getitem__ = {
    .name = "__getitem__",
    .doc = "Indexing in Python's notation, \"1:, None, ..., t, -1\", each t standing for the next "
           "of the index tensors.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("index", STRING), SYN_TENSORS("indices")),
    .dtypes = SYN_DTYPES_ALL,
    .compose = getitem_compose,
    SYN_SAMPLES("(3,4), '1:, 2', {}", "(3,4), '..., None, ::2', {}", "(3,4), 't', {(2,2)i3}",
                "(2,3,4), ':, t, t', {(2)i3, (2,1)i4}", "(2,3,4), 't, :, t', {(2)i2, (2)i4}",
                "(2,3), 't', {(2,3)b}"),
};

static void masked_select_compose(syn_op_call *call)
{
    syn_tensor *pair[2] = {call->inputs[0], call->inputs[1]};
    syn_tensor *like = syn_call3(&syn_op_where, pair[1], pair[0], pair[0]);
    if (!like)
        return;
    syn_shape shape = syn_tensor_shape(like);
    pair[0] = syn_expand(pair[0], shape);
    pair[1] = syn_expand(pair[1], shape);
    if (shape.ndim == 0) {
        pair[0] = syn_unsqueeze(pair[0], 0);
        pair[1] = syn_unsqueeze(pair[1], 0);
    }
    call->outputs[0] = syn_call(&syn_op___getitem__, pair, 2, &SYN_STRING_OF("t"), 1);
}

const syn_op syn_op_masked_select = {
    .name = "masked_select",
    .doc = "The elements where the mask holds, in row-major order.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_TENSOR_IN("mask", SYN_DTYPES_BOOL)),
    .flags = SYN_OP_DATA_SHAPE,
    .dtypes = SYN_DTYPES_REAL,
    .compose = masked_select_compose,
    SYN_SAMPLES("(2,3), (2,3)b", "(2,3), (3)b"),
};

static void masked_fill_compose(syn_op_call *call)
{
    syn_tensor *x = call->inputs[0], *value = syn_to(call->inputs[2], (syn_dtype)x->dtype);
    if (call->inputs[2]->ndim)
        SYN_COMPOSE_FAIL(call, "the value has axes");
    else
        call->outputs[0] = syn_call3(&syn_op_where, call->inputs[1], value, x);
}

const syn_op syn_op_masked_fill = {
    .name = "masked_fill",
    .doc = "The value where the mask holds, else the element.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_TENSOR_IN("mask", SYN_DTYPES_BOOL), SYN_TENSOR("value")),
    .dtypes = SYN_DTYPES_REAL,
    .compose = masked_fill_compose,
    SYN_SAMPLES("(2,3), (2,3)b, 1.5", "(2,3), (3)b, ()"),
};
