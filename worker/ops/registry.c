/* The registry: built-in operators from the index list, then custom ones, found by name. */
#include "worker/ops/op_internal.h"

#include "common/base/mem.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

static const syn_op *const built_in[] = {
#define ROW(name) &syn_op_##name,
    SYN_OP_LIST(ROW)
#undef ROW
};
enum {
    N_BUILT_IN = sizeof built_in / sizeof *built_in,
    MAX_CUSTOM = 1024,
    N_BUCKETS = 4096, /* a power of two above twice all operators */
};
_Static_assert(2 * (N_BUILT_IN + MAX_CUSTOM) <= N_BUCKETS, "the table has to stay half empty");

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Atomic(const syn_op *) buckets[N_BUCKETS];
static const syn_op *custom[MAX_CUSTOM];
static atomic_int n_custom;

static unsigned hash(const char *name)
{
    unsigned h = 2166136261u; /* FNV-1a */
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 16777619u;
    return h % N_BUCKETS;
}

static void insert(const syn_op *op)
{
    unsigned h = hash(op->name);
    while (atomic_load_explicit(&buckets[h], memory_order_relaxed))
        h = (h + 1) % N_BUCKETS;
    atomic_store_explicit(&buckets[h], op, memory_order_release);
}

static void insert_built_in(void)
{
    for (int i = 0; i < N_BUILT_IN; i++)
        insert(built_in[i]);
}

const syn_op *syn_op_find(const char *name)
{
    (void)pthread_once(&once, insert_built_in);
    for (unsigned h = hash(name);; h = (h + 1) % N_BUCKETS) {
        const syn_op *op = atomic_load_explicit(&buckets[h], memory_order_acquire);
        if (!op || strcmp(op->name, name) == 0)
            return op;
    }
}

int syn_op_count(void)
{
    return N_BUILT_IN + atomic_load_explicit(&n_custom, memory_order_acquire);
}

const syn_op *syn_op_at(int index)
{
    if (index < 0 || index >= syn_op_count())
        return NULL;
    return index < N_BUILT_IN ? built_in[index] : custom[index - N_BUILT_IN];
}

static syn_status check(const syn_op *op)
{
    if (!op || !op->name || !*op->name)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "an operator needs a name");
    if (!op->compose && (!op->infer || (!op->forward && !(op->flags & SYN_OP_VIEW))))
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "operator %s needs infer and forward, or compose",
                        op->name);
    int n_lists = 0;
    for (int i = 0; i < op->n_args; i++)
        n_lists += op->args[i].kind == SYN_VALUE_TENSORS;
    if (n_lists > 1)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "operator %s has %d tensor lists; one is possible",
                        op->name, n_lists);
    if (op->n_outputs > SYN_MAX_OUTPUTS && !op->compose)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "operator %s has %d outputs; %d are possible",
                        op->name, op->n_outputs, SYN_MAX_OUTPUTS);
    return SYN_OK;
}

syn_status syn_op_register(const syn_op *op)
{
    SYN_TRY(check(op));
    syn_status status = SYN_OK;
    (void)pthread_mutex_lock(&lock);
    int n = atomic_load(&n_custom);
    if (syn_op_find(op->name)) {
        status = SYN_FAIL(SYN_ALREADY_EXISTS, "there is an operator %s already", op->name);
    } else if (n == MAX_CUSTOM) {
        status = SYN_FAIL(SYN_RESOURCE_EXHAUSTED, "operator %s is one too many: %d custom ones",
                          op->name, MAX_CUSTOM);
    } else {
        custom[n] = op;
        insert(op);
        atomic_store_explicit(&n_custom, n + 1, memory_order_release);
    }
    (void)pthread_mutex_unlock(&lock);
    return status;
}
