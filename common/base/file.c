/* Reading, atomic writing, folders and digests. */
#include "common/base/file.h"

#include "common/base/mem.h"
#include "common/base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static syn_status fail_path(const char *verb, const char *path)
{
    int error = errno;
    syn_status code = error == ENOENT                      ? SYN_NOT_FOUND
                      : error == EACCES || error == EPERM  ? SYN_PERMISSION_DENIED
                      : error == ENOSPC || error == EDQUOT ? SYN_RESOURCE_EXHAUSTED
                                                           : SYN_UNKNOWN;
    return SYN_FAIL(code, "cannot %s %s: %s", verb, path, strerror(error));
}

syn_status syn_file_read(const char *path, size_t limit, char **bytes_out, size_t *size_out)
{
    syn_status status = SYN_OK;
    struct stat info;
    char *bytes = NULL;
    size_t size = 0;

    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_path("open", path);
    if (fstat(fd, &info) != 0) {
        status = fail_path("read", path);
        goto out;
    }
    if (!S_ISREG(info.st_mode)) {
        status = SYN_FAIL(SYN_INVALID_ARGUMENT, "cannot read %s: it is not a regular file", path);
        goto out;
    }
    if ((uint64_t)info.st_size > limit) {
        status = SYN_FAIL(SYN_RESOURCE_EXHAUSTED, "%s has %lld bytes, the limit is %zu", path,
                          (long long)info.st_size, limit);
        goto out;
    }
    bytes = syn_malloc((size_t)info.st_size + 1);
    if (!bytes) {
        status = syn_fail_memory((size_t)info.st_size + 1, path);
        goto out;
    }
    while (size < (size_t)info.st_size) {
        ssize_t n = read(fd, bytes + size, (size_t)info.st_size - size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            status = fail_path("read", path);
            goto out;
        }
        if (n == 0)
            break;
        size += (size_t)n;
    }
    bytes[size] = '\0';
    *bytes_out = bytes;
    *size_out = size;
    bytes = NULL;
out:
    syn_free(bytes);
    (void)close(fd);
    return status;
}

syn_status syn_file_write_all(int fd, const char *path, const void *bytes, size_t size)
{
    const char *p = bytes;
    while (size > 0) {
        ssize_t n = write(fd, p, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_path("write", path);
        p += n;
        size -= (size_t)n;
    }
    return SYN_OK;
}

syn_status syn_dir_sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail_path("open", path);
    syn_status status = fsync(fd) == 0 || errno == EINVAL ? SYN_OK : fail_path("sync", path);
    (void)close(fd);
    return status;
}

syn_status syn_file_write_atomic(const char *path, const void *bytes, size_t size)
{
    struct iovec whole = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    return syn_file_write_atomic_parts(path, &whole, 1);
}

syn_status syn_file_write_atomic_parts(const char *path, const struct iovec *parts, size_t n_parts)
{
    syn_status status = SYN_OK;
    syn_str aside = {0}, folder = {0};
    int fd = -1;

    syn_str_appendf(&aside, "%s.tmp.%ld", path, (long)getpid());
    syn_str_append(&folder, path);
    if (aside.failed || folder.failed) {
        status = syn_fail_memory(strlen(path), path);
        goto out;
    }
    fd = open(aside.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        status = fail_path("create", aside.data);
        goto out;
    }
    for (size_t i = 0; i < n_parts; i++)
        SYN_GOTO(syn_file_write_all(fd, path, parts[i].iov_base, parts[i].iov_len));
    if (fsync(fd) != 0) {
        status = fail_path("sync", path);
        goto out;
    }
    if (rename(aside.data, path) != 0) {
        status = fail_path("replace", path);
        goto out;
    }
    status = syn_dir_sync(dirname(folder.data));
out:
    if (fd >= 0)
        (void)close(fd);
    if (status != SYN_OK && aside.data)
        (void)unlink(aside.data);
    syn_str_release(&aside);
    syn_str_release(&folder);
    return status;
}

syn_status syn_dir_make(const char *path)
{
    syn_status status = SYN_OK;
    char *copy = syn_strdup(path);

    if (!copy)
        return syn_fail_memory(strlen(path) + 1, "a path");
    for (char *p = copy + 1; status == SYN_OK && *copy; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char end = *p;
        *p = '\0';
        if (mkdir(copy, 0777) != 0 && errno != EEXIST)
            status = fail_path("create the folder", path);
        *p = end;
        if (end == '\0')
            break;
    }
    struct stat info;
    if (status == SYN_OK && stat(path, &info) == 0 && !S_ISDIR(info.st_mode))
        status =
            SYN_FAIL(SYN_FAILED_PRECONDITION, "cannot create the folder %s: a file is there", path);
    syn_free(copy);
    return status;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info, (void)type, (void)walk;
    return remove(path);
}

syn_status syn_dir_remove(const char *path)
{
    if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
        return fail_path("remove", path);
    return SYN_OK;
}

bool syn_path_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

char *syn_path_join(const char *a, const char *b)
{
    syn_str path = {0};
    if (b[0] == '/' || a[0] == '\0') {
        syn_str_append(&path, b);
    } else {
        syn_str_append(&path, a);
        if (!syn_has_suffix(a, "/"))
            syn_str_append(&path, "/");
        syn_str_append(&path, b);
    }
    return syn_str_take(&path);
}

static void to_hex(const unsigned char digest[32], char hex_out[65])
{
    for (int i = 0; i < 32; i++)
        (void)snprintf(hex_out + 2 * i, 3, "%02x", digest[i]);
}

syn_status syn_sha256_hex(const void *bytes, size_t size, char hex_out[65])
{
    unsigned char digest[32];
    if (!EVP_Digest(bytes, size, digest, NULL, EVP_sha256(), NULL))
        return SYN_FAIL(SYN_INTERNAL, "libcrypto could not compute a SHA-256");
    to_hex(digest, hex_out);
    return SYN_OK;
}

syn_status syn_file_sha256_hex(const char *path, char hex_out[65])
{
    syn_status status = SYN_OK;
    unsigned char digest[32], buffer[65536];
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        status = fail_path("open", path);
        goto out;
    }
    if (!context || !EVP_DigestInit_ex(context, EVP_sha256(), NULL)) {
        status = SYN_FAIL(SYN_INTERNAL, "libcrypto could not compute a SHA-256");
        goto out;
    }
    for (;;) {
        ssize_t n = read(fd, buffer, sizeof buffer);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            status = fail_path("read", path);
            goto out;
        }
        if (n == 0)
            break;
        (void)EVP_DigestUpdate(context, buffer, (size_t)n);
    }
    (void)EVP_DigestFinal_ex(context, digest, NULL);
    to_hex(digest, hex_out);
out:
    EVP_MD_CTX_free(context);
    if (fd >= 0)
        (void)close(fd);
    return status;
}
