/* Text files: mapped, with the vocabulary of the bytes that occur. */
#include "worker/data/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const int64_t size_max = (int64_t)1 << 36; /* 64 GiB: finding the vocabulary reads it all */

static syn_status map_file(const char *path, syn_text *text)
{
    struct stat info;
    syn_status status = SYN_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return SYN_FAIL(errno == ENOENT   ? SYN_NOT_FOUND
                        : errno == EACCES ? SYN_PERMISSION_DENIED
                                          : SYN_UNAVAILABLE,
                        "data.path %s: %s", path, strerror(errno));
    if (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode))
        SYN_GOTO(SYN_FAIL(SYN_INVALID_ARGUMENT, "data.path %s: is not a regular file", path));
    if (info.st_size == 0)
        SYN_GOTO(SYN_FAIL(SYN_INVALID_ARGUMENT, "data.path %s: is empty", path));
    if (info.st_size > size_max)
        SYN_GOTO(SYN_FAIL(SYN_OUT_OF_RANGE, "data.path %s: has %lld bytes, at most %lld are read",
                          path, (long long)info.st_size, (long long)size_max));
    void *bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        SYN_GOTO(
            SYN_FAIL(SYN_UNAVAILABLE, "data.path %s: cannot be mapped: %s", path, strerror(errno)));
    text->bytes = bytes;
    text->size_bytes = (size_t)info.st_size;
out:
    (void)close(fd);
    return status;
}

static void find_vocabulary(syn_text *text)
{
    bool occurs[256] = {false};

    for (size_t i = 0; i < text->size_bytes; i++)
        occurs[text->bytes[i]] = true;
    for (int byte = 0; byte < 256; byte++) {
        if (!occurs[byte])
            continue;
        text->token_of[byte] = (uint8_t)text->n_vocabulary;
        text->vocabulary[text->n_vocabulary++] = (uint8_t)byte;
    }
}

static syn_status check_parts(const syn_text *text, const char *path, double val_fraction,
                              int64_t block)
{
    int64_t n_val = (int64_t)text->size_bytes - text->n_train;

    if (text->n_train < block + 1)
        return SYN_FAIL(SYN_INVALID_ARGUMENT,
                        "data.path %s: its training part has %lld bytes, a window of block %lld "
                        "needs %lld",
                        path, (long long)text->n_train, (long long)block, (long long)block + 1);
    if (val_fraction > 0 && n_val < block + 1)
        return SYN_FAIL(SYN_INVALID_ARGUMENT,
                        "data.path %s: val_fraction %g leaves %lld bytes for validation, a window "
                        "of block %lld needs %lld",
                        path, val_fraction, (long long)n_val, (long long)block,
                        (long long)block + 1);
    return SYN_OK;
}

syn_status syn_text_open(const char *path, double val_fraction, int64_t block, syn_text *text_out)
{
    syn_status status = SYN_OK;
    syn_text text = {0};

    if (!*path)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "data.path is not set: text data needs a file");
    if (!(val_fraction >= 0 && val_fraction < 1))
        return SYN_FAIL(SYN_INVALID_ARGUMENT,
                        "data.val_fraction is %g, it must be at least 0 and below 1", val_fraction);
    if (block < 1)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "model.block is %lld, it must be at least 1",
                        (long long)block);
    SYN_GOTO(map_file(path, &text));
    text.n_train = (int64_t)((double)text.size_bytes * (1 - val_fraction));
    SYN_GOTO(check_parts(&text, path, val_fraction, block));
    find_vocabulary(&text);
    *text_out = text;
    return SYN_OK;
out:
    syn_text_release(&text);
    return status;
}

void syn_text_release(syn_text *text)
{
    if (text->bytes)
        (void)munmap((void *)text->bytes, text->size_bytes);
    *text = (syn_text){0};
}
