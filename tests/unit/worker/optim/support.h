/* What the tests of optimizers share: parameters and gradients made of a few numbers. */
#ifndef TESTS_UNIT_WORKER_OPTIM_SUPPORT_H
#define TESTS_UNIT_WORKER_OPTIM_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"

#include <math.h>
#include <syncline/syncline.h>

/* A module with parameters "a" (2, 2) and "b" (3), all of them 1, 2, 3, ... */
static inline syn_module *make_module(syn_dtype dtype)
{
    syn_module *module = syn_module_new("Two", NULL, NULL, NULL);

    SYN_SCOPE {
        syn_tensor *a = syn_add_scalar(syn_reshape(syn_arange(4, dtype), SYN_SHAPE(2, 2)), 1);
        syn_tensor *b = syn_add_scalar(syn_arange(3, dtype), 1);
        assert_non_null(syn_module_add_parameter(module, "a", syn_keep(syn_clone(a))));
        assert_non_null(syn_module_add_parameter(module, "b", syn_keep(syn_clone(b))));
    }
    return module;
}

static inline syn_tensor *parameter(syn_module *module, int index)
{
    return syn_module_parameters(module).items[index].tensor;
}

/* Element i of a contiguous tensor. */
static inline double at(const syn_tensor *tensor, int64_t i)
{
    return syn_tensor_dtype(tensor) == SYN_F64 ? ((double *)syn_tensor_data(tensor))[i]
                                               : (double)((float *)syn_tensor_data(tensor))[i];
}

/* Sets the gradient of a parameter to a constant. */
static inline void set_grad(syn_tensor *param, double value)
{
    SYN_SCOPE {
        syn_tensor *grad = syn_full(syn_tensor_shape(param), value, syn_tensor_dtype(param));
        assert_int_equal(syn_set_grad(param, grad), SYN_OK);
    }
}

static inline void assert_near(double value, double expected, double tolerance)
{
    if (!(fabs(value - expected) <= tolerance))
        fail_msg("%.17g, expected %.17g", value, expected);
}

/* That the sticky error says a text; clears it. */
static inline void assert_sticks(const char *text)
{
    assert_true(syn_failed());
    if (!strstr(syn_error(), text))
        fail_msg("the error says \"%s\", not \"%s\"", syn_error(), text);
    syn_clear_error();
}

#endif
