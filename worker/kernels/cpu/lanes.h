/* Sums and maxima over runs of elements in vectors of 64 bytes, reduced by a fixed tree: the same
 * order on every processor. (A reduction of `omp simd` adds its lanes one after the other, which
 * for rows of 64 elements costs more than the rest.) No guard: included in bodies, where REAL and
 * KERNEL are defined. */

typedef REAL KERNEL(lanes) __attribute__((vector_size(64), aligned(sizeof(REAL)), may_alias));

#define INTEGER_f32 int32_t
#define INTEGER_f64 int64_t
typedef KERNEL(INTEGER) KERNEL(mask) __attribute__((vector_size(64)));

enum { KERNEL(LANES) = 64 / sizeof(REAL) };

/* Which lanes stand `h` from lanes 0, 1, ...: exchanged halves, quarters and so on. */
#define PARTNERS_f64(h)                                                        \
    {                                                                          \
        0 ^ (h), 1 ^ (h), 2 ^ (h), 3 ^ (h), 4 ^ (h), 5 ^ (h), 6 ^ (h), 7 ^ (h) \
    }
#define PARTNERS_f32(h)                                                                           \
    {                                                                                             \
        0 ^ (h), 1 ^ (h), 2 ^ (h), 3 ^ (h), 4 ^ (h), 5 ^ (h), 6 ^ (h), 7 ^ (h), 8 ^ (h), 9 ^ (h), \
            10 ^ (h), 11 ^ (h), 12 ^ (h), 13 ^ (h), 14 ^ (h), 15 ^ (h)                            \
    }
#define EXCHANGED(v, h) __builtin_shuffle((v), (KERNEL(mask))KERNEL(PARTNERS)(h))
#define LARGER(out, v)                                                                             \
    do {                                                                                           \
        KERNEL(mask) is_more = (KERNEL(mask))((v) > (out));                                        \
        (out) = (KERNEL(lanes))((is_more & (KERNEL(mask))(v)) | (~is_more & (KERNEL(mask))(out))); \
    } while (0)

SYN_INLINE REAL KERNEL(tree_sum)(const KERNEL(lanes) * lanes)
{
    KERNEL(lanes) v = *lanes;
    if (KERNEL(LANES) == 16)
        v += EXCHANGED(v, KERNEL(LANES) / 2);
    v += EXCHANGED(v, 4);
    v += EXCHANGED(v, 2);
    v += EXCHANGED(v, 1);
    return v[0];
}

SYN_INLINE REAL KERNEL(tree_max)(const KERNEL(lanes) * lanes)
{
    KERNEL(lanes) v = *lanes, other;
    if (KERNEL(LANES) == 16) {
        other = EXCHANGED(v, KERNEL(LANES) / 2);
        LARGER(v, other);
    }
    other = EXCHANGED(v, 4);
    LARGER(v, other);
    other = EXCHANGED(v, 2);
    LARGER(v, other);
    other = EXCHANGED(v, 1);
    LARGER(v, other);
    return v[0];
}

#define LOAD(x) (*(const KERNEL(lanes) *)(x))

/* Defines REAL name(n, a, b, c): the sum of TERM, which reads p and q, vectors or elements of a and
 * b, and the number c. */
#define SYN_LANES_SUM(name, TERM)                                                 \
    SYN_INLINE REAL KERNEL(name)(int64_t n, const REAL *a, const REAL *b, REAL c) \
    {                                                                             \
        KERNEL(lanes) sums[2] = {{0}, {0}};                                       \
        int64_t i = 0;                                                            \
        (void)c;                                                                  \
        for (; i + 2 * KERNEL(LANES) <= n; i += 2 * KERNEL(LANES)) {              \
            {                                                                     \
                KERNEL(lanes) p = LOAD(a + i), q = LOAD(b + i);                   \
                sums[0] += (TERM);                                                \
                (void)q;                                                          \
            }                                                                     \
            {                                                                     \
                KERNEL(lanes)                                                     \
                p = LOAD(a + i + KERNEL(LANES)), q = LOAD(b + i + KERNEL(LANES)); \
                sums[1] += (TERM);                                                \
                (void)q;                                                          \
            }                                                                     \
        }                                                                         \
        if (i + KERNEL(LANES) <= n) {                                             \
            KERNEL(lanes) p = LOAD(a + i), q = LOAD(b + i);                       \
            sums[0] += (TERM);                                                    \
            (void)q;                                                              \
            i += KERNEL(LANES);                                                   \
        }                                                                         \
        sums[0] += sums[1];                                                       \
        REAL total = KERNEL(tree_sum)(&sums[0]);                                  \
        for (; i < n; i++) {                                                      \
            REAL p = a[i], q = b[i];                                              \
            total += (TERM);                                                      \
            (void)q;                                                              \
        }                                                                         \
        return total;                                                             \
    }

SYN_LANES_SUM(sum_of, p)
SYN_LANES_SUM(sum_of_products, p *q)
SYN_LANES_SUM(sum_of_squares_about, (p - c) * (p - c))
SYN_LANES_SUM(sum_of_products_about, p *(q - c))
#undef SYN_LANES_SUM

SYN_INLINE REAL KERNEL(max_of)(int64_t n, const REAL *x)
{
    REAL largest = -(REAL)INFINITY;
    int64_t i = 0;
    if (n >= KERNEL(LANES)) {
        KERNEL(lanes) most = LOAD(x);
        for (i = KERNEL(LANES); i + KERNEL(LANES) <= n; i += KERNEL(LANES)) {
            KERNEL(lanes) v = LOAD(x + i);
            LARGER(most, v);
        }
        largest = KERNEL(tree_max)(&most);
    }
    for (; i < n; i++)
        largest = x[i] > largest ? x[i] : largest;
    return largest;
}
#undef LOAD
#undef LARGER
#undef EXCHANGED
#undef PARTNERS_f32
#undef PARTNERS_f64
#undef INTEGER_f32
#undef INTEGER_f64
