/* Normalisation kernels: fast against readable loops, and statistics that do not cancel. */
#include "worker/kernels/norm.h"
#include "tests/unit/worker/kernels/arrays.h"
#include "worker/kernels/workspace.h"

enum { LAYER, GROUP, BATCH, BATCH_EVALUATION, N_KINDS };

typedef struct outputs {
    void *y, *mean, *rstd, *grad_x, *grad_weight, *grad_bias;
} outputs;

static int64_t n_stats(int kind, const syn_norm_dims *d)
{
    return kind == LAYER ? d->n : kind == GROUP ? d->n * d->groups : d->channels;
}

static void run(int kind, const syn_norm_kernels *k, const syn_norm_dims *d,
                const syn_norm_forward *f, const syn_norm_backward *b)
{
    syn_status status = SYN_OK;
    if (kind == LAYER) {
        k->layer(d, f);
        status = k->layer_backward(d, b);
    } else if (kind == GROUP) {
        k->group(d, f);
        status = k->group_backward(d, b);
    } else {
        k->batch_stats(d, f->x, f->mean, f->rstd);
        k->batch_apply(d, f);
        status = k->batch_backward(d, kind == BATCH, b);
    }
    assert_int_equal(status, SYN_OK);
}

static void compare(int type, int kind, const syn_norm_dims *d, bool affine)
{
    int64_t n = d->n * d->channels * d->inner, stats = n_stats(kind, d), c = d->channels;
    void *x = array_random(type, n, 1), *grad = array_random(type, n, 2);
    void *weight = affine ? array_random(type, c, 3) : NULL;
    void *bias = affine ? array_random(type, c, 4) : NULL;
    outputs out[2];

    for (int fast = 0; fast < 2; fast++) {
        outputs *o = &out[fast];
        *o = (outputs){array_new(type, n), array_new(type, stats), array_new(type, stats),
                       array_new(type, n), array_new(type, c),     array_new(type, c)};
        run(kind, &(fast ? syn_norm_cpu : syn_norm_ref)[type], d,
            &(syn_norm_forward){x, weight, bias, 1e-5, o->y, o->mean, o->rstd},
            &(syn_norm_backward){grad, x, o->mean, o->rstd, weight, o->grad_x, o->grad_weight,
                                 o->grad_bias});
    }

    double rows = 16 * sqrt((double)(n + 1)); /* sums of up to n terms */
    assert_arrays_close(type, out[1].y, out[0].y, n, 64);
    assert_arrays_close(type, out[1].mean, out[0].mean, stats, 8);
    assert_arrays_close(type, out[1].rstd, out[0].rstd, stats, 64);
    assert_arrays_close(type, out[1].grad_x, out[0].grad_x, n, 64);
    assert_arrays_close(type, out[1].grad_weight, out[0].grad_weight, c, rows);
    assert_arrays_close(type, out[1].grad_bias, out[0].grad_bias, c, rows);
    for (int fast = 0; fast < 2; fast++) {
        void *all[] = {out[fast].y,      out[fast].mean,        out[fast].rstd,
                       out[fast].grad_x, out[fast].grad_weight, out[fast].grad_bias};
        for (int i = 0; i < 6; i++)
            free(all[i]);
    }
    free(x);
    free(grad);
    free(weight);
    free(bias);
}

static void fast_kernels_agree_with_the_loops(void **state)
{
    (void)state;
    const syn_norm_dims shapes[] = {{5, 8, 1, 2},  {3, 6, 7, 3},     {64, 128, 1, 1},
                                    {2, 4, 33, 4}, {300, 130, 1, 1}, {4, 16, 49, 8}};
    for (int type = F32; type < N_TYPES; type++)
        for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++)
            for (int kind = LAYER; kind < N_KINDS; kind++)
                for (int affine = 0; affine < 2; affine++) {
                    syn_norm_dims d = shapes[i];
                    if (kind == LAYER) { /* rows of `channels` elements */
                        d.n *= d.inner;
                        d.inner = 1;
                    }
                    compare(type, kind, &d, affine);
                }
}

static void no_rows_give_gradients_of_zero(void **state)
{
    (void)state;
    float grad_weight[3] = {NAN, NAN, NAN}, grad_bias[3] = {NAN, NAN, NAN};
    syn_norm_dims d = {0, 3, 1, 1};

    syn_norm_cpu[F32].layer_backward(
        &d, &(syn_norm_backward){.grad_weight = grad_weight, .grad_bias = grad_bias});

    for (int i = 0; i < 3; i++)
        assert_true(grad_weight[i] == 0 && grad_bias[i] == 0);
}

/* Values around 10^4 with deviations of 1: a sum of squares in f32 would have nothing left. */
static void variance_survives_a_large_mean(void **state)
{
    (void)state;
    enum { N = 1000 };
    float x[N], y[N], mean, rstd;
    for (int i = 0; i < N; i++)
        x[i] = 10000 + (float)(i % 2 ? 1 : -1);
    syn_norm_dims d = {1, N, 1, 1};

    syn_norm_cpu[F32].layer(&d, &(syn_norm_forward){.x = x, .y = y, .mean = &mean, .rstd = &rstd});

    assert_true(fabsf(mean - 10000) < 1e-3F && fabsf(rstd - 1) < 1e-5F);
    assert_true(fabsf(y[0] + 1) < 1e-3F && fabsf(y[1] - 1) < 1e-3F);
}

static void running_statistics_move_by_the_momentum(void **state)
{
    (void)state;
    const double stat[] = {10, 20};
    double running[] = {0, 1}, rstd[2];

    syn_norm_ref[F64].batch_track(2, (const double[]){0.1, 2}, stat, running);
    syn_norm_ref[F64].batch_rstd(2, 0.25, (const double[]){0, 2}, rstd);

    assert_true(fabs(running[0] - 2) < 1e-12 && fabs(running[1] - 4.9) < 1e-12);
    assert_true(fabs(rstd[0] - 2) < 1e-12 && fabs(rstd[1] - 1 / 1.5) < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fast_kernels_agree_with_the_loops),
        cmocka_unit_test(no_rows_give_gradients_of_zero),
        cmocka_unit_test(variance_survives_a_large_mean),
        cmocka_unit_test(running_statistics_move_by_the_momentum),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    syn_workspace_release();
    return failed;
}
