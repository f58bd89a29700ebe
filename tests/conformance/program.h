/* Program cases: operators called by name, with gradients once and twice. */
#ifndef TESTS_CONFORMANCE_PROGRAM_H
#define TESTS_CONFORMANCE_PROGRAM_H

#include "tests/conformance/results.h"

#include <stdbool.h>

/* Runs one case and adds what came out. `known_out` becomes false where an operator, an argument or
 * a dtype of it is not there. */
syn_status program_case(const json_t *test_case, const syn_safetensors *inputs, result_set *results,
                        bool *known_out);

#endif
