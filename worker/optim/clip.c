/* The norm of all gradients, and clipping by it. */
#include "worker/kernels/optim.h"
#include "worker/tensor/tensor.h"

#include <math.h>
#include <syncline/autograd.h>
#include <syncline/optim.h>

static bool is_real(const syn_tensor *grad)
{
    syn_dtype dtype = syn_tensor_dtype(grad);

    return dtype == SYN_F32 || dtype == SYN_F64;
}

static double sum_squares(syn_tensor *grad)
{
    double sum = NAN;

    SYN_SCOPE {
        SYN_NO_GRAD {
            if (!is_real(grad))
                grad = syn_to(grad, SYN_F64);
            grad = syn_contiguous(grad);
            if (grad) {
                int is_f64 = syn_tensor_dtype(grad) == SYN_F64;
                sum = syn_optim_cpu[is_f64].sum_squares(syn_tensor_numel(grad),
                                                        syn_tensor_data(grad));
            }
        }
    }
    return sum;
}

double syn_grad_norm(syn_parameters parameters)
{
    double sum = 0;

    for (int i = 0; i < parameters.n; i++) {
        syn_tensor *grad = syn_grad_of(parameters.items[i].tensor);
        if (grad)
            sum += sum_squares(grad);
    }
    return sqrt(sum);
}

static void scale(syn_tensor *grad, double factor)
{
    if (is_real(grad) && syn_tensor_is_contiguous(grad)) {
        int is_f64 = syn_tensor_dtype(grad) == SYN_F64;
        syn_optim_cpu[is_f64].scale(syn_tensor_numel(grad), syn_tensor_data(grad), factor);
        syn_tensor_bump_version(grad, "clip_grad_norm");
        return;
    }
    SYN_SCOPE {
        SYN_NO_GRAD {
            (void)syn_mul_scalar_(grad, factor);
        }
    }
}

double syn_clip_grad_norm(syn_parameters parameters, double max_norm)
{
    double norm = syn_grad_norm(parameters), factor = max_norm / (norm + 1e-6);

    if (factor >= 1)
        return norm;
    for (int i = 0; i < parameters.n; i++) {
        syn_tensor *grad = syn_grad_of(parameters.items[i].tensor);
        if (grad)
            scale(grad, factor);
    }
    return norm;
}
