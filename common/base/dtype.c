/* Names, sizes and categories of element types. */
#include <syncline/dtype.h>

#include <string.h>

static const struct {
    const char *name;
    size_t size;
    syn_dtype_kind kind;
    const char *file_name;
} table[] = {
#define ROW(name, text, size, kind, file_name) {text, size, kind, file_name},
    SYN_DTYPE_LIST(ROW)
#undef ROW
};

const char *syn_dtype_name(syn_dtype dtype)
{
    return dtype < SYN_N_DTYPES ? table[dtype].name : "?";
}

const char *syn_dtype_file_name(syn_dtype dtype)
{
    return dtype < SYN_N_DTYPES ? table[dtype].file_name : "?";
}

size_t syn_dtype_size(syn_dtype dtype)
{
    return dtype < SYN_N_DTYPES ? table[dtype].size : 0;
}

syn_dtype_kind syn_dtype_get_kind(syn_dtype dtype)
{
    return table[dtype].kind;
}

syn_dtype syn_dtype_find(const char *name)
{
    for (unsigned i = 0; i < SYN_N_DTYPES; i++)
        if (strcmp(name, table[i].name) == 0 || strcmp(name, table[i].file_name) == 0)
            return (syn_dtype)i;
    return SYN_N_DTYPES;
}
