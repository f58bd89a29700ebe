/* The tape: one node per recorded operator call, and one per leaf that collects its gradient. */
#ifndef WORKER_AUTOGRAD_NODE_H
#define WORKER_AUTOGRAD_NODE_H

#include "worker/tensor/tensor.h"

#include <syncline/autograd.h>
#include <syncline/op.h>

typedef struct syn_node syn_node;

/* Where the gradient of one input goes: output `output` of the node that made it; no node where
 * none is needed. */
typedef struct syn_edge {
    syn_node *node; /* shared */
    int output;
} syn_edge;

struct syn_node {
    atomic_int refs;
    int n_inputs, n_outputs, n_attrs;
    const syn_op *op;  /* NULL: collects the gradient of `leaf` */
    uint64_t sequence; /* grows with creation, so inputs' nodes have smaller ones; 0 for leaves */
    syn_tensor *leaf;  /* shared */
    size_t size_bytes;
    bool is_freed; /* walked without retain_graph: nothing is saved any more */

    /* The engine's, during one backward pass. */
    uint64_t pass;       /* the pass that reached this node */
    int n_pending;       /* edges towards it not yet walked */
    bool is_captured;    /* an input asked for is one of its outputs */
    bool is_run;         /* leads to an input asked for */
    bool is_needed;      /* either: gradients are delivered here */
    syn_node *next_free; /* while being released */

    syn_edge *edges;      /* n_inputs */
    syn_tensor **inputs;  /* n_inputs; shared; saved, or without data */
    syn_tensor **outputs; /* n_outputs; shared, outside the graph */
    syn_tensor **grads;   /* n_outputs; shared; gradients that arrived */
    unsigned *versions;   /* n_inputs + n_outputs, of saved tensors */
    syn_value *attrs;     /* n_attrs, pointing into this block */
};

/* Marks an unsaved tensor in `versions`. */
#define SYN_NOT_SAVED 0xffffffffu

/* A leaf's gradient and what happens when it is complete. */
typedef struct syn_leaf {
    syn_tensor *grad; /* shared */
    bool is_set;      /* by syn_set_grad: accumulate in place, never replace */
    syn_grad_ready_fn hook;
    void *user;
    syn_node *accumulator; /* borrowed; alive while a graph leads here */
} syn_leaf;

/* Whether this call has to be recorded: gradients are on, and an input requires one. */
bool syn_tape_wants(const syn_op_call *call);
/* Whether backward needs the values that an operator in place overwrites. */
bool syn_tape_saves_target(const syn_op_call *call);
/* Records the call; its floating outputs then require gradients. `before`: what the target held, if
 * that is needed. */
syn_status syn_tape_record(const syn_op_call *call, syn_tensor *before);

syn_node *syn_node_ref(syn_node *node);
/* Without recursion, however long the chain behind it. */
void syn_node_unref(syn_node *node);
/* Forgets what was saved and where the edges lead. */
void syn_node_free_saved(syn_node *node);
/* The node that collects the leaf's gradient; borrowed from the edges that lead to it (made if
 * there is none: owned by the caller then, which `*is_new_out` says). NULL when out of memory. */
syn_node *syn_leaf_accumulator(syn_tensor *leaf, bool *is_new_out);
/* The tensor's leaf record, made if there is none; NULL with a sentence when out of memory. */
syn_leaf *syn_leaf_get(syn_tensor *tensor);

/* Adds `grad` into the leaf's gradient. `grad` may be taken over if nobody else holds it. */
syn_status syn_leaf_accumulate(syn_tensor *leaf, syn_tensor *grad, bool create_graph);

#endif
