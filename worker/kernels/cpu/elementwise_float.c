/* Element-wise loops over f32 and f64, vectorised for the instruction set at hand. */
#include "worker/kernels/cpu/libmvec.h"
#include "worker/kernels/cpu/loops.h"
#include "worker/kernels/cpu/vec_math.h"

#include <math.h>
#include <stdbool.h>

/* ---- Functions of one number that vectorise ---- */

/* log(x) after Moshier's Cephes: x = m 2^e with m in [sqrt(1/2), sqrt(2)), a polynomial in m - 1;
 * within 1 ulp. */
static inline float log_f32(float x)
{
    float scaled = x < 1.17549435e-38F ? x * 8388608.0F : x; /* denormals, by 2^23 */
    float bias = x < 1.17549435e-38F ? 23.0F : 0.0F;
    uint32_t bits;
    memcpy(&bits, &scaled, sizeof bits);
    int32_t exponent = (int32_t)(bits >> 23) - 126;
    uint32_t half_bits = (bits & 0x7fffffU) | 0x3f000000U;
    float m;
    memcpy(&m, &half_bits, sizeof m);
    int is_low = m < 0.707106781F;
    float e = (float)exponent - bias - (is_low ? 1.0F : 0.0F);
    m = is_low ? m + m - 1.0F : m - 1.0F;
    float z = m * m, y = 7.0376836292E-2F;
    y = y * m - 1.1514610310E-1F;
    y = y * m + 1.1676998740E-1F;
    y = y * m - 1.2420140846E-1F;
    y = y * m + 1.4249322787E-1F;
    y = y * m - 1.6668057665E-1F;
    y = y * m + 2.0000714765E-1F;
    y = y * m - 2.4999993993E-1F;
    y = y * m + 3.3333331174E-1F;
    y = y * m * z - 2.12194440e-4F * e - 0.5F * z;
    float result = m + y + 0.693359375F * e;
    result = x > 3.40282347e38F ? x : result;
    result = x == 0 ? -INFINITY : result;
    return x < 0 || x != x ? NAN : result;
}

/* tanh(x) after Cephes: a polynomial below 0.625, else from exp(2 |x|); within 2 ulp. */
static inline float tanh_f32(float x)
{
    float a = fabsf(x), z = x * x, p = -5.70498872745E-3F;
    p = p * z + 2.06390887954E-2F;
    p = p * z - 5.37397155531E-2F;
    p = p * z + 1.33314422036E-1F;
    p = p * z - 3.33332819422E-1F;
    float small = p * z * x + x;
    float large = 1.0F - 2.0F / (syn_vec_exp_f32(a + a) + 1.0F);
    large = x < 0 ? -large : large;
    return a < 0.625F ? small : large;
}

static inline float sigmoid_f32(float x)
{
    return 1.0F / (1.0F + syn_vec_exp_f32(-x));
}

static inline double sigmoid_f64(double x)
{
    return 1.0 / (1.0 + syn_vec_exp_f64(-x));
}

/* log(1 + e^x) = max(x, 0) + log1p(u) with u = e^-|x|; the quotient undoes the rounding of 1 + u
 * (Goldberg, 1991). */
static inline float softplus_f32(float x)
{
    float u = syn_vec_exp_f32(-fabsf(x)), w = 1.0F + u, rounded = w - 1.0F;
    float scaled = log_f32(w) * u / (rounded == 0 ? 1.0F : rounded);
    float tail = rounded == 0 ? u : scaled;
    float sum = (x < 0 ? 0 : x) + tail;
    return x > 20 ? x : sum;
}

static inline double softplus_f64(double x)
{
    double sum = (x < 0 ? 0 : x) + log1p(syn_vec_exp_f64(-fabs(x)));
    return x > 20 ? x : sum;
}

/* Functions, so that parameters are read once and not under a condition, which would keep a loop
 * from vectorising. */
