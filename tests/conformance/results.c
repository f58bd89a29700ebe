/* Collects results in memory and writes them as one file. */
#include "tests/conformance/results.h"

#include <stdlib.h>
#include <string.h>

syn_status results_init(result_set *results)
{
    memset(results, 0, sizeof *results);
    results->errors = json_array();
    results->unsupported = json_array();
    return results->errors && results->unsupported ? SYN_OK : syn_fail_memory(1, "results");
}

void results_truncate(result_set *results, size_t n)
{
    while (results->tensors.n > n) {
        syn_safetensor *t = &results->tensors.items[--results->tensors.n];
        syn_free((void *)t->name);
        syn_free((void *)t->data);
    }
}

void results_release(result_set *results)
{
    results_truncate(results, 0);
    syn_vec_release(&results->tensors);
    json_decref(results->errors);
    json_decref(results->unsupported);
}

syn_status results_add(result_set *results, const char *id, const char *name, syn_safetensor tensor)
{
    size_t length = strlen(id) + strlen(name) + 2;
    char *key = syn_malloc(length);
    void *data = syn_malloc(tensor.size_bytes);

    if (key && data) {
        (void)snprintf(key, length, "%s:%s", id, name);
        memcpy(data, tensor.data, tensor.size_bytes);
        tensor.name = key;
        tensor.data = data;
        if (syn_vec_push(&results->tensors, tensor))
            return SYN_OK;
    }
    syn_free(key);
    syn_free(data);
    return syn_fail_memory(tensor.size_bytes, "a result");
}

syn_status results_write(const result_set *results, const char *path)
{
    char *errors = json_dumps(results->errors, JSON_COMPACT);
    char *unsupported = json_dumps(results->unsupported, JSON_COMPACT);
    syn_status status = SYN_OK;

    if (!errors || !unsupported)
        SYN_GOTO(syn_fail_memory(1, "results"));
    const char *const metadata[] = {"errors", errors, "unsupported", unsupported};
    SYN_GOTO(syn_safetensors_write(path, results->tensors.items, results->tensors.n, metadata, 2));
out:
    free(errors);
    free(unsupported);
    return status;
}
