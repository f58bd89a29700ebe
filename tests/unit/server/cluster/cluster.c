/* Who is in. */
#include "server/cluster/cluster.h"

#include "common/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static syn_worker_identity pool_rank(const char *id, const char *pool, uint32_t rank, uint32_t n)
{
    return (syn_worker_identity){.worker_id = id,
                                 .host = "node1",
                                 .pool_id = pool,
                                 .rank = rank,
                                 .n_ranks = n,
                                 .pid = 100 + rank};
}

static syn_worker *add(syn_cluster *c, const char *id, const char *pool, uint32_t rank, uint32_t n)
{
    syn_worker *worker = NULL;
    syn_worker_identity who = pool_rank(id, pool, rank, n);
    assert_int_equal(syn_cluster_register(c, &who, 0, &worker), SYN_OK);
    return worker;
}

static void a_pool_is_complete_when_all_its_ranks_have_registered(void **state)
{
    (void)state;
    syn_cluster *c = syn_cluster_new();

    syn_worker *first = add(c, "w0", "p", 0, 2);
    assert_false(syn_pool_is_complete(first->pool));
    (void)add(c, "w1", "p", 1, 2);

    assert_true(syn_pool_is_complete(first->pool));
    assert_int_equal(syn_cluster_n_pools(c), 1);
    syn_cluster_free(c);
}

static void a_process_that_registers_again_is_the_same_one(void **state)
{
    (void)state;
    syn_cluster *c = syn_cluster_new();
    syn_worker *first = add(c, "w0", "p", 0, 2);

    assert_ptr_equal(add(c, "w0", "p", 0, 2), first);

    syn_worker_identity other = pool_rank("w0", "p", 1, 2);
    syn_worker *worker = NULL;
    assert_int_equal(syn_cluster_register(c, &other, 0, &worker), SYN_ALREADY_EXISTS);
    assert_int_equal(syn_cluster_n_workers(c), 1);
    syn_cluster_free(c);
}

static void a_rank_of_a_pool_belongs_to_one_process(void **state)
{
    (void)state;
    syn_cluster *c = syn_cluster_new();
    syn_worker *worker = NULL;
    (void)add(c, "w0", "p", 0, 2);

    syn_worker_identity second = pool_rank("w9", "p", 0, 2);
    assert_int_equal(syn_cluster_register(c, &second, 0, &worker), SYN_ALREADY_EXISTS);
    assert_non_null(strstr(syn_error_message(), "process 100"));
    syn_worker_identity lying = pool_rank("w1", "p", 1, 3);
    assert_int_equal(syn_cluster_register(c, &lying, 0, &worker), SYN_INVALID_ARGUMENT);

    assert_int_equal(syn_cluster_n_workers(c), 1);
    syn_cluster_free(c);
}

