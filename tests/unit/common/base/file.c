/* Reading, atomic writing, folders and digests in a folder of the test's own. */
#include "common/base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/syn-test-XXXXXX";
static char path[128];

static int make_folder(void **state)
{
    (void)state;
    memcpy(strchr(folder, 0) - 6, "XXXXXX", 6);
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(path, sizeof path, "%s/f", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return syn_dir_remove(folder) == SYN_OK ? 0 : -1;
}

static int count_entries(void)
{
    int n = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    (void)closedir(dir);
    return n - 2;
}

static void written_bytes_are_read_back_with_a_nul_behind(void **state)
{
    (void)state;
    char *bytes;
    size_t size;

    assert_int_equal(syn_file_write_atomic(path, "a\0b", 3), SYN_OK);
    assert_int_equal(syn_file_read(path, 3, &bytes, &size), SYN_OK);

    assert_int_equal(size, 3);
    assert_memory_equal(bytes, "a\0b", 4);
    syn_free(bytes);
}

static void parts_follow_each_other(void **state)
{
    (void)state;
    struct iovec parts[] = {{"one", 3}, {NULL, 0}, {" two", 4}};
    char *bytes;
    size_t size;

    assert_int_equal(syn_file_write_atomic_parts(path, parts, 3), SYN_OK);
    assert_int_equal(syn_file_read(path, 100, &bytes, &size), SYN_OK);

    assert_string_equal(bytes, "one two");
    syn_free(bytes);
}

static void an_overwritten_file_is_replaced_whole_and_nothing_is_left_aside(void **state)
{
    (void)state;
    char *bytes;
    size_t size;
    assert_int_equal(syn_file_write_atomic(path, "a long text", 11), SYN_OK);
    int reader = open(path, O_RDONLY);

    assert_int_equal(syn_file_write_atomic(path, "new", 3), SYN_OK);

    char old[12] = "";
    assert_int_equal(read(reader, old, 11), 11);
    assert_string_equal(old, "a long text");
    (void)close(reader);
    assert_int_equal(syn_file_read(path, 100, &bytes, &size), SYN_OK);
    assert_string_equal(bytes, "new");
    assert_int_equal(count_entries(), 1);
    syn_free(bytes);
}

static void reading_names_what_is_wrong(void **state)
{
    (void)state;
    char *bytes, expected[256];
    size_t size;

    assert_int_equal(syn_file_read("/nowhere/f", 10, &bytes, &size), SYN_NOT_FOUND);
    assert_string_equal(syn_error_message(), "cannot open /nowhere/f: No such file or directory");
    assert_int_equal(syn_file_read(folder, 10, &bytes, &size), SYN_INVALID_ARGUMENT);
    (void)snprintf(expected, sizeof expected, "cannot read %s: it is not a regular file", folder);
    assert_string_equal(syn_error_message(), expected);
    assert_int_equal(syn_file_write_atomic(path, "1234", 4), SYN_OK);
    assert_int_equal(syn_file_read(path, 3, &bytes, &size), SYN_RESOURCE_EXHAUSTED);
    (void)snprintf(expected, sizeof expected, "%s has 4 bytes, the limit is 3", path);
    assert_string_equal(syn_error_message(), expected);
}

static void a_folder_in_the_way_stops_an_atomic_write(void **state)
{
    (void)state;
    assert_int_equal(mkdir(path, 0777), 0);

    assert_int_not_equal(syn_file_write_atomic(path, "x", 1), SYN_OK);

    assert_int_equal(count_entries(), 1);
    assert_int_equal(syn_file_write_atomic("/nowhere/x", "x", 1), SYN_NOT_FOUND);
}

static void write_all_names_the_path_of_a_bad_descriptor(void **state)
{
    (void)state;
    assert_int_not_equal(syn_file_write_all(-1, "the log", "x", 1), SYN_OK);
    assert_string_equal(syn_error_message(), "cannot write the log: Bad file descriptor");
    assert_int_equal(syn_file_write_all(-1, "the log", NULL, 0), SYN_OK);
}

static void folders_are_made_with_their_parents_and_removed_with_their_contents(void **state)
{
    (void)state;
    char deep[160], link[160];
    (void)snprintf(deep, sizeof deep, "%s/a/b//c", folder);
    (void)snprintf(link, sizeof link, "%s/a/link", folder);

    assert_int_equal(syn_dir_make(deep), SYN_OK);
    assert_int_equal(syn_dir_make(deep), SYN_OK);
    assert_true(syn_path_exists(deep));
    assert_int_equal(syn_dir_sync(deep), SYN_OK);
    assert_int_equal(syn_file_write_atomic(path, "x", 1), SYN_OK);
    assert_int_equal(symlink(path, link), 0);
    (void)snprintf(deep, sizeof deep, "%s/a", folder);
    assert_int_equal(syn_dir_remove(deep), SYN_OK);

    assert_false(syn_path_exists(deep));
    assert_true(syn_path_exists(path));
    assert_int_equal(syn_dir_remove(deep), SYN_OK);
}

static void a_file_in_the_way_of_a_folder_is_named(void **state)
{
    (void)state;
    char below[160];
    assert_int_equal(syn_file_write_atomic(path, "x", 1), SYN_OK);
    (void)snprintf(below, sizeof below, "%s/below", path);

    assert_int_equal(syn_dir_make(path), SYN_FAILED_PRECONDITION);
    assert_non_null(strstr(syn_error_message(), "a file is there"));
    assert_int_not_equal(syn_dir_make(below), SYN_OK);
}

static void paths_are_joined_with_one_slash(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"a", "/b", "/b"}, {"", "b", "b"}, {"/", "b", "/b"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *joined = syn_path_join(rows[i][0], rows[i][1]);
        assert_string_equal(joined, rows[i][2]);
        syn_free(joined);
    }
    syn_mem_fail_after(1);
    assert_null(syn_path_join("a", "b"));
    syn_mem_fail_after(0);
}

