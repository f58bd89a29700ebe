/* Quoted text and numbers as both JSON and YAML write them. */
#include "common/format/literal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The code point of the valid sequence at `p`, whose length goes to `*length_out`. */
static unsigned decode(const unsigned char *p, size_t *length_out)
{
    if (p[0] < 0x80)
        return *length_out = 1, p[0];
    if (p[0] < 0xe0)
        return *length_out = 2, (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
    if (p[0] < 0xf0)
        return *length_out = 3, (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    return *length_out = 4,
           (p[0] & 0x07u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
}

/* YAML 1.1 forbids some characters that JSON allows, and takes others for line breaks. */
static bool needs_escape(unsigned c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff ||
           c == 0xfffe || c == 0xffff;
}

void syn_str_append_quoted(syn_str *str, const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t length;

    syn_str_append(str, "\"");
    for (; *p; p += length) {
        unsigned c = decode(p, &length);
        if (c == '"' || c == '\\')
            syn_str_appendf(str, "\\%c", (int)c);
        else if (c == '\n')
            syn_str_append(str, "\\n");
        else if (c == '\t')
            syn_str_append(str, "\\t");
        else if (needs_escape(c))
            syn_str_appendf(str, "\\u%04x", c);
        else
            syn_str_append_n(str, p, length);
    }
    syn_str_append(str, "\"");
}

void syn_str_append_double(syn_str *str, double value)
{
    char digits[32];
    for (int precision = 15; precision <= 17; precision++) {
        (void)snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    /* YAML 1.1 readers take "1e-05" for text: they want a point. */
    char *exponent = strchr(digits, 'e');
    if (exponent && !strchr(digits, '.'))
        syn_str_appendf(str, "%.*s.0%s", (int)(exponent - digits), digits, exponent);
    else
        syn_str_append(str, digits);
}

const char *syn_text_show(const char *text, char buffer[SYN_SHOWN_BYTES])
{
    size_t n = strlen(text);
    bool is_cut = n > 60;

    for (n = is_cut ? 60 : n; is_cut && n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80;)
        n--;
    (void)snprintf(buffer, SYN_SHOWN_BYTES, "%.*s%s", (int)n, text, is_cut ? "..." : "");
    for (char *p = buffer; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    return buffer;
}
