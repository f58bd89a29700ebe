/* JSON to the same tree: jansson judges the text and decodes strings, a small scanner finds the
 * positions. */
#include "common/format/job_tree.h"

#include <jansson.h>
#include <string.h>

typedef struct scanner {
    syn_job_builder *base;
    const char *p; /* the text is known to be valid JSON, so it cannot run off its end */
} scanner;

static void skip_space(scanner *s)
{
    s->p += strspn(s->p, " \t\r\n");
}

static size_t get_offset(const scanner *s)
{
    return (size_t)(s->p - s->base->source->text);
}

static syn_status scan_string(scanner *s, syn_job_node *node)
{
    const char *end = s->p + 1;
    while (*end != '"')
        end += *end == '\\' ? 2 : 1;
    end++;

    json_t *decoded = json_loadb(s->p, (size_t)(end - s->p), JSON_DECODE_ANY, NULL);
    if (decoded)
        node->text = syn_arena_strdup(s->base->arena, json_string_value(decoded));
    json_decref(decoded);
    node->is_quoted = true;
    s->p = end;
    return node->text ? SYN_OK : syn_fail_memory((size_t)(end - s->p), "a value of the job");
}

static syn_status scan_literal(scanner *s, syn_job_node *node)
{
    size_t length = strcspn(s->p, " \t\r\n,]}");
    char *text = syn_arena_alloc(s->base->arena, length + 1);
    if (!text)
        return syn_fail_memory(length + 1, "a value of the job");
    memcpy(text, s->p, length);
    node->text = text;
    s->p += length;
    return SYN_OK;
}

static syn_status scan(scanner *s, int depth, syn_job_node **node_out)
{
    syn_job_node_kind kind = *s->p == '{'   ? SYN_NODE_MAP
                             : *s->p == '[' ? SYN_NODE_LIST
                                            : SYN_NODE_SCALAR;
    SYN_TRY(syn_job_builder_add(s->base, kind, get_offset(s), depth, node_out));
    syn_job_node *node = *node_out, **link = &node->first;

    if (kind == SYN_NODE_SCALAR)
        return *s->p == '"' ? scan_string(s, node) : scan_literal(s, node);
    s->p++;
    for (skip_space(s); *s->p != '}' && *s->p != ']'; skip_space(s)) {
        syn_job_node *key = NULL;
        if (kind == SYN_NODE_MAP) {
            SYN_TRY(scan(s, depth + 1, &key));
            skip_space(s);
            s->p++; /* ':' */
            skip_space(s);
        }
        SYN_TRY(scan(s, depth + 1, link));
        (*link)->key = key;
        link = &(*link)->next;
        node->n++;
        skip_space(s);
        s->p += *s->p == ',';
    }
    s->p++;
    return SYN_OK;
}

syn_status syn_job_tree_parse_json(syn_job_builder *builder, syn_job_node **root_out)
{
    const syn_job_source *source = builder->source;
    json_error_t error;

    /* Integers as reals: the judge must not refuse what only our keys can bound. */
    json_t *judged = json_loadb(source->text, source->length, JSON_DECODE_INT_AS_REAL, &error);
    if (!judged && (json_error_code(&error) == json_error_out_of_memory || !*error.text))
        return syn_fail_memory(source->length, "the JSON reader");
    if (!judged)
        return syn_job_fail_at(source, error.position > 0 ? (size_t)error.position - 1 : 0,
                               "cannot read the JSON: %s", error.text);
    json_decref(judged);

    scanner s = {.base = builder, .p = source->text};
    skip_space(&s);
    return scan(&s, 0, root_out);
}
