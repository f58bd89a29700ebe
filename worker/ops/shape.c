/* Triangles, diagonals, windows and other parts and shapes of tensors. */
#include "worker/ops/compose.h"

#include <string.h>

/* ---- Triangles ---- */

/* Where column - row is at most (at least) `diagonal`. */
static void triangle(syn_op_call *call, bool is_lower)
{
    syn_tensor *x = call->inputs[0];
    int64_t diagonal = call->attrs[0].i;
    if (x->ndim < 2) {
        SYN_COMPOSE_FAIL(call, "%d axes are no matrix", x->ndim);
        return;
    }
    int64_t rows = x->dims[x->ndim - 2], columns = x->dims[x->ndim - 1];
    syn_tensor *mask = syn_empty(SYN_SHAPE(rows, columns), SYN_BOOL);
    bool *at = mask ? mask->data : NULL;
    for (int64_t i = 0; at && i < mask->numel; i++) {
        int64_t above = i % columns - i / columns;
        at[i] = is_lower ? above <= diagonal : above >= diagonal;
    }
    call->outputs[0] = syn_where(mask, x, syn_number(0, (syn_dtype)x->dtype));
}

#define TRIANGLE(op_name, is_lower, text)                                                \
    static void op_name##_compose(syn_op_call *call)                                     \
    {                                                                                    \
        triangle(call, is_lower);                                                        \
    }                                                                                    \
    const syn_op syn_op_##op_name = {                                                    \
        .name = #op_name,                                                                \
        .doc = text,                                                                     \
        SYN_ARGS(SYN_TENSOR("input"), SYN_ARG_OR("diagonal", INT, SYN_FALLBACK_INT(0))), \
        .dtypes = SYN_DTYPES_REAL,                                                       \
        .compose = op_name##_compose,                                                    \
        SYN_SAMPLES("(3,4)", "(2,3,3), 1", "(3,4), -1"),                                 \
    };
TRIANGLE(tril, true, "Matrices with 0 above a diagonal.")
TRIANGLE(triu, false, "Matrices with 0 below a diagonal.")

/* ---- Diagonals ---- */

static void diagonal_compose(syn_op_call *call)
{
    syn_tensor *x = call->inputs[0];
    int64_t offset = call->attrs[0].i;
    int a, b, order[SYN_MAX_DIMS], n = 2;
    if (!syn_compose_dim(call, call->attrs[1].i, x->ndim, &a) ||
        !syn_compose_dim(call, call->attrs[2].i, x->ndim, &b))
        return;
    if (a == b || x->ndim < 2) {
        SYN_COMPOSE_FAIL(call, "the two axes are one");
        return;
    }
    order[0] = a;
    order[1] = b;
    for (int d = 0; d < x->ndim; d++)
        if (d != a && d != b)
            order[n++] = d;
    int64_t rows = x->dims[a], columns = x->dims[b];
    int64_t first = offset < 0 ? -offset : 0, length = columns - (offset > 0 ? offset : 0);
    length = offset < -rows || offset > columns ? 0 : length;
    length = length < rows - first ? length : rows - first;
    length = length < 0 ? 0 : length;
    syn_tensor *matrix = syn_permute(x, order, n);
    syn_shape shape = {.ndim = n - 1, .dims = {rows * columns}};
    for (int d = 1; d < n - 1; d++)
        shape.dims[d] = x->dims[order[d + 1]];
    syn_tensor *places = syn_arange(length, SYN_I64);
    int64_t *at = places ? places->data : NULL;
    for (int64_t i = 0; at && i < length; i++)
        at[i] = (first + i) * columns + first + i + offset;
    syn_tensor *y =
        syn_call(&syn_op_index_select, (syn_tensor *[]){syn_reshape(matrix, shape), places}, 2,
                 &SYN_INT_OF(0), 1);
    for (int d = 0; d < n - 1; d++)
        order[d] = d + 1 < n - 1 ? d + 1 : 0;
    call->outputs[0] = syn_permute(y, order, n - 1);
}

