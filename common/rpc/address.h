/* Addresses of servers as text and as parts, and the sockets that listen on them. */
#ifndef COMMON_RPC_ADDRESS_H
#define COMMON_RPC_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <syncline/status.h>
#include <sys/stat.h>

typedef struct syn_address {
    bool is_unix;
    char path[108]; /* of the unix socket */
    char host[256]; /* name or number, IPv6 without brackets */
    uint16_t port;
} syn_address;

enum { SYN_ADDRESS_TEXT = 300 };

/* The forms that rpc.h lists; INVALID_ARGUMENT names the text and what is wrong with it. */
syn_status syn_address_parse(const char *text, syn_address *address_out);
/* The text that parses to the same address. */
void syn_address_format(const syn_address *address, char text[SYN_ADDRESS_TEXT]);

/* A listening, non-blocking socket. TCP: loopback only (PERMISSION_DENIED otherwise); port 0
 * becomes the one chosen. Unix: mode 0600; the socket file of a dead process is replaced, a live
 * one refused. In use: ALREADY_EXISTS. */
typedef struct syn_socket {
    int fd;
    syn_address address; /* as bound */
    dev_t device;        /* of the socket file */
    ino_t inode;
} syn_socket;
syn_status syn_socket_listen(const syn_address *address, syn_socket *socket_out);
/* Closes, and removes the socket file if it is still this one. */
void syn_socket_close(syn_socket *socket);

/* Who is at the other end, into `text`: "127.0.0.1:41234" or "unix:pid 4711 uid 1000". */
enum { SYN_PEER_TEXT = 64 };
void syn_socket_peer(int fd, char text[SYN_PEER_TEXT], bool *has_uid_out, uid_t *uid_out);

#endif
