/* Reading safetensors: the header is checked completely, then tensors are views of the mapping. */
#include "common/format/safetensors.h"

#include "common/base/mem.h"
#include "common/format/literal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are little-endian, as we must be");

enum { HEADER_LIMIT = 100 * 1000 * 1000 }; /* as the reference implementation */

struct syn_safetensors {
    void *mapping; /* owned, NULL over borrowed memory */
    size_t mapping_size;
    json_t *header;                 /* owned; names point into it */
    syn_safetensor *tensors;        /* owned; in the order of the data */
    const syn_safetensor **by_name; /* owned; the same, sorted by name */
    size_t n;
};

/* What the checks need to know of a file. */
typedef struct context {
    const char *name;
    const unsigned char *data; /* behind the header */
    size_t data_size;
} context;

/* Records "FILE: tensor "x": sentence". */
__attribute__((format(printf, 3, 4))) static syn_status
refuse_tensor(const context *c, const char *tensor, const char *format, ...)
{
    char sentence[256], word[SYN_SHOWN_BYTES];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    return SYN_FAIL(SYN_DATA_LOSS, "%s: tensor \"%s\": %s", c->name, syn_text_show(tensor, word),
                    sentence);
}

static syn_status read_shape(const context *c, const json_t *shape, syn_safetensor *t)
{
    size_t ndim = json_array_size(shape);
    int64_t n_elements = 1;
    bool is_empty = false;

    if (!json_is_array(shape))
        return refuse_tensor(c, t->name, "shape is missing or not a list");
    if (ndim > SYN_SAFETENSORS_MAX_DIMS)
        return refuse_tensor(c, t->name, "%zu dimensions, at most %d are supported", ndim,
                             SYN_SAFETENSORS_MAX_DIMS);
    t->ndim = (int)ndim;
    for (size_t i = 0; i < ndim; i++) {
        const json_t *dim = json_array_get(shape, i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return refuse_tensor(c, t->name, "dimension %zu is not a natural number", i);
        t->shape[i] = json_integer_value(dim);
        is_empty = is_empty || t->shape[i] == 0;
        /* Empty axes are left out of the product: strides are computed from the others even then.
         */
        if (t->shape[i] != 0 && __builtin_mul_overflow(n_elements, t->shape[i], &n_elements))
            return refuse_tensor(c, t->name, "the shape has more than 2^63 elements");
    }
    if (__builtin_mul_overflow(is_empty ? 0 : n_elements, syn_dtype_size(t->dtype), &t->size_bytes))
        return refuse_tensor(c, t->name, "the shape has more than 2^64 bytes");
    return SYN_OK;
}

static syn_status read_offsets(const context *c, const json_t *offsets, syn_safetensor *t)
{
    const json_t *first = json_array_get(offsets, 0), *second = json_array_get(offsets, 1);

    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(second))
        return refuse_tensor(c, t->name, "data_offsets is missing or not a list of two integers");
    int64_t begin = json_integer_value(first), end = json_integer_value(second);
    if (begin < 0 || end < begin || (uint64_t)end > c->data_size)
        return refuse_tensor(c, t->name,
                             "data_offsets [%" PRId64 ", %" PRId64
                             "] are not within the %zu bytes of data",
                             begin, end, c->data_size);
    if ((uint64_t)(end - begin) != t->size_bytes)
        return refuse_tensor(c, t->name,
                             "its shape and dtype need %zu bytes, its data_offsets give %" PRId64,
                             t->size_bytes, end - begin);
    t->data = c->data + begin;
    return SYN_OK;
}

