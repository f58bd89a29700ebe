/* Reading safetensors: good files, every way a header can lie, files of other programs. */
#include "common/format/safetensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/mem.h"

#include <glob.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A file of this header and `n_data` bytes 0, 1, 2, ... on the heap, exactly as long as it says. */
static unsigned char *build(const char *header, size_t n_data, size_t *size_out)
{
    uint64_t n = strlen(header);
    unsigned char *bytes = malloc(8 + n + n_data);

    assert_non_null(bytes);
    memcpy(bytes, &n, 8);
    memcpy(bytes + 8, header, n);
    for (size_t i = 0; i < n_data; i++)
        bytes[8 + n + i] = (unsigned char)i;
    *size_out = 8 + n + n_data;
    return bytes;
}

static void tensors_are_views_of_the_bytes(void **state)
{
    (void)state;
    size_t size;
    unsigned char *bytes =
        build("{\"__metadata__\":{\"format\":\"pt\"},"
              "\"b\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[3,11]},"
              "\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},"
              "\"s\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[11,13],\"note\":1},"
              "\"empty\":{\"dtype\":\"F64\",\"shape\":[0,5],\"data_offsets\":[3,3]}}  ",
              13, &size);
    syn_safetensors *file;

    assert_int_equal(syn_safetensors_parse(bytes, size, "f", &file), SYN_OK);

    assert_int_equal(syn_safetensors_count(file), 4);
    const syn_safetensor *b = syn_safetensors_find(file, "b");
    assert_int_equal(b->dtype, SYN_F32);
    assert_int_equal(b->ndim, 2);
    assert_int_equal(b->shape[0], 2);
    assert_int_equal(b->size_bytes, 8);
    assert_int_equal(((const unsigned char *)b->data)[0], 3);
    assert_int_equal(syn_safetensors_find(file, "s")->ndim, 0);
    assert_int_equal(syn_safetensors_find(file, "empty")->size_bytes, 0);
    assert_string_equal(syn_safetensors_get(file, 0)->name, "a");
    assert_string_equal(syn_safetensors_get(file, 3)->name, "s");
    assert_null(syn_safetensors_find(file, "c"));
    assert_null(syn_safetensors_find(file, "__metadata__"));
    assert_string_equal(syn_safetensors_metadata(file, "format"), "pt");
    assert_null(syn_safetensors_metadata(file, "other"));
    syn_safetensors_free(file);
    free(bytes);
}

static void a_file_may_hold_no_tensors(void **state)
{
    (void)state;
    size_t size;
    unsigned char *bytes = build("{}", 0, &size);
    syn_safetensors *file;

    assert_int_equal(syn_safetensors_parse(bytes, size, "f", &file), SYN_OK);

    assert_int_equal(syn_safetensors_count(file), 0);
    assert_null(syn_safetensors_find(file, "x"));
    assert_null(syn_safetensors_metadata(file, "x"));
    syn_safetensors_free(file);
    free(bytes);
}

#define ENTRY(dtype, shape, offsets) \
    "{\"x\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

