/* Recording operator calls, and releasing what was recorded. */
#include "worker/autograd/node.h"

#include "common/base/mem.h"
#include "worker/tensor/block.h"
#include "worker/tensor/thread.h"

#include <string.h>

static atomic_uint_fast64_t n_nodes = 1;
static _Thread_local syn_node *to_free;
static _Thread_local bool is_freeing;

syn_node *syn_node_ref(syn_node *node)
{
    atomic_fetch_add_explicit(&node->refs, 1, memory_order_relaxed);
    return node;
}

void syn_node_free_saved(syn_node *node)
{
    for (int i = 0; i < node->n_inputs; i++) {
        syn_tensor_unref(node->inputs[i]);
        node->inputs[i] = NULL;
        syn_node *target = node->edges[i].node;
        node->edges[i].node = NULL;
        syn_node_unref(target);
    }
    for (int i = 0; i < node->n_outputs; i++) {
        syn_tensor_unref(node->outputs[i]);
        node->outputs[i] = NULL;
    }
    node->is_freed = true;
}

static void release(syn_node *node)
{
    syn_node_free_saved(node);
    for (int i = 0; i < node->n_outputs; i++)
        syn_tensor_unref(node->grads[i]);
    if (node->leaf) {
        if (node->leaf->leaf && node->leaf->leaf->accumulator == node)
            node->leaf->leaf->accumulator = NULL;
        syn_tensor_unref(node->leaf);
    }
    syn_block_free(node, node->size_bytes);
}

void syn_node_unref(syn_node *node)
{
    if (!node || atomic_fetch_sub_explicit(&node->refs, 1, memory_order_acq_rel) != 1)
        return;
    node->next_free = to_free;
    to_free = node;
    if (is_freeing)
        return;
    is_freeing = true;
    while (to_free) {
        syn_node *first = to_free;
        to_free = first->next_free;
        release(first);
    }
    is_freeing = false;
}

static void release_autograd(syn_tensor *tensor)
{
    if (tensor->leaf) {
        syn_tensor_unref(tensor->leaf->grad);
        syn_block_free(tensor->leaf, sizeof *tensor->leaf);
        tensor->leaf = NULL;
    }
    syn_node *node = tensor->grad_fn;
    tensor->grad_fn = NULL;
    syn_node_unref(node);
}

static const char *grad_name(const syn_tensor *tensor)
{
    return tensor->grad_fn->op->name;
}

__attribute__((constructor)) static void install(void)
{
    syn_tensor_release_autograd = release_autograd;
    syn_tensor_grad_name = grad_name;
}

syn_leaf *syn_leaf_get(syn_tensor *tensor)
{
    if (tensor->leaf)
        return tensor->leaf;
    tensor->leaf = syn_block_alloc(sizeof *tensor->leaf);
    if (!tensor->leaf) {
        (void)syn_fail_memory(sizeof *tensor->leaf, "a gradient's record");
        return NULL;
    }
    *tensor->leaf = (syn_leaf){0};
    return tensor->leaf;
}

static size_t attr_extra_bytes(const syn_value *value)
{
    if (value->kind == SYN_VALUE_INTS || value->kind == SYN_VALUE_FLOATS)
        return (size_t)value->n * 8;
    if (value->kind == SYN_VALUE_STRING && value->string)
        return (strlen(value->string) + 8) & ~(size_t)7;
    return 0;
}

static char *copy_attr(syn_value *to, const syn_value *from, char *room)
{
    size_t bytes = attr_extra_bytes(from);
    *to = *from;
    if (bytes == 0)
        return room;
    if (from->kind == SYN_VALUE_STRING) {
        memcpy(room, from->string, strlen(from->string) + 1);
        to->string = room;
    } else {
        memcpy(room, from->ints, bytes);
        to->ints = (const int64_t *)(const void *)room;
    }
    return room + bytes;
}

/* One block: the node, its arrays, and what attributes point at. */
static syn_node *node_new(const syn_op *op, int n_inputs, int n_outputs, const syn_value *attrs,
                          int n_attrs)
{
    size_t size = sizeof(syn_node) + (size_t)n_inputs * (sizeof(syn_edge) + sizeof(void *)) +
                  2 * (size_t)n_outputs * sizeof(void *) + (size_t)n_attrs * sizeof(syn_value) +
                  (((size_t)(n_inputs + n_outputs) * sizeof(unsigned) + 7) & ~(size_t)7);
    for (int i = 0; i < n_attrs; i++)
        size += attr_extra_bytes(&attrs[i]);
    syn_node *node = syn_block_alloc(size);
    if (!node) {
        (void)syn_fail_memory(size, "a tape node");
        return NULL;
    }
    memset(node, 0, size);
    atomic_init(&node->refs, 1);
    node->op = op;
    node->size_bytes = size;
    node->n_inputs = n_inputs;
    node->n_outputs = n_outputs;
    node->n_attrs = n_attrs;
    char *room = (char *)(node + 1);
    node->edges = (syn_edge *)(void *)room;
    room += (size_t)n_inputs * sizeof(syn_edge);
    node->attrs = (syn_value *)(void *)room;
    room += (size_t)n_attrs * sizeof(syn_value);
    node->inputs = (syn_tensor **)(void *)room;
    room += (size_t)n_inputs * sizeof(void *);
    node->outputs = (syn_tensor **)(void *)room;
    room += (size_t)n_outputs * sizeof(void *);
    node->grads = (syn_tensor **)(void *)room;
    room += (size_t)n_outputs * sizeof(void *);
    node->versions = (unsigned *)(void *)room;
    room += ((size_t)(n_inputs + n_outputs) * sizeof(unsigned) + 7) & ~(size_t)7;
    for (int i = 0; i < n_attrs; i++)
        room = copy_attr(&node->attrs[i], &attrs[i], room);
    return node;
}

