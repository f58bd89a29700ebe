/* The sticky error of expressions, the caller's place, and the end of a program. */
#include "worker/tensor/tensor.h"
#include "worker/tensor/thread.h"

#include <stdlib.h>
#include <string.h>

enum { ERROR_MAX = 4096 };
static _Thread_local char sticky[ERROR_MAX];
static _Thread_local syn_status sticky_status;

void (*syn_finish_hook)(void);

syn_tensor *syn_stick(syn_status status)
{
    syn_this_thread.n_stuck++;
    if (sticky_status == SYN_OK) {
        const char *message = syn_error_message();
        size_t length = strnlen(message, ERROR_MAX - 1);
        memcpy(sticky, message, length);
        sticky[length] = '\0';
        sticky_status = status == SYN_OK ? SYN_UNKNOWN : status;
    }
    return NULL;
}

unsigned long syn_stick_count(void)
{
    return syn_this_thread.n_stuck;
}

bool syn_failed(void)
{
    return sticky_status != SYN_OK;
}

const char *syn_error(void)
{
    return sticky;
}

syn_status syn_error_status(void)
{
    return sticky_status;
}

void syn_clear_error(void)
{
    sticky[0] = '\0';
    sticky_status = SYN_OK;
}

void syn_set_caller(const char *file, int line)
{
    syn_this_thread.caller_file = file;
    syn_this_thread.caller_line = line;
}

const char *syn_caller_file(int *line_out)
{
    *line_out = syn_this_thread.caller_line;
    return syn_this_thread.caller_file ? syn_this_thread.caller_file : "";
}

int syn_finish(void)
{
    bool has_failed = syn_failed();
    if (has_failed)
        (void)fprintf(stderr, "syncline: %s\n", sticky);
    syn_scope_end(0);
    if (syn_finish_hook)
        syn_finish_hook();
    return has_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
