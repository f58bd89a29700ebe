/* Element-wise kernels of the C library's functions: one implementation for every backend, since
 * none of them is hot. */
#ifndef WORKER_KERNELS_MATHS_H
#define WORKER_KERNELS_MATHS_H

#include "worker/kernels/elementwise.h"

/* out = f(a), floats; computed in double precision. */
#define SYN_MATH_UNARY_KERNELS(X) \
    X(exp2)                       \
    X(expm1)                      \
    X(log2)                       \
    X(log10)                      \
    X(log1p)                      \
    X(tan)                        \
    X(sinh)                       \
    X(cosh)                       \
    X(asin)                       \
    X(acos)                       \
    X(atan)                       \
    X(asinh)                      \
    X(acosh)                      \
    X(atanh)                      \
    X(erfc)
/* out = f(a), floats; integers as they are. Halves round to even. */
#define SYN_ROUNDING_KERNELS(X) \
    X(floor)                    \
    X(ceil)                     \
    X(trunc)                    \
    X(round)
/* out = f(a, b), floats. */
#define SYN_MATH_BINARY_KERNELS(X) \
    X(atan2)                       \
    X(copysign)                    \
    X(hypot)                       \
    X(fmax)                        \
    X(fmin)                        \
    X(logaddexp)                   \
    X(xlogy)
/* out = f(a, b), floats and integers, whose divisor is not 0. The remainder has the sign of b,
 * fmod that of a. */
#define SYN_DIVISION_KERNELS(X) \
    X(fmod)                     \
    X(remainder)                \
    X(floor_divide)             \
    X(trunc_divide)
/* out = f(a, b), integers; the first three bool, too. Shifts beyond the width give what shifting
 * one bit at a time would. */
#define SYN_BIT_KERNELS(X) \
    X(bitwise_and)         \
    X(bitwise_or)          \
    X(bitwise_xor)         \
    X(shift_left)          \
    X(shift_right)         \
    X(gcd)

typedef struct syn_math_kernels {
#define SYN_KERNEL_MEMBER(name) syn_map_fn name[SYN_N_DTYPES];
    SYN_MATH_UNARY_KERNELS(SYN_KERNEL_MEMBER)
    SYN_ROUNDING_KERNELS(SYN_KERNEL_MEMBER)
    SYN_MATH_BINARY_KERNELS(SYN_KERNEL_MEMBER)
    SYN_DIVISION_KERNELS(SYN_KERNEL_MEMBER)
    SYN_BIT_KERNELS(SYN_KERNEL_MEMBER)
#undef SYN_KERNEL_MEMBER
} syn_math_kernels;

extern const syn_math_kernels syn_maths;

#endif
