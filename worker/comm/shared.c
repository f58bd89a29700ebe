/* Memory shared by the ranks of one host: each rank's block is an anonymous file that the others
 * map. */
#include "worker/comm/internal.h"

#include "common/base/mem.h"
#include "common/base/vec.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Where a rank's block can be opened by the others. A file without a name leaves nothing behind
 * however a process ends, and is not bounded by the size of /dev/shm. */
struct address {
    int64_t pid, fd;
    uint64_t bytes;
};

static int make_block(size_t bytes)
{
    int fd = memfd_create("syncline", MFD_CLOEXEC);
    /* The memory must be there now: touching what the system cannot give would be a SIGBUS later.
     */
    if (fd >= 0 && posix_fallocate(fd, 0, (off_t)bytes) != 0) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

static void *map_block(int fd, size_t bytes)
{
    void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return map == MAP_FAILED ? NULL : map;
}

static void *map_peer(struct address peer, size_t bytes)
{
    char path[64];
    if (peer.fd < 0 || peer.bytes != bytes)
        return NULL;
    (void)snprintf(path, sizeof path, "/proc/%lld/fd/%lld", (long long)peer.pid,
                   (long long)peer.fd);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    void *map = map_block(fd, bytes);
    (void)close(fd);
    return map;
}

bool comm_shared_map(comm_shared *shared, syn_comm *comm, size_t bytes)
{
    size_t n = (size_t)comm->size;
    struct address *all = syn_calloc(n, sizeof *all);
    void **maps = syn_calloc(n, sizeof *maps);
    int fd = all && maps && comm->local_size == comm->size ? make_block(bytes) : -1;
    struct address mine = {.pid = getpid(), .fd = fd, .bytes = bytes};
    int ok = 0;

    *shared = (comm_shared){.maps = maps, .n = comm->size, .bytes = bytes};
    int can_gather = all != NULL;
    if (MPI_Allreduce(MPI_IN_PLACE, &can_gather, 1, MPI_INT, MPI_MIN, comm->mpi) != MPI_SUCCESS ||
        !can_gather)
        goto out;
    if (MPI_Allgather(&mine, sizeof mine, MPI_BYTE, all, sizeof mine, MPI_BYTE, comm->mpi) !=
        MPI_SUCCESS)
        goto out;
    ok = fd >= 0;
    for (size_t r = 0; r < n && ok; r++) {
        maps[r] = (int)r == comm->rank ? map_block(fd, bytes) : map_peer(all[r], bytes);
        ok = maps[r] != NULL;
    }
    /* Also keeps the file open here until everybody has mapped it. */
    if (MPI_Allreduce(MPI_IN_PLACE, &ok, 1, MPI_INT, MPI_MIN, comm->mpi) != MPI_SUCCESS)
        ok = 0;
out:
    if (fd >= 0)
        (void)close(fd);
    syn_free(all);
    if (!ok)
        comm_shared_unmap(shared);
    return ok;
}

void comm_shared_unmap(comm_shared *shared)
{
    for (int r = 0; shared->maps && r < shared->n; r++) {
        if (shared->maps[r])
            (void)munmap(shared->maps[r], shared->bytes);
    }
    syn_free(shared->maps);
    *shared = (comm_shared){0};
}

/* ---- Memory for callers ---- */

typedef struct region {
    char *memory;         /* what the caller has */
    const syn_comm *comm; /* NULL once the group is gone */
    comm_shared shared;   /* empty: private memory */
} region;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static SYN_VEC(region) regions; /* under lock */

struct allocation {
    comm_shared shared;
    void *private;
    size_t bytes;
};

/* On the comm thread: shared if that works everywhere, else private. */
static syn_status run_alloc(syn_comm_work *work)
{
    struct allocation *a = work->engine.buffer;
    syn_comm *comm = work->engine.comm;
    int ok = 1;

    if (comm->size > 1 && comm_window_is_possible(comm) &&
        comm_shared_map(&a->shared, comm, a->bytes))
        return SYN_OK;
    if (posix_memalign(&a->private, 64, a->bytes) != 0)
        a->private = NULL;
    ok = a->private != NULL;
    SYN_TRY(comm_check(MPI_Allreduce(MPI_IN_PLACE, &ok, 1, MPI_INT, MPI_MIN, comm->mpi), comm,
                       "MPI_Allreduce", sizeof ok));
    if (!ok) {
        free(a->private);
        return syn_fail_memory(a->bytes, "a gradient bucket on this rank or another");
    }
    memset(a->private, 0, a->bytes);
    return SYN_OK;
}

syn_status syn_comm_alloc(syn_comm *comm, size_t size_bytes, void **memory_out)
{
    struct allocation a = {.bytes = size_bytes};
    syn_comm_work work = {.engine = {.run = run_alloc, .comm = comm, .buffer = &a},
                          .bytes = size_bytes,
                          .algorithm = "sharing memory"};
    SYN_TRY(comm_run(&work));
    region r = {.comm = comm, .shared = a.shared};
    r.memory = a.shared.maps ? a.shared.maps[comm->rank] : a.private;
    pthread_mutex_lock(&lock);
    bool ok = syn_vec_push(&regions, r);
    pthread_mutex_unlock(&lock);
    if (!ok) /* the others have theirs already and would wait for us */
        syn_comm_abort(1, "out of memory for the list of shared buffers");
    *memory_out = r.memory;
    return SYN_OK;
}

void syn_comm_dealloc(void *memory)
{
    region found = {0};

    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < regions.n && memory; i++) {
        if (regions.items[i].memory != memory)
            continue;
        found = regions.items[i];
        regions.items[i] = regions.items[--regions.n];
    }
    if (regions.n == 0)
        syn_vec_release(&regions);
    pthread_mutex_unlock(&lock);
    if (found.shared.maps)
        comm_shared_unmap(&found.shared);
    else
        free(found.memory);
}

void *const *comm_shared_find(const syn_comm *comm, const void *buffer, size_t bytes,
                              size_t *offset_out)
{
    void *const *maps = NULL;
    const char *begin = buffer;

    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < regions.n; i++) {
        const region *r = &regions.items[i];
        if (r->comm != comm || !r->shared.maps || begin < r->memory ||
            begin + bytes > r->memory + r->shared.bytes)
            continue;
        maps = r->shared.maps;
        *offset_out = (size_t)(begin - r->memory);
    }
    pthread_mutex_unlock(&lock);
    return maps;
}

void comm_shared_forget(const syn_comm *comm)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < regions.n; i++) {
        if (regions.items[i].comm == comm)
            regions.items[i].comm = NULL;
    }
    pthread_mutex_unlock(&lock);
}
