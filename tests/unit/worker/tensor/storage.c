/* Storage: blocks that are handed out never overlap, whatever was released before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <syncline/tensor.h>

enum { N = 64 };

/* A tensor of `n` bytes, all of them `mark`, owned by the caller. */
static syn_tensor *marked(int64_t n, unsigned char mark)
{
    syn_tensor *tensor = NULL;

    SYN_SCOPE {
        tensor = syn_keep(syn_empty(SYN_SHAPE(n), SYN_U8));
    }
    assert_non_null(tensor);
    memset(syn_tensor_data(tensor), mark, (size_t)n);
    return tensor;
}

static void expect_mark(const syn_tensor *tensor, unsigned char mark)
{
    const unsigned char *bytes = syn_tensor_data(tensor);

    for (int64_t i = 0; i < syn_tensor_numel(tensor); i++)
        assert_int_equal(bytes[i], mark);
}

/* Data may come to lie right behind its own header, as it does where both are carved one after the
 * other: it still is a block of its own. */
static void data_that_happens_to_follow_its_header_is_freed_as_its_own_block(void **state)
{
    syn_tensor *tensors[N];
    (void)state;

    for (int64_t size = 16384; size <= 65536; size *= 2) {
        for (int i = 0; i < N; i++)
            tensors[i] = marked(size, (unsigned char)i);
        for (int i = 0; i < N; i += 2)
            syn_tensor_unref(tensors[i]);
        for (int i = 0; i < N; i += 2)
            tensors[i] = marked(size + size / 4, (unsigned char)(100 + i));
        for (int i = 0; i < N; i++)
            expect_mark(tensors[i], (unsigned char)(i % 2 ? i : 100 + i));
        for (int i = 0; i < N; i++)
            syn_tensor_unref(tensors[i]);
    }
}

static int n_released;

static void count_release(void *data)
{
    (void)data;
    n_released++;
}

/* The caller's memory goes back to the caller wherever it lies. */
static void wrapped_memory_is_released_by_its_owner(void **state)
{
    static char memory[4096];
    (void)state;
    n_released = 0;

    for (int i = 0; i < 64; i++) {
        SYN_SCOPE {
            assert_non_null(syn_wrap_data(memory + 64 * i, SYN_SHAPE(64), SYN_U8, count_release));
        }
    }

    assert_int_equal(n_released, 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_that_happens_to_follow_its_header_is_freed_as_its_own_block),
        cmocka_unit_test(wrapped_memory_is_released_by_its_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
