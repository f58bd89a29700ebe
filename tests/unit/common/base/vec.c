/* Typed growing arrays. */
#include "common/base/vec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

typedef struct pair {
    int a;
    double b;
} pair;

static void pushed_elements_keep_their_order(void **state)
{
    (void)state;
    SYN_VEC(pair) v = {0};

    for (int i = 0; i < 1000; i++)
        assert_true(syn_vec_push(&v, (pair){i, i / 2.0}));

    assert_int_equal(v.n, 1000);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(v.items[i].a, i);
        assert_true(v.items[i].b == i / 2.0);
    }
    syn_vec_release(&v);
    assert_null(v.items);
    assert_int_equal(v.n + v.capacity, 0);
}

static void a_failed_push_leaves_the_array_as_it_was(void **state)
{
    (void)state;
    SYN_VEC(int) v = {0};
    for (int i = 0; i < 8; i++)
        assert_true(syn_vec_push(&v, i));

    syn_mem_fail_after(1);
    bool pushed = syn_vec_push(&v, 8);
    syn_mem_fail_after(0);

    assert_false(pushed);
    assert_int_equal(v.n, 8);
    assert_int_equal(v.items[7], 7);
    assert_true(syn_vec_push(&v, 8));
    assert_int_equal(v.items[8], 8);
    syn_vec_release(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pushed_elements_keep_their_order),
        cmocka_unit_test(a_failed_push_leaves_the_array_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
