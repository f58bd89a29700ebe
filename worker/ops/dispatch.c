/* One operator call: check, promote, infer, allocate, compute, record. */
#include "worker/ops/dispatch.h"

#include "common/base/mem.h"
#include "worker/autograd/node.h"
#include "worker/tensor/thread.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { FEW = SYN_FEW_INPUTS, MANY_OUTPUTS = 64 };

/* ---- Error sentences ---- */

syn_status syn_op_fail(const syn_op_call *call, const char *file, int line, const char *format, ...)
{
    char shapes[512], text[1024], place[300] = "";
    size_t used = 0;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    shapes[0] = '\0';
    for (int i = 0, n = 0; i < call->n_inputs && used + 200 < sizeof shapes; i++) {
        const syn_tensor *x = call->inputs[i];
        char one[160];
        if (!x || x->is_number)
            continue;
        used += (size_t)snprintf(shapes + used, sizeof shapes - used, "%s%s", n++ ? " x " : "",
                                 syn_shape_format(one, sizeof one, x->ndim, x->dims));
    }
    int caller_line;
    const char *caller = syn_caller_file(&caller_line);
    if (*caller)
        (void)snprintf(place, sizeof place, " (%s:%d)", caller, caller_line);
    return syn_fail(SYN_INVALID_ARGUMENT, file, line, "%s: %s%s%s%s", call->op->name, shapes,
                    *shapes ? ": " : "", text, place);
}

/* ---- Steps ---- */

static bool is_optional_input(const syn_op_call *call, int input)
{
    const syn_arg_spec *spec = syn_call_spec(call, input);
    return spec && spec->is_optional;
}

/* A NULL where a tensor is required comes from an expression that failed and said so. */
static bool has_missing_input(const syn_op_call *call)
{
    for (int i = 0; i < call->n_inputs; i++)
        if (__builtin_expect(!call->inputs[i], 0) && !is_optional_input(call, i))
            return true;
    return false;
}

/* A view of a tensor that was changed in place while recording does not know that part of the
 * graph. */
static syn_status check_views(const syn_op_call *call)
{
    for (int i = 0; i < call->n_inputs; i++) {
        const syn_tensor *x = call->inputs[i];
        if (x && x->storage &&
            __builtin_expect(x->graph_version != atomic_load_explicit(&x->storage->graph_version,
                                                                      memory_order_relaxed),
                             0))
            return SYN_OP_FAIL(call,
                               "input %d shares its elements with a tensor that %s changed in "
                               "place with gradients afterwards; take the view again",
                               i, x->storage->writer ? x->storage->writer : "an operator");
    }
    return SYN_OK;
}

static bool is_uniform(const syn_op_call *call)
{
    const syn_op *op = call->op;
    if (call->n_inputs == 0 || !call->inputs[0])
        return false;
    unsigned dtype = call->inputs[0]->dtype;
    if (!(op->dtypes >> dtype & 1) ||
        (op->promotion == SYN_PROMOTE_FLOAT && !syn_is_floating(call->inputs[0])))
        return false;
    for (int i = 1; i < call->n_inputs; i++)
        if (call->inputs[i] && call->inputs[i]->dtype != dtype)
            return false;
    for (int a = 0; a < op->n_args; a++)
        if (op->args[a].dtypes)
            return false;
    return true;
}

/* Appends the defaults of the attributes that the caller left out at the end. */
static syn_status complete_attrs(syn_op_call *call, syn_value *room)
{
    const syn_op *op = call->op;
    int n = 0;
    for (int a = 0; a < op->n_args; a++) {
        if (op->args[a].kind == SYN_VALUE_TENSOR || op->args[a].kind == SYN_VALUE_TENSORS)
            continue;
        if (n >= SYN_MAX_DIMS)
            return SYN_OP_FAIL(call, "it has too many arguments");
        if (n < call->n_attrs)
            room[n] = call->attrs[n];
        else if (op->args[a].is_optional)
            room[n] = op->args[a].fallback;
        else
            return SYN_OP_FAIL(call, "argument %s is missing", op->args[a].name);
        n++;
    }
    if (call->n_attrs > n)
        return SYN_OP_FAIL(call, "%d arguments were given, it takes %d", call->n_attrs, n);
    call->attrs = room;
    call->n_attrs = n;
    return SYN_OK;
}

