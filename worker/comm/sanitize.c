/* Builds with sanitizers: MPI's plugins stay loaded, as what they leak or lock can be named, and so
 * suppressed, only then. */
#include "worker/comm/internal.h"

#ifdef SYN_SANITIZED

#include "common/base/mem.h"

#include <dlfcn.h>
#include <link.h>

/* In a program that links us statically no library is ever unloaded; MPI_Init may be the program's
 * own. */
int dlclose(void *handle)
{
    (void)handle;
    return 0;
}

void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

/* What plugins leave behind that come and go within MPI_Init is not counted. */
void comm_sanitize_begin(void)
{
    if (__lsan_disable)
        __lsan_disable();
}

enum { MAX_LIBRARIES = 512 };
struct libraries {
    char *paths[MAX_LIBRARIES];
    int n;
};

static int list_library(struct dl_phdr_info *info, size_t size, void *user)
{
    struct libraries *list = user;
    (void)size;
    if (info->dlpi_name && info->dlpi_name[0] && list->n < MAX_LIBRARIES)
        list->paths[list->n++] = syn_strdup(info->dlpi_name);
    return 0;
}

/* Those that stay after it stay for good. */
void comm_sanitize_end(void)
{
    struct libraries list = {.n = 0};

    if (__lsan_enable)
        __lsan_enable();
    (void)dl_iterate_phdr(list_library, &list);
    for (int i = 0; i < list.n; i++) {
        if (list.paths[i])
            (void)dlopen(list.paths[i], RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
        syn_free(list.paths[i]);
    }
}

#else

void comm_sanitize_begin(void)
{
}

void comm_sanitize_end(void)
{
}

#endif
