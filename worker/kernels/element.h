/* Single elements of any dtype, as doubles, 64-bit integers or complex numbers. */
#ifndef WORKER_KERNELS_ELEMENT_H
#define WORKER_KERNELS_ELEMENT_H

#include <stdint.h>
#include <syncline/dtype.h>

/* IEEE 754 binary16 and bfloat16 from and to f32, rounding to nearest even. */
float syn_f32_of_f16(uint16_t bits);
uint16_t syn_f16_of_f32(float value);
float syn_f32_of_bf16(uint16_t bits);
uint16_t syn_bf16_of_f32(float value);

/* The element at `at`; the real part of a complex one. */
double syn_element_get(syn_dtype dtype, const void *at);
int64_t syn_element_get_int(syn_dtype dtype, const void *at);
double syn_element_get_imag(syn_dtype dtype, const void *at);
/* Stores with C's conversion; what does not fit an integer saturates, NaN becomes 0; bool is value
 * != 0. */
void syn_element_set(syn_dtype dtype, void *at, double value);
void syn_element_set_int(syn_dtype dtype, void *at, int64_t value);
void syn_element_set_complex(syn_dtype dtype, void *at, double re, double im);

#endif