static inline bool has_all_attrs(const syn_op_call *call)
{
    for (int a = 0; a < call->op->n_args; a++)
        if (call->op->args[a].kind == SYN_VALUE_TENSORS)
            return false; /* to be counted */
    return call->n_inputs + call->n_attrs == call->op->n_args;
}

static syn_tensor *contiguous_or_null(syn_tensor *x)
{
    return syn_is_contiguous(x) ? x : syn_contiguous(x);
}

static syn_status make_outputs(syn_op_call *call, const syn_meta *metas)
{
    unsigned flags = call->op->flags;
    for (int i = 0; i < call->n_outputs; i++) {
        const syn_meta *m = &metas[i];
        if (flags & SYN_OP_IN_PLACE && i == 0)
            call->outputs[i] = syn_tensor_ref(call->inputs[0]);
        else if (flags & SYN_OP_VIEW)
            call->outputs[i] = syn_tensor_view_of(call->inputs[0], m->shape.ndim, m->shape.dims,
                                                  m->strides, m->offset);
        else
            call->outputs[i] = syn_tensor_new_owned(m->dtype, m->shape.ndim, m->shape.dims);
        if (!call->outputs[i])
            return SYN_RESOURCE_EXHAUSTED;
    }
    return SYN_OK;
}

/* Runs forward with gradients off: what it calls besides its kernel is not part of the graph. */
static syn_status compute(syn_op_call *call)
{
    syn_thread *thread = &syn_this_thread;
    syn_tensor *few[FEW];
    syn_op_call dense = *call;
    if (call->op->flags & SYN_OP_CONTIGUOUS) {
        bool was = thread->no_grad;
        if (call->n_inputs > FEW)
            return SYN_OP_FAIL(call, "more than %d tensors", FEW);
        thread->no_grad = true;
        for (int i = 0; i < call->n_inputs; i++) {
            bool is_target = i == 0 && call->op->flags & SYN_OP_IN_PLACE;
            few[i] = call->inputs[i];
            if (few[i] && !is_target && !(few[i] = contiguous_or_null(few[i]))) {
                thread->no_grad = was;
                return syn_error_status();
            }
        }
        thread->no_grad = was;
        dense.inputs = few;
    }
    return call->op->forward(&dense);
}

static bool overlaps_itself(const syn_tensor *x)
{
    for (int d = 0; d < x->ndim; d++)
        if (x->dims[d] > 1 && x->strides[d] == 0)
            return true;
    return false;
}

/* Whether element for element both are in the same place: each is read before it is overwritten. */
static bool lies_alike(const syn_tensor *x, const syn_tensor *target)
{
    if (x->data != target->data || x->dtype != target->dtype || !syn_same_shape(x, target))
        return false;
    for (int d = 0; d < x->ndim; d++)
        if (x->dims[d] > 1 && x->strides[d] != target->strides[d])
            return false;
    return true;
}

/* What stands against overwriting input 0; and sources that share its storage are copied first. */
static syn_status check_target(syn_op_call *call, syn_tensor **room, bool is_recorded)
{
    const syn_tensor *target = call->inputs[0];
    bool is_leaf = target->requires_grad && !target->grad_fn;
    if (!syn_this_thread.no_grad && is_leaf && !(call->op->flags & SYN_OP_NO_GRAD))
        return SYN_OP_FAIL(call, "the target is a leaf that requires a gradient; change it inside "
                                 "SYN_NO_GRAD");
    if (is_recorded && target->is_view)
        return SYN_OP_FAIL(call,
                           "the target is a view, and gradients do not flow through changes of "
                           "views; compute a new tensor instead");
    if (overlaps_itself(target))
        return SYN_OP_FAIL(call, "several of the target's elements share one place (it was "
                                 "expanded); clone it first");
    for (int i = 0; i < call->n_inputs && i < FEW; i++) {
        syn_tensor *x = call->inputs[i];
        room[i] = x;
        if (i == 0 || !x || x->storage != target->storage || lies_alike(x, target))
            continue;
        if (!(room[i] = syn_clone(x)))
            return syn_error_status();
    }
    if (call->n_inputs <= FEW)
        call->inputs = room;
    return SYN_OK;
}

