/* Reads IDX files: plain ones are mapped, .gz are inflated once into memory of the size the header
 * states. */
#include "worker/data/idx.h"

#include "common/base/file.h"
#include "common/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum {
    TYPE_U8 = 0x08,
    HEADER_MAX = 4 + 4 * SYN_IDX_MAX_DIMS,
    EXTENT_MAX = 4096,    /* pixels of one axis: no image data set comes near */
    DEFLATE_RATIO = 1040, /* deflate cannot expand more than 1032 times */
};

static const char *type_name(unsigned type)
{
    switch (type) {
    case 0x08:
        return "unsigned byte";
    case 0x09:
        return "signed byte";
    case 0x0b:
        return "short";
    case 0x0c:
        return "int";
    case 0x0d:
        return "float";
    case 0x0e:
        return "double";
    default:
        return "unknown";
    }
}

/* Reads magic and dimensions from the first `n` bytes; the whole size of the file into `*size_out`.
 */
static syn_status parse_header(const uint8_t *bytes, size_t n, const char *path, int ndim,
                               syn_idx *idx, size_t *size_out)
{
    size_t header = 4 + 4 * (size_t)ndim;

    if (n < 4)
        return SYN_FAIL(SYN_DATA_LOSS, "%s: has %zu bytes, an IDX file begins with 4 of magic",
                        path, n);
    if (bytes[0] || bytes[1])
        return SYN_FAIL(SYN_INVALID_ARGUMENT,
                        "%s: is not an IDX file: it begins with %02x %02x %02x %02x, not 00 00",
                        path, bytes[0], bytes[1], bytes[2], bytes[3]);
    if (bytes[2] != TYPE_U8)
        return SYN_FAIL(SYN_INVALID_ARGUMENT,
                        "%s: element type 0x%02x (%s), only 0x08 (unsigned byte) is read", path,
                        bytes[2], type_name(bytes[2]));
    if (bytes[3] != ndim)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "%s: has %d dimensions, expected %d", path, bytes[3],
                        ndim);
    if (n < header)
        return SYN_FAIL(SYN_DATA_LOSS, "%s: has %zu bytes, its header needs %zu", path, n, header);

    size_t item = 1;
    idx->ndim = ndim;
    for (int i = 0; i < ndim; i++) {
        const uint8_t *b = bytes + 4 + 4 * i;
        int64_t extent = (int64_t)b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3];
        if (extent == 0 || (i > 0 && extent > EXTENT_MAX))
            return SYN_FAIL(SYN_INVALID_ARGUMENT, "%s: dimension %d is %lld, it must be 1 to %lld",
                            path, i, (long long)extent, i > 0 ? (long long)EXTENT_MAX : UINT32_MAX);
        idx->dims[i] = extent;
        item *= i > 0 ? (size_t)extent : 1;
    }
    *size_out = header + item * (size_t)idx->dims[0];
    return SYN_OK;
}

