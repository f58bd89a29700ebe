/* The one table of what a job may say; the parser, the printers and the reference are derived from
 * it. */
#ifndef COMMON_FORMAT_JOB_KEYS_H
#define COMMON_FORMAT_JOB_KEYS_H

#include "common/format/job_spec.h"
#include "common/format/job_tree.h"

typedef enum syn_job_type {
    SYN_JOB_TEXT,
    SYN_JOB_PATH, /* text; a relative path becomes absolute */
    SYN_JOB_BOOL,
    SYN_JOB_INTEGER, /* int64_t */
    SYN_JOB_NATURAL, /* uint64_t */
    SYN_JOB_REAL,
    SYN_JOB_REAL_PAIR, /* two neighbouring doubles */
    SYN_JOB_INTEGERS,  /* int64_t[SYN_SPEC_MAX_LAYERS] and its length at `n_offset` */
    SYN_JOB_CHOICE,    /* an enum */
} syn_job_type;

typedef struct syn_job_choice {
    const char *name; /* NULL ends the list */
    int value;
} syn_job_choice;

/* Two rows may share a name if their conditions exclude each other: the same key with another
 * default. */
typedef struct syn_job_key {
    const char *name; /* "section.leaf", or "leaf" at the top */
    syn_job_type type;
    size_t offset, n_offset;       /* into syn_job_spec */
    const char *fallback;          /* the default, written as in YAML; NULL: the key is required */
    double min, max;               /* of numbers and of list elements; for text, of its bytes */
    bool min_is_open, max_is_open; /* the limit itself is refused */
    const syn_job_choice *choices;
    const char
        *when; /* "section.leaf=a|b": applies to these choices of an earlier key; NULL: always */
    const char *unit;
    const char *doc; /* one sentence */
} syn_job_key;

enum { SYN_JOB_KEYS_MAX = 64 };

/* The rows in the order of the reference; a key that others depend on comes before them. */
extern const syn_job_key syn_job_keys[];
extern const size_t syn_n_job_keys;

/* The part after the section, and the length of the section's name (0 at the top). */
const char *syn_job_key_leaf(const syn_job_key *key);
size_t syn_job_key_section(const syn_job_key *key);
/* The name of an enum's value; "?" for a value that is not in the table. */
const char *syn_job_key_choice(const syn_job_key *key, const syn_job_spec *spec);
/* Whether the row's condition holds in a spec whose earlier keys are set. */
bool syn_job_key_applies(const syn_job_key *key, const syn_job_spec *spec);
/* The first row named `name`, NULL if there is none. */
const syn_job_key *syn_job_key_find(const char *name);

/* Checks one value against its row and stores it (job_value.c). The spec's old text, if any, is
 * freed. */
syn_status syn_job_value_set(const syn_job_key *key, const syn_job_node *node,
                             const syn_job_source *source, syn_job_spec *spec);
/* Says in words what a row takes: "an integer from 1 to 64", "one of sgd, adam, adamw". */
void syn_job_key_describe(const syn_job_key *key, char *buffer, size_t size);

/* Checks that need several keys (job_check.c). False means that all is well; else the sentence goes
 * to `sentence` and the keys that do not go together, the one most to blame first, to `names_out`
 * (the second may be NULL). */
bool syn_job_check(const syn_job_spec *spec, const char *names_out[2], char *sentence, size_t size);

#endif
