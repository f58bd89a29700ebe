/* Optimizers by PyTorch's names and hyperparameters, and the cases that run one on given gradients.
 */
#ifndef TESTS_CONFORMANCE_OPTIMIZERS_H
#define TESTS_CONFORMANCE_OPTIMIZERS_H

#include "tests/conformance/results.h"

#include <stdbool.h>
#include <syncline/syncline.h>

bool optimizer_is_known(const char *name);
/* `hp`: torch.optim's arguments; what is left out has its default there. NULL with the sticky error
 * set. */
syn_optimizer *optimizer_make(const char *name, const json_t *hp, syn_parameters parameters,
                              bool decay_2d_only);

/* A case of kind "optim": parameters, gradients of every step; adds the parameters after chosen
 * steps to the results. Sets
 * `*known_out` to false, with the sentence recorded, if there is no such optimizer. */
syn_status optim_case(const json_t *test_case, const syn_safetensors *inputs, result_set *results,
                      bool *known_out);

#endif
