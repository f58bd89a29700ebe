/* Dropout: its rate, its scale, its repetition by key; and embeddings' checks of their index. */
#include "tests/unit/worker/tensor/support.h"

#include <omp.h>

static int reset(void **state)
{
    (void)state;
    syn_clear_error();
    return 0;
}

static void dropout_keeps_about_the_asked_for_share_and_scales_it(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_manual_seed(3);
        const int n = 100000;
        syn_tensor *y = syn_dropout(syn_ones(SYN_SHAPE(n), SYN_F32), 0.2, true);
        const float *values = syn_tensor_data(y);
        int n_kept = 0;
        for (int i = 0; i < n; i++) {
            assert_true(values[i] == 0 || values[i] == 1.25F);
            n_kept += values[i] != 0;
        }
        assert_true(abs(n_kept - 80000) < 600);
    }
}

static void the_gradient_drops_the_same_elements(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_requires_grad(syn_ones(SYN_SHAPE(50, 7), SYN_F32));
        syn_tensor *y = syn_dropout(x, 0.5, true);
        assert_int_equal(syn_backward(syn_sum(y)), SYN_OK);
        assert_memory_equal(syn_tensor_data(y), syn_tensor_data(syn_grad_of(x)), 350 * 4);
    }
}

static void dropout_does_not_depend_on_threads(void **state)
{
    int before = omp_get_max_threads();
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_ones(SYN_SHAPE(100001), SYN_F32), *y[2];
        for (int t = 0; t < 2; t++) {
            omp_set_num_threads(t ? 3 : 1);
            syn_manual_seed(3);
            y[t] = syn_dropout(x, 0.3, true);
        }
        assert_memory_equal(syn_tensor_data(y[0]), syn_tensor_data(y[1]), 100001 * 4);
    }
    omp_set_num_threads(before);
}

static void without_training_dropout_is_the_tensor_itself(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = F32(1, 2);
        assert_ptr_equal(syn_dropout(x, 0.5, false), x);
        assert_null(syn_dropout(x, 1.5, true));
        assert_sticks("probability 1.5 is outside [0, 1]");
        assert_null(syn_dropout(x, NAN, true));
        assert_sticks("is outside [0, 1]");
        ASSERT_VALUES(syn_dropout(x, 1, true), 0, 0);
    }
}

static void an_index_outside_the_table_is_named(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *table = syn_reshape(syn_arange(6, SYN_F32), SYN_SHAPE(3, 2));
        ASSERT_VALUES(syn_embedding(table, I64(2, 0)), 4, 5, 0, 1);
        ASSERT_VALUES(syn_embedding(table, syn_ones(SYN_SHAPE(1), SYN_U8)), 2, 3);
        assert_null(syn_embedding(table, I64(0, 3)));
        assert_sticks("index 3 (element 1) is outside a table of 3 rows");
        assert_null(syn_embedding(table, I64(-1)));
        assert_sticks("index -1 (element 0)");
    }
}

static void rows_used_twice_add_their_gradients(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *table = syn_requires_grad(syn_zeros(SYN_SHAPE(3, 2), SYN_F32));
        assert_int_equal(syn_backward(syn_sum(syn_embedding(table, I64(1, 1, 2)))), SYN_OK);
        ASSERT_VALUES(syn_grad_of(table), 0, 0, 2, 2, 1, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(dropout_keeps_about_the_asked_for_share_and_scales_it, reset),
        cmocka_unit_test_setup(the_gradient_drops_the_same_elements, reset),
        cmocka_unit_test_setup(dropout_does_not_depend_on_threads, reset),
        cmocka_unit_test_setup(without_training_dropout_is_the_tensor_itself, reset),
        cmocka_unit_test_setup(an_index_outside_the_table_is_named, reset),
        cmocka_unit_test_setup(rows_used_twice_add_their_gradients, reset),
    };
    return cmocka_run_group_tests_name("worker/ops/random", tests, NULL, NULL);
}
