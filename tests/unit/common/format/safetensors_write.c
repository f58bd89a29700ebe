/* Written files read back, lie in the reference library's order, and nothing wrong is written. */
#include "common/format/safetensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/mem.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[] = "/tmp/syn-test-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    memcpy(strchr(folder, 0) - 6, "XXXXXX", 6);
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(path, sizeof path, "%s/w.safetensors", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return syn_dir_remove(folder) == SYN_OK ? 0 : -1;
}

static const float weights[6] = {1, 2, 3, 4, 5, 6};
static const unsigned char bytes[3] = {7, 8, 9};
static const double loss = 0.5;

static const syn_safetensor tensors[] = {
    {.name = "bytes", .dtype = SYN_U8, .ndim = 1, .shape = {3}, .data = bytes, .size_bytes = 3},
    {.name = "w", .dtype = SYN_F32, .ndim = 2, .shape = {2, 3}, .data = weights, .size_bytes = 24},
    {.name = "b\"\xc3\xa4\n",
     .dtype = SYN_F32,
     .ndim = 1,
     .shape = {1},
     .data = weights,
     .size_bytes = 4},
    {.name = "loss", .dtype = SYN_F64, .ndim = 0, .data = &loss, .size_bytes = 8},
    {.name = "none", .dtype = SYN_I64, .ndim = 2, .shape = {0, 4}, .data = NULL, .size_bytes = 0},
};
static const char *const metadata[] = {"step", "12", "text", "\"q\"\n\xe2\x82\xac"};

static void written_tensors_read_back(void **state)
{
    (void)state;
    syn_safetensors *file;

    assert_int_equal(syn_safetensors_write(path, tensors, 5, metadata, 2), SYN_OK);
    assert_int_equal(syn_safetensors_open(path, &file), SYN_OK);

    assert_int_equal(syn_safetensors_count(file), 5);
    for (size_t i = 0; i < 5; i++) {
        const syn_safetensor *t = syn_safetensors_find(file, tensors[i].name);
        assert_non_null(t);
        assert_int_equal(t->dtype, tensors[i].dtype);
        assert_int_equal(t->ndim, tensors[i].ndim);
        assert_memory_equal(t->shape, tensors[i].shape, sizeof t->shape);
        assert_int_equal(t->size_bytes, tensors[i].size_bytes);
        if (t->size_bytes)
            assert_memory_equal(t->data, tensors[i].data, t->size_bytes);
        assert_int_equal((uintptr_t)t->data % syn_dtype_size(t->dtype), 0);
    }
    assert_string_equal(syn_safetensors_metadata(file, "step"), "12");
    assert_string_equal(syn_safetensors_metadata(file, "text"), metadata[3]);
    syn_safetensors_free(file);
}

static void the_bytes_are_those_of_the_reference_library(void **state)
{
    (void)state;
    static const char header[] =
        "{\"__metadata__\":{\"step\":\"12\"},\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_"
        "offsets\":[0,24]},"
        "\"bytes\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[24,27]}}";
    char *written;
    size_t size;
    uint64_t header_size;

    assert_int_equal(syn_safetensors_write(path, tensors, 2, metadata, 1), SYN_OK);
    assert_int_equal(syn_file_read(path, 4096, &written, &size), SYN_OK);

    memcpy(&header_size, written, 8);
    assert_int_equal(header_size % 8, 0);
    assert_int_equal(header_size, (sizeof header - 1 + 7) / 8 * 8);
    assert_memory_equal(written + 8, header, sizeof header - 1);
    for (size_t i = sizeof header - 1; i < header_size; i++)
        assert_int_equal(written[8 + i], ' ');
    assert_int_equal(size, 8 + header_size + 27);
    assert_memory_equal(written + 8 + header_size, weights, 24);
    assert_memory_equal(written + 8 + header_size + 24, bytes, 3);
    syn_free(written);
}

static void an_empty_file_can_be_written(void **state)
{
    (void)state;
    syn_safetensors *file;

    assert_int_equal(syn_safetensors_write(path, NULL, 0, NULL, 0), SYN_OK);

    assert_int_equal(syn_safetensors_open(path, &file), SYN_OK);
    assert_int_equal(syn_safetensors_count(file), 0);
    syn_safetensors_free(file);
}

static void assert_refused(const syn_safetensor *wrong, const char *message)
{
    char expected[512];
    assert_int_equal(syn_safetensors_write(path, wrong, 1, NULL, 0), SYN_INVALID_ARGUMENT);
    (void)snprintf(expected, sizeof expected, "%s: %s", path, message);
    assert_string_equal(syn_error_message(), expected);
    assert_false(syn_path_exists(path));
}

static void what_the_format_cannot_hold_is_refused(void **state)
{
    (void)state;
    syn_safetensor t = tensors[1];

    t.name = "\xff";
    assert_refused(&t, "the name of a tensor is not UTF-8");
    t.name = "__metadata__";
    assert_refused(&t, "a tensor cannot be called __metadata__");
    t.name = "w";
    t.dtype = SYN_C64;
    assert_refused(&t, "tensor \"w\": the format has no dtype c64; store a last axis of 2");
    t.dtype = SYN_F64;
    assert_refused(&t, "tensor \"w\": its shape and dtype need 48 bytes, it has 24");
    t.dtype = SYN_F32;
    t.shape[1] = -3;
    assert_refused(&t, "tensor \"w\": dimension 1 is -3");
    t.shape[0] = t.shape[1] = INT64_MAX;
    assert_refused(&t, "tensor \"w\": dimension 0 is 9223372036854775807");
    t.ndim = 17;
    assert_refused(&t, "tensor \"w\": 17 dimensions");
}

static void two_of_one_name_are_refused(void **state)
{
    (void)state;
    const syn_safetensor twice[] = {tensors[1], tensors[0], tensors[1]};
    const char *const keys[] = {"k", "1", "k", "2"};

    assert_int_equal(syn_safetensors_write(path, twice, 3, NULL, 0), SYN_INVALID_ARGUMENT);
    assert_non_null(strstr(syn_error_message(), "two tensors are called \"w\""));
    assert_int_equal(syn_safetensors_write(path, tensors, 1, keys, 2), SYN_INVALID_ARGUMENT);
    assert_non_null(strstr(syn_error_message(), "two metadata are called \"k\""));
}

static void a_failed_write_leaves_the_old_file_alone(void **state)
{
    (void)state;
    syn_safetensors *file;
    glob_t found = {0};
    char pattern[64];

    assert_int_equal(syn_safetensors_write(path, tensors, 1, NULL, 0), SYN_OK);
    for (long n = 1;; n++) {
        syn_mem_fail_after(n);
        syn_status status = syn_safetensors_write(path, tensors, 5, metadata, 2);
        int has_failed = syn_mem_has_failed();
        syn_mem_fail_after(0);
        assert_int_equal(status, has_failed ? SYN_RESOURCE_EXHAUSTED : SYN_OK);
        assert_int_equal(syn_safetensors_open(path, &file), SYN_OK);
        assert_int_equal(syn_safetensors_count(file), has_failed ? 1 : 5);
        syn_safetensors_free(file);
        if (!has_failed)
            break;
    }
    (void)snprintf(pattern, sizeof pattern, "%s/*", folder);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    assert_int_equal(found.gl_pathc, 1);
    globfree(&found);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(written_tensors_read_back),    TEST(the_bytes_are_those_of_the_reference_library),
        TEST(an_empty_file_can_be_written), TEST(what_the_format_cannot_hold_is_refused),
        TEST(two_of_one_name_are_refused),  TEST(a_failed_write_leaves_the_old_file_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
