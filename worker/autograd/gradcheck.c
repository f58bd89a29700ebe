/* Gradients against central differences in f64, as torch.autograd.gradcheck does (eps 1e-6, atol
 * 1e-5, rtol 1e-3). */
#include "common/base/mem.h"
#include "worker/autograd/node.h"

#include <syncline/ops.h>

#include <math.h>

static const double STEP = 1e-6, ABSOLUTE = 1e-5, RELATIVE = 1e-3;

enum { MAX_INPUTS = 32 };

typedef struct check {
    syn_function function;
    syn_tensor *inputs[MAX_INPUTS]; /* f64 leaves where a gradient is checked, else the caller's */
    int n_inputs;
    void *user;
    syn_tensor *weights; /* of the output's elements: the scalar that is differentiated */
    const char *what;
} check;

/* sum(weights * f(inputs)); weights are drawn once the output's shape is known. */
static syn_tensor *scalar_of(check *c)
{
    syn_tensor *y = c->function(c->inputs, c->n_inputs, c->user);
    if (!y || !syn_is_floating(y))
        return y;
    if (!c->weights) {
        c->weights = syn_empty(syn_tensor_shape(y), (syn_dtype)y->dtype);
        if (!c->weights)
            return NULL;
        for (int64_t i = 0; i < c->weights->numel; i++) /* no two alike, none near 0 */
            if (y->dtype == SYN_F64)
                ((double *)c->weights->data)[i] =
                    0.7 + 0.61803398875 * (double)i - floor(0.61803398875 * (double)i);
    }
    return syn_sum(syn_mul(y, c->weights));
}

static syn_status failed(const char *what)
{
    if (syn_failed())
        return syn_error_status();
    return SYN_FAIL(SYN_INVALID_ARGUMENT, "%s: the function returned no tensor", what);
}

static syn_status evaluate(check *c, double *value_out)
{
    syn_status status = SYN_OK;
    SYN_NO_GRAD
        SYN_SCOPE {
            syn_tensor *value = scalar_of(c);
            if (value)
                *value_out = syn_item(value);
            else
                status = failed(c->what);
        }
    return status;
}

/* One element of one input moved to both sides. */
static syn_status check_element(check *c, int input, int64_t element, double analytic)
{
    double *at = (double *)c->inputs[input]->data + element, here = *at, above = NAN, below = NAN;
    *at = here + STEP;
    syn_status status = evaluate(c, &above);
    *at = here - STEP;
    if (status == SYN_OK)
        status = evaluate(c, &below);
    *at = here;
    if (status != SYN_OK)
        return status;
    double numeric = (above - below) / (2 * STEP);
    if (fabs(analytic - numeric) <= ABSOLUTE + RELATIVE * fabs(numeric))
        return SYN_OK;
    return SYN_FAIL(SYN_FAILED_PRECONDITION,
                    "%s: input %d, element %lld: backward says %.9g, differences say %.9g", c->what,
                    input, (long long)element, analytic, numeric);
}

static syn_status check_inputs(check *c, const bool *is_checked)
{
    syn_tensor *wanted[MAX_INPUTS], *grads[MAX_INPUTS];
    int n = 0;
    for (int i = 0; i < c->n_inputs; i++)
        if (is_checked[i])
            wanted[n++] = c->inputs[i];
    syn_tensor *value = scalar_of(c);
    if (!value)
        return failed(c->what);
    if (value->dtype != SYN_F64)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "%s: the function's value is %s, not f64", c->what,
                        syn_dtype_name((syn_dtype)value->dtype));
    for (int i = 0; i < n; i++)
        grads[i] = NULL;
    if (value->requires_grad)
        SYN_TRY(syn_grad(value, wanted, n, (syn_backward_options){0}, grads));
    for (int i = 0, k = 0; i < c->n_inputs; i++) {
        if (!is_checked[i])
            continue;
        syn_tensor *grad = grads[k++] ? syn_contiguous(grads[k - 1]) : NULL;
        for (int64_t e = 0; e < c->inputs[i]->numel; e++)
            SYN_TRY(check_element(c, i, e, grad ? ((double *)grad->data)[e] : 0));
    }
    return SYN_OK;
}

