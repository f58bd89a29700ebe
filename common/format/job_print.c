/* A job as YAML, as JSON, and the reference of all keys as Markdown. */
#include "common/format/job_keys.h"
#include "common/format/literal.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

/* ---- values ---- */

/* Words that some YAML reader takes for something else than text. */
static bool is_safe_plain(const char *text)
{
    static const char *const reserved[] = {"true", "false", "null", "yes", "no",
                                           "on",   "off",   "y",    "n"};
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

    if (!(*text == '/' || (*text && strchr(letters, *text))))
        return false;
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (strcasecmp(text, reserved[i]) == 0)
            return false;
    const char *p = text;
    for (; *p; p++)
        if (!strchr(letters, *p) && !strchr("0123456789/_.-", *p))
            return false;
    return true;
}

static void append_integers(syn_str *out, const int64_t *items, int64_t n)
{
    syn_str_append(out, "[");
    for (int64_t i = 0; i < n; i++)
        syn_str_appendf(out, "%s%" PRId64, i ? ", " : "", items[i]);
    syn_str_append(out, "]");
}

static void append_value(syn_str *out, const syn_job_key *key, const syn_job_spec *spec, bool json)
{
    const void *field = (const char *)spec + key->offset;
    const double *real = field;
    const char *text;

    switch (key->type) {
    case SYN_JOB_TEXT:
    case SYN_JOB_PATH:
        text = *(const char *const *)field;
        if (!json && is_safe_plain(text))
            syn_str_append(out, text);
        else
            syn_str_append_quoted(out, text);
        break;
    case SYN_JOB_CHOICE:
        syn_str_appendf(out, json ? "\"%s\"" : "%s", syn_job_key_choice(key, spec));
        break;
    case SYN_JOB_BOOL:
        syn_str_append(out, *(const bool *)field ? "true" : "false");
        break;
    case SYN_JOB_INTEGER:
        syn_str_appendf(out, "%" PRId64, *(const int64_t *)field);
        break;
    case SYN_JOB_NATURAL:
        syn_str_appendf(out, "%" PRIu64, *(const uint64_t *)field);
        break;
    case SYN_JOB_INTEGERS:
        append_integers(out, field,
                        *(const int64_t *)(const void *)((const char *)spec + key->n_offset));
        break;
    case SYN_JOB_REAL:
        syn_str_append_double(out, *real);
        break;
    case SYN_JOB_REAL_PAIR:
        syn_str_append(out, "[");
        syn_str_append_double(out, real[0]);
        syn_str_append(out, ", ");
        syn_str_append_double(out, real[1]);
        syn_str_append(out, "]");
        break;
    }
}

/* ---- whole jobs ---- */

/* Whether `key` is in another section than the row that was printed before it. */
static bool is_new_section(const syn_job_key *key, const syn_job_key *last)
{
    size_t n = syn_job_key_section(key);
    return n > 0 &&
           !(last && syn_job_key_section(last) == n && strncmp(last->name, key->name, n) == 0);
}

static char *print(const syn_job_spec *spec, bool json)
{
    syn_str out = {0};
    const syn_job_key *last = NULL;

    syn_str_append(&out, json ? "{" : "");
    for (size_t i = 0; i < syn_n_job_keys; i++) {
        const syn_job_key *key = &syn_job_keys[i];
        int section = (int)syn_job_key_section(key);
        if (!syn_job_key_applies(key, spec))
            continue;
        if (json && is_new_section(key, last))
            syn_str_appendf(&out, "%s\n  \"%.*s\": {\n    ",
                            syn_job_key_section(last) ? "\n  }," : ",", section, key->name);
        else if (json)
            syn_str_appendf(&out, "%s\n%s", last ? "," : "", section ? "    " : "  ");
        else if (is_new_section(key, last))
            syn_str_appendf(&out, "\n%.*s:\n  ", section, key->name);
        else
            syn_str_append(&out, section ? "  " : "");
        syn_str_appendf(&out, json ? "\"%s\": " : "%s: ", syn_job_key_leaf(key));
        append_value(&out, key, spec, json);
        syn_str_append(&out, json ? "" : "\n");
        last = key;
    }
    syn_str_append(&out, json ? "\n  }\n}\n" : "");
    return syn_str_take(&out);
}

char *syn_job_spec_to_yaml(const syn_job_spec *spec)
{
    return print(spec, false);
}

char *syn_job_spec_to_json(const syn_job_spec *spec)
{
    return print(spec, true);
}

/* ---- the reference ---- */

static const char introduction[] =
    "# The job file\n"
    "\n"
    "<!-- Printed by job_reference from the table in common/format/job_keys.c; do not edit. -->\n"
    "\n"
    "A job is a YAML file, or JSON if its name ends in `.json` or its text begins with `{`. Keys "
    "that are not\n"
    "listed here, keys that do not apply to the chosen kinds, keys given twice and values out of "
    "range are refused\n"
    "with file, line and column:\n"
    "\n"
    "    digits.yaml:7:3: unknown key \"batchsize\" in train; did you mean \"batch_size\"?\n"
    "        7 |   batchsize: 4\n"
    "          |   ^\n"
    "\n"
    "`--set key=value` on the command line is laid over the file, with the full name of the key "
    "and a value as\n"
    "YAML writes it: `--set train.batch_size=256 --set 'model.hidden=[512, 128]'`. Relative paths "
    "count from the\n"
    "folder of the file, those of `--set` from the working directory. Anchors, aliases and tags "
    "are not part of job\n"
    "files. `docs/examples/` has complete jobs.\n";

static void print_allowed(const syn_job_key *key, FILE *out)
{
    char words[256];
    syn_job_key_describe(key, words, sizeof words);
    (void)fprintf(out, "%s%s%s%s", words, key->unit ? " (" : "", key->unit ? key->unit : "",
                  key->unit ? ")" : "");
}

/* "model.kind=mlp|gpt" as "`model.kind` mlp or gpt". */
static void print_condition(const syn_job_key *key, FILE *out)
{
    int n = (int)strcspn(key->when, "=");
    (void)fprintf(out, "`%.*s` ", n, key->when);
    for (const char *p = key->when + n + 1; *p; p++)
        if (*p == '|')
            (void)fprintf(out, " or ");
        else
            (void)fputc(*p, out);
}

void syn_job_spec_print_reference(FILE *out)
{
    const syn_job_key *last = NULL;

    (void)fputs(introduction, out);
    for (size_t i = 0; i < syn_n_job_keys; i++, last = &syn_job_keys[i - 1]) {
        const syn_job_key *key = &syn_job_keys[i];
        if (!last || is_new_section(key, last))
            (void)fprintf(out,
                          "\n## %.*s\n\n| key | value | default | applies to | meaning |\n"
                          "| --- | --- | --- | --- | --- |\n",
                          last ? (int)syn_job_key_section(key) : 9, last ? key->name : "Top level");
        (void)fprintf(out, "| `%s` | ", key->name);
        print_allowed(key, out);
        if (key->fallback)
            (void)fprintf(out, " | `%s` | ", key->fallback);
        else
            (void)fprintf(out, " | required | ");
        if (key->when)
            print_condition(key, out);
        (void)fprintf(out, " | %s |\n", key->doc);
    }
}
