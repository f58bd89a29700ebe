/* Operator descriptors: what an operator is, for built-in and custom ones alike, and generic calls
 * of them. */
#ifndef SYNCLINE_OP_H
#define SYNCLINE_OP_H

#include <syncline/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Values of arguments ---- */

typedef enum syn_value_kind {
    SYN_VALUE_NONE, /* Python's None: an optional argument left out */
    SYN_VALUE_BOOL,
    SYN_VALUE_INT,
    SYN_VALUE_FLOAT,
    SYN_VALUE_COMPLEX,
    SYN_VALUE_NUMBER, /* only in argument specs: any of the four above */
    SYN_VALUE_INTS,
    SYN_VALUE_FLOATS,
    SYN_VALUE_DTYPE,
    SYN_VALUE_STRING,
    SYN_VALUE_TENSOR,  /* only in argument specs and calls by name */
    SYN_VALUE_TENSORS, /* a list; likewise, and at most one an operator */
} syn_value_kind;

/* One argument's value. What it points at is borrowed for the call; the tape keeps copies. */
typedef struct syn_value {
    syn_value_kind kind;
    int n; /* length of ints, floats, tensors */
    union {
        int64_t i; /* INT; BOOL as 0 or 1 */
        double f;
        struct {
            double re, im;
        } c;
        const int64_t *ints;
        const double *floats;
        syn_dtype dtype;
        const char *string;
        syn_tensor *tensor;
        syn_tensor *const *tensors;
    };
} syn_value;

#define SYN_NONE             ((syn_value){.kind = SYN_VALUE_NONE})
#define SYN_BOOL_OF(x)       ((syn_value){.kind = SYN_VALUE_BOOL, .i = (x)})
#define SYN_INT_OF(x)        ((syn_value){.kind = SYN_VALUE_INT, .i = (x)})
#define SYN_FLOAT_OF(x)      ((syn_value){.kind = SYN_VALUE_FLOAT, .f = (x)})
#define SYN_INTS_OF(p, k)    ((syn_value){.kind = SYN_VALUE_INTS, .n = (k), .ints = (p)})
#define SYN_DTYPE_OF(x)      ((syn_value){.kind = SYN_VALUE_DTYPE, .dtype = (x)})
#define SYN_STRING_OF(x)     ((syn_value){.kind = SYN_VALUE_STRING, .string = (x)})
#define SYN_TENSOR_OF(x)     ((syn_value){.kind = SYN_VALUE_TENSOR, .tensor = (x)})
#define SYN_TENSORS_OF(p, k) ((syn_value){.kind = SYN_VALUE_TENSORS, .n = (k), .tensors = (p)})
/* A number of either kind as a double; 0 for what is not a number. */
double syn_value_number(const syn_value *value);

/* ---- Descriptors ---- */

/* Sets of dtypes: bit 1 << SYN_F32 and so on. */
#define SYN_DTYPES_BOOL    (1u << SYN_BOOL)
#define SYN_DTYPES_INDEX   (1u << SYN_U8 | 1u << SYN_I32 | 1u << SYN_I64)
#define SYN_DTYPES_INTEGER (SYN_DTYPES_INDEX | 1u << SYN_I8 | 1u << SYN_I16)
#define SYN_DTYPES_FLOAT   (1u << SYN_F32 | 1u << SYN_F64)
#define SYN_DTYPES_REAL    (SYN_DTYPES_BOOL | SYN_DTYPES_INTEGER | SYN_DTYPES_FLOAT)
#define SYN_DTYPES_ALL     ((1u << SYN_N_DTYPES) - 1)

/* One named argument. Names, order and defaults are PyTorch's. */
typedef struct syn_arg_spec {
    const char *name;
    syn_value_kind kind;
    bool is_optional; /* None is allowed; `fallback` is used when left out */
    syn_value fallback;
    unsigned dtypes; /* tensors: those allowed here, and not promoted; 0: the operator's `dtypes` */
} syn_arg_spec;

#define SYN_ARG(arg_name, arg_kind)                      \
    {                                                    \
        .name = (arg_name), .kind = SYN_VALUE_##arg_kind \
    }
#define SYN_ARG_OR(arg_name, arg_kind, ...)                                    \
    {                                                                          \
        .name = (arg_name), .kind = SYN_VALUE_##arg_kind, .is_optional = true, \
        .fallback = __VA_ARGS__                                                \
    }
#define SYN_FALLBACK_NONE      \
    {                          \
        .kind = SYN_VALUE_NONE \
    }
#define SYN_FALLBACK_BOOL(x)             \
    {                                    \
        .kind = SYN_VALUE_BOOL, .i = (x) \
    }
#define SYN_FALLBACK_INT(x)             \
    {                                   \
        .kind = SYN_VALUE_INT, .i = (x) \
    }
