/* Compiles SYN_BODY once for float and once for double: REAL is the type, KERNEL(name) is name_f32
 * or name_f64. No guard: a file is its own body, and includes this at its top while REAL is not
 * defined. */
#define REAL         float
#define KERNEL(name) name##_f32
#include SYN_BODY
#undef REAL
#undef KERNEL

#define REAL         double
#define KERNEL(name) name##_f64
#include SYN_BODY
#undef REAL
#undef KERNEL
