/* The index of operators: each names the descriptor syn_op_<name> of one block in
 * worker/ops/<family>.c, once. */
#ifndef WORKER_OPS_OP_LIST_H
#define WORKER_OPS_OP_LIST_H

#define SYN_OP_LIST(X) \
    /* binary.c */     \
    X(mul)

#endif
