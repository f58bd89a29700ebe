/* Manifests: a hash compared in the good case, the texts gathered and compared line by line in the
 * bad one. */
#include "worker/parallel/manifest.h"

#include "common/base/file.h"
#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

static void add_tensors(syn_str *manifest, const char *kind, syn_parameters list)
{
    for (int i = 0; i < list.n; i++) {
        syn_shape shape = syn_tensor_shape(list.items[i].tensor);
        syn_str_appendf(manifest, "%s %s: %s (", kind, list.items[i].name,
                        syn_dtype_name(syn_tensor_dtype(list.items[i].tensor)));
        for (int d = 0; d < shape.ndim; d++)
            syn_str_appendf(manifest, d ? ", %lld" : "%lld", (long long)shape.dims[d]);
        syn_str_append(manifest, ")\n");
    }
}

void syn_manifest_add_module(syn_str *manifest, syn_module *module)
{
    add_tensors(manifest, "parameter", syn_module_parameters(module));
    add_tensors(manifest, "buffer", syn_module_buffers(module));
}

/* A line of a text, without its end; { NULL, 0 } past the last. */
typedef struct line {
    const char *text;
    size_t length;
} line;

/* Takes the next line off `*text`. */
static line next_line(const char **text)
{
    line taken = {*text, strcspn(*text, "\n")};
    if (**text == '\0')
        return (line){NULL, 0};
    *text += taken.length + ((*text)[taken.length] == '\n');
    return taken;
}

static bool is_same(line a, line b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.text, b.text, a.length) == 0) &&
           !a.text == !b.text;
}

/* The length of the name in "name: value"; the whole line's if there is no colon. */
static size_t name_length(line l)
{
    for (size_t i = 0; i + 1 < l.length; i++) {
        if (l.text[i] == ':' && l.text[i + 1] == ' ')
            return i;
    }
    return l.length;
}

/* Appends "rank 3 (node1)" or "ranks 0-2, 5": those whose line is that of rank `first`. */
static void add_ranks(syn_str *out, syn_comm *comm, const line *lines, int first)
{
    int size = syn_comm_size(comm), n_same = 0;
    for (int r = 0; r < size; r++)
        n_same += is_same(lines[r], lines[first]);
    if (n_same == 1) {
        syn_str_appendf(out, "rank %d (%s)", first, syn_comm_host(comm, first));
        return;
    }
    const char *before = "ranks ";
    for (int r = first; r < size; r++) {
        if (!is_same(lines[r], lines[first]))
            continue;
        int end = r;
        while (end + 1 < size && is_same(lines[end + 1], lines[first]))
            end++;
        syn_str_appendf(out, end > r ? "%s%d-%d" : "%s%d", before, r, end);
        before = ", ";
        r = end;
    }
}

/* Appends what each set of ranks has in a line that differs. With the same name everywhere, the
 * values suffice. */
static void describe(syn_str *out, syn_comm *comm, const line *lines)
{
    enum { MAX_SETS = 4, MAX_VALUE = 120 };
    int size = syn_comm_size(comm), n_sets = 0;
    line named = lines[0];
    bool same_name = true;

    for (int r = 1; r < size; r++) {
        line a = {lines[r].text, name_length(lines[r])}, b = {named.text, name_length(named)};
        same_name = same_name && is_same(a, b);
    }
    size_t skip = same_name ? name_length(named) : 0;
    if (same_name)
        syn_str_appendf(out, "%.*s: ", (int)skip, named.text);
    for (int r = 0; r < size; r++) {
        bool is_known = false;
        for (int q = 0; q < r && !is_known; q++)
            is_known = is_same(lines[q], lines[r]);
        if (is_known)
            continue;
        if (n_sets++ == MAX_SETS) {
            syn_str_append(out, "; and others");
            return;
        }
        size_t from = skip + 2 <= lines[r].length && skip ? skip + 2 : skip;
        size_t n = lines[r].length - (from < lines[r].length ? from : lines[r].length);
        if (n_sets > 1)
            syn_str_append(out, "; ");
        if (n == 0)
            syn_str_append(out, "nothing");
        else
            syn_str_append_printable(out, lines[r].text + from, n < MAX_VALUE ? n : MAX_VALUE);
        syn_str_append(out, " on ");
        add_ranks(out, comm, lines, r);
    }
}

/* Finds the first line in which the texts differ. */
static syn_status explain(syn_comm *comm, const syn_comm_texts *texts)
{
    size_t n = (size_t)texts->n;
    const char **rest = syn_calloc(n, sizeof *rest);
    line *lines = syn_calloc(n, sizeof *lines);
    syn_str sentence = {0};
    bool differs = false;
    syn_status status;

    if (!rest || !lines) {
        status = syn_fail_memory(n * sizeof *lines, "comparing manifests");
        goto out;
    }
    memcpy(rest, texts->items, n * sizeof *rest);
    do {
        for (size_t r = 0; r < n; r++) {
            lines[r] = next_line(&rest[r]);
            differs = differs || !is_same(lines[r], lines[0]);
        }
    } while (!differs && lines[0].text);
    syn_str_append(&sentence, "the ranks differ in ");
    if (differs)
        describe(&sentence, comm, lines);
    status = SYN_FAIL(SYN_FAILED_PRECONDITION, "%s", syn_str_get(&sentence));
out:
    syn_str_release(&sentence);
    syn_free(rest);
    syn_free(lines);
    return status;
}

/* 63 bits of the text's SHA-256, so that a number of MPI's carries them. */
static syn_status fingerprint(const char *manifest, int64_t *out)
{
    char hex[65];
    SYN_TRY(syn_sha256_hex(manifest, strlen(manifest), hex));
    hex[16] = '\0';
    *out = (int64_t)(strtoull(hex, NULL, 16) >> 1);
    return SYN_OK;
}

syn_status syn_manifest_compare(syn_comm *comm, const char *manifest)
{
    int64_t low = 0, high;
    syn_comm_texts texts = {0};

    SYN_TRY(syn_comm_agree(comm, fingerprint(manifest, &low), NULL, NULL));
    high = low;
    SYN_TRY(syn_comm_allreduce(comm, &low, 1, SYN_I64, SYN_REDUCE_MIN));
    SYN_TRY(syn_comm_allreduce(comm, &high, 1, SYN_I64, SYN_REDUCE_MAX));
    if (low == high)
        return SYN_OK;
    SYN_TRY(syn_comm_gather_texts(comm, manifest, &texts));
    syn_status status = explain(comm, &texts);
    syn_comm_texts_release(&texts);
    return status;
}
