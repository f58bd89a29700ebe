/* Convolution kernels: fast against readable loops, and values known by hand. */
#include "worker/kernels/conv.h"
#include "tests/unit/worker/kernels/arrays.h"
#include "worker/kernels/backend.h"
#include "worker/kernels/cpu/conv_paths.h"
#include "worker/kernels/workspace.h"
#include <omp.h>

/* Extents of x and w and the options, from which the output's follow. */
typedef struct shape {
    int64_t n, c_in, h, w, c_out, kh, kw, stride, padding, dilation, groups;
} shape;

static syn_conv_dims dims_of(shape s)
{
    syn_conv_dims d = {.n = s.n,
                       .c_in = s.c_in,
                       .h_in = s.h,
                       .w_in = s.w,
                       .c_out = s.c_out,
                       .kh = s.kh,
                       .kw = s.kw,
                       .stride = {s.stride, s.stride},
                       .padding = {s.padding, s.padding},
                       .dilation = {s.dilation, s.dilation},
                       .groups = s.groups};
    d.h_out = (s.h + 2 * s.padding - s.dilation * (s.kh - 1) - 1) / s.stride + 1;
    d.w_out = (s.w + 2 * s.padding - s.dilation * (s.kw - 1) - 1) / s.stride + 1;
    return d;
}

static const shape shapes[] = {
    {1, 1, 5, 5, 1, 3, 3, 1, 0, 1, 1},     {2, 3, 8, 7, 4, 3, 2, 1, 1, 1, 1},
    {2, 1, 28, 28, 6, 5, 5, 1, 2, 1, 1},   {3, 6, 14, 14, 16, 5, 5, 1, 0, 1, 1},
    {2, 4, 9, 9, 8, 1, 1, 1, 0, 1, 1},     {2, 4, 9, 9, 8, 1, 1, 2, 0, 1, 1},
    {2, 4, 9, 11, 6, 3, 3, 2, 1, 1, 2},    {2, 8, 9, 9, 8, 3, 3, 1, 1, 1, 8},
    {1, 3, 12, 12, 5, 3, 3, 1, 2, 2, 1},   {1, 2, 10, 10, 3, 2, 2, 3, 0, 1, 1},
    {1, 2, 4, 4, 3, 3, 3, 2, 4, 1, 1},     {1, 33, 9, 10, 35, 3, 3, 1, 1, 1, 1},
    {1, 64, 14, 14, 32, 3, 3, 1, 1, 1, 1}, {4, 16, 6, 6, 16, 3, 3, 2, 1, 1, 4},
    {1, 1, 3, 3, 1, 3, 3, 1, 0, 1, 1},     {2, 20, 7, 7, 24, 7, 7, 1, 3, 1, 1},
};

/* Winograd's transforms lose a few bits more than plain sums. */
static double tolerance_of(const syn_conv_dims *d, int64_t n_terms)
{
    return (d->kh == 3 && d->c_in >= 32 ? 64 : 8) * sqrt((double)n_terms);
}

static void compare(int type, const syn_conv_dims *d)
{
    int64_t n_x = d->n * d->c_in * d->h_in * d->w_in, n_y = d->n * d->c_out * d->h_out * d->w_out;
    int64_t n_w = d->c_out * (d->c_in / d->groups) * d->kh * d->kw;
    void *x = array_random(type, n_x, 1), *w = array_random(type, n_w, 2);
    void *bias = array_random(type, d->c_out, 3), *grad = array_random(type, n_y, 4);
    const syn_conv_kernels *ref = &syn_conv_ref[type], *cpu = &syn_conv_cpu[type];
    void *want[] = {array_new(type, n_y), array_new(type, n_y), array_new(type, n_x),
                    array_new(type, n_w)};
    void *got[] = {array_new(type, n_y), array_new(type, n_y), array_new(type, n_x),
                   array_new(type, n_w)};
    const int64_t sizes[] = {n_y, n_y, n_x, n_w};

    for (int fast = 0; fast < 2; fast++) {
        const syn_conv_kernels *k = fast ? cpu : ref;
        void **out = fast ? got : want;
        assert_int_equal(k->forward(d, x, w, bias, out[0]), SYN_OK);
        assert_int_equal(k->forward(d, x, w, NULL, out[1]), SYN_OK);
        assert_int_equal(k->grad_input(d, grad, w, out[2]), SYN_OK);
        assert_int_equal(k->grad_weight(d, grad, x, out[3]), SYN_OK);
    }

    const int64_t terms[] = {n_w / d->c_out, n_w / d->c_out, n_w / d->c_in * d->groups,
                             n_y / d->c_out};
    for (int i = 0; i < 4; i++) {
        assert_arrays_close(type, got[i], want[i], sizes[i], tolerance_of(d, terms[i] + 1));
        free(got[i]);
        free(want[i]);
    }
    free(x);
    free(w);
    free(bias);
    free(grad);
}

