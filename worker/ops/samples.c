/* Reading operators' sample arguments. */
#include "worker/ops/samples.h"

#include "worker/kernels/element.h"
#include "worker/tensor/tensor.h"

#include <syncline/random.h>

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

typedef struct reader {
    const char *text, *at;
    syn_dtype dtype;
    uint64_t seed;
    syn_sample *out;
} reader;

static syn_status bad(const reader *r, const char *wanted)
{
    return SYN_FAIL(SYN_INVALID_ARGUMENT, "sample \"%s\": %s is wanted at \"%s\"", r->text, wanted,
                    r->at);
}

static void skip(reader *r)
{
    while (isspace((unsigned char)*r->at))
        r->at++;
}

static bool accept(reader *r, char c)
{
    skip(r);
    if (*r->at != c)
        return false;
    r->at++;
    return true;
}

static syn_status read_int(reader *r, int64_t *out)
{
    char *end;
    skip(r);
    *out = strtoll(r->at, &end, 10);
    if (end == r->at)
        return bad(r, "an integer");
    r->at = end;
    return SYN_OK;
}

/* Integers up to the closing character. */
static syn_status read_ints(reader *r, char close, int64_t *out, int *n_out)
{
    *n_out = 0;
    while (!accept(r, close)) {
        if (*n_out == SYN_SAMPLE_INTS || (*n_out && !accept(r, ',')))
            return bad(r, "a comma or the end of the list");
        SYN_TRY(read_int(r, &out[(*n_out)++]));
    }
    return SYN_OK;
}

/* ---- Tensors ---- */

static void fill(syn_tensor *x, char suffix, int64_t below, uint64_t key)
{
    int64_t size = (int64_t)syn_dtype_size((syn_dtype)x->dtype);
    for (int64_t i = 0; i < x->numel; i++) {
        void *at = (char *)x->data + i * size;
        double u = syn_random_uniform(key, (uint64_t)i);
        if (suffix == 'i')
            syn_element_set_int(SYN_I64, at, (int64_t)(u * (double)below));
        else if (suffix == 'b')
            syn_element_set((syn_dtype)x->dtype, at, u < 0.5);
        else if (suffix == '+')
            syn_element_set((syn_dtype)x->dtype, at, 0.5 + 1.5 * u);
        else if (suffix == '>')
            syn_element_set((syn_dtype)x->dtype, at, 1.1 + 1.5 * u);
        else if (suffix == '~')
            syn_element_set((syn_dtype)x->dtype, at, 0.05 + 0.9 * u);
        else
            syn_element_set((syn_dtype)x->dtype, at, syn_random_normal(key, (uint64_t)i));
    }
}

static syn_status fill_different(syn_tensor *x, uint64_t key)
{
    int64_t size = (int64_t)syn_dtype_size((syn_dtype)x->dtype);
    int64_t *order = malloc((size_t)(x->numel ? x->numel : 1) * sizeof *order);
    if (!order)
        return SYN_FAIL(SYN_RESOURCE_EXHAUSTED, "out of memory for a sample");
    syn_random_permutation(key, x->numel, order);
    for (int64_t i = 0; i < x->numel; i++)
        syn_element_set((syn_dtype)x->dtype, (char *)x->data + i * size,
                        0.1 * ((double)order[i] - (double)x->numel / 2) + 0.03);
    free(order);
    return SYN_OK;
}

static syn_status read_tensor(reader *r, syn_tensor **out)
{
    syn_shape shape;
    int64_t dims[SYN_SAMPLE_INTS], below = 0;
    if (!accept(r, '('))
        return bad(r, "a tensor");
    SYN_TRY(read_ints(r, ')', dims, &shape.ndim));
    memcpy(shape.dims, dims, sizeof shape.dims);
    char suffix = *r->at && strchr("+~>dib", *r->at) ? *r->at++ : 'n';
    if (suffix == 'i')
        SYN_TRY(read_int(r, &below));
    syn_dtype dtype = suffix == 'i' ? SYN_I64 : suffix == 'b' ? SYN_BOOL : r->dtype;
    if (r->out->n_tensors == SYN_SAMPLE_TENSORS)
        return bad(r, "an end: there are too many tensors");
    syn_tensor *x = syn_empty(shape, dtype);
    if (!x)
        return syn_error_status();
    uint64_t key = syn_random_key(r->seed, (uint64_t)r->out->n_tensors);
    r->out->tensors[r->out->n_tensors++] = *out = x;
    if (suffix == 'd')
        return fill_different(x, key);
    fill(x, suffix, below, key);
    return SYN_OK;
}