#define SYN_FALLBACK_FLOAT(x)             \
    {                                     \
        .kind = SYN_VALUE_FLOAT, .f = (x) \
    }
#define SYN_FALLBACK_STRING(x)                  \
    {                                           \
        .kind = SYN_VALUE_STRING, .string = (x) \
    }
/* A tensor, an optional tensor (None allowed), a tensor of given dtypes, a list. */
#define SYN_TENSOR(arg_name)          SYN_ARG(arg_name, TENSOR)
#define SYN_OPTIONAL_TENSOR(arg_name) SYN_ARG_OR(arg_name, TENSOR, SYN_FALLBACK_NONE)
#define SYN_TENSOR_IN(arg_name, set)                                  \
    {                                                                 \
        .name = (arg_name), .kind = SYN_VALUE_TENSOR, .dtypes = (set) \
    }
#define SYN_TENSORS(arg_name) SYN_ARG(arg_name, TENSORS)
/* .args and .n_args of a descriptor (at file scope: the list has to last as long as the
 * descriptor): SYN_ARGS(SYN_TENSOR("input"), SYN_ARG_OR("dim", INT, SYN_FALLBACK_INT(-1))) */
#define SYN_ARGS(...)                            \
    .args = (const syn_arg_spec[]){__VA_ARGS__}, \
    .n_args = (int)(sizeof((const syn_arg_spec[]){__VA_ARGS__}) / sizeof(syn_arg_spec))

/* How tensor arguments of several dtypes are brought to one before `infer` and `forward` see them
 * (conversions are recorded on the tape of their own, so gradients come back in the dtype of the
 * argument). */
typedef enum syn_promotion {
    SYN_PROMOTE_NONE,   /* all must have the same dtype */
    SYN_PROMOTE_COMMON, /* NumPy/PyTorch promotion, 0-d tensors and numbers weaker than others of
                           their category */
    SYN_PROMOTE_FLOAT,  /* likewise, and bool or integers become f32 */
    SYN_PROMOTE_ANY,    /* dtypes may differ; the operator deals with that */
} syn_promotion;

enum {
    SYN_OP_VIEW = 1, /* outputs share the first input's storage; `infer` gives strides and offset;
                        no forward */
    SYN_OP_IN_PLACE = 2,    /* output 0 is input 0, which forward overwrites */
    SYN_OP_NO_GRAD = 4,     /* results never require a gradient (comparisons, argmax) */
    SYN_OP_NO_GRADGRAD = 8, /* has a backward that cannot be differentiated again */
    SYN_OP_CONTIGUOUS = 16, /* forward wants contiguous inputs; others are copied for it */
    SYN_OP_RANDOM = 32,     /* draws random numbers; gradcheck needs a fixed key */
    SYN_OP_INTERNAL =
        64, /* a backward kernel: not offered to users, not listed in the documentation */
    SYN_OP_DATA_SHAPE = 128, /* output shapes depend on the inputs' values */
};

/* What backward needs. An input or output that is not saved arrives there with shape and dtype, but
 * without data. */
#define SYN_SAVE_INPUT(i)  (1u << (i))        /* i < 12 */
#define SYN_SAVE_OUTPUT(i) (1u << (16 + (i))) /* i < 12 */
#define SYN_SAVE_INPUTS    0xfffu             /* all, list elements too */
#define SYN_SAVE_CROSS \
    (1u << 31) /* an input only where another input needs its gradient (products) */
#define SYN_SAVE_CROSS_0 \
    (1u << 30) /* input 0 only where another input needs its gradient (quotients) */

/* What `infer` says of one output. */
typedef struct syn_meta {
    syn_dtype dtype;
    syn_shape shape;
    int64_t strides[SYN_MAX_DIMS]; /* views only, in elements */
    int64_t offset;                /* views only, in elements from input 0's first element */
} syn_meta;

enum { SYN_MAX_OUTPUTS = 8 };

typedef struct syn_op syn_op;

/* One call as infer, forward and compose see it. */
typedef struct syn_op_call {
    const syn_op *op;
    syn_tensor *const *inputs; /* tensor arguments in order, a list in its place; NULL for an
                                  optional one left out */
    const syn_value *attrs; /* the other arguments in order; complete, of the spec's kind or none */
    syn_tensor **outputs; /* forward: allocated, contiguous, contents undefined. compose: to fill */
    int n_inputs, n_attrs, n_outputs, max_outputs;
} syn_op_call;

/* One step back. Tensors are borrowed. */
typedef struct syn_backward_call {
    const syn_op *op;
    syn_tensor *const *inputs;
    syn_tensor *const *outputs;
    const syn_value *attrs;
    int n_inputs, n_attrs, n_outputs;
    syn_tensor *const *grad_outputs; /* NULL where none arrived (never with a single output) */
    const bool *needs_grad;          /* of each input */
    syn_tensor **grad_inputs;        /* to fill where needed; NULL means zero */
} syn_backward_call;