static void digests_are_those_of_fips_180_4(void **state)
{
    (void)state;
    char hex[65], of_file[65];

    assert_int_equal(syn_sha256_hex("abc", 3, hex), SYN_OK);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(syn_sha256_hex(NULL, 0, hex), SYN_OK);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    char *large = syn_calloc(1, 200000);
    assert_int_equal(syn_sha256_hex(large, 200000, hex), SYN_OK);
    assert_int_equal(syn_file_write_atomic(path, large, 200000), SYN_OK);
    assert_int_equal(syn_file_sha256_hex(path, of_file), SYN_OK);
    assert_string_equal(of_file, hex);
    syn_free(large);
    assert_int_equal(syn_file_sha256_hex("/nowhere/f", hex), SYN_NOT_FOUND);
    assert_int_not_equal(syn_file_sha256_hex(folder, hex), SYN_OK);
}

static void every_failing_allocation_is_an_ordinary_error(void **state)
{
    (void)state;
    char *bytes = NULL;
    size_t size;

    for (long n = 1;; n++) {
        syn_mem_fail_after(n);
        syn_status status = syn_file_write_atomic(path, "x", 1);
        if (status == SYN_OK)
            status = syn_file_read(path, 10, &bytes, &size);
        if (status == SYN_OK)
            status = syn_dir_make(folder);
        int has_failed = syn_mem_has_failed();
        syn_mem_fail_after(0);
        assert_int_equal(status, has_failed ? SYN_RESOURCE_EXHAUSTED : SYN_OK);
        syn_free(bytes);
        bytes = NULL;
        if (!has_failed)
            return;
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(written_bytes_are_read_back_with_a_nul_behind),
        TEST(parts_follow_each_other),
        TEST(an_overwritten_file_is_replaced_whole_and_nothing_is_left_aside),
        TEST(reading_names_what_is_wrong),
        TEST(a_folder_in_the_way_stops_an_atomic_write),
        TEST(write_all_names_the_path_of_a_bad_descriptor),
        TEST(folders_are_made_with_their_parents_and_removed_with_their_contents),
        TEST(a_file_in_the_way_of_a_folder_is_named),
        TEST(paths_are_joined_with_one_slash),
        TEST(digests_are_those_of_fips_180_4),
        TEST(every_failing_allocation_is_an_ordinary_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
