/* Says of libm's functions that glibc's libmvec has them for vectors (within 4 ulp), so that loops
 * over them vectorise. Include it after <math.h>, in files of loops only: the elements of a row's
 * tail get the scalar functions' last bits. */
#ifndef WORKER_KERNELS_CPU_LIBMVEC_H
#define WORKER_KERNELS_CPU_LIBMVEC_H

#include <math.h>

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__OPTIMIZE__) && \
    !defined(SYN_SANITIZED) && !defined(__clang__)
#if __GLIBC__ > 2 || __GLIBC_MINOR__ >= 35
#define SYN_HAS_VECTORS __attribute__((simd("notinbranch")))
SYN_HAS_VECTORS float sinf(float x);
SYN_HAS_VECTORS float cosf(float x);
SYN_HAS_VECTORS float erff(float x);
SYN_HAS_VECTORS float powf(float x, float y);
SYN_HAS_VECTORS double sin(double x);
SYN_HAS_VECTORS double cos(double x);
SYN_HAS_VECTORS double log(double x);
SYN_HAS_VECTORS double erf(double x);
SYN_HAS_VECTORS double tanh(double x);
SYN_HAS_VECTORS double log1p(double x);
SYN_HAS_VECTORS double pow(double x, double y);
#endif
#endif

#endif
