/* The tree of a YAML text: kinds, order, positions, bounds. */
#include "common/format/job_tree.h"
#include "tests/unit/common/format/job_helpers.h"

#include <stdlib.h>

static syn_job_node *parse_tree(const char *text, bool is_json, syn_arena *arena)
{
    syn_job_source source = {.name = "t", .text = text, .length = strlen(text)};
    syn_job_node *root = NULL;
    if (syn_job_tree_parse(&source, is_json, arena, &root) != SYN_OK)
        fail_msg("%s", syn_error_message());
    return root;
}

static void nodes_keep_their_order_kind_and_place(void **state)
{
    (void)state;
    static const char text[] = "\xc3\xa4: 'x'\nlist: [1,\n  \xe2\x82\xac, {b: 2}]\nlast:\n";
    syn_arena arena = {0};

    syn_job_node *root = parse_tree(text, false, &arena);

    assert_int_equal(root->kind, SYN_NODE_MAP);
    assert_int_equal(root->n, 3);
    const syn_job_node *first = root->first, *list = first->next, *last = list->next;
    assert_string_equal(first->key->text, "\xc3\xa4");
    assert_string_equal(first->text, "x");
    assert_true(first->is_quoted);
    assert_int_equal(first->offset, strchr(text, '\'') - text);
    assert_int_equal(list->kind, SYN_NODE_LIST);
    assert_int_equal(list->n, 3);
    assert_false(list->first->is_quoted);
    assert_int_equal(list->first->next->offset, strstr(text, "\xe2\x82\xac") - text);
    assert_string_equal(list->first->next->next->first->key->text, "b");
    assert_string_equal(last->text, "");
    assert_null(last->next);
    syn_arena_release(&arena);
}

static void folded_and_literal_texts_are_quoted(void **state)
{
    (void)state;
    syn_arena arena = {0};

    syn_job_node *root = parse_tree("a: |\n  12\nb: >-\n  x\n  y\nc: \"\\x41\"\n", false, &arena);

    assert_true(root->first->is_quoted);
    assert_string_equal(root->first->text, "12\n");
    assert_string_equal(root->first->next->text, "x y");
    assert_string_equal(root->first->next->next->text, "A");
    syn_arena_release(&arena);
}

static void sixteen_levels_are_taken(void **state)
{
    (void)state;
    syn_arena arena = {0};

    for (int is_json = 0; is_json < 2; is_json++) {
        syn_job_node *node = parse_tree("[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]", is_json, &arena);
        int depth = 0;
        for (; node->kind == SYN_NODE_LIST; node = node->first)
            depth++;
        assert_int_equal(depth, SYN_JOB_MAX_DEPTH);
    }
    syn_arena_release(&arena);
}

static void an_error_counts_columns_in_characters(void **state)
{
    (void)state;
    static const char text[] = "one\n\xc3\xa4\xe2\x82\xac\tx\r\n";
    syn_job_source source = {.name = "t", .text = text, .length = sizeof text - 1};

    assert_int_equal(syn_job_fail_at(&source, 10, "here %d", 5), SYN_INVALID_ARGUMENT);
    assert_string_equal(syn_error_message(),
                        "t:2:4: here 5\n    2 | \xc3\xa4\xe2\x82\xac x\n      |    ^");
    (void)syn_job_fail_at(&source, 1000, "end");
    assert_string_equal(syn_error_message(), "t:3:1: end\n    3 | \n      | ^");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_keep_their_order_kind_and_place),
        cmocka_unit_test(folded_and_literal_texts_are_quoted),
        cmocka_unit_test(sixteen_levels_are_taken),
        cmocka_unit_test(an_error_counts_columns_in_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
