/* Operator descriptors: what an operator is, for built-in and custom ones alike. */
#ifndef SYNCLINE_OP_H
#define SYNCLINE_OP_H

#include <syncline/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct syn_op syn_op;

#ifdef __cplusplus
}
#endif
#endif
