/* Committing, verifying, finding and pruning of checkpoint folders. */
#include "worker/train/checkpoint.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/base/vec.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MANIFEST_LIMIT = 1 << 20 };
static const char *const parts[] = {"model.safetensors", "optimizer.safetensors"};
enum { N_PARTS = sizeof parts / sizeof *parts };

/* ---- writing ---- */

static syn_status build_manifest(const char *folder, const syn_checkpoint_info *info,
                                 char **text_out)
{
    syn_status status = SYN_OK;
    char *path = NULL;
    json_t *files = json_object();
    json_t *manifest = json_pack(
        "{s:i, s:I, s:I, s:s, s:I, s:s, s:I, s:I, s:s, s:o}", "format_version",
        SYN_CHECKPOINT_FORMAT, "step", (json_int_t)info->step, "epoch", (json_int_t)info->epoch,
        "seed", "", "n_ranks", (json_int_t)info->n_ranks, "job_sha256", info->job_sha256,
        "batch_size", (json_int_t)info->batch_size, "total_steps", (json_int_t)info->total_steps,
        "data_sha256", info->data_sha256, "files", files);
    if (!manifest)
        SYN_GOTO(syn_fail_memory(1024, "a checkpoint's manifest"));
    /* A seed has 64 bits without a sign, which JSON integers do not hold: written as text. */
    char seed[32];
    (void)snprintf(seed, sizeof seed, "%" PRIu64, info->seed);
    (void)json_object_set_new(manifest, "seed", json_string(seed));
    for (int i = 0; i < N_PARTS; i++) {
        char digest[65];
        struct stat at;
        syn_free(path);
        path = syn_path_join(folder, parts[i]);
        if (!path)
            SYN_GOTO(syn_fail_memory(strlen(folder), "a path"));
        SYN_GOTO(syn_file_sha256_hex(path, digest));
        if (stat(path, &at) != 0)
            SYN_GOTO(SYN_FAIL(SYN_UNKNOWN, "cannot read %s: %s", path, strerror(errno)));
        (void)json_object_set_new(
            files, parts[i],
            json_pack("{s:s, s:I}", "sha256", digest, "size_bytes", (json_int_t)at.st_size));
    }
    *text_out = json_dumps(manifest, JSON_INDENT(2));
    if (!*text_out)
        status = syn_fail_memory(1024, "a checkpoint's manifest");
out:
    syn_free(path);
    json_decref(manifest);
    return status;
}

static syn_status write_manifest(const char *folder, const syn_checkpoint_info *info,
                                 char sha256_out[65])
{
    syn_status status = SYN_OK;
    char *text = NULL, *path = syn_path_join(folder, "manifest.json");

    if (!path)
        return syn_fail_memory(strlen(folder), "a path");
    SYN_GOTO(build_manifest(folder, info, &text));
    SYN_GOTO(syn_file_write_atomic(path, text, strlen(text)));
    status = syn_sha256_hex(text, strlen(text), sha256_out);
out:
    free(text);
    syn_free(path);
    return status;
}

/* Renames the finished folder into place; an older one of the same name makes room first. */
static syn_status commit(const char *aside, const char *final)
{
    syn_status status = SYN_OK;
    syn_str replaced = {0}, folder = {0};

    syn_str_appendf(&replaced, "%s.replaced.tmp", final);
    syn_str_append(&folder, final);
    if (replaced.failed || folder.failed)
        SYN_GOTO(syn_fail_memory(strlen(final), "a path"));
    SYN_GOTO(syn_dir_remove(replaced.data));
    if (rename(final, replaced.data) != 0 && errno != ENOENT)
        SYN_GOTO(
            SYN_FAIL(SYN_UNKNOWN, "cannot replace the checkpoint %s: %s", final, strerror(errno)));
    if (rename(aside, final) != 0)
        SYN_GOTO(
            SYN_FAIL(SYN_UNKNOWN, "cannot commit the checkpoint %s: %s", final, strerror(errno)));
    SYN_GOTO(syn_dir_sync(dirname(folder.data)));
    status = syn_dir_remove(replaced.data);
out:
    syn_str_release(&replaced);
    syn_str_release(&folder);
    return status;
}

