/* Walking back: nodes in decreasing sequence, gradients added up where they meet, leaves served as
 * soon as complete. */
#include "common/base/mem.h"
#include "common/base/vec.h"
#include "worker/autograd/backward_end.h"
#include "worker/autograd/node.h"
#include "worker/tensor/thread.h"

#include <syncline/ops.h>

#include <stdlib.h>
#include <string.h>

enum { FEW = 16 };

typedef struct walk {
    SYN_VEC(syn_node *) nodes; /* reachable, leaves excepted; shared */
    SYN_VEC(syn_node *) leaves;
    syn_node *root;
    syn_tensor *const *inputs; /* asked for; NULL in syn_backward: all leaves */
    syn_tensor **captured;     /* their gradients, owned */
    int n_inputs;
    uint64_t pass;
    bool retain_graph, create_graph;
} walk;

static atomic_uint_fast64_t n_passes = 1;

/* ---- Finding what there is to walk ---- */

/* Marks the node as reached; new ones are listed. */
static syn_status reach(walk *w, syn_node *node)
{
    if (node->pass == w->pass)
        return SYN_OK;
    node->pass = w->pass;
    node->n_pending = 0;
    node->is_needed = node->is_run = w->inputs == NULL;
    node->is_captured = false;
    if (!(node->op ? syn_vec_push(&w->nodes, node) : syn_vec_push(&w->leaves, node)))
        return syn_fail_memory(sizeof node, "the backward pass");
    (void)syn_node_ref(node);
    return SYN_OK;
}

static int by_sequence(const void *a, const void *b)
{
    uint64_t x = (*(syn_node *const *)a)->sequence, y = (*(syn_node *const *)b)->sequence;
    return x < y ? 1 : x > y ? -1 : 0;
}

static void sort_nodes(walk *w)
{
    if (w->nodes.n > 32) {
        qsort(w->nodes.items, w->nodes.n, sizeof *w->nodes.items, by_sequence);
        return;
    }
    for (size_t i = 1; i < w->nodes.n; i++) {
        syn_node *node = w->nodes.items[i];
        size_t j = i;
        for (; j > 0 && w->nodes.items[j - 1]->sequence < node->sequence; j--)
            w->nodes.items[j] = w->nodes.items[j - 1];
        w->nodes.items[j] = node;
    }
}

/* The list grows while it is walked: every node once, its edges counted at their targets. */
static syn_status find_nodes(walk *w)
{
    SYN_TRY(reach(w, w->root));
    for (size_t k = 0; k < w->nodes.n; k++) {
        syn_node *node = w->nodes.items[k];
        for (int i = 0; i < node->n_inputs; i++) {
            syn_node *target = node->edges[i].node;
            if (!target)
                continue;
            SYN_TRY(reach(w, target));
            target->n_pending++;
        }
    }
    sort_nodes(w);
    return SYN_OK;
}

/* The node where the gradient of an input asked for arrives. */
static syn_node *node_of(const syn_tensor *input)
{
    return input->grad_fn ? input->grad_fn : input->leaf ? input->leaf->accumulator : NULL;
}

/* Marks the nodes from which an input asked for is reached; others are not run. */
static void mark_needed(walk *w)
{
    for (int k = 0; k < w->n_inputs; k++) {
        syn_node *node = node_of(w->inputs[k]);
        if (node && node->pass == w->pass)
            node->is_captured = node->is_needed = true;
    }
    for (size_t k = w->nodes.n; k-- > 0;) {
        syn_node *node = w->nodes.items[k];
        for (int i = 0; i < node->n_inputs && !node->is_run; i++)
            node->is_run = node->edges[i].node && node->edges[i].node->is_needed;
        node->is_needed |= node->is_run;
    }
}

static void capture(walk *w, const syn_node *node)
{
    for (int k = 0; k < w->n_inputs; k++) {
        const syn_tensor *input = w->inputs[k];
        if (node_of(input) != node || w->captured[k])
            continue;
        w->captured[k] = syn_tensor_ref(node->grads[node->op ? input->output_index : 0]);
    }
}

/* ---- One node ---- */

static bool may_add_in_place(const syn_tensor *sum)
{
    return atomic_load_explicit(&sum->refs, memory_order_acquire) == 1 && sum->storage &&
           atomic_load_explicit(&sum->storage->refs, memory_order_acquire) == 1 &&
           !sum->requires_grad && syn_is_contiguous(sum);
}

