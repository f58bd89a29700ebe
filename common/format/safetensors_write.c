/* Writing safetensors as the reference library lays them out: widest dtype first, then by name,
 * header padded to 8. */
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/format/literal.h"
#include "common/format/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_LIMIT = 100 * 1000 * 1000 };

static int compare(const void *a, const void *b)
{
    const syn_safetensor *x = *(const syn_safetensor *const *)a,
                         *y = *(const syn_safetensor *const *)b;
    size_t wx = syn_dtype_size(x->dtype), wy = syn_dtype_size(y->dtype);
    if (wx != wy)
        return wx > wy ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static syn_status check(const char *path, const syn_safetensor *t)
{
    char word[SYN_SHOWN_BYTES];
    size_t size_bytes = syn_dtype_size(t->dtype);

    if (!t->name || !syn_utf8_is_valid(t->name, strlen(t->name)))
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "%s: the name of a tensor is not UTF-8", path);
    (void)syn_text_show(t->name, word);
    if (strcmp(t->name, "__metadata__") == 0)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "%s: a tensor cannot be called __metadata__", path);
    if (t->dtype >= SYN_N_DTYPES || syn_dtype_get_kind(t->dtype) == SYN_KIND_COMPLEX)
        return SYN_FAIL(SYN_INVALID_ARGUMENT,
                        "%s: tensor \"%s\": the format has no dtype %s; store a last axis of 2",
                        path, word, syn_dtype_name(t->dtype));
    if (t->ndim < 0 || t->ndim > SYN_SAFETENSORS_MAX_DIMS)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "%s: tensor \"%s\": %d dimensions", path, word,
                        t->ndim);
    for (int i = 0; i < t->ndim; i++)
        if (t->shape[i] < 0 || __builtin_mul_overflow(size_bytes, (size_t)t->shape[i], &size_bytes))
            return SYN_FAIL(SYN_INVALID_ARGUMENT, "%s: tensor \"%s\": dimension %d is %" PRId64,
                            path, word, i, t->shape[i]);
    if (size_bytes != t->size_bytes)
        return SYN_FAIL(SYN_INVALID_ARGUMENT,
                        "%s: tensor \"%s\": its shape and dtype need %zu bytes, it has %zu", path,
                        word, size_bytes, t->size_bytes);
    return SYN_OK;
}

/* `texts` is scratch for `n` pointers. */
static syn_status check_unique(const char *path, const char *what, const char **texts, size_t n)
{
    char word[SYN_SHOWN_BYTES];

    qsort(texts, n, sizeof *texts, compare_texts);
    for (size_t i = 1; i < n; i++)
        if (strcmp(texts[i - 1], texts[i]) == 0)
            return SYN_FAIL(SYN_INVALID_ARGUMENT, "%s: two %s are called \"%s\"", path, what,
                            syn_text_show(texts[i], word));
    return SYN_OK;
}

static void append_metadata(syn_str *header, const char *const *metadata, size_t n_metadata)
{
    syn_str_append(header, "\"__metadata__\":{");
    for (size_t i = 0; i < n_metadata; i++) {
        syn_str_append(header, i ? "," : "");
        syn_str_append_quoted(header, metadata[2 * i]);
        syn_str_append(header, ":");
        syn_str_append_quoted(header, metadata[2 * i + 1]);
    }
    syn_str_append(header, "}");
}

/* The 8-byte size and the JSON text, padded with spaces so that the data are aligned. */
static void build_header(syn_str *header, const syn_safetensor *const *order, size_t n,
                         const char *const *metadata, size_t n_metadata)
{
    size_t offset = 0;
    uint64_t size = 0;

    syn_str_append_n(header, &size, sizeof size);
    syn_str_append(header, "{");
    if (n_metadata > 0)
        append_metadata(header, metadata, n_metadata);
    for (size_t i = 0; i < n; i++) {
        const syn_safetensor *t = order[i];
        syn_str_append(header, i || n_metadata ? "," : "");
        syn_str_append_quoted(header, t->name);
        syn_str_appendf(header, ":{\"dtype\":\"%s\",\"shape\":[", syn_dtype_file_name(t->dtype));
        for (int d = 0; d < t->ndim; d++)
            syn_str_appendf(header, "%s%" PRId64, d ? "," : "", t->shape[d]);
        syn_str_appendf(header, "],\"data_offsets\":[%zu,%zu]}", offset, offset + t->size_bytes);
        offset += t->size_bytes;
    }
    syn_str_append(header, "}");
    while (!header->failed && header->length % 8 != 0)
        syn_str_append(header, " ");
    if (header->failed)
        return;
    size = header->length - sizeof size;
    memcpy(header->data, &size, sizeof size);
}

static syn_status check_all(const char *path, const syn_safetensor *tensors, size_t n,
                            const char *const *metadata, size_t n_metadata)
{
    syn_status status = SYN_OK;
    size_t n_texts = n > n_metadata ? n : n_metadata;
    const char **texts = syn_calloc(n_texts, sizeof *texts);

    if (!texts)
        return syn_fail_memory(n_texts * sizeof *texts, path);
    for (size_t i = 0; i < n; i++) {
        SYN_GOTO(check(path, &tensors[i]));
        texts[i] = tensors[i].name;
    }
    SYN_GOTO(check_unique(path, "tensors", texts, n));
    for (size_t i = 0; i < 2 * n_metadata; i++)
        if (!syn_utf8_is_valid(metadata[i], strlen(metadata[i]))) {
            status = SYN_FAIL(SYN_INVALID_ARGUMENT, "%s: the metadata are not UTF-8", path);
            goto out;
        }
    for (size_t i = 0; i < n_metadata; i++)
        texts[i] = metadata[2 * i];
    status = check_unique(path, "metadata", texts, n_metadata);
out:
    syn_free((void *)texts);
    return status;
}

syn_status syn_safetensors_write(const char *path, const syn_safetensor *tensors, size_t n,
                                 const char *const *metadata, size_t n_metadata)
{
    syn_status status = SYN_OK;
    syn_str header = {0};
    const syn_safetensor **order = syn_calloc(n, sizeof *order);
    struct iovec *parts = syn_calloc(n + 1, sizeof *parts);

    if (!order || !parts) {
        status = syn_fail_memory((n + 1) * sizeof *parts, path);
        goto out;
    }
    SYN_GOTO(check_all(path, tensors, n, metadata, n_metadata));
    for (size_t i = 0; i < n; i++)
        order[i] = &tensors[i];
    qsort(order, n, sizeof *order, compare);
    build_header(&header, order, n, metadata, n_metadata);
    if (header.failed) {
        status = syn_fail_memory(header.capacity, path);
        goto out;
    }
    if (header.length > HEADER_LIMIT) {
        status =
            SYN_FAIL(SYN_INVALID_ARGUMENT, "%s: the header has %zu bytes, at most %d are allowed",
                     path, header.length, HEADER_LIMIT);
        goto out;
    }
    parts[0] = (struct iovec){header.data, header.length};
    for (size_t i = 0; i < n; i++)
        parts[i + 1] = (struct iovec){(void *)(uintptr_t)order[i]->data, order[i]->size_bytes};
    status = syn_file_write_atomic_parts(path, parts, n + 1);
out:
    syn_str_release(&header);
    syn_free((void *)order);
    syn_free(parts);
    return status;
}
