/* The text of a job as a tree of values that remember where they stood, from YAML or JSON alike. */
#ifndef COMMON_FORMAT_JOB_TREE_H
#define COMMON_FORMAT_JOB_TREE_H

#include "common/base/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <syncline/status.h>

enum { SYN_JOB_MAX_DEPTH = 16, SYN_JOB_MAX_NODES = 4096, SYN_JOB_MAX_BYTES = 1 << 20 };

/* Where text came from; everything is borrowed. */
typedef struct syn_job_source {
    const char *name; /* the file's name, or "key=value" of an override */
    const char *text;
    size_t length;
    bool is_override; /* errors then name `--set key=value` instead of a position */
} syn_job_source;

typedef enum syn_job_node_kind { SYN_NODE_SCALAR, SYN_NODE_LIST, SYN_NODE_MAP } syn_job_node_kind;

/* One value; lives in the arena of its tree. */
typedef struct syn_job_node {
    syn_job_node_kind kind;
    bool is_quoted;                    /* a scalar that was written as text */
    const char *text;                  /* scalars: UTF-8 without NUL */
    size_t offset;                     /* its first byte in the source */
    size_t n;                          /* lists and maps: number of children */
    struct syn_job_node *key;          /* children of a map: a scalar */
    struct syn_job_node *first, *next; /* children in order */
} syn_job_node;

/* Builds the tree of a whole text. Refused, each in one sentence: what is not UTF-8, syntax errors,
 * anchors, aliases, tags, more than one document, keys that are not words, nesting beyond
 * SYN_JOB_MAX_DEPTH, more than SYN_JOB_MAX_NODES values and texts of more than SYN_JOB_MAX_BYTES.
 * JSON is held to RFC 8259. Duplicate keys are kept. */
syn_status syn_job_tree_parse(const syn_job_source *source, bool is_json, syn_arena *arena,
                              syn_job_node **root_out);

/* Records "name:line:column: sentence", the source line and a caret below the byte at `offset`;
 * SYN_INVALID_ARGUMENT. Lines and columns count from 1, columns in characters. For overrides it
 * records "--set key=value: sentence". */
syn_status syn_job_fail_at(const syn_job_source *source, size_t offset, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#define syn_job_fail_at(...) syn_fail_with(SYN_INVALID_ARGUMENT, (syn_job_fail_at)(__VA_ARGS__))

/* For the readers of both notations: counts and bounds the nodes they make. */
typedef struct syn_job_builder {
    const syn_job_source *source;
    syn_arena *arena;
    size_t n_nodes;
} syn_job_builder;
syn_status syn_job_builder_add(syn_job_builder *builder, syn_job_node_kind kind, size_t offset,
                               int depth, syn_job_node **node_out);
/* The reader of JSON text, called by syn_job_tree_parse. */
syn_status syn_job_tree_parse_json(syn_job_builder *builder, syn_job_node **root_out);

#endif
