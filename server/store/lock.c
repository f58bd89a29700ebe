/* The lock of a state directory. */
#include "server/store/store.h"

#include "common/base/file.h"
#include "common/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* The pid in the file, "?" when it cannot be read. */
static void read_pid(int fd, char text[24])
{
    ssize_t n = pread(fd, text, 23, 0);
    text[n > 0 ? n : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    if (!*text)
        (void)snprintf(text, 24, "?");
}

syn_status syn_store_lock(const char *dir, int *fd_out)
{
    syn_status status = SYN_OK;
    char text[24];
    char *path = syn_path_join(dir, "coordinator.pid");
    if (!path)
        return syn_fail_memory(strlen(dir) + 24, "a path");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        status = SYN_FAIL(SYN_UNKNOWN, "cannot open the lock file %s: %s", path, strerror(errno));
        goto out;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int error = errno;
        read_pid(fd, text);
        status = error == EWOULDBLOCK
                     ? SYN_FAIL(SYN_FAILED_PRECONDITION,
                                "the state folder %s is in use by the coordinator with pid %s", dir,
                                text)
                     : SYN_FAIL(SYN_UNKNOWN, "cannot lock %s: %s", path, strerror(error));
        goto out;
    }
    int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)length, 0) != length) {
        status = SYN_FAIL(SYN_UNKNOWN, "cannot write the lock file %s: %s", path, strerror(errno));
        goto out;
    }
    *fd_out = fd;
    fd = -1;
out:
    if (fd >= 0)
        (void)close(fd);
    syn_free(path);
    return status;
}

void syn_store_unlock(const char *dir, int fd)
{
    /* The file stays: removing it would let two coordinators hold locks on two files of one name.
     */
    (void)dir;
    if (fd >= 0)
        (void)close(fd);
}
