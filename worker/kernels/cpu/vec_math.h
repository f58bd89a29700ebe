/* Branch-free exponentials and the normal distribution, for loops that the compiler vectorises. */
#ifndef WORKER_KERNELS_CPU_VEC_MATH_H
#define WORKER_KERNELS_CPU_VEC_MATH_H

#include "worker/kernels/backend.h"
#include <stdint.h>
#include <string.h>

/* exp(r) for |r| <= ln 2 / 2 by a polynomial fitted to 3e-9 relative. */
SYN_INLINE float syn_vec_exp_near_0_f32(float r)
{
    float p = 1.3814619e-3F;
    p = p * r + 8.368714e-3F;
    p = p * r + 4.166839e-2F;
    p = p * r + 1.6666521e-1F;
    p = p * r + 0.49999994F;
    return p * r * r + r + 1.0F;
}

/* Taylor's series to r^13: the next term is below 2e-17. */
SYN_INLINE double syn_vec_exp_near_0_f64(double r)
{
    double p = 1.0 / 6227020800.0;
    p = p * r + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    return p * r * r + r + 1.0;
}

/* Adding these rounds to an integer, which is then in the low bits. */
#define SYN_ROUND_F32 12582912.0F        /* 1.5 * 2^23 */
#define SYN_ROUND_F64 6755399441055744.0 /* 1.5 * 2^52 */

/* exp(x) within 1 ulp, denormals, infinities and NaN included: x = n ln 2 + r with |r| <= ln 2 / 2,
 * exp(r), and 2^n as two factors, each of which is a normal number. */
SYN_INLINE float syn_vec_exp_f32(float x)
{
    x = x > 89.0F ? 89.0F : x;
    x = x < -105.0F ? -105.0F : x;
    float shifted = x * 1.44269504F + SYN_ROUND_F32, n = shifted - SYN_ROUND_F32;
    float p = syn_vec_exp_near_0_f32((x - n * 0.693145752F) - n * 1.42860677e-6F);
    int32_t bits;
    memcpy(&bits, &shifted, sizeof(bits));
    int32_t exponent = (int32_t)((uint32_t)bits - 0x4b400000U), half = exponent >> 1;
    uint32_t first_bits = (uint32_t)(half + 127) << 23;
    uint32_t second_bits = (uint32_t)(exponent - half + 127) << 23;
    float first, second;
    memcpy(&first, &first_bits, sizeof(first));
    memcpy(&second, &second_bits, sizeof(second));
    return p * first * second;
}

/* The same for x <= 1, as softmax needs it, at half the price: 2^n is added to the exponent. 0
 * below -86. */
SYN_INLINE float syn_vec_exp_of_negative_f32(float x)
{
    float shifted = x * 1.44269504F + SYN_ROUND_F32, n = shifted - SYN_ROUND_F32;
    float p = syn_vec_exp_near_0_f32((x - n * 0.693145752F) - n * 1.42860677e-6F);
    uint32_t bits, power;
    memcpy(&bits, &shifted, sizeof(bits));
    memcpy(&power, &p, sizeof(power));
    power += bits << 23;
    memcpy(&p, &power, sizeof(p));
    return x < -86.0F ? 0 : p;
}

SYN_INLINE double syn_vec_exp_f64(double x)
{
    x = x > 710.0 ? 710.0 : x;
    x = x < -746.0 ? -746.0 : x;
    double shifted = x * 1.4426950408889634 + SYN_ROUND_F64, n = shifted - SYN_ROUND_F64;
    double p =
        syn_vec_exp_near_0_f64((x - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10);
    int64_t bits;
    memcpy(&bits, &shifted, sizeof(bits));
    int64_t exponent = (int64_t)((uint64_t)bits - 0x4338000000000000U), half = exponent >> 1;
    uint64_t first_bits = (uint64_t)(half + 1023) << 52;
    uint64_t second_bits = (uint64_t)(exponent - half + 1023) << 52;
    double first, second;
    memcpy(&first, &first_bits, sizeof(first));
    memcpy(&second, &second_bits, sizeof(second));
    return p * first * second;
}

SYN_INLINE double syn_vec_exp_of_negative_f64(double x)
{
    double shifted = x * 1.4426950408889634 + SYN_ROUND_F64, n = shifted - SYN_ROUND_F64;
    double p =
        syn_vec_exp_near_0_f64((x - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10);
    uint64_t bits, power;
    memcpy(&bits, &shifted, sizeof(bits));
    memcpy(&power, &p, sizeof(power));
    power += bits << 52;
    memcpy(&p, &power, sizeof(p));
    return x < -700.0 ? 0 : p;
}

/* P(X <= x) for X standard normal; *density_out = its derivative. The tail beyond a = |x| is
 * exp(-a^2 / 2) times a slowly varying factor: a polynomial in u = 1 / (1 + 0.265 a), fitted to
 * 2e-8 relative on [0, 15]. */
SYN_INLINE float syn_vec_normal_cdf_f32(float x, float *density_out)
{
    float a = x < 0 ? -x : x;
    float bell = syn_vec_exp_of_negative_f32(-0.5F * a * a), u = 1.0F / (1.0F + 0.265F * a);
    float s = 2.0F * u - 1.0F, p = 1.18895346531644e-4F;
    p = p * s - 1.6145905829e-4F;
    p = p * s - 1.1128243059e-3F;
    p = p * s - 1.3789191144e-4F;
    p = p * s + 1.0480955243e-2F;
    p = p * s + 4.1036039591e-2F;
    p = p * s + 9.4420649111e-2F;
    p = p * s + 1.5639364719e-1F;
    p = p * s + 1.9896198809e-1F;
    float tail = bell * p * u;
    *density_out = bell * 0.398942280F;
    return x < 0 ? tail : 1.0F - tail;
}

#endif
