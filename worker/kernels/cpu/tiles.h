/* Products of matrices that are in cache, in tiles of 8 rows and two vectors that stay in
 * registers. Parts that a causal mask leaves out are skipped. No guard: included in bodies after
 * lanes.h. */

/* c (m, n) = alpha a (m, k) b (k, n). a has any strides; rows of b and c are adjacent elements, and
 * n is a multiple of LANES. */
typedef struct KERNEL(product) {
    int64_t m, n, k;
    const REAL *a, *b;
    REAL *c;
    int64_t a_row, a_column, b_row, c_row;
    REAL alpha;
    mask_use mask;
} KERNEL(product);

/* ROWS x COLUMNS vectors of c from (i, j) on, for l in [range[0], range[1]). ROWS and COLUMNS are
 * constants. */
SYN_INLINE void KERNEL(tile)(const int rows, const int columns, const KERNEL(product) * p,
                             const int64_t at[2], const int64_t range[2])
{
    KERNEL(lanes) sums[8][2];
    const REAL *a = p->a + at[0] * p->a_row, *b = p->b + at[1];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < columns; v++)
            sums[r][v] = (KERNEL(lanes)){0};
    for (int64_t l = range[0]; l < range[1]; l++) {
        KERNEL(lanes) right[2];
        for (int v = 0; v < columns; v++)
            right[v] = *(const KERNEL(lanes) *)(b + l * p->b_row + v * KERNEL(LANES));
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < columns; v++)
                sums[r][v] += right[v] * a[r * p->a_row + l * p->a_column];
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < columns; v++)
            *(KERNEL(lanes) *)(p->c + (at[0] + r) * p->c_row + at[1] + v * KERNEL(LANES)) =
                sums[r][v] * p->alpha;
}

/* `rows` rows of c from row i on. */
SYN_INLINE void KERNEL(tile_row)(const int rows, const KERNEL(product) * p, int64_t i)
{
    int64_t end = i + rows, n = p->n, range[] = {0, p->k};
    if (p->mask == COLUMNS_UP_TO_ROW && end < n)
        n = (end + KERNEL(LANES) - 1) / KERNEL(LANES) * KERNEL(LANES);
    else if (p->mask == DEPTH_UP_TO_ROW && end < p->k)
        range[1] = end;
    else if (p->mask == DEPTH_FROM_ROW)
        range[0] = i < p->k ? i : p->k;
    n = n < p->n ? n : p->n;
    int64_t j = 0;
    for (; j + 2 * KERNEL(LANES) <= n; j += 2 * KERNEL(LANES))
        KERNEL(tile)(rows, 2, p, (const int64_t[]){i, j}, range);
    for (; j < n; j += KERNEL(LANES))
        KERNEL(tile)(rows, 1, p, (const int64_t[]){i, j}, range);
}

SYN_MULTIARCH static void KERNEL(multiply_in_cache)(const KERNEL(product) * p)
{
    int64_t i = 0;
    for (; i + 8 <= p->m; i += 8)
        KERNEL(tile_row)(8, p, i);
    for (; i < p->m; i++)
        KERNEL(tile_row)(1, p, i);
}

/* out (n, m) = the transpose of x (m, n), whose rows are `step` apart. */
SYN_MULTIARCH static void KERNEL(transpose)(int64_t m, int64_t n, const REAL *x, int64_t step,
                                            REAL *out)
{
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = 0; i < m; i++)
            out[j * m + i] = x[i * step + j];
}