static syn_status read_list(reader *r, syn_value *value)
{
    int n = 0;
    while (!accept(r, '}')) {
        if (n == SYN_SAMPLE_TENSORS || (n && !accept(r, ',')))
            return bad(r, "a comma or the end of the list");
        SYN_TRY(read_tensor(r, &r->out->list[n++]));
    }
    *value = (syn_value){.kind = SYN_VALUE_TENSORS, .n = n, .tensors = r->out->list};
    return SYN_OK;
}

/* ---- Other values ---- */

static syn_status read_number(reader *r, syn_value *value)
{
    char *end, *real_end;
    long long i = strtoll(r->at, &end, 10);
    double f = strtod(r->at, &real_end);
    if (real_end == r->at)
        return bad(r, "a value");
    *value = end == real_end ? SYN_INT_OF(i) : SYN_FLOAT_OF(f);
    r->at = real_end;
    return SYN_OK;
}

static syn_status read_word(reader *r, syn_value *value)
{
    char word[32];
    size_t n = 0;
    while (isalnum((unsigned char)r->at[n]) && n + 1 < sizeof word)
        n++;
    memcpy(word, r->at, n);
    word[n] = '\0';
    if (strcmp(word, "true") == 0 || strcmp(word, "false") == 0)
        *value = SYN_BOOL_OF(word[0] == 't');
    else if (strcmp(word, "none") == 0)
        *value = SYN_NONE;
    else if (syn_dtype_find(word) != SYN_N_DTYPES)
        *value = SYN_DTYPE_OF(syn_dtype_find(word));
    else
        return bad(r, "a value");
    r->at += n;
    return SYN_OK;
}

static syn_status read_string(reader *r, char *room, syn_value *value)
{
    const char *end = strchr(r->at, '\'');
    if (!end || end - r->at > 31)
        return bad(r, "the end of a short string");
    memcpy(room, r->at, (size_t)(end - r->at));
    room[end - r->at] = '\0';
    r->at = end + 1;
    *value = SYN_STRING_OF(room);
    return SYN_OK;
}

static syn_status read_value(reader *r, int i, syn_value *value)
{
    skip(r);
    if (*r->at == '(') {
        syn_tensor *x;
        SYN_TRY(read_tensor(r, &x));
        *value = SYN_TENSOR_OF(x);
        return SYN_OK;
    }
    if (accept(r, '{'))
        return read_list(r, value);
    if (accept(r, '[')) {
        int n;
        SYN_TRY(read_ints(r, ']', r->out->ints[i], &n));
        *value = SYN_INTS_OF(r->out->ints[i], n);
        return SYN_OK;
    }
    if (accept(r, '\''))
        return read_string(r, r->out->strings[i], value);
    return isalpha((unsigned char)*r->at) ? read_word(r, value) : read_number(r, value);
}

/* "name=" before a value; "" where it is positional. */
static void read_name(reader *r, char *name, size_t size)
{
    size_t n = 0;
    skip(r);
    while (isalnum((unsigned char)r->at[n]) || r->at[n] == '_')
        n++;
    name[0] = '\0';
    if (r->at[n] != '=' || n + 1 > size)
        return;
    memcpy(name, r->at, n);
    name[n] = '\0';
    r->at += n + 1;
}

syn_status syn_sample_read(const char *text, syn_dtype dtype, uint64_t seed, syn_sample *out)
{
    reader r = {.text = text, .at = text, .dtype = dtype, .seed = seed, .out = out};
    out->n_args = out->n_tensors = 0;
    skip(&r);
    while (*r.at) {
        int i = out->n_args;
        if (i == SYN_SAMPLE_ARGS || (i && !accept(&r, ',')))
            return bad(&r, "a comma or the end");
        read_name(&r, out->names[i], sizeof out->names[i]);
        out->args[i].name = *out->names[i] ? out->names[i] : NULL;
        SYN_TRY(read_value(&r, i, &out->args[i].value));
        out->n_args++;
        skip(&r);
    }
    return SYN_OK;
}