static void drop_outputs(syn_op_call *call)
{
    for (int i = 0; i < call->n_outputs; i++) {
        syn_tensor_unref(call->outputs[i]);
        call->outputs[i] = NULL;
    }
}

static bool are_all_empty(const syn_op_call *call)
{
    for (int i = 0; i < call->n_outputs; i++)
        if (call->outputs[i]->numel)
            return false;
    return true;
}

/* Infer, allocate, compute, record; the caller owns the outputs afterwards. */
static syn_status run(syn_op_call *call)
{
    const syn_op *op = call->op;
    syn_meta few_metas[2], *metas = few_metas;
    syn_meta many_metas[SYN_MAX_OUTPUTS];
    syn_tensor *target_room[FEW];

    if (op->n_outputs > 2 || op->n_outputs + op->n_extra > 2)
        metas = many_metas;
    SYN_TRY(op->infer(call, metas));
    bool is_recorded = syn_tape_wants(call);
    syn_tensor *before = NULL;
    if (op->flags & SYN_OP_IN_PLACE) {
        SYN_TRY(check_target(call, target_room, is_recorded));
        if (is_recorded && syn_tape_saves_target(call) && !(before = syn_clone(call->inputs[0])))
            return syn_error_status();
    }
    for (int i = 0; i < call->n_outputs; i++)
        call->outputs[i] = NULL;
    syn_status status = make_outputs(call, metas);
    if (status == SYN_OK && !(op->flags & SYN_OP_VIEW) && !are_all_empty(call))
        status = compute(call);
    if (status == SYN_OK && op->flags & SYN_OP_IN_PLACE)
        syn_tensor_bump_version(call->outputs[0], op->name);
    if (status == SYN_OK && is_recorded)
        status = syn_tape_record(call, before);
    if (status == SYN_OK && is_recorded && op->flags & SYN_OP_IN_PLACE)
        call->outputs[0]->graph_version =
            atomic_fetch_add_explicit(&call->outputs[0]->storage->graph_version, 1,
                                      memory_order_relaxed) +
            1;
    if (status != SYN_OK)
        drop_outputs(call);
    return status;
}

/* The scope takes the results; an operator in place gives back its target, which has an owner. */
static syn_status hand_over(syn_op_call *call)
{
    int n_kept = call->n_outputs - call->op->n_extra;
    for (int i = 0; i < call->n_outputs; i++) {
        syn_tensor *output = call->outputs[i];
        if (i >= n_kept || (i == 0 && call->op->flags & SYN_OP_IN_PLACE)) {
            syn_tensor_unref(output);
        } else if (!syn_scope_take(output)) {
            call->outputs[i] = NULL;
            for (int j = i; j < call->n_outputs; j++)
                syn_tensor_unref(call->outputs[j]);
            return SYN_RESOURCE_EXHAUSTED;
        }
    }
    call->n_outputs = n_kept;
    return SYN_OK;
}

static void compose(syn_op_call *call)
{
    call->n_outputs = call->op->n_outputs ? call->op->n_outputs : 1;
    for (int i = 0; i < call->n_outputs && i < call->max_outputs; i++)
        call->outputs[i] = NULL;
    call->op->compose(call);
}

/* A composition checks nothing by itself: the operators it calls do, unless it says what it
 * accepts. */
static syn_status run_composition(syn_op_call *call)
{
    unsigned long n_stuck = syn_stick_count();
    if (call->op->n_outputs > call->max_outputs)
        return SYN_OP_FAIL(call, "there is room for %d of %d results", call->max_outputs,
                           call->op->n_outputs);
    compose(call);
    if (syn_stick_count() != n_stuck)
        return syn_error_status();
    for (int i = 0; i < call->n_outputs; i++)
        if (!call->outputs[i])
            return syn_failed() ? syn_error_status()
                                : SYN_OP_FAIL(call, "result %d was not computed", i);
    return SYN_OK;
}