static syn_status open_plain(int fd, size_t file_size, const char *path, int ndim, syn_idx *idx)
{
    if (file_size == 0)
        return SYN_FAIL(SYN_DATA_LOSS, "%s: is empty", path);

    void *memory = mmap(NULL, file_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (memory == MAP_FAILED)
        return SYN_FAIL(SYN_UNAVAILABLE, "%s: cannot be mapped: %s", path, strerror(errno));
    idx->memory = memory;
    idx->memory_bytes = file_size;
    idx->is_mapped = 1;

    size_t expected = 0;
    SYN_TRY(parse_header(memory, file_size, path, ndim, idx, &expected));
    if (file_size != expected)
        return SYN_FAIL(SYN_DATA_LOSS, "%s: has %zu bytes, its header promises %zu (%lld items)",
                        path, file_size, expected, (long long)idx->dims[0]);
    idx->data = (const uint8_t *)memory + 4 + 4 * ndim;
    return SYN_OK;
}

static syn_status inflate_failed(gzFile file, const char *path, size_t got, size_t wanted)
{
    int code = Z_OK;
    const char *reason = gzerror(file, &code);

    if (code == Z_OK || code == Z_BUF_ERROR)
        return SYN_FAIL(SYN_DATA_LOSS, "%s: ends after %zu inflated bytes of %zu", path, got,
                        wanted);
    return SYN_FAIL(SYN_DATA_LOSS, "%s: cannot be inflated: %s", path,
                    code == Z_ERRNO ? strerror(errno) : reason);
}

static syn_status inflate_rest(gzFile file, const char *path, uint8_t *bytes, size_t got,
                               size_t wanted)
{
    while (got < wanted) {
        size_t left = wanted - got;
        int n = gzread(file, bytes + got, left > 1 << 30 ? 1 << 30 : (unsigned)left);
        if (n <= 0)
            return inflate_failed(file, path, got, wanted);
        got += (size_t)n;
    }

    uint8_t extra;
    int n = gzread(file, &extra, 1);
    if (n > 0)
        return SYN_FAIL(SYN_DATA_LOSS, "%s: goes on after the %zu bytes its header promises", path,
                        wanted);
    return n < 0 ? inflate_failed(file, path, got, wanted) : SYN_OK;
}

static syn_status open_gzip(int fd, size_t file_size, const char *path, int ndim, syn_idx *idx)
{
    syn_status status = SYN_OK;
    uint8_t header[HEADER_MAX];
    size_t expected = 0;
    gzFile file = gzdopen(fd, "rb");

    if (!file) {
        (void)close(fd);
        return syn_fail_memory(sizeof header, path);
    }
    int n = gzread(file, header, 4 + 4 * (unsigned)ndim);
    if (n < 0 || (n < 4 && !gzeof(file)))
        SYN_GOTO(inflate_failed(file, path, 0, sizeof header));
    SYN_GOTO(parse_header(header, (size_t)n, path, ndim, idx, &expected));
    if (expected / DEFLATE_RATIO > file_size)
        SYN_GOTO(SYN_FAIL(SYN_DATA_LOSS,
                          "%s: has %zu bytes, too few for the %zu that its header promises", path,
                          file_size, expected));
    idx->memory = syn_malloc(expected);
    if (!idx->memory)
        SYN_GOTO(syn_fail_memory(expected, path));
    idx->memory_bytes = expected;
    memcpy(idx->memory, header, (size_t)n);
    SYN_GOTO(inflate_rest(file, path, idx->memory, (size_t)n, expected));
    idx->data = (const uint8_t *)idx->memory + 4 + 4 * ndim;
out:
    (void)gzclose(file);
    return status;
}

/* The path of `name` or `name`.gz in the folder that exists, on the heap. */
static syn_status find_file(const char *folder, const char *name, char **path_out, int *is_gz_out)
{
    char with_suffix[128];
    char *plain = syn_path_join(folder, name);

    if (!plain)
        return syn_fail_memory(strlen(folder), "a path");
    if (syn_path_exists(plain)) {
        *path_out = plain;
        *is_gz_out = 0;
        return SYN_OK;
    }
    syn_free(plain);
    (void)snprintf(with_suffix, sizeof with_suffix, "%s.gz", name);
    char *gz = syn_path_join(folder, with_suffix);
    if (!gz)
        return syn_fail_memory(strlen(folder), "a path");
    if (!syn_path_exists(gz)) {
        syn_status status = SYN_FAIL(SYN_NOT_FOUND, "%s: there is neither %s nor %s in this folder",
                                     folder, name, with_suffix);
        syn_free(gz);
        return status;
    }
    *path_out = gz;
    *is_gz_out = 1;
    return SYN_OK;
}

syn_status syn_idx_open(const char *folder, const char *name, int ndim, syn_idx *idx_out)
{
    syn_idx idx = {0};
    struct stat info;
    int is_gz = 0;

    SYN_TRY(find_file(folder, name, &idx.path, &is_gz));

    syn_status status = SYN_OK;
    int fd = open(idx.path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        SYN_GOTO(SYN_FAIL(errno == EACCES ? SYN_PERMISSION_DENIED : SYN_UNAVAILABLE,
                          "%s: cannot be opened: %s", idx.path, strerror(errno)));
    if (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode))
        SYN_GOTO(SYN_FAIL(SYN_INVALID_ARGUMENT, "%s: is not a regular file", idx.path));
    if (is_gz) {
        int gz_fd = fd;
        fd = -1; /* gzclose closes it */
        SYN_GOTO(open_gzip(gz_fd, (size_t)info.st_size, idx.path, ndim, &idx));
    } else {
        SYN_GOTO(open_plain(fd, (size_t)info.st_size, idx.path, ndim, &idx));
    }
    *idx_out = idx;
    idx = (syn_idx){0};
out:
    if (fd >= 0)
        (void)close(fd);
    syn_idx_release(&idx);
    return status;
}

void syn_idx_release(syn_idx *idx)
{
    if (idx->is_mapped)
        (void)munmap(idx->memory, idx->memory_bytes);
    else
        syn_free(idx->memory);
    syn_free(idx->path);
    *idx = (syn_idx){0};
}
