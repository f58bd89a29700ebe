/* What the operators on images share: pairs of arguments, and the extents (…, C, H, W). */
#include "worker/ops/spatial.h"

const char *syn_attr_name(const syn_op_call *call, int attr)
{
    for (int a = 0, n = 0; a < call->op->n_args; a++) {
        syn_value_kind kind = call->op->args[a].kind;
        if (kind != SYN_VALUE_TENSOR && kind != SYN_VALUE_TENSORS && n++ == attr)
            return call->op->args[a].name;
    }
    return "an argument";
}

syn_status syn_pair_of(const syn_op_call *call, int attr, const int64_t *fallback, int64_t least,
                       int64_t out[2])
{
    const syn_value *value = &call->attrs[attr];
    bool is_given = value->kind == SYN_VALUE_INT || (value->kind == SYN_VALUE_INTS && value->n > 0);
    if (!is_given && !fallback)
        return SYN_OP_FAIL(call, "%s is missing", syn_attr_name(call, attr));
    if (value->kind == SYN_VALUE_INTS && value->n > 2)
        return SYN_OP_FAIL(call, "%s has %d numbers; one or two are possible",
                           syn_attr_name(call, attr), value->n);
    for (int axis = 0; axis < 2; axis++) {
        if (!is_given)
            out[axis] = fallback[axis];
        else if (value->kind == SYN_VALUE_INT)
            out[axis] = value->i;
        else
            out[axis] = value->ints[value->n == 2 ? axis : 0];
        if (out[axis] < least)
            return SYN_OP_FAIL(call, "%s is %lld; it has to be at least %lld",
                               syn_attr_name(call, attr), (long long)out[axis], (long long)least);
    }
    return SYN_OK;
}

syn_status syn_check_image(const syn_op_call *call, const syn_tensor *x)
{
    if (x->ndim != 3 && x->ndim != 4)
        return SYN_OP_FAIL(call, "the input has %d axes; (N, C, H, W) or (C, H, W) is possible",
                           x->ndim);
    for (int axis = x->ndim - 3; axis < x->ndim; axis++)
        if (x->dims[axis] == 0)
            return SYN_OP_FAIL(call,
                               "the input has no elements along axis %d; only the batch may "
                               "be empty",
                               axis);
    return SYN_OK;
}

void syn_meta_image(syn_meta *meta, const syn_tensor *x, int64_t height, int64_t width)
{
    syn_meta_like(meta, x);
    meta->shape.dims[x->ndim - 2] = height;
    meta->shape.dims[x->ndim - 1] = width;
}

syn_value syn_pair_from_one(const syn_value *value, int64_t first, int64_t room[3])
{
    bool is_list = value->kind == SYN_VALUE_INTS;
    if (value->kind == SYN_VALUE_STRING)
        return *value;
    if (value->kind == SYN_VALUE_NONE || (is_list && value->n == 0))
        return SYN_NONE;
    room[0] = first;
    room[2] = 0;
    room[1] = is_list ? value->ints[0] : value->i;
    return SYN_INTS_OF(room,
                       is_list && value->n > 1 ? 3 : 2); /* 3: refused by the operator called */
}
