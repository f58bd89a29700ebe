/* The oracle of element-wise kernels: one element at a time, floats in double precision, integers
 * in 64 bits. */
#include "worker/kernels/elementwise.h"

#include "worker/kernels/element.h"

#include <math.h>

typedef double (*real_fn)(double a, double b, double c, const double *params);
typedef int64_t (*integer_fn)(int64_t a, int64_t b, int64_t c, const double *params);

/* What one kernel computes: `in` is the dtype of its operands, the first of them bool where
 * `has_condition`. */
typedef struct rule {
    syn_dtype out, in;
    bool has_condition;
    real_fn real;
    integer_fn integer;
} rule;

static void compute_one(const rule *r, char *const *at, int n_operands, const double *params)
{
    double real[3] = {0};
    int64_t integer[3] = {0};
    for (int k = 1; k < n_operands; k++) {
        syn_dtype dtype = r->has_condition && k == 1 ? SYN_BOOL : r->in;
        real[k - 1] = syn_element_get(dtype, at[k]);
        integer[k - 1] = syn_element_get_int(dtype, at[k]);
    }
    if (syn_dtype_get_kind(r->in) < SYN_KIND_FLOAT)
        syn_element_set_int(r->out, at[0], r->integer(integer[0], integer[1], integer[2], params));
    else
        syn_element_set(r->out, at[0], r->real(real[0], real[1], real[2], params));
}

static void map(const rule *r, const syn_strided *it, const double *params)
{
    int64_t index[SYN_MAX_DIMS] = {0}, total = 1;
    for (int d = 0; d < it->ndim; d++)
        total *= it->dims[d];
    for (int64_t i = 0; i < total; i++) {
        char *at[SYN_MAX_OPERANDS];
        for (int k = 0; k < it->n_operands; k++) {
            at[k] = it->data[k];
            for (int d = 0; d < it->ndim; d++)
                at[k] += index[d] * it->strides[k][d];
        }
        compute_one(r, at, it->n_operands, params);
        for (int d = it->ndim - 1; d >= 0 && ++index[d] == it->dims[d]; d--)
            index[d] = 0;
    }
}

/* ---- What each kernel computes: floats, then integers and bool ---- */

#define RULE(name, real, integer)                                                        \
    static double name##_real(double a, double b, double c, const double *params)        \
    {                                                                                    \
        (void)a, (void)b, (void)c, (void)params;                                         \
        return real;                                                                     \
    }                                                                                    \
    static int64_t name##_integer(int64_t a, int64_t b, int64_t c, const double *params) \
    {                                                                                    \
        (void)a, (void)b, (void)c, (void)params;                                         \
        return (int64_t)(integer);                                                       \
    }

static int64_t power(int64_t base, int64_t exponent)
{
    uint64_t result = 1, factor = (uint64_t)base;
    if (exponent < 0)
        return base == 1 ? 1 : base == -1 ? (exponent % 2 ? -1 : 1) : 0;
    for (; exponent; exponent >>= 1, factor *= factor)
        if (exponent & 1)
            result *= factor;
    return (int64_t)result;
}

static double logistic(double x)
{
    return 1 / (1 + exp(-x));
}

RULE(add, a + b, (uint64_t)a + (uint64_t)b)
RULE(add_scaled, a + params[0] * b, (uint64_t)a + (uint64_t)params[0] * (uint64_t)b)
RULE(sub, a - b, (uint64_t)a - (uint64_t)b)
RULE(mul, a *b, (uint64_t)a *(uint64_t)b)
RULE(maximum, isnan(a) || a > b ? a : b, a > b ? a : b)
RULE(minimum, isnan(a) || a < b ? a : b, a < b ? a : b)
RULE(pow, pow(a, b), power(a, b))
RULE(div, a / b, 0)
RULE(tanh_backward, a *(1 - b * b), 0)
RULE(sigmoid_backward, a *b *(1 - b), 0)
RULE(relu_backward, b > 0 ? a : 0, 0)
RULE(silu_backward, a *logistic(b) * (1 + b * (1 - logistic(b))), 0)
RULE(softplus_backward, b > 20 ? a : a * logistic(b), 0)
RULE(leaky_relu_backward, b > 0 ? a : a * params[0], 0)
RULE(clamp_backward, b<params[0] || b> params[1] ? 0 : a, 0)
RULE(eq, a == b, a == b)
RULE(ne, a != b, a != b)
RULE(lt, a < b, a < b)
RULE(le, a <= b, a <= b)
RULE(gt, a > b, a > b)
RULE(ge, a >= b, a >= b)
RULE(neg, -a, -(uint64_t)a)
RULE(abs, fabs(a), a < 0 ? -(uint64_t)a : (uint64_t)a)
RULE(sign, (a > 0) - (a < 0), (a > 0) - (a < 0))
RULE(square, a *a, (uint64_t)a *(uint64_t)a)
RULE(relu, a < 0 ? 0 : a, a < 0 ? 0 : a)
RULE(clamp,
     a > params[1]   ? params[1]
     : a < params[0] ? params[0]
                     : a,
     (double)a > params[1]   ? (int64_t)params[1]
     : (double)a < params[0] ? (int64_t)params[0]
                             : a)
