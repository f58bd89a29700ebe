/* A folder of its own for each test, and text files in it. */
#ifndef TESTS_UNIT_WORKER_TRAIN_SCRATCH_H
#define TESTS_UNIT_WORKER_TRAIN_SCRATCH_H

/* cmocka.h needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* For cmocka's setup and teardown: *state is the folder's path. */
static inline int scratch_setup(void **state)
{
    const char *base = getenv("TMPDIR");
    char path[512];
    (void)snprintf(path, sizeof path, "%s/syncline-unit-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(path))
        return -1;
    *state = strdup(path);
    return *state ? 0 : -1;
}

static inline int scratch_teardown(void **state)
{
    (void)syn_dir_remove(*state);
    free(*state);
    return 0;
}

static inline char *path_in(const char *folder, const char *name)
{
    char *path = syn_path_join(folder, name);
    assert_non_null(path);
    return path;
}

static inline void write_file(const char *folder, const char *name, const char *text)
{
    char *path = path_in(folder, name);
    assert_int_equal(syn_file_write_atomic(path, text, strlen(text)), SYN_OK);
    syn_free(path);
}

/* The caller frees it (syn_free). */
static inline char *read_file(const char *folder, const char *name)
{
    char *path = path_in(folder, name), *text = NULL;
    size_t size;
    assert_int_equal(syn_file_read(path, 1 << 20, &text, &size), SYN_OK);
    syn_free(path);
    return text;
}

static inline int exists_in(const char *folder, const char *name)
{
    char *path = path_in(folder, name);
    int exists = syn_path_exists(path);
    syn_free(path);
    return exists;
}

#define in_scratch(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)

#endif
