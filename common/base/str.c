/* Growing strings, UTF-8 checks, suggestions, number parsing and human-readable sizes. */
#include "common/base/str.h"

#include "common/base/mem.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(syn_str *str, size_t extra)
{
    if (extra > SIZE_MAX / 4)
        str->failed = true;
    if (str->failed)
        return false;
    size_t needed = str->length + extra + 1;
    if (needed > str->capacity) {
        size_t capacity = str->capacity ? str->capacity * 2 : 64;
        while (capacity < needed)
            capacity *= 2;
        char *data = syn_realloc(str->data, capacity);
        if (!data) {
            str->failed = true;
            return false;
        }
        str->data = data;
        str->capacity = capacity;
    }
    return true;
}

void syn_str_append_n(syn_str *str, const void *bytes, size_t length)
{
    if (!reserve(str, length))
        return;
    if (length)
        memcpy(str->data + str->length, bytes, length);
    str->length += length;
    str->data[str->length] = '\0';
}

void syn_str_append(syn_str *str, const char *text)
{
    syn_str_append_n(str, text, strlen(text));
}

void syn_str_vappendf(syn_str *str, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (n < 0 || !reserve(str, (size_t)n))
        return;
    (void)vsnprintf(str->data + str->length, (size_t)n + 1, format, args);
    str->length += (size_t)n;
}

void syn_str_appendf(syn_str *str, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    syn_str_vappendf(str, format, args);
    va_end(args);
}

const char *syn_str_get(const syn_str *str)
{
    return str->data ? str->data : "";
}

char *syn_str_take(syn_str *str)
{
    if (!str->data && !str->failed)
        syn_str_append(str, "");
    char *data = str->failed ? NULL : str->data;
    if (str->failed)
        syn_free(str->data);
    *str = (syn_str){0};
    return data;
}

void syn_str_clear(syn_str *str)
{
    str->length = 0;
    str->failed = false;
    if (str->data)
        str->data[0] = '\0';
}

void syn_str_release(syn_str *str)
{
    syn_free(str->data);
    *str = (syn_str){0};
}

/* Length of the valid sequence at `p` (RFC 3629: no overlongs, no surrogates, at most U+10FFFF), 0
 * if invalid. */
static size_t utf8_sequence(const unsigned char *p, size_t n)
{
    unsigned char c = p[0];
    size_t length = c < 0x80                 ? 1
                    : c >= 0xc2 && c <= 0xdf ? 2
                    : c >= 0xe0 && c <= 0xef ? 3
                    : c >= 0xf0 && c <= 0xf4 ? 4
                                             : 0;
    if (length == 0 || length > n)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) || (c == 0xf0 && p[1] < 0x90) ||
        (c == 0xf4 && p[1] > 0x8f))
        return 0;
    return length;
}

bool syn_utf8_is_valid(const void *bytes, size_t length)
{
    const unsigned char *p = bytes;
    for (size_t i = 0, n; i < length; i += n)
        if (p[i] == 0 || (n = utf8_sequence(p + i, length - i)) == 0)
            return false;
    return true;
}

void syn_str_append_printable(syn_str *str, const void *bytes, size_t length)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < length;) {
        size_t n = utf8_sequence(p + i, length - i);
        bool control = p[i] < 0x20 && p[i] != '\n' && p[i] != '\t';
        if (n == 0 || control || p[i] == 0x7f) {
            syn_str_append(str, "\xef\xbf\xbd");
            i++;
        } else {
            syn_str_append_n(str, p + i, n);
            i += n;
        }
    }
}

enum { WORD_MAX = 64 };

/* Optimal string alignment distance of two short words. */
static size_t edit_distance(const char *a, size_t na, const char *b, size_t nb)
{
    size_t d[WORD_MAX + 1][WORD_MAX + 1];
    for (size_t i = 0; i <= na; i++)
        d[i][0] = i;
    for (size_t j = 0; j <= nb; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= na; i++)
        for (size_t j = 1; j <= nb; j++) {
            size_t cost = a[i - 1] != b[j - 1];
            size_t best = d[i - 1][j - 1] + cost;
            if (d[i - 1][j] + 1 < best)
                best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best)
                best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    return d[na][nb];
}

const char *syn_suggest(const char *word, const char *const *candidates, size_t n_candidates)
{
    const char *best = NULL;
    size_t length = strlen(word), best_distance = length / 3 + 2;

    if (length > WORD_MAX)
        return NULL;
    for (size_t i = 0; i < n_candidates; i++) {
        size_t n = strlen(candidates[i]);
        if (n > WORD_MAX)
            continue;
        size_t distance = edit_distance(word, length, candidates[i], n);
        if (distance < best_distance && distance < n) {
            best = candidates[i];
            best_distance = distance;
        }
    }
    return best;
}

bool syn_has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool syn_has_suffix(const char *text, const char *suffix)
{
    size_t n = strlen(text), m = strlen(suffix);
    return n >= m && strcmp(text + n - m, suffix) == 0;
}

bool syn_parse_i64(const char *text, int64_t *value_out)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || isspace((unsigned char)*text))
        return false;
    *value_out = value;
    return true;
}

bool syn_parse_f64(const char *text, double *value_out)
{
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || *end || isspace((unsigned char)*text) ||
        (errno == ERANGE && fabs(value) == HUGE_VAL))
        return false;
    *value_out = value;
    return true;
}

char *syn_format_bytes(char buffer[32], uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit < 6) {
        value /= 1024;
        unit++;
    }
    (void)snprintf(buffer, 32, unit == 0 || value >= 100 ? "%.0f %s" : "%.1f %s", value,
                   units[unit]);
    return buffer;
}

char *syn_format_duration(char buffer[32], double seconds)
{
    if (!(seconds >= 0))
        (void)snprintf(buffer, 32, "?");
    else if (seconds < 60)
        (void)snprintf(buffer, 32, seconds < 10 ? "%.1f s" : "%.0f s", seconds);
    else if (seconds < 3600)
        (void)snprintf(buffer, 32, "%d min %02d s", (int)seconds / 60, (int)seconds % 60);
    else if (seconds < 3600.0 * 24 * 100)
        (void)snprintf(buffer, 32, "%d h %02d min", (int)seconds / 3600, (int)seconds / 60 % 60);
    else
        (void)snprintf(buffer, 32, "%.0f days", seconds / 86400);
    return buffer;
}
