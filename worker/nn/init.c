/* Initial values of parameters. */
#include "worker/nn/init.h"

#include <math.h>
#include <syncline/autograd.h>
#include <syncline/random.h>

double syn_init_fan_bound(int64_t fan_in)
{
    return fan_in > 0 ? 1 / sqrt((double)fan_in) : 0;
}

/* scale * x + shift in place. */
static syn_tensor *affine(syn_tensor *x, double scale, double shift)
{
    float *values = syn_tensor_data(x);

    for (int64_t i = 0, n = syn_tensor_numel(x); i < n; i++)
        values[i] = (float)(scale * (double)values[i] + shift);
    return x;
}

bool syn_init_uniform(syn_module *module, const char *name, syn_shape shape, double bound)
{
    bool added = false;

    SYN_SCOPE {
        syn_tensor *x = affine(syn_rand(shape, SYN_F32), 2 * bound, -bound);
        added = syn_module_add_parameter(module, name, syn_keep(x)) != NULL;
    }
    return added;
}

bool syn_init_normal(syn_module *module, const char *name, syn_shape shape, double std)
{
    bool added = false;

    SYN_SCOPE {
        syn_tensor *x = affine(syn_randn(shape, SYN_F32), std, 0);
        added = syn_module_add_parameter(module, name, syn_keep(x)) != NULL;
    }
    return added;
}

bool syn_init_constant(syn_module *module, const char *name, syn_shape shape, double value)
{
    bool added = false;

    SYN_SCOPE {
        syn_tensor *x = syn_full(shape, value, SYN_F32);
        added = syn_module_add_parameter(module, name, syn_keep(x)) != NULL;
    }
    return added;
}
