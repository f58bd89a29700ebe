/* YAML events to a tree with positions, and errors that point into the text. */
#include "common/format/job_tree.h"

#include "common/base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

/* ---- errors with an excerpt ---- */

enum { EXCERPT_COLUMNS = 100, SENTENCE_MAX = 1024 };

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* Copies characters [first, first + EXCERPT_COLUMNS) of a line, with what a terminal must not see
 * as '?'. */
static void copy_excerpt(char *out, size_t out_size, const char *line, const char *end,
                         size_t first)
{
    bool is_utf8 = syn_utf8_is_valid(line, (size_t)(end - line));
    size_t column = 0, n = 0;

    for (const char *p = line; p < end && n + 2 < out_size; p++) {
        column += p > line && !(is_utf8 && is_continuation(*p));
        if (column < first)
            continue;
        if (column >= first + EXCERPT_COLUMNS)
            break;
        unsigned char c = (unsigned char)*p;
        bool is_plain = (c >= 0x20 && c < 0x7f) || (c >= 0x80 && is_utf8);
        out[n++] = *p == '\t' ? ' ' : is_plain ? *p : '?';
    }
    out[n] = '\0';
}

syn_status(syn_job_fail_at)(const syn_job_source *source, size_t offset, const char *format, ...)
{
    char sentence[SENTENCE_MAX], excerpt[EXCERPT_COLUMNS * 4 + 8];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    if (source->is_override)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "--set %.200s: %s", source->name, sentence);

    const char *at = source->text + (offset < source->length ? offset : source->length);
    const char *line = source->text, *end = source->text + source->length;
    size_t line_number = 1, column = 0;
    for (const char *p = source->text; p < at; p++)
        if (*p == '\n') {
            line_number++;
            line = p + 1;
        }
    for (const char *p = line; p < at; p++)
        column += !is_continuation(*p);
    const char *line_end = memchr(line, '\n', (size_t)(end - line));
    line_end = line_end ? line_end : end;
    if (line_end > line && line_end[-1] == '\r')
        line_end--;
    size_t first = column > EXCERPT_COLUMNS * 3 / 4 ? column - EXCERPT_COLUMNS / 2 : 0;
    copy_excerpt(excerpt, sizeof excerpt, line, line_end, first);
    return SYN_FAIL(SYN_INVALID_ARGUMENT, "%.500s:%zu:%zu: %s\n%5zu | %s\n      | %*s^",
                    source->name, line_number, column + 1, sentence, line_number, excerpt,
                    (int)(column - first), "");
}

/* ---- nodes ---- */

syn_status syn_job_builder_add(syn_job_builder *builder, syn_job_node_kind kind, size_t offset,
                               int depth, syn_job_node **node_out)
{
    if (depth > SYN_JOB_MAX_DEPTH)
        return syn_job_fail_at(builder->source, offset, "the job nests deeper than %d levels",
                               SYN_JOB_MAX_DEPTH);
    if (++builder->n_nodes > SYN_JOB_MAX_NODES)
        return syn_job_fail_at(builder->source, offset, "the job has more than %d values",
                               SYN_JOB_MAX_NODES);
    syn_job_node *node = syn_arena_alloc(builder->arena, sizeof *node);
    if (!node)
        return syn_fail_memory(sizeof *node, "a value of the job");
    *node = (syn_job_node){.kind = kind, .offset = offset};
    *node_out = node;
    return SYN_OK;
}

/* ---- YAML ---- */

typedef struct reader {
    syn_job_builder base;
    yaml_parser_t parser;
    size_t characters, bytes; /* libyaml counts characters; marks come in order, so we follow */
} reader;

static size_t get_offset(reader *r, yaml_mark_t mark)
{
    const syn_job_source *source = r->base.source;
    while (r->characters < mark.index && r->bytes < source->length) {
        r->characters++;
        r->bytes++;
        while (r->bytes < source->length && is_continuation(source->text[r->bytes]))
            r->bytes++;
    }
    return r->bytes;
}

static syn_status next_event(reader *r, yaml_event_t *event)
{
    yaml_parser_t *parser = &r->parser;
    const syn_job_source *source = r->base.source;

    if (yaml_parser_parse(parser, event))
        return SYN_OK;
    if (parser->error == YAML_MEMORY_ERROR)
        return syn_fail_memory(source->length, "the YAML reader");
    if (parser->error == YAML_READER_ERROR)
        return syn_job_fail_at(source, parser->problem_offset, "cannot read the YAML: %s",
                               parser->problem);
    size_t offset = get_offset(r, parser->problem_mark);
    if (offset < source->length && source->text[offset] == '\t')
        return syn_job_fail_at(source, offset,
                               "cannot read the YAML: indent with spaces, not tabs");
    return syn_job_fail_at(source, offset, "cannot read the YAML: %s%s%s", parser->problem,
                           parser->context ? " " : "", parser->context ? parser->context : "");
}

