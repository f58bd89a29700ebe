/* Undoing a launcher's binding: a child process bound to one core below a parent that may use more.
 */
#include "worker/comm/binding.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct environment {
    const char *bound_at_launch, *local_size, *threads, *keep;
} environment;

static void set(const char *name, const char *value)
{
    if (value)
        (void)setenv(name, value, 1);
    else
        (void)unsetenv(name);
}

/* What comm_binding_undo says in a child bound to one core. */
static comm_binding undo_in_bound_child(environment env)
{
    int ends[2];
    comm_binding binding;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        cpu_set_t one;
        int core = 0;
        (void)sched_getaffinity(0, sizeof one, &one);
        while (!CPU_ISSET(core, &one))
            core++;
        CPU_ZERO(&one);
        CPU_SET(core, &one);
        (void)sched_setaffinity(0, sizeof one, &one);
        set("OMPI_MCA_orte_bound_at_launch", env.bound_at_launch);
        set("OMPI_COMM_WORLD_LOCAL_SIZE", env.local_size);
        set("OMP_NUM_THREADS", env.threads);
        set("SYNCLINE_KEEP_BINDING", env.keep);
        binding = comm_binding_undo();
        binding.n_after = comm_binding_cores();
        _exit(write(ends[1], &binding, sizeof binding) == sizeof binding ? 0 : 1);
    }
    assert_int_equal(read(ends[0], &binding, sizeof binding), sizeof binding);
    (void)waitpid(child, NULL, 0);
    (void)close(ends[0]);
    (void)close(ends[1]);
    return binding;
}

static void a_rank_bound_beside_idle_cores_gets_them(void **state)
{
    (void)state;

    comm_binding b = undo_in_bound_child((environment){.bound_at_launch = "1", .local_size = "1"});

    assert_true(b.undone && b.trapped);
    assert_int_equal(b.n_before, 1);
    assert_int_equal(b.n_after, comm_binding_cores());
    assert_int_equal(b.n_launcher, comm_binding_cores());
}

static void a_rank_with_more_threads_than_cores_is_unbound(void **state)
{
    (void)state;

    comm_binding b = undo_in_bound_child(
        (environment){.bound_at_launch = "1", .local_size = "64000", .threads = "2"});

    assert_true(b.undone);
    assert_int_equal(b.n_after, comm_binding_cores());
}

static void a_rank_stays_bound_when_all_cores_are_given_out(void **state)
{
    (void)state;

    comm_binding b = undo_in_bound_child(
        (environment){.bound_at_launch = "1", .local_size = "64000", .threads = "1"});

    assert_false(b.undone || b.trapped);
    assert_int_equal(b.n_after, 1);
}

static void a_binding_that_is_not_mpiruns_is_respected(void **state)
{
    (void)state;

    comm_binding b = undo_in_bound_child((environment){.local_size = "1"});

    assert_false(b.undone || b.trapped);
    assert_int_equal(b.n_after, 1);
}

static void the_user_may_keep_the_binding(void **state)
{
    (void)state;

    comm_binding b =
        undo_in_bound_child((environment){.bound_at_launch = "1", .local_size = "1", .keep = "1"});

    assert_true(b.trapped);
    assert_false(b.undone);
    assert_int_equal(b.n_after, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rank_bound_beside_idle_cores_gets_them),
        cmocka_unit_test(a_rank_with_more_threads_than_cores_is_unbound),
        cmocka_unit_test(a_rank_stays_bound_when_all_cores_are_given_out),
        cmocka_unit_test(a_binding_that_is_not_mpiruns_is_respected),
        cmocka_unit_test(the_user_may_keep_the_binding),
    };
    if (comm_binding_cores() < 2)
        return 77; /* nothing can be bound to fewer */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
