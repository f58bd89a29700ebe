/* What the operators on images share: pairs of arguments, and the extents (…, C, H, W). */
#ifndef WORKER_OPS_SPATIAL_H
#define WORKER_OPS_SPATIAL_H

#include "worker/ops/op_internal.h"

/* Which of a family's two kernel tables a tensor wants. */
static inline int syn_real_index(const syn_tensor *x)
{
    return x->dtype == SYN_F64;
}

/* An argument that is one number for both axes or two numbers; None or an empty list gives
 * `fallback` (NULL: refused). Each has to be at least `least`. */
syn_status syn_pair_of(const syn_op_call *call, int attr, const int64_t *fallback, int64_t least,
                       int64_t out[2]);
/* The name of attribute number `attr`. */
const char *syn_attr_name(const syn_op_call *call, int attr);

/* An image (C, H, W) or a batch of them (N, C, H, W); refused otherwise. */
syn_status syn_check_image(const syn_op_call *call, const syn_tensor *x);
/* x's shape with other last extents. */
void syn_meta_image(syn_meta *meta, const syn_tensor *x, int64_t height, int64_t width);

/* For compositions on (N, C, W): the pair (1, value) or (0, value) of an argument that is one
 * number. */
syn_value syn_pair_from_one(const syn_value *value, int64_t first, int64_t room[3]);

#endif
