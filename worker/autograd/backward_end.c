/* The list of end-of-backward hooks. */
#include "worker/autograd/backward_end.h"

#include "common/base/vec.h"

#include <pthread.h>

typedef struct end_hook {
    syn_backward_end_fn hook;
    void *user;
} end_hook;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static SYN_VEC(end_hook) hooks; /* under lock */

syn_status syn_backward_end_add(syn_backward_end_fn hook, void *user)
{
    pthread_mutex_lock(&lock);
    bool ok = syn_vec_push(&hooks, (end_hook){hook, user});
    pthread_mutex_unlock(&lock);
    return ok ? SYN_OK : syn_fail_memory(sizeof(end_hook), "a hook at the end of backward");
}

void syn_backward_end_remove(syn_backward_end_fn hook, void *user)
{
    pthread_mutex_lock(&lock);
    size_t kept = 0;
    for (size_t i = 0; i < hooks.n; i++) {
        if (hooks.items[i].hook != hook || hooks.items[i].user != user)
            hooks.items[kept++] = hooks.items[i];
    }
    hooks.n = kept;
    if (kept == 0)
        syn_vec_release(&hooks);
    pthread_mutex_unlock(&lock);
}

/* The i-th hook, if there is one; the lock is not held while a hook runs, as it may wait for other
 * ranks. */
static bool get_hook(size_t i, end_hook *hook_out)
{
    pthread_mutex_lock(&lock);
    bool found = i < hooks.n;
    if (found)
        *hook_out = hooks.items[i];
    pthread_mutex_unlock(&lock);
    return found;
}

syn_status syn_backward_end_run(syn_status status)
{
    end_hook hook;
    for (size_t i = 0; get_hook(i, &hook); i++)
        status = hook.hook(status, hook.user);
    return status;
}
