/* IDX files (LeCun, Cortes, Burges: the MNIST format), plain or gzip'ed. */
#ifndef WORKER_DATA_IDX_H
#define WORKER_DATA_IDX_H

#include <stddef.h>
#include <stdint.h>
#include <syncline/status.h>

enum { SYN_IDX_MAX_DIMS = 3 };

/* Unsigned bytes in row-major order: dims[0] items. A plain file is mapped, so only what is read is
 * touched. */
typedef struct syn_idx {
    int ndim;
    int64_t dims[SYN_IDX_MAX_DIMS];
    const uint8_t *data; /* borrowed from `memory` */
    void *memory;        /* owned: the mapping or the inflated bytes */
    size_t memory_bytes;
    int is_mapped;
    char *path; /* owned: the file that was opened */
} syn_idx;

/* Opens `folder`/`name`, or `folder`/`name`.gz if there is none, and checks magic, element type
 * (unsigned byte), number of dimensions (`ndim`) and size. Errors name the file and the numbers. */
syn_status syn_idx_open(const char *folder, const char *name, int ndim, syn_idx *idx_out);
void syn_idx_release(syn_idx *idx);

#endif