/* A header over 8 bytes of data, and the refusal. */
static const struct {
    const char *header, *message;
} refusals[] = {
    {" {}", "f is no safetensors file: its header does not begin with {"},
    {"[]", "f is no safetensors file: its header does not begin with {"},
    {"", "f is no safetensors file: its header does not begin with {"},
    {"{", "f: byte 1 of the header: string or '}' expected near end of file"},
    {"{} x", "f: byte 4 of the header: end of file expected near 'x'"},
    {"{\"a\":{},\"a\":{}}", "f: byte 11 of the header: duplicate object key near '\"a\"'"},
    {"{\"\\u0000\":{}}",
     "f: byte 9 of the header: NUL byte in object key not supported near '\"\\u0000\"'"},
    {"{\"\xff\":{}}", "f: byte 2 of the header: unable to decode byte 0xff near '\"'"},
    {"{\"__metadata__\":3}", "f: __metadata__ is not an object"},
    {"{\"__metadata__\":{\"k\":3}}", "f: the value of \"k\" in __metadata__ is not a text"},
    {"{\"x\":3}", "f: tensor \"x\": dtype is missing or not a text"},
    {"{\"x\":{}}", "f: tensor \"x\": dtype is missing or not a text"},
    {ENTRY("3", "[8]", "[0,8]"), "f: tensor \"x\": dtype is missing or not a text"},
    {ENTRY("\"F8_E4M3\"", "[8]", "[0,8]"),
     "f: tensor \"x\": the dtype \"F8_E4M3\" is not supported"},
    {ENTRY("\"C128\"", "[1]", "[0,16]"), "f: tensor \"x\": the dtype \"C128\" is not supported"},
    {ENTRY("\"f32\"", "[2]", "[0,8]"), "f: tensor \"x\": the dtype \"f32\" is not supported"},
    {"{\"x\":{\"dtype\":\"U8\",\"data_offsets\":[0,8]}}",
     "f: tensor \"x\": shape is missing or not a list"},
    {ENTRY("\"U8\"", "8", "[0,8]"), "f: tensor \"x\": shape is missing or not a list"},
    {ENTRY("\"U8\"", "[-8]", "[0,8]"), "f: tensor \"x\": dimension 0 is not a natural number"},
    {ENTRY("\"U8\"", "[1,8.0]", "[0,8]"), "f: tensor \"x\": dimension 1 is not a natural number"},
    {ENTRY("\"U8\"", "[99999999999999999999]", "[0,8]"),
     "f: byte 48 of the header: too big integer near '99999999999999999999'"},
    {ENTRY("\"U8\"", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,8]", "[0,8]"),
     "f: tensor \"x\": 17 dimensions, at most 16 are supported"},
    {ENTRY("\"U8\"", "[4294967296,4294967296]", "[0,8]"),
     "f: tensor \"x\": the shape has more than 2^63 elements"},
    {ENTRY("\"U8\"", "[0,4294967296,4294967296]", "[0,0]"),
     "f: tensor \"x\": the shape has more than 2^63 elements"},
    {ENTRY("\"F64\"", "[2305843009213693953]", "[0,8]"),
     "f: tensor \"x\": the shape has more than 2^64 bytes"},
    {ENTRY("\"U8\"", "[8]", "[0]"),
     "f: tensor \"x\": data_offsets is missing or not a list of two integers"},
    {ENTRY("\"U8\"", "[8]", "[0,8,9]"),
     "f: tensor \"x\": data_offsets is missing or not a list of two integers"},
    {ENTRY("\"U8\"", "[8]", "[0,8.0]"),
     "f: tensor \"x\": data_offsets is missing or not a list of two integers"},
    {"{\"x\":{\"dtype\":\"U8\",\"shape\":[8]}}",
     "f: tensor \"x\": data_offsets is missing or not a list of two integers"},
    {ENTRY("\"U8\"", "[8]", "[-1,7]"),
     "f: tensor \"x\": data_offsets [-1, 7] are not within the 8 bytes of data"},
    {ENTRY("\"U8\"", "[8]", "[8,0]"),
     "f: tensor \"x\": data_offsets [8, 0] are not within the 8 bytes of data"},
    {ENTRY("\"U8\"", "[9]", "[0,9]"),
     "f: tensor \"x\": data_offsets [0, 9] are not within the 8 bytes of data"},
    {ENTRY("\"U8\"", "[7]", "[0,8]"),
     "f: tensor \"x\": its shape and dtype need 7 bytes, its data_offsets give 8"},
    {ENTRY("\"U8\"", "[7]", "[0,7]"), "f: the tensors end at byte 7 of 8 bytes of data"},
    {ENTRY("\"U8\"", "[7]", "[1,8]"),
     "f: tensor \"x\": its data begin at byte 1, leaving a hole behind the data "
     "before, which end at 0"},
    {"{\"x\":{\"dtype\":\"U8\",\"shape\":[5],\"data_offsets\":[0,5]},"
     "\"y\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}}",
     "f: tensor \"y\": its data begin at byte 4, inside the data before, which end at 5"},
    {"{\"x\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]},"
     "\"y\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}}",
     "f: tensor \"y\": its data begin at byte 0, inside the data before, which end at 8"},
    {"{}", "f: the tensors end at byte 0 of 8 bytes of data"},
};

static void every_lie_in_a_header_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        size_t size;
        unsigned char *bytes = build(refusals[i].header, 8, &size);
        syn_safetensors *file = NULL;
        assert_int_equal(syn_safetensors_parse(bytes, size, "f", &file), SYN_DATA_LOSS);
        const char *message = syn_error_message();
        if (strcmp(message, refusals[i].message) != 0)
            fail_msg("for %s\ngot      %s\nexpected %s", refusals[i].header, message,
                     refusals[i].message);
        assert_null(file);
        free(bytes);
    }
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    (void)state;
    size_t size;
    unsigned char *bytes = build(ENTRY("\"F32\"", "[2]", "[0,8]"), 8, &size);

    for (size_t n = 0; n < size; n++) {
        unsigned char *cut = malloc(n ? n : 1);
        syn_safetensors *file = NULL;
        assert_non_null(cut);
        memcpy(cut, bytes, n);
        assert_int_equal(syn_safetensors_parse(cut, n, "f", &file), SYN_DATA_LOSS);
        free(cut);
    }
    free(bytes);
}

