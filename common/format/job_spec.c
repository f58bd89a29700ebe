/* A job from its text: keys are collected, overrides laid over them, rows of the table checked and
 * stored one by one. */
#include "common/format/job_spec.h"

#include "common/base/file.h"
#include "common/base/str.h"
#include "common/format/job_keys.h"
#include "common/format/literal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What was said about one key. */
typedef struct given {
    const syn_job_node *node; /* NULL: nothing */
    const syn_job_source *source;
} given;

typedef struct reader {
    syn_job_source file;
    const char *base_dir, *override_dir; /* borrowed, may be NULL */
    const syn_job_node *root;
    given given[SYN_JOB_KEYS_MAX]; /* at the index of the first row of that name */
    syn_arena arena;
    syn_job_spec spec;
} reader;

static given *get_given(reader *r, const char *name)
{
    return &r->given[syn_job_key_find(name) - syn_job_keys];
}

/* ---- names ---- */

static bool is_section(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < syn_n_job_keys; i++)
        if (n > 0 && syn_job_key_section(&syn_job_keys[i]) == n &&
            strncmp(syn_job_keys[i].name, name, n) == 0)
            return true;
    return false;
}

/* What may stand directly in `section` ("" for the top). Names are borrowed from the table, or from
 * the arena. */
static size_t list_names(reader *r, const char *section, const char *names[SYN_JOB_KEYS_MAX])
{
    size_t length = strlen(section), n = 0;

    for (size_t i = 0; i < syn_n_job_keys; i++) {
        const syn_job_key *key = &syn_job_keys[i];
        size_t own = syn_job_key_section(key);
        const char *name = NULL;
        if (own == length && strncmp(key->name, section, length) == 0)
            name = syn_job_key_leaf(key);
        else if (length == 0)
            name = syn_arena_printf(&r->arena, "%.*s", (int)own, key->name);
        if (name)
            names[n++] = name;
    }
    return n;
}

/* The name the user may have meant by `leaf` in `section`, else the dotted name of one elsewhere;
 * NULL if none is near. */
static const char *suggest(reader *r, const char *section, const char *leaf)
{
    const char *names[SYN_JOB_KEYS_MAX] = {0}, *near;

    for (size_t i = 0; i < syn_n_job_keys; i++)
        if (strcmp(syn_job_key_leaf(&syn_job_keys[i]), leaf) == 0)
            return syn_job_keys[i].name;
    near = syn_suggest(leaf, names, list_names(r, section, names));
    if (near)
        return near;
    for (size_t i = 0; i < syn_n_job_keys; i++)
        names[i] = syn_job_key_leaf(&syn_job_keys[i]);
    near = syn_suggest(leaf, names, syn_n_job_keys);
    for (size_t i = 0; near && i < syn_n_job_keys; i++)
        if (names[i] == near)
            return syn_job_keys[i].name;
    return NULL;
}

static syn_status refuse_unknown(reader *r, const syn_job_node *key, const char *section)
{
    char word[SYN_SHOWN_BYTES];
    const char *near = suggest(r, section, key->text);
    const syn_job_key *dotted = *section ? NULL : syn_job_key_find(key->text);

    (void)syn_text_show(key->text, word);
    if (dotted)
        return syn_job_fail_at(&r->file, key->offset,
                               "unknown key \"%s\"; write %s inside the section %.*s", word,
                               syn_job_key_leaf(dotted), (int)syn_job_key_section(dotted), word);
    return syn_job_fail_at(&r->file, key->offset, "unknown key \"%s\"%s%s%s%s%s", word,
                           *section ? " in " : "", section, near ? "; did you mean \"" : "",
                           near ? near : "", near ? "\"?" : "");
}

/* ---- collecting ---- */

static bool is_repeated(const syn_job_node *map, const syn_job_node *child)
{
    for (const syn_job_node *other = map->first; other != child; other = other->next)
        if (strcmp(other->key->text, child->key->text) == 0)
            return true;
    return false;
}

static bool is_empty(const syn_job_node *node)
{
    return node->kind == SYN_NODE_SCALAR && !node->is_quoted &&
           (!*node->text || strcmp(node->text, "null") == 0 || strcmp(node->text, "~") == 0);
}

