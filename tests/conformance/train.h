/* Runs one training case: 50 steps or so of a layer list on given data, alone or over ranks. */
#ifndef TESTS_CONFORMANCE_TRAIN_H
#define TESTS_CONFORMANCE_TRAIN_H

#include "tests/conformance/results.h"

#include <stdbool.h>

/* Adds loss, gradient norms and final weights of the case to the results. Sets `*known_out` to
 * false, with the sentence recorded, if the case needs something that is not there. Collective:
 * every rank takes a contiguous part of each batch. */
syn_status train_case(const json_t *test_case, const syn_safetensors *inputs, result_set *results,
                      bool *known_out);

#endif
