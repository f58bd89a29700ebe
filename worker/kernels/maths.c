/* Element-wise kernels of the C library's functions, for every backend. */
#include "worker/kernels/maths.h"

#include <math.h>
#include <stdbool.h>

/* ---- Walking the index space, the last axis inside ---- */

typedef void (*row_fn)(char *const *at, const int64_t *step, int64_t n);

static void walk(const syn_strided *it, row_fn row)
{
    int64_t index[SYN_MAX_DIMS] = {0}, rows = 1, step[SYN_MAX_OPERANDS];
    int last = it->ndim - 1;
    for (int d = 0; d < last; d++)
        rows *= it->dims[d];
    for (int k = 0; k < it->n_operands; k++)
        step[k] = last < 0 ? 0 : it->strides[k][last];
    for (int64_t i = 0; i < rows; i++) {
        char *at[SYN_MAX_OPERANDS];
        for (int k = 0; k < it->n_operands; k++) {
            at[k] = it->data[k];
            for (int d = 0; d < last; d++)
                at[k] += index[d] * it->strides[k][d];
        }
        row(at, step, last < 0 ? 1 : it->dims[last]);
        for (int d = last - 1; d >= 0 && ++index[d] == it->dims[d]; d--)
            index[d] = 0;
    }
}

/* The kernel name_TYPE: out = expression of a (and b) of C type T. */
#define KERNEL(name, DTYPE, T, operands, expression)                                     \
    static void name##_##DTYPE##_row(char *const *at, const int64_t *step, int64_t n)    \
    {                                                                                    \
        for (int64_t i = 0; i < n; i++) {                                                \
            T a = *(const T *)(at[1] + i * step[1]);                                     \
            T b = operands > 1 ? *(const T *)(at[operands] + i * step[operands]) : (T)0; \
            (void)b;                                                                     \
            *(T *)(at[0] + i * step[0]) = (T)(expression);                               \
        }                                                                                \
    }                                                                                    \
    static void name##_##DTYPE(const syn_strided *it, const double *params)              \
    {                                                                                    \
        (void)params;                                                                    \
        walk(it, name##_##DTYPE##_row);                                                  \
    }
#define FLOATS(name, operands, expression)         \
    KERNEL(name, F32, float, operands, expression) \
    KERNEL(name, F64, double, operands, expression)
#define INTEGERS(name, operands, expression)         \
    KERNEL(name, U8, uint8_t, operands, expression)  \
    KERNEL(name, I8, int8_t, operands, expression)   \
    KERNEL(name, I16, int16_t, operands, expression) \
    KERNEL(name, I32, int32_t, operands, expression) \
    KERNEL(name, I64, int64_t, operands, expression)

/* ---- Functions that the C library does not have ---- */

static double logaddexp(double a, double b)
{
    if (isinf(a) && a == b)
        return a;
    return fmax(a, b) + log1p(exp(-fabs(a - b))) + (isnan(a) || isnan(b) ? NAN : 0);
}

static double xlogy(double a, double b)
{
    return isnan(b) ? NAN : a == 0 ? 0 : a * log(b);
}

/* Of float operands, in double: rounding once to float gives what float arithmetic gives. */
static double floored_remainder(double a, double b)
{
    double rest = fmod(a, b);
    return rest != 0 && (b < 0) != (rest < 0) ? rest + b : rest;
}

static double floored_quotient(double a, double b)
{
    if (b == 0)
        return a / b;
    double rest = fmod(a, b), quotient = (a - rest) / b;
    if (rest != 0 && (b < 0) != (rest < 0))
        quotient -= 1;
    if (quotient == 0)
        return copysign(0, a / b);
    double whole = floor(quotient);
    return quotient - whole > 0.5 ? whole + 1 : whole;
}

/* The least integer divided by -1 has no result; it is taken modulo the width as elsewhere. */
static int64_t quotient_of(int64_t a, int64_t b)
{
    return b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
}

static int64_t rest_of(int64_t a, int64_t b)
{
    return b == -1 ? 0 : a % b;
}

static int64_t floored_rest(int64_t a, int64_t b)
{
    int64_t rest = rest_of(a, b);
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

static int64_t floored(int64_t a, int64_t b)
{
    int64_t rest = rest_of(a, b);
    return quotient_of(a, b) - (rest != 0 && (rest < 0) != (b < 0));
}

static int64_t shifted_left(int64_t a, int64_t b, int width)
{
    return b < 0 || b >= width ? 0 : (int64_t)((uint64_t)a << b);
}

static int64_t shifted_right(int64_t a, int64_t b, int width)
{
    return a >> (b < 0 || b >= width ? width - 1 : b);
}

static int64_t gcd(int64_t a, int64_t b)
{
    while (b != 0) {
        int64_t rest = rest_of(a, b);
        a = b;
        b = rest;
    }
    return a < 0 ? (int64_t)(0 - (uint64_t)a) : a;
}

/* ---- The kernels ---- */

#define UNARY(name) FLOATS(name##_kernel, 1, name((double)a))
SYN_MATH_UNARY_KERNELS(UNARY)
#undef UNARY

#define ROUNDING(name, function)                  \
    FLOATS(name##_kernel, 1, function((double)a)) \
    INTEGERS(name##_kernel, 1, a)
ROUNDING(floor, floor)
ROUNDING(ceil, ceil)
ROUNDING(trunc, trunc)
ROUNDING(round, rint)

#define BINARY(name) FLOATS(name##_kernel, 2, name((double)a, (double)b))
SYN_MATH_BINARY_KERNELS(BINARY)
#undef BINARY

FLOATS(fmod_kernel, 2, fmod((double)a, (double)b))
FLOATS(remainder_kernel, 2, floored_remainder((double)a, (double)b))
FLOATS(floor_divide_kernel, 2, floored_quotient((double)a, (double)b))
KERNEL(trunc_divide_kernel, F32, float, 2, truncf(a / b))
KERNEL(trunc_divide_kernel, F64, double, 2, trunc(a / b))
INTEGERS(fmod_kernel, 2, rest_of(a, b))
INTEGERS(remainder_kernel, 2, floored_rest(a, b))
INTEGERS(floor_divide_kernel, 2, floored(a, b))
INTEGERS(trunc_divide_kernel, 2, quotient_of(a, b))

#define BITS(name, expression)             \
    INTEGERS(name##_kernel, 2, expression) \
    KERNEL(name##_kernel, BOOL, bool, 2, expression)
BITS(bitwise_and, a &b)
BITS(bitwise_or, a | b)
BITS(bitwise_xor, a ^ b)
INTEGERS(shift_left_kernel, 2, shifted_left(a, b, 8 * (int)sizeof a))
INTEGERS(shift_right_kernel, 2, shifted_right(a, b, 8 * (int)sizeof a))
INTEGERS(gcd_kernel, 2, gcd(a, b))
KERNEL(shift_left_kernel, BOOL, bool, 2, a)
KERNEL(shift_right_kernel, BOOL, bool, 2, a)
KERNEL(gcd_kernel, BOOL, bool, 2, a)

#define OF_FLOATS(name) [SYN_F32] = name##_kernel_F32, [SYN_F64] = name##_kernel_F64
#define OF_INTEGERS(name)                                                                    \
    [SYN_U8] = name##_kernel_U8, [SYN_I8] = name##_kernel_I8, [SYN_I16] = name##_kernel_I16, \
    [SYN_I32] = name##_kernel_I32, [SYN_I64] = name##_kernel_I64

const syn_math_kernels syn_maths = {
#define ROW(name) .name = {OF_FLOATS(name)},
    SYN_MATH_UNARY_KERNELS(ROW) SYN_MATH_BINARY_KERNELS(ROW)
#undef ROW
#define ROW(name) .name = {OF_FLOATS(name), OF_INTEGERS(name)},
        SYN_ROUNDING_KERNELS(ROW) SYN_DIVISION_KERNELS(ROW)
#undef ROW
#define ROW(name) .name = {OF_INTEGERS(name), [SYN_BOOL] = name##_kernel_BOOL},
            SYN_BIT_KERNELS(ROW)
#undef ROW
};
