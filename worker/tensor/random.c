/* Counter-based random numbers, and the thread's generator. */
#include <syncline/random.h>

#include "worker/kernels/philox.h"

#include <math.h>

__extension__ typedef unsigned __int128 wide;

static _Thread_local uint64_t generator_seed, generator_counter;

void syn_philox(uint64_t key, uint64_t counter_hi, uint64_t counter_lo, uint32_t out[4])
{
    syn_philox_block(key, counter_hi, counter_lo, out);
}

uint64_t syn_random_key(uint64_t a, uint64_t b)
{
    uint32_t words[4];
    syn_philox_block(a, 0x73796e636c696e65u, b,
                     words); /* the high half keeps keys apart from draws */
    return (uint64_t)words[0] << 32 | words[1];
}

/* 53 bits of two words. */
static double unit(uint32_t high, uint32_t low)
{
    return (double)(((uint64_t)high << 32 | low) >> 11) * 0x1p-53;
}

double syn_random_uniform(uint64_t key, uint64_t index)
{
    uint32_t words[4];
    syn_philox_block(key, 0, index, words);
    return unit(words[0], words[1]);
}

/* Box and Muller, 1958; 1 - u is never 0. */
double syn_random_normal(uint64_t key, uint64_t index)
{
    uint32_t words[4];
    syn_philox_block(key, 0, index, words);
    return sqrt(-2 * log(1 - unit(words[0], words[1]))) *
           cos(6.283185307179586 * unit(words[2], words[3]));
}

/* Multiplication instead of division (Lemire, 2019), with 96 bits against the bias. */
uint64_t syn_random_below(uint64_t key, uint64_t index, uint64_t n)
{
    uint32_t words[4];
    syn_philox_block(key, 0, index, words);
    uint64_t high = (uint64_t)words[0] << 32 | words[1];
    wide low_part = (wide)words[2] * n >> 32;
    return (uint64_t)(((wide)high * n + low_part) >> 64);
}

void syn_random_permutation(uint64_t key, int64_t n, int64_t *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = (int64_t)syn_random_below(key, (uint64_t)i, (uint64_t)i + 1), moved = out[i];
        out[i] = out[j];
        out[j] = moved;
    }
}

void syn_manual_seed(uint64_t seed)
{
    generator_seed = seed;
    generator_counter = 0;
}

uint64_t syn_random_next_key(void)
{
    return syn_random_key(generator_seed, generator_counter++);
}