syn_status syn_checkpoint_write(const char *run_dir, const syn_checkpoint_info *info,
                                syn_checkpoint_fill_fn fill, void *user, char **path_out,
                                char manifest_sha256_out[65])
{
    syn_status status = SYN_OK;
    syn_str final = {0}, aside = {0};

    syn_str_appendf(&final, "%s/checkpoints/step-%08lld", run_dir, (long long)info->step);
    syn_str_appendf(&aside, "%s.tmp", syn_str_get(&final));
    if (final.failed || aside.failed)
        SYN_GOTO(syn_fail_memory(strlen(run_dir), "a path"));
    SYN_GOTO(syn_dir_remove(aside.data));
    SYN_GOTO(syn_dir_make(aside.data));
    SYN_GOTO(fill(user, aside.data));
    SYN_GOTO(write_manifest(aside.data, info, manifest_sha256_out));
    SYN_GOTO(syn_dir_sync(aside.data));
    SYN_GOTO(commit(aside.data, final.data));
    *path_out = syn_str_take(&final);
out:
    if (status != SYN_OK && aside.data) {
        char sentence[1024]; /* removing may fail too; the first reason counts */
        (void)snprintf(sentence, sizeof sentence, "%s", syn_error_message());
        (void)syn_dir_remove(aside.data);
        status = SYN_FAIL(status, "%s", sentence);
    }
    syn_str_release(&final);
    syn_str_release(&aside);
    return status;
}

/* ---- listing ---- */

typedef SYN_VEC(int64_t) step_list;

static int compare_steps(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

/* The step of "step-00000200", -1 for any other name. */
static int64_t step_of_name(const char *name)
{
    char *end = NULL;
    if (!syn_has_prefix(name, "step-") || name[5] < '0' || name[5] > '9')
        return -1;
    errno = 0;
    long long step = strtoll(name + 5, &end, 10);
    return errno == 0 && *end == '\0' ? step : -1;
}

/* Steps of the complete checkpoints, newest first. A run without the folder has none. */
static syn_status list_steps(const char *run_dir, step_list *steps_out)
{
    syn_status status = SYN_OK;
    char *path = syn_path_join(run_dir, "checkpoints");
    if (!path)
        return syn_fail_memory(strlen(run_dir), "a path");
    DIR *dir = opendir(path);
    if (!dir && errno != ENOENT)
        status = SYN_FAIL(SYN_UNKNOWN, "cannot read the folder %s: %s", path, strerror(errno));
    for (struct dirent *entry; dir && status == SYN_OK && (entry = readdir(dir));) {
        int64_t step = step_of_name(entry->d_name);
        if (step >= 0 && !syn_vec_push(steps_out, step))
            status = syn_fail_memory(sizeof step, "a list of checkpoints");
    }
    if (dir)
        (void)closedir(dir);
    syn_free(path);
    if (steps_out->n > 1)
        qsort(steps_out->items, steps_out->n, sizeof *steps_out->items, compare_steps);
    return status;
}

static char *step_folder(const char *run_dir, int64_t step)
{
    syn_str path = {0};
    syn_str_appendf(&path, "%s/checkpoints/step-%08lld", run_dir, (long long)step);
    return syn_str_take(&path);
}

bool syn_checkpoint_exists(const char *run_dir)
{
    step_list steps = {0};
    bool exists = list_steps(run_dir, &steps) == SYN_OK && steps.n > 0;
    syn_vec_release(&steps);
    return exists;
}

/* Removes what a writer that died left behind. */
static syn_status remove_unfinished(const char *run_dir)
{
    syn_status status = SYN_OK;
    char *path = syn_path_join(run_dir, "checkpoints");
    if (!path)
        return syn_fail_memory(strlen(run_dir), "a path");
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && status == SYN_OK && (entry = readdir(dir));) {
        if (!syn_has_prefix(entry->d_name, "step-") || !syn_has_suffix(entry->d_name, ".tmp"))
            continue;
        char *leftover = syn_path_join(path, entry->d_name);
        status = leftover ? syn_dir_remove(leftover) : syn_fail_memory(strlen(path), "a path");
        syn_free(leftover);
    }
    if (dir)
        (void)closedir(dir);
    syn_free(path);
    return status;
}

