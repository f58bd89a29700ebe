/* Arguments of operators from JSON: numbers, lists, tensors by number, indexers. */
#include "tests/conformance/arguments.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void *keep(arguments *a, size_t size)
{
    void *memory = syn_malloc(size ? size : 1);
    if (memory && !syn_vec_push(&a->memory, memory)) {
        syn_free(memory);
        return NULL;
    }
    return memory;
}

void arguments_release(arguments *a)
{
    for (size_t i = 0; i < a->memory.n; i++)
        syn_free(a->memory.items[i]);
    syn_vec_release(&a->memory);
    a->n = 0;
}

/* ---- Single values ---- */

static syn_status tensor_of(const arguments *a, const json_t *number, syn_tensor **out)
{
    json_int_t i = json_is_integer(number) ? json_integer_value(number) : -1;
    if (i < 0 || (size_t)i >= a->values->n)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "there is no value %lld", (long long)i);
    *out = a->values->items[i];
    return SYN_OK;
}

static syn_status special_of(const json_t *text, double *out)
{
    static const struct {
        const char *name;
        double value;
    } special[] = {{"inf", INFINITY}, {"-inf", -INFINITY}, {"nan", NAN}};
    for (size_t i = 0; json_is_string(text) && i < sizeof special / sizeof *special; i++)
        if (strcmp(json_string_value(text), special[i].name) == 0) {
            *out = special[i].value;
            return SYN_OK;
        }
    return SYN_FAIL(SYN_INVALID_ARGUMENT, "a special number is inf, -inf or nan");
}

static syn_status part_of(const json_t *value, double *out)
{
    *out = json_number_value(value);
    return json_is_object(value) ? special_of(json_object_get(value, "f"), out) : SYN_OK;
}

static syn_status dtype_of(const json_t *name, syn_value *out)
{
    syn_dtype dtype = json_is_string(name) ? syn_dtype_find(json_string_value(name)) : SYN_N_DTYPES;
    if (dtype == SYN_N_DTYPES)
        return SYN_FAIL(SYN_UNIMPLEMENTED, "there is no such dtype");
    *out = SYN_DTYPE_OF(dtype);
    return SYN_OK;
}

/* {"t":3} {"f":"inf"} {"c":[1,2]} {"dtype":"f32"} {"layout":...} */
static syn_status object_value(const arguments *a, const json_t *value, syn_value *out)
{
    const json_t *member;
    if ((member = json_object_get(value, "t"))) {
        *out = SYN_TENSOR_OF(NULL);
        return tensor_of(a, member, &out->tensor);
    }
    if ((member = json_object_get(value, "f"))) {
        *out = SYN_FLOAT_OF(0);
        return special_of(member, &out->f);
    }
    if ((member = json_object_get(value, "c"))) {
        *out = (syn_value){.kind = SYN_VALUE_COMPLEX};
        SYN_TRY(part_of(json_array_get(member, 0), &out->c.re));
        return part_of(json_array_get(member, 1), &out->c.im);
    }
    if ((member = json_object_get(value, "dtype")))
        return dtype_of(member, out);
    if (json_object_get(value, "layout")) {
        *out = SYN_NONE;
        return SYN_OK;
    }
    return SYN_FAIL(SYN_UNIMPLEMENTED, "an argument is of a kind that no operator takes");
}

/* ---- Lists ---- */

static bool all_are(const json_t *list, bool (*is)(const json_t *))
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!is(json_array_get(list, i)))
            return false;
    return true;
}

static bool is_whole(const json_t *value)
{
    return json_is_integer(value) || json_is_boolean(value);
}

static bool is_real(const json_t *value)
{
    return json_is_number(value) || json_is_boolean(value) ||
           (json_is_object(value) && json_object_get(value, "f"));
}

static bool is_tensor(const json_t *value)
{
    return json_is_object(value) && json_object_get(value, "t");
}

static int64_t whole_of(const json_t *value)
{
    return json_is_boolean(value) ? json_is_true(value) : json_integer_value(value);
}

