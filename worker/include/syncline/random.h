/* Counter-based random numbers: every draw is a function of (seed, stream, counter), never of
 * threads or ranks. */
#ifndef SYNCLINE_RANDOM_H
#define SYNCLINE_RANDOM_H

#include <syncline/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", 2011).
 */
void syn_philox(uint64_t key, uint64_t counter_hi, uint64_t counter_lo, uint32_t out[4]);
/* Mixes values into one key, for streams: syn_random_key(seed, epoch). */
uint64_t syn_random_key(uint64_t a, uint64_t b);
/* Uniform in [0, 1) with 53 bits, and standard normal (Box-Muller), of draw `index` of stream
 * `key`. */
double syn_random_uniform(uint64_t key, uint64_t index);
double syn_random_normal(uint64_t key, uint64_t index);
/* Uniform integer in [0, n) of draw `index`, unbiased for n up to 2^32, bias below 2^-32 above. */
uint64_t syn_random_below(uint64_t key, uint64_t index, uint64_t n);
/* A permutation of 0..n-1, a pure function of the key (Fisher-Yates over the stream). */
void syn_random_permutation(uint64_t key, int64_t n, int64_t *out);

/* The thread's generator: seeds it and starts its operator counter at 0. The step loop calls this
 * with a key made of (seed, step, shard), so that dropout does not depend on who computes the
 * shard. */
void syn_manual_seed(uint64_t seed);
/* The key for the next random operator of this thread; advances the counter. */
uint64_t syn_random_next_key(void);

syn_tensor *syn_rand(syn_shape shape, syn_dtype dtype);  /* uniform [0, 1) */
syn_tensor *syn_randn(syn_shape shape, syn_dtype dtype); /* standard normal */
syn_tensor *syn_randint(int64_t low, int64_t high, syn_shape shape,
                        syn_dtype dtype); /* [low, high) */

#ifdef __cplusplus
}
#endif
#endif
