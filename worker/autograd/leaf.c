/* Leaves: which tensors want gradients, where those gradients are, and recording switched on and
 * off. */
#include "worker/autograd/node.h"

#include "worker/tensor/thread.h"

#include <syncline/ops.h>

syn_tensor *syn_requires_grad(syn_tensor *tensor)
{
    if (!tensor)
        return NULL;
    if (!syn_is_floating(tensor)) {
        syn_status status = SYN_FAIL(SYN_INVALID_ARGUMENT,
                                     "requires_grad: only floating tensors have gradients, not %s",
                                     syn_dtype_name((syn_dtype)tensor->dtype));
        return syn_stick(status);
    }
    if (!tensor->grad_fn && !syn_leaf_get(tensor))
        return syn_stick(SYN_RESOURCE_EXHAUSTED);
    tensor->requires_grad = true;
    return tensor;
}

bool syn_tensor_requires_grad(const syn_tensor *tensor)
{
    return tensor && tensor->requires_grad;
}

syn_tensor *syn_grad_of(const syn_tensor *tensor)
{
    return tensor && tensor->leaf ? tensor->leaf->grad : NULL;
}

syn_status syn_set_grad(syn_tensor *tensor, syn_tensor *grad)
{
    char a[160], b[160];
    if (!tensor)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "set_grad: there is no tensor");
    if (grad && (!syn_same_shape(tensor, grad) || tensor->dtype != grad->dtype))
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "set_grad: the gradient is %s %s, its tensor %s %s",
                        syn_dtype_name((syn_dtype)grad->dtype),
                        syn_shape_format(a, sizeof a, grad->ndim, grad->dims),
                        syn_dtype_name((syn_dtype)tensor->dtype),
                        syn_shape_format(b, sizeof b, tensor->ndim, tensor->dims));
    syn_leaf *leaf = syn_leaf_get(tensor);
    if (!leaf)
        return SYN_RESOURCE_EXHAUSTED;
    syn_tensor *previous = leaf->grad;
    leaf->grad = syn_tensor_ref(grad);
    leaf->is_set = grad != NULL;
    syn_tensor_unref(previous);
    return SYN_OK;
}

void syn_zero_grad(syn_tensor *tensor)
{
    if (!tensor || !tensor->leaf || !tensor->leaf->grad)
        return;
    if (tensor->leaf->is_set) {
        int was = syn_grad_enable(0);
        (void)syn_zero_(tensor->leaf->grad);
        (void)syn_grad_enable(was);
    } else {
        syn_tensor *previous = tensor->leaf->grad;
        tensor->leaf->grad = NULL;
        syn_tensor_unref(previous);
    }
}

void syn_set_grad_ready(syn_tensor *leaf, syn_grad_ready_fn hook, void *user)
{
    if (!leaf)
        return;
    if (!syn_leaf_get(leaf)) {
        (void)syn_stick(SYN_RESOURCE_EXHAUSTED);
        return;
    }
    leaf->leaf->hook = hook;
    leaf->leaf->user = user;
}

static bool is_ours_alone(const syn_tensor *grad)
{
    return atomic_load_explicit(&grad->refs, memory_order_acquire) == 1 && grad->storage &&
           atomic_load_explicit(&grad->storage->refs, memory_order_acquire) == 1 &&
           !grad->grad_fn && syn_is_contiguous(grad);
}

syn_status syn_leaf_accumulate(syn_tensor *leaf, syn_tensor *grad, bool create_graph)
{
    syn_leaf *record = syn_leaf_get(leaf);
    if (!record)
        return SYN_RESOURCE_EXHAUSTED;
    if (record->grad && (record->is_set || !create_graph)) {
        int was = syn_grad_enable(0);
        syn_tensor *done = syn_add_(record->grad, grad, 1);
        (void)syn_grad_enable(was);
        return done ? SYN_OK : syn_error_status();
    }
    syn_tensor *fresh = grad;
    if (record->grad)
        fresh = syn_add(record->grad, grad);
    else if (!create_graph && !is_ours_alone(grad))
        fresh = syn_clone(grad);
    if (!fresh)
        return syn_error_status();
    fresh = fresh == grad ? syn_tensor_ref(grad) : syn_keep_innermost(fresh);
    syn_tensor *previous = record->grad;
    record->grad = fresh;
    syn_tensor_unref(previous);
    return SYN_OK;
}

syn_tensor *syn_detach(syn_tensor *tensor)
{
    if (!tensor)
        return NULL;
    syn_tensor *alias = syn_tensor_alias(tensor);
    alias = alias ? syn_scope_take(alias) : NULL;
    return alias ? alias : syn_stick(SYN_RESOURCE_EXHAUSTED);
}

bool syn_grad_is_enabled(void)
{
    return !syn_this_thread.no_grad;
}

int syn_grad_enable(int enabled)
{
    int was = !syn_this_thread.no_grad;
    syn_this_thread.no_grad = !enabled;
    return was;
}

void syn_grad_cleanup(int *previous)
{
    syn_this_thread.no_grad = !*previous;
}