static void fast_kernels_agree_with_the_loops(void **state)
{
    (void)state;
    for (int type = F32; type < N_TYPES; type++)
        for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
            syn_conv_dims d = dims_of(shapes[i]);
            compare(type, &d);
        }
}

static void extents_larger_than_needed_are_allowed_for_transposed_convolutions(void **state)
{
    (void)state;
    for (int type = F32; type < N_TYPES; type++)
        for (int64_t more = 0; more < 3; more++) {
            syn_conv_dims d = dims_of((shape){2, 5, 9, 9, 4, 3, 3, 3, 1, 1, 1});
            d.h_in += more; /* output_padding: rows that no window reaches */
            compare(type, &d);
        }
}

static void empty_extents_give_the_bias_or_zero(void **state)
{
    (void)state;
    for (int type = F32; type < N_TYPES; type++) {
        syn_conv_dims no_batch = dims_of((shape){0, 2, 5, 5, 3, 3, 3, 1, 1, 1, 1});
        syn_conv_dims no_input = dims_of((shape){2, 0, 5, 5, 3, 3, 3, 1, 1, 1, 1});
        compare(type, &no_batch);
        no_input.groups = 1;
        void *bias = array_random(type, 3, 1), *y = array_new(type, 2 * 3 * 25);

        assert_int_equal(syn_conv_cpu[type].forward(&no_input, NULL, NULL, bias, y), SYN_OK);

        for (int64_t i = 0; i < 2 * 3 * 25; i++)
            assert_true(array_at(type, y, i) == array_at(type, bias, i / 25 % 3));
        free(bias);
        free(y);
    }
}

static void a_known_cross_correlation(void **state)
{
    (void)state;
    const double x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, w[] = {1, 0, 0, -1}, want[] = {-4, -4, -4, -4};
    syn_conv_dims d = dims_of((shape){1, 1, 3, 3, 1, 2, 2, 1, 0, 1, 1});
    for (int type = F32; type < N_TYPES; type++)
        for (int fast = 0; fast < 2; fast++) {
            void *a = array_of(type, 9, x), *b = array_of(type, 4, w), *y = array_new(type, 4);
            void *expected = array_of(type, 4, want);

            assert_int_equal((fast ? syn_conv_cpu : syn_conv_ref)[type].forward(&d, a, b, NULL, y),
                             SYN_OK);

            assert_arrays_close(type, y, expected, 4, 0);
            free(a);
            free(b);
            free(y);
            free(expected);
        }
}

/* The three kernels are derivatives of one trilinear form: <conv(x, w), y> = <x, grad_input> = <w,
 * grad_weight>. */
static void gradients_are_adjoint_to_the_product(void **state)
{
    (void)state;
    syn_conv_dims d = dims_of((shape){2, 6, 9, 8, 4, 3, 2, 2, 1, 1, 2});
    int64_t n_x = 2 * 6 * 9 * 8, n_w = 4 * 3 * 3 * 2, n_y = d.n * d.c_out * d.h_out * d.w_out;
    double *x = array_random(F64, n_x, 1), *w = array_random(F64, n_w, 2);
    double *y = array_random(F64, n_y, 3), *out = array_new(F64, n_y);
    double *grad_x = array_new(F64, n_x), *grad_w = array_new(F64, n_w), sums[3] = {0, 0, 0};

    syn_conv_cpu[F64].forward(&d, x, w, NULL, out);
    syn_conv_cpu[F64].grad_input(&d, y, w, grad_x);
    syn_conv_cpu[F64].grad_weight(&d, y, x, grad_w);

    for (int64_t i = 0; i < n_y; i++)
        sums[0] += out[i] * y[i];
    for (int64_t i = 0; i < n_x; i++)
        sums[1] += grad_x[i] * x[i];
    for (int64_t i = 0; i < n_w; i++)
        sums[2] += grad_w[i] * w[i];
    assert_true(fabs(sums[0] - sums[1]) < 1e-11 && fabs(sums[0] - sums[2]) < 1e-11);
    free(x);
    free(w);
    free(y);
    free(out);
    free(grad_x);
    free(grad_w);
}

