/* The hooks at the end of backward: order, statuses, removal. */
#include "worker/autograd/backward_end.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static char a[] = "a", b[] = "b", c[] = "c";
static char calls[16];
static int n_calls;

static syn_status note(syn_status status, void *user)
{
    calls[n_calls++] = *(const char *)user;
    return status;
}

static syn_status refuse(syn_status status, void *user)
{
    (void)note(status, user);
    return status == SYN_OK ? SYN_ABORTED : status;
}

static int reset(void **state)
{
    (void)state;
    n_calls = 0;
    return 0;
}

static void without_hooks_the_status_passes(void **state)
{
    (void)state;

    assert_int_equal(syn_backward_end_run(SYN_OK), SYN_OK);
    assert_int_equal(syn_backward_end_run(SYN_INTERNAL), SYN_INTERNAL);
}

static void hooks_run_in_order_and_pass_failures_on(void **state)
{
    (void)state;
    assert_int_equal(syn_backward_end_add(note, a), SYN_OK);
    assert_int_equal(syn_backward_end_add(refuse, b), SYN_OK);
    assert_int_equal(syn_backward_end_add(note, c), SYN_OK);

    assert_int_equal(syn_backward_end_run(SYN_OK), SYN_ABORTED);
    assert_int_equal(syn_backward_end_run(SYN_NOT_FOUND), SYN_NOT_FOUND);

    assert_int_equal(n_calls, 6);
    assert_memory_equal(calls, "abcabc", 6);
    syn_backward_end_remove(note, a);
    syn_backward_end_remove(refuse, b);
    syn_backward_end_remove(note, c);
}

static void a_removed_hook_is_gone_and_others_stay(void **state)
{
    (void)state;
    assert_int_equal(syn_backward_end_add(note, a), SYN_OK);
    assert_int_equal(syn_backward_end_add(note, b), SYN_OK);

    syn_backward_end_remove(note, a);
    syn_backward_end_remove(refuse, b); /* not the one that was added */
    assert_int_equal(syn_backward_end_run(SYN_OK), SYN_OK);

    assert_int_equal(n_calls, 1);
    assert_int_equal(calls[0], 'b');
    syn_backward_end_remove(note, b);
    assert_int_equal(syn_backward_end_run(SYN_OK), SYN_OK);
    assert_int_equal(n_calls, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(without_hooks_the_status_passes, reset),
        cmocka_unit_test_setup(hooks_run_in_order_and_pass_failures_on, reset),
        cmocka_unit_test_setup(a_removed_hook_is_gone_and_others_stay, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
