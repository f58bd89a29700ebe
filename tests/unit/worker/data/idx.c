/* IDX files: what is read, and the sentence for each way in which a file can be wrong. */
#include "worker/data/idx.h"

#include "tests/unit/worker/data/support.h"

static const int64_t dims[3] = {4, 3, 2};

static void plain_and_gzip_files_give_the_same_bytes(void **state)
{
    char *folder = make_folder();
    syn_str bytes = idx_bytes(3, dims, 7, 251);
    syn_idx plain, gzip;
    (void)state;
    write_file(folder, "a", bytes.data, bytes.length);
    write_gzip(folder, "b.gz", bytes.data, bytes.length);

    assert_int_equal(syn_idx_open(folder, "a", 3, &plain), SYN_OK);
    assert_int_equal(syn_idx_open(folder, "b", 3, &gzip), SYN_OK);

    assert_true(plain.is_mapped);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(plain.dims[i], dims[i]);
        assert_int_equal(gzip.dims[i], dims[i]);
    }
    assert_int_equal(plain.data[0], 7);
    assert_memory_equal(plain.data, gzip.data, 24);
    syn_idx_release(&plain);
    syn_idx_release(&gzip);
    syn_str_release(&bytes);
    remove_folder(folder);
}

/* Opens the bytes as a plain file (and as .gz) and expects the sentence. */
static void expect_refusal(const void *bytes, size_t n, int ndim, const char *says)
{
    char *folder = make_folder();
    syn_idx idx;

    write_file(folder, "plain", bytes, n);
    write_gzip(folder, "packed.gz", bytes, n);
    assert_int_not_equal(syn_idx_open(folder, "plain", ndim, &idx), SYN_OK);
    assert_error_says(says);
    assert_error_says("/plain: ");
    assert_int_not_equal(syn_idx_open(folder, "packed", ndim, &idx), SYN_OK);
    assert_error_says("/packed.gz: ");
    remove_folder(folder);
}

static void other_magic_is_refused(void **state)
{
    (void)state;

    expect_refusal("\x89PNG....", 8, 3, "is not an IDX file: it begins with 89 50 4e 47");
}

static void other_element_types_are_refused_by_name(void **state)
{
    const uint8_t bytes[] = {0, 0, 0x0d, 1, 0, 0, 0, 1, 0, 0, 0, 0};
    (void)state;

    expect_refusal(bytes, sizeof bytes, 1, "element type 0x0d (float), only 0x08 (unsigned byte)");
}

static void another_number_of_dimensions_is_refused(void **state)
{
    syn_str bytes = idx_bytes(1, dims, 0, 10);
    (void)state;

    expect_refusal(bytes.data, bytes.length, 3, "has 1 dimensions, expected 3");
    syn_str_release(&bytes);
}

static void a_header_cut_short_is_refused(void **state)
{
    syn_str bytes = idx_bytes(3, dims, 0, 10);
    (void)state;

    expect_refusal(bytes.data, 2, 3, "has 2 bytes, an IDX file begins with 4");
    expect_refusal(bytes.data, 9, 3, "has 9 bytes, its header needs 16");
    syn_str_release(&bytes);
}

static void a_truncated_or_longer_file_is_refused_with_both_sizes(void **state)
{
    syn_str bytes = idx_bytes(3, dims, 0, 10);
    (void)state;

    expect_refusal(bytes.data, bytes.length - 1, 3,
                   "has 39 bytes, its header promises 40 (4 items)");
    syn_str_append(&bytes, "x");
    expect_refusal(bytes.data, bytes.length, 3, "has 41 bytes, its header promises 40 (4 items)");
    syn_str_release(&bytes);
}

static void impossible_extents_are_refused(void **state)
{
    const uint8_t none[] = {0, 0, 8, 1, 0, 0, 0, 0};
    const uint8_t huge[] = {0, 0, 8, 3, 0xff, 0xff, 0xff, 0xff, 0, 0, 0x20, 0, 0, 0, 0, 1};
    (void)state;

    expect_refusal(none, sizeof none, 1, "dimension 0 is 0");
    expect_refusal(huge, sizeof huge, 3, "dimension 1 is 8192, it must be 1 to 4096");
}

