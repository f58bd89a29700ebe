/* Element-wise reduction over the buffers of all ranks, in rank order: the same bits however the
 * elements are divided. */
#include "worker/comm/internal.h"

#include <string.h>

/* Elements combined at a time: they stay in the first-level cache while the ranks' buffers pass by.
 */
enum { BLOCK = 1024 };

#define REDUCE(name, type, combined)                                         \
    static void name(void *const *in_out, int n, size_t begin, size_t end)   \
    {                                                                        \
        type sum[BLOCK];                                                     \
        for (size_t at = begin; at < end; at += BLOCK) {                     \
            size_t count = end - at < BLOCK ? end - at : BLOCK;              \
            memcpy(sum, (const type *)in_out[0] + at, count * sizeof(type)); \
            for (int r = 1; r < n; r++) {                                    \
                const type *restrict x = (const type *)in_out[r] + at;       \
                for (size_t i = 0; i < count; i++) {                         \
                    type a = sum[i], b = x[i];                               \
                    sum[i] = combined;                                       \
                }                                                            \
            }                                                                \
            for (int r = 0; r < n; r++)                                      \
                memcpy((type *)in_out[r] + at, sum, count * sizeof(type));   \
        }                                                                    \
    }

REDUCE(sum_f32, float, a + b)
REDUCE(sum_f64, double, a + b)
REDUCE(sum_i64, int64_t, (int64_t)((uint64_t)a + (uint64_t)b))
REDUCE(max_f32, float, a > b ? a : b)
REDUCE(max_f64, double, a > b ? a : b)
REDUCE(max_i64, int64_t, a > b ? a : b)
REDUCE(min_f32, float, a < b ? a : b)
REDUCE(min_f64, double, a < b ? a : b)
REDUCE(min_i64, int64_t, a < b ? a : b)

typedef void (*reduce_fn)(void *const *in_out, int n, size_t begin, size_t end);

void comm_reduce(void *const *in_out, int n, size_t begin, size_t end, syn_dtype dtype,
                 syn_reduction op)
{
    static const reduce_fn f32[] = {sum_f32, max_f32, min_f32};
    static const reduce_fn f64[] = {sum_f64, max_f64, min_f64};
    static const reduce_fn i64[] = {sum_i64, max_i64, min_i64};
    const reduce_fn *table = dtype == SYN_F32 ? f32 : dtype == SYN_F64 ? f64 : i64;
    table[op](in_out, n, begin, end);
}