const syn_op syn_op_diagonal = {
    .name = "diagonal",
    .doc = "A diagonal of two axes, as the last axis.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG_OR("offset", INT, SYN_FALLBACK_INT(0)),
             SYN_ARG_OR("dim1", INT, SYN_FALLBACK_INT(0)),
             SYN_ARG_OR("dim2", INT, SYN_FALLBACK_INT(1))),
    .dtypes = SYN_DTYPES_ALL,
    .compose = diagonal_compose,
    SYN_SAMPLES("(3,4)", "(3,4), 1", "(3,4), -2", "(2,3,4), 0, 2, 0"),
};

/* ---- Windows ---- */

static void unfold_compose(syn_op_call *call)
{
    syn_tensor *x = call->inputs[0];
    int dim, order[SYN_MAX_DIMS + 1], n = 0;
    int64_t size = call->attrs[1].i, step = call->attrs[2].i;
    if (!syn_compose_dim(call, call->attrs[0].i, x->ndim, &dim))
        return;
    int64_t extent = x->ndim ? x->dims[dim] : 1;
    if (size < 0 || size > extent || step < 1 || x->ndim == SYN_MAX_DIMS) {
        SYN_COMPOSE_FAIL(call, "no windows of %lld by steps of %lld in extent %lld",
                         (long long)size, (long long)step, (long long)extent);
        return;
    }
    int64_t windows = (extent - size) / step + 1;
    syn_tensor *places = syn_empty(SYN_SHAPE(windows * size), SYN_I64);
    int64_t *at = places ? places->data : NULL;
    for (int64_t i = 0; at && i < windows * size; i++)
        at[i] = i / size * step + i % size;
    if (x->ndim == 0)
        x = syn_unsqueeze(x, 0);
    syn_tensor *y =
        syn_call(&syn_op_index_select, (syn_tensor *[]){x, places}, 2, &SYN_INT_OF(dim), 1);
    if (!y)
        return;
    syn_shape shape = {.ndim = y->ndim + 1};
    for (int d = 0; d < shape.ndim; d++)
        shape.dims[d] = d == dim ? windows : d == dim + 1 ? size : y->dims[d > dim ? d - 1 : d];
    for (int d = 0; d < shape.ndim; d++)
        if (d != dim + 1)
            order[n++] = d;
    order[n++] = dim + 1;
    y = syn_permute(syn_reshape(y, shape), order, n);
    call->outputs[0] = call->inputs[0]->ndim == 0 ? syn_squeeze(y, 0) : y;
}

const syn_op syn_op_unfold = {
    .name = "unfold",
    .doc = "All windows of a size along an axis, the window as the last axis.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("dimension", INT), SYN_ARG("size", INT),
             SYN_ARG("step", INT)),
    .dtypes = SYN_DTYPES_ALL,
    .compose = unfold_compose,
    SYN_SAMPLES("(5,2), 0, 3, 1", "(2,7), 1, 2, 3"),
};

/* ---- Axes ---- */

static void narrow_compose(syn_op_call *call)
{
    syn_tensor *x = call->inputs[0];
    int dim;
    int64_t start = call->attrs[1].i, length = call->attrs[2].i;
    if (x->ndim == 0) {
        SYN_COMPOSE_FAIL(call, "a tensor without axes cannot be narrowed");
        return;
    }
    if (!syn_compose_dim(call, call->attrs[0].i, x->ndim, &dim))
        return;
    start += start < 0 ? x->dims[dim] : 0;
    if (start < 0 || start > x->dims[dim] || length < 0 || length > x->dims[dim] - start)
        SYN_COMPOSE_FAIL(call, "%lld places from %lld are not within extent %lld",
                         (long long)length, (long long)start, (long long)x->dims[dim]);
    else
        call->outputs[0] = syn_slice(x, dim, start, start + length, 1);
}

const syn_op syn_op_narrow = {
    .name = "narrow",
    .doc = "So many places of an axis from a start.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("dim", INT), SYN_ARG("start", INT),
             SYN_ARG("length", INT)),
    .dtypes = SYN_DTYPES_ALL,
    .compose = narrow_compose,
    SYN_SAMPLES("(5,2), 0, 1, 3", "(2,5), 1, -2, 2"),
};