static syn_status list_value(arguments *a, const json_t *list, syn_value *out)
{
    size_t n = json_array_size(list);
    void *memory = keep(a, n * sizeof(int64_t));
    if (!memory)
        return syn_fail_memory(n * sizeof(int64_t), "a list");
    if (all_are(list, is_whole)) {
        *out = SYN_INTS_OF(memory, (int)n);
        for (size_t i = 0; i < n; i++)
            ((int64_t *)memory)[i] = whole_of(json_array_get(list, i));
        return SYN_OK;
    }
    if (all_are(list, is_real)) {
        *out = (syn_value){.kind = SYN_VALUE_FLOATS, .n = (int)n, .floats = memory};
        for (size_t i = 0; i < n; i++)
            SYN_TRY(part_of(json_array_get(list, i), &((double *)memory)[i]));
        return SYN_OK;
    }
    if (all_are(list, is_tensor)) {
        *out = SYN_TENSORS_OF(memory, (int)n);
        for (size_t i = 0; i < n; i++)
            SYN_TRY(tensor_of(a, json_object_get(json_array_get(list, i), "t"),
                              &((syn_tensor **)memory)[i]));
        return SYN_OK;
    }
    return SYN_FAIL(SYN_UNIMPLEMENTED, "a list holds what no operator takes");
}

static syn_status value_of(arguments *a, const json_t *value, syn_value *out)
{
    if (json_is_object(value))
        return object_value(a, value, out);
    if (json_is_array(value))
        return list_value(a, value, out);
    if (json_is_boolean(value))
        *out = SYN_BOOL_OF(json_is_true(value));
    else if (json_is_integer(value))
        *out = SYN_INT_OF(json_integer_value(value));
    else if (json_is_real(value))
        *out = SYN_FLOAT_OF(json_real_value(value));
    else if (json_is_string(value))
        *out = SYN_STRING_OF(json_string_value(value));
    else
        *out = SYN_NONE;
    return SYN_OK;
}

/* ---- Indexers: a text in Python's notation with t for each tensor, and the tensors ---- */

/* The shape of nested lists by their first members; false if they are too deep. */
static bool nested_shape(const json_t *list, syn_shape *shape)
{
    for (shape->ndim = 0; json_is_array(list); list = json_array_get(list, 0)) {
        if (shape->ndim == SYN_MAX_DIMS)
            return false;
        shape->dims[shape->ndim++] = (int64_t)json_array_size(list);
    }
    return true;
}

/* The members in order to `out` (at most `room`); how many there were, -1 if not all are whole. */
static int64_t flatten_list(const json_t *list, int64_t *out, int64_t room)
{
    int64_t n = 0;
    if (!json_is_array(list)) {
        if (!is_whole(list) || room < 1)
            return -1;
        *out = whole_of(list);
        return 1;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        int64_t more = flatten_list(json_array_get(list, i), out + n, room - n);
        if (more < 0)
            return -1;
        n += more;
    }
    return n;
}

static syn_tensor *tensor_from_list(const json_t *list)
{
    syn_shape shape;
    const json_t *first = list;
    if (!nested_shape(list, &shape))
        return NULL;
    while (json_is_array(first))
        first = json_array_get(first, 0);
    syn_tensor *index = syn_empty(shape, SYN_I64);
    int64_t n = syn_tensor_numel(index);
    if (!index || flatten_list(list, syn_tensor_data(index), n) != n)
        return NULL;
    return json_is_boolean(first) ? syn_to(index, SYN_BOOL) : index;
}

static void append_slice(char *text, size_t size, const json_t *bounds)
{
    for (size_t i = 0; i < 3; i++) {
        const json_t *bound = json_array_get(bounds, i);
        size_t used = strlen(text);
        if (json_is_integer(bound))
            (void)snprintf(text + used, size - used, "%s%lld", i ? ":" : "",
                           (long long)json_integer_value(bound));
        else
            (void)snprintf(text + used, size - used, "%s", i ? ":" : "");
    }
}

