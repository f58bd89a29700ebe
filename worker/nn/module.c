/* The module tree: names, lists of parameters, modes, conversion. */
#include "worker/nn/module.h"

#include "common/base/str.h"
#include "worker/tensor/tensor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syncline/autograd.h>

static syn_module *fail_memory(size_t size, const char *what)
{
    (void)syn_stick(syn_fail_memory(size, what));
    return NULL;
}

syn_status syn_nn_add_place(syn_status status)
{
    int line = 0;
    const char *file = syn_caller_file(&line);

    if (*file)
        return SYN_FAIL(status, "%s (%s:%d)", syn_error_message(), file, line);
    return status;
}

syn_module *syn_module_new(const char *kind, syn_module_forward_fn forward, void *state,
                           void (*release)(void *))
{
    syn_module *module = syn_calloc(1, sizeof *module);
    char *copy = syn_strdup(kind);

    if (!module || !copy) {
        syn_free(module);
        syn_free(copy);
        if (release)
            release(state);
        return fail_memory(sizeof *module, "a module");
    }
    module->kind = copy;
    module->forward = forward;
    module->state = state;
    module->release = release;
    module->is_training = true;
    return module;
}

syn_module *syn_layer_new(syn_module_forward_fn forward, const void *state, size_t state_bytes,
                          const char *kind, ...)
{
    char text[256];
    va_list args;
    void *copy = NULL;

    va_start(args, kind);
    (void)vsnprintf(text, sizeof text, kind, args);
    va_end(args);
    if (state_bytes > 0) {
        copy = syn_malloc(state_bytes);
        if (!copy)
            return fail_memory(state_bytes, "a module");
        memcpy(copy, state, state_bytes);
    }
    return syn_module_new(text, forward, copy, syn_free);
}

void *syn_module_state(const syn_module *module)
{
    return module ? module->state : NULL;
}

syn_tensor *syn_module_own(const syn_module *module, int index)
{
    return (size_t)index < module->parameters.n ? module->parameters.items[index].tensor : NULL;
}

syn_tensor *syn_module_own_buffer(const syn_module *module, int index)
{
    return (size_t)index < module->buffers.n ? module->buffers.items[index].tensor : NULL;
}

bool syn_nn_is_positive(const char *what, const char *argument, int64_t value)
{
    if (value >= 1)
        return true;
    (void)SYN_NN_FAIL("%s: %s is %lld, it must be at least 1", what, argument, (long long)value);
    return false;
}

/* ---- Building the tree ---- */

static void drop_list(syn_module_list *list)
{
    syn_free(list->items);
    syn_arena_release(&list->names);
    *list = (syn_module_list){0};
}

static void drop_lists_upwards(syn_module *module)
{
    for (; module; module = module->parent) {
        drop_list(&module->parameter_list);
        drop_list(&module->buffer_list);
    }
}

static void drop_lists_downwards(syn_module *module)
{
    drop_list(&module->parameter_list);
    drop_list(&module->buffer_list);
    for (size_t i = 0; i < module->children.n; i++)
        drop_lists_downwards(module->children.items[i].module);
}

static bool has_name(const syn_module *module, const char *name)
{
    for (size_t i = 0; i < module->parameters.n; i++)
        if (strcmp(module->parameters.items[i].name, name) == 0)
            return true;
    for (size_t i = 0; i < module->buffers.n; i++)
        if (strcmp(module->buffers.items[i].name, name) == 0)
            return true;
    for (size_t i = 0; i < module->children.n; i++)
        if (strcmp(module->children.items[i].name, name) == 0)
            return true;
    return false;
}

/* A copy of the name if it may be used in the module, else NULL with the error set. */
static char *check_name(const syn_module *module, const char *name)
{
    if (!*name)
        return SYN_NN_FAIL("%s: a parameter, buffer or child needs a name", module->kind);
    if (has_name(module, name))
        return SYN_NN_FAIL("%s: there already is a %s in it", module->kind, name);
    char *copy = syn_strdup(name);
    if (!copy)
        (void)fail_memory(strlen(name), "a name");
    return copy;
}

syn_tensor *syn_module_add_parameter(syn_module *module, const char *name, syn_tensor *tensor)
{
    char *copy = module && tensor ? check_name(module, name) : NULL;

    if (!copy || !syn_requires_grad(tensor))
        goto fail;
    if (!syn_vec_push(&module->parameters, (syn_module_entry){copy, tensor})) {
        (void)fail_memory(sizeof(syn_module_entry), "a parameter");
        goto fail;
    }
    drop_lists_upwards(module);
    return tensor;
fail:
    syn_free(copy);
    syn_tensor_unref(tensor);
    return NULL;
}