static void unflatten_compose(syn_op_call *call)
{
    const syn_tensor *x = call->inputs[0];
    const syn_value *sizes = &call->attrs[1];
    syn_shape shape = {.ndim = 0};
    int dim, unknown = -1;
    int64_t known = 1;
    if (!syn_compose_dim(call, call->attrs[0].i, x->ndim, &dim))
        return;
    if (x->ndim == 0 || sizes->n == 0 || x->ndim - 1 + sizes->n > SYN_MAX_DIMS) {
        SYN_COMPOSE_FAIL(call, "%d extents cannot stand for an axis here", sizes->n);
        return;
    }
    for (int d = 0; d < x->ndim; d++)
        for (int i = 0; i < (d == dim ? sizes->n : 1); i++)
            shape.dims[shape.ndim++] = d == dim ? sizes->ints[i] : x->dims[d];
    for (int i = dim; i < dim + sizes->n; i++) {
        if (shape.dims[i] == -1 && unknown < 0)
            unknown = i;
        else if (shape.dims[i] < 0 || __builtin_mul_overflow(known, shape.dims[i], &known))
            known = -1;
    }
    if (unknown >= 0 && known > 0)
        shape.dims[unknown] = x->dims[dim] / known;
    if (known < 0 || (unknown >= 0 ? known == 0 || x->dims[dim] % known : known != x->dims[dim]))
        SYN_COMPOSE_FAIL(call, "the extents do not make up %lld", (long long)x->dims[dim]);
    else
        call->outputs[0] = syn_reshape(call->inputs[0], shape);
}

const syn_op syn_op_unflatten = {
    .name = "unflatten",
    .doc = "Several axes of one; an extent of -1 is inferred.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("dim", INT), SYN_ARG("sizes", INTS)),
    .dtypes = SYN_DTYPES_ALL,
    .compose = unflatten_compose,
    SYN_SAMPLES("(6,2), 0, [2,3]", "(2,6), 1, [-1,2]"),
};

/* The last two axes exchanged. */
static void transposed_compose(syn_op_call *call)
{
    syn_tensor *x = call->inputs[0];
    bool is_t = strcmp(call->op->name, "t") == 0;
    if ((is_t && x->ndim > 2) || (!is_t && x->ndim < 2))
        SYN_COMPOSE_FAIL(call, "it is not possible for %d axes", x->ndim);
    else
        call->outputs[0] = x->ndim < 2 ? x : syn_transpose(x, -2, -1);
}

#define TRANSPOSED(op_name, text)      \
    const syn_op syn_op_##op_name = {  \
        .name = #op_name,              \
        .doc = text,                   \
        SYN_ARGS(SYN_TENSOR("input")), \
        .dtypes = SYN_DTYPES_ALL,      \
        .compose = transposed_compose, \
        SYN_SAMPLES("(2,3)"),          \
    };
TRANSPOSED(t, "A matrix transposed; other tensors of fewer axes as they are.")
TRANSPOSED(mT, "Matrices transposed.")

static void one_hot_compose(syn_op_call *call)
{
    syn_tensor *index = syn_contiguous(syn_to(call->inputs[0], SYN_I64));
    int64_t n = call->attrs[0].i, greatest = -1;
    const int64_t *at = index ? index->data : NULL;
    for (int64_t i = 0; at && i < index->numel; i++) {
        greatest = at[i] > greatest ? at[i] : greatest;
        if (at[i] < 0 || (n >= 0 && at[i] >= n)) {
            SYN_COMPOSE_FAIL(call, "class %lld is not one of %lld", (long long)at[i], (long long)n);
            return;
        }
    }
    if (n < 0)
        n = greatest + 1;
    if (n < 1) {
        SYN_COMPOSE_FAIL(call, "there are no classes");
        return;
    }
    syn_tensor *classes = syn_arange(n, SYN_I64);
    call->outputs[0] = syn_to(syn_eq(syn_unsqueeze(index, -1), classes), SYN_I64);
}

const syn_op syn_op_one_hot = {
    .name = "one_hot",
    .doc = "For each class number a row of zeros with a 1 at it.",
    SYN_ARGS(SYN_TENSOR_IN("input", SYN_DTYPES_INDEX),
             SYN_ARG_OR("num_classes", INT, SYN_FALLBACK_INT(-1))),
    .flags = SYN_OP_NO_GRAD | SYN_OP_DATA_SHAPE,
    .dtypes = SYN_DTYPES_INDEX,
    .compose = one_hot_compose,
    SYN_SAMPLES("(3)i4, 4", "(2,2)i3"),
};
