/* Scopes: each thread's stack of the tensors that its open scopes own. */
#include "common/base/mem.h"
#include "worker/tensor/block.h"
#include "worker/tensor/tensor.h"
#include "worker/tensor/thread.h"

#include <pthread.h>

_Thread_local syn_thread syn_this_thread;

static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;

static void thread_exit(void *unused)
{
    syn_thread *thread = &syn_this_thread;
    (void)unused;
    syn_scope_end(0);
    syn_free(thread->scope);
    syn_free(thread->marks);
    thread->scope = NULL;
    thread->marks = NULL;
    thread->scope_capacity = thread->marks_capacity = 0;
    thread->is_registered = false;
    syn_block_thread_flush();
}

static void make_key(void)
{
    (void)pthread_key_create(&exit_key, thread_exit);
}

void syn_thread_register(void)
{
    (void)pthread_once(&exit_once, make_key);
    (void)pthread_setspecific(exit_key, &syn_this_thread);
    syn_this_thread.is_registered = true;
}

syn_tensor *syn_scope_take(syn_tensor *tensor)
{
    syn_thread *thread = &syn_this_thread;
    if (__builtin_expect(thread->n_scope == thread->scope_capacity, 0)) {
        if (!thread->is_registered)
            syn_thread_register();
        int wanted = thread->scope_capacity ? 2 * thread->scope_capacity : 64;
        syn_tensor **grown = syn_realloc(thread->scope, (size_t)wanted * sizeof(syn_tensor *));
        if (!grown) {
            (void)syn_fail_memory((size_t)wanted * sizeof(syn_tensor *), "a scope");
            syn_tensor_unref(tensor);
            return NULL;
        }
        thread->scope = grown;
        thread->scope_capacity = wanted;
    }
    tensor->scope_slot = thread->n_scope;
    thread->scope[thread->n_scope++] = tensor;
    return tensor;
}

int syn_scope_begin(void)
{
    syn_thread *thread = &syn_this_thread;
    if (__builtin_expect(thread->n_marks == thread->marks_capacity, 0)) {
        if (!thread->is_registered)
            syn_thread_register();
        int wanted = thread->marks_capacity ? 2 * thread->marks_capacity : 16;
        int *grown = syn_realloc(thread->marks, (size_t)wanted * sizeof(int));
        if (!grown) { /* the enclosing scope then owns this one's tensors */
            (void)syn_fail_memory((size_t)wanted * sizeof(int), "a scope");
            (void)syn_stick(SYN_RESOURCE_EXHAUSTED);
            return thread->n_marks + 1;
        }
        thread->marks = grown;
        thread->marks_capacity = wanted;
    }
    thread->marks[thread->n_marks++] = thread->n_scope;
    return thread->n_marks;
}

void syn_scope_end(int depth)
{
    syn_thread *thread = &syn_this_thread;
    if (depth > thread->n_marks)
        return;
    int begin = depth > 0 ? thread->marks[depth - 1] : 0;
    thread->n_marks = depth > 0 ? depth - 1 : 0;
    while (thread->n_scope > begin) {
        syn_tensor *tensor = thread->scope[--thread->n_scope];
        if (tensor) {
            tensor->scope_slot = -1;
            syn_tensor_unref(tensor);
        }
    }
}

void syn_scope_cleanup(int *depth)
{
    syn_scope_end(*depth);
}

syn_tensor *syn_keep(syn_tensor *tensor)
{
    syn_thread *thread = &syn_this_thread;
    if (!tensor)
        return NULL;
    int slot = tensor->scope_slot;
    if (slot < 0 || slot >= thread->n_scope || thread->scope[slot] != tensor)
        return syn_tensor_ref(tensor);
    thread->scope[slot] = NULL;
    tensor->scope_slot = -1;
    if (slot == thread->n_scope - 1) {
        int begin = thread->n_marks ? thread->marks[thread->n_marks - 1] : 0;
        while (thread->n_scope > begin && !thread->scope[thread->n_scope - 1])
            thread->n_scope--;
    }
    return tensor;
}

syn_tensor *syn_keep_innermost(syn_tensor *tensor)
{
    syn_thread *thread = &syn_this_thread;
    int begin = thread->n_marks ? thread->marks[thread->n_marks - 1] : 0;
    if (tensor && tensor->scope_slot < begin)
        return syn_tensor_ref(tensor);
    return syn_keep(tensor);
}
