/* Program cases: operators called by name, with gradients once and twice. It knows no operator. */
#include "tests/conformance/program.h"

#include "tests/conformance/arguments.h"
#include "worker/tensor/tensor.h"

#include <stdio.h>
#include <string.h>

enum { MOST_RESULTS = 64, MOST_TENSORS = 128 };

/* A case while it runs. */
typedef struct program {
    const json_t *json;
    const char *id;
    const syn_safetensors *file;
    result_set *results;
    value_list values;
    syn_tensor *returned[MOST_TENSORS], *gout[MOST_TENSORS]; /* gout: NULL where none is given */
    syn_tensor *leaf[MOST_TENSORS], *grad[MOST_TENSORS];     /* by input; NULL where not wanted */
    int n_inputs, n_returned;
    bool is_strange; /* a dtype beyond real numbers of 32 and 64 bits occurs */
} program;

/* ---- Tensors in and out ---- */

static syn_status stored(const program *p, const json_t *key, const syn_safetensor **out)
{
    *out = json_is_string(key) ? syn_safetensors_find(p->file, json_string_value(key)) : NULL;
    if (!*out)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "there is no input %s",
                        json_is_string(key) ? json_string_value(key) : "without key");
    return SYN_OK;
}

static bool is_complex(syn_dtype dtype)
{
    return dtype == SYN_C64 || dtype == SYN_C128;
}

/* The stored tensor in its own shape; a last axis of 2 is the parts of complex numbers. */
static syn_status load(const program *p, const json_t *key, syn_dtype dtype, syn_tensor **out)
{
    const syn_safetensor *t;
    SYN_TRY(stored(p, key, &t));
    syn_shape shape = {.ndim = t->ndim};
    memcpy(shape.dims, t->shape, (size_t)t->ndim * sizeof *t->shape);
    if (is_complex(dtype) && (t->ndim == 0 || shape.dims[--shape.ndim] != 2))
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "a complex input has no last axis of 2");
    syn_dtype wanted = dtype == SYN_C64 ? SYN_F32 : dtype == SYN_C128 ? SYN_F64 : dtype;
    if (wanted != t->dtype)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "an input is stored as another dtype than %s",
                        syn_dtype_name(dtype));
    *out = syn_from_data(t->data, shape, dtype);
    return *out ? SYN_OK : syn_error_status();
}

static syn_status read_ints(const json_t *list, syn_shape *out)
{
    size_t n = json_array_size(list);
    if (n > SYN_MAX_DIMS)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "%zu axes are too many", n);
    out->ndim = (int)n;
    for (size_t i = 0; i < n; i++)
        out->dims[i] = json_integer_value(json_array_get(list, i));
    return SYN_OK;
}

/* `window` seen with the shape and strides of `spec`, within bounds. */
static syn_status as_view(const json_t *spec, syn_tensor *window, syn_tensor **out)
{
    syn_shape shape, strides;
    int64_t last = 0, numel;
    SYN_TRY(read_ints(json_object_get(spec, "shape"), &shape));
    SYN_TRY(read_ints(json_object_get(spec, "strides"), &strides));
    SYN_TRY(syn_shape_check(shape.ndim, shape.dims, syn_tensor_dtype(window), &numel));
    if (strides.ndim != shape.ndim)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "%d strides for %d axes", strides.ndim, shape.ndim);
    for (int d = 0; d < shape.ndim; d++) {
        int64_t reach;
        if (strides.dims[d] < 0 ||
            __builtin_mul_overflow(shape.dims[d] - 1, strides.dims[d], &reach) ||
            __builtin_add_overflow(last, reach, &last))
            return SYN_FAIL(SYN_INVALID_ARGUMENT, "strides out of bounds");
    }
    if (numel == 0) {
        *out = syn_empty(shape, syn_tensor_dtype(window));
        return *out ? SYN_OK : syn_error_status();
    }
    if (last >= syn_tensor_numel(window))
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "a view reaches beyond its window");
    syn_tensor *view = syn_tensor_view_of(window, shape.ndim, shape.dims, strides.dims, 0);
    *out = view ? syn_scope_take(view) : NULL;
    return *out ? SYN_OK : SYN_FAIL(SYN_RESOURCE_EXHAUSTED, "no memory for a view");
}

static syn_status load_input(program *p, const json_t *spec, syn_tensor **out)
{
    const char *name = json_string_value(json_object_get(spec, "dtype"));
    syn_dtype dtype = syn_dtype_find(name ? name : "");
    if (dtype == SYN_N_DTYPES)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "there is no dtype %s", name ? name : "");
    p->is_strange |= !(SYN_DTYPES_REAL >> dtype & 1);
    SYN_TRY(load(p, json_object_get(spec, "data"), dtype, out));
    if (json_object_get(spec, "strides"))
        SYN_TRY(as_view(spec, *out, out));
    if (json_is_true(json_object_get(spec, "grad")))
        *out = syn_requires_grad(*out);
    return *out ? SYN_OK : syn_error_status();
}

