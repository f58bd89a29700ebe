/* Status codes and the one recorded error sentence of each thread. */
#ifndef SYNCLINE_STATUS_H
#define SYNCLINE_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, number, text). The numbers are gRPC's, so that the wire carries the same code. */
#define SYN_STATUS_LIST(X)                           \
    X(OK, 0, "ok")                                   \
    X(CANCELLED, 1, "cancelled")                     \
    X(UNKNOWN, 2, "unknown error")                   \
    X(INVALID_ARGUMENT, 3, "invalid argument")       \
    X(DEADLINE_EXCEEDED, 4, "deadline exceeded")     \
    X(NOT_FOUND, 5, "not found")                     \
    X(ALREADY_EXISTS, 6, "already exists")           \
    X(PERMISSION_DENIED, 7, "permission denied")     \
    X(RESOURCE_EXHAUSTED, 8, "resource exhausted")   \
    X(FAILED_PRECONDITION, 9, "failed precondition") \
    X(ABORTED, 10, "aborted")                        \
    X(OUT_OF_RANGE, 11, "out of range")              \
    X(UNIMPLEMENTED, 12, "unimplemented")            \
    X(INTERNAL, 13, "internal error")                \
    X(UNAVAILABLE, 14, "unavailable")                \
    X(DATA_LOSS, 15, "data loss")                    \
    X(UNAUTHENTICATED, 16, "unauthenticated")

typedef enum syn_status {
#define SYN_STATUS_ENUM(name, number, text) SYN_##name = number,
    SYN_STATUS_LIST(SYN_STATUS_ENUM)
#undef SYN_STATUS_ENUM
} syn_status;

/* The text of a code ("invalid argument"). */
const char *syn_status_text(syn_status status);
/* The name of a code ("INVALID_ARGUMENT"), as gRPC spells it. */
const char *syn_status_name(syn_status status);

/* The sentence recorded by the last SYN_FAIL of this thread, "" if there was none. Borrowed until
 * the next. */
const char *syn_error_message(void);
void syn_error_clear(void);

/* Records one sentence for this thread and returns `code`. Only the function that first notices
 * calls it. */
syn_status syn_fail(syn_status code, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The code is handed on beside the call so that the compiler sees that it is not SYN_OK. */
static inline syn_status syn_fail_with(syn_status code, syn_status recorded)
{
    (void)recorded;
    return code;
}
#define SYN_FAIL(code, ...) syn_fail_with((code), syn_fail((code), __FILE__, __LINE__, __VA_ARGS__))

/* Puts "<context>: " before the recorded sentence and returns `status` (file names, rank, host). */
syn_status syn_fail_context(syn_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Passes a failure up. */
#define SYN_TRY(expr)                       \
    do {                                    \
        syn_status syn_try_status = (expr); \
        if (syn_try_status != SYN_OK)       \
            return syn_try_status;          \
    } while (0)
/* Passes a failure up through the function's `out:` label; needs `syn_status status` in scope. */
#define SYN_GOTO(expr)                   \
    do {                                 \
        if ((status = (expr)) != SYN_OK) \
            goto out;                    \
    } while (0)

/* A broken invariant: prints the condition and ends the process with abort(). */
#define SYN_BUG_ON(cond)                        \
    do {                                        \
        if (__builtin_expect(!!(cond), 0))      \
            syn_bug(#cond, __FILE__, __LINE__); \
    } while (0)
_Noreturn void syn_bug(const char *condition, const char *file, int line);

#ifdef __cplusplus
}
#endif
#endif