static syn_status collect(reader *r, const syn_job_node *map, const char *section)
{
    for (const syn_job_node *child = map->first; child; child = child->next) {
        char name[128];
        (void)snprintf(name, sizeof name, "%s%s%s", section, *section ? "." : "", child->key->text);
        bool opens_section = !*section && is_section(child->key->text);
        const syn_job_key *key =
            *section || !strchr(child->key->text, '.') ? syn_job_key_find(name) : NULL;

        if (!key && !opens_section)
            return refuse_unknown(r, child->key, section);
        if (is_repeated(map, child))
            return syn_job_fail_at(&r->file, child->key->offset, "%s is given twice", name);
        if (key)
            *get_given(r, name) = (given){child, &r->file};
        else if (child->kind == SYN_NODE_MAP)
            SYN_TRY(collect(r, child, child->key->text));
        else if (!is_empty(child))
            return syn_job_fail_at(&r->file, child->offset, "%s must be a section of keys", name);
    }
    return SYN_OK;
}

static syn_status collect_override(reader *r, const char *text)
{
    const char *equals = strchr(text, '=');
    syn_job_source *source = syn_arena_alloc(&r->arena, sizeof *source);
    syn_job_node *node = NULL;
    char word[SYN_SHOWN_BYTES];

    if (!source)
        return syn_fail_memory(sizeof *source, "an override");
    *source = (syn_job_source){.name = text, .is_override = true};
    if (!equals)
        return syn_job_fail_at(source, 0, "an override is written key=value");
    source->text = equals + 1;
    source->length = strlen(equals + 1);

    char *name = syn_arena_printf(&r->arena, "%.*s", (int)(equals - text), text);
    if (!name)
        return syn_fail_memory((size_t)(equals - text), "an override");
    const syn_job_key *key = syn_job_key_find(name);
    if (!key && is_section(name))
        return syn_job_fail_at(
            source, 0, "%s is a section; set its keys one by one as %s.KEY=VALUE", name, name);
    if (!key) {
        const char *names[SYN_JOB_KEYS_MAX];
        for (size_t i = 0; i < syn_n_job_keys; i++)
            names[i] = syn_job_keys[i].name;
        const char *near = suggest(r, "", name);
        near = near && strchr(near, '.') ? near : syn_suggest(name, names, syn_n_job_keys);
        return syn_job_fail_at(source, 0, "unknown key \"%s\"%s%s%s", syn_text_show(name, word),
                               near ? "; did you mean \"" : "", near ? near : "",
                               near ? "\"?" : "");
    }
    if (source->text[strspn(source->text, " ")] == '\0')
        return syn_job_fail_at(source, 0, "%s has no value", name);
    SYN_TRY(syn_job_tree_parse(source, false, &r->arena, &node));
    r->given[key - syn_job_keys] = (given){node, source};
    return SYN_OK;
}

/* ---- storing ---- */

/* Makes the path at `field` absolute against `dir`, itself taken from the working directory where
 * relative. */
static syn_status make_absolute(const syn_job_key *key, const given *g, const char *dir,
                                char **field)
{
    char here[4096];
    syn_status status = SYN_OK;
    const char *path = *field;
    char *base = NULL, *joined = NULL;

    if (*path == '/' || *path == '\0')
        return SYN_OK;
    if (!getcwd(here, sizeof here))
        return SYN_FAIL(SYN_FAILED_PRECONDITION, "cannot find the working directory: %s",
                        strerror(errno));
    while (path[0] == '.' && path[1] == '/')
        path += 2;
    base = syn_path_join(here, dir);
    joined = base ? syn_path_join(base, path) : NULL;
    if (!joined) {
        status = syn_fail_memory(strlen(path), key->name);
    } else if (strlen(joined) > (size_t)key->max) {
        status = syn_job_fail_at(g->source, g->node->offset,
                                 "%s has %zu bytes, at most %.0f are allowed", key->name,
                                 strlen(joined), key->max);
    } else {
        syn_free(*field);
        *field = joined;
        joined = NULL;
    }
    syn_free(joined);
    syn_free(base);
    return status;
}