/* Adds `grad` to what arrived at the edge's target. */
static syn_status deliver(walk *w, syn_edge edge, syn_tensor *grad)
{
    syn_tensor **slot = &edge.node->grads[edge.output];
    if (!*slot) {
        *slot = syn_keep_innermost(grad);
        return SYN_OK;
    }
    if (!w->create_graph && may_add_in_place(*slot) && *slot != grad)
        return syn_add_(*slot, grad, 1) ? SYN_OK : syn_error_status();
    syn_tensor *sum = syn_add(*slot, grad);
    if (!sum)
        return syn_error_status();
    syn_tensor *previous = *slot;
    *slot = syn_keep_innermost(sum);
    syn_tensor_unref(previous);
    return SYN_OK;
}

/* Sums a gradient of the broadcast shape to the shape of the input. */
static syn_tensor *reduce_to(syn_tensor *grad, const syn_tensor *input)
{
    int dims[SYN_MAX_DIMS], n = 0, lead = grad->ndim - input->ndim;
    if (lead < 0)
        return syn_expand(grad, syn_tensor_shape(input));
    for (int d = 0; d < grad->ndim; d++)
        if (d < lead || (input->dims[d - lead] == 1 && grad->dims[d] != 1))
            dims[n++] = d;
    syn_tensor *summed = n ? syn_sum_dims(grad, dims, n, true) : grad;
    if (summed && !syn_same_shape(summed, input))
        summed = lead ? syn_reshape(summed, syn_tensor_shape(input))
                      : syn_expand(summed, syn_tensor_shape(input));
    return summed;
}

static syn_status check_versions(const syn_node *node)
{
    for (int i = 0; i < node->n_inputs + node->n_outputs; i++) {
        const syn_tensor *saved =
            i < node->n_inputs ? node->inputs[i] : node->outputs[i - node->n_inputs];
        if (!saved || node->versions[i] == SYN_NOT_SAVED ||
            node->versions[i] == syn_tensor_version(saved))
            continue;
        char text[160];
        bool is_input = i < node->n_inputs;
        return SYN_FAIL(SYN_FAILED_PRECONDITION,
                        "backward of %s: its %s %d, %s %s, was changed in place after it was saved "
                        "by %s; clone it before the change",
                        node->op->name, is_input ? "input" : "output",
                        is_input ? i : i - node->n_inputs, syn_dtype_name((syn_dtype)saved->dtype),
                        syn_shape_format(text, sizeof text, saved->ndim, saved->dims),
                        saved->storage->writer ? saved->storage->writer : "an operator");
    }
    return SYN_OK;
}

/* Saved outputs as parts of the graph, so that the gradient can be differentiated through them. */
static syn_status attach_outputs(const syn_node *node, syn_tensor **outputs)
{
    for (int i = 0; i < node->n_outputs; i++) {
        outputs[i] = node->outputs[i];
        if (!outputs[i] || node->versions[node->n_inputs + i] == SYN_NOT_SAVED ||
            !syn_is_floating(outputs[i]))
            continue;
        syn_tensor *alias = syn_tensor_alias(outputs[i]);
        alias = alias ? syn_scope_take(alias) : NULL;
        if (!alias)
            return SYN_RESOURCE_EXHAUSTED;
        alias->grad_fn = syn_node_ref((syn_node *)(uintptr_t)node);
        alias->output_index = i;
        alias->requires_grad = true;
        outputs[i] = alias;
    }
    return SYN_OK;
}

/* What backward returned goes on along the edges. */
static syn_status pass_on(walk *w, const syn_node *node, syn_tensor *const *grad_inputs)
{
    for (int i = 0; i < node->n_inputs; i++) {
        syn_tensor *grad = grad_inputs[i];
        if (!grad || !node->edges[i].node || !node->edges[i].node->is_needed)
            continue;
        const syn_tensor *input = node->inputs[i];
        if (!syn_same_shape(grad, input))
            grad = reduce_to(grad, input);
        if (grad && grad->dtype != input->dtype)
            grad = syn_to(grad, (syn_dtype)input->dtype);
        if (!grad)
            return syn_error_status();
        SYN_TRY(deliver(w, node->edges[i], grad));
    }
    return SYN_OK;
}

