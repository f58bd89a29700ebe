/* The element types of tensors and of the files that carry them. */
#ifndef SYNCLINE_DTYPE_H
#define SYNCLINE_DTYPE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(NAME, short name, size in bytes, category, safetensors name). Categories are ordered for
 * promotion. */
#define SYN_DTYPE_LIST(X)                      \
    X(BOOL, "bool", 1, SYN_KIND_BOOL, "BOOL")  \
    X(U8, "u8", 1, SYN_KIND_INTEGER, "U8")     \
    X(I8, "i8", 1, SYN_KIND_INTEGER, "I8")     \
    X(I16, "i16", 2, SYN_KIND_INTEGER, "I16")  \
    X(I32, "i32", 4, SYN_KIND_INTEGER, "I32")  \
    X(I64, "i64", 8, SYN_KIND_INTEGER, "I64")  \
    X(F16, "f16", 2, SYN_KIND_FLOAT, "F16")    \
    X(BF16, "bf16", 2, SYN_KIND_FLOAT, "BF16") \
    X(F32, "f32", 4, SYN_KIND_FLOAT, "F32")    \
    X(F64, "f64", 8, SYN_KIND_FLOAT, "F64")    \
    X(C64, "c64", 8, SYN_KIND_COMPLEX, "C64")  \
    X(C128, "c128", 16, SYN_KIND_COMPLEX, "C128")

typedef enum syn_dtype {
#define SYN_DTYPE_ENUM(name, text, size, kind, file_name) SYN_##name,
    SYN_DTYPE_LIST(SYN_DTYPE_ENUM)
#undef SYN_DTYPE_ENUM
        SYN_N_DTYPES
} syn_dtype;

typedef enum syn_dtype_kind {
    SYN_KIND_BOOL,
    SYN_KIND_INTEGER,
    SYN_KIND_FLOAT,
    SYN_KIND_COMPLEX,
} syn_dtype_kind;

/* "f32" */
const char *syn_dtype_name(syn_dtype dtype);
/* "F32", as safetensors writes it */
const char *syn_dtype_file_name(syn_dtype dtype);
size_t syn_dtype_size(syn_dtype dtype);
syn_dtype_kind syn_dtype_get_kind(syn_dtype dtype);
/* Finds a dtype by either name; SYN_N_DTYPES if there is none. */
syn_dtype syn_dtype_find(const char *name);

#ifdef __cplusplus
}
#endif
#endif
