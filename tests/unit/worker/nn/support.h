/* What the tests of modules share. */
#ifndef TESTS_UNIT_WORKER_NN_SUPPORT_H
#define TESTS_UNIT_WORKER_NN_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"

#include <math.h>
#include <syncline/syncline.h>

static inline void assert_sticks(const char *text)
{
    assert_true(syn_failed());
    if (!strstr(syn_error(), text))
        fail_msg("the error says \"%s\", not \"%s\"", syn_error(), text);
    syn_clear_error();
}

/* That the list has exactly these names, in this order (space-separated). */
static inline void assert_names(syn_parameters list, const char *names)
{
    char all[4096] = "";

    for (int i = 0; i < list.n; i++) {
        if (i > 0)
            strcat(all, " ");
        strcat(all, list.items[i].name);
    }
    assert_string_equal(all, names);
}

static inline int64_t count_elements(syn_parameters list)
{
    int64_t n = 0;

    for (int i = 0; i < list.n; i++)
        n += syn_tensor_numel(list.items[i].tensor);
    return n;
}

static inline void assert_shape(const syn_tensor *tensor, syn_shape shape)
{
    assert_non_null(tensor);
    assert_int_equal(syn_tensor_ndim(tensor), shape.ndim);
    for (int i = 0; i < shape.ndim; i++)
        assert_int_equal(syn_tensor_size(tensor, i), shape.dims[i]);
}

/* The printed form, on the heap. */
static inline char *printed(const syn_module *module)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    syn_module_print(module, out);
    (void)fclose(out);
    return text;
}

#endif
