/* Encoding and decoding of gRPC's header texts. */
#include "common/rpc/grpc_text.h"

#include <inttypes.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

size_t syn_grpc_message_encode(char encoded[SYN_GRPC_ENCODED_MAX], const char *message)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t length = strnlen(message, SYN_GRPC_MESSAGE_MAX + 1), n = 0;

    if (length > SYN_GRPC_MESSAGE_MAX) {
        length = SYN_GRPC_MESSAGE_MAX;
        while (length > SYN_GRPC_MESSAGE_MAX - 4 && ((unsigned char)message[length] & 0xc0) == 0x80)
            length--;
    }
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)message[i];
        if (c >= 0x20 && c <= 0x7e && c != '%') {
            encoded[n++] = (char)c;
        } else {
            encoded[n++] = '%';
            encoded[n++] = hex[c >> 4];
            encoded[n++] = hex[c & 15];
        }
    }
    encoded[n] = '\0';
    return n;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

void syn_grpc_message_decode(char message[SYN_GRPC_MESSAGE_MAX + 1], const char *encoded,
                             size_t length)
{
    size_t n = 0;

    for (size_t i = 0; i < length && n < SYN_GRPC_MESSAGE_MAX; i++) {
        int high = -1, low = -1;
        if (encoded[i] == '%' && i + 2 < length) {
            high = hex_value(encoded[i + 1]);
            low = hex_value(encoded[i + 2]);
        }
        if (high >= 0 && low >= 0 && (high || low)) {
            message[n++] = (char)(high << 4 | low);
            i += 2;
        } else {
            message[n++] = encoded[i];
        }
    }
    message[n] = '\0';
}

bool syn_grpc_timeout_parse(const char *text, size_t length, uint64_t *timeout_ns_out)
{
    uint64_t value = 0, unit;

    if (length < 2 || length > 9)
        return false;
    for (size_t i = 0; i + 1 < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    switch (text[length - 1]) {
    case 'H':
        unit = UINT64_C(3600000000000);
        break;
    case 'M':
        unit = UINT64_C(60000000000);
        break;
    case 'S':
        unit = UINT64_C(1000000000);
        break;
    case 'm':
        unit = 1000000;
        break;
    case 'u':
        unit = 1000;
        break;
    case 'n':
        unit = 1;
        break;
    default:
        return false;
    }
    *timeout_ns_out = value > INT64_MAX / unit ? INT64_MAX : value * unit;
    return true;
}

void syn_grpc_timeout_format(char text[16], uint64_t timeout_ns)
{
    static const struct {
        char name;
        uint64_t ns;
    } units[] = {{'n', 1},
                 {'u', 1000},
                 {'m', 1000000},
                 {'S', UINT64_C(1000000000)},
                 {'M', UINT64_C(60000000000)},
                 {'H', UINT64_C(3600000000000)}};

    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        uint64_t value = timeout_ns / units[i].ns + (timeout_ns % units[i].ns != 0);
        if (value <= 99999999) {
            (void)snprintf(text, 16, "%" PRIu64 "%c", value, units[i].name);
            return;
        }
    }
    (void)snprintf(text, 16, "99999999H");
}

bool syn_grpc_content_type_is_ok(const char *text, size_t length)
{
    static const char prefix[] = "application/grpc", proto[] = "+proto";
    size_t n = sizeof prefix - 1;

    if (length < n || strncasecmp(text, prefix, n) != 0)
        return false;
    if (length - n >= sizeof proto - 1 && strncasecmp(text + n, proto, sizeof proto - 1) == 0)
        n += sizeof proto - 1;
    return length == n || text[n] == ';' || text[n] == ' ';
}

syn_status syn_grpc_status_parse(const char *text, size_t length)
{
    int value = 0;

    if (length == 0 || length > 2)
        return SYN_UNKNOWN;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return SYN_UNKNOWN;
        value = value * 10 + (text[i] - '0');
    }
    return value <= SYN_UNAUTHENTICATED ? (syn_status)value : SYN_UNKNOWN;
}

syn_status syn_grpc_status_of_http(int http_status)
{
    switch (http_status) {
    case 400:
        return SYN_INTERNAL;
    case 401:
        return SYN_UNAUTHENTICATED;
    case 403:
        return SYN_PERMISSION_DENIED;
    case 404:
        return SYN_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return SYN_UNAVAILABLE;
    default:
        return SYN_UNKNOWN;
    }
}

syn_status syn_grpc_status_of_h2(uint32_t error_code)
{
    switch (error_code) {
    case NGHTTP2_REFUSED_STREAM:
        return SYN_UNAVAILABLE;
    case NGHTTP2_CANCEL:
        return SYN_CANCELLED;
    case NGHTTP2_ENHANCE_YOUR_CALM:
        return SYN_RESOURCE_EXHAUSTED;
    case NGHTTP2_INADEQUATE_SECURITY:
        return SYN_PERMISSION_DENIED;
    default:
        return SYN_INTERNAL;
    }
}
