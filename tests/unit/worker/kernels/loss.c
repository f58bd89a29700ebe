/* Element-wise losses: known values, fast against readable loops, slopes against differences. */
#include "worker/kernels/loss.h"
#include "tests/unit/worker/kernels/arrays.h"

enum { N_KINDS = SYN_LOSS_KL_DIV + 1 };

static void known_terms(void **state)
{
    (void)state;
    const struct {
        syn_loss_kind kind;
        double x, target, beta, want;
    } cases[] = {
        {SYN_LOSS_MSE, 3, 1, 1, 4},
        {SYN_LOSS_SMOOTH_L1, 3, 1, 1, 1.5},
        {SYN_LOSS_SMOOTH_L1, 1.25, 1, 0.5, 0.0625},
        {SYN_LOSS_BCE_WITH_LOGITS, 0, 0.3, 1, 0.69314718055994531},
        {SYN_LOSS_BCE_WITH_LOGITS, -1000, 1, 1, 1000},
        {SYN_LOSS_KL_DIV, -1, 0, 1, 0},
        {SYN_LOSS_KL_DIV, -1, 1, 1, 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        syn_loss_args a = {cases[i].kind, 1, cases[i].beta, &cases[i].x, &cases[i].target};

        assert_true(fabs(syn_loss_cpu[F64].sum(&a) - cases[i].want) < 1e-14);
        assert_true(fabs(syn_loss_ref[F64].sum(&a) - cases[i].want) < 1e-14);
    }
}

static void fast_kernels_agree_with_the_loops(void **state)
{
    (void)state;
    const int64_t sizes[] = {0, 1, 7, 8192, 50000};
    for (int type = F32; type < N_TYPES; type++)
        for (int kind = 0; kind < N_KINDS; kind++)
            for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
                int64_t n = sizes[s];
                void *x = array_random(type, n, 1), *target = array_random(type, n, 2);
                void *back[] = {array_new(type, n), array_new(type, n)};
                syn_loss_args a = {(syn_loss_kind)kind, n, 0.5, x, target};

                double want = syn_loss_ref[type].sum(&a), got = syn_loss_cpu[type].sum(&a);
                syn_loss_ref[type].backward(&a, 3, back[0]);
                syn_loss_cpu[type].backward(&a, 3, back[1]);

                assert_true(fabs(got - want) <= 1e-12 * (1 + fabs(want)));
                assert_arrays_close(type, back[1], back[0], n, 4);
                free(x);
                free(target);
                free(back[0]);
                free(back[1]);
            }
}

static void slopes_are_the_derivatives_of_terms(void **state)
{
    (void)state;
    for (int kind = 0; kind < N_KINDS; kind++)
        for (double x = -2.03; x < 2; x += 0.17) {
            double target = 0.4, slope, high = x + 1e-6, low = x - 1e-6;
            syn_loss_args a = {(syn_loss_kind)kind, 1, 0.5, &x, &target};
            syn_loss_args above = {(syn_loss_kind)kind, 1, 0.5, &high, &target};
            syn_loss_args below = {(syn_loss_kind)kind, 1, 0.5, &low, &target};

            syn_loss_cpu[F64].backward(&a, 1, &slope);

            double difference =
                (syn_loss_cpu[F64].sum(&above) - syn_loss_cpu[F64].sum(&below)) / 2e-6;
            assert_true(fabs(slope - difference) < 1e-8);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_terms),
        cmocka_unit_test(fast_kernels_agree_with_the_loops),
        cmocka_unit_test(slopes_are_the_derivatives_of_terms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
