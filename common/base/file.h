/* Whole files: bounded reading, atomic writing, folders. Errors name the path and the system's
 * reason. */
#ifndef COMMON_BASE_FILE_H
#define COMMON_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <syncline/status.h>
#include <sys/uio.h>

/* Reads a regular file of at most `limit` bytes; a NUL follows the bytes. The caller frees
 * `*bytes_out` (syn_free). */
syn_status syn_file_read(const char *path, size_t limit, char **bytes_out, size_t *size_out);
/* Writes aside, fsyncs, renames over `path` and fsyncs the folder: readers see the old file or the
 * whole new one. */
syn_status syn_file_write_atomic(const char *path, const void *bytes, size_t size);
/* The same for bytes that lie in several places; they follow each other in the file. */
syn_status syn_file_write_atomic_parts(const char *path, const struct iovec *parts, size_t n_parts);
/* Writes all bytes to `fd`; the error names `path`. */
syn_status syn_file_write_all(int fd, const char *path, const void *bytes, size_t size);
/* fsyncs the folder `path`, so that names created in it last. */
syn_status syn_dir_sync(const char *path);
/* Creates the folder and its missing parents (mode 0777 & ~umask). */
syn_status syn_dir_make(const char *path);
/* Removes a folder and what is in it; not an error if it is absent. Does not follow symbolic links.
 */
syn_status syn_dir_remove(const char *path);
bool syn_path_exists(const char *path);
/* "a/b" on the heap, NULL when out of memory; an absolute `b` is returned alone. */
char *syn_path_join(const char *a, const char *b);
/* Lower-case hexadecimal SHA-256 (FIPS 180-4, by libcrypto) of a buffer. */
syn_status syn_sha256_hex(const void *bytes, size_t size, char hex_out[65]);
syn_status syn_file_sha256_hex(const char *path, char hex_out[65]);

#endif
