/* The notation of operators' sample arguments.
 *
 *   sample    = [argument {"," argument}]         positional, or name=value
 *   tensor    = "(" extents ")" suffix            normal f64 or f32 numbers, as the caller says
 *     suffix  = ""      standard normal
 *             | "+"     uniform in [0.5, 2)
 *             | ">"     uniform in [1.1, 2.6)
 *             | "~"     uniform in [0.05, 0.95)
 *             | "d"     all different, at least 0.1 apart, shuffled
 *             | "i" n   i64, uniform in [0, n)
 *             | "b"     bool
 *   list      = "{" tensor {"," tensor} "}"
 *   ints      = "[" [int {"," int}] "]"
 *   number    = 1 | -0.5 | true | false | none
 *   dtype     = f32, i64, ...                     string = 'mean'
 */
#ifndef WORKER_OPS_SAMPLES_H
#define WORKER_OPS_SAMPLES_H

#include <syncline/op.h>

enum { SYN_SAMPLE_ARGS = 24, SYN_SAMPLE_TENSORS = 16, SYN_SAMPLE_INTS = 16 };

/* The arguments of one sample, as syn_call_named takes them; tensors belong to the scope that was
 * open. */
typedef struct syn_sample {
    syn_named_value args[SYN_SAMPLE_ARGS];
    int n_args;
    syn_tensor *tensors[SYN_SAMPLE_TENSORS]; /* all of them, in order */
    int n_tensors;
    int64_t ints[SYN_SAMPLE_ARGS][SYN_SAMPLE_INTS];
    char names[SYN_SAMPLE_ARGS][32], strings[SYN_SAMPLE_ARGS][32];
    syn_tensor *list[SYN_SAMPLE_TENSORS];
} syn_sample;

/* Reads `text` and makes its tensors, floating ones of dtype `dtype`, a function of `seed`. The
 * sample may not be moved. */
syn_status syn_sample_read(const char *text, syn_dtype dtype, uint64_t seed, syn_sample *out);

#endif
