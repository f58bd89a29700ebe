/* Arrays of either kernel type for the tests of kernels: filled at random, compared with the
 * oracle. */
#ifndef TESTS_UNIT_WORKER_KERNELS_ARRAYS_H
#define TESTS_UNIT_WORKER_KERNELS_ARRAYS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

/* The index of a kernel table. */
enum { F32, F64, N_TYPES };

static inline double array_at(int type, const void *data, int64_t i)
{
    return type == F32 ? (double)((const float *)data)[i] : ((const double *)data)[i];
}

static inline void array_set(int type, void *data, int64_t i, double value)
{
    if (type == F32)
        ((float *)data)[i] = (float)value;
    else
        ((double *)data)[i] = value;
}

/* n elements of NaN, so that what a kernel leaves unwritten shows. */
static inline void *array_new(int type, int64_t n)
{
    void *data = malloc((size_t)(n + 1) * (type == F32 ? sizeof(float) : sizeof(double)));
    assert_non_null(data);
    for (int64_t i = 0; i < n; i++)
        array_set(type, data, i, NAN);
    return data;
}

/* n elements uniform in [-1, 1), a function of the seed. */
static inline void *array_random(int type, int64_t n, uint64_t seed)
{
    void *data = array_new(type, n);
    uint64_t state = seed * 0x9e3779b97f4a7c15U + 1;
    for (int64_t i = 0; i < n; i++) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        array_set(type, data, i, (double)(state >> 40) / (double)(1 << 23) - 1);
    }
    return data;
}

static inline void *array_of(int type, int64_t n, const double *values)
{
    void *data = array_new(type, n);
    for (int64_t i = 0; i < n; i++)
        array_set(type, data, i, values[i]);
    return data;
}

/* |got - want| <= tolerance * max(1, largest |want|), where tolerance is `ulps` of the type's
 * precision. */
static inline void assert_arrays_close(int type, const void *got, const void *want, int64_t n,
                                       double ulps)
{
    double largest = 1;
    for (int64_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(array_at(type, want, i)));
    double tolerance = ulps * (type == F32 ? 0x1p-24 : 0x1p-53) * largest;
    for (int64_t i = 0; i < n; i++) {
        double a = array_at(type, got, i), b = array_at(type, want, i);
        if (!(fabs(a - b) <= tolerance) && !(isnan(a) && isnan(b)) && a != b)
            fail_msg("element %lld of %lld is %.9g, not %.9g (tolerance %.3g)", (long long)i,
                     (long long)n, a, b, tolerance);
    }
}

#endif
