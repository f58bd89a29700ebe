/* Choosing a backend, and filling the gaps of its kernel table from ref's. */
#include "worker/kernels/backend.h"

#include "worker/kernels/attention.h"
#include "worker/kernels/conv.h"
#include "worker/kernels/copy.h"
#include "worker/kernels/elementwise.h"
#include "worker/kernels/gelu.h"
#include "worker/kernels/index.h"
#include "worker/kernels/loss.h"
#include "worker/kernels/matmul.h"
#include "worker/kernels/norm.h"
#include "worker/kernels/pool.h"
#include "worker/kernels/random.h"
#include "worker/kernels/reduce.h"
#include "worker/kernels/rnn.h"
#include "worker/kernels/softmax.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef void (*any_fn)(void);

const syn_backend syn_backend_ref = {.name = "ref",
#define ENTRY(family, n) .family = (const void *)&syn_##family##_ref,
                                     SYN_KERNEL_FAMILIES(ENTRY)
#undef ENTRY
};

const syn_backend syn_backend_cpu = {.name = "cpu",
#define ENTRY(family, n) .family = (const void *)&syn_##family##_cpu,
                                     SYN_KERNEL_FAMILIES(ENTRY)
#undef ENTRY
};

/* The tables in use: copies, complete from the start because a program may call operators before
 * main. */
static struct {
#define ENTRY(family, n) syn_##family##_kernels family[n];
    SYN_KERNEL_FAMILIES(ENTRY)
#undef ENTRY
} merged;

static syn_backend in_use = {.name = "cpu",
#define ENTRY(family, n) .family = merged.family,
                             SYN_KERNEL_FAMILIES(ENTRY)
#undef ENTRY
};
const syn_backend *syn_kernels = &in_use;

/* Families hold nothing but function pointers, so they are merged as arrays of those. */
static void merge(void *to, const void *fast, const void *ref, size_t size)
{
    any_fn *out = to;
    const any_fn *first = fast, *second = ref;
    for (size_t i = 0; i < size / sizeof *out; i++)
        out[i] = first && first[i] ? first[i] : second[i];
}

static void use(const syn_backend *backend)
{
#define ENTRY(family, n) \
    merge(merged.family, backend->family, syn_backend_ref.family, sizeof merged.family);
    SYN_KERNEL_FAMILIES(ENTRY)
#undef ENTRY
    in_use.name = backend->name;
}

int syn_backend_use(const char *name)
{
    static const syn_backend *const all[] = {&syn_backend_cpu, &syn_backend_ref};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i]->name, name) == 0) {
            use(all[i]);
            return 1;
        }
    return 0;
}

__attribute__((constructor)) static void choose_at_load(void)
{
    const char *wanted = getenv("SYNCLINE_BACKEND");
    if (!wanted || !syn_backend_use(wanted))
        use(&syn_backend_cpu);
}
