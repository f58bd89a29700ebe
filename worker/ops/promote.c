/* Dtype promotion by NumPy's and PyTorch's rules, and the check of what an operator accepts. */
#include "worker/ops/dispatch.h"

#include <string.h>

/* The smallest dtype both convert to, within PyTorch's table. */
syn_dtype syn_promote_types(syn_dtype a, syn_dtype b)
{
    if (a == b)
        return a;
    if (a > b) {
        syn_dtype c = a;
        a = b;
        b = c;
    }
    if (a == SYN_U8 && b == SYN_I8)
        return SYN_I16;
    if (a == SYN_F16 && b == SYN_BF16)
        return SYN_F32;
    if (a == SYN_F64 && b == SYN_C64)
        return SYN_C128;
    return b;
}

typedef struct classes {
    bool has[3]; /* tensors with axes, 0-d tensors, numbers */
    syn_dtype dtype[3];
} classes;

static void add_to(classes *c, const syn_tensor *x)
{
    int k = x->is_number ? 2 : x->ndim == 0 ? 1 : 0;
    syn_dtype dtype = (syn_dtype)x->dtype;
    if (k == 2 && dtype == SYN_F64) /* a number has the default dtype of its category */
        dtype = SYN_F32;
    if (k == 2 && dtype == SYN_C128)
        dtype = SYN_C64;
    c->dtype[k] = c->has[k] ? syn_promote_types(c->dtype[k], dtype) : dtype;
    c->has[k] = true;
}

/* torch.result_type: a weaker class counts only if its category is higher. */
static syn_dtype result_of(const classes *c)
{
    bool has = false;
    syn_dtype result = SYN_F32;
    for (int k = 0; k < 3; k++) {
        if (!c->has[k])
            continue;
        if (!has)
            result = c->dtype[k];
        else if (syn_dtype_get_kind(c->dtype[k]) > syn_dtype_get_kind(result))
            result = syn_promote_types(result, c->dtype[k]);
        has = true;
    }
    return result;
}

syn_dtype syn_result_type(syn_tensor *const *tensors, int n)
{
    classes c = {0};
    for (int i = 0; i < n; i++)
        if (tensors[i])
            add_to(&c, tensors[i]);
    return result_of(&c);
}

static const syn_arg_spec *spec_of_input(const syn_op_call *call, int input)
{
    const syn_op *op = call->op;
    int n_tensors = 0, list_length = 0;
    for (int a = 0; a < op->n_args; a++)
        n_tensors += op->args[a].kind == SYN_VALUE_TENSOR;
    list_length = call->n_inputs - n_tensors;
    for (int a = 0; a < op->n_args; a++) {
        syn_value_kind kind = op->args[a].kind;
        input -= kind == SYN_VALUE_TENSOR ? 1 : kind == SYN_VALUE_TENSORS ? list_length : 0;
        if (input < 0)
            return &op->args[a];
    }
    return NULL;
}

const syn_arg_spec *syn_call_spec(const syn_op_call *call, int input)
{
    return spec_of_input(call, input);
}

static void list_dtypes(char *text, size_t size, unsigned set)
{
    size_t used = 0;
    text[0] = '\0';
    for (unsigned t = 0; t < SYN_N_DTYPES && used < size; t++)
        if (set >> t & 1) {
            int n = snprintf(text + used, size - used, "%s%s", used ? ", " : "",
                             syn_dtype_name((syn_dtype)t));
            used += n > 0 ? (size_t)n : 0;
        }
}

static syn_status refuse(const syn_op_call *call, int input, syn_dtype dtype, unsigned allowed)
{
    char text[160];
    const syn_arg_spec *spec = spec_of_input(call, input);
    list_dtypes(text, sizeof text, allowed);
    return SYN_OP_FAIL(call, "%s is %s; it may be %s", spec ? spec->name : "an input",
                       syn_dtype_name(dtype), text);
}

