/* Checkpoint folders: committed by rename, described by a manifest with checksums, found again
 * newest first. */
#ifndef WORKER_TRAIN_CHECKPOINT_H
#define WORKER_TRAIN_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>
#include <syncline/status.h>

/*     <run_dir>/checkpoints/step-00000200/model.safetensors, optimizer.safetensors, manifest.json
 * Written as step-00000200.tmp and renamed when everything is on disk: a folder without .tmp is
 * complete. */

enum { SYN_CHECKPOINT_FORMAT = 1 };

typedef struct syn_checkpoint_info {
    int64_t step;  /* steps done */
    int64_t epoch; /* of the last step, from 1 */
    uint64_t seed;
    int64_t n_ranks;     /* that wrote it: another number continues, but not with the same bits */
    char job_sha256[65]; /* of the complete job's YAML */
    /* What the steps depend on beside the seed. 0 and "" where the manifest does not say. */
    int64_t batch_size, total_steps;
    char data_sha256[65]; /* the data's fingerprint */
} syn_checkpoint_info;

/* Writes the two safetensors files of a checkpoint into `folder`. */
typedef syn_status (*syn_checkpoint_fill_fn)(void *user, const char *folder);

/* Writes a checkpoint: calls `fill`, adds the manifest, syncs everything, renames. An older
 * checkpoint of the same step is replaced. On failure nothing is left and the others are untouched.
 * `*path_out` is the heap path of the folder. */
syn_status syn_checkpoint_write(const char *run_dir, const syn_checkpoint_info *info,
                                syn_checkpoint_fill_fn fill, void *user, char **path_out,
                                char manifest_sha256_out[65]);
/* Deletes what was left unfinished, the checkpoints past step `newest`, and of the others all but
 * the newest `keep` (0: none). A run that has written step `newest` and finds later ones went back
 * to before them: they are damaged or of a history that it left, and must neither be resumed from
 * nor count among those that are kept. */
syn_status syn_checkpoint_prune(const char *run_dir, int64_t newest, int64_t keep);

/* Reads the manifest of a checkpoint folder and compares the checksums of its files. DATA_LOSS with
 * one sentence naming the file that does not match. */
syn_status syn_checkpoint_verify(const char *folder, syn_checkpoint_info *info_out);
/* Finds what to resume from. `where` is a checkpoint folder, which must be intact, or a run
 * directory: then its newest intact checkpoint, and `*skipped_out` (heap, may be NULL) tells of the
 * damaged newer ones, in one sentence each. A checkpoint folder inside `run_dir` (NULL: none) that
 * is damaged falls back to the older ones of that run in the same way. NOT_FOUND if the run has
 * none. */
syn_status syn_checkpoint_find(const char *where, const char *run_dir, char **folder_out,
                               syn_checkpoint_info *info_out, char **skipped_out);
/* Whether the run directory has a complete checkpoint (not verified). */
bool syn_checkpoint_exists(const char *run_dir);

#endif
