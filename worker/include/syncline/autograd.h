/* Automatic differentiation: what is recorded, walking back, gradients, checks. */
#ifndef SYNCLINE_AUTOGRAD_H
#define SYNCLINE_AUTOGRAD_H

#include <syncline/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Marks a leaf whose gradient is wanted (floating dtypes only). Returns the tensor. */
syn_tensor *syn_requires_grad(syn_tensor *tensor);
bool syn_tensor_requires_grad(const syn_tensor *tensor);
/* The accumulated gradient of a leaf, NULL before the first backward. Borrowed. */
syn_tensor *syn_grad_of(const syn_tensor *tensor);
/* Makes `grad` (same shape and dtype; NULL: none) the gradient that backward accumulates into:
 * buckets hand out views. */
syn_status syn_set_grad(syn_tensor *tensor, syn_tensor *grad);
/* Releases the gradient, or zeroes it in place when it was set by syn_set_grad. */
void syn_zero_grad(syn_tensor *tensor);

/* Walks back from a scalar (or with `grad_output` of the same shape) and accumulates into the
 * leaves' gradients. Frees the recorded graph unless `retain_graph`; records itself if
 * `create_graph` (for higher derivatives). */
typedef struct syn_backward_options {
    syn_tensor *grad_output; /* NULL: 1 for a scalar */
    bool retain_graph, create_graph;
} syn_backward_options;
syn_status syn_backward_with(syn_tensor *tensor, syn_backward_options options);
syn_status syn_backward(syn_tensor *tensor);
/* Gradients of `output` with respect to any `inputs` into `grads_out` (scope-owned; NULL where not
 * reached). Does not touch leaf gradients. PyTorch's torch.autograd.grad. */
syn_status syn_grad(syn_tensor *output, syn_tensor *const *inputs, int n_inputs,
                    syn_backward_options options, syn_tensor **grads_out);

/* The same data outside the graph. */
syn_tensor *syn_detach(syn_tensor *tensor);
/* SYN_NO_GRAD { ... }: nothing is recorded in the block. */
#define SYN_NO_GRAD \
    SYN_NO_GRAD_NAMED(SYN_JOIN(syn_grad_guard_, __LINE__), SYN_JOIN(syn_grad_once_, __LINE__))
#define SYN_NO_GRAD_NAMED(guard, once)                                                        \
    for (int guard __attribute__((cleanup(syn_grad_cleanup))) = syn_grad_enable(0), once = 1; \
         once; once = 0)
bool syn_grad_is_enabled(void);
/* Switches recording on or off for the thread; returns what it was. */
int syn_grad_enable(int enabled);
void syn_grad_cleanup(int *previous);

/* Called on the thread that runs backward, as soon as a leaf's gradient is complete for this
 * backward pass. */
typedef void (*syn_grad_ready_fn)(syn_tensor *leaf, void *user);
/* One hook per leaf (NULL removes it). */
void syn_set_grad_ready(syn_tensor *leaf, syn_grad_ready_fn hook, void *user);

/* Compares backward of `function` with central finite differences in f64 at `inputs` (those that
 * require grad). OK, or a sentence naming the input, the element and both numbers. Follows
 * torch.autograd.gradcheck. */
typedef syn_tensor *(*syn_function)(syn_tensor *const *inputs, int n_inputs, void *user);
syn_status syn_gradcheck(syn_function function, syn_tensor *const *inputs, int n_inputs,
                         void *user);
/* The same for the gradient function itself. */
syn_status syn_gradgradcheck(syn_function function, syn_tensor *const *inputs, int n_inputs,
                             void *user);

#ifdef __cplusplus
}
#endif
#endif