static syn_status refuse_extras(reader *r, const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    const char *what = NULL;

    if (event->type == YAML_SCALAR_EVENT)
        anchor = event->data.scalar.anchor, tag = event->data.scalar.tag;
    else if (event->type == YAML_SEQUENCE_START_EVENT)
        anchor = event->data.sequence_start.anchor, tag = event->data.sequence_start.tag;
    else if (event->type == YAML_MAPPING_START_EVENT)
        anchor = event->data.mapping_start.anchor, tag = event->data.mapping_start.tag;
    if (event->type == YAML_ALIAS_EVENT)
        what = "aliases (*name)";
    else if (anchor)
        what = "anchors (&name)";
    else if (tag)
        what = "tags (!type)";
    if (!what)
        return SYN_OK;
    return syn_job_fail_at(r->base.source, get_offset(r, event->start_mark),
                           "job files have no %s; write the value itself", what);
}

static syn_status build_scalar(reader *r, const yaml_event_t *event, syn_job_node *node)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;

    if (!syn_utf8_is_valid(text, length))
        return syn_job_fail_at(r->base.source, node->offset, "the text contains a NUL character");
    node->text = syn_arena_strdup(r->base.arena, text);
    node->is_quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return node->text ? SYN_OK : syn_fail_memory(length + 1, "a value of the job");
}

static syn_status build(reader *r, const yaml_event_t *event, int depth, syn_job_node **node_out);

/* The children of a list or map, up to and with its end event. */
static syn_status build_children(reader *r, syn_job_node *parent, int depth)
{
    syn_status status = SYN_OK;
    syn_job_node *key = NULL, **link = &parent->first;

    for (;;) {
        yaml_event_t event;
        syn_job_node *node = NULL;
        SYN_TRY(next_event(r, &event));
        bool at_end = event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT;
        if (!at_end)
            status = build(r, &event, depth, &node);
        yaml_event_delete(&event);
        if (at_end || status != SYN_OK)
            return status;
        if (parent->kind == SYN_NODE_MAP && !key) {
            if (node->kind != SYN_NODE_SCALAR)
                return syn_job_fail_at(r->base.source, node->offset, "a key must be a word");
            key = node;
            continue;
        }
        node->key = key;
        key = NULL;
        *link = node;
        link = &node->next;
        parent->n++;
    }
}

static syn_status build(reader *r, const yaml_event_t *event, int depth, syn_job_node **node_out)
{
    SYN_TRY(refuse_extras(r, event));
    syn_job_node_kind kind = event->type == YAML_SEQUENCE_START_EVENT  ? SYN_NODE_LIST
                             : event->type == YAML_MAPPING_START_EVENT ? SYN_NODE_MAP
                                                                       : SYN_NODE_SCALAR;
    SYN_TRY(syn_job_builder_add(&r->base, kind, get_offset(r, event->start_mark), depth, node_out));
    if (kind == SYN_NODE_SCALAR)
        return build_scalar(r, event, *node_out);
    return build_children(r, *node_out, depth + 1);
}

static syn_status parse_documents(reader *r, syn_job_node **root_out)
{
    syn_status status = SYN_OK;
    syn_job_node *root = NULL;

    for (bool more = true; more && status == SYN_OK;) {
        yaml_event_t event;
        SYN_TRY(next_event(r, &event));
        if (event.type == YAML_STREAM_END_EVENT)
            more = false;
        else if (event.type == YAML_DOCUMENT_START_EVENT && root)
            status = syn_job_fail_at(r->base.source, get_offset(r, event.start_mark),
                                     "a second document begins here; a job is one document");
        else if (event.type != YAML_STREAM_START_EVENT && event.type != YAML_DOCUMENT_START_EVENT &&
                 event.type != YAML_DOCUMENT_END_EVENT)
            status = build(r, &event, 0, &root);
        yaml_event_delete(&event);
    }
    if (status == SYN_OK && !root)
        status = syn_job_fail_at(r->base.source, 0, "the job is empty");
    if (status == SYN_OK)
        *root_out = root;
    return status;
}

static syn_status parse_yaml(syn_job_builder *builder, syn_job_node **root_out)
{
    reader r = {.base = *builder};

    if (!yaml_parser_initialize(&r.parser))
        return syn_fail_memory(sizeof r.parser, "the YAML reader");
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)builder->source->text,
                                 builder->source->length);
    syn_status status = parse_documents(&r, root_out);
    yaml_parser_delete(&r.parser);
    return status;
}

static syn_status refuse_bytes(const syn_job_source *source)
{
    if (source->length > SYN_JOB_MAX_BYTES)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "%.500s has %zu bytes, a job has at most %d",
                        source->name, source->length, SYN_JOB_MAX_BYTES);
    if (syn_utf8_is_valid(source->text, source->length))
        return SYN_OK;
    size_t good = 0;
    for (size_t n = 1; good + n <= source->length && n <= 4;)
        if (syn_utf8_is_valid(source->text + good, n))
            good += n, n = 1;
        else
            n++;
    return syn_job_fail_at(source, good, "the byte 0x%02x is not UTF-8 text",
                           (unsigned char)source->text[good]);
}

syn_status syn_job_tree_parse(const syn_job_source *source, bool is_json, syn_arena *arena,
                              syn_job_node **root_out)
{
    syn_job_builder builder = {.source = source, .arena = arena};

    SYN_TRY(refuse_bytes(source));
    return is_json ? syn_job_tree_parse_json(&builder, root_out) : parse_yaml(&builder, root_out);
}
