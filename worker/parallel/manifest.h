/* The manifest: what must be the same on every rank before step 1, compared line by line. */
#ifndef WORKER_PARALLEL_MANIFEST_H
#define WORKER_PARALLEL_MANIFEST_H

#include "common/base/str.h"
#include "worker/comm/comm.h"

#include <syncline/nn.h>

/* Appends one line per parameter and buffer: "parameter 0.weight: f32 (5, 2)". */
void syn_manifest_add_module(syn_str *manifest, syn_module *module);
/* Compares the text (lines of "name: value") over the ranks. OK, or on every rank the same
 * FAILED_PRECONDITION with a sentence that names the first line that differs and which ranks have
 * which value: "ranks differ in parameter 0.weight: f32 (5, 2) on ranks 0-2; f32 (6, 2) on rank 3
 * (node1)". Collective. */
syn_status syn_manifest_compare(syn_comm *comm, const char *manifest);

#endif
