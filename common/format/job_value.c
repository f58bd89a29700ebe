/* One value of a job: is it of its row's type and within its limits, and into the spec with it. */
#include "common/format/job_keys.h"
#include "common/format/literal.h"

#include "common/base/str.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what plain scalars are (YAML 1.2's core schema, decimal numbers only) ---- */

static size_t count_digits(const char *p)
{
    return strspn(p, "0123456789");
}

static bool is_integer(const char *text)
{
    const char *p = text + (*text == '-' || *text == '+');
    size_t n = count_digits(p);
    return n > 0 && p[n] == '\0' && (n == 1 || *p != '0');
}

static bool is_real(const char *text)
{
    const char *p = text + (*text == '-' || *text == '+');
    size_t whole = count_digits(p), fraction = 0;

    if (whole > 1 && *p == '0')
        return false; /* octal to some readers of YAML */
    p += whole;
    if (*p == '.') {
        fraction = count_digits(p + 1);
        p += 1 + fraction;
    }
    if (whole + fraction == 0)
        return false;
    if (*p == 'e' || *p == 'E') {
        p += 1 + (p[1] == '-' || p[1] == '+');
        size_t n = count_digits(p);
        if (n == 0)
            return false;
        p += n;
    }
    return *p == '\0';
}

static bool is_null(const syn_job_node *node)
{
    return node->kind == SYN_NODE_SCALAR && !node->is_quoted &&
           (!*node->text || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0);
}

static bool is_plain(const syn_job_node *node)
{
    return node->kind == SYN_NODE_SCALAR && !node->is_quoted;
}

/* ---- words for errors and for the reference ---- */

static void describe_found(const syn_job_node *node, char *buffer, size_t size)
{
    const char *text = node->text;
    const char *what = node->is_quoted                                           ? "the text "
                       : !text                                                   ? ""
                       : strcmp(text, "true") == 0 || strcmp(text, "false") == 0 ? "the boolean "
                       : is_integer(text)                                        ? "the integer "
                       : is_real(text)                                           ? "the number "
                                                                                 : "the text ";
    char word[SYN_SHOWN_BYTES];
    bool is_text = strcmp(what, "the text ") == 0;

    if (node->kind != SYN_NODE_SCALAR)
        (void)snprintf(buffer, size, "%s", node->kind == SYN_NODE_LIST ? "a list" : "a section");
    else
        (void)snprintf(buffer, size, "%s%s%s%s", what, is_text ? "\"" : "",
                       syn_text_show(text, word), is_text ? "\"" : "");
}

static bool is_whole_type(const syn_job_key *key)
{
    return key->type != SYN_JOB_REAL && key->type != SYN_JOB_REAL_PAIR;
}

static void print_limit(const syn_job_key *key, double limit, char buffer[32])
{
    (void)snprintf(buffer, 32, is_whole_type(key) ? "%.0f" : "%.10g", limit);
}

/* "from 1 to 64", "of at least 0", "above 0", "from 0 to below 1". */
static void describe_limits(const syn_job_key *key, char *buffer, size_t size)
{
    char min[32], max[32];

    print_limit(key, key->min, min);
    print_limit(key, key->max, max);
    if (isinf(key->max))
        (void)snprintf(buffer, size, "%s %s", key->min_is_open ? "above" : "of at least", min);
    else
        (void)snprintf(buffer, size, "%s %s %s %s", key->min_is_open ? "above" : "from", min,
                       key->max_is_open   ? "to below"
                       : key->min_is_open ? "and up to"
                                          : "to",
                       max);
}

