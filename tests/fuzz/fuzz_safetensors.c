/* safetensors files; every byte of every accepted tensor is read. */
#include "tests/fuzz/fuzz.h"

#include "common/format/safetensors.h"

#include <stdlib.h>
#include <string.h>

static void try_file(const uint8_t *bytes, size_t size)
{
    static volatile unsigned sink;
    syn_safetensors *file = NULL;

    if (syn_safetensors_parse(bytes, size, "f", &file) != SYN_OK)
        return;
    for (size_t i = 0; i < syn_safetensors_count(file); i++) {
        const syn_safetensor *t = syn_safetensors_get(file, i);
        uint64_t n_elements = 1;
        unsigned sum = 0;
        for (size_t b = 0; b < t->size_bytes; b++)
            sum += ((const unsigned char *)t->data)[b];
        sink = sink + sum;
        for (int d = 0; d < t->ndim; d++)
            n_elements *= (uint64_t)t->shape[d];
        SYN_BUG_ON(n_elements * syn_dtype_size(t->dtype) != t->size_bytes);
        SYN_BUG_ON(syn_safetensors_find(file, t->name) != t);
    }
    (void)syn_safetensors_metadata(file, "format");
    syn_safetensors_free(file);
}

/* Once as it is, and once with a header size that is true, so that mutations reach the header: up
 * to the last brace. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    uint64_t header_size = 0;

    try_file(bytes, size);
    if (size < sizeof header_size)
        return 0;
    for (size_t i = sizeof header_size; i < size; i++)
        if (bytes[i] == '}')
            header_size = i + 1 - sizeof header_size;
    uint8_t *fixed = malloc(size);
    SYN_BUG_ON(!fixed);
    memcpy(fixed, bytes, size);
    memcpy(fixed, &header_size, sizeof header_size);
    try_file(fixed, size);
    free(fixed);
    return 0;
}
