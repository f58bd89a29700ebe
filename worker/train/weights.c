/* Named tensors to and from safetensors files. */
#include "worker/train/weights.h"

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/base/vec.h"
#include "common/format/safetensors.h"
#include "worker/train/model.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef SYN_VEC(syn_named_tensor) tensor_list;

static syn_status add_all(tensor_list *list, syn_parameters from)
{
    for (int i = 0; i < from.n; i++)
        if (!syn_vec_push(list, from.items[i]))
            return syn_fail_memory(sizeof *from.items, "a list of tensors");
    return SYN_OK;
}

static size_t size_of(const syn_tensor *tensor)
{
    return (size_t)syn_tensor_numel(tensor) * syn_dtype_size(syn_tensor_dtype(tensor));
}

/* Row-major bytes of a tensor: its own memory where it lies so, else a copy that the caller frees.
 */
static syn_status get_bytes(const syn_tensor *tensor, const void **bytes_out, void **copy_out)
{
    *copy_out = NULL;
    if (syn_tensor_is_contiguous(tensor)) {
        *bytes_out = syn_tensor_data(tensor);
        return SYN_OK;
    }
    void *copy = syn_malloc(size_of(tensor) + 1);
    if (!copy)
        return syn_fail_memory(size_of(tensor), "a tensor's copy");
    syn_status status = syn_tensor_read(tensor, copy);
    if (status != SYN_OK) {
        syn_free(copy);
        return status;
    }
    *bytes_out = *copy_out = copy;
    return SYN_OK;
}

static syn_status save_list(const tensor_list *list, const char *path, const char *const *metadata,
                            size_t n_metadata)
{
    syn_status status = SYN_OK;
    syn_safetensor *entries = syn_calloc(list->n + 1, sizeof *entries);
    void **copies = syn_calloc(list->n + 1, sizeof *copies);

    if (!entries || !copies)
        SYN_GOTO(syn_fail_memory((list->n + 1) * sizeof *entries, "a list of tensors"));
    for (size_t i = 0; i < list->n; i++) {
        syn_shape shape = syn_tensor_shape(list->items[i].tensor);
        entries[i] = (syn_safetensor){.name = list->items[i].name,
                                      .dtype = syn_tensor_dtype(list->items[i].tensor),
                                      .ndim = shape.ndim,
                                      .size_bytes = size_of(list->items[i].tensor)};
        memcpy(entries[i].shape, shape.dims, (size_t)shape.ndim * sizeof *shape.dims);
        SYN_GOTO(get_bytes(list->items[i].tensor, &entries[i].data, &copies[i]));
    }
    status = syn_safetensors_write(path, entries, list->n, metadata, n_metadata);
out:
    for (size_t i = 0; copies && i < list->n; i++)
        syn_free(copies[i]);
    syn_free(copies);
    syn_free(entries);
    return status;
}

static void append_shape(syn_str *text, syn_dtype dtype, const int64_t *dims, int ndim)
{
    syn_str_appendf(text, "%s (", syn_dtype_name(dtype));
    for (int i = 0; i < ndim; i++)
        syn_str_appendf(text, "%s%" PRId64, i ? ", " : "", dims[i]);
    syn_str_append(text, ")");
}

/* Whether the file holds exactly these tensors. */
static syn_status check_match(const tensor_list *list, const syn_safetensors *file,
                              const char *path)
{
    for (size_t i = 0; i < list->n; i++) {
        const char *name = list->items[i].name;
        const syn_safetensor *found = syn_safetensors_find(file, name);
        syn_shape shape = syn_tensor_shape(list->items[i].tensor);
        syn_dtype dtype = syn_tensor_dtype(list->items[i].tensor);
        if (!found)
            return SYN_FAIL(SYN_FAILED_PRECONDITION, "%s is of another model: it has no tensor %s",
                            path, name);
        if (found->dtype == dtype && found->ndim == shape.ndim &&
            memcmp(found->shape, shape.dims, (size_t)shape.ndim * sizeof *shape.dims) == 0)
            continue;
        syn_str theirs = {0}, ours = {0};
        append_shape(&theirs, found->dtype, found->shape, found->ndim);
        append_shape(&ours, dtype, shape.dims, shape.ndim);
        syn_status status = SYN_FAIL(SYN_FAILED_PRECONDITION,
                                     "%s is of another model: its %s is %s, the job's is %s", path,
                                     name, syn_str_get(&theirs), syn_str_get(&ours));
        syn_str_release(&theirs);
        syn_str_release(&ours);
        return status;
    }
    if (syn_safetensors_count(file) != list->n)
        return SYN_FAIL(SYN_FAILED_PRECONDITION,
                        "%s is of another model: it has %zu tensors, the job's model has %zu", path,
                        syn_safetensors_count(file), list->n);
    return SYN_OK;
}