static void a_header_that_promises_terabytes_allocates_nothing(void **state)
{
    const uint8_t bytes[] = {0, 0, 8, 3, 0xff, 0xff, 0xff, 0xff, 0, 0, 0x10, 0, 0, 0, 0x10, 0};
    (void)state;

    expect_refusal(bytes, sizeof bytes, 3, "its header promises 72057594021150736");
}

static void damaged_gzip_is_refused(void **state)
{
    char *folder = make_folder();
    syn_str bytes = idx_bytes(3, (int64_t[]){40, 16, 16}, 3, 250);
    char *packed = NULL;
    size_t size = 0;
    syn_idx idx;
    (void)state;
    write_gzip(folder, "a.gz", bytes.data, bytes.length);
    char *path = syn_path_join(folder, "a.gz");
    assert_int_equal(syn_file_read(path, 1 << 20, &packed, &size), SYN_OK);

    write_file(folder, "a.gz", packed, size / 2);
    assert_int_equal(syn_idx_open(folder, "a", 3, &idx), SYN_DATA_LOSS);
    packed[size - 6] ^= 1; /* the checksum */
    write_file(folder, "a.gz", packed, size);
    assert_int_equal(syn_idx_open(folder, "a", 3, &idx), SYN_DATA_LOSS);

    assert_error_says("cannot be inflated");
    syn_free(packed);
    syn_free(path);
    syn_str_release(&bytes);
    remove_folder(folder);
}

static void a_missing_file_is_named_with_its_folder(void **state)
{
    char *folder = make_folder();
    syn_idx idx;
    (void)state;

    assert_int_equal(syn_idx_open(folder, "train-images-idx3-ubyte", 3, &idx), SYN_NOT_FOUND);

    assert_error_says("there is neither train-images-idx3-ubyte nor train-images-idx3-ubyte.gz");
    assert_error_says(folder);
    remove_folder(folder);
}

static void a_folder_in_the_place_of_a_file_is_refused(void **state)
{
    char *folder = make_folder(), *inner = syn_path_join(folder, "a");
    syn_idx idx;
    (void)state;
    assert_int_equal(syn_dir_make(inner), SYN_OK);

    assert_int_equal(syn_idx_open(folder, "a", 3, &idx), SYN_INVALID_ARGUMENT);

    assert_error_says("is not a regular file");
    syn_free(inner);
    remove_folder(folder);
}

static void a_failing_allocation_is_an_error_wherever_it_happens(void **state)
{
    char *folder = make_folder();
    syn_str bytes = idx_bytes(3, dims, 7, 251);
    syn_idx idx;
    (void)state;
    write_gzip(folder, "a.gz", bytes.data, bytes.length);

    for (long n = 1;; n++) {
        syn_mem_fail_after(n);
        syn_status status = syn_idx_open(folder, "a", 3, &idx);
        int failed = syn_mem_has_failed();
        syn_mem_fail_after(0);
        if (!failed) {
            assert_int_equal(status, SYN_OK);
            break;
        }
        assert_int_equal(status, SYN_RESOURCE_EXHAUSTED);
    }

    syn_idx_release(&idx);
    syn_str_release(&bytes);
    remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_and_gzip_files_give_the_same_bytes),
        cmocka_unit_test(other_magic_is_refused),
        cmocka_unit_test(other_element_types_are_refused_by_name),
        cmocka_unit_test(another_number_of_dimensions_is_refused),
        cmocka_unit_test(a_header_cut_short_is_refused),
        cmocka_unit_test(a_truncated_or_longer_file_is_refused_with_both_sizes),
        cmocka_unit_test(impossible_extents_are_refused),
        cmocka_unit_test(a_header_that_promises_terabytes_allocates_nothing),
        cmocka_unit_test(damaged_gzip_is_refused),
        cmocka_unit_test(a_missing_file_is_named_with_its_folder),
        cmocka_unit_test(a_folder_in_the_place_of_a_file_is_refused),
        cmocka_unit_test(a_failing_allocation_is_an_error_wherever_it_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