RULE(exp, exp(a), 0)
RULE(log, log(a), 0)
RULE(sqrt, sqrt(a), 0)
RULE(rsqrt, 1 / sqrt(a), 0)
RULE(reciprocal, 1 / a, 0)
RULE(sin, sin(a), 0)
RULE(cos, cos(a), 0)
RULE(erf, erf(a), 0)
RULE(tanh, tanh(a), 0)
RULE(sigmoid, logistic(a), 0)
RULE(silu, a *logistic(a), 0)
RULE(softplus, a > 20 ? a : log1p(exp(a)), 0)
RULE(leaky_relu, a > 0 ? a : a * params[0], 0)
RULE(where, a != 0 ? b : c, a ? b : c)

/* ---- The table ---- */

#define KERNEL(name, OUT, IN, condition)                                               \
    static void name##_##IN(const syn_strided *it, const double *params)               \
    {                                                                                  \
        static const rule r = {OUT, SYN_##IN, condition, name##_real, name##_integer}; \
        map(&r, it, params);                                                           \
    }
#define SAME(name, IN)    KERNEL(name, SYN_##IN, IN, false)
#define COMPARE(name, IN) KERNEL(name, SYN_BOOL, IN, false)
#define WHERE(name, IN)   KERNEL(name, SYN_##IN, IN, true)

#define OF_FLOATS(name, MAKE) MAKE(name, F32) MAKE(name, F64)
#define OF_INTEGERS(name, MAKE) \
    MAKE(name, U8) MAKE(name, I8) MAKE(name, I16) MAKE(name, I32) MAKE(name, I64)

#define ALL_SAME(name)    OF_FLOATS(name, SAME) OF_INTEGERS(name, SAME) SAME(name, BOOL)
#define SIGNED_SAME(name) OF_FLOATS(name, SAME) OF_INTEGERS(name, SAME)
#define FLOAT_SAME(name)  OF_FLOATS(name, SAME)
#define ALL_COMPARE(name) OF_FLOATS(name, COMPARE) OF_INTEGERS(name, COMPARE) COMPARE(name, BOOL)
SYN_BINARY_KERNELS(ALL_SAME)
SYN_FLOAT_BINARY_KERNELS(FLOAT_SAME)
SYN_COMPARE_KERNELS(ALL_COMPARE)
SYN_UNARY_KERNELS(SIGNED_SAME)
SYN_FLOAT_UNARY_KERNELS(FLOAT_SAME)
SIGNED_SAME(pow)
OF_FLOATS(where, WHERE)
OF_INTEGERS(where, WHERE)
WHERE(where, BOOL)

#define FLOAT_ENTRIES(name) [SYN_F32] = name##_F32, [SYN_F64] = name##_F64
#define SIGNED_ENTRIES(name)                                                                 \
    FLOAT_ENTRIES(name), [SYN_U8] = name##_U8, [SYN_I8] = name##_I8, [SYN_I16] = name##_I16, \
                         [SYN_I32] = name##_I32, [SYN_I64] = name##_I64
#define FLOAT_ROW(name)  .name = {FLOAT_ENTRIES(name)},
#define SIGNED_ROW(name) .name = {SIGNED_ENTRIES(name)},
#define ALL_ROW(name)    .name = {SIGNED_ENTRIES(name), [SYN_BOOL] = name##_BOOL},

const syn_elementwise_kernels syn_elementwise_ref[] = {
    {SYN_BINARY_KERNELS(ALL_ROW) SYN_FLOAT_BINARY_KERNELS(FLOAT_ROW) SYN_COMPARE_KERNELS(ALL_ROW)
         SYN_UNARY_KERNELS(SIGNED_ROW) SYN_FLOAT_UNARY_KERNELS(FLOAT_ROW) SIGNED_ROW(pow)
             ALL_ROW(where)}};
