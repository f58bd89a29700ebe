/* Growing strings, and small functions over text. */
#ifndef COMMON_BASE_STR_H
#define COMMON_BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <syncline/status.h>

/* A growing, always NUL-terminated byte string; start it as {0}. A failed append is remembered in
 * `failed`, later appends do nothing, so callers check once. `data` is NULL while nothing was
 * appended: use syn_str_get. */
typedef struct syn_str {
    char *data; /* owned */
    size_t length, capacity;
    bool failed;
} syn_str;

void syn_str_append(syn_str *str, const char *text);
void syn_str_append_n(syn_str *str, const void *bytes, size_t length);
void syn_str_appendf(syn_str *str, const char *format, ...) __attribute__((format(printf, 2, 3)));
void syn_str_vappendf(syn_str *str, const char *format, va_list args);
/* The text, "" when empty; borrowed until the next append. */
const char *syn_str_get(const syn_str *str);
/* Hands the heap string over and empties `str`; NULL if an append failed. The caller frees it. */
char *syn_str_take(syn_str *str);
void syn_str_clear(syn_str *str);
void syn_str_release(syn_str *str);

/* Whether the bytes are valid UTF-8 without NUL. */
bool syn_utf8_is_valid(const void *bytes, size_t length);
/* Appends `bytes` with anything that is not printable UTF-8 replaced by U+FFFD (for terminals and
 * JSON). */
void syn_str_append_printable(syn_str *str, const void *bytes, size_t length);

/* The candidate nearest to `word` by edit distance (Damerau-Levenshtein), NULL if none is near
 * enough to suggest. */
const char *syn_suggest(const char *word, const char *const *candidates, size_t n_candidates);

bool syn_has_prefix(const char *text, const char *prefix);
bool syn_has_suffix(const char *text, const char *suffix);

/* Whole-string number parsing: false (and nothing written) on junk, overflow or empty text. */
bool syn_parse_i64(const char *text, int64_t *value_out);
bool syn_parse_f64(const char *text, double *value_out);

/* "1.5 GiB", "312 KiB" and "1 h 02 min", "12.3 s" into `buffer`, which is returned. */
char *syn_format_bytes(char buffer[32], uint64_t bytes);
char *syn_format_duration(char buffer[32], double seconds);

#endif
