/* The tree of a JSON text: held to RFC 8259, with positions. */
#include "common/format/job_tree.h"
#include "tests/unit/common/format/job_helpers.h"

static syn_status parse_json(const char *text, syn_arena *arena, syn_job_node **root_out)
{
    syn_job_source source = {.name = "t", .text = text, .length = strlen(text)};
    return syn_job_tree_parse(&source, true, arena, root_out);
}

static void nodes_keep_their_order_kind_and_place(void **state)
{
    (void)state;
    static const char text[] =
        " {\"a\\\"\" :\n\t[1.5e3 , true,{}, [ ] ,null], \"b\\\\\": \"\\u20ac,]}\"} \n";
    syn_arena arena = {0};
    syn_job_node *root;

    assert_int_equal(parse_json(text, &arena, &root), SYN_OK);

    assert_int_equal(root->n, 2);
    const syn_job_node *list = root->first, *item = list->first;
    assert_string_equal(list->key->text, "a\"");
    assert_int_equal(list->key->offset, 2);
    assert_int_equal(list->offset, strchr(text, '[') - text);
    assert_int_equal(list->n, 5);
    assert_string_equal(item->text, "1.5e3");
    assert_false(item->is_quoted);
    assert_string_equal(item->next->text, "true");
    assert_int_equal(item->next->next->kind, SYN_NODE_MAP);
    assert_int_equal(item->next->next->next->kind, SYN_NODE_LIST);
    assert_int_equal(item->next->next->next->n, 0);
    assert_string_equal(item->next->next->next->next->text, "null");
    assert_string_equal(list->next->key->text, "b\\");
    assert_string_equal(list->next->text, "\xe2\x82\xac,]}");
    assert_true(list->next->is_quoted);
    syn_arena_release(&arena);
}

static void what_yaml_forgives_json_does_not(void **state)
{
    (void)state;
    static const char *const bad[] = {"{a: 1}",
                                      "{'a': 1}",
                                      "{\"a\": 01}",
                                      "{\"a\": +1}",
                                      "{\"a\": .5}",
                                      "{\"a\": 1,}",
                                      "{\"a\": [1,]}",
                                      "{\"a\": 1} x",
                                      "{\"a\": 1} {}",
                                      "{\"a\": True}",
                                      "{\"a\": \"\t\"}",
                                      "{\"a\": NaN}",
                                      "{\"a\": \"\\ud83d\"}",
                                      "{} # no",
                                      "// no\n{}",
                                      "{\"a\" 1}",
                                      "{\"a\":}",
                                      "12",
                                      "\"a\"",
                                      ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        syn_arena arena = {0};
        syn_job_node *root;
        if (parse_json(bad[i], &arena, &root) == SYN_OK)
            fail_msg("%s is accepted", bad[i]);
        assert_int_equal(strncmp(syn_error_message(), "t:", 2), 0);
        syn_arena_release(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_keep_their_order_kind_and_place),
        cmocka_unit_test(what_yaml_forgives_json_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
