/* Communication between the ranks: start-up, groups of ranks, collectives on one thread, agreement
 * on failures. */
#ifndef WORKER_COMM_COMM_H
#define WORKER_COMM_COMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <syncline/dtype.h>
#include <syncline/status.h>

/* "Collective" in a contract means: every rank of the group calls it, in the same order with
 * respect to the group's other collectives. After start-up one thread per process, the comm thread,
 * makes all MPI calls, in the order in which they were posted; the callers sleep until theirs is
 * done. A program that had initialised MPI without thread support (MPI_Init) gets the same results
 * from the thread that initialised it, without overlap. */

/* A group of ranks with a communicator of its own. */
typedef struct syn_comm syn_comm;

/* ---- Start and end
 * --------------------------------------------------------------------------------------------- */

/* Initialises MPI unless the program already did, undoes mpirun's binding of this process to too
 * few cores (unless SYNCLINE_KEEP_BINDING is set), starts the comm thread and makes the world
 * group. Without mpirun: one rank. Harmless when already started. argc and argv may be NULL.
 * Collective. */
syn_status syn_comm_start(int *argc, char ***argv);
/* Ends the comm thread after what was posted, frees the world group, and finalises MPI if
 * syn_comm_start initialised it. Call it from the thread that called syn_comm_start. Harmless when
 * not started. Collective. */
void syn_comm_stop(void);
bool syn_comm_is_started(void);
/* Whether posted collectives run while the poster computes; false when the program's MPI has no
 * thread support. */
bool syn_comm_is_threaded(void);
/* Prints the sentence to standard error and ends all ranks of the launch at once. For failures that
 * cannot be agreed upon. Callable at any time, from any thread. */
_Noreturn void syn_comm_abort(int exit_code, const char *sentence);

/* ---- Groups
 * ----------------------------------------------------------------------------------------------------
 */

/* All ranks of the launch; NULL before syn_comm_start. Borrowed. */
syn_comm *syn_comm_world(void);
/* Makes the group whose rank r is world rank world_ranks[r]. Collective over these ranks only;
 * others know nothing of it. The same `tag` (0 to 32767) on all members; a rank that makes several
 * groups does so in the same order as their other members. INVALID_ARGUMENT if the caller is not in
 * the list or a rank is there twice. The caller frees the group. */
syn_status syn_comm_new(const int *world_ranks, int n, int tag, syn_comm **comm_out);
/* Frees a group. Collective over its members. NULL and the world group are left alone. */
void syn_comm_free(syn_comm *comm);

int syn_comm_rank(const syn_comm *comm);
int syn_comm_size(const syn_comm *comm);
/* The world rank of the group's rank. */
int syn_comm_world_rank(const syn_comm *comm, int rank);
/* The host name of the group's rank, as gethostname gave it there. Borrowed. */
const char *syn_comm_host(const syn_comm *comm, int rank);
/* Position among the group's ranks on this host, and their number. */
int syn_comm_local_rank(const syn_comm *comm);
int syn_comm_local_size(const syn_comm *comm);
/* Cores this process may use, divided by the ranks of the launch on this host; at least 1. A good
 * OMP_NUM_THREADS. */
int syn_comm_cores_per_rank(void);

/* ---- Collectives
 * -----------------------------------------------------------------------------------------------
 */

typedef enum syn_reduction { SYN_REDUCE_SUM, SYN_REDUCE_MAX, SYN_REDUCE_MIN } syn_reduction;

/* One posted collective; zeroed caller's memory that lives until it was waited for. */
typedef struct syn_comm_work {
    /* Set by the caller before posting. */
    const char
        *label; /* borrowed; for the progress record: "bucket 3 (conv4.weight)"; may be NULL */
    int bucket; /* for the progress record; the bucket's number from 1, 0: none */
    /* Valid after syn_comm_wait. */
    syn_status status;
    uint64_t ready_ns, start_ns, end_ns; /* monotonic: posted, begun on the comm thread, finished */
    size_t bytes;
    const char *algorithm; /* static */
    /* The engine's. */
    struct {
        struct syn_comm_work *next;
        syn_status (*run)(struct syn_comm_work *work);
        syn_comm *comm;
        void *buffer;
        void *const *parts;
        struct syn_comm_tree *tree;
        size_t count;
        int dtype, op, root;
        bool posted, done;
        char message[1024];
    } engine;
} syn_comm_work;

/* Posts an in-place all-reduce of `count` elements (f32, f64 or i64) and returns at once; `buffer`
 * must stay untouched until syn_comm_wait. For the same number of ranks and elements the result has
 * the same bits every time and on every rank. Errors are reported by syn_comm_wait. Collective. */
void syn_comm_post_allreduce(syn_comm *comm, void *buffer, size_t count, syn_dtype dtype,
                             syn_reduction op, syn_comm_work *work);
/* Sums in a fixed shape over an ordered list of terms, of which each rank holds some already added
 * up ("parts"), lower ranks the earlier ones. Each part in turn is put on a stack, after which the
 * two newest sums are added (older + newer) as often as is said for it; one sum remains. The result
 * has the same bits however the terms are divided, as long as the additions inside the parts and
 * these make the same shape. */
typedef struct syn_comm_tree syn_comm_tree;
/* `n_parts[r]`: parts of rank r, may be 0; `merges`: of every part, in rank order. Both copied, the
 * same on all ranks. INVALID_ARGUMENT if more or less than one sum remains. Not collective; freed
 * when no sum is under way. The group must outlive it. */
syn_status syn_comm_tree_new(syn_comm *comm, const int *n_parts, const int *merges,
                             syn_comm_tree **tree_out);
