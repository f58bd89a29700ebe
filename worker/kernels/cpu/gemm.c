/* Products of dense matrices: oneDNN for large f32 ones, in tiles of fixed extent; OpenBLAS for the
 * rest. */
#include "worker/kernels/cpu/gemm.h"
#include "worker/kernels/backend.h"
#include <cblas.h>
#include <oneapi/dnnl/dnnl.h>

/* Multiply-adds from which oneDNN's kernel, compiled for the machine, beats OpenBLAS's (by 5-25 %
 * at 10^7). */
#define LARGE_PRODUCT ((int64_t)1 << 21)

/* Rows (or columns) of c that one thread computes at a time. A function of the extents: each tile
 * is one call without threads of its own, so that sums run in the same order however many threads
 * there are. */
static int64_t tile_extent(int64_t extent)
{
    return extent > 4096 ? 512 : 192;
}

/* BLAS wants a step of at least 1 also where there is nothing to step over. */
static blasint step_of(int64_t step)
{
    return step > 0 ? (blasint)step : 1;
}

static CBLAS_TRANSPOSE order_of(bool transposes)
{
    return transposes ? CblasTrans : CblasNoTrans;
}

#define ADD_BIAS(name, real)                                                                     \
    SYN_MULTIARCH static void name(int64_t m, int64_t n, const real *bias, real *c, int64_t ldc) \
    {                                                                                            \
        for (int64_t i = 0; i < m; i++, c += ldc)                                                \
            for (int64_t j = 0; j < n; j++)                                                      \
                c[j] += bias[j];                                                                 \
    }
ADD_BIAS(add_bias_f32, float)
ADD_BIAS(add_bias_f64, double)

/* The bias is added while the tile is in cache. */
static void tile_f32(const syn_gemm *g, const float *a, const float *b, float *c)
{
    dnnl_sgemm(g->transpose_a ? 'T' : 'N', g->transpose_b ? 'T' : 'N', g->m, g->n, g->k,
               (float)g->alpha, a, g->lda, b, g->ldb, (float)g->beta, c, g->ldc);
    if (g->bias)
        add_bias_f32(g->m, g->n, g->bias, c, g->ldc);
}

static void by_rows_f32(const syn_gemm *g, const float *a, const float *b, float *c)
{
    int64_t step = tile_extent(g->m);
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < g->m; row += step) {
        syn_gemm tile = *g;
        tile.m = g->m - row < step ? g->m - row : step;
        tile_f32(&tile, a + (g->transpose_a ? row : row * g->lda), b, c + row * g->ldc);
    }
}

static void by_columns_f32(const syn_gemm *g, const float *a, const float *b, float *c)
{
    int64_t step = tile_extent(g->n);
#pragma omp parallel for schedule(static)
    for (int64_t column = 0; column < g->n; column += step) {
        syn_gemm tile = *g;
        tile.n = g->n - column < step ? g->n - column : step;
        tile.bias = g->bias ? (const float *)g->bias + column : NULL;
        tile_f32(&tile, a, b + (g->transpose_b ? column * g->ldb : column), c + column);
    }
}

void syn_gemm_f32(const syn_gemm *g, const float *a, const float *b, float *c)
{
    if (g->m == 0 || g->n == 0)
        return;
    if (g->m * g->n * g->k < LARGE_PRODUCT) {
        cblas_sgemm(CblasRowMajor, order_of(g->transpose_a), order_of(g->transpose_b),
                    (blasint)g->m, (blasint)g->n, (blasint)g->k, (float)g->alpha, a,
                    step_of(g->lda), b, step_of(g->ldb), (float)g->beta, c, step_of(g->ldc));
        if (g->bias)
            add_bias_f32(g->m, g->n, g->bias, c, g->ldc);
    } else if (g->m >= g->n) {
        by_rows_f32(g, a, b, c);
    } else {
        by_columns_f32(g, a, b, c);
    }
}

void syn_gemm_f64(const syn_gemm *g, const double *a, const double *b, double *c)
{
    if (g->m == 0 || g->n == 0)
        return;
    cblas_dgemm(CblasRowMajor, order_of(g->transpose_a), order_of(g->transpose_b), (blasint)g->m,
                (blasint)g->n, (blasint)g->k, g->alpha, a, step_of(g->lda), b, step_of(g->ldb),
                g->beta, c, step_of(g->ldc));
    if (g->bias)
        add_bias_f64(g->m, g->n, g->bias, c, g->ldc);
}
