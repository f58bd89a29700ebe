/* Drawn digits: pure functions of (seed, index), all classes, ink where a digit would have it. */
#include "worker/data/digits.h"

#include "tests/unit/worker/data/support.h"

static void a_digit_depends_on_seed_and_index_alone(void **state)
{
    uint8_t a[SYN_DIGITS_PIXELS], b[SYN_DIGITS_PIXELS];
    (void)state;

    syn_digits_render(7, 41, a);
    syn_digits_render(7, 42, b);
    assert_memory_not_equal(a, b, sizeof a);
    syn_digits_render(8, 41, b);
    assert_memory_not_equal(a, b, sizeof a);
    syn_digits_render(7, 41, b);
    assert_memory_equal(a, b, sizeof a);
}

static void every_digit_occurs_about_as_often(void **state)
{
    int counts[10] = {0};
    (void)state;

    for (uint64_t i = 0; i < 5000; i++)
        counts[syn_digits_label(3, i)]++;

    for (int digit = 0; digit < 10; digit++)
        assert_in_range(counts[digit], 400, 600);
}

static void the_ink_lies_inside_the_frame_and_covers_a_stroke(void **state)
{
    uint8_t pixels[SYN_DIGITS_PIXELS];
    (void)state;

    for (uint64_t i = 0; i < 300; i++) {
        int n_ink = 0, n_border = 0;
        syn_digits_render(5, i, pixels);
        for (int k = 0; k < SYN_DIGITS_PIXELS; k++) {
            int row = k / SYN_DIGITS_SIDE, column = k % SYN_DIGITS_SIDE;
            int is_ink = pixels[k] > 100;
            n_ink += is_ink;
            n_border += is_ink && (row == 0 || row == 27 || column == 0 || column == 27);
        }
        assert_in_range(n_ink, 8, 400);
        assert_in_range(n_border, 0, 16);
    }
}

static void every_digit_can_be_written_in_several_ways(void **state)
{
    int n_ways[10] = {0};
    (void)state;

    for (int i = 0; i < syn_n_digit_glyphs; i++)
        n_ways[syn_digit_glyphs[i].digit]++;

    for (int digit = 0; digit < 10; digit++)
        assert_in_range(n_ways[digit], 3, 16);
}

/* Digits of one class resemble their own mean more than the other means: a nearest-mean classifier
 * is far above chance but far from perfect. */
static void classes_can_be_told_apart_but_not_by_their_means(void **state)
{
    enum { N = 2000 };
    static double means[10][SYN_DIGITS_PIXELS];
    int counts[10] = {0}, n_right = 0;
    uint8_t pixels[SYN_DIGITS_PIXELS];
    (void)state;
    for (uint64_t i = 0; i < N; i++) {
        syn_digits_render(1, i, pixels);
        counts[syn_digits_label(1, i)]++;
        for (int k = 0; k < SYN_DIGITS_PIXELS; k++)
            means[syn_digits_label(1, i)][k] += pixels[k];
    }

    for (uint64_t i = N; i < N + 500; i++) {
        int best = -1;
        double best_distance = 0;
        syn_digits_render(1, i, pixels);
        for (int digit = 0; digit < 10; digit++) {
            double distance = 0;
            for (int k = 0; k < SYN_DIGITS_PIXELS; k++) {
                double d = means[digit][k] / counts[digit] - pixels[k];
                distance += d * d;
            }
            if (best < 0 || distance < best_distance) {
                best = digit;
                best_distance = distance;
            }
        }
        n_right += best == syn_digits_label(1, i);
    }

    assert_in_range(n_right, 300, 450);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_digit_depends_on_seed_and_index_alone),
        cmocka_unit_test(every_digit_occurs_about_as_often),
        cmocka_unit_test(the_ink_lies_inside_the_frame_and_covers_a_stroke),
        cmocka_unit_test(every_digit_can_be_written_in_several_ways),
        cmocka_unit_test(classes_can_be_told_apart_but_not_by_their_means),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
