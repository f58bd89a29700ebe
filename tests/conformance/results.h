/* What a run reports: named arrays, and the cases that failed or are not known. */
#ifndef TESTS_CONFORMANCE_RESULTS_H
#define TESTS_CONFORMANCE_RESULTS_H

#include "common/base/vec.h"
#include "common/format/safetensors.h"

#include <jansson.h>

typedef struct result_set {
    SYN_VEC(syn_safetensor) tensors; /* names and data owned */
    json_t *errors, *unsupported;    /* lists of ids */
} result_set;

syn_status results_init(result_set *results);
void results_release(result_set *results);
/* Adds "<id>:<name>"; the data is copied. */
syn_status results_add(result_set *results, const char *id, const char *name,
                       syn_safetensor tensor);
/* Takes back what was added for this case after the first `n` entries. */
void results_truncate(result_set *results, size_t n);
syn_status results_write(const result_set *results, const char *path);

#endif