static syn_status load_inputs(program *p)
{
    size_t i;
    json_t *spec;
    json_array_foreach(json_object_get(p->json, "in"), i, spec)
    {
        syn_tensor *x = NULL;
        if (i == MOST_TENSORS)
            return SYN_FAIL(SYN_INVALID_ARGUMENT, "more than %d inputs", MOST_TENSORS);
        SYN_TRY(load_input(p, spec, &x));
        p->leaf[i] = syn_tensor_requires_grad(x) ? x : NULL;
        p->grad[i] = NULL;
        if (!syn_vec_push(&p->values, x))
            return syn_fail_memory(sizeof x, "inputs");
        p->n_inputs = (int)i + 1;
    }
    return SYN_OK;
}

/* Adds "<id>:<kind><number>". */
static syn_status report(const program *p, const char *kind, int number, const syn_tensor *x)
{
    syn_dtype dtype = syn_tensor_dtype(x);
    syn_shape shape = syn_tensor_shape(x);
    size_t size = (size_t)syn_tensor_numel(x) * syn_dtype_size(dtype);
    char name[32];
    void *data = syn_malloc(size + 1);
    if (!data)
        return syn_fail_memory(size, "a result");
    syn_status status = syn_tensor_read(x, data);
    syn_safetensor t = {.dtype = dtype, .ndim = shape.ndim, .data = data, .size_bytes = size};
    if (status == SYN_OK && shape.ndim + is_complex(dtype) > SYN_SAFETENSORS_MAX_DIMS)
        status = SYN_FAIL(SYN_INVALID_ARGUMENT, "a result has too many axes");
    if (status == SYN_OK) {
        memcpy(t.shape, shape.dims, (size_t)shape.ndim * sizeof *shape.dims);
        if (is_complex(dtype)) {
            t.dtype = dtype == SYN_C64 ? SYN_F32 : SYN_F64;
            t.shape[t.ndim++] = 2;
        }
        (void)snprintf(name, sizeof name, "%s%d", kind, number);
        status = results_add(p->results, p->id, name, t);
    }
    syn_free(data);
    return status;
}

/* The gradient, or zeros where nothing reached `x`. */
static syn_status report_gradient(const program *p, const char *kind, int number,
                                  const syn_tensor *x, syn_tensor *grad)
{
    if (!grad)
        grad = syn_zeros(syn_tensor_shape(x), syn_tensor_dtype(x));
    return grad ? report(p, kind, number, grad) : syn_error_status();
}

/* ---- Steps ---- */

/* The name without what says only where PyTorch keeps it. */
static const char *plain_name(const char *name)
{
    static const char *const prefixes[] = {"Tensor.", "nn.functional.", "special."};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return name + strlen(prefixes[i]);
    return name;
}

static syn_status run_step(program *p, const json_t *step, bool is_last, int *first_out)
{
    const char *name = json_string_value(json_object_get(step, "op"));
    const syn_op *op = name ? syn_op_find(plain_name(name)) : NULL;
    if (!op || op->flags & SYN_OP_INTERNAL)
        return SYN_FAIL(SYN_UNIMPLEMENTED, "there is no operator %s", name ? name : "");
    syn_tensor *room[MOST_RESULTS];
    syn_outputs outputs = {room, MOST_RESULTS, 0};
    arguments args;
    syn_status status = arguments_read(step, op, &p->values, &args);
    if (status == SYN_OK && !syn_call_named(op->name, args.items, args.n, &outputs))
        status = syn_failed() ? syn_error_status()
                              : SYN_FAIL(SYN_INTERNAL, "%s gave nothing and no error", op->name);
    arguments_release(&args);
    SYN_TRY(status);
    const json_t *nout = json_object_get(step, "nout");
    json_int_t n = is_last ? outputs.n : json_is_integer(nout) ? json_integer_value(nout) : 1;
    if (n > outputs.n)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "%s gave %d results, not %lld", op->name, outputs.n,
                        (long long)n);
    *first_out = (int)p->values.n;
    for (json_int_t i = 0; i < n; i++)
        if (!syn_vec_push(&p->values, outputs.items[i]))
            return syn_fail_memory(sizeof *room, "values");
    return SYN_OK;
}

static syn_status take_returned(program *p, int first)
{
    const json_t *ret = json_object_get(p->json, "ret");
    size_t n = ret ? json_array_size(ret) : p->values.n - (size_t)first;
    if (n > MOST_TENSORS)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "more than %d results", MOST_TENSORS);
    for (size_t j = 0; j < n; j++) {
        json_int_t k = ret ? json_integer_value(json_array_get(ret, j)) : (json_int_t)j + first;
        if (k < 0 || (size_t)k >= p->values.n)
            return SYN_FAIL(SYN_INVALID_ARGUMENT, "value %lld is returned and is not there",
                            (long long)k);
        p->returned[j] = p->values.items[k];
        p->gout[j] = NULL;
    }
    p->n_returned = (int)n;
    return SYN_OK;
}

