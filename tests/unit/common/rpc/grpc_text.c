/* The texts of gRPC headers. */
#include "common/rpc/grpc_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void messages_are_percent_encoded_and_come_back(void **state)
{
    (void)state;
    char encoded[SYN_GRPC_ENCODED_MAX], decoded[SYN_GRPC_MESSAGE_MAX + 1];
    const char *message = "100% of \"näme\"\n\x01\x7f is ~ wrong";

    size_t length = syn_grpc_message_encode(encoded, message);

    assert_string_equal(encoded, "100%25 of \"n%C3%A4me\"%0A%01%7F is ~ wrong");
    assert_int_equal(length, strlen(encoded));
    syn_grpc_message_decode(decoded, encoded, length);
    assert_string_equal(decoded, message);
}

static void what_is_no_escape_is_kept(void **state)
{
    (void)state;
    char decoded[SYN_GRPC_MESSAGE_MAX + 1];

    syn_grpc_message_decode(decoded, "50% %zz %4 %", 12);
    assert_string_equal(decoded, "50% %zz %4 %");
    syn_grpc_message_decode(decoded, "a%00b", 5); /* a NUL would hide what follows */
    assert_string_equal(decoded, "a%00b");
}

static void a_long_message_is_cut_between_characters(void **state)
{
    (void)state;
    char message[SYN_GRPC_MESSAGE_MAX + 100], encoded[SYN_GRPC_ENCODED_MAX];
    memset(message, 'x', sizeof message);
    memcpy(message + SYN_GRPC_MESSAGE_MAX - 1, "\xc3\xa4", 2);
    message[sizeof message - 1] = '\0';

    assert_int_equal(syn_grpc_message_encode(encoded, message), SYN_GRPC_MESSAGE_MAX - 1);
    memset(message, '\x80', sizeof message - 1); /* no characters at all, and all escaped */
    assert_in_range(syn_grpc_message_encode(encoded, message), 1, SYN_GRPC_ENCODED_MAX - 1);
}

static void timeouts_have_eight_digits_and_a_unit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ns;
    } good[] = {{"1n", 1},
                {"2u", 2000},
                {"30m", 30000000},
                {"4S", UINT64_C(4000000000)},
                {"5M", UINT64_C(300000000000)},
                {"1H", UINT64_C(3600000000000)},
                {"0m", 0},
                {"99999999H", INT64_MAX}};
    static const char *const bad[] = {"",   "m",   "1",    "123456789m", "-1m",
                                      "1x", "1 m", "1.5S", "1ms"};
    uint64_t ns;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(syn_grpc_timeout_parse(good[i].text, strlen(good[i].text), &ns));
        assert_int_equal(ns, good[i].ns);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(syn_grpc_timeout_parse(bad[i], strlen(bad[i]), &ns));
}

static void a_formatted_timeout_is_never_shorter(void **state)
{
    (void)state;
    static const uint64_t wanted[] = {
        1, 99999999, 100000000, 1500000001, UINT64_C(86400000000001), INT64_MAX};
    char text[16];
    uint64_t ns;

    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        syn_grpc_timeout_format(text, wanted[i]);
        assert_true(syn_grpc_timeout_parse(text, strlen(text), &ns));
        assert_true(ns >= wanted[i]);
        assert_true(ns - wanted[i] <= wanted[i] / 1000 + 1);
    }
}

static void content_types_of_grpc_are_known(void **state)
{
    (void)state;
    static const char *const good[] = {"application/grpc", "application/grpc+proto",
                                       "application/grpc;charset=utf-8", "APPLICATION/GRPC"};
    static const char *const bad[] = {"", "application/json", "application/grpc-web",
                                      "application/grpc+json", "application/grpcx"};

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(syn_grpc_content_type_is_ok(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(syn_grpc_content_type_is_ok(bad[i], strlen(bad[i])));
}

static void codes_are_read_and_translated(void **state)
{
    (void)state;

    assert_int_equal(syn_grpc_status_parse("0", 1), SYN_OK);
    assert_int_equal(syn_grpc_status_parse("16", 2), SYN_UNAUTHENTICATED);
    assert_int_equal(syn_grpc_status_parse("17", 2), SYN_UNKNOWN);
    assert_int_equal(syn_grpc_status_parse("", 0), SYN_UNKNOWN);
    assert_int_equal(syn_grpc_status_parse("-1", 2), SYN_UNKNOWN);
    assert_int_equal(syn_grpc_status_of_http(404), SYN_UNIMPLEMENTED);
    assert_int_equal(syn_grpc_status_of_http(503), SYN_UNAVAILABLE);
    assert_int_equal(syn_grpc_status_of_http(415), SYN_UNKNOWN);
    assert_int_equal(syn_grpc_status_of_h2(7 /* REFUSED_STREAM */), SYN_UNAVAILABLE);
    assert_int_equal(syn_grpc_status_of_h2(8 /* CANCEL */), SYN_CANCELLED);
    assert_int_equal(syn_grpc_status_of_h2(1 /* PROTOCOL_ERROR */), SYN_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_percent_encoded_and_come_back),
        cmocka_unit_test(what_is_no_escape_is_kept),
        cmocka_unit_test(a_long_message_is_cut_between_characters),
        cmocka_unit_test(timeouts_have_eight_digits_and_a_unit),
        cmocka_unit_test(a_formatted_timeout_is_never_shorter),
        cmocka_unit_test(content_types_of_grpc_are_known),
        cmocka_unit_test(codes_are_read_and_translated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
