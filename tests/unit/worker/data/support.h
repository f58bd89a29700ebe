/* What the tests of data sets share: temporary folders, IDX files made by hand, job specs. */
#ifndef TESTS_UNIT_WORKER_DATA_SUPPORT_H
#define TESTS_UNIT_WORKER_DATA_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "worker/data/dataset.h"

#include <zlib.h>

/* A new folder in TMPDIR. */
static inline char *make_folder(void)
{
    const char *base = getenv("TMPDIR");
    char path[512];

    (void)snprintf(path, sizeof path, "%s/syncline-data-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(path));
    return syn_strdup(path);
}

static inline void remove_folder(char *folder)
{
    assert_int_equal(syn_dir_remove(folder), SYN_OK);
    syn_free(folder);
}

static inline void write_file(const char *folder, const char *name, const void *bytes, size_t n)
{
    char *path = syn_path_join(folder, name);

    assert_int_equal(syn_file_write_atomic(path, bytes, n), SYN_OK);
    syn_free(path);
}

static inline void write_gzip(const char *folder, const char *name, const void *bytes, size_t n)
{
    char *path = syn_path_join(folder, name);
    gzFile file = gzopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(gzwrite(file, bytes, (unsigned)n), (int)n);
    assert_int_equal(gzclose(file), Z_OK);
    syn_free(path);
}

/* An IDX file of bytes: n items of height x width (ndim 3), or n items (ndim 1). Byte i of the data
 * is (first + i) % modulus. */
static inline syn_str idx_bytes(int ndim, const int64_t *dims, int first, int modulus)
{
    syn_str bytes = {0};
    int64_t n = 1;

    syn_str_append_n(&bytes, (uint8_t[]){0, 0, 8, (uint8_t)ndim}, 4);
    for (int i = 0; i < ndim; i++) {
        uint8_t extent[4] = {(uint8_t)(dims[i] >> 24), (uint8_t)(dims[i] >> 16),
                             (uint8_t)(dims[i] >> 8), (uint8_t)dims[i]};
        syn_str_append_n(&bytes, extent, 4);
        n *= dims[i];
    }
    for (int64_t i = 0; i < n; i++) {
        uint8_t byte = (uint8_t)((first + i) % modulus);
        syn_str_append_n(&bytes, &byte, 1);
    }
    return bytes;
}

/* The four files: `n_train` and `n_test` images of 3 x 2, labels 0, 1, 2, 0, ... */
static inline void write_four_files(const char *folder, int64_t n_train, int64_t n_test)
{
    const char *names[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                           "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};

    for (int i = 0; i < 4; i++) {
        int64_t dims[3] = {i < 2 ? n_train : n_test, 3, 2};
        syn_str bytes = idx_bytes(i % 2 ? 1 : 3, dims, 0, i % 2 ? 3 : 251);
        write_file(folder, names[i], bytes.data, bytes.length);
        syn_str_release(&bytes);
    }
}

static inline syn_job_spec digits_spec(int64_t n_train, int64_t n_test)
{
    syn_job_spec spec = {.dtype = SYN_F32};

    spec.data.kind = SYN_DATA_DIGITS;
    spec.data.n_train = n_train;
    spec.data.n_test = n_test;
    return spec;
}

static inline syn_job_spec idx_spec(char *folder)
{
    syn_job_spec spec = {.dtype = SYN_F32};

    spec.data.kind = SYN_DATA_IDX;
    spec.data.path = folder;
    return spec;
}

static inline syn_job_spec text_spec(char *path, int64_t block, double val_fraction)
{
    syn_job_spec spec = {.dtype = SYN_F32};

    spec.data.kind = SYN_DATA_TEXT;
    spec.data.path = path;
    spec.data.val_fraction = val_fraction;
    spec.model.block = block;
    return spec;
}

static inline syn_dataset *open_dataset(const syn_job_spec *spec)
{
    syn_dataset *dataset = NULL;

    if (syn_dataset_open(spec, &dataset) != SYN_OK)
        fail_msg("%s", syn_error_message());
    return dataset;
}

/* That the recorded sentence contains a text. */
#define assert_error_says(text)                                                         \
    do {                                                                                \
        if (!strstr(syn_error_message(), (text)))                                       \
            fail_msg("the error says \"%s\", not \"%s\"", syn_error_message(), (text)); \
    } while (0)

#endif
