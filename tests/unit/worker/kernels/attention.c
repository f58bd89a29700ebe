/* Attention kernels: fast against readable loops in every layout, with masks and dropout. */
#include "worker/kernels/attention.h"
#include "tests/unit/worker/kernels/arrays.h"
#include "worker/kernels/workspace.h"
#include <string.h>

typedef struct shape {
    int64_t batch, heads, queries, keys, head_dim;
    bool causal, packed, dropout;
} shape;

static const shape shapes[] = {
    {1, 1, 1, 1, 1, false, false, false},   {2, 3, 5, 5, 4, true, false, false},
    {2, 2, 7, 7, 8, true, true, false},     {1, 2, 3, 9, 5, false, false, false},
    {1, 2, 9, 3, 5, true, false, false},    {3, 4, 64, 64, 32, true, true, false},
    {2, 2, 17, 17, 16, false, true, true},  {2, 2, 33, 33, 8, true, false, true},
    {1, 1, 130, 130, 64, true, true, true},
};

static syn_attention_dims dims_of(const shape *s)
{
    int64_t d = s->head_dim, width = s->heads * d;
    syn_attention_strides plain_q = {s->heads * s->queries * d, s->queries * d, d};
    syn_attention_strides plain_k = {s->heads * s->keys * d, s->keys * d, d};
    syn_attention_strides packed = {s->queries * 3 * width, d, 3 * width};
    syn_attention_dims a = {s->batch, s->heads, s->queries,          s->keys,  d, plain_q, plain_k,
                            plain_k,  plain_q,  1 / sqrt((double)d), s->causal};
    if (s->packed) {
        a.q = a.k = a.v = packed;
        a.o = (syn_attention_strides){s->queries * width, d, width};
    }
    return a;
}

/* The three arrays of one packed block, or of three plain ones put behind each other. */
typedef struct thirds {
    char *q, *k, *v;
} thirds;

static thirds thirds_of(const shape *s, int type, void *block)
{
    size_t size = type == F32 ? sizeof(float) : sizeof(double);
    int64_t width = s->heads * s->head_dim;
    int64_t first = s->packed ? width : s->batch * s->queries * width;
    int64_t second = s->packed ? 2 * width : first + s->batch * s->keys * width;
    char *q = block;
    return (thirds){q, q + (size_t)first * size, q + (size_t)second * size};
}

static void compare(int type, const shape *s)
{
    syn_attention_dims d = dims_of(s);
    int64_t n_q = s->batch * s->queries * s->heads * s->head_dim;
    int64_t n = n_q + 2 * s->batch * s->keys * s->heads * s->head_dim;
    int64_t n_p = s->batch * s->heads * s->queries * s->keys;
    void *block = array_random(type, n, 1), *grad = array_random(type, n_q, 2);
    void *drop = s->dropout ? array_random(type, n_p, 3) : NULL, *o[2], *p[2], *back[2];
    thirds in = thirds_of(s, type, block);
    for (int64_t i = 0; drop && i < n_p; i++)
        array_set(type, drop, i, array_at(type, drop, i) < -0.5 ? 0 : 4.0 / 3);

    for (int fast = 0; fast < 2; fast++) {
        const syn_attention_kernels *k = &(fast ? syn_attention_cpu : syn_attention_ref)[type];
        o[fast] = array_new(type, n_q);
        p[fast] = array_new(type, n_p);
        back[fast] = array_new(type, n);
        thirds out = thirds_of(s, type, back[fast]);
        assert_int_equal(
            k->forward(&d, &(syn_attention_forward){in.q, in.k, in.v, drop, o[fast], p[fast]}),
            SYN_OK);
        assert_int_equal(k->backward(&d, &(syn_attention_backward){in.q, in.k, in.v, drop, p[0],
                                                                   grad, out.q, out.k, out.v}),
                         SYN_OK);
    }

    assert_arrays_close(type, p[1], p[0], n_p, 32);
    assert_arrays_close(type, o[1], o[0], n_q, 64);
    assert_arrays_close(type, back[1], back[0], n, 128);
    for (int fast = 0; fast < 2; fast++) {
        free(o[fast]);
        free(p[fast]);
        free(back[fast]);
    }
    free(block);
    free(grad);
    free(drop);
}

static void fast_kernels_agree_with_the_loops(void **state)
{
    (void)state;
    for (int type = F32; type < N_TYPES; type++)
        for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++)
            compare(type, &shapes[i]);
}

static void a_causal_query_sees_no_later_key(void **state)
{
    (void)state;
    const float q[] = {1, 1, 1}, k[] = {0.5F, 2, -1}, v[] = {1, 10, 100};
    float o[3], p[9];
    const shape s = {1, 1, 3, 3, 1, true, false, false};
    syn_attention_dims d = dims_of(&s);

    syn_attention_cpu[F32].forward(&d, &(syn_attention_forward){q, k, v, NULL, o, p});

    assert_true(o[0] == 1 && p[0] == 1);
    assert_true(p[1] == 0 && p[2] == 0 && p[5] == 0);
}

static void no_keys_or_no_queries_do_nothing(void **state)
{
    (void)state;
    const shape s = {2, 2, 0, 0, 4, true, false, false};
    syn_attention_dims d = dims_of(&s);

    assert_int_equal(syn_attention_cpu[F32].forward(&d, &(syn_attention_forward){0}), SYN_OK);
    assert_int_equal(syn_attention_cpu[F32].backward(&d, &(syn_attention_backward){0}), SYN_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fast_kernels_agree_with_the_loops),
        cmocka_unit_test(a_causal_query_sees_no_later_key),
        cmocka_unit_test(no_keys_or_no_queries_do_nothing),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    syn_workspace_release();
    return failed;
}