syn_status syn_checkpoint_prune(const char *run_dir, int64_t newest, int64_t keep)
{
    syn_status status = SYN_OK;
    step_list steps = {0};
    int64_t n_kept = 0;

    SYN_GOTO(remove_unfinished(run_dir));
    SYN_GOTO(list_steps(run_dir, &steps));
    for (size_t i = 0; i < steps.n; i++) {
        if (steps.items[i] <= newest && (keep <= 0 || n_kept++ < keep))
            continue;
        char *folder = step_folder(run_dir, steps.items[i]);
        status = folder ? syn_dir_remove(folder) : syn_fail_memory(strlen(run_dir), "a path");
        syn_free(folder);
        if (status != SYN_OK)
            goto out;
    }
out:
    syn_vec_release(&steps);
    return status;
}

/* ---- reading ---- */

static syn_status fail_manifest(const char *path, const char *what)
{
    return SYN_FAIL(SYN_DATA_LOSS, "the checkpoint's manifest %s is damaged: %s", path, what);
}

static syn_status read_manifest(const char *path, json_t **manifest_out)
{
    char *text = NULL;
    size_t size = 0;
    json_error_t error;

    SYN_TRY(syn_file_read(path, MANIFEST_LIMIT, &text, &size));
    json_t *manifest = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    syn_free(text);
    if (!manifest)
        return fail_manifest(path, error.text);
    *manifest_out = manifest;
    return SYN_OK;
}

static syn_status parse_manifest(const char *path, json_t *manifest, syn_checkpoint_info *info)
{
    json_int_t version = 0, step = 0, epoch = 0, n_ranks = 0, batch_size = 0, total_steps = 0;
    const char *seed = NULL, *job = NULL, *data = "";
    char *end = NULL;

    if (json_unpack(manifest, "{s:I, s:I, s:I, s:s, s:I, s:s, s?I, s?I, s?s}", "format_version",
                    &version, "step", &step, "epoch", &epoch, "seed", &seed, "n_ranks", &n_ranks,
                    "job_sha256", &job, "batch_size", &batch_size, "total_steps", &total_steps,
                    "data_sha256", &data) != 0)
        return fail_manifest(path, "a member is missing or has another type");
    if (version != SYN_CHECKPOINT_FORMAT)
        return SYN_FAIL(SYN_FAILED_PRECONDITION,
                        "%s says format_version %lld, this program reads version %d", path,
                        (long long)version, SYN_CHECKPOINT_FORMAT);
    if (step < 0 || epoch < 0 || n_ranks < 1 || strlen(job) > 64 || batch_size < 0 ||
        total_steps < 0 || strlen(data) > 64)
        return fail_manifest(path, "a value is out of range");
    errno = 0;
    uint64_t seed_value = strtoull(seed, &end, 10);
    if (errno || end == seed || *end)
        return fail_manifest(path, "seed is not a number");
    *info = (syn_checkpoint_info){.step = step,
                                  .epoch = epoch,
                                  .seed = seed_value,
                                  .n_ranks = n_ranks,
                                  .batch_size = batch_size,
                                  .total_steps = total_steps};
    (void)snprintf(info->job_sha256, sizeof info->job_sha256, "%s", job);
    (void)snprintf(info->data_sha256, sizeof info->data_sha256, "%s", data);
    return SYN_OK;
}

static syn_status verify_part(const char *folder, const char *part, json_t *files)
{
    syn_status status = SYN_OK;
    const char *expected = NULL;
    char digest[65], *path = syn_path_join(folder, part);

    if (!path)
        return syn_fail_memory(strlen(folder), "a path");
    if (json_unpack(files, "{s:{s:s}}", part, "sha256", &expected) != 0)
        SYN_GOTO(SYN_FAIL(SYN_DATA_LOSS, "the manifest of %s has no checksum of %s", folder, part));
    if (!syn_path_exists(path))
        SYN_GOTO(
            SYN_FAIL(SYN_DATA_LOSS, "the checkpoint %s is damaged: %s is missing", folder, part));
    SYN_GOTO(syn_file_sha256_hex(path, digest));
    if (strcmp(digest, expected) != 0)
        status = SYN_FAIL(SYN_DATA_LOSS,
                          "the checkpoint file %s is damaged: its SHA-256 is %.12s..., the "
                          "manifest says %.12s...",
                          path, digest, expected);
out:
    syn_free(path);
    return status;
}

