/* Matrix products by OpenBLAS, which takes transposed operands without a copy; small ones by our
 * own loops. */
#include "worker/kernels/matmul.h"

#include "worker/kernels/backend.h"

#include <cblas.h>
#include <limits.h>
#include <stdbool.h>

/* Below so many multiply-adds the call of a BLAS costs more than the product. */
enum { OWN_LOOPS = 4096 };

/* How BLAS is told of a strided matrix: false if neither its rows nor its columns are adjacent. */
static bool as_blas(int64_t rows, int64_t columns, int64_t row, int64_t column,
                    CBLAS_TRANSPOSE *transpose, blasint *lead)
{
    int64_t stride;
    if ((column == 1 || columns == 1) && (row >= columns || rows == 1)) {
        *transpose = CblasNoTrans;
        stride = row >= columns ? row : columns;
    } else if ((row == 1 || rows == 1) && (column >= rows || columns == 1)) {
        *transpose = CblasTrans;
        stride = column >= rows ? column : rows;
    } else {
        return false;
    }
    *lead = (blasint)(stride > 0 ? stride : 1);
    return stride <= INT_MAX;
}

#define OWN_PRODUCT(name, T)                                                                     \
    SYN_MULTIARCH static void own_##name(const syn_matmul_args *g, const T *a, const T *b, T *c) \
    {                                                                                            \
        for (int64_t i = 0; i < g->m; i++) {                                                     \
            T *row = c + i * g->c_row;                                                           \
            if (g->beta == 0)                                                                    \
                for (int64_t j = 0; j < g->n; j++)                                               \
                    row[j] = 0;                                                                  \
            for (int64_t l = 0; l < g->k; l++) {                                                 \
                const T factor = a[i * g->a_row + l * g->a_column];                              \
                const T *b_row = b + l * g->b_row;                                               \
                if (g->b_column == 1)                                                            \
                    for (int64_t j = 0; j < g->n; j++)                                           \
                        row[j] += factor * b_row[j];                                             \
                else                                                                             \
                    for (int64_t j = 0; j < g->n; j++)                                           \
                        row[j] += factor * b_row[j * g->b_column];                               \
            }                                                                                    \
        }                                                                                        \
    }
OWN_PRODUCT(f32, float)
OWN_PRODUCT(f64, double)

/* One element of c is a sum in fixed order in either way, and the choice depends on extents only.
 */
#define PRODUCT(name, T, gemm)                                                                     \
    static void matmul_##name(const syn_matmul_args *g)                                            \
    {                                                                                              \
        CBLAS_TRANSPOSE trans_a, trans_b;                                                          \
        blasint lda, ldb;                                                                          \
        bool is_small = g->m * g->n * g->k <= OWN_LOOPS;                                           \
        bool is_large = g->m > INT_MAX || g->n > INT_MAX || g->k > INT_MAX || g->c_row > INT_MAX;  \
        if (!is_small &&                                                                           \
            (is_large || !as_blas(g->m, g->k, g->a_row, g->a_column, &trans_a, &lda) ||            \
             !as_blas(g->k, g->n, g->b_row, g->b_column, &trans_b, &ldb))) {                       \
            is_small = true;                                                                       \
        }                                                                                          \
        for (int64_t i = 0; i < g->n_batch; i++) {                                                 \
            const T *a = (const T *)g->a + i * g->a_batch, *b = (const T *)g->b + i * g->b_batch;  \
            T *c = (T *)g->c + i * g->c_batch;                                                     \
            if (is_small)                                                                          \
                own_##name(g, a, b, c);                                                            \
            else                                                                                   \
                gemm(CblasRowMajor, trans_a, trans_b, (blasint)g->m, (blasint)g->n, (blasint)g->k, \
                     1, a, lda, b, ldb, (T)g->beta, c, (blasint)(g->c_row > 0 ? g->c_row : 1));    \
        }                                                                                          \
    }
PRODUCT(f32, float, cblas_sgemm)
PRODUCT(f64, double, cblas_dgemm)

const syn_matmul_kernels syn_matmul_cpu[] = {
    {.matmul = {[SYN_F32] = matmul_f32, [SYN_F64] = matmul_f64}}};
