/* Simplified index spaces have the same elements on fewer axes. */
#include "worker/kernels/strided.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static syn_strided space(int ndim, const int64_t *dims, int n, const int64_t strides[][4])
{
    syn_strided it = {.ndim = ndim, .n_operands = n};
    for (int d = 0; d < ndim; d++) {
        it.dims[d] = dims[d];
        for (int k = 0; k < n; k++)
            it.strides[k][d] = strides[k][d];
    }
    return it;
}

static void dense_operands_have_one_axis(void **state)
{
    syn_strided it =
        space(3, (int64_t[]){2, 3, 4}, 2, (const int64_t[][4]){{48, 16, 4}, {48, 16, 4}});
    (void)state;

    syn_strided_simplify(&it);

    assert_int_equal(it.ndim, 1);
    assert_int_equal(it.dims[0], 24);
    assert_int_equal(it.strides[0][0], 4);
}

static void axes_of_extent_1_vanish_whatever_their_strides(void **state)
{
    syn_strided it =
        space(3, (int64_t[]){1, 5, 1}, 2, (const int64_t[][4]){{99, 4, 77}, {-1, 8, 0}});
    (void)state;

    syn_strided_simplify(&it);

    assert_int_equal(it.ndim, 1);
    assert_int_equal(it.dims[0], 5);
    assert_int_equal(it.strides[1][0], 8);
}

static void broadcast_axes_do_not_merge_with_others(void **state)
{
    syn_strided it = space(2, (int64_t[]){3, 4}, 2, (const int64_t[][4]){{16, 4}, {0, 4}});
    (void)state;

    syn_strided_simplify(&it);

    assert_int_equal(it.ndim, 2);
    assert_int_equal(it.strides[1][0], 0);
}

static void the_outputs_smallest_stride_comes_last(void **state)
{
    syn_strided it = space(2, (int64_t[]){3, 4}, 2, (const int64_t[][4]){{4, 12}, {4, 12}});
    (void)state;

    syn_strided_simplify(&it);

    assert_int_equal(it.ndim, 1);
    assert_int_equal(it.dims[0], 12);
}

static void a_scalar_is_one_element(void **state)
{
    syn_strided it = {.ndim = 0, .n_operands = 1};
    (void)state;

    syn_strided_simplify(&it);

    assert_int_equal(it.ndim, 1);
    assert_int_equal(it.dims[0], 1);
}

/* Adds up where every element lies, in any order. */
static int64_t sum_of_places(const syn_strided *it, int k)
{
    int64_t index[SYN_MAX_DIMS] = {0}, sum = 0, total = 1;
    for (int d = 0; d < it->ndim; d++)
        total *= it->dims[d];
    for (int64_t i = 0; i < total; i++) {
        int64_t at = 0;
        for (int d = 0; d < it->ndim; d++)
            at += index[d] * it->strides[k][d];
        sum += at * at + 7 * at;
        for (int d = it->ndim - 1; d >= 0 && ++index[d] == it->dims[d]; d--)
            index[d] = 0;
    }
    return sum;
}

static void the_same_places_are_visited(void **state)
{
    static const int64_t dims[][4] = {{2, 3, 4, 5}, {1, 3, 1, 5}, {4, 1, 2, 2}, {2, 2, 2, 2}};
    static const int64_t strides[][2][4] = {{{60, 20, 5, 1}, {1, 2, 6, 24}},
                                            {{60, 20, 5, 1}, {0, 5, 3, 1}},
                                            {{1, 4, 4, 8}, {4, 4, 2, 1}},
                                            {{-8, 4, 2, 1}, {1, 2, 4, 8}}};
    (void)state;
    for (int i = 0; i < 4; i++) {
        syn_strided it = space(4, dims[i], 2, strides[i]), simple = it;
        syn_strided_simplify(&simple);
        for (int k = 0; k < 2; k++)
            assert_int_equal(sum_of_places(&it, k), sum_of_places(&simple, k));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dense_operands_have_one_axis),
        cmocka_unit_test(axes_of_extent_1_vanish_whatever_their_strides),
        cmocka_unit_test(broadcast_axes_do_not_merge_with_others),
        cmocka_unit_test(the_outputs_smallest_stride_comes_last),
        cmocka_unit_test(a_scalar_is_one_element),
        cmocka_unit_test(the_same_places_are_visited),
    };
    return cmocka_run_group_tests_name("worker/kernels/strided", tests, NULL, NULL);
}
