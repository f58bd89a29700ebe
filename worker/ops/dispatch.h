/* Inside of calls: promotion, defaults and the steps of one operator call. */
#ifndef WORKER_OPS_DISPATCH_H
#define WORKER_OPS_DISPATCH_H

#include "worker/ops/op_internal.h"

enum { SYN_FEW_INPUTS = 16 };

syn_dtype syn_promote_types(syn_dtype a, syn_dtype b);
/* torch.result_type of these tensors. */
syn_dtype syn_result_type(syn_tensor *const *tensors, int n);
/* The argument that tensor input number `input` of the call belongs to. */
const syn_arg_spec *syn_call_spec(const syn_op_call *call, int input);
/* Checks the inputs' dtypes and brings them to one where the operator wants that: call->inputs then
 * is `room`. */
syn_status syn_call_promote(syn_op_call *call, syn_tensor **room);

#endif
