/* The oracle of matrix products: three loops, summed in double precision or 64 bits. */
#include "worker/kernels/matmul.h"

#define KERNEL(DT, T, SUM)                                                \
    static void matmul_##DT(const syn_matmul_args *g)                     \
    {                                                                     \
        for (int64_t batch = 0; batch < g->n_batch; batch++) {            \
            const T *a = (const T *)g->a + batch * g->a_batch;            \
            const T *b = (const T *)g->b + batch * g->b_batch;            \
            T *c = (T *)g->c + batch * g->c_batch;                        \
            for (int64_t i = 0; i < g->m; i++)                            \
                for (int64_t j = 0; j < g->n; j++) {                      \
                    SUM sum = g->bias ? (SUM)((const T *)g->bias)[j] : 0; \
                    for (int64_t l = 0; l < g->k; l++)                    \
                        sum += (SUM)a[i * g->a_row + l * g->a_column] *   \
                               (SUM)b[l * g->b_row + j * g->b_column];    \
                    c[i * g->c_row + j] = (T)sum;                         \
                }                                                         \
        }                                                                 \
    }
KERNEL(f32, float, double)
KERNEL(f64, double, double)
KERNEL(u8, uint8_t, uint64_t)
KERNEL(i8, int8_t, uint64_t)
KERNEL(i16, int16_t, uint64_t)
KERNEL(i32, int32_t, uint64_t)
KERNEL(i64, int64_t, uint64_t)

const syn_matmul_kernels syn_matmul_ref[] = {{.matmul = {[SYN_F32] = matmul_f32,
                                                         [SYN_F64] = matmul_f64,
                                                         [SYN_U8] = matmul_u8,
                                                         [SYN_I8] = matmul_i8,
                                                         [SYN_I16] = matmul_i16,
                                                         [SYN_I32] = matmul_i32,
                                                         [SYN_I64] = matmul_i64}}};
