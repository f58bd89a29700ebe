/* Simplifying the index space of element-wise kernels. */
#include "worker/kernels/strided.h"

#include <stdbool.h>

static void copy_axis(syn_strided *it, int to, int from)
{
    it->dims[to] = it->dims[from];
    for (int k = 0; k < it->n_operands; k++)
        it->strides[k][to] = it->strides[k][from];
}

static void swap_axes(syn_strided *it, int a, int b)
{
    int64_t extent = it->dims[a];
    it->dims[a] = it->dims[b];
    it->dims[b] = extent;
    for (int k = 0; k < it->n_operands; k++) {
        int64_t stride = it->strides[k][a];
        it->strides[k][a] = it->strides[k][b];
        it->strides[k][b] = stride;
    }
}

static int64_t magnitude(int64_t stride)
{
    return stride < 0 ? -stride : stride;
}

/* Whether axis a should lie inside axis b: by the output's strides, then by the operands'. */
static bool is_inner(const syn_strided *it, int a, int b)
{
    for (int k = 0; k < it->n_operands; k++) {
        int64_t x = magnitude(it->strides[k][a]), y = magnitude(it->strides[k][b]);
        if (x == 0 || y == 0)
            continue;
        if (x != y)
            return x < y;
    }
    return false;
}

static bool can_merge(const syn_strided *it, int outer, int inner)
{
    for (int k = 0; k < it->n_operands; k++)
        if (it->strides[k][outer] != it->strides[k][inner] * it->dims[inner])
            return false;
    return true;
}

void syn_strided_simplify(syn_strided *it)
{
    int n = 0;
    for (int d = 0; d < it->ndim; d++)
        if (it->dims[d] != 1)
            copy_axis(it, n++, d);
    for (int i = 1; i < n; i++) /* a stable insertion sort; there are few axes */
        for (int j = i; j > 0 && is_inner(it, j - 1, j); j--)
            swap_axes(it, j - 1, j);
    int last = 0;
    for (int d = 1; d < n; d++) {
        if (can_merge(it, last, d)) {
            int64_t extent = it->dims[last] * it->dims[d];
            copy_axis(it, last, d);
            it->dims[last] = extent;
        } else {
            copy_axis(it, ++last, d);
        }
    }
    it->ndim = n ? last + 1 : 1;
    if (n)
        return;
    it->dims[0] = 1;
    for (int k = 0; k < it->n_operands; k++)
        it->strides[k][0] = 0;
}