static syn_status run_steps(program *p)
{
    size_t i;
    int first = p->n_inputs;
    json_t *step;
    const json_t *steps = json_object_get(p->json, "steps");
    json_array_foreach(steps, i, step)
        SYN_TRY(run_step(p, step, i + 1 == json_array_size(steps), &first));
    SYN_TRY(take_returned(p, first));
    for (int j = 0; j < p->n_returned; j++)
        SYN_TRY(report(p, "o", j, p->returned[j]));
    return SYN_OK;
}

/* ---- Gradients ---- */

/* Adds the gradients of <output, weight> by leaves[0 .. n) to grads. */
static syn_status accumulate(syn_tensor *output, syn_tensor *weight, syn_tensor *const *leaves,
                             int n, bool create_graph, syn_tensor **grads)
{
    syn_tensor *fresh[2 * MOST_TENSORS];
    syn_backward_options options = {
        .grad_output = weight, .retain_graph = true, .create_graph = create_graph};
    if (!syn_tensor_requires_grad(output))
        return SYN_OK;
    SYN_TRY(syn_grad(output, leaves, n, options, fresh));
    for (int i = 0; i < n; i++) {
        if (!fresh[i])
            continue;
        grads[i] = grads[i] ? syn_add(grads[i], fresh[i]) : fresh[i];
        if (!grads[i])
            return syn_error_status();
    }
    return SYN_OK;
}

static bool wants(const program *p, const char *what)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(p->json, "want"), i,
                       item) if (json_is_string(item) &&
                                 strcmp(json_string_value(item), what) == 0) return true;
    return false;
}

/* The tensors of "gout" or "ggout", keyed by the number of what they weigh. */
static syn_status load_weight(const program *p, const char *member, int number,
                              const syn_tensor *beside, syn_tensor **out)
{
    char text[16];
    (void)snprintf(text, sizeof text, "%d", number);
    const json_t *key = json_object_get(json_object_get(p->json, member), text);
    *out = NULL;
    if (!key)
        return SYN_OK;
    SYN_TRY(load(p, key, syn_tensor_dtype(beside), out));
    if (!syn_same_shape(*out, beside))
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "%s %d has another shape than the result", member,
                        number);
    return SYN_OK;
}

/* The wanted leaves side by side; `place_out` says which input each is. */
static int pack_leaves(const program *p, syn_tensor **leaves, int *place_out)
{
    int n = 0;
    for (int k = 0; k < p->n_inputs; k++)
        if (p->leaf[k]) {
            place_out[n] = k;
            leaves[n++] = p->leaf[k];
        }
    return n;
}

static syn_status run_backward(program *p, bool twice)
{
    syn_tensor *leaves[MOST_TENSORS], *grads[MOST_TENSORS] = {0};
    int place[MOST_TENSORS], n = pack_leaves(p, leaves, place);
    for (int j = 0; j < p->n_returned; j++) {
        SYN_TRY(load_weight(p, "gout", j, p->returned[j], &p->gout[j]));
        if (!p->gout[j])
            continue;
        if (twice && !syn_requires_grad(p->gout[j]))
            return syn_error_status();
        SYN_TRY(accumulate(p->returned[j], p->gout[j], leaves, n, twice, grads));
    }
    for (int i = 0; i < n; i++) {
        p->grad[place[i]] = grads[i];
        SYN_TRY(report_gradient(p, "g", place[i], leaves[i], grads[i]));
    }
    return SYN_OK;
}

static syn_status run_double_backward(program *p)
{
    syn_tensor *leaves[2 * MOST_TENSORS], *grads[2 * MOST_TENSORS] = {0};
    int place[2 * MOST_TENSORS], n_inputs = pack_leaves(p, leaves, place), n = n_inputs;
    for (int j = 0; j < p->n_returned; j++)
        if (p->gout[j]) {
            place[n] = j;
            leaves[n++] = p->gout[j];
        }
    for (int k = 0; k < p->n_inputs; k++) {
        syn_tensor *weight;
        if (!p->grad[k])
            continue;
        SYN_TRY(load_weight(p, "ggout", k, p->grad[k], &weight));
        if (weight)
            SYN_TRY(accumulate(p->grad[k], weight, leaves, n, false, grads));
    }
    for (int i = 0; i < n; i++)
        SYN_TRY(report_gradient(p, i < n_inputs ? "h" : "hg", place[i], leaves[i], grads[i]));
    return SYN_OK;
}

/* ---- A case ---- */

static syn_status run(program *p)
{
    bool twice = wants(p, "gg");
    SYN_TRY(load_inputs(p));
    SYN_TRY(run_steps(p));
    if (twice || wants(p, "grad"))
        SYN_TRY(run_backward(p, twice));
    return twice ? run_double_backward(p) : SYN_OK;
}

syn_status program_case(const json_t *test_case, const syn_safetensors *inputs, result_set *results,
                        bool *known_out)
{
    program p = {.json = test_case,
                 .id = json_string_value(json_object_get(test_case, "id")),
                 .file = inputs,
                 .results = results};
    syn_status status = SYN_OK;
    SYN_SCOPE {
        status = run(&p);
    }
    syn_vec_release(&p.values);
    *known_out = status != SYN_UNIMPLEMENTED && !(status != SYN_OK && p.is_strange);
    return status;
}