static syn_status set_path(reader *r, const syn_job_key *key, const given *g)
{
    char **field = (char **)(void *)((char *)&r->spec + key->offset);
    const char *slash = strrchr(r->file.name, '/');
    char *folder = NULL;

    if (g->source->is_override)
        return make_absolute(key, g, r->override_dir ? r->override_dir : "", field);
    if (r->base_dir || !slash)
        return make_absolute(key, g, r->base_dir ? r->base_dir : "", field);
    folder = syn_arena_printf(&r->arena, "%.*s", (int)(slash - r->file.name + 1), r->file.name);
    return folder ? make_absolute(key, g, folder, field)
                  : syn_fail_memory(strlen(r->file.name), key->name);
}

static syn_status set_default(reader *r, const syn_job_key *key)
{
    syn_job_source source = {
        .name = key->name, .text = key->fallback, .length = strlen(key->fallback)};
    syn_job_node scalar = {.text = key->fallback}, *node = &scalar;

    if (*key->fallback == '[' || *key->fallback == '"')
        SYN_TRY(syn_job_tree_parse(&source, false, &r->arena, &node));
    return syn_job_value_set(key, node, &source, &r->spec);
}

/* Where to point for a key that nobody wrote: its section, or the beginning. */
static size_t get_section_offset(const reader *r, const syn_job_key *key)
{
    size_t n = syn_job_key_section(key);
    for (const syn_job_node *child = r->root->first; child; child = child->next)
        if (n > 0 && strlen(child->key->text) == n && strncmp(child->key->text, key->name, n) == 0)
            return child->key->offset;
    return r->root->offset;
}

static syn_status refuse_missing(reader *r, const syn_job_key *key)
{
    char expected[256];
    syn_job_key_describe(key, expected, sizeof expected);
    return syn_job_fail_at(&r->file, get_section_offset(r, key), "%s is missing%s%s; it must be %s",
                           key->name, key->when ? ", needed with " : "", key->when ? key->when : "",
                           expected);
}

/* `key` is the first of its name, and no row of that name applies. */
static syn_status refuse_inapplicable(reader *r, const syn_job_key *key, const given *g)
{
    char conditions[128] = "";
    size_t n = 0;

    for (size_t i = (size_t)(key - syn_job_keys); i < syn_n_job_keys; i++)
        if (strcmp(syn_job_keys[i].name, key->name) == 0 && n < sizeof conditions)
            n += (size_t)snprintf(conditions + n, sizeof conditions - n, "%s%s", n ? " or " : "",
                                  syn_job_keys[i].when);
    char *chooser = syn_arena_printf(&r->arena, "%.*s", (int)strcspn(key->when, "="), key->when);
    if (!chooser)
        return syn_fail_memory(strlen(key->when), "an error");
    const char *chosen = syn_job_key_choice(syn_job_key_find(chooser), &r->spec);
    return syn_job_fail_at(g->source, g->source->is_override ? 0 : g->node->key->offset,
                           "%s does not apply: it belongs to %s, and %s is %s", key->name,
                           conditions, chooser, chosen);
}

static syn_status store(reader *r, const syn_job_key *first)
{
    const given *g = &r->given[first - syn_job_keys];
    const syn_job_key *key = NULL;

    for (size_t i = (size_t)(first - syn_job_keys); i < syn_n_job_keys && !key; i++)
        if (strcmp(syn_job_keys[i].name, first->name) == 0 &&
            syn_job_key_applies(&syn_job_keys[i], &r->spec))
            key = &syn_job_keys[i];
    if (!key)
        return g->node ? refuse_inapplicable(r, first, g) : SYN_OK;
    if (!g->node)
        return key->fallback ? set_default(r, key) : refuse_missing(r, key);
    SYN_TRY(syn_job_value_set(key, g->node, g->source, &r->spec));
    return key->type == SYN_JOB_PATH ? set_path(r, key, g) : SYN_OK;
}

/* Texts are never NULL, not even those of keys that do not apply. */
static syn_status set_empty_texts(syn_job_spec *spec)
{
    for (size_t i = 0; i < syn_n_job_keys; i++) {
        const syn_job_key *key = &syn_job_keys[i];
        char **field = (char **)(void *)((char *)spec + key->offset);
        if (key->type != SYN_JOB_TEXT && key->type != SYN_JOB_PATH)
            continue;
        *field = syn_strdup("");
        if (!*field)
            return syn_fail_memory(1, key->name);
    }
    return SYN_OK;
}