/* The three results of one shape with so many threads. */
static void run_with(int n_threads, const syn_conv_dims *d, float *const arrays[4],
                     float *const out[3])
{
    int before = omp_get_max_threads();
    omp_set_num_threads(n_threads);
    assert_int_equal(syn_conv_cpu[F32].forward(d, arrays[0], arrays[1], arrays[2], out[0]), SYN_OK);
    assert_int_equal(syn_conv_cpu[F32].grad_input(d, arrays[3], arrays[1], out[1]), SYN_OK);
    assert_int_equal(syn_conv_cpu[F32].grad_weight(d, arrays[3], arrays[0], out[2]), SYN_OK);
    omp_set_num_threads(before);
    syn_conv_dnnl_clear(); /* plans are made for the threads there are */
}

static void results_do_not_depend_on_the_number_of_threads(void **state)
{
    (void)state;
    const shape few[] = {
        {16, 1, 28, 28, 6, 5, 5, 1, 2, 1, 1},   {16, 6, 14, 14, 16, 5, 5, 1, 0, 1, 1},
        {16, 20, 16, 16, 32, 3, 3, 1, 1, 1, 1}, {8, 64, 14, 14, 64, 3, 3, 1, 1, 1, 1},
        {8, 32, 12, 12, 32, 3, 3, 2, 1, 1, 1},  {8, 32, 16, 16, 64, 1, 1, 1, 0, 1, 1},
        {7, 12, 15, 15, 24, 3, 3, 1, 1, 1, 3}};
    syn_kernels_reproducible = 1;
    for (size_t i = 0; i < sizeof(few) / sizeof(*few); i++) {
        syn_conv_dims d = dims_of(few[i]);
        int64_t n_y = d.n * d.c_out * d.h_out * d.w_out, n_x = d.n * d.c_in * d.h_in * d.w_in;
        int64_t n_w = d.c_out * (d.c_in / d.groups) * d.kh * d.kw;
        const int64_t sizes[] = {n_y, n_x, n_w};
        float *arrays[] = {array_random(F32, n_x, 1), array_random(F32, n_w, 2),
                           array_random(F32, d.c_out, 3), array_random(F32, n_y, 4)};
        float *out[2][3];
        for (int k = 0; k < 3; k++)
            for (int run = 0; run < 2; run++)
                out[run][k] = array_new(F32, sizes[k]);
        run_with(1, &d, arrays, out[0]);

        for (int n_threads = 2; n_threads <= 5; n_threads += 3) {
            run_with(n_threads, &d, arrays, out[1]);

            for (int k = 0; k < 3; k++)
                assert_memory_equal(out[1][k], out[0][k], (size_t)sizes[k] * sizeof(float));
        }
        for (int k = 0; k < 3; k++) {
            free(out[0][k]);
            free(out[1][k]);
        }
        for (int k = 0; k < 4; k++)
            free(arrays[k]);
    }
    syn_kernels_reproducible = 0;
}

/* More shapes than the cache holds: plans are replaced and remade. */
static void many_shapes_pass_through_the_cache(void **state)
{
    (void)state;
    for (int64_t round = 0; round < 2; round++)
        for (int64_t h = 3; h < 23; h++)
            for (int64_t w = 3; w < 30; w++) {
                syn_conv_dims d = dims_of((shape){1, 1, h, w, 1, 3, 3, 1, 0, 1, 1});
                float *x = array_random(F32, h * w, 1), *k = array_random(F32, 9, 2), y[21 * 28];
                float want[21 * 28];

                assert_int_equal(
                    syn_conv_dnnl(SYN_CONV_FORWARD, &d, &(syn_conv_arrays){x, k, NULL, y}), SYN_OK);

                syn_conv_ref[F32].forward(&d, x, k, NULL, want);
                assert_arrays_close(F32, y, want, (h - 2) * (w - 2), 16);
                free(x);
                free(k);
            }
    syn_conv_dnnl_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fast_kernels_agree_with_the_loops),
        cmocka_unit_test(extents_larger_than_needed_are_allowed_for_transposed_convolutions),
        cmocka_unit_test(empty_extents_give_the_bias_or_zero),
        cmocka_unit_test(a_known_cross_correlation),
        cmocka_unit_test(gradients_are_adjoint_to_the_product),
        cmocka_unit_test(results_do_not_depend_on_the_number_of_threads),
        cmocka_unit_test(many_shapes_pass_through_the_cache),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    syn_workspace_release();
    return failed;
}