syn_tensor *syn_module_add_buffer(syn_module *module, const char *name, syn_tensor *tensor)
{
    char *copy = module && tensor ? check_name(module, name) : NULL;

    if (!copy)
        goto fail;
    if (!syn_vec_push(&module->buffers, (syn_module_entry){copy, tensor})) {
        (void)fail_memory(sizeof(syn_module_entry), "a buffer");
        goto fail;
    }
    drop_lists_upwards(module);
    return tensor;
fail:
    syn_free(copy);
    syn_tensor_unref(tensor);
    return NULL;
}

syn_module *syn_module_add_child(syn_module *module, const char *name, syn_module *child)
{
    char *copy = module && child ? check_name(module, name) : NULL;

    if (!copy)
        goto fail;
    if (child->parent) {
        (void)SYN_NN_FAIL("%s: the child %s already belongs to %s", module->kind, name,
                          child->parent->kind);
        syn_free(copy);
        return NULL; /* its parent frees it */
    }
    for (const syn_module *above = module; above; above = above->parent) {
        if (above == child) {
            (void)SYN_NN_FAIL("%s: cannot contain itself as %s", module->kind, name);
            syn_free(copy);
            return NULL;
        }
    }
    if (!syn_vec_push(&module->children, (syn_module_child){copy, child})) {
        (void)fail_memory(sizeof(syn_module_child), "a child module");
        goto fail;
    }
    child->parent = module;
    drop_lists_upwards(module);
    return child;
fail:
    syn_free(copy);
    syn_module_free(child);
    return NULL;
}

void syn_module_free(syn_module *module)
{
    if (!module)
        return;
    if (module->release_attached)
        module->release_attached(module->attached);
    for (size_t i = 0; i < module->children.n; i++) {
        syn_free(module->children.items[i].name);
        syn_module_free(module->children.items[i].module);
    }
    for (size_t i = 0; i < module->parameters.n; i++) {
        syn_free(module->parameters.items[i].name);
        syn_tensor_unref(module->parameters.items[i].tensor);
    }
    for (size_t i = 0; i < module->buffers.n; i++) {
        syn_free(module->buffers.items[i].name);
        syn_tensor_unref(module->buffers.items[i].tensor);
    }
    syn_vec_release(&module->children);
    syn_vec_release(&module->parameters);
    syn_vec_release(&module->buffers);
    drop_list(&module->parameter_list);
    drop_list(&module->buffer_list);
    if (module->release)
        module->release(module->state);
    syn_free(module->kind);
    syn_free(module);
}

syn_status syn_module_attach(syn_module *module, void *engine, void (*release)(void *))
{
    if (module->attached)
        return SYN_FAIL(SYN_ALREADY_EXISTS, "%s: is data parallel already", module->kind);
    module->attached = engine;
    module->release_attached = release;
    return SYN_OK;
}

void *syn_module_get_attached(const syn_module *module)
{
    return module ? module->attached : NULL;
}

void *syn_module_take_attached(syn_module *module)
{
    void *engine = module->attached;

    module->attached = NULL;
    module->release_attached = NULL;
    return engine;
}

/* ---- Lists ---- */

typedef SYN_VEC(syn_named_tensor) named_vec;

static bool is_listed(const named_vec *list, const syn_tensor *tensor)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->items[i].tensor == tensor)
            return true;
    return false;
}

/* Appends what lies below `module`, names beginning with `prefix`; a tied tensor only once. */
static bool collect(const syn_module *module, const char *prefix, bool buffers, syn_arena *names,
                    named_vec *list)
{
    const char *dot = *prefix ? "." : "";
    size_t n = buffers ? module->buffers.n : module->parameters.n;
    const syn_module_entry *own = buffers ? module->buffers.items : module->parameters.items;

    for (size_t i = 0; i < n; i++) {
        if (is_listed(list, own[i].tensor))
            continue;
        char *name = syn_arena_printf(names, "%s%s%s", prefix, dot, own[i].name);
        if (!name || !syn_vec_push(list, (syn_named_tensor){name, own[i].tensor}))
            return false;
    }
    for (size_t i = 0; i < module->children.n; i++) {
        const syn_module_child *child = &module->children.items[i];
        char *name = syn_arena_printf(names, "%s%s%s", prefix, dot, child->name);
        if (!name || !collect(child->module, name, buffers, names, list))
            return false;
    }
    return true;
}

static syn_parameters get_list(syn_module *module, syn_module_list *list, bool buffers)
{
    if (!list->is_valid) {
        named_vec all = {0};
        if (!collect(module, "", buffers, &list->names, &all)) {
            syn_vec_release(&all);
            drop_list(list);
            (void)fail_memory(sizeof(syn_named_tensor), "the list of parameters");
            return (syn_parameters){0};
        }
        list->items = all.items;
        list->n = (int)all.n;
        list->is_valid = true;
    }
    return (syn_parameters){list->items, list->n};
}