syn_status syn_checkpoint_verify(const char *folder, syn_checkpoint_info *info_out)
{
    syn_status status = SYN_OK;
    json_t *manifest = NULL;
    char *path = syn_path_join(folder, "manifest.json");

    if (!path)
        return syn_fail_memory(strlen(folder), "a path");
    SYN_GOTO(read_manifest(path, &manifest));
    SYN_GOTO(parse_manifest(path, manifest, info_out));
    json_t *files = json_object_get(manifest, "files");
    for (int i = 0; i < N_PARTS; i++)
        SYN_GOTO(verify_part(folder, parts[i], files));
out:
    json_decref(manifest);
    syn_free(path);
    return status;
}

/* The newest intact checkpoint of a run, at most `newest`. */
static syn_status find_in_run(const char *run_dir, int64_t newest, char **folder_out,
                              syn_checkpoint_info *info_out, syn_str *skipped)
{
    syn_status status = SYN_OK;
    step_list steps = {0};
    char *folder = NULL;
    bool found = false;

    SYN_GOTO(list_steps(run_dir, &steps));
    for (size_t i = 0; i < steps.n && !found; i++) {
        if (steps.items[i] > newest)
            continue;
        syn_free(folder);
        folder = step_folder(run_dir, steps.items[i]);
        if (!folder)
            SYN_GOTO(syn_fail_memory(strlen(run_dir), "a path"));
        found = syn_checkpoint_verify(folder, info_out) == SYN_OK;
        if (!found)
            syn_str_appendf(skipped, "%s%s", skipped->length ? "; " : "", syn_error_message());
    }
    if (!found && skipped->length)
        SYN_GOTO(SYN_FAIL(SYN_DATA_LOSS, "no intact checkpoint is left in %s: %s", run_dir,
                          syn_str_get(skipped)));
    if (!found)
        SYN_GOTO(SYN_FAIL(SYN_NOT_FOUND, "there is no checkpoint in %s/checkpoints", run_dir));
    *folder_out = folder;
    folder = NULL;
out:
    syn_free(folder);
    syn_vec_release(&steps);
    return status;
}

/* Whether `folder` is a checkpoint of the run in `run_dir`; gives its step. */
static bool belongs_to(const char *folder, const char *run_dir, int64_t *step_out)
{
    char real_folder[PATH_MAX], real_run[PATH_MAX];
    if (!run_dir || !realpath(folder, real_folder) || !realpath(run_dir, real_run))
        return false;
    char *name = strrchr(real_folder, '/');
    size_t n = strlen(real_run);
    *step_out = name ? step_of_name(name + 1) : -1;
    return *step_out >= 0 && strncmp(real_folder, real_run, n) == 0 &&
           strncmp(real_folder + n, "/checkpoints", (size_t)(name - real_folder) - n) == 0;
}

syn_status syn_checkpoint_find(const char *where, const char *run_dir, char **folder_out,
                               syn_checkpoint_info *info_out, char **skipped_out)
{
    syn_status status = SYN_OK;
    syn_str skipped = {0};
    int64_t step = 0;
    char *manifest = syn_path_join(where, "manifest.json");

    if (!manifest)
        return syn_fail_memory(strlen(where), "a path");
    if (!syn_path_exists(where))
        SYN_GOTO(SYN_FAIL(SYN_NOT_FOUND, "cannot resume from %s: there is no such folder", where));
    bool is_run = !syn_path_exists(manifest);
    if (!is_run && syn_checkpoint_verify(where, info_out) == SYN_OK) {
        *folder_out = syn_strdup(where);
        status = *folder_out ? SYN_OK : syn_fail_memory(strlen(where), "a path");
    } else if (is_run) {
        status = belongs_to(where, run_dir, &step)
                     ? find_in_run(run_dir, step, folder_out, info_out, &skipped)
                     : find_in_run(where, INT64_MAX, folder_out, info_out, &skipped);
    } else if (belongs_to(where, run_dir, &step)) {
        status = find_in_run(run_dir, step, folder_out, info_out, &skipped);
    } else {
        status = syn_checkpoint_verify(where, info_out);
    }
    if (status == SYN_OK && skipped_out)
        *skipped_out = skipped.length ? syn_str_take(&skipped) : NULL;
out:
    syn_free(manifest);
    syn_str_release(&skipped);
    return status;
}