static syn_status load_list(const tensor_list *list, const syn_safetensors *file, const char *path)
{
    SYN_TRY(check_match(list, file, path));
    for (size_t i = 0; i < list->n; i++) {
        const syn_safetensor *found = syn_safetensors_find(file, list->items[i].name);
        /* The file's data need not be aligned for the element type. */
        void *copy = syn_malloc(found->size_bytes + 1);
        if (!copy)
            return syn_fail_memory(found->size_bytes, list->items[i].name);
        if (found->size_bytes)
            memcpy(copy, found->data, found->size_bytes);
        syn_status status = syn_tensor_write(list->items[i].tensor, copy);
        syn_free(copy);
        SYN_TRY(status);
    }
    return SYN_OK;
}

syn_status syn_weights_save(syn_module *module, const char *path)
{
    syn_status status = SYN_OK;
    tensor_list list = {0};

    SYN_GOTO(add_all(&list, syn_module_parameters(module)));
    SYN_GOTO(add_all(&list, syn_module_buffers(module)));
    status = save_list(&list, path, NULL, 0);
out:
    syn_vec_release(&list);
    return status;
}

syn_status syn_weights_load(syn_module *module, const char *path)
{
    syn_status status = SYN_OK;
    syn_safetensors *file = NULL;
    tensor_list list = {0};

    SYN_GOTO(syn_safetensors_open(path, &file));
    SYN_GOTO(add_all(&list, syn_module_parameters(module)));
    SYN_GOTO(add_all(&list, syn_module_buffers(module)));
    status = load_list(&list, file, path);
out:
    syn_vec_release(&list);
    syn_safetensors_free(file);
    return status;
}

syn_status syn_optimizer_save(syn_optimizer *optimizer, const char *path)
{
    syn_status status = SYN_OK;
    tensor_list list = {0};
    char step[32];
    const char *metadata[2] = {"step", step};

    (void)snprintf(step, sizeof step, "%" PRId64, syn_optimizer_get_step(optimizer));
    SYN_GOTO(add_all(&list, syn_optimizer_state(optimizer)));
    SYN_GOTO(syn_train_take_error()); /* no memory for the state: not a state without tensors */
    status = save_list(&list, path, metadata, 1);
out:
    syn_vec_release(&list);
    return status;
}

syn_status syn_optimizer_load(syn_optimizer *optimizer, const char *path)
{
    syn_status status = SYN_OK;
    syn_safetensors *file = NULL;
    tensor_list list = {0};
    int64_t step = 0;

    SYN_GOTO(syn_safetensors_open(path, &file));
    const char *text = syn_safetensors_metadata(file, "step");
    if (!text || !syn_parse_i64(text, &step) || step < 0)
        SYN_GOTO(SYN_FAIL(SYN_DATA_LOSS, "%s does not say the optimizer's step", path));
    SYN_GOTO(add_all(&list, syn_optimizer_state(optimizer)));
    SYN_GOTO(syn_train_take_error());
    status = load_list(&list, file, path);
    if (status == SYN_FAILED_PRECONDITION)
        (void)syn_fail_context(status, "the optimizer's state does not fit");
    if (status == SYN_OK)
        syn_optimizer_set_step(optimizer, step);
out:
    syn_vec_release(&list);
    syn_safetensors_free(file);
    return status;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const syn_named_tensor *)a)->name, ((const syn_named_tensor *)b)->name);
}

syn_status syn_weights_sha256(syn_module *module, char hex_out[65])
{
    syn_status status = SYN_OK;
    tensor_list list = {0};
    unsigned char digest[32];
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    if (!context || !EVP_DigestInit_ex(context, EVP_sha256(), NULL))
        SYN_GOTO(SYN_FAIL(SYN_INTERNAL, "libcrypto could not compute a SHA-256"));
    SYN_GOTO(add_all(&list, syn_module_parameters(module)));
    if (list.n)
        qsort(list.items, list.n, sizeof *list.items, compare_names);
    for (size_t i = 0; i < list.n; i++) {
        const void *bytes;
        void *copy;
        SYN_GOTO(get_bytes(list.items[i].tensor, &bytes, &copy));
        (void)EVP_DigestUpdate(context, bytes, size_of(list.items[i].tensor));
        syn_free(copy);
    }
    (void)EVP_DigestFinal_ex(context, digest, NULL);
    for (int i = 0; i < 32; i++)
        (void)snprintf(hex_out + 2 * (size_t)i, 3, "%02x", digest[i]);
out:
    EVP_MD_CTX_free(context);
    syn_vec_release(&list);
    return status;
}
