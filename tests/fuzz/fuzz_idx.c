/* IDX files, plain and gzip'ed: every byte of every accepted file is read. */
#include "tests/fuzz/fuzz.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "worker/data/idx.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* The bytes lie in memory; a folder shows them under the two names a reader looks for. */
static int memory = -1;
static char folder[] = "/tmp/syncline-fuzz-XXXXXX";

static void clean_up(void)
{
    (void)syn_dir_remove(folder);
}

static void set_up(void)
{
    static const char *const names[] = {"plain", "packed.gz"};
    char target[64];

    memory = memfd_create("idx", 0);
    SYN_BUG_ON(memory < 0 || !mkdtemp(folder));
    (void)snprintf(target, sizeof target, "/proc/%d/fd/%d", (int)getpid(), memory);
    for (int i = 0; i < 2; i++) {
        char *path = syn_path_join(folder, names[i]);
        SYN_BUG_ON(!path || symlink(target, path) < 0);
        syn_free(path);
    }
    (void)atexit(clean_up);
}

static void try_file(const char *name, int ndim)
{
    static volatile unsigned sink;
    syn_idx idx;

    if (syn_idx_open(folder, name, ndim, &idx) != SYN_OK)
        return;
    int64_t n = 1;
    for (int i = 0; i < idx.ndim; i++)
        n *= idx.dims[i];
    unsigned sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += idx.data[i];
    sink = sink + sum;
    syn_idx_release(&idx);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (memory < 0)
        set_up();
    SYN_BUG_ON(ftruncate(memory, 0) < 0 ||
               (size > 0 && pwrite(memory, bytes, size, 0) != (ssize_t)size));
    for (int ndim = 1; ndim <= 3; ndim += 2) {
        try_file("plain", ndim);
        try_file("packed", ndim);
    }
    return 0;
}