struct syn_op {
    const char *name; /* PyTorch's, "mul" */
    const char *doc;  /* one line */
    const syn_arg_spec *args;
    int n_args;
    int n_outputs; /* 0 means 1; infer or compose may set call->n_outputs otherwise */
    int n_extra;   /* how many of the last outputs are for backward only and not returned */
    unsigned flags, dtypes, saves;
    syn_promotion promotion;

    /* Shapes and dtypes of the outputs (metas[0 .. n_outputs)); fails with SYN_OP_FAIL. Inputs are
     * promoted and of allowed dtypes. Fills dims[0 .. ndim) only. */
    syn_status (*infer)(syn_op_call *call, syn_meta *metas);
    /* Computes the outputs. Not called when all outputs are empty. */
    syn_status (*forward)(syn_op_call *call);
    /* Fills grad_inputs[i] where needs_grad[i], with expressions (ops.h), so that it can be
     * differentiated again. A gradient that has the broadcast shape is summed to the input's shape
     * afterwards. Failing expressions say why by themselves. */
    void (*backward)(syn_backward_call *call);
    /* Instead of the three: the operator as a composition of others. Sets outputs[0 .. n_outputs)
     * to expressions. */
    void (*compose)(syn_op_call *call);

    /* Example arguments for tests and documentation, NULL-terminated; worker/ops/samples.h has the
     * notation:
     * "(2,3), (3)" "(2,3)+, dim=[0,-1], keepdim=true" "{(2,3), (2,1)}, 1". */
    const char *const *samples;
    /* Multiply-adds counted as two; NULL: one an output element. */
    double (*flops)(const syn_op_call *call);
};

/* .samples of a descriptor */
#define SYN_SAMPLES(...)             \
    .samples = (const char *const[]) \
    {                                \
        __VA_ARGS__, NULL            \
    }

/* Records "matmul: (64, 3) x (2, 5): <text> (net.c:14)" and returns SYN_INVALID_ARGUMENT. */
#define SYN_OP_FAIL(call, ...) \
    syn_fail_with(SYN_INVALID_ARGUMENT, syn_op_fail((call), __FILE__, __LINE__, __VA_ARGS__))
syn_status syn_op_fail(const syn_op_call *call, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- The registry ---- */

/* The operator of that name, or NULL. Thread-safe, as all of these. */
const syn_op *syn_op_find(const char *name);
int syn_op_count(void);
/* Built-in ones first, in the order of the index list, then custom ones. */
const syn_op *syn_op_at(int index);
/* Adds a custom operator; the descriptor is borrowed for the life of the process. ALREADY_EXISTS,
 * INVALID_ARGUMENT. */
syn_status syn_op_register(const syn_op *op);

/* ---- Calls ---- */

/* Calls an operator: n_inputs tensor arguments in order (NULL for optional ones left out; a list
 * stands in its place), then the other arguments in order; those missing at the end take their
 * defaults. Returns the first output, scope-owned, or NULL with the sticky error set; NULL, too, if
 * a required input is NULL. */
syn_tensor *syn_call(const syn_op *op, syn_tensor *const *inputs, int n_inputs,
                     const syn_value *attrs, int n_attrs);

typedef struct syn_outputs {
    syn_tensor **items; /* room for `capacity`; scope-owned tensors on success */
    int capacity, n;
} syn_outputs;
/* The same with all results; `outputs->n` is set. */
bool syn_call_outputs(const syn_op *op, syn_tensor *const *inputs, int n_inputs,
                      const syn_value *attrs, int n_attrs, syn_outputs *outputs);

/* An argument by PyTorch's name, or positional with name NULL. Numbers may be given for tensors. */
typedef struct syn_named_value {
    const char *name;
    syn_value value;
} syn_named_value;
/* Calls by name: syn_call_named("sum", (syn_named_value[]){{NULL, SYN_TENSOR_OF(x)}, {"dim",
 * SYN_INT_OF(0)}}, 2, &out). Unknown names, missing and surplus arguments and wrong kinds are
 * refused by name. An INT is taken for INTS, FLOAT or BOOL, a number for FLOATS. */
bool syn_call_named(const char *op, const syn_named_value *args, int n_args, syn_outputs *outputs);

/* Sees every operator call of this thread after it succeeded (capture, profiling); NULL removes it.
 */
typedef void (*syn_call_observer_fn)(const syn_op_call *call, void *user);
void syn_set_call_observer(syn_call_observer_fn observer, void *user);

#ifdef __cplusplus
}
#endif
#endif