void syn_comm_tree_free(syn_comm_tree *tree);
/* Posts the sum of parts of `count` elements (f32 or f64) and returns at once; the result is in
 * `out` on every rank. `parts[0..n_parts[rank]-1]` do not overlap `out` and each other, and are
 * overwritten; list, parts and `out` must stay until syn_comm_wait. A rank sends about (ranks - 1)
 * / ranks of its parts and of the result, as in a ring. Collective. */
void syn_comm_post_tree_sum(syn_comm_tree *tree, void *const *parts, void *out, size_t count,
                            syn_dtype dtype, syn_comm_work *work);
/* sum[i] = sum[i] + term[i], f32 or f64: the addition of these sums. */
void syn_comm_add(void *sum, const void *term, size_t count, syn_dtype dtype);

/* Memory for buffers that are all-reduced often: zeroed, aligned to 64 bytes and, if all ranks of
 * the group are on one host, visible to all of them, so that sums need no copies. The same size on
 * all ranks; the same part of it is reduced on all. Never 0 bytes. On failure every rank fails.
 * Collective; syn_comm_dealloc (NULL is fine) is not. */
syn_status syn_comm_alloc(syn_comm *comm, size_t size_bytes, void **memory_out);
void syn_comm_dealloc(void *memory);
/* Sleeps until the work is done and returns its status, its sentence recorded for this thread. */
syn_status syn_comm_wait(syn_comm_work *work);
/* Whether it is done; does not block. */
bool syn_comm_is_done(const syn_comm_work *work);

/* The same, posted and waited for. Collective. */
syn_status syn_comm_allreduce(syn_comm *comm, void *buffer, size_t count, syn_dtype dtype,
                              syn_reduction op);
/* Copies `size_bytes` bytes of `root` to all. Collective. */
syn_status syn_comm_broadcast(syn_comm *comm, void *buffer, size_t size_bytes, int root);
/* Collects the same number of bytes from every rank into all_out (size * size_bytes, in rank order)
 * on every rank. Collective. */
syn_status syn_comm_allgather(syn_comm *comm, const void *mine, size_t size_bytes, void *all_out);
/* The same for any number of bytes per rank: rank r's lie at (*all_out)[offsets_out[r]] up to
 * offsets_out[r + 1], which has size + 1 entries. The caller frees *all_out (syn_free). Together
 * below 2 GiB. Collective. */
syn_status syn_comm_allgatherv(syn_comm *comm, const void *mine, size_t size_bytes, char **all_out,
                               size_t *offsets_out);
/* Everybody's text on every rank. Collective. */
typedef struct syn_comm_texts {
    int n;
    const char **items; /* one per rank, in rank order; owned by this struct */
    char *memory;
} syn_comm_texts;
syn_status syn_comm_gather_texts(syn_comm *comm, const char *mine, syn_comm_texts *texts_out);
void syn_comm_texts_release(syn_comm_texts *texts);
syn_status syn_comm_barrier(syn_comm *comm);

/* ---- Agreement
 * -------------------------------------------------------------------------------------------------
 */

enum { SYN_AGREE_SUMS = 8 };

/* Once per step and at every phase boundary the ranks agree on the worst status, so that a rank
 * that failed between two collectives takes the others with it instead of leaving them waiting. */
typedef struct syn_agreement {
    /* In: this rank's. Out: everybody's, combined. */
    double sums[SYN_AGREE_SUMS]; /* summed (loss sum, sample count) */
    uint64_t flags;              /* OR-ed (stop requested, checkpoint requested) */
    int64_t max;                 /* the greatest */
    /* Out, when some rank failed: the rank (in the group) whose failure counts. */
    int culprit;         /* -1: none */
    char host[256];      /* of the culprit */
    char sentence[1024]; /* the culprit's own words, without rank and host */
} syn_agreement;

/* Every rank gives its own status (with the sentence recorded for its thread, or `sentence` if not
 * NULL) and gets the worst: a failure of its own kind before SYN_ABORTED and SYN_UNAVAILABLE (which
 * mean that somebody else failed) before SYN_CANCELLED, the lowest rank first. Records "rank 5
 * (node3): its sentence" on every rank when it is not OK. In the good case one all-reduce of 88
 * bytes. `agreement` may be NULL. Collective. */
syn_status syn_comm_agree(syn_comm *comm, syn_status local, const char *sentence,
                          syn_agreement *agreement);

/* ---- Progress, for diagnostics
 * ----------------------------------------------------------------------------------- */

/* What this process is doing, written without locks and readable by any thread at any time. */
typedef enum syn_comm_state {
    SYN_COMM_IDLE,   /* no collective is posted */
    SYN_COMM_INSIDE, /* in the collective: waiting for the others or moving data */
} syn_comm_state;
typedef struct syn_comm_progress {
    syn_comm_state state;
    uint64_t sequence; /* number of collectives entered in the group, from 1 (0: none yet);
                          comparable between its ranks */
    int bucket;        /* of the last one entered; 0: it was no bucket */
    uint64_t since_ns; /* monotonic: in this state since */
    char label[64];    /* of the last one entered: "all-reduce, bucket 3 (conv4.weight)" */
    /* What the step loop says of itself (syn_progress_set). */
    int phase;
    uint64_t step;
    uint64_t phase_since_ns;
} syn_comm_progress;
void syn_comm_get_progress(syn_comm_progress *progress_out);
/* The step loop enters a phase (a number of its own choice, the wire's Phase) of a step. */
void syn_progress_set(int phase, uint64_t step);

/* ---- Tests
 * -------------------------------------------------------------------------------------------------------
 */

/* Collectives are cut into pieces of at most this many bytes (default 1 GiB; at least 16). The same
 * on all ranks. */
void syn_comm_set_chunk_bytes(size_t bytes);

#endif