static syn_status run_check(check *c, syn_tensor *const *inputs, int n_inputs)
{
    bool is_checked[MAX_INPUTS];
    int n_checked = 0;
    if (n_inputs > MAX_INPUTS)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "%s: %d inputs are too many; %d are possible",
                        c->what, n_inputs, MAX_INPUTS);
    c->n_inputs = n_inputs;
    for (int i = 0; i < n_inputs; i++) {
        is_checked[i] = inputs[i] && inputs[i]->requires_grad;
        c->inputs[i] = inputs[i];
        if (!is_checked[i])
            continue;
        if (inputs[i]->dtype != SYN_F64)
            return SYN_FAIL(SYN_INVALID_ARGUMENT, "%s: input %d is %s; differences need f64",
                            c->what, i, syn_dtype_name((syn_dtype)inputs[i]->dtype));
        c->inputs[i] = syn_requires_grad(syn_clone(syn_detach(inputs[i])));
        if (!c->inputs[i])
            return syn_error_status();
        n_checked++;
    }
    if (n_checked == 0)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "%s: no input requires a gradient", c->what);
    return check_inputs(c, is_checked);
}

syn_status syn_gradcheck(syn_function function, syn_tensor *const *inputs, int n_inputs, void *user)
{
    syn_status status = SYN_OK;
    int was = syn_grad_enable(1);
    SYN_SCOPE {
        check c = {.function = function, .user = user, .what = "gradcheck"};
        status = run_check(&c, inputs, n_inputs);
    }
    (void)syn_grad_enable(was);
    return status;
}

/* ---- The gradient as a function ---- */

typedef struct inner {
    syn_function function;
    void *user;
    bool is_leaf[MAX_INPUTS];
} inner;

/* sum over inputs of a fixed combination of d sum(w f) / d input, recorded so that it can be
 * differentiated. */
static syn_tensor *gradient_of(syn_tensor *const *inputs, int n_inputs, void *user)
{
    inner *in = user;
    check c = {.function = in->function, .user = in->user, .what = "gradgradcheck"};
    syn_tensor *wanted[MAX_INPUTS], *grads[MAX_INPUTS], *total = syn_scalar(0, SYN_F64);
    int n = 0, was = syn_grad_enable(1);
    c.n_inputs = n_inputs;
    for (int i = 0; i < n_inputs; i++) {
        c.inputs[i] = inputs[i];
        if (in->is_leaf[i])
            wanted[n++] = inputs[i];
    }
    syn_tensor *value = scalar_of(&c);
    syn_status status = SYN_OK;
    for (int i = 0; i < n; i++)
        grads[i] = NULL;
    if (value && value->requires_grad)
        status = syn_grad(value, wanted, n, (syn_backward_options){.create_graph = true}, grads);
    for (int i = 0; i < n && status == SYN_OK; i++) {
        if (!grads[i])
            continue;
        syn_tensor *weights = syn_empty(syn_tensor_shape(grads[i]), SYN_F64);
        if (!weights)
            break;
        for (int64_t e = 0; e < weights->numel; e++)
            ((double *)weights->data)[e] = cos(1.3 * (double)e + (double)i);
        total = syn_add(total, syn_sum(syn_mul(grads[i], weights)));
    }
    (void)syn_grad_enable(was);
    return value && status == SYN_OK ? total : NULL;
}

syn_status syn_gradgradcheck(syn_function function, syn_tensor *const *inputs, int n_inputs,
                             void *user)
{
    inner in = {.function = function, .user = user};
    syn_status status = SYN_OK;
    int was = syn_grad_enable(1);
    for (int i = 0; i < n_inputs && i < MAX_INPUTS; i++)
        in.is_leaf[i] = inputs[i] && inputs[i]->requires_grad;
    SYN_SCOPE {
        check c = {.function = gradient_of, .user = &in, .what = "gradgradcheck"};
        status = run_check(&c, inputs, n_inputs);
    }
    (void)syn_grad_enable(was);
    return status;
}
