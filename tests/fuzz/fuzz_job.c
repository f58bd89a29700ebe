/* Job files as YAML, as JSON and as an override; what is accepted must survive printing. */
#include "tests/fuzz/fuzz.h"

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/format/job_spec.h"

#include <string.h>

/* The printed job is accepted and prints the same again. */
static void check_round_trip(const syn_job_spec *spec)
{
    char *yaml = syn_job_spec_to_yaml(spec), *json = syn_job_spec_to_json(spec);
    syn_job_spec again;

    SYN_BUG_ON(!yaml || !json);
    SYN_BUG_ON(syn_job_spec_parse(yaml, strlen(yaml), "f.yaml", "/", "/", NULL, 0, &again) !=
               SYN_OK);
    char *same = syn_job_spec_to_json(&again);
    SYN_BUG_ON(!same || strcmp(same, json) != 0);
    syn_free(same);
    syn_job_spec_release(&again);
    SYN_BUG_ON(syn_job_spec_parse(json, strlen(json), "f.json", "/", "/", NULL, 0, &again) !=
               SYN_OK);
    same = syn_job_spec_to_yaml(&again);
    SYN_BUG_ON(!same || strcmp(same, yaml) != 0);
    syn_free(same);
    syn_job_spec_release(&again);
    syn_free(yaml);
    syn_free(json);
}

static void try_text(const char *text, size_t size, const char *name, const char *const *overrides,
                     size_t n)
{
    syn_job_spec spec;

    if (syn_job_spec_parse(text, size, name, "/", "/", overrides, n, &spec) != SYN_OK) {
        SYN_BUG_ON(!*syn_error_message());
        return;
    }
    check_round_trip(&spec);
    syn_job_spec_release(&spec);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char small[] = "model: {kind: mlp}\ndata: {kind: digits}\ntrain: {epochs: 1}\n";
    const char *text = (const char *)bytes;

    try_text(text, size, "f.yaml", NULL, 0);
    try_text(text, size, "f.json", NULL, 0);
    char *override = syn_strndup(text, size);
    SYN_BUG_ON(!override);
    const char *overrides[] = {override};
    try_text(small, sizeof small - 1, "f.yaml", overrides, 1);
    syn_free(override);
    return 0;
}