void syn_job_key_describe(const syn_job_key *key, char *buffer, size_t size)
{
    char limits[96];
    size_t n;

    describe_limits(key, limits, sizeof limits);
    switch (key->type) {
    case SYN_JOB_TEXT:
    case SYN_JOB_PATH:
        (void)snprintf(buffer, size, "%s of at most %.0f bytes",
                       key->type == SYN_JOB_PATH ? "a path" : "text", key->max);
        break;
    case SYN_JOB_BOOL:
        (void)snprintf(buffer, size, "true or false");
        break;
    case SYN_JOB_INTEGER:
        (void)snprintf(buffer, size, "an integer %s", limits);
        break;
    case SYN_JOB_NATURAL:
        (void)snprintf(buffer, size, "an integer from 0 to 18446744073709551615");
        break;
    case SYN_JOB_REAL:
        (void)snprintf(buffer, size, "a number %s", limits);
        break;
    case SYN_JOB_REAL_PAIR:
        (void)snprintf(buffer, size, "a list of two numbers %s", limits);
        break;
    case SYN_JOB_INTEGERS:
        (void)snprintf(buffer, size, "a list of at most %d integers %s", SYN_SPEC_MAX_LAYERS,
                       limits);
        break;
    case SYN_JOB_CHOICE:
        n = (size_t)snprintf(buffer, size, "one of");
        for (const syn_job_choice *c = key->choices; c->name && n < size; c++)
            n += (size_t)snprintf(buffer + n, size - n, "%s %s", c == key->choices ? "" : ",",
                                  c->name);
        break;
    }
}

/* The sentence for both a wrong type and an impossible value: what it is, what it must be. */
static syn_status refuse(const syn_job_key *key, const syn_job_node *node,
                         const syn_job_source *source)
{
    char found[128], expected[256];

    syn_job_key_describe(key, expected, sizeof expected);
    if (is_null(node))
        return syn_job_fail_at(source, node->offset, "%s has no value; it must be %s", key->name,
                               expected);
    describe_found(node, found, sizeof found);
    return syn_job_fail_at(source, node->offset, "%s must be %s, not %s", key->name, expected,
                           found);
}

static syn_status refuse_length(const syn_job_key *key, const syn_job_node *node,
                                const syn_job_source *source)
{
    char expected[256];

    if (node->kind != SYN_NODE_LIST)
        return refuse(key, node, source);
    syn_job_key_describe(key, expected, sizeof expected);
    return syn_job_fail_at(source, node->offset, "%s must be %s, not of %zu", key->name, expected,
                           node->n);
}

static syn_status refuse_item(const syn_job_key *key, const syn_job_node *item,
                              const syn_job_source *source)
{
    char found[128], limits[96];

    describe_limits(key, limits, sizeof limits);
    describe_found(item, found, sizeof found);
    return syn_job_fail_at(source, item->offset, "each element of %s must be %s %s, not %s",
                           key->name, is_whole_type(key) ? "an integer" : "a number", limits,
                           is_null(item) ? "empty" : found);
}

/* ---- storing ---- */

static bool is_within(const syn_job_key *key, double value)
{
    return (key->min_is_open ? value > key->min : value >= key->min) &&
           (key->max_is_open ? value < key->max : value <= key->max);
}

static bool read_integer(const syn_job_key *key, const syn_job_node *node, int64_t *value_out)
{
    return is_plain(node) && is_integer(node->text) && syn_parse_i64(node->text, value_out) &&
           is_within(key, (double)*value_out);
}

static bool read_real(const syn_job_key *key, const syn_job_node *node, double *value_out)
{
    return is_plain(node) && is_real(node->text) && syn_parse_f64(node->text, value_out) &&
           is_within(key, *value_out);
}

