/* Progress on the terminal and in the log. */
#include "worker/train/display.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const uint64_t draw_interval_ns = 100000000;

/* The file that standard output ends at: mpirun gives its ranks a pseudo-terminal even when it
 * writes to a file, so there it is mpirun's own. */
static bool find_output(char *path, size_t size)
{
    char link[64];
    bool is_launched = getenv("OMPI_COMM_WORLD_RANK") || getenv("PMIX_RANK");

    (void)snprintf(link, sizeof link, "/proc/%ld/fd/1", (long)(is_launched ? getppid() : getpid()));
    ssize_t n = readlink(link, path, size - 1);
    path[n > 0 ? n : 0] = '\0';
    return n > 0;
}

static bool ends_at_terminal(void)
{
    char path[256];
    return isatty(STDOUT_FILENO) && find_output(path, sizeof path) &&
           (syn_has_prefix(path, "/dev/pts/") || syn_has_prefix(path, "/dev/tty"));
}

/* Columns of the terminal; mpirun's pseudo-terminals do not have the size of its own. */
static int find_width(void)
{
    char path[256];
    struct winsize window = {0};
    int fd = find_output(path, sizeof path) ? open(path, O_RDONLY | O_NOCTTY | O_CLOEXEC) : -1;

    if (fd < 0 || ioctl(fd, TIOCGWINSZ, &window) != 0 || window.ws_col < 4)
        window.ws_col = 80;
    if (fd >= 0)
        (void)close(fd);
    return window.ws_col;
}

void syn_display_init(syn_display *display, bool is_shown, int n_ranks)
{
    *display = (syn_display){.is_shown = is_shown,
                             .is_terminal = is_shown && ends_at_terminal(),
                             .is_alone = n_ranks == 1};
}

static void clear_line(syn_display *display)
{
    if (display->has_line)
        (void)fputs("\r\033[K", stdout);
    display->has_line = false;
}

void syn_display_note(syn_display *display, const char *format, ...)
{
    syn_str text = {0};
    va_list args;

    va_start(args, format);
    syn_str_vappendf(&text, format, args);
    va_end(args);
    SYN_INFO("%s", syn_str_get(&text));
    if (display->is_shown) {
        clear_line(display);
        (void)printf("%s\n", syn_str_get(&text));
        (void)fflush(stdout);
    }
    syn_str_release(&text);
}

static void append_status(syn_str *text, const syn_display *display, const syn_train_status *status)
{
    char duration[32];
    double total_ms = status->hidden_ms + status->exposed_ms;

    syn_str_appendf(text, "step %" PRId64, status->step);
    if (status->total_steps > 0)
        syn_str_appendf(text, "/%" PRId64, status->total_steps);
    syn_str_appendf(text, " epoch %" PRId64, status->epoch);
    if (status->total_epochs > 0)
        syn_str_appendf(text, "/%" PRId64, status->total_epochs);
    if (status->has_loss)
        syn_str_appendf(text, ", loss %.4f", status->train_loss);
    if (status->samples_per_s > 0)
        syn_str_appendf(text, ", %.0f samples/s", status->samples_per_s);
    if (total_ms > 0 && !display->is_alone)
        syn_str_appendf(text, ", communication %.0f %% hidden", 100 * status->hidden_ms / total_ms);
    if (status->eta_s >= 0 && status->step < status->total_steps)
        syn_str_appendf(text, ", %s left", syn_format_duration(duration, status->eta_s));
}

void syn_display_step(syn_display *display, const syn_train_status *status)
{
    uint64_t now = syn_clock_monotonic_ns();
    if (!display->is_terminal || now - display->drawn_ns < draw_interval_ns)
        return;
    syn_str text = {0};
    append_status(&text, display, status);
    /* A line that wraps cannot be rewritten; the terminal itself writes "^C" behind it. */
    (void)printf("\r\033[K%.*s", find_width() - 3, syn_str_get(&text));
    (void)fflush(stdout);
    syn_str_release(&text);
    display->has_line = true;
    display->drawn_ns = now;
}

void syn_display_log(syn_display *display, const syn_train_status *status, double lr)
{
    syn_str text = {0};
    append_status(&text, display, status);
    syn_str_appendf(&text, ", lr %.3g", lr);
    SYN_INFO("%s", syn_str_get(&text));
    if (display->is_shown && !display->is_terminal) {
        (void)printf("%s\n", syn_str_get(&text));
        (void)fflush(stdout);
    }
    syn_str_release(&text);
}

void syn_display_finish(syn_display *display)
{
    if (!display->has_line)
        return;
    (void)fputs("\n", stdout);
    (void)fflush(stdout);
    display->has_line = false;
}
