/* Printing tensors as PyTorch does (torch/_tensor_str.py: precision 4, 80 columns, threshold 1000,
 * 3 items at the edges). */
#include "worker/kernels/element.h"
#include "worker/tensor/tensor.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { EDGE = 3, THRESHOLD = 1000, LINE_WIDTH = 80, PRECISION = 4 };

/* How all numbers of one tensor are written. */
typedef struct style {
    syn_dtype dtype;
    bool is_summarised, is_scientific, is_integral; /* integral: floats without fractions, "1." */
    int width;
} style;

/* ---- Choosing the style from the elements that will be shown ---- */

typedef struct survey {
    double least, greatest; /* magnitudes of finite non-zero elements */
    bool has_any, has_fraction;
} survey;

static bool is_shown(const style *s, int64_t i, int64_t extent)
{
    return !s->is_summarised || extent <= 2 * EDGE || i < EDGE || i >= extent - EDGE;
}

static void look_at(survey *v, const style *s, const char *at)
{
    double value = syn_element_get(s->dtype, at);
    if (!isfinite(value) || value == 0)
        return;
    double size = fabs(value);
    v->has_fraction |= value != ceil(value);
    v->least = v->has_any && v->least < size ? v->least : size;
    v->greatest = v->has_any && v->greatest > size ? v->greatest : size;
    v->has_any = true;
}

static void look(survey *v, const style *s, const syn_tensor *x, int dim, const char *at)
{
    if (dim == x->ndim) {
        look_at(v, s, at);
        return;
    }
    int64_t step = x->strides[dim] * (int64_t)syn_dtype_size(s->dtype);
    for (int64_t i = 0; i < x->dims[dim]; i++) {
        if (!is_shown(s, i, x->dims[dim])) {
            i = x->dims[dim] - EDGE;
        }
        look(v, s, x, dim + 1, at + i * step);
    }
}

static int write_real(char *text, size_t size, const style *s, double value)
{
    if (isnan(value))
        return snprintf(text, size, "nan");
    if (isinf(value))
        return snprintf(text, size, value < 0 ? "-inf" : "inf");
    if (s->is_scientific)
        return snprintf(text, size, "%.*e", PRECISION, value);
    if (s->is_integral)
        return snprintf(text, size, "%.0f.", value);
    return snprintf(text, size, "%.*f", PRECISION, value);
}

static int write_element(char *text, size_t size, const style *s, const char *at)
{
    syn_dtype_kind kind = syn_dtype_get_kind(s->dtype);
    if (kind == SYN_KIND_BOOL)
        return snprintf(text, size, syn_element_get(s->dtype, at) != 0 ? "True" : "False");
    if (kind == SYN_KIND_INTEGER)
        return snprintf(text, size, "%lld", (long long)syn_element_get_int(s->dtype, at));
    int n = write_real(text, size, s, syn_element_get(s->dtype, at));
    if (kind == SYN_KIND_FLOAT)
        return n;
    double im = syn_element_get_imag(s->dtype, at);
    text[n++] = signbit(im) ? '-' : '+';
    n += write_real(text + n, size - (size_t)n, s, fabs(im));
    text[n] = 'j';
    text[n + 1] = '\0';
    return n + 1;
}

/* Zeros and what is not finite do not widen the columns of floats. */
static bool has_width(const style *s, const char *at)
{
    double value = syn_element_get(s->dtype, at);
    return syn_dtype_get_kind(s->dtype) != SYN_KIND_FLOAT || (isfinite(value) && value != 0);
}

static void widen(style *s, const syn_tensor *x, int dim, const char *at)
{
    if (dim == x->ndim) {
        char text[1024];
        int n = write_element(text, sizeof text, s, at);
        if (n > s->width && has_width(s, at))
            s->width = n;
        return;
    }
    int64_t step = x->strides[dim] * (int64_t)syn_dtype_size(s->dtype);
    for (int64_t i = 0; i < x->dims[dim]; i++) {
        if (!is_shown(s, i, x->dims[dim]))
            i = x->dims[dim] - EDGE;
        widen(s, x, dim + 1, at + i * step);
    }
}

