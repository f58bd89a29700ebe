/* What tests of tensors share. */
#ifndef TESTS_UNIT_WORKER_TENSOR_SUPPORT_H
#define TESTS_UNIT_WORKER_TENSOR_SUPPORT_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <syncline/syncline.h>

#define F32(...)                                                                              \
    syn_from_data((const float[]){__VA_ARGS__},                                               \
                  SYN_SHAPE((int64_t)(sizeof((const float[]){__VA_ARGS__}) / sizeof(float))), \
                  SYN_F32)
#define F64(...)                                                                                \
    syn_from_data((const double[]){__VA_ARGS__},                                                \
                  SYN_SHAPE((int64_t)(sizeof((const double[]){__VA_ARGS__}) / sizeof(double))), \
                  SYN_F64)
#define I64(...)                                                                                  \
    syn_from_data((const int64_t[]){__VA_ARGS__},                                                 \
                  SYN_SHAPE((int64_t)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))), \
                  SYN_I64)

/* All elements, row-major, as doubles. */
static inline void assert_values(syn_tensor *x, const double *expected, size_t n)
{
    if (!x)
        fail_msg("there is no tensor: %s", syn_error());
    assert_int_equal(syn_tensor_numel(x), n);
    syn_tensor *wide = syn_contiguous(syn_to(x, SYN_F64));
    const double *values = syn_tensor_data(wide);
    for (size_t i = 0; i < n; i++)
        if (values[i] != expected[i] && !(isnan(values[i]) && isnan(expected[i])))
            fail_msg("element %zu is %.17g, not %.17g", i, values[i], expected[i]);
}
#define ASSERT_VALUES(x, ...)                         \
    assert_values((x), (const double[]){__VA_ARGS__}, \
                  sizeof((const double[]){__VA_ARGS__}) / sizeof(double))

static inline void assert_shape(const syn_tensor *x, syn_shape shape)
{
    if (!x)
        fail_msg("there is no tensor: %s", syn_error());
    assert_int_equal(syn_tensor_ndim(x), shape.ndim);
    for (int d = 0; d < shape.ndim; d++)
        assert_int_equal(syn_tensor_size(x, d), shape.dims[d]);
}

/* That the last expression failed with a sentence that contains `text`; forgets it. */
static inline void assert_sticks(const char *text)
{
    assert_true(syn_failed());
    if (!strstr(syn_error(), text))
        fail_msg("the sentence is \"%s\", without \"%s\"", syn_error(), text);
    syn_clear_error();
}

/* The printed form, in a buffer of the function. */
static inline const char *printed(const syn_tensor *x)
{
    static char text[65536];
    FILE *file = fmemopen(text, sizeof text, "w");
    assert_non_null(file);
    syn_tensor_print(x, file);
    (void)fclose(file);
    return text;
}

#endif