#define WITH_PARAMETERS(T, dt)                              \
    static inline T leaky_##dt(T x, T value, T slope)       \
    {                                                       \
        T scaled = value * slope;                           \
        return x > 0 ? value : scaled;                      \
    }                                                       \
    static inline T clamp_##dt(T x, T low, T high)          \
    {                                                       \
        T raised = x < low ? low : x;                       \
        return raised > high ? high : raised;               \
    }                                                       \
    static inline T within_##dt(T x, T grad, T low, T high) \
    {                                                       \
        T kept = x < low ? 0 : grad;                        \
        return x > high ? 0 : kept;                         \
    }
WITH_PARAMETERS(float, f32)
WITH_PARAMETERS(double, f64)

/* ---- Expressions ---- */

#define ADD(T, a, b)                     ((a) + (b))
#define ADD_SCALED(T, a, b)              ((a) + (T)params[0] * (b))
#define SUB(T, a, b)                     ((a) - (b))
#define MUL(T, a, b)                     ((a) * (b))
#define DIV(T, a, b)                     ((a) / (b))
#define MAXIMUM(T, a, b)                 ((a) > (b) || (a) != (a) ? (a) : (b))
#define MINIMUM(T, a, b)                 ((a) < (b) || (a) != (a) ? (a) : (b))
#define EQ(T, a, b)                      ((a) == (b))
#define NE(T, a, b)                      ((a) != (b))
#define LT(T, a, b)                      ((a) < (b))
#define LE(T, a, b)                      ((a) <= (b))
#define GT(T, a, b)                      ((a) > (b))
#define GE(T, a, b)                      ((a) >= (b))
#define TANH_BACKWARD(T, g, y)           ((g) * (1 - (y) * (y)))
#define SIGMOID_BACKWARD(T, g, y)        ((g) * (y) * (1 - (y)))
#define RELU_BACKWARD(T, g, y)           ((y) > 0 ? (g) : 0)
#define NEG(T, a)                        (-(a))
#define ABS_F32(T, a)                    fabsf(a)
#define ABS_F64(T, a)                    fabs(a)
#define SIGN(T, a)                       ((T)(((a) > 0) - ((a) < 0)))
#define SQUARE(T, a)                     ((a) * (a))
#define RELU(T, a)                       ((a) < 0 ? 0 : (a))
#define RECIPROCAL(T, a)                 (1 / (a))
#define LEAKY_RELU_F32(T, a)             leaky_f32(a, a, (T)params[0])
#define LEAKY_RELU_F64(T, a)             leaky_f64(a, a, params[0])
#define LEAKY_RELU_BACKWARD_F32(T, g, x) leaky_f32(x, g, (T)params[0])
#define LEAKY_RELU_BACKWARD_F64(T, g, x) leaky_f64(x, g, params[0])
#define CLAMP_F32(T, a)                  clamp_f32(a, (T)params[0], (T)params[1])
#define CLAMP_F64(T, a)                  clamp_f64(a, params[0], params[1])
#define CLAMP_BACKWARD_F32(T, g, x)      within_f32(x, g, (T)params[0], (T)params[1])
#define CLAMP_BACKWARD_F64(T, g, x)      within_f64(x, g, params[0], params[1])
#define EXP_F32(T, a)                    syn_vec_exp_f32(a)
#define EXP_F64(T, a)                    syn_vec_exp_f64(a)
#define LOG_F32(T, a)                    log_f32(a)
#define LOG_F64(T, a)                    log(a)
#define SQRT_F32(T, a)                   sqrtf(a)
#define SQRT_F64(T, a)                   sqrt(a)
#define RSQRT_F32(T, a)                  (1 / sqrtf(a))
#define RSQRT_F64(T, a)                  (1 / sqrt(a))
#define SIN_F32(T, a)                    sinf(a)
#define SIN_F64(T, a)                    sin(a)
#define COS_F32(T, a)                    cosf(a)
#define COS_F64(T, a)                    cos(a)
#define ERF_F32(T, a)                    erff(a)
#define ERF_F64(T, a)                    erf(a)
#define TANH_F32(T, a)                   tanh_f32(a)
#define TANH_F64(T, a)                   tanh(a)
#define SIGMOID_F32(T, a)                sigmoid_f32(a)
#define SIGMOID_F64(T, a)                sigmoid_f64(a)
#define SILU_F32(T, a)                   ((a)*sigmoid_f32(a))
#define SILU_F64(T, a)                   ((a)*sigmoid_f64(a))
#define SOFTPLUS_F32(T, a)               softplus_f32(a)
#define SOFTPLUS_F64(T, a)               softplus_f64(a)
#define SOFTPLUS_BACKWARD_F32(T, g, x)   ((x) > 20 ? (g) : (g)*sigmoid_f32(x))
#define SOFTPLUS_BACKWARD_F64(T, g, x)   ((x) > 20 ? (g) : (g)*sigmoid_f64(x))
#define SILU_BACKWARD_F32(T, g, x)       ((g)*sigmoid_f32(x) * (1 + (x) * (1 - sigmoid_f32(x))))
#define SILU_BACKWARD_F64(T, g, x)       ((g)*sigmoid_f64(x) * (1 + (x) * (1 - sigmoid_f64(x))))

