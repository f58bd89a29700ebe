/* Scopes: who owns what, and when it goes. */
#include "tests/unit/worker/tensor/support.h"

#include "common/base/mem.h"

#include <pthread.h>

static int n_released;

static void count_release(void *data)
{
    (void)data;
    n_released++;
}

static syn_tensor *watched(void)
{
    static float data[2];
    return syn_wrap_data(data, SYN_SHAPE(2), SYN_F32, count_release);
}

static int reset(void **state)
{
    (void)state;
    n_released = 0;
    syn_clear_error();
    return 0;
}

static void a_scope_releases_what_was_made_in_it(void **state)
{
    (void)state;
    SYN_SCOPE {
        (void)watched();
        assert_int_equal(n_released, 0);
    }
    assert_int_equal(n_released, 1);
}

static void inner_scopes_end_first(void **state)
{
    (void)state;
    SYN_SCOPE {
        (void)watched();
        SYN_SCOPE {
            (void)watched();
        }
        assert_int_equal(n_released, 1);
    }
    assert_int_equal(n_released, 2);
}

static void leave_early(void)
{
    SYN_SCOPE {
        (void)watched();
        return;
    }
}

static void return_and_break_end_the_scope(void **state)
{
    (void)state;
    leave_early();
    assert_int_equal(n_released, 1);
    for (int i = 0; i < 3; i++)
        SYN_SCOPE {
            (void)watched();
            break;
        }
    assert_int_equal(n_released, 4);
}

static void keep_carries_a_tensor_out(void **state)
{
    syn_tensor *kept = NULL;
    (void)state;
    SYN_SCOPE {
        kept = syn_keep(watched());
        (void)watched();
    }
    assert_int_equal(n_released, 1);

    syn_tensor_unref(kept);

    assert_int_equal(n_released, 2);
}

static void keep_reaches_outer_scopes(void **state)
{
    syn_tensor *kept = NULL;
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = watched();
        SYN_SCOPE {
            kept = syn_keep(x);
        }
    }
    assert_int_equal(n_released, 0);
    syn_tensor_unref(kept);
    assert_int_equal(n_released, 1);
}

static void a_kept_tensor_kept_again_has_two_owners(void **state)
{
    (void)state;
    syn_tensor *x = NULL;
    SYN_SCOPE {
        x = syn_keep(watched());
    }
    assert_ptr_equal(syn_keep(x), x);

    syn_tensor_unref(x);
    assert_int_equal(n_released, 0);
    syn_tensor_unref(x);
    assert_int_equal(n_released, 1);
    assert_null(syn_keep(NULL));
}

static void a_view_keeps_the_storage(void **state)
{
    syn_tensor *view = NULL;
    (void)state;
    SYN_SCOPE {
        view = syn_keep(syn_slice(watched(), 0, 1, 2, 1));
    }
    assert_int_equal(n_released, 0);
    syn_tensor_unref(view);
    assert_int_equal(n_released, 1);
}

static void ending_a_depth_ends_the_scopes_inside(void **state)
{
    (void)state;
    int outer = syn_scope_begin();
    (void)watched();
    (void)syn_scope_begin();
    (void)watched();

    syn_scope_end(outer);

    assert_int_equal(n_released, 2);
}

static void *leave_a_tensor_behind(void *unused)
{
    (void)unused;
    (void)watched();
    return NULL;
}

static void a_thread_releases_its_outermost_scope_when_it_ends(void **state)
{
    pthread_t thread;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, leave_a_tensor_behind, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);

    assert_int_equal(n_released, 1);
}

static void many_tensors_fit(void **state)
{
    (void)state;
    SYN_SCOPE {
        for (int i = 0; i < 5000; i++)
            (void)watched();
    }
    assert_int_equal(n_released, 5000);
}

static void lack_of_memory_gives_no_tensor_and_a_sentence(void **state)
{
    (void)state;
    for (long n = 1; n <= 2; n++)
        SYN_SCOPE {
            syn_mem_fail_after(n);

            assert_null(syn_zeros(SYN_SHAPE(3), SYN_F32));

            assert_sticks("out of memory");
            syn_mem_fail_after(0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_scope_releases_what_was_made_in_it, reset),
        cmocka_unit_test_setup(inner_scopes_end_first, reset),
        cmocka_unit_test_setup(return_and_break_end_the_scope, reset),
        cmocka_unit_test_setup(keep_carries_a_tensor_out, reset),
        cmocka_unit_test_setup(keep_reaches_outer_scopes, reset),
        cmocka_unit_test_setup(a_kept_tensor_kept_again_has_two_owners, reset),
        cmocka_unit_test_setup(a_view_keeps_the_storage, reset),
        cmocka_unit_test_setup(ending_a_depth_ends_the_scopes_inside, reset),
        cmocka_unit_test_setup(a_thread_releases_its_outermost_scope_when_it_ends, reset),
        cmocka_unit_test_setup(many_tensors_fit, reset),
        cmocka_unit_test_setup(lack_of_memory_gives_no_tensor_and_a_sentence, reset),
    };
    return cmocka_run_group_tests_name("worker/tensor/scope", tests, NULL, NULL);
}