static syn_status read_tensor(const context *c, const char *name, const json_t *entry,
                              syn_safetensor *t)
{
    char word[SYN_SHOWN_BYTES];
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));

    *t = (syn_safetensor){.name = name};
    if (!dtype)
        return refuse_tensor(c, name, "dtype is missing or not a text");
    t->dtype = syn_dtype_find(dtype);
    if (t->dtype == SYN_N_DTYPES || t->dtype == SYN_C128 ||
        strcmp(dtype, syn_dtype_file_name(t->dtype)) != 0)
        return refuse_tensor(c, name, "the dtype \"%s\" is not supported",
                             syn_text_show(dtype, word));
    SYN_TRY(read_shape(c, json_object_get(entry, "shape"), t));
    return read_offsets(c, json_object_get(entry, "data_offsets"), t);
}

static syn_status check_metadata(const context *c, json_t *metadata)
{
    const char *key;
    json_t *value;
    char word[SYN_SHOWN_BYTES];

    if (!json_is_object(metadata))
        return SYN_FAIL(SYN_DATA_LOSS, "%s: __metadata__ is not an object", c->name);
    json_object_foreach(metadata, key, value)
    {
        if (!json_is_string(value))
            return SYN_FAIL(SYN_DATA_LOSS, "%s: the value of \"%s\" in __metadata__ is not a text",
                            c->name, syn_text_show(key, word));
    }
    return SYN_OK;
}

static int compare_places(const void *a, const void *b)
{
    const syn_safetensor *x = a, *y = b;
    if (x->data != y->data)
        return (const char *)x->data < (const char *)y->data ? -1 : 1;
    if (x->size_bytes != y->size_bytes)
        return x->size_bytes < y->size_bytes ? -1 : 1;
    return strcmp(x->name, y->name); /* so that errors name the same tensor everywhere */
}

static int compare_names(const void *a, const void *b)
{
    const syn_safetensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* Sorted by place, tensors must follow each other without holes and use up the data. */
static syn_status check_places(const context *c, const syn_safetensors *file)
{
    size_t end = 0;

    for (size_t i = 0; i < file->n; i++) {
        const syn_safetensor *t = &file->tensors[i];
        size_t begin = (size_t)((const unsigned char *)t->data - c->data);
        if (begin != end)
            return refuse_tensor(c, t->name,
                                 "its data begin at byte %zu, %s the data before, which end at %zu",
                                 begin, begin < end ? "inside" : "leaving a hole behind", end);
        end += t->size_bytes;
    }
    if (end != c->data_size)
        return SYN_FAIL(SYN_DATA_LOSS, "%s: the tensors end at byte %zu of %zu bytes of data",
                        c->name, end, c->data_size);
    return SYN_OK;
}

static syn_status read_tensors(const context *c, syn_safetensors *file)
{
    const char *key;
    json_t *value;
    size_t n = json_object_size(file->header);

    file->tensors = syn_calloc(n, sizeof *file->tensors);
    file->by_name = syn_calloc(n, sizeof(syn_safetensor *));
    if (!file->tensors || !file->by_name)
        return syn_fail_memory(n * sizeof *file->tensors, c->name);
    json_object_foreach(file->header, key, value)
    {
        if (strcmp(key, "__metadata__") == 0)
            SYN_TRY(check_metadata(c, value));
        else
            SYN_TRY(read_tensor(c, key, value, &file->tensors[file->n++]));
    }
    qsort(file->tensors, file->n, sizeof *file->tensors, compare_places);
    for (size_t i = 0; i < file->n; i++)
        file->by_name[i] = &file->tensors[i];
    qsort(file->by_name, file->n, sizeof *file->by_name, compare_names);
    return check_places(c, file);
}

static syn_status read_header(const unsigned char *bytes, size_t size, const char *name,
                              syn_safetensors *file)
{
    uint64_t header_size;
    json_error_t error;

    if (size < sizeof header_size)
        return SYN_FAIL(SYN_DATA_LOSS, "%s has %zu bytes, too few for a safetensors file", name,
                        size);
    memcpy(&header_size, bytes, sizeof header_size);
    if (header_size > HEADER_LIMIT)
        return SYN_FAIL(SYN_DATA_LOSS,
                        "%s is no safetensors file: its header would have %" PRIu64
                        " bytes, at most %d are allowed",
                        name, header_size, HEADER_LIMIT);
    if (header_size > size - sizeof header_size)
        return SYN_FAIL(SYN_DATA_LOSS,
                        "%s is cut off: its header has %" PRIu64 " bytes, the file %zu", name,
                        header_size, size);
    const char *text = (const char *)bytes + sizeof header_size;
    if (header_size == 0 || *text != '{')
        return SYN_FAIL(SYN_DATA_LOSS,
                        "%s is no safetensors file: its header does not begin with {", name);
    file->header = json_loadb(text, header_size, JSON_REJECT_DUPLICATES, &error);
    if (!file->header && (json_error_code(&error) == json_error_out_of_memory || !*error.text))
        return syn_fail_memory(header_size, name);
    if (!file->header)
        return SYN_FAIL(SYN_DATA_LOSS, "%s: byte %d of the header: %s", name, error.position,
                        error.text);
    context c = {name, bytes + sizeof header_size + header_size,
                 size - sizeof header_size - header_size};
    return read_tensors(&c, file);
}

syn_status syn_safetensors_parse(const void *bytes, size_t size, const char *name,
                                 syn_safetensors **file_out)
{
    syn_safetensors *file = syn_calloc(1, sizeof *file);
    if (!file)
        return syn_fail_memory(sizeof *file, name);
    syn_status status = read_header(bytes, size, name, file);
    if (status == SYN_OK)
        *file_out = file;
    else
        syn_safetensors_free(file);
    return status;
}

static syn_status map_file(const char *path, void **mapping_out, size_t *size_out)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    syn_status status = SYN_OK;
    void *mapping = NULL;

    if (fd < 0)
        return SYN_FAIL(errno == ENOENT ? SYN_NOT_FOUND : SYN_UNKNOWN, "cannot open %s: %s", path,
                        strerror(errno));
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        status = SYN_FAIL(SYN_INVALID_ARGUMENT, "cannot read %s: it is not a regular file", path);
    } else if (info.st_size > 0) {
        mapping = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (mapping == MAP_FAILED)
            status = SYN_FAIL(SYN_RESOURCE_EXHAUSTED, "cannot map %s: %s", path, strerror(errno));
    }
    (void)close(fd);
    if (status == SYN_OK) {
        *mapping_out = mapping;
        *size_out = (size_t)info.st_size;
    }
    return status;
}

