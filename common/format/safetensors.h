/* Reading and writing safetensors files (8-byte little-endian header size, JSON header, data). */
#ifndef COMMON_FORMAT_SAFETENSORS_H
#define COMMON_FORMAT_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>
#include <syncline/dtype.h>
#include <syncline/status.h>

enum { SYN_SAFETENSORS_MAX_DIMS = 16 };

/* One tensor of a file. The format has no C128, and C64 only in files of newer libraries (they are
 * read): callers store complex tensors as F32/F64 with a last axis of 2. */
typedef struct syn_safetensor {
    const char *name; /* borrowed from the file when read */
    syn_dtype dtype;
    int ndim;
    int64_t shape[SYN_SAFETENSORS_MAX_DIMS];
    const void *data; /* borrowed: into the mapping when read. Row-major, little-endian, perhaps
                         unaligned */
    size_t size_bytes;
} syn_safetensor;

typedef struct syn_safetensors syn_safetensors;

/* Maps a file and checks its header completely (bounds, overlaps, sizes, duplicate names, UTF-8)
 * before anything is used. */
syn_status syn_safetensors_open(const char *path, syn_safetensors **file_out);
/* The same over memory (borrowed) for tests and fuzzing; `name` is used in errors. */
syn_status syn_safetensors_parse(const void *bytes, size_t size, const char *name,
                                 syn_safetensors **file_out);
void syn_safetensors_free(syn_safetensors *file);
size_t syn_safetensors_count(const syn_safetensors *file);
const syn_safetensor *syn_safetensors_get(const syn_safetensors *file, size_t index);
/* NULL if there is none of that name. */
const syn_safetensor *syn_safetensors_find(const syn_safetensors *file, const char *name);
/* A value of __metadata__, NULL if absent. */
const char *syn_safetensors_metadata(const syn_safetensors *file, const char *key);

/* Writes a file atomically (aside, fsync, rename), byte for byte as the reference library does:
 * widest dtype first, then by name, the header padded to 8 bytes. INVALID_ARGUMENT for complex
 * dtypes, names that are not UTF-8 or stand twice, and sizes that do not fit their shapes.
 * `metadata` is n_metadata pairs key, value. */
syn_status syn_safetensors_write(const char *path, const syn_safetensor *tensors, size_t n,
                                 const char *const *metadata, size_t n_metadata);

#endif
