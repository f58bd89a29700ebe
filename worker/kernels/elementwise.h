/* Element-wise kernels: each reads operands 1.. and writes operand 0 of a strided index space. */
#ifndef WORKER_KERNELS_ELEMENTWISE_H
#define WORKER_KERNELS_ELEMENTWISE_H

#include "worker/kernels/strided.h"

#include <syncline/dtype.h>

/* params: numbers a kernel reads beside its operands (slope, bounds), else NULL. */
typedef void (*syn_map_fn)(const syn_strided *it, const double *params);

/* X(name): out = f(a, b), all of one dtype; bool, integers and floats. `add_scaled` is a +
 * params[0] * b. */
#define SYN_BINARY_KERNELS(X) \
    X(add)                    \
    X(add_scaled)             \
    X(sub)                    \
    X(mul)                    \
    X(maximum)                \
    X(minimum)
/* Floats only; the backwards get (grad, saved input or output). */
#define SYN_FLOAT_BINARY_KERNELS(X) \
    X(div)                          \
    X(tanh_backward)                \
    X(sigmoid_backward)             \
    X(relu_backward)                \
    X(silu_backward)                \
    X(softplus_backward)            \
    X(leaky_relu_backward)          \
    X(clamp_backward)
/* out (bool) = a ? b. */
#define SYN_COMPARE_KERNELS(X) \
    X(eq)                      \
    X(ne)                      \
    X(lt)                      \
    X(le)                      \
    X(gt)                      \
    X(ge)
/* out = f(a); bool excepted. */
#define SYN_UNARY_KERNELS(X) \
    X(neg)                   \
    X(abs)                   \
    X(sign)                  \
    X(square)                \
    X(relu)                  \
    X(clamp)
#define SYN_FLOAT_UNARY_KERNELS(X) \
    X(exp)                         \
    X(log)                         \
    X(sqrt)                        \
    X(rsqrt)                       \
    X(reciprocal)                  \
    X(sin)                         \
    X(cos)                         \
    X(erf)                         \
    X(tanh)                        \
    X(sigmoid)                     \
    X(silu)                        \
    X(softplus)                    \
    X(leaky_relu)

typedef struct syn_elementwise_kernels {
#define SYN_KERNEL_MEMBER(name) syn_map_fn name[SYN_N_DTYPES];
    SYN_BINARY_KERNELS(SYN_KERNEL_MEMBER)
    SYN_FLOAT_BINARY_KERNELS(SYN_KERNEL_MEMBER)
    SYN_COMPARE_KERNELS(SYN_KERNEL_MEMBER)
    SYN_UNARY_KERNELS(SYN_KERNEL_MEMBER)
    SYN_FLOAT_UNARY_KERNELS(SYN_KERNEL_MEMBER)
    syn_map_fn pow[SYN_N_DTYPES];
    syn_map_fn where[SYN_N_DTYPES]; /* operand 1 is the bool condition; by the dtype of 2 and 3 */
#undef SYN_KERNEL_MEMBER
} syn_elementwise_kernels;

extern const syn_elementwise_kernels syn_elementwise_ref[], syn_elementwise_cpu[];

/* X(dtype, C type) */
#define SYN_INTEGER_TYPES(X) \
    X(U8, uint8_t)           \
    X(I8, int8_t)            \
    X(I16, int16_t)          \
    X(I32, int32_t)          \
    X(I64, int64_t)
#define SYN_FLOAT_TYPES(X) \
    X(F32, float)          \
    X(F64, double)

#endif