static syn_tensor *convert(syn_tensor *x, syn_dtype dtype)
{
    syn_tensor *converted = syn_to(x, dtype);
    if (converted && converted != x && x->is_number)
        converted->is_number = true;
    return converted;
}

/* The dtype that promoted inputs get. */
static syn_status common_dtype(const syn_op_call *call, const unsigned *fixed, syn_dtype *out)
{
    classes c = {0};
    for (int i = 0; i < call->n_inputs; i++)
        if (call->inputs[i] && !fixed[i])
            add_to(&c, call->inputs[i]);
    syn_dtype dtype = result_of(&c);
    if (call->op->promotion == SYN_PROMOTE_FLOAT && syn_dtype_get_kind(dtype) < SYN_KIND_FLOAT)
        dtype = SYN_F32;
    if (call->op->flags & SYN_OP_IN_PLACE) {
        syn_dtype target = (syn_dtype)call->inputs[0]->dtype;
        if (syn_dtype_get_kind(dtype) > syn_dtype_get_kind(target))
            return SYN_OP_FAIL(call, "the result is %s, which the target's %s cannot hold",
                               syn_dtype_name(dtype), syn_dtype_name(target));
        dtype = target;
    }
    *out = dtype;
    return SYN_OK;
}

syn_status syn_call_promote(syn_op_call *call, syn_tensor **room)
{
    const syn_op *op = call->op;
    unsigned few[SYN_FEW_INPUTS];
    unsigned *fixed = few;
    if (call->n_inputs > SYN_FEW_INPUTS) /* long lists: no argument of theirs has its own dtypes */
        fixed = NULL;
    bool is_mixed = false;
    int first = -1;
    for (int i = 0; i < call->n_inputs; i++) {
        const syn_tensor *x = call->inputs[i];
        const syn_arg_spec *spec = fixed ? spec_of_input(call, i) : NULL;
        if (fixed)
            fixed[i] = spec ? spec->dtypes : 0;
        if (!x)
            continue;
        if (fixed && fixed[i]) {
            if (!(fixed[i] >> x->dtype & 1))
                return refuse(call, i, (syn_dtype)x->dtype, fixed[i]);
            continue;
        }
        is_mixed |= first >= 0 && x->dtype != call->inputs[first]->dtype;
        first = first < 0 ? i : first;
    }
    if (first < 0)
        return SYN_OK;
    static const unsigned none[1024];
    const unsigned *own = fixed ? fixed : none;
    if (!fixed && call->n_inputs > 1024)
        return SYN_OP_FAIL(call, "%d tensors are too many at once; 1024 are possible",
                           call->n_inputs);
    syn_dtype dtype = (syn_dtype)call->inputs[first]->dtype;
    if (op->promotion == SYN_PROMOTE_COMMON || op->promotion == SYN_PROMOTE_FLOAT)
        SYN_TRY(common_dtype(call, own, &dtype));
    else if (is_mixed && op->promotion == SYN_PROMOTE_NONE)
        for (int i = 0; i < call->n_inputs; i++)
            if (call->inputs[i] && !own[i] && call->inputs[i]->dtype != dtype)
                return SYN_OP_FAIL(call, "dtypes %s and %s differ", syn_dtype_name(dtype),
                                   syn_dtype_name((syn_dtype)call->inputs[i]->dtype));
    for (int i = 0; i < call->n_inputs; i++) {
        syn_tensor *x = call->inputs[i];
        room[i] = x;
        if (!x || own[i])
            continue;
        syn_dtype wanted = op->promotion == SYN_PROMOTE_ANY ? (syn_dtype)x->dtype : dtype;
        if (op->dtypes && !(op->dtypes >> wanted & 1))
            return refuse(call, i, wanted, op->dtypes);
        if (x->dtype != wanted && !(room[i] = convert(x, wanted)))
            return syn_error_status();
    }
    call->inputs = room;
    return SYN_OK;
}
