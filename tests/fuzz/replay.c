/* Runs a fuzz target once over each file of the folders named on the command line. */
#include "tests/fuzz/fuzz.h"

#include "common/base/file.h"
#include "common/base/mem.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int replay_file(const char *path)
{
    char *bytes;
    size_t size;

    if (syn_file_read(path, 1 << 24, &bytes, &size) != SYN_OK) {
        (void)fprintf(stderr, "%s\n", syn_error_message());
        return 1;
    }
    /* Exactly as long as the input, so that sanitizers see the first byte beyond. */
    uint8_t *exact = malloc(size ? size : 1);
    if (!exact)
        return 1;
    memcpy(exact, bytes, size);
    syn_free(bytes);
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return 0;
}

static int replay_folder(const char *folder, int *n_files)
{
    struct dirent **entries;
    int failures = 0, n = scandir(folder, &entries, NULL, alphasort);

    if (n < 0) {
        perror(folder);
        return 1;
    }
    for (int i = 0; i < n; i++) {
        char *path = syn_path_join(folder, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && path) {
            failures += replay_file(path);
            ++*n_files;
        }
        syn_free(path);
        free(entries[i]);
    }
    free(entries);
    return failures;
}

int main(int argc, char **argv)
{
    int n_files = 0, failures = 0;

    for (int i = 1; i < argc; i++)
        failures += replay_folder(argv[i], &n_files);
    (void)printf("%d inputs replayed\n", n_files);
    return failures > 0 || n_files == 0;
}
