/* The sticky error: the first sentence stays, with the caller's place; the end of a program. */
#include "tests/unit/worker/tensor/support.h"

#include <pthread.h>

static int reset(void **state)
{
    (void)state;
    syn_clear_error();
    return 0;
}

static void the_first_sentence_sticks(void **state)
{
    (void)state;
    SYN_SCOPE {
        assert_null(syn_add(F32(1, 2), F32(1, 2, 3)));
        assert_null(syn_matmul(F32(1, 2), F32(1, 2, 3)));

        assert_non_null(strstr(syn_error(), "add: (2) x (3)"));
        assert_int_equal(syn_error_status(), SYN_INVALID_ARGUMENT);
        syn_clear_error();
        assert_string_equal(syn_error(), "");
        assert_int_equal(syn_error_status(), SYN_OK);
    }
}

static void the_sentence_names_the_callers_file_and_line(void **state)
{
    char place[400];
    (void)state;
    SYN_SCOPE {
        syn_tensor *a = syn_zeros(SYN_SHAPE(64, 3), SYN_F32),
                   *b = syn_zeros(SYN_SHAPE(2, 5), SYN_F32);
        (void)snprintf(place, sizeof place,
                       "matmul: (64, 3) x (2, 5): inner extents 3 and 2 differ (%s:%d)", __FILE__,
                       __LINE__ + 1);
        assert_null(syn_matmul(a, b));
        assert_string_equal(syn_error(), place);
        assert_string_equal(syn_error_message(), place);
        syn_clear_error();
    }
}

static void what_follows_a_failure_says_nothing(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *bad = syn_add(F32(1, 2), F32(1, 2, 3));
        syn_tensor *loss = syn_mean(syn_relu(syn_mul(bad, bad)));

        assert_null(loss);
        assert_int_equal(syn_backward(loss), SYN_INVALID_ARGUMENT);
        assert_sticks("add: ");
    }
}

static void expressions_go_on_working_after_a_failure(void **state)
{
    (void)state;
    SYN_SCOPE {
        assert_null(syn_add(F32(1, 2), F32(1, 2, 3)));
        ASSERT_VALUES(syn_add(F32(1), F32(2)), 3);
        assert_true(syn_failed());
        syn_clear_error();
    }
}

static void *has_failed(void *out)
{
    *(bool *)out = syn_failed();
    return NULL;
}

static void each_thread_has_its_own(void **state)
{
    bool theirs = true;
    pthread_t thread;
    (void)state;
    SYN_SCOPE {
        assert_null(syn_add(F32(1, 2), F32(1, 2, 3)));
    }
    assert_int_equal(pthread_create(&thread, NULL, has_failed, &theirs), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);

    assert_false(theirs);
    assert_true(syn_failed());
    syn_clear_error();
}

static void finish_returns_0_without_and_1_with_an_error(void **state)
{
    (void)state;
    assert_int_equal(syn_finish(), 0);
    assert_null(syn_add(F32(1, 2), F32(1, 2, 3)));
    assert_int_equal(syn_finish(), 1);
    syn_clear_error();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_first_sentence_sticks, reset),
        cmocka_unit_test_setup(the_sentence_names_the_callers_file_and_line, reset),
        cmocka_unit_test_setup(what_follows_a_failure_says_nothing, reset),
        cmocka_unit_test_setup(expressions_go_on_working_after_a_failure, reset),
        cmocka_unit_test_setup(each_thread_has_its_own, reset),
        cmocka_unit_test_setup(finish_returns_0_without_and_1_with_an_error, reset),
    };
    return cmocka_run_group_tests_name("worker/tensor/error", tests, NULL, NULL);
}