syn_parameters syn_module_parameters(syn_module *module)
{
    return module ? get_list(module, &module->parameter_list, false) : (syn_parameters){0};
}

syn_parameters syn_module_buffers(syn_module *module)
{
    return module ? get_list(module, &module->buffer_list, true) : (syn_parameters){0};
}

/* ---- Running and modes ---- */

syn_tensor *syn_module_forward(syn_module *module, syn_tensor *x)
{
    if (!module || !x)
        return NULL;
    if (!module->forward)
        return SYN_NN_FAIL("%s: the module has no forward", module->kind);
    return module->forward(module, module->state, x);
}

void syn_module_train(syn_module *module, bool training)
{
    if (!module)
        return;
    module->is_training = training;
    for (size_t i = 0; i < module->children.n; i++)
        syn_module_train(module->children.items[i].module, training);
}

bool syn_module_is_training(const syn_module *module)
{
    return module && module->is_training;
}

/* Puts `fresh` where `old` stands, in the whole tree (tied weights stand in several places). */
static void replace(syn_module *module, const syn_tensor *old, syn_tensor *fresh)
{
    for (int kind = 0; kind < 2; kind++) {
        size_t n = kind ? module->buffers.n : module->parameters.n;
        syn_module_entry *own = kind ? module->buffers.items : module->parameters.items;
        for (size_t i = 0; i < n; i++) {
            if (own[i].tensor == old) {
                syn_tensor_unref(own[i].tensor);
                own[i].tensor = syn_tensor_ref(fresh);
            }
        }
    }
    for (size_t i = 0; i < module->children.n; i++)
        replace(module->children.items[i].module, old, fresh);
}

static syn_tensor *convert(syn_tensor *tensor, syn_dtype dtype)
{
    syn_tensor *fresh = NULL;

    SYN_SCOPE {
        SYN_NO_GRAD {
            fresh = syn_keep(syn_to(syn_detach(tensor), dtype));
        }
    }
    if (fresh && syn_tensor_requires_grad(tensor) && !syn_requires_grad(fresh)) {
        syn_tensor_unref(fresh);
        return NULL;
    }
    return fresh;
}

static syn_status convert_list(syn_module *module, syn_parameters list, syn_dtype dtype)
{
    for (int i = 0; i < list.n; i++) {
        syn_tensor *old = list.items[i].tensor;
        if (syn_dtype_get_kind(syn_tensor_dtype(old)) != SYN_KIND_FLOAT ||
            syn_tensor_dtype(old) == dtype)
            continue;
        syn_tensor *fresh = convert(old, dtype);
        if (!fresh)
            return syn_error_status();
        replace(module, old, fresh);
        syn_tensor_unref(fresh);
    }
    return SYN_OK;
}

syn_status syn_module_to(syn_module *module, syn_dtype dtype)
{
    if (!module)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "there is no module to convert");
    if (syn_dtype_get_kind(dtype) != SYN_KIND_FLOAT)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "%s: parameters are floating, not %s", module->kind,
                        syn_dtype_name(dtype));
    if (module->attached)
        return SYN_FAIL(SYN_FAILED_PRECONDITION,
                        "%s: convert a module before it becomes data parallel", module->kind);
    syn_status status = convert_list(module, syn_module_parameters(module), dtype);
    if (status == SYN_OK)
        status = convert_list(module, syn_module_buffers(module), dtype);
    drop_lists_upwards(module);
    drop_lists_downwards(module);
    return status;
}

/* ---- Printing ---- */

static void print_tree(const syn_module *module, int depth, FILE *out)
{
    (void)fputs(module->kind, out);
    if (module->children.n > 0) {
        (void)fputs("(\n", out);
        for (size_t i = 0; i < module->children.n; i++) {
            (void)fprintf(out, "%*s(%s): ", 2 * depth + 2, "", module->children.items[i].name);
            print_tree(module->children.items[i].module, depth + 1, out);
        }
        (void)fprintf(out, "%*s)", 2 * depth, "");
    } else if (!strchr(module->kind, '(')) {
        (void)fputs("()", out);
    }
    (void)fputs("\n", out);
}

void syn_module_print(const syn_module *module, FILE *out)
{
    named_vec all = {0};
    syn_arena names = {0};
    int64_t n = 0;

    if (!module) {
        (void)fputs("NULL\n", out);
        return;
    }
    print_tree(module, 0, out);
    if (collect(module, "", false, &names, &all)) {
        for (size_t i = 0; i < all.n; i++)
            n += syn_tensor_numel(all.items[i].tensor);
        (void)fprintf(out, "%lld parameters\n", (long long)n);
    }
    syn_vec_release(&all);
    syn_arena_release(&names);
}