syn_status syn_safetensors_open(const char *path, syn_safetensors **file_out)
{
    void *mapping;
    size_t size;
    syn_safetensors *file = NULL;

    SYN_TRY(map_file(path, &mapping, &size));
    syn_status status = syn_safetensors_parse(mapping ? mapping : "", size, path, &file);
    if (status == SYN_OK) {
        file->mapping = mapping;
        file->mapping_size = size;
        *file_out = file;
    } else if (mapping) {
        (void)munmap(mapping, size);
    }
    return status;
}

void syn_safetensors_free(syn_safetensors *file)
{
    if (!file)
        return;
    if (file->mapping)
        (void)munmap(file->mapping, file->mapping_size);
    json_decref(file->header);
    syn_free(file->tensors);
    syn_free((void *)file->by_name);
    syn_free(file);
}

size_t syn_safetensors_count(const syn_safetensors *file)
{
    return file->n;
}

const syn_safetensor *syn_safetensors_get(const syn_safetensors *file, size_t index)
{
    SYN_BUG_ON(index >= file->n);
    return &file->tensors[index];
}

const syn_safetensor *syn_safetensors_find(const syn_safetensors *file, const char *name)
{
    const syn_safetensor wanted = {.name = name}, *key = &wanted;
    const syn_safetensor *const *found =
        bsearch(&key, file->by_name, file->n, sizeof *file->by_name, compare_names);
    return found ? *found : NULL;
}

const char *syn_safetensors_metadata(const syn_safetensors *file, const char *key)
{
    return json_string_value(json_object_get(json_object_get(file->header, "__metadata__"), key));
}