static bool read_natural(const syn_job_node *node, uint64_t *value_out)
{
    uint64_t value = 0;

    if (!is_plain(node) || !is_integer(node->text) || *node->text == '-')
        return false;
    for (const char *p = node->text + (*node->text == '+'); *p; p++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
            return false;
    *value_out = value;
    return true;
}

static syn_status set_text(const syn_job_key *key, const syn_job_node *node,
                           const syn_job_source *source, char **field)
{
    if (node->kind != SYN_NODE_SCALAR || is_null(node))
        return refuse(key, node, source);
    size_t length = strlen(node->text);
    if (length < (size_t)key->min)
        return syn_job_fail_at(source, node->offset, "%s is empty", key->name);
    if (length > (size_t)key->max)
        return syn_job_fail_at(source, node->offset, "%s has %zu bytes, at most %.0f are allowed",
                               key->name, length, key->max);
    for (const char *p = node->text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return syn_job_fail_at(source, node->offset, "%s contains the control character 0x%02x",
                                   key->name, (unsigned char)*p);
    char *copy = syn_strdup(node->text);
    if (!copy)
        return syn_fail_memory(length + 1, key->name);
    syn_free(*field);
    *field = copy;
    return SYN_OK;
}

static syn_status set_choice(const syn_job_key *key, const syn_job_node *node,
                             const syn_job_source *source, void *field)
{
    const char *names[16];
    size_t n = 0;

    if (node->kind != SYN_NODE_SCALAR || is_null(node))
        return refuse(key, node, source);
    for (const syn_job_choice *c = key->choices; c->name; c++) {
        if (strcmp(c->name, node->text) == 0) {
            memcpy(field, &c->value, sizeof c->value);
            return SYN_OK;
        }
        names[n++] = c->name;
    }
    char expected[256], found[128];
    const char *near = syn_suggest(node->text, names, n);
    syn_job_key_describe(key, expected, sizeof expected);
    describe_found(node, found, sizeof found);
    return syn_job_fail_at(source, node->offset, "%s must be %s, not %s%s%s%s", key->name, expected,
                           found, near ? "; did you mean \"" : "", near ? near : "",
                           near ? "\"?" : "");
}

static syn_status set_integers(const syn_job_key *key, const syn_job_node *node,
                               const syn_job_source *source, int64_t *items, int64_t *n_items)
{
    int64_t values[SYN_SPEC_MAX_LAYERS] = {0};
    size_t n = 0;

    if (node->kind != SYN_NODE_LIST || node->n > SYN_SPEC_MAX_LAYERS)
        return refuse_length(key, node, source);
    for (const syn_job_node *item = node->first; item; item = item->next)
        if (!read_integer(key, item, &values[n++]))
            return refuse_item(key, item, source);
    memcpy(items, values, sizeof values);
    *n_items = (int64_t)n;
    return SYN_OK;
}

static syn_status set_pair(const syn_job_key *key, const syn_job_node *node,
                           const syn_job_source *source, double *pair)
{
    double values[2];
    size_t n = 0;

    if (node->kind != SYN_NODE_LIST || node->n != 2)
        return refuse_length(key, node, source);
    for (const syn_job_node *item = node->first; item; item = item->next)
        if (!read_real(key, item, &values[n++]))
            return refuse_item(key, item, source);
    memcpy(pair, values, sizeof values);
    return SYN_OK;
}

syn_status syn_job_value_set(const syn_job_key *key, const syn_job_node *node,
                             const syn_job_source *source, syn_job_spec *spec)
{
    void *field = (char *)spec + key->offset;
    bool is_true;

    switch (key->type) {
    case SYN_JOB_TEXT:
    case SYN_JOB_PATH:
        return set_text(key, node, source, field);
    case SYN_JOB_CHOICE:
        return set_choice(key, node, source, field);
    case SYN_JOB_INTEGERS:
        return set_integers(key, node, source, field,
                            (int64_t *)(void *)((char *)spec + key->n_offset));
    case SYN_JOB_REAL_PAIR:
        return set_pair(key, node, source, field);
    case SYN_JOB_INTEGER:
        return read_integer(key, node, field) ? SYN_OK : refuse(key, node, source);
    case SYN_JOB_NATURAL:
        return read_natural(node, field) ? SYN_OK : refuse(key, node, source);
    case SYN_JOB_REAL:
        return read_real(key, node, field) ? SYN_OK : refuse(key, node, source);
    case SYN_JOB_BOOL:
        is_true = is_plain(node) && strcmp(node->text, "true") == 0;
        if (!is_true && !(is_plain(node) && strcmp(node->text, "false") == 0))
            return refuse(key, node, source);
        *(bool *)field = is_true;
        return SYN_OK;
    }
    return SYN_OK;
}
