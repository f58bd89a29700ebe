/* Arguments of operators from JSON: numbers, lists, tensors by number, indexers. */
#ifndef TESTS_CONFORMANCE_ARGUMENTS_H
#define TESTS_CONFORMANCE_ARGUMENTS_H

#include "common/base/vec.h"

#include <jansson.h>
#include <syncline/syncline.h>

enum { ARGUMENTS_MOST = 40 };

/* The values of a program so far: inputs, then each step's results. */
typedef SYN_VEC(syn_tensor *) value_list;

/* One call's arguments; they live until arguments_release. */
typedef struct arguments {
    const syn_op *op;
    const value_list *values;
    syn_named_value items[ARGUMENTS_MOST];
    int n;
    SYN_VEC(void *) memory;
} arguments;

/* Reads a step's "args" and "kw" for `op`. UNIMPLEMENTED if the operator does not have such an
 * argument; one that is None or false there may be left out. */
syn_status arguments_read(const json_t *step, const syn_op *op, const value_list *values,
                          arguments *out);
void arguments_release(arguments *a);

#endif