static syn_status check_together(reader *r)
{
    char sentence[256];
    const char *names[2];
    const given *blamed = NULL;

    if (!syn_job_check(&r->spec, names, sentence, sizeof sentence))
        return SYN_OK;
    for (int i = 0; i < 2 && names[i]; i++) {
        const given *g = get_given(r, names[i]);
        if (g->node && (!blamed || (g->source->is_override && !blamed->source->is_override)))
            blamed = g;
    }
    if (blamed)
        return syn_job_fail_at(blamed->source, blamed->node->offset, "%s", sentence);
    return syn_job_fail_at(&r->file, get_section_offset(r, syn_job_key_find(names[0])), "%s",
                           sentence);
}

static bool is_json(const syn_job_source *file)
{
    size_t i = 0;
    while (i < file->length && strchr(" \t\r\n", file->text[i]))
        i++;
    return syn_has_suffix(file->name, ".json") || (i < file->length && file->text[i] == '{');
}

static syn_status parse(reader *r, const char *const *overrides, size_t n_overrides)
{
    syn_job_node *root = NULL;

    SYN_TRY(syn_job_tree_parse(&r->file, is_json(&r->file), &r->arena, &root));
    r->root = root;
    if (is_empty(root))
        return syn_job_fail_at(&r->file, 0, "the job is empty");
    if (root->kind != SYN_NODE_MAP)
        return syn_job_fail_at(&r->file, root->offset, "a job consists of keys and values");
    SYN_TRY(collect(r, root, ""));
    for (size_t i = 0; i < n_overrides; i++)
        SYN_TRY(collect_override(r, overrides[i]));
    SYN_TRY(set_empty_texts(&r->spec));
    for (size_t i = 0; i < syn_n_job_keys; i++)
        if (syn_job_key_find(syn_job_keys[i].name) == &syn_job_keys[i])
            SYN_TRY(store(r, &syn_job_keys[i]));
    return check_together(r);
}

syn_status syn_job_spec_parse(const char *text, size_t length, const char *file_name,
                              const char *base_dir, const char *override_dir,
                              const char *const *overrides, size_t n_overrides,
                              syn_job_spec *spec_out)
{
    static const char mark[] = "\xef\xbb\xbf";
    size_t skip = length >= 3 && memcmp(text, mark, 3) == 0 ? 3 : 0;
    reader *r = syn_calloc(1, sizeof *r);

    if (!r)
        return syn_fail_memory(sizeof *r, "a job");
    r->file = (syn_job_source){.name = file_name, .text = text + skip, .length = length - skip};
    r->base_dir = base_dir;
    r->override_dir = override_dir;
    syn_status status = parse(r, overrides, n_overrides);
    if (status == SYN_OK)
        *spec_out = r->spec;
    else
        syn_job_spec_release(&r->spec);
    syn_arena_release(&r->arena);
    syn_free(r);
    return status;
}

syn_status syn_job_spec_load(const char *path, const char *const *overrides, size_t n_overrides,
                             syn_job_spec *spec_out)
{
    char *text;
    size_t length;

    SYN_TRY(syn_file_read(path, SYN_JOB_MAX_BYTES, &text, &length));
    syn_status status =
        syn_job_spec_parse(text, length, path, NULL, NULL, overrides, n_overrides, spec_out);
    syn_free(text);
    return status;
}

void syn_job_spec_release(syn_job_spec *spec)
{
    if (!spec)
        return;
    for (size_t i = 0; i < syn_n_job_keys; i++)
        if (syn_job_keys[i].type == SYN_JOB_TEXT || syn_job_keys[i].type == SYN_JOB_PATH)
            syn_free(*(char **)(void *)((char *)spec + syn_job_keys[i].offset));
    memset(spec, 0, sizeof *spec);
}

int64_t syn_job_spec_total_steps(const syn_job_spec *spec, int64_t n_samples)
{
    int64_t batch = spec->train.batch_size, by_epochs = 0;

    if (n_samples > 0 && batch > 0) {
        bool has_rest = n_samples % batch != 0 && spec->data.kind != SYN_DATA_TEXT;
        int64_t per_epoch = n_samples / batch + has_rest;
        if (__builtin_mul_overflow(per_epoch, spec->train.epochs, &by_epochs))
            by_epochs = INT64_MAX;
    }
    if (by_epochs == 0)
        return spec->train.max_steps;
    return spec->train.max_steps > 0 && spec->train.max_steps < by_epochs ? spec->train.max_steps
                                                                          : by_epochs;
}
