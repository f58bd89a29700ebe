/* The texts of gRPC over HTTP/2: status messages, timeouts, content types, codes of HTTP and
 * HTTP/2. */
#ifndef COMMON_RPC_GRPC_TEXT_H
#define COMMON_RPC_GRPC_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <syncline/status.h>

enum {
    SYN_GRPC_MESSAGE_MAX = 4096, /* bytes of a status message before encoding */
    SYN_GRPC_ENCODED_MAX = SYN_GRPC_MESSAGE_MAX * 3 + 1 /* and after, with a NUL */
};

/* Percent-encodes all outside 0x20-0x7e and '%' (gRPC's PROTOCOL-HTTP2, Status-Message); returns
 * the length. A longer message is cut between UTF-8 characters. */
size_t syn_grpc_message_encode(char encoded[SYN_GRPC_ENCODED_MAX], const char *message);
/* Decodes into `message`, NUL-terminated, cut to what fits; what is no escape is kept as it stands.
 */
void syn_grpc_message_decode(char message[SYN_GRPC_MESSAGE_MAX + 1], const char *encoded,
                             size_t length);

/* "100m" and the like: 1 to 8 digits and one of H M S m u n. False for anything else. Saturates. */
bool syn_grpc_timeout_parse(const char *text, size_t length, uint64_t *timeout_ns_out);
/* The text of a timeout, not shorter than asked. */
void syn_grpc_timeout_format(char text[16], uint64_t timeout_ns);

/* Whether a content type is gRPC's with protocol buffers. */
bool syn_grpc_content_type_is_ok(const char *text, size_t length);
/* A grpc-status value; UNKNOWN for what is none. */
syn_status syn_grpc_status_parse(const char *text, size_t length);
/* What an HTTP status, or a stream's HTTP/2 error code, means to a caller that got no grpc-status.
 */
syn_status syn_grpc_status_of_http(int http_status);
syn_status syn_grpc_status_of_h2(uint32_t error_code);

#endif
