/* What a module is inside: a node with parameters, buffers and children under names. */
#ifndef WORKER_NN_MODULE_H
#define WORKER_NN_MODULE_H

#include "common/base/mem.h"
#include "common/base/vec.h"

#include <syncline/nn.h>

typedef struct syn_module_entry {
    char *name;         /* owned */
    syn_tensor *tensor; /* owned reference */
} syn_module_entry;
typedef struct syn_module_child {
    char *name;         /* owned */
    syn_module *module; /* owned */
} syn_module_child;

/* A flattened list, made when it is asked for and dropped when anything below changes. */
typedef struct syn_module_list {
    syn_named_tensor *items; /* owned */
    int n;
    syn_arena names;
    bool is_valid;
} syn_module_list;

struct syn_module {
    char *kind; /* owned: "Linear(2, 5)" */
    syn_module_forward_fn forward;
    void *state; /* owned if `release` is set */
    void (*release)(void *);
    SYN_VEC(syn_module_entry) parameters;
    SYN_VEC(syn_module_entry) buffers;
    SYN_VEC(syn_module_child) children;
    syn_module *parent; /* borrowed */
    bool is_training;
    syn_module_list parameter_list, buffer_list;
    /* What is attached from above (data parallelism). */
    void *attached;
    void (*release_attached)(void *);
};

/* Hands `engine` to the module, which calls release(engine) when it is freed, before its parameters
 * go. One at a time: ALREADY_EXISTS. */
syn_status syn_module_attach(syn_module *module, void *engine, void (*release)(void *));
/* What is attached, or NULL. Borrowed. */
void *syn_module_get_attached(const syn_module *module);
/* Gives it back without releasing it. */
void *syn_module_take_attached(syn_module *module);

/* A layer: a module with a copy of `state` and the printed form `kind` (printf). NULL with the
 * sticky error set. */
syn_module *syn_layer_new(syn_module_forward_fn forward, const void *state, size_t state_bytes,
                          const char *kind, ...) __attribute__((format(printf, 4, 5)));
/* A linear layer with normal(0, std) weights and zero bias, and an embedding with normal(0, std)
 * rows. */
syn_module *syn_linear_normal(int64_t in_features, int64_t out_features, double std);
syn_module *syn_embedding_normal(int64_t n, int64_t features, double std);
/* The module's own parameter or buffer number `index`, NULL if it has fewer. Borrowed. */
syn_tensor *syn_module_own(const syn_module *module, int index);
syn_tensor *syn_module_own_buffer(const syn_module *module, int index);
/* Appends " (net.c:14)", the place of the user's call, to the recorded sentence, where it is known.
 * Returns `status`. */
syn_status syn_nn_add_place(syn_status status);
/* Records the error of a constructor or forward pass with its place and returns NULL. */
#define SYN_NN_FAIL(...) \
    ((void)syn_stick(syn_nn_add_place(SYN_FAIL(SYN_INVALID_ARGUMENT, __VA_ARGS__))), NULL)
/* Whether `value` is at least 1; else the sticky error says which argument of what it was. */
bool syn_nn_is_positive(const char *what, const char *argument, int64_t value);

#endif
