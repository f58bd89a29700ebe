/* Calls by name: named and positional arguments matched with the operator's specs, defaults filled
 * in. */
#include "worker/ops/op_internal.h"

#include "common/base/mem.h"
#include "common/base/str.h"

#include <string.h>

enum { MAX_ARGS = 32 };

/* One call's arguments by position of their specs. */
typedef struct matched {
    const syn_op *op;
    syn_value values[MAX_ARGS];
    bool is_given[MAX_ARGS];
    syn_tensor **inputs; /* owned */
    int n_inputs, n_attrs;
    syn_value attrs[MAX_ARGS];
    int64_t single[MAX_ARGS]; /* a number taken for a list */
    double single_float[MAX_ARGS];
} matched;

#define REFUSE(m, ...) refuse((m)->op, __VA_ARGS__)

__attribute__((format(printf, 2, 3))) static syn_status refuse(const syn_op *op, const char *format,
                                                               ...)
{
    char text[512];
    va_list args;
    syn_op_call call = {.op = op};
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return SYN_OP_FAIL(&call, "%s", text);
}

static syn_status find_op(const char *name, const syn_op **op_out)
{
    *op_out = name ? syn_op_find(name) : NULL;
    if (*op_out)
        return SYN_OK;
    int n = syn_op_count();
    const char **names = syn_malloc((size_t)n * sizeof *names);
    if (!names)
        return syn_fail_memory((size_t)n * sizeof *names, "operator names");
    for (int i = 0; i < n; i++)
        names[i] = syn_op_at(i)->name;
    const char *nearest = name ? syn_suggest(name, names, (size_t)n) : NULL;
    syn_status status =
        SYN_FAIL(SYN_NOT_FOUND, "there is no operator \"%s\"%s%s%s", name ? name : "",
                 nearest ? "; is it \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
    syn_free(names);
    return status;
}

static int find_spec(const syn_op *op, const char *name)
{
    for (int a = 0; a < op->n_args; a++)
        if (strcmp(op->args[a].name, name) == 0)
            return a;
    return -1;
}

static syn_status place(matched *m, const syn_named_value *args, int n_args)
{
    int next = 0;
    for (int i = 0; i < n_args; i++) {
        int a = args[i].name ? find_spec(m->op, args[i].name) : next++;
        if (a < 0) {
            const char *names[MAX_ARGS];
            for (int k = 0; k < m->op->n_args; k++)
                names[k] = m->op->args[k].name;
            const char *nearest = syn_suggest(args[i].name, names, (size_t)m->op->n_args);
            return REFUSE(m, "it has no argument \"%s\"%s%s%s", args[i].name,
                          nearest ? "; is it \"" : "", nearest ? nearest : "",
                          nearest ? "\"?" : "");
        }
        if (a >= m->op->n_args)
            return REFUSE(m, "it takes %d arguments, %d positional ones were given", m->op->n_args,
                          next);
        if (m->is_given[a])
            return REFUSE(m, "argument %s is given twice", m->op->args[a].name);
        next = args[i].name && a == next ? next + 1 : next; /* named, but in its place */
        m->values[a] = args[i].value;
        m->is_given[a] = true;
    }
    for (int a = 0; a < m->op->n_args; a++) {
        if (m->is_given[a])
            continue;
        if (!m->op->args[a].is_optional)
            return REFUSE(m, "argument %s is missing", m->op->args[a].name);
        m->values[a] = m->op->args[a].fallback;
    }
    return SYN_OK;
}

static const char *kind_name(syn_value_kind kind)
{
    static const char *const names[] = {[SYN_VALUE_NONE] = "None",
                                        [SYN_VALUE_BOOL] = "a bool",
                                        [SYN_VALUE_INT] = "an integer",
                                        [SYN_VALUE_FLOAT] = "a float",
                                        [SYN_VALUE_COMPLEX] = "a complex number",
                                        [SYN_VALUE_NUMBER] = "a number",
                                        [SYN_VALUE_INTS] = "a list of integers",
                                        [SYN_VALUE_FLOATS] = "a list of floats",
                                        [SYN_VALUE_DTYPE] = "a dtype",
                                        [SYN_VALUE_STRING] = "a string",
                                        [SYN_VALUE_TENSOR] = "a tensor",
                                        [SYN_VALUE_TENSORS] = "a list of tensors"};
    return (unsigned)kind < sizeof names / sizeof *names ? names[kind] : "something else";
}

static bool is_number(const syn_value *value)
{
    return value->kind >= SYN_VALUE_BOOL && value->kind <= SYN_VALUE_COMPLEX;
}

/* The value in the kind the spec wants; false if it cannot be taken for that. */
static bool convert(matched *m, int a, syn_value *value)
{
    syn_value_kind wanted = m->op->args[a].kind;
    if (value->kind == wanted || (value->kind == SYN_VALUE_NONE && m->op->args[a].is_optional))
        return true;
    if (value->kind == SYN_VALUE_STRING && m->op->args[a].takes_string)
        return true;
    if (wanted == SYN_VALUE_NUMBER)
        return is_number(value);
    if (wanted == SYN_VALUE_INTS && value->kind == SYN_VALUE_INT) {
        m->single[a] = value->i;
        *value = SYN_INTS_OF(&m->single[a], 1);
    } else if (wanted == SYN_VALUE_FLOATS && is_number(value)) {
        m->single_float[a] = syn_value_number(value);
        *value = (syn_value){.kind = SYN_VALUE_FLOATS, .n = 1, .floats = &m->single_float[a]};
    } else if (wanted == SYN_VALUE_FLOAT && is_number(value) && value->kind != SYN_VALUE_COMPLEX) {
        *value = SYN_FLOAT_OF(syn_value_number(value));
    } else if (wanted == SYN_VALUE_INT && value->kind == SYN_VALUE_BOOL) {
        value->kind = SYN_VALUE_INT;
    } else if (wanted == SYN_VALUE_BOOL && value->kind == SYN_VALUE_INT) {
        *value = SYN_BOOL_OF(value->i != 0);
    } else if (wanted == SYN_VALUE_DTYPE && value->kind == SYN_VALUE_STRING) {
        *value = SYN_DTYPE_OF(syn_dtype_find(value->string));
        return value->dtype != SYN_N_DTYPES;
    } else if (wanted == SYN_VALUE_TENSOR && is_number(value)) {
        syn_dtype dtype = value->kind == SYN_VALUE_BOOL  ? SYN_BOOL
                          : value->kind == SYN_VALUE_INT ? SYN_I64
                                                         : SYN_F64;
        *value = SYN_TENSOR_OF(syn_number(syn_value_number(value), dtype));
        return value->tensor != NULL;
    } else {
        return false;
    }
    return true;
}

/* Tensors to `inputs`, the rest to `attrs`. */
static syn_status sort_out(matched *m)
{
    int most = m->op->n_args;
    for (int a = 0; a < m->op->n_args; a++)
        most += m->values[a].kind == SYN_VALUE_TENSORS ? m->values[a].n : 0;
    m->inputs = syn_malloc((size_t)most * sizeof(syn_tensor *));
    if (!m->inputs)
        return syn_fail_memory((size_t)most * sizeof(syn_tensor *), "arguments");
    for (int a = 0; a < m->op->n_args; a++) {
        syn_value value = m->values[a];
        syn_value_kind wanted = m->op->args[a].kind;
        if (!convert(m, a, &value))
            return REFUSE(m, "argument %s is %s, not %s", m->op->args[a].name,
                          kind_name(m->values[a].kind), kind_name(wanted));
        if (wanted == SYN_VALUE_TENSOR)
            m->inputs[m->n_inputs++] = value.kind == SYN_VALUE_NONE ? NULL : value.tensor;
        else if (wanted != SYN_VALUE_TENSORS)
            m->attrs[m->n_attrs++] = value;
        else
            for (int i = 0; i < value.n; i++)
                m->inputs[m->n_inputs++] = value.tensors[i];
    }
    return SYN_OK;
}

bool syn_call_named(const char *op, const syn_named_value *args, int n_args, syn_outputs *outputs)
{
    matched m = {0};
    outputs->n = 0;
    syn_status status = find_op(op, &m.op);
    if (status == SYN_OK && m.op->n_args > MAX_ARGS)
        status = REFUSE(&m, "it has more than %d arguments", MAX_ARGS);
    if (status == SYN_OK)
        status = place(&m, args, n_args);
    if (status == SYN_OK)
        status = sort_out(&m);
    bool is_done = false;
    if (status == SYN_OK)
        is_done = syn_call_outputs(m.op, m.inputs, m.n_inputs, m.attrs, m.n_attrs, outputs);
    else
        (void)syn_stick(status);
    syn_free(m.inputs);
    return is_done;
}
