/* Reading and storing single elements of any dtype. */
#include "worker/kernels/element.h"

#include <string.h>

float syn_f32_of_bf16(uint16_t bits)
{
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

uint16_t syn_bf16_of_f32(float value)
{
    uint32_t wide;
    memcpy(&wide, &value, sizeof wide);
    if ((wide & 0x7fffffffu) > 0x7f800000u) /* NaN stays NaN */
        return (uint16_t)(wide >> 16 | 0x40u);
    return (uint16_t)((wide + 0x7fffu + (wide >> 16 & 1u)) >> 16);
}

float syn_f32_of_f16(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x8000u) << 16, exponent = bits >> 10 & 31u;
    uint32_t mantissa = bits & 0x3ffu, wide;
    if (exponent == 31) {
        wide = sign | 0x7f800000u | mantissa << 13;
    } else if (exponent) {
        wide = sign | (exponent + 112) << 23 | mantissa << 13;
    } else if (mantissa) {
        int shift = __builtin_clz(mantissa) - 21;
        wide = sign | (uint32_t)(113 - shift) << 23 | (mantissa << shift & 0x3ffu) << 13;
    } else {
        wide = sign;
    }
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

uint16_t syn_f16_of_f32(float value)
{
    uint32_t wide;
    memcpy(&wide, &value, sizeof wide);
    uint16_t sign = (uint16_t)(wide >> 16 & 0x8000u);
    wide &= 0x7fffffffu;
    if (wide > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u);
    if (wide >= 0x477ff000u) /* 65520 and above round to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (wide >= 0x38800000u) { /* normal */
        uint32_t rounded = wide + 0xfffu + (wide >> 13 & 1u);
        return (uint16_t)(sign | (rounded - 0x38000000u) >> 13);
    }
    if (wide <= 0x33000000u) /* 2^-25 and below round to zero */
        return sign;
    uint32_t shift = 126u - (wide >> 23), mantissa = (wide & 0x7fffffu) | 0x800000u;
    uint32_t kept = mantissa >> shift, rest = mantissa & ((1u << shift) - 1),
             half = 1u << (shift - 1);
    kept += rest > half || (rest == half && (kept & 1u));
    return (uint16_t)(sign | kept);
}

double syn_element_get(syn_dtype dtype, const void *at)
{
    switch (dtype) {
    case SYN_BOOL:
        return *(const uint8_t *)at != 0;
    case SYN_U8:
        return *(const uint8_t *)at;
    case SYN_I8:
        return *(const int8_t *)at;
    case SYN_I16:
        return *(const int16_t *)at;
    case SYN_I32:
        return *(const int32_t *)at;
    case SYN_I64:
        return (double)*(const int64_t *)at;
    case SYN_F16:
        return syn_f32_of_f16(*(const uint16_t *)at);
    case SYN_BF16:
        return syn_f32_of_bf16(*(const uint16_t *)at);
    case SYN_F32:
    case SYN_C64:
        return *(const float *)at;
    case SYN_F64:
    case SYN_C128:
        return *(const double *)at;
    default:
        return 0;
    }
}

double syn_element_get_imag(syn_dtype dtype, const void *at)
{
    if (dtype == SYN_C64)
        return ((const float *)at)[1];
    return dtype == SYN_C128 ? ((const double *)at)[1] : 0;
}

static int64_t saturate(double value, double low, double high)
{
    if (value != value)
        return 0;
    /* 2^63 itself is not an int64_t */
    if (value >= high)
        return high >= 0x1p63 ? INT64_MAX : (int64_t)high;
    return value <= low ? (int64_t)low : (int64_t)value;
}

int64_t syn_element_get_int(syn_dtype dtype, const void *at)
{
    if (dtype == SYN_I64)
        return *(const int64_t *)at;
    return saturate(syn_element_get(dtype, at), -0x1p63, 0x1p63);
}

void syn_element_set(syn_dtype dtype, void *at, double value)
{
    switch (dtype) {
    case SYN_BOOL:
        *(uint8_t *)at = value != 0;
        break;
    case SYN_U8:
        *(uint8_t *)at = (uint8_t)saturate(value, 0, UINT8_MAX);
        break;
    case SYN_I8:
        *(int8_t *)at = (int8_t)saturate(value, INT8_MIN, INT8_MAX);
        break;
    case SYN_I16:
        *(int16_t *)at = (int16_t)saturate(value, INT16_MIN, INT16_MAX);
        break;
    case SYN_I32:
        *(int32_t *)at = (int32_t)saturate(value, INT32_MIN, INT32_MAX);
        break;
    case SYN_I64:
        *(int64_t *)at = saturate(value, -0x1p63, 0x1p63);
        break;
    case SYN_F16:
        *(uint16_t *)at = syn_f16_of_f32((float)value);
        break;
    case SYN_BF16:
        *(uint16_t *)at = syn_bf16_of_f32((float)value);
        break;
    case SYN_F32:
        *(float *)at = (float)value;
        break;
    case SYN_F64:
        *(double *)at = value;
        break;
    default:
        syn_element_set_complex(dtype, at, value, 0);
    }
}

void syn_element_set_complex(syn_dtype dtype, void *at, double re, double im)
{
    if (dtype == SYN_C64) {
        ((float *)at)[0] = (float)re;
        ((float *)at)[1] = (float)im;
    } else if (dtype == SYN_C128) {
        ((double *)at)[0] = re;
        ((double *)at)[1] = im;
    } else {
        syn_element_set(dtype, at, re);
    }
}

/* Wraps around as C's conversions between integers do. */
void syn_element_set_int(syn_dtype dtype, void *at, int64_t value)
{
    switch (dtype) {
    case SYN_U8:
        *(uint8_t *)at = (uint8_t)value;
        break;
    case SYN_I8:
        *(int8_t *)at = (int8_t)value;
        break;
    case SYN_I16:
        *(int16_t *)at = (int16_t)value;
        break;
    case SYN_I32:
        *(int32_t *)at = (int32_t)value;
        break;
    case SYN_I64:
        *(int64_t *)at = value;
        break;
    default:
        syn_element_set(dtype, at, (double)value);
    }
}