/* Exponents are often one number for all elements, and that often 2, 3 or -1. */
#define POW_OF(T, ...)                                        \
    for (int64_t i = 0; i < n; i++) {                         \
        const T x = SYN_AT_STRIDE(const T, data[1], i, s[1]); \
        SYN_AT_STRIDE(T, data[0], i, s[0]) = (__VA_ARGS__);   \
    }
#define POW_LOOP(T, dt, power)                                                             \
    SYN_MULTIARCH static void pow_##dt##_each(int64_t n, T *out, const T *a, const T *b)   \
    {                                                                                      \
        SYN_INDEPENDENT                                                                    \
        for (int64_t i = 0; i < n; i++)                                                    \
            out[i] = power(a[i], b[i]);                                                    \
    }                                                                                      \
    SYN_MULTIARCH static void pow_##dt##_one(int64_t n, T *out, const T *a, T exponent)    \
    {                                                                                      \
        SYN_INDEPENDENT                                                                    \
        for (int64_t i = 0; i < n; i++)                                                    \
            out[i] = power(a[i], exponent);                                                \
    }                                                                                      \
    static void pow_##dt##_loop(int64_t n, char *const *data, const int64_t *s,            \
                                const double *params)                                      \
    {                                                                                      \
        const int64_t size = (int64_t)sizeof(T);                                           \
        const T exponent = n > 0 && s[2] == 0 ? *(const T *)(void *)data[2] : (T)NAN;      \
        bool is_dense = s[0] == size && s[1] == size && (s[2] == size || s[2] == 0);       \
        (void)params;                                                                      \
        if (exponent == 2)                                                                 \
            POW_OF(T, x *x)                                                                \
        else if (exponent == 3)                                                            \
            POW_OF(T, x *x *x)                                                             \
        else if (exponent == 1)                                                            \
            POW_OF(T, x)                                                                   \
        else if (exponent == -1)                                                           \
            POW_OF(T, 1 / x)                                                               \
        else if (is_dense && s[2] == 0 && n > 0)                                           \
            pow_##dt##_one(n, (T *)(void *)data[0], (const T *)(void *)data[1], exponent); \
        else if (is_dense)                                                                 \
            pow_##dt##_each(n, (T *)(void *)data[0], (const T *)(void *)data[1],           \
                            (const T *)(void *)data[2]);                                   \
        else                                                                               \
            POW_OF(T, power(x, SYN_AT_STRIDE(const T, data[2], i, s[2])))                  \
    }
POW_LOOP(float, f32, powf)
POW_LOOP(double, f64, pow)

void syn_pow_f32(const syn_strided *it, const double *params)
{
    syn_run_loop(it, pow_f32_loop, params);
}

