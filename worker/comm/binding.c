/* Core binding, read from the scheduler's masks of this process and of the launcher above it. */
#include "worker/comm/binding.h"

#include "common/base/log.h"
#include "common/base/str.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_ANCESTORS = 8 };

/* The parent of `pid` from /proc/<pid>/stat ("12 (name) S 1 ..."); 0 if it cannot be read. */
static pid_t parent_of(pid_t pid)
{
    char path[64], text[512];
    int parent = 0;

    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    size_t n = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[n] = '\0';
    const char *after_name = strrchr(text, ')');
    if (!after_name || sscanf(after_name, ") %*c %d", &parent) != 1)
        return 0;
    return (pid_t)parent;
}

/* The nearest process above us that may use more cores than we may: the launcher, perhaps above a
 * wrapper script. */
static bool find_wider_mask(int n_mine, cpu_set_t *mask_out)
{
    pid_t pid = getppid();
    for (int i = 0; i < MAX_ANCESTORS && pid > 1; i++, pid = parent_of(pid)) {
        if (sched_getaffinity(pid, sizeof *mask_out, mask_out) == 0 && CPU_COUNT(mask_out) > n_mine)
            return true;
    }
    return false;
}

static int env_number(const char *name, int otherwise)
{
    const char *text = getenv(name);
    int64_t value;
    return text && syn_parse_i64(text, &value) && value > 0 && value < 65536 ? (int)value
                                                                             : otherwise;
}

int comm_binding_cores(void)
{
    cpu_set_t mask;
    int n = sched_getaffinity(0, sizeof mask, &mask) == 0 ? CPU_COUNT(&mask) : 1;
    return n > 0 ? n : 1;
}

comm_binding comm_binding_undo(void)
{
    comm_binding binding = {0};
    cpu_set_t wider;

    binding.n_before = binding.n_after = comm_binding_cores();
    if (!getenv("OMPI_MCA_orte_bound_at_launch") || !find_wider_mask(binding.n_before, &wider))
        return binding;
    binding.n_launcher = CPU_COUNT(&wider);
    int n_local = env_number("OMPI_COMM_WORLD_LOCAL_SIZE", 1);
    int n_threads = env_number("OMP_NUM_THREADS", 1);
    bool is_idle_core = n_local * binding.n_before < binding.n_launcher;
    binding.trapped = is_idle_core || n_threads > binding.n_before;
    if (!binding.trapped || getenv("SYNCLINE_KEEP_BINDING"))
        return binding;
    if (sched_setaffinity(0, sizeof wider, &wider) == 0) {
        binding.n_after = comm_binding_cores();
        binding.undone = true;
    }
    return binding;
}

void comm_binding_report(const comm_binding *binding)
{
    if (binding->undone)
        SYN_INFO(
            "mpirun had bound each rank to %d of %d cores; undone, so that its threads are not "
            "trapped there (SYNCLINE_KEEP_BINDING=1 keeps the binding)",
            binding->n_before, binding->n_launcher);
    else if (binding->trapped)
        SYN_WARN("each rank is bound to %d of %d cores and its threads take turns there; mpirun "
                 "--bind-to none lets them run side by side",
                 binding->n_before, binding->n_launcher);
}