syn_node *syn_leaf_accumulator(syn_tensor *leaf, bool *is_new_out)
{
    syn_leaf *record = syn_leaf_get(leaf);
    if (!record)
        return NULL;
    *is_new_out = !record->accumulator;
    if (!record->accumulator) {
        syn_node *node = node_new(NULL, 0, 1, NULL, 0);
        if (!node)
            return NULL;
        node->leaf = syn_tensor_ref(leaf);
        record->accumulator = node;
    }
    return record->accumulator;
}

bool syn_tape_wants(const syn_op_call *call)
{
    if (syn_this_thread.no_grad || call->op->flags & SYN_OP_NO_GRAD)
        return false;
    for (int i = 0; i < call->n_inputs; i++)
        if (call->inputs[i] && call->inputs[i]->requires_grad)
            return true;
    return false;
}

static bool saves_input(const syn_op_call *call, int i)
{
    unsigned saves = call->op->saves;
    if (!(saves & 1u << (i < 11 ? i : 11)))
        return false;
    if (!(saves & SYN_SAVE_CROSS) && !(saves & SYN_SAVE_CROSS_0 && i == 0))
        return true;
    for (int j = 0; j < call->n_inputs; j++)
        if (j != i && call->inputs[j] && call->inputs[j]->requires_grad)
            return true;
    return false;
}

bool syn_tape_saves_target(const syn_op_call *call)
{
    return saves_input(call, 0);
}

/* Shape and dtype. What outlives the graph anyway, as leaves do, serves as its own. */
static syn_tensor *shape_only(syn_tensor *tensor, bool is_target)
{
    if (tensor->leaf && !is_target)
        return syn_tensor_ref(tensor);
    return syn_tensor_new_meta((syn_dtype)tensor->dtype, tensor->ndim, tensor->dims);
}

static syn_status save_inputs(syn_node *node, const syn_op_call *call, syn_tensor *before)
{
    bool is_in_place = call->op->flags & SYN_OP_IN_PLACE;
    for (int i = 0; i < call->n_inputs; i++) {
        syn_tensor *input = call->inputs[i];
        node->versions[i] = SYN_NOT_SAVED;
        if (!input)
            continue;
        bool is_target = is_in_place && i == 0;
        if (!saves_input(call, i)) {
            node->inputs[i] = shape_only(input, is_target);
        } else {
            syn_tensor *saved = is_target ? before : input;
            node->inputs[i] = syn_tensor_ref(saved);
            node->versions[i] = syn_tensor_version(saved);
        }
        if (!node->inputs[i])
            return SYN_RESOURCE_EXHAUSTED;
    }
    return SYN_OK;
}

static syn_status save_outputs(syn_node *node, const syn_op_call *call)
{
    for (int i = 0; i < call->n_outputs; i++) {
        const syn_tensor *output = call->outputs[i];
        unsigned *version = &node->versions[call->n_inputs + i];
        bool is_saved = call->op->saves & 1u << (16 + (i < 11 ? i : 11));
        *version = is_saved ? syn_tensor_version(output) : SYN_NOT_SAVED;
        node->outputs[i] =
            is_saved ? syn_tensor_alias(output)
                     : syn_tensor_new_meta((syn_dtype)output->dtype, output->ndim, output->dims);
        if (!node->outputs[i])
            return SYN_RESOURCE_EXHAUSTED;
    }
    return SYN_OK;
}

static syn_status make_edges(syn_node *node, const syn_op_call *call)
{
    for (int i = 0; i < call->n_inputs; i++) {
        syn_tensor *input = call->inputs[i];
        if (!input || !input->requires_grad)
            continue;
        if (input->grad_fn) {
            node->edges[i] = (syn_edge){syn_node_ref(input->grad_fn), input->output_index};
            continue;
        }
        bool is_new;
        syn_node *leaf = syn_leaf_accumulator(input, &is_new);
        if (!leaf)
            return SYN_RESOURCE_EXHAUSTED;
        node->edges[i] = (syn_edge){is_new ? leaf : syn_node_ref(leaf), 0};
    }
    return SYN_OK;
}

syn_status syn_tape_record(const syn_op_call *call, syn_tensor *before)
{
    syn_node *node =
        node_new(call->op, call->n_inputs, call->n_outputs, call->attrs, call->n_attrs);
    syn_status status = node ? SYN_OK : SYN_RESOURCE_EXHAUSTED;
    if (status == SYN_OK)
        status = make_edges(node, call);
    if (status == SYN_OK)
        status = save_inputs(node, call, before);
    if (status == SYN_OK)
        status = save_outputs(node, call);
    if (status != SYN_OK) {
        syn_node_unref(node);
        return status;
    }
    node->sequence = atomic_fetch_add_explicit(&n_nodes, 1, memory_order_relaxed);
    for (int i = 0; i < call->n_outputs; i++) {
        syn_tensor *output = call->outputs[i];
        if (!syn_is_floating(output))
            continue;
        syn_node *previous = output->grad_fn; /* of an in-place change */
        output->grad_fn = syn_node_ref(node);
        output->output_index = i;
        output->requires_grad = true;
        syn_node_unref(previous);
    }
    syn_node_unref(node);
    return SYN_OK;
}
