/* Addresses, and listening without taking what a live process holds. */
#include "common/rpc/address.h"

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/rpc/rpc.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[200];

static int start(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/syn-rpc-XXXXXX", base ? base : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    return syn_dir_remove(folder) == SYN_OK ? 0 : -1;
}

static void the_forms_of_addresses_are_read_and_written(void **state)
{
    (void)state;
    static const struct {
        const char *text, *formatted;
    } cases[] = {
        {"unix:///run/s", "unix:///run/s"},
        {"unix:/run/s", "unix:///run/s"},
        {"unix:s", "unix:s"},
        {"host:80", "host:80"},
        {"host", "host:7480"},
        {":0", "127.0.0.1:0"},
        {"127.0.0.1:65535", "127.0.0.1:65535"},
        {"[::1]:7480", "[::1]:7480"},
        {"[::1]", "[::1]:7480"},
    };
    char text[SYN_ADDRESS_TEXT];
    syn_address address, again;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(syn_address_parse(cases[i].text, &address), SYN_OK);
        syn_address_format(&address, text);
        assert_string_equal(text, cases[i].formatted);
        assert_int_equal(syn_address_parse(text, &again), SYN_OK);
        assert_int_equal(again.port, address.port);
    }
}

static void what_is_no_address_is_refused_with_its_text(void **state)
{
    (void)state;
    char long_path[200];
    memset(long_path, 'p', sizeof long_path);
    memcpy(long_path, "unix:///", 8);
    long_path[199] = '\0';
    const char *const bad[] = {
        "",     "host:",     "host:65536", "host:-1", "host:+1",     "host:x", "::1",
        "[::1", "[::1]7480", "unix:",      "unix://", "http://host", "a b:1",  long_path};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        syn_error_clear();
        if (syn_rpc_address_check(bad[i]) != SYN_INVALID_ARGUMENT)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_non_null(strstr(syn_error_message(), "bad address \""));
    }
}

static syn_status listen_on(const char *text, syn_socket *socket)
{
    syn_address address;
    assert_int_equal(syn_address_parse(text, &address), SYN_OK);
    return syn_socket_listen(&address, socket);
}

static void only_loopback_is_listened_on(void **state)
{
    (void)state;
    static const char *const open[] = {"0.0.0.0:0", "[::]:0", "192.0.2.1:0", "8.8.8.8:0"};
    syn_socket s;

    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        assert_int_equal(listen_on(open[i], &s), SYN_PERMISSION_DENIED);
        assert_non_null(strstr(syn_error_message(), open[i]));
        assert_non_null(strstr(syn_error_message(), "without encryption and tokens"));
    }
    assert_int_equal(listen_on("127.0.0.2:0", &s), SYN_OK); /* all of 127/8 is loopback */
    syn_socket_close(&s);
}

static void a_port_in_use_is_named(void **state)
{
    (void)state;
    char text[SYN_ADDRESS_TEXT];
    syn_socket first, second;
    assert_int_equal(listen_on(":0", &first), SYN_OK);
    assert_true(first.address.port != 0);
    syn_address_format(&first.address, text);

    assert_int_equal(listen_on(text, &second), SYN_ALREADY_EXISTS);
    assert_non_null(strstr(syn_error_message(), text));
    assert_non_null(strstr(syn_error_message(), "another process listens there"));

    syn_socket_close(&first);
    assert_int_equal(listen_on(text, &second), SYN_OK); /* free again, at once */
    syn_socket_close(&second);
}

static void a_live_unix_socket_is_refused(void **state)
{
    (void)state;
    char text[300];
    syn_socket first, second;
    (void)snprintf(text, sizeof text, "unix://%s/live", folder);
    assert_int_equal(listen_on(text, &first), SYN_OK);

    assert_int_equal(listen_on(text, &second), SYN_ALREADY_EXISTS);
    assert_non_null(strstr(syn_error_message(), text));
    assert_true(syn_path_exists(first.address.path));

    syn_socket_close(&first);
    assert_false(syn_path_exists(first.address.path));
}

static void the_socket_of_a_dead_process_is_replaced(void **state)
{
    (void)state;
    char text[300];
    syn_socket first, second;
    syn_log_set_level(SYN_LOG_ERROR);
    (void)snprintf(text, sizeof text, "unix://%s/stale", folder);
    assert_int_equal(listen_on(text, &first), SYN_OK);
    (void)close(first.fd); /* as a killed process leaves it: the file stays */
    assert_true(syn_path_exists(first.address.path));

    assert_int_equal(listen_on(text, &second), SYN_OK);

    assert_true(syn_path_exists(second.address.path));
    syn_socket_close(&second);
    syn_socket_close(&second); /* twice does nothing */
    assert_false(syn_path_exists(second.address.path));
}

static void closing_leaves_the_socket_of_another_alone(void **state)
{
    (void)state;
    char text[300];
    syn_socket first, second;
    (void)snprintf(text, sizeof text, "unix://%s/taken", folder);
    assert_int_equal(listen_on(text, &first), SYN_OK);
    assert_int_equal(unlink(first.address.path), 0); /* by somebody's hand */
    assert_int_equal(listen_on(text, &second), SYN_OK);

    syn_socket_close(&first);

    assert_true(syn_path_exists(second.address.path));
    syn_socket_close(&second);
}

static void a_file_that_is_no_socket_is_left_alone(void **state)
{
    (void)state;
    char text[300];
    syn_socket s;
    (void)snprintf(text, sizeof text, "unix://%s/file", folder);
    int fd = open(text + strlen("unix://"), O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    (void)close(fd);

    assert_int_equal(listen_on(text, &s), SYN_ALREADY_EXISTS);
    assert_non_null(strstr(syn_error_message(), "is no socket"));
    assert_true(syn_path_exists(text + strlen("unix://")));
}

static void a_missing_folder_is_named(void **state)
{
    (void)state;
    char text[300];
    syn_socket s;
    (void)snprintf(text, sizeof text, "unix://%s/none/s", folder);

    assert_int_equal(listen_on(text, &s), SYN_UNAVAILABLE);
    assert_non_null(strstr(syn_error_message(), text));
    assert_non_null(strstr(syn_error_message(), "No such file"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        T(the_forms_of_addresses_are_read_and_written),
        T(what_is_no_address_is_refused_with_its_text),
        T(only_loopback_is_listened_on),
        T(a_port_in_use_is_named),
        T(a_live_unix_socket_is_refused),
        T(the_socket_of_a_dead_process_is_replaced),
        T(closing_leaves_the_socket_of_another_alone),
        T(a_file_that_is_no_socket_is_left_alone),
        T(a_missing_folder_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