/* The whole call; false with the sticky error set, or quietly where an input was NULL. */
static bool perform(syn_op_call *call)
{
    const syn_op *op = call->op;
    syn_tensor *few[FEW], **promoted = few;
    syn_value attrs[SYN_MAX_DIMS];
    syn_status status = SYN_OK;

    if (has_missing_input(call))
        return false;
    if (!syn_this_thread.no_grad)
        status = check_views(call);
    if (status == SYN_OK && !has_all_attrs(call))
        status = complete_attrs(call, attrs);
    if (status == SYN_OK && op->promotion != SYN_PROMOTE_ANY && !op->compose && !is_uniform(call)) {
        if (call->n_inputs > FEW)
            promoted = syn_malloc((size_t)call->n_inputs * sizeof(syn_tensor *));
        status = promoted ? syn_call_promote(call, promoted) : syn_fail_memory(0, op->name);
    }
    if (status == SYN_OK && op->compose) {
        status = run_composition(call);
    } else if (status == SYN_OK) {
        call->n_outputs = (op->n_outputs ? op->n_outputs : 1) + op->n_extra;
        status = run(call);
        if (status == SYN_OK)
            status = hand_over(call);
    }
    if (status == SYN_OK && syn_this_thread.observer)
        syn_this_thread.observer(call, syn_this_thread.observer_user);
    if (promoted != few)
        syn_free(promoted);
    if (status != SYN_OK)
        (void)syn_stick(status);
    return status == SYN_OK;
}

/* ---- Public ---- */

syn_tensor *syn_call(const syn_op *op, syn_tensor *const *inputs, int n_inputs,
                     const syn_value *attrs, int n_attrs)
{
    syn_tensor *outputs[MANY_OUTPUTS];
    syn_op_call call = {.op = op,
                        .inputs = inputs,
                        .attrs = attrs,
                        .outputs = outputs,
                        .n_inputs = n_inputs,
                        .n_attrs = n_attrs,
                        .max_outputs = MANY_OUTPUTS};
    return perform(&call) && call.n_outputs ? outputs[0] : NULL;
}

bool syn_call_outputs(const syn_op *op, syn_tensor *const *inputs, int n_inputs,
                      const syn_value *attrs, int n_attrs, syn_outputs *outputs)
{
    syn_tensor *room[MANY_OUTPUTS];
    bool is_roomy = outputs->capacity >= SYN_MAX_OUTPUTS;
    syn_op_call call = {.op = op,
                        .inputs = inputs,
                        .attrs = attrs,
                        .outputs = is_roomy ? outputs->items : room,
                        .n_inputs = n_inputs,
                        .n_attrs = n_attrs,
                        .max_outputs = is_roomy ? outputs->capacity : MANY_OUTPUTS};
    outputs->n = 0;
    if (!perform(&call))
        return false;
    if (call.n_outputs > outputs->capacity) {
        syn_status status =
            SYN_OP_FAIL(&call, "%d results, and room for %d", call.n_outputs, outputs->capacity);
        (void)syn_stick(status);
        return false;
    }
    if (!is_roomy)
        memcpy(outputs->items, room, (size_t)call.n_outputs * sizeof *room);
    outputs->n = call.n_outputs;
    return true;
}

void syn_set_call_observer(syn_call_observer_fn observer, void *user)
{
    syn_this_thread.observer = observer;
    syn_this_thread.observer_user = user;
}

double syn_value_number(const syn_value *value)
{
    switch (value->kind) {
    case SYN_VALUE_BOOL:
    case SYN_VALUE_INT:
        return (double)value->i;
    case SYN_VALUE_FLOAT:
        return value->f;
    case SYN_VALUE_COMPLEX:
        return value->c.re;
    default:
        return 0;
    }
}