static style style_of(const syn_tensor *x)
{
    style s = {.dtype = (syn_dtype)x->dtype, .is_summarised = x->numel > THRESHOLD, .width = 1};
    survey v = {0};
    look(&v, &s, x, 0, x->data);
    s.is_integral = !v.has_fraction;
    if (v.has_any && s.is_integral)
        s.is_scientific = v.greatest / v.least > 1000 || v.greatest > 1e8;
    else if (v.has_any)
        s.is_scientific = v.greatest / v.least > 1000 || v.greatest > 1e8 || v.least < 1e-4;
    widen(&s, x, 0, x->data);
    return s;
}

/* ---- Writing ---- */

/* The last axis: as many numbers a line as fit. */
static void print_row(const syn_tensor *x, const style *s, const char *at, int indent, FILE *out)
{
    int64_t n = x->dims[x->ndim - 1];
    int64_t step = x->strides[x->ndim - 1] * (int64_t)syn_dtype_size(s->dtype);
    int64_t per_line = (LINE_WIDTH - indent) / (s->width + 2), on_line = 0;
    per_line = per_line > 1 ? per_line : 1;
    (void)fputc('[', out);
    for (int64_t i = 0; i < n; i++) {
        char text[1024];
        if (on_line == per_line) {
            (void)fprintf(out, "\n%*s", indent + 1, "");
            on_line = 0;
        }
        if (!is_shown(s, i, n)) {
            (void)fputs(" ..., ", out);
            i = n - EDGE - 1;
            on_line++;
            continue;
        }
        (void)write_element(text, sizeof text, s, at + i * step);
        bool is_last = i == n - 1, ends_line = on_line + 1 == per_line;
        (void)fprintf(out, "%*s%s", s->width, text, is_last ? "" : ends_line ? "," : ", ");
        on_line++;
    }
    (void)fputc(']', out);
}

static void print_axes(const syn_tensor *x, const style *s, int dim, const char *at, int indent,
                       FILE *out)
{
    int64_t step = x->strides[dim] * (int64_t)syn_dtype_size(s->dtype), n = x->dims[dim];
    if (dim == x->ndim - 1) {
        print_row(x, s, at, indent, out);
        return;
    }
    (void)fputc('[', out);
    for (int64_t i = 0; i < n; i++) {
        if (i) {
            (void)fputc(',', out);
            for (int d = dim; d < x->ndim - 1; d++)
                (void)fputc('\n', out);
            (void)fprintf(out, "%*s", indent + 1, "");
        }
        if (!is_shown(s, i, n)) {
            (void)fputs("...", out);
            i = n - EDGE - 1;
            continue;
        }
        print_axes(x, s, dim + 1, at + i * step, indent + 1, out);
    }
    (void)fputc(']', out);
}

static void print_suffix(const syn_tensor *x, FILE *out)
{
    bool is_plain =
        x->dtype == SYN_F32 || x->dtype == SYN_I64 || x->dtype == SYN_BOOL || x->dtype == SYN_C64;
    char shape[256];
    if (x->numel == 0 && x->ndim != 1) {
        (void)syn_shape_format(shape, sizeof shape, x->ndim, x->dims);
        (void)fprintf(out, ", size=%s", shape);
    }
    if (!is_plain || (x->numel == 0 && x->dtype != SYN_F32))
        (void)fprintf(out, ", dtype=%s", syn_dtype_name((syn_dtype)x->dtype));
    if (x->grad_fn && syn_tensor_grad_name)
        (void)fprintf(out, ", grad_fn=<%s>", syn_tensor_grad_name(x));
    else if (x->requires_grad)
        (void)fputs(", requires_grad=True", out);
}

void syn_tensor_print(const syn_tensor *tensor, FILE *out)
{
    if (!tensor) {
        (void)fputs("None\n", out);
        return;
    }
    (void)fputs("tensor(", out);
    if (tensor->numel == 0) {
        (void)fputs("[]", out);
    } else {
        style s = style_of(tensor);
        if (tensor->ndim == 0) {
            char text[1024];
            (void)write_element(text, sizeof text, &s, tensor->data);
            (void)fputs(text, out);
        } else {
            print_axes(tensor, &s, 0, tensor->data, (int)strlen("tensor("), out);
        }
    }
    print_suffix(tensor, out);
    (void)fputs(")\n", out);
}

void syn_print(const syn_tensor *tensor)
{
    syn_tensor_print(tensor, stdout);
}
