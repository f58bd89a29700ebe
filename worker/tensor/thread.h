/* What each thread keeps for expressions: its scopes, its first error, its caller, whether it
 * records gradients. */
#ifndef WORKER_TENSOR_THREAD_H
#define WORKER_TENSOR_THREAD_H

#include <stddef.h>
#include <syncline/op.h>

typedef struct syn_thread {
    syn_tensor **scope; /* owned entries; NULL where one was kept */
    int n_scope, scope_capacity;
    int *marks; /* where each open scope begins */
    int n_marks, marks_capacity;
    int caller_line;
    const char *caller_file;
    bool no_grad;
    bool is_registered;    /* for clean-up at thread exit */
    unsigned long n_stuck; /* expressions that failed */
    syn_call_observer_fn observer;
    void *observer_user;
} syn_thread;

extern _Thread_local syn_thread syn_this_thread __attribute__((tls_model("initial-exec")));

/* Arranges that the thread's scopes and caches are released when it ends. */
void syn_thread_register(void);

#endif
