/* Where the next attempt of a job goes on from. */
#include "server/jobs/internal.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

/* The step of a complete checkpoint folder "step-00000200"; false for anything else (unfinished
 * ones end in .tmp). */
static bool parse_step(const char *name, uint64_t *step_out)
{
    char *end;
    if (!syn_has_prefix(name, "step-") || name[5] < '0' || name[5] > '9')
        return false;
    unsigned long long step = strtoull(name + 5, &end, 10);
    if (*end)
        return false;
    *step_out = step;
    return true;
}

/* The newest complete checkpoint folder in <run_dir>/checkpoints. */
static bool find_newest(const char *run_dir, syn_str *path_out, uint64_t *step_out)
{
    syn_str folder = {0};
    bool has_any = false;
    syn_str_appendf(&folder, "%s/checkpoints", run_dir);
    DIR *dir = folder.failed ? NULL : opendir(folder.data);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        uint64_t step;
        syn_str manifest = {0};
        if (!parse_step(entry->d_name, &step) || (has_any && step <= *step_out))
            continue;
        syn_str_appendf(&manifest, "%s/%s/manifest.json", folder.data, entry->d_name);
        if (!manifest.failed && syn_path_exists(manifest.data)) {
            has_any = true;
            *step_out = step;
            syn_str_clear(path_out);
            syn_str_appendf(path_out, "%s/%s", folder.data, entry->d_name);
        }
        syn_str_release(&manifest);
    }
    if (dir)
        (void)closedir(dir);
    syn_str_release(&folder);
    return has_any;
}

char *syn_job_find_resume(const syn_job *job, uint64_t *step_out)
{
    const syn_job_record *record = &job->record;
    syn_str path = {0};
    uint64_t step = 0;
    bool has_own = record->run_dir && find_newest(record->run_dir, &path, &step);
    if (record->attempt == 1 && record->resume_from && *record->resume_from) {
        syn_str_clear(&path);
        syn_str_append(&path, record->resume_from);
        step = 0;
    } else if (record->attempt == 1) {
        syn_str_clear(
            &path); /* a first attempt does not take up what an older run left in the folder */
        step = 0;
    } else if (!has_own && record->has_checkpoint) {
        /* announced, and not visible from here: the ranks may see it */
        syn_str_append(&path, syn_text_get(record->checkpoint_path));
        step = record->checkpoint_step;
    } else if (!has_own) {
        syn_str_append(&path, syn_text_get(record->resume_from));
    }
    if (path.failed) {
        syn_str_release(&path);
        (void)syn_fail_memory(256, "a path");
        return NULL;
    }
    *step_out = step;
    return syn_str_take(&path);
}