static void impossible_identities_are_refused(void **state)
{
    (void)state;
    syn_cluster *c = syn_cluster_new();
    syn_worker *worker = NULL;
    char long_id[300];
    memset(long_id, 'x', sizeof long_id - 1);
    long_id[sizeof long_id - 1] = '\0';
    const syn_worker_identity bad[] = {
        pool_rank("", "p", 0, 1),        pool_rank(NULL, "p", 0, 1),
        pool_rank(long_id, "p", 0, 1),   pool_rank("w", long_id, 0, 1),
        pool_rank("w", "p", 0, 0),       pool_rank("w", "p", 4, 4),
        pool_rank("w", "p", 0, 1 << 30), pool_rank("w", "p", UINT32_MAX, UINT32_MAX),
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(syn_cluster_register(c, &bad[i], 0, &worker), SYN_INVALID_ARGUMENT);

    assert_int_equal(syn_cluster_n_workers(c), 0);
    assert_int_equal(syn_cluster_n_pools(c), 0);
    syn_cluster_free(c);
}

static void pools_together_are_bounded(void **state)
{
    (void)state;
    syn_cluster *c = syn_cluster_new();
    syn_worker *worker = NULL;
    (void)add(c, "w0", "p", 0, SYN_CLUSTER_MAX_RANKS - 1);

    syn_worker_identity more = pool_rank("w1", "q", 0, 2);
    assert_int_equal(syn_cluster_register(c, &more, 0, &worker), SYN_RESOURCE_EXHAUSTED);

    (void)add(c, "w2", "r", 0, 1);
    syn_cluster_free(c);
}

static void only_a_rank_without_a_session_can_be_lost(void **state)
{
    (void)state;
    syn_cluster *c = syn_cluster_new();
    int session;
    syn_worker *first = add(c, "w0", "p", 0, 2), *second = add(c, "w1", "p", 1, 2);
    syn_cluster_attach(first, &session, 100);
    syn_cluster_attach(second, &session, 100);

    assert_null(syn_pool_lost_rank(first->pool, 1000000, 10));
    syn_cluster_attach(second, NULL, 2000000);
    assert_null(syn_pool_lost_rank(first->pool, 2000010, 10));
    assert_ptr_equal(syn_pool_lost_rank(first->pool, 2000011, 10), second);

    syn_cluster_free(c);
}

static void a_pool_goes_with_its_last_rank(void **state)
{
    (void)state;
    syn_cluster *c = syn_cluster_new();
    syn_worker *first = add(c, "w0", "p", 0, 2), *second = add(c, "w1", "p", 1, 2);
    (void)add(c, "w2", "q", 0, 1);

    syn_cluster_remove(c, first);
    assert_int_equal(syn_cluster_n_pools(c), 2);
    syn_cluster_remove(c, second);

    assert_int_equal(syn_cluster_n_pools(c), 1);
    assert_null(syn_cluster_find_pool(c, "p"));
    assert_non_null(syn_cluster_find_pool(c, "q"));
    assert_non_null(syn_cluster_find(c, "w2"));
    assert_null(syn_cluster_find(c, "w0"));
    syn_cluster_free(c);
}

static void a_report_tells_when_the_rank_last_moved(void **state)
{
    (void)state;
    syn_cluster *c = syn_cluster_new();
    syn_worker *worker = add(c, "w0", "p", 0, 1);
    syn_rank_status status = {.step = 1, .phase = SYN_PHASE_FORWARD};

    syn_cluster_report(worker, &status, 10);
    syn_cluster_report(worker, &status, 20);

    assert_int_equal(worker->phase_change_ns, 10);
    assert_int_equal(worker->contact_ns, 20);
    syn_cluster_free(c);
}

static void a_failed_allocation_registers_nothing(void **state)
{
    (void)state;
    for (long n = 1;; n++) {
        syn_cluster *c = syn_cluster_new();
        syn_worker *worker = NULL;
        syn_worker_identity who = pool_rank("w0", "p", 0, 4);
        syn_mem_fail_after(n);
        syn_status status = syn_cluster_register(c, &who, 0, &worker);
        bool has_failed = syn_mem_has_failed();
        syn_mem_fail_after(0);
        if (has_failed) {
            assert_int_equal(status, SYN_RESOURCE_EXHAUSTED);
            assert_int_equal(syn_cluster_n_workers(c), 0);
            assert_int_equal(syn_cluster_n_pools(c), 0);
        }
        syn_cluster_free(c);
        if (!has_failed)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pool_is_complete_when_all_its_ranks_have_registered),
        cmocka_unit_test(a_process_that_registers_again_is_the_same_one),
        cmocka_unit_test(a_rank_of_a_pool_belongs_to_one_process),
        cmocka_unit_test(impossible_identities_are_refused),
        cmocka_unit_test(pools_together_are_bounded),
        cmocka_unit_test(only_a_rank_without_a_session_can_be_lost),
        cmocka_unit_test(a_pool_goes_with_its_last_rank),
        cmocka_unit_test(a_report_tells_when_the_rank_last_moved),
        cmocka_unit_test(a_failed_allocation_registers_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