static void a_header_size_beyond_reason_is_refused(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {3, 100000001, UINT64_MAX, UINT64_MAX - 7};
    for (size_t i = 0; i < 4; i++) {
        unsigned char bytes[10] = {0};
        syn_safetensors *file;
        memcpy(bytes, &sizes[i], 8);
        bytes[8] = '{';
        bytes[9] = '}';
        assert_int_equal(syn_safetensors_parse(bytes, sizeof bytes, "f", &file), SYN_DATA_LOSS);
    }
}

static void open_names_files_that_are_missing_empty_or_no_files(void **state)
{
    (void)state;
    char folder[] = "/tmp/syn-test-XXXXXX";
    syn_safetensors *file;

    assert_non_null(mkdtemp(folder));
    assert_int_equal(syn_safetensors_open("/nowhere/x.safetensors", &file), SYN_NOT_FOUND);
    assert_string_equal(syn_error_message(),
                        "cannot open /nowhere/x.safetensors: No such file or directory");
    assert_int_equal(syn_safetensors_open(folder, &file), SYN_INVALID_ARGUMENT);
    char *path = syn_path_join(folder, "empty");
    assert_int_equal(syn_file_write_atomic(path, "", 0), SYN_OK);
    assert_int_equal(syn_safetensors_open(path, &file), SYN_DATA_LOSS);
    assert_int_equal(syn_dir_remove(folder), SYN_OK);
    syn_free(path);
}

static void every_failing_allocation_is_an_ordinary_error(void **state)
{
    (void)state;
    size_t size;
    unsigned char *bytes = build(ENTRY("\"F32\"", "[2]", "[0,8]"), 8, &size);

    json_set_alloc_funcs(syn_malloc, syn_free);
    for (long n = 1;; n++) {
        syn_safetensors *file = NULL;
        syn_mem_fail_after(n);
        syn_status status = syn_safetensors_parse(bytes, size, "f", &file);
        int has_failed = syn_mem_has_failed();
        syn_mem_fail_after(0);
        assert_int_equal(status == SYN_OK, !has_failed);
        assert_int_equal(file != NULL, !has_failed);
        syn_safetensors_free(file);
        if (!has_failed)
            break;
        /* jansson takes some failed allocations for errors of syntax */
        assert_true(status == SYN_RESOURCE_EXHAUSTED || status == SYN_DATA_LOSS);
    }
    json_set_alloc_funcs(malloc, free);
    free(bytes);
}

static void the_packs_of_other_programs_are_read(void **state)
{
    (void)state;
    const char *shared = getenv("SYNCLINE_SHARED");
    char pattern[4096];
    glob_t found = {0};

    if (shared)
        (void)snprintf(pattern, sizeof pattern, "%s/suites/*/dev/*.safetensors", shared);
    else
        (void)snprintf(pattern, sizeof pattern, "%s/../shared/suites/*/dev/*.safetensors",
                       getenv("SYNCLINE_SOURCE_DIR"));
    if (glob(pattern, 0, NULL, &found) != 0) {
        print_message("skipped: no files match %s\n", pattern);
        globfree(&found);
        skip();
    }
    for (size_t i = 0; i < found.gl_pathc; i++) {
        syn_safetensors *file;
        if (syn_safetensors_open(found.gl_pathv[i], &file) != SYN_OK)
            fail_msg("%s", syn_error_message());
        assert_true(syn_safetensors_count(file) > 0);
        for (size_t t = 0; t < syn_safetensors_count(file); t++) {
            const syn_safetensor *tensor = syn_safetensors_get(file, t);
            assert_ptr_equal(syn_safetensors_find(file, tensor->name), tensor);
        }
        syn_safetensors_free(file);
    }
    globfree(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_are_views_of_the_bytes),
        cmocka_unit_test(a_file_may_hold_no_tensors),
        cmocka_unit_test(every_lie_in_a_header_is_named),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(a_header_size_beyond_reason_is_refused),
        cmocka_unit_test(open_names_files_that_are_missing_empty_or_no_files),
        cmocka_unit_test(every_failing_allocation_is_an_ordinary_error),
        cmocka_unit_test(the_packs_of_other_programs_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
