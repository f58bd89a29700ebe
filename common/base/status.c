/* The thread's recorded error sentence. */
#include <syncline/status.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_MAX = 4096 };
static _Thread_local char message[MESSAGE_MAX];

const char *syn_status_text(syn_status status)
{
    switch (status) {
#define CASE(name, number, text) \
    case SYN_##name:             \
        return text;
        SYN_STATUS_LIST(CASE)
#undef CASE
    }
    return "unknown status";
}

const char *syn_status_name(syn_status status)
{
    switch (status) {
#define CASE(name, number, text) \
    case SYN_##name:             \
        return #name;
        SYN_STATUS_LIST(CASE)
#undef CASE
    }
    return "UNKNOWN";
}

const char *syn_error_message(void)
{
    return message;
}

void syn_error_clear(void)
{
    message[0] = '\0';
}

syn_status syn_fail(syn_status code, const char *file, int line, const char *format, ...)
{
    char text[MESSAGE_MAX]; /* the arguments may point into `message` */
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memcpy(message, text, sizeof message);
    if (getenv("SYNCLINE_DEBUG_ERRORS"))
        (void)fprintf(stderr, "%s:%d: %s: %s\n", file, line, syn_status_name(code), message);
    return code;
}

syn_status syn_fail_context(syn_status status, const char *format, ...)
{
    char text[MESSAGE_MAX];
    va_list args;

    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n >= 0 && n < MESSAGE_MAX)
        (void)snprintf(text + n, sizeof text - (size_t)n, ": %.*s", MESSAGE_MAX - n - 3, message);
    memcpy(message, text, sizeof message);
    return status;
}

_Noreturn void syn_bug(const char *condition, const char *file, int line)
{
    (void)fprintf(stderr, "syncline: bug: %s:%d: %s (please report this)\n", file, line, condition);
    abort();
}