static syn_status run_with(walk *w, syn_node *node, bool *needs, syn_tensor **grad_inputs)
{
    syn_tensor *outputs[SYN_MAX_OUTPUTS + FEW];
    unsigned long n_stuck = syn_stick_count();
    if (node->n_outputs > SYN_MAX_OUTPUTS + FEW)
        return SYN_FAIL(SYN_INTERNAL, "backward of %s: too many outputs", node->op->name);
    SYN_TRY(check_versions(node));
    for (int i = 0; i < node->n_inputs; i++) {
        needs[i] = node->edges[i].node && node->edges[i].node->is_needed;
        grad_inputs[i] = NULL;
    }
    for (int i = 0; i < node->n_outputs; i++)
        outputs[i] = node->outputs[i];
    if (w->create_graph)
        SYN_TRY(attach_outputs(node, outputs));
    syn_backward_call call = {.op = node->op,
                              .inputs = node->inputs,
                              .outputs = outputs,
                              .attrs = node->attrs,
                              .n_inputs = node->n_inputs,
                              .n_attrs = node->n_attrs,
                              .n_outputs = node->n_outputs,
                              .grad_outputs = node->grads,
                              .needs_grad = needs,
                              .grad_inputs = grad_inputs};
    node->op->backward(&call);
    if (syn_stick_count() != n_stuck)
        return syn_error_status();
    return pass_on(w, node, grad_inputs);
}

static syn_status run_node(walk *w, syn_node *node)
{
    bool few_needs[FEW], *needs = few_needs;
    syn_tensor *few_grads[FEW], **grads = few_grads;
    syn_status status = SYN_OK;

    if (node->is_freed)
        return SYN_FAIL(
            SYN_FAILED_PRECONDITION,
            "backward of %s: this graph was walked before and freed; the first backward "
            "needs retain_graph",
            node->op->name);
    if (!node->op->backward)
        return SYN_FAIL(SYN_UNIMPLEMENTED, "backward of %s: it has no gradient rule",
                        node->op->name);
    if (w->create_graph && node->op->flags & SYN_OP_NO_GRADGRAD)
        return SYN_FAIL(SYN_UNIMPLEMENTED,
                        "backward of %s: its gradient cannot be differentiated again",
                        node->op->name);
    if (node->n_inputs > FEW) {
        needs = syn_malloc((size_t)node->n_inputs);
        grads = syn_malloc((size_t)node->n_inputs * sizeof(syn_tensor *));
    }
    int depth = syn_scope_begin();
    status = needs && grads ? run_with(w, node, needs, grads)
                            : syn_fail_memory((size_t)node->n_inputs, "the backward pass");
    syn_scope_end(depth);
    if (node->n_inputs > FEW) {
        syn_free(needs);
        syn_free(grads);
    }
    return status;
}

/* ---- The pass ---- */

static void drop_grads(syn_node *node)
{
    for (int i = 0; i < node->n_outputs; i++) {
        syn_tensor_unref(node->grads[i]);
        node->grads[i] = NULL;
    }
}

/* A leaf whose last edge was walked: its gradient is complete. */
static syn_status finish_leaf(walk *w, syn_node *node)
{
    syn_tensor *grad = node->grads[0], *leaf = node->leaf;
    if (!grad)
        return SYN_OK;
    if (w->inputs) {
        if (node->is_captured)
            capture(w, node);
        drop_grads(node);
        return SYN_OK;
    }
    node->grads[0] = NULL;
    int depth = syn_scope_begin();
    syn_status status = syn_leaf_accumulate(leaf, grad, w->create_graph);
    syn_scope_end(depth);
    syn_tensor_unref(grad);
    if (status == SYN_OK && leaf->leaf->hook)
        leaf->leaf->hook(leaf, leaf->leaf->user);
    return status;
}

static syn_status walk_node(walk *w, syn_node *node)
{
    bool has_grad = false;
    for (int i = 0; i < node->n_outputs; i++)
        has_grad |= node->grads[i] != NULL;
    if (node->is_captured)
        capture(w, node);
    if (has_grad && node->is_run)
        SYN_TRY(run_node(w, node));
    drop_grads(node);
    for (int i = 0; i < node->n_inputs; i++) {
        syn_node *target = node->edges[i].node;
        if (target && --target->n_pending == 0 && !target->op)
            SYN_TRY(finish_leaf(w, target));
    }
    if (!w->retain_graph && has_grad && node->is_run)
        syn_node_free_saved(node);
    return SYN_OK;
}

/* Each node is let go as soon as it was walked, so that what it saved does not outlive its use. */
static syn_status walk_all(walk *w)
{
    syn_status status = find_nodes(w);
    if (status == SYN_OK && w->inputs)
        mark_needed(w);
    if (status == SYN_OK && !w->root->op)
        status = finish_leaf(w, w->root);
    for (size_t k = 0; k < w->nodes.n; k++) {
        syn_node *node = w->nodes.items[k];
        if (status == SYN_OK)
            status = walk_node(w, node);
        drop_grads(node);
        syn_node_unref(node);
    }
    for (size_t k = 0; k < w->leaves.n; k++) {
        drop_grads(w->leaves.items[k]);
        syn_node_unref(w->leaves.items[k]);
    }
    syn_vec_release(&w->nodes);
    syn_vec_release(&w->leaves);
    return status;
}

