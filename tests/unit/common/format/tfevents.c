/* Event files are read back record by record, with a CRC of our own making. */
#include "common/format/tfevents.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/mem.h"

#include <glob.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <tensorflow/event.pb-c.h>

static char folder[] = "/tmp/syn-test-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    memcpy(strchr(folder, 0) - 6, "XXXXXX", 6);
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return syn_dir_remove(folder) == SYN_OK ? 0 : -1;
}

/* CRC-32C (RFC 3720, reversed polynomial 0x82f63b78) bit by bit, and TensorFlow's mask. */
static uint32_t crc32c(const void *bytes, size_t size)
{
    const unsigned char *p = bytes;
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < size; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

static uint32_t mask(uint32_t crc)
{
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

/* The next record of `*bytes`, its frame checked; the caller frees it. NULL at the end. */
static Tensorflow__Event *next_record(const char **bytes, const char *end)
{
    uint64_t size;
    uint32_t crc;

    if (*bytes == end)
        return NULL;
    assert_true(end - *bytes >= 16);
    memcpy(&size, *bytes, 8);
    memcpy(&crc, *bytes + 8, 4);
    assert_int_equal(crc, mask(crc32c(*bytes, 8)));
    assert_true(size <= (uint64_t)(end - *bytes) - 16);
    memcpy(&crc, *bytes + 12 + size, 4);
    assert_int_equal(crc, mask(crc32c(*bytes + 12, size)));
    Tensorflow__Event *event =
        tensorflow__event__unpack(NULL, size, (const unsigned char *)*bytes + 12);
    assert_non_null(event);
    *bytes += 16 + size;
    return event;
}

static size_t count_files(char *first_out, size_t size)
{
    char pattern[64];
    glob_t found = {0};

    (void)snprintf(pattern, sizeof pattern, "%s/events.out.tfevents.*", folder);
    if (glob(pattern, 0, NULL, &found) == 0)
        (void)snprintf(first_out, size, "%s", found.gl_pathv[0]);
    size_t n = found.gl_pathc;
    globfree(&found);
    return n;
}

static void the_crc_of_the_test_is_the_published_one(void **state)
{
    (void)state;
    assert_int_equal(crc32c("123456789", 9), 0xe3069283u); /* RFC 3720's check value */
}

static void scalars_read_back_with_their_frames(void **state)
{
    (void)state;
    syn_tfevents *writer;
    char path[512], *bytes;
    size_t size;

    assert_int_equal(syn_tfevents_open(folder, 1700000000500000000, &writer), SYN_OK);
    assert_int_equal(syn_tfevents_scalar(writer, "loss/train", 0.1, 7, 1700000001250000000),
                     SYN_OK);
    assert_int_equal(syn_tfevents_scalar(writer, "nan", NAN, 1LL << 40, 1700000002000000000),
                     SYN_OK);
    assert_int_equal(syn_tfevents_close(writer), SYN_OK);

    assert_int_equal(count_files(path, sizeof path), 1);
    assert_non_null(strstr(path, "/events.out.tfevents.1700000000."));
    assert_int_equal(syn_file_read(path, 4096, &bytes, &size), SYN_OK);
    const char *p = bytes, *end = bytes + size;
    Tensorflow__Event *event = next_record(&p, end);
    assert_int_equal(event->what_case, TENSORFLOW__EVENT__WHAT_FILE_VERSION);
    assert_string_equal(event->file_version, "brain.Event:2");
    assert_true(event->wall_time == 1700000000.5);
    tensorflow__event__free_unpacked(event, NULL);
    event = next_record(&p, end);
    assert_int_equal(event->step, 7);
    assert_true(fabs(event->wall_time - 1700000001.25) < 1e-6);
    assert_int_equal(event->summary->n_value, 1);
    assert_string_equal(event->summary->value[0]->tag, "loss/train");
    assert_true(event->summary->value[0]->simple_value == 0.1f);
    tensorflow__event__free_unpacked(event, NULL);
    event = next_record(&p, end);
    assert_true(event->step == 1LL << 40);
    assert_true(isnan(event->summary->value[0]->simple_value));
    tensorflow__event__free_unpacked(event, NULL);
    assert_null(next_record(&p, end));
    syn_free(bytes);
}

static void flushed_records_are_in_the_file_and_many_flush_themselves(void **state)
{
    (void)state;
    syn_tfevents *writer;
    char path[512], *bytes;
    size_t size, n = 0;

    assert_int_equal(syn_tfevents_open(folder, 1000000000, &writer), SYN_OK);
    assert_int_equal(count_files(path, sizeof path), 1);
    assert_int_equal(syn_tfevents_scalar(writer, "x", 1, 1, 0), SYN_OK);
    assert_int_equal(syn_tfevents_flush(writer), SYN_OK);
    assert_int_equal(syn_file_read(path, 1 << 20, &bytes, &size), SYN_OK);
    const char *p = bytes;
    for (Tensorflow__Event *event; (event = next_record(&p, bytes + size)) != NULL; n++)
        tensorflow__event__free_unpacked(event, NULL);
    assert_int_equal(n, 2);
    syn_free(bytes);
    for (int i = 0; i < 3000; i++)
        assert_int_equal(syn_tfevents_scalar(writer, "accuracy", 1, i, 0), SYN_OK);
    assert_int_equal(syn_file_read(path, 1 << 20, &bytes, &size), SYN_OK);
    assert_true(size > 60000);
    syn_free(bytes);
    assert_int_equal(syn_tfevents_close(writer), SYN_OK);
}

static void two_writers_of_one_second_have_two_files(void **state)
{
    (void)state;
    syn_tfevents *a, *b;
    char path[512];

    assert_int_equal(syn_tfevents_open(folder, 5000000000, &a), SYN_OK);
    assert_int_equal(syn_tfevents_open(folder, 5000000001, &b), SYN_OK);

    assert_int_equal(count_files(path, sizeof path), 2);
    assert_int_equal(syn_tfevents_close(a), SYN_OK);
    assert_int_equal(syn_tfevents_close(b), SYN_OK);
}

static void wrong_tags_and_folders_are_refused(void **state)
{
    (void)state;
    syn_tfevents *writer;
    char long_tag[5000];

    memset(long_tag, 'x', sizeof long_tag - 1);
    long_tag[sizeof long_tag - 1] = '\0';
    assert_int_equal(syn_tfevents_open("/nowhere", 0, &writer), SYN_NOT_FOUND);
    assert_int_equal(syn_tfevents_open(folder, 0, &writer), SYN_OK);
    assert_int_equal(syn_tfevents_scalar(writer, "", 1, 1, 0), SYN_INVALID_ARGUMENT);
    assert_int_equal(syn_tfevents_scalar(writer, "\xff", 1, 1, 0), SYN_INVALID_ARGUMENT);
    assert_int_equal(syn_tfevents_scalar(writer, long_tag, 1, 1, 0), SYN_INVALID_ARGUMENT);
    assert_int_equal(syn_tfevents_close(writer), SYN_OK);
    assert_int_equal(syn_tfevents_close(NULL), SYN_OK);
}

static void a_full_disk_never_leaves_half_a_record(void **state)
{
    (void)state;
    syn_tfevents *writer;
    struct rlimit old;
    char path[512], *bytes;
    size_t size, n = 0;

    assert_int_equal(syn_tfevents_open(folder, 0, &writer), SYN_OK);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){100, old.rlim_max}), 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(syn_tfevents_scalar(writer, "lost", 1, i, 0), SYN_OK);
    syn_status status = syn_tfevents_flush(writer);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    (void)signal(SIGXFSZ, handler);
    assert_int_not_equal(status, SYN_OK);
    assert_int_equal(syn_tfevents_scalar(writer, "kept", 1, 9, 0), SYN_OK);
    assert_int_equal(syn_tfevents_close(writer), SYN_OK);

    assert_int_equal(count_files(path, sizeof path), 1);
    assert_int_equal(syn_file_read(path, 4096, &bytes, &size), SYN_OK);
    const char *p = bytes;
    for (Tensorflow__Event *event; (event = next_record(&p, bytes + size)) != NULL; n++) {
        if (n == 1)
            assert_string_equal(event->summary->value[0]->tag, "kept");
        tensorflow__event__free_unpacked(event, NULL);
    }
    assert_int_equal(n, 2);
    syn_free(bytes);
}

