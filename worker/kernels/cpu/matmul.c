/* Matrix products by oneDNN and OpenBLAS, which take transposed operands without a copy; small ones
 * by our own loops. */
#include "worker/kernels/matmul.h"

#include "worker/kernels/backend.h"
#include "worker/kernels/cpu/gemm.h"

#include <limits.h>
#include <stdbool.h>

/* Below so many multiply-adds the call of a BLAS costs more than the product. */
enum { OWN_LOOPS = 4096, TILE = 4 };

/* How BLAS is told of a strided matrix: false if neither its rows nor its columns are adjacent. */
static bool as_blas(int64_t rows, int64_t columns, int64_t row, int64_t column, bool *transpose,
                    int64_t *lead)
{
    int64_t stride;
    if ((column == 1 || columns == 1) && (row >= columns || rows == 1)) {
        *transpose = false;
        stride = row >= columns ? row : columns;
    } else if ((row == 1 || rows == 1) && (column >= rows || columns == 1)) {
        *transpose = true;
        stride = column >= rows ? column : rows;
    } else {
        return false;
    }
    *lead = stride > 0 ? stride : 1;
    return stride <= INT_MAX;
}

/* A tile of c: its sums stay in registers while l runs, for strides of any kind. ROWS and COLUMNS
 * are constants. */
#define OWN_TILE(T, ROWS, COLUMNS)                                                                 \
    do {                                                                                           \
        T sums[TILE][TILE] = {{0}};                                                                \
        for (int64_t l = 0; l < g->k; l++)                                                         \
            for (int r = 0; r < (ROWS); r++) {                                                     \
                const T left = a_at[r * g->a_row + l * g->a_column];                               \
                for (int q = 0; q < (COLUMNS); q++)                                                \
                    sums[r][q] += left * b_at[l * g->b_row + q * g->b_column];                     \
            }                                                                                      \
        for (int r = 0; r < (ROWS); r++)                                                           \
            for (int q = 0; q < (COLUMNS); q++)                                                    \
                c_at[r * g->c_row + q] = sums[r][q] + (g->bias ? ((const T *)g->bias)[j + q] : 0); \
    } while (0)

#define OWN_PRODUCT(name, T)                                                                     \
    SYN_MULTIARCH static void own_##name(const syn_matmul_args *g, const T *a, const T *b, T *c) \
    {                                                                                            \
        for (int64_t i = 0; i < g->m; i += TILE)                                                 \
            for (int64_t j = 0; j < g->n; j += TILE) {                                           \
                const T *a_at = a + i * g->a_row, *b_at = b + j * g->b_column;                   \
                T *c_at = c + i * g->c_row + j;                                                  \
                int rows = g->m - i < TILE ? (int)(g->m - i) : TILE;                             \
                int columns = g->n - j < TILE ? (int)(g->n - j) : TILE;                          \
                if (rows == TILE && columns == TILE)                                             \
                    OWN_TILE(T, TILE, TILE);                                                     \
                else if (rows == TILE && columns == 1)                                           \
                    OWN_TILE(T, TILE, 1);                                                        \
                else if (rows == TILE && columns == 2)                                           \
                    OWN_TILE(T, TILE, 2);                                                        \
                else if (rows == 1 && columns == TILE)                                           \
                    OWN_TILE(T, 1, TILE);                                                        \
                else                                                                             \
                    OWN_TILE(T, rows, columns);                                                  \
            }                                                                                    \
    }
OWN_PRODUCT(f32, float)
OWN_PRODUCT(f64, double)

/* One element of c is a sum in fixed order in either way, and the choice depends on extents only.
 */
#define PRODUCT(name, T)                                                                          \
    static void matmul_##name(const syn_matmul_args *g)                                           \
    {                                                                                             \
        syn_gemm p = {.m = g->m,                                                                  \
                      .n = g->n,                                                                  \
                      .k = g->k,                                                                  \
                      .alpha = 1,                                                                 \
                      .bias = g->bias,                                                            \
                      .ldc = g->c_row > 0 ? g->c_row : 1};                                        \
        bool is_small = g->m * g->n * g->k <= OWN_LOOPS;                                          \
        bool is_large = g->m > INT_MAX || g->n > INT_MAX || g->k > INT_MAX || g->c_row > INT_MAX; \
        if (!is_small &&                                                                          \
            (is_large || !as_blas(g->m, g->k, g->a_row, g->a_column, &p.transpose_a, &p.lda) ||   \
             !as_blas(g->k, g->n, g->b_row, g->b_column, &p.transpose_b, &p.ldb))) {              \
            is_small = true;                                                                      \
        }                                                                                         \
        for (int64_t i = 0; i < g->n_batch; i++) {                                                \
            const T *a = (const T *)g->a + i * g->a_batch, *b = (const T *)g->b + i * g->b_batch; \
            T *c = (T *)g->c + i * g->c_batch;                                                    \
            if (is_small)                                                                         \
                own_##name(g, a, b, c);                                                           \
            else                                                                                  \
                syn_gemm_##name(&p, a, b, c);                                                     \
        }                                                                                         \
    }
PRODUCT(f32, float)
PRODUCT(f64, double)

const syn_matmul_kernels syn_matmul_cpu[] = {
    {.matmul = {[SYN_F32] = matmul_f32, [SYN_F64] = matmul_f64}}};