/* The gradient to begin with: the one given, or 1. Scope-owned. */
static syn_status begin_grad(const syn_tensor *tensor, syn_tensor *given, syn_tensor **grad_out)
{
    char a[160], b[160];
    if (given && (!syn_same_shape(tensor, given) || tensor->dtype != given->dtype))
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "backward: grad_output is %s %s, its tensor %s %s",
                        syn_dtype_name((syn_dtype)given->dtype),
                        syn_shape_format(a, sizeof a, given->ndim, given->dims),
                        syn_dtype_name((syn_dtype)tensor->dtype),
                        syn_shape_format(b, sizeof b, tensor->ndim, tensor->dims));
    if (!given && tensor->numel != 1)
        return SYN_FAIL(SYN_INVALID_ARGUMENT,
                        "backward: %s has %lld elements; give grad_output, or reduce it to one",
                        syn_shape_format(a, sizeof a, tensor->ndim, tensor->dims),
                        (long long)tensor->numel);
    *grad_out = given ? given : syn_ones(syn_tensor_shape(tensor), (syn_dtype)tensor->dtype);
    return *grad_out ? SYN_OK : syn_error_status();
}

static syn_status start(walk *w, syn_tensor *tensor, syn_tensor *grad_output)
{
    if (!tensor)
        return syn_failed() ? syn_error_status()
                            : SYN_FAIL(SYN_INVALID_ARGUMENT, "backward: there is no tensor");
    if (!tensor->requires_grad)
        return SYN_FAIL(
            SYN_FAILED_PRECONDITION,
            "backward: the tensor does not depend on any tensor that requires a gradient");
    syn_tensor *grad;
    SYN_TRY(begin_grad(tensor, grad_output, &grad));
    bool is_new = false;
    w->root = tensor->grad_fn ? tensor->grad_fn : syn_leaf_accumulator(tensor, &is_new);
    if (!w->root)
        return SYN_RESOURCE_EXHAUSTED;
    if (!is_new)
        (void)syn_node_ref(w->root);
    int output = tensor->grad_fn ? tensor->output_index : 0;
    syn_tensor_unref(w->root->grads[output]);
    w->root->grads[output] = syn_tensor_ref(grad);
    w->pass = atomic_fetch_add_explicit(&n_passes, 1, memory_order_relaxed);
    syn_status status = walk_all(w);
    syn_node_unref(w->root);
    return status;
}

static syn_status run_pass(walk *w, syn_tensor *tensor, syn_backward_options options)
{
    w->create_graph = options.create_graph;
    w->retain_graph = options.retain_graph || options.create_graph;
    int depth = syn_scope_begin(), was = syn_grad_enable(options.create_graph);
    syn_status status = start(w, tensor, options.grad_output);
    (void)syn_grad_enable(was);
    syn_scope_end(depth);
    if (!w->inputs)
        status = syn_backward_end_run(status);
    if (status != SYN_OK && (tensor || !syn_failed()))
        (void)syn_stick(status);
    return status;
}

syn_status syn_backward_with(syn_tensor *tensor, syn_backward_options options)
{
    walk w = {0};
    return run_pass(&w, tensor, options);
}

syn_status syn_backward(syn_tensor *tensor)
{
    return syn_backward_with(tensor, (syn_backward_options){0});
}

syn_status syn_grad(syn_tensor *output, syn_tensor *const *inputs, int n_inputs,
                    syn_backward_options options, syn_tensor **grads_out)
{
    for (int i = 0; i < n_inputs; i++)
        if (!inputs[i] || !inputs[i]->requires_grad) {
            if (syn_failed())
                return syn_error_status();
            return SYN_FAIL(SYN_INVALID_ARGUMENT, "grad: input %d does not require a gradient", i);
        }
    syn_tensor **captured = syn_calloc((size_t)n_inputs, sizeof *captured);
    if (!captured)
        return syn_fail_memory((size_t)n_inputs * sizeof *captured, "gradients");
    walk w = {.inputs = inputs, .captured = captured, .n_inputs = n_inputs};
    syn_status status = run_pass(&w, output, options);
    for (int i = 0; i < n_inputs; i++) {
        if (captured[i] && status == SYN_OK) {
            grads_out[i] = syn_scope_take(captured[i]);
            status = grads_out[i] ? SYN_OK : syn_error_status();
        } else {
            syn_tensor_unref(captured[i]);
            grads_out[i] = NULL;
        }
    }
    syn_free(captured);
    return status;
}