void syn_pow_f64(const syn_strided *it, const double *params)
{
    syn_run_loop(it, pow_f64_loop, params);
}

/* ---- The kernels ---- */

#define EXPORT(name, DT, dt)                                            \
    void syn_##name##_##dt(const syn_strided *it, const double *params) \
    {                                                                   \
        name##_##DT(it, params);                                        \
    }
#define BINARY_AS(name, OUT32, OUT64, E32, E64)                 \
    BINARY_KERNEL(SYN_MULTIARCH, name, F32, float, OUT32, E32)  \
    BINARY_KERNEL(SYN_MULTIARCH, name, F64, double, OUT64, E64) \
    EXPORT(name, F32, f32)                                      \
    EXPORT(name, F64, f64)
#define BINARY(name, E)  BINARY_AS(name, float, double, E, E)
#define COMPARE(name, E) BINARY_AS(name, uint8_t, uint8_t, E, E)
#define UNARY_AS(name, E32, E64)                        \
    UNARY_KERNEL(SYN_MULTIARCH, name, F32, float, E32)  \
    UNARY_KERNEL(SYN_MULTIARCH, name, F64, double, E64) \
    EXPORT(name, F32, f32)                              \
    EXPORT(name, F64, f64)
#define UNARY(name, E) UNARY_AS(name, E, E)

BINARY(add, ADD)
BINARY(add_scaled, ADD_SCALED)
BINARY(sub, SUB)
BINARY(mul, MUL)
BINARY(div, DIV)
BINARY(maximum, MAXIMUM)
BINARY(minimum, MINIMUM)
COMPARE(eq, EQ)
COMPARE(ne, NE)
COMPARE(lt, LT)
COMPARE(le, LE)
COMPARE(gt, GT)
COMPARE(ge, GE)
BINARY(tanh_backward, TANH_BACKWARD)
BINARY(sigmoid_backward, SIGMOID_BACKWARD)
BINARY(relu_backward, RELU_BACKWARD)
BINARY_AS(softplus_backward, float, double, SOFTPLUS_BACKWARD_F32, SOFTPLUS_BACKWARD_F64)
BINARY_AS(silu_backward, float, double, SILU_BACKWARD_F32, SILU_BACKWARD_F64)
BINARY_AS(leaky_relu_backward, float, double, LEAKY_RELU_BACKWARD_F32, LEAKY_RELU_BACKWARD_F64)
BINARY_AS(clamp_backward, float, double, CLAMP_BACKWARD_F32, CLAMP_BACKWARD_F64)
UNARY(neg, NEG)
UNARY_AS(abs, ABS_F32, ABS_F64)
UNARY(sign, SIGN)
UNARY(square, SQUARE)
UNARY(relu, RELU)
UNARY_AS(clamp, CLAMP_F32, CLAMP_F64)
UNARY(reciprocal, RECIPROCAL)
UNARY_AS(leaky_relu, LEAKY_RELU_F32, LEAKY_RELU_F64)
UNARY_AS(exp, EXP_F32, EXP_F64)
UNARY_AS(log, LOG_F32, LOG_F64)
UNARY_AS(sqrt, SQRT_F32, SQRT_F64)
UNARY_AS(rsqrt, RSQRT_F32, RSQRT_F64)
UNARY_AS(sin, SIN_F32, SIN_F64)
UNARY_AS(cos, COS_F32, COS_F64)
UNARY_AS(erf, ERF_F32, ERF_F64)
UNARY_AS(tanh, TANH_F32, TANH_F64)
UNARY_AS(sigmoid, SIGMOID_F32, SIGMOID_F64)
UNARY_AS(silu, SILU_F32, SILU_F64)
UNARY_AS(softplus, SOFTPLUS_F32, SOFTPLUS_F64)
WHERE_KERNEL(SYN_MULTIARCH, where, F32, float)
WHERE_KERNEL(SYN_MULTIARCH, where, F64, double)
EXPORT(where, F32, f32)
EXPORT(where, F64, f64)