static void failing_memory_never_leaves_half_a_record(void **state)
{
    (void)state;
    for (long n = 1;; n++) {
        syn_tfevents *writer = NULL;
        char path[512], *bytes;
        size_t size;
        syn_mem_fail_after(n);
        syn_status status = syn_tfevents_open(folder, n * 1000000000, &writer);
        for (int i = 0; status == SYN_OK && i < 4; i++)
            status = syn_tfevents_scalar(writer, "some/longer/tag", 1, i, 0);
        int has_failed = syn_mem_has_failed();
        syn_mem_fail_after(0);
        assert_int_equal(status, has_failed ? SYN_RESOURCE_EXHAUSTED : SYN_OK);
        if (writer) {
            assert_int_equal(syn_tfevents_close(writer), SYN_OK);
            assert_int_equal(count_files(path, sizeof path), 1);
            assert_int_equal(syn_file_read(path, 1 << 20, &bytes, &size), SYN_OK);
            const char *p = bytes;
            for (Tensorflow__Event *event; (event = next_record(&p, bytes + size)) != NULL;)
                tensorflow__event__free_unpacked(event, NULL);
            syn_free(bytes);
        }
        assert_int_equal(remove_folder(state), 0);
        assert_int_equal(make_folder(state), 0);
        if (!has_failed)
            break;
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_crc_of_the_test_is_the_published_one),
        TEST(scalars_read_back_with_their_frames),
        TEST(flushed_records_are_in_the_file_and_many_flush_themselves),
        TEST(two_writers_of_one_second_have_two_files),
        TEST(wrong_tags_and_folders_are_refused),
        TEST(a_full_disk_never_leaves_half_a_record),
        TEST(failing_memory_never_leaves_half_a_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
