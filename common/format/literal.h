/* Literals that JSON and YAML readers both understand. */
#ifndef COMMON_FORMAT_LITERAL_H
#define COMMON_FORMAT_LITERAL_H

#include "common/base/str.h"

/* Appends UTF-8 text in double quotes, escaped so that it is a JSON string (RFC 8259) and a YAML
 * double-quoted scalar. */
void syn_str_append_quoted(syn_str *str, const char *text);
/* Appends a finite number with the fewest of 15, 16 or 17 digits that read back as the same double.
 */
void syn_str_append_double(syn_str *str, double value);

/* Someone's UTF-8 word for an error: at most 60 bytes, whole characters, no control characters.
 * Returns `buffer`. */
enum { SYN_SHOWN_BYTES = 72 };
const char *syn_text_show(const char *text, char buffer[SYN_SHOWN_BYTES]);

#endif
