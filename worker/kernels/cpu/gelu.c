/* GELU in vector loops (f32), by the C library's erfc (f64). */
#include "worker/kernels/gelu.h"
#include "worker/kernels/backend.h"
#include "worker/kernels/cpu/vec_math.h"
#include <math.h>

enum { CHUNK = 8192 };

SYN_MULTIARCH static void forward_chunk(int64_t n, const float *restrict x, float *restrict y)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float density;
        y[i] = x[i] * syn_vec_normal_cdf_f32(x[i], &density);
    }
}

SYN_MULTIARCH static void backward_chunk(int64_t n, const float *restrict x,
                                         const float *restrict grad_y, float *restrict grad_x)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float density, below = syn_vec_normal_cdf_f32(x[i], &density);
        grad_x[i] = grad_y[i] * (below + x[i] * density);
    }
}

static void forward_f32(int64_t n, const void *x_data, void *y_data)
{
    const float *x = x_data;
    float *y = y_data;
#pragma omp parallel for schedule(static) if (n >= SYN_PARALLEL_MIN)
    for (int64_t at = 0; at < n; at += CHUNK)
        forward_chunk(n - at < CHUNK ? n - at : CHUNK, x + at, y + at);
}

static void backward_f32(int64_t n, const void *x_data, const void *grad_y_data, void *grad_x_data)
{
    const float *x = x_data, *grad_y = grad_y_data;
    float *grad_x = grad_x_data;
#pragma omp parallel for schedule(static) if (n >= SYN_PARALLEL_MIN)
    for (int64_t at = 0; at < n; at += CHUNK)
        backward_chunk(n - at < CHUNK ? n - at : CHUNK, x + at, grad_y + at, grad_x + at);
}

static void forward_f64(int64_t n, const void *x_data, void *y_data)
{
    const double *x = x_data;
    double *y = y_data;
#pragma omp parallel for schedule(static) if (n >= SYN_PARALLEL_MIN)
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] * 0.5 * erfc(-x[i] * M_SQRT1_2);
}

static void backward_f64(int64_t n, const void *x_data, const void *grad_y_data, void *grad_x_data)
{
    const double *x = x_data, *grad_y = grad_y_data;
    double *grad_x = grad_x_data;
#pragma omp parallel for schedule(static) if (n >= SYN_PARALLEL_MIN)
    for (int64_t i = 0; i < n; i++) {
        double density = exp(-x[i] * x[i] / 2) * (M_SQRT1_2 * M_2_SQRTPI / 2);
        grad_x[i] = grad_y[i] * (0.5 * erfc(-x[i] * M_SQRT1_2) + x[i] * density);
    }
}

const syn_gelu_kernels syn_gelu_cpu[] = {{forward_f32, backward_f32}, {forward_f64, backward_f64}};