static syn_status indexer(const arguments *a, const json_t *item, char *text, size_t size,
                          syn_tensor **tensor_out)
{
    *tensor_out = NULL;
    text[0] = '\0';
    if (json_is_integer(item)) {
        (void)snprintf(text, size, "%lld", (long long)json_integer_value(item));
    } else if (json_is_null(item)) {
        (void)snprintf(text, size, "None");
    } else if (json_is_boolean(item)) {
        (void)snprintf(text, size, "t");
        *tensor_out = syn_scalar(json_is_true(item), SYN_BOOL);
    } else if (json_is_array(item)) {
        (void)snprintf(text, size, "t");
        *tensor_out = tensor_from_list(item);
    } else if (json_object_get(item, "slice")) {
        append_slice(text, size, json_object_get(item, "slice"));
    } else if (json_object_get(item, "ellipsis")) {
        (void)snprintf(text, size, "...");
    } else if (json_object_get(item, "t")) {
        (void)snprintf(text, size, "t");
        return tensor_of(a, json_object_get(item, "t"), tensor_out);
    } else {
        return SYN_FAIL(SYN_UNIMPLEMENTED, "an indexer of a kind that there is not");
    }
    if (strcmp(text, "t") == 0 && !*tensor_out)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "a list in an index is not one of whole numbers");
    return SYN_OK;
}

static syn_status append(arguments *a, const char *name, syn_value value)
{
    if (a->n == ARGUMENTS_MOST)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "more than %d arguments", ARGUMENTS_MOST);
    a->items[a->n++] = (syn_named_value){name, value};
    return SYN_OK;
}

static syn_status append_index(arguments *a, const char *name, const json_t *list)
{
    enum { ONE = 96 };
    size_t n = json_array_size(list), used = 0;
    char *text = keep(a, (n + 1) * ONE);
    syn_tensor **tensors = keep(a, (n + 1) * sizeof *tensors);
    int n_tensors = 0;
    if (!text || !tensors)
        return syn_fail_memory(n * ONE, "an index");
    text[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        syn_tensor *tensor;
        used += (size_t)snprintf(text + used, 3, "%s", i ? ", " : "");
        SYN_TRY(indexer(a, json_array_get(list, i), text + used, ONE - 2, &tensor));
        used += strlen(text + used);
        if (tensor)
            tensors[n_tensors++] = tensor;
    }
    SYN_TRY(append(a, name, SYN_STRING_OF(text)));
    return append(a, "indices", SYN_TENSORS_OF(tensors, n_tensors));
}

/* ---- A call's ---- */

static const syn_arg_spec *find_spec(const syn_op *op, const char *name)
{
    for (int i = 0; i < op->n_args; i++)
        if (strcmp(op->args[i].name, name) == 0)
            return &op->args[i];
    return NULL;
}

static syn_status append_named(arguments *a, const char *name, const json_t *json)
{
    const syn_arg_spec *spec = find_spec(a->op, name);
    if (!spec && strcmp(name, "axis") == 0) { /* NumPy's name, which PyTorch takes everywhere */
        name = "dim";
        spec = find_spec(a->op, name);
    }
    if (!spec && (json_is_null(json) || json_is_false(json) || *name == '_'))
        return SYN_OK;
    if (!spec)
        return SYN_FAIL(SYN_UNIMPLEMENTED, "%s has no argument %s", a->op->name, name);
    if (json_is_array(json) && spec->kind == SYN_VALUE_STRING)
        return append_index(a, name, json);
    syn_value value;
    SYN_TRY(value_of(a, json, &value));
    return append(a, spec->name, value);
}

syn_status arguments_read(const json_t *step, const syn_op *op, const value_list *values,
                          arguments *out)
{
    size_t i;
    const char *name;
    json_t *json;
    memset(out, 0, sizeof *out);
    out->op = op;
    out->values = values;
    json_array_foreach(json_object_get(step, "args"), i, json)
    {
        syn_value value;
        if (i >= (size_t)op->n_args)
            return SYN_FAIL(SYN_UNIMPLEMENTED, "%s takes %d arguments", op->name, op->n_args);
        SYN_TRY(value_of(out, json, &value));
        SYN_TRY(append(out, NULL, value));
    }
    json_object_foreach(json_object_get(step, "kw"), name, json)
        SYN_TRY(append_named(out, name, json));
    return SYN_OK;
}
