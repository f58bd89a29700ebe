/* Parsing addresses, and binding to them without taking what a live process holds. */
#include "common/rpc/address.h"

#include "common/base/log.h"
#include "common/base/str.h"
#include "common/rpc/rpc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 511 };

static syn_status bad_address(const char *text, const char *why)
{
    return SYN_FAIL(SYN_INVALID_ARGUMENT,
                    "bad address \"%.200s\": %s (use unix:///path or host:port)", text, why);
}

static syn_status parse_port(const char *text, const char *digits, uint16_t *port_out)
{
    int64_t value;

    if (*digits < '0' || *digits > '9' || !syn_parse_i64(digits, &value) || value > UINT16_MAX)
        return bad_address(text, "the port is not a number from 0 to 65535");
    *port_out = (uint16_t)value;
    return SYN_OK;
}

static syn_status parse_unix(const char *text, syn_address *address)
{
    const char *path = text + strlen("unix:");

    if (syn_has_prefix(path, "//"))
        path += 2;
    size_t length = strlen(path);
    if (length == 0)
        return bad_address(text, "the path is missing");
    if (length >= sizeof address->path)
        return bad_address(text, "a unix socket's path has at most 107 bytes");
    address->is_unix = true;
    memcpy(address->path, path, length + 1);
    return SYN_OK;
}

syn_status syn_address_parse(const char *text, syn_address *address_out)
{
    syn_address address = {.port = SYN_RPC_DEFAULT_PORT};
    const char *host = text, *end, *port = NULL;

    if (syn_has_prefix(text, "unix:")) {
        SYN_TRY(parse_unix(text, &address));
        *address_out = address;
        return SYN_OK;
    }
    if (*text == '[') {
        host = text + 1;
        end = strchr(host, ']');
        if (!end || (end[1] != '\0' && end[1] != ':'))
            return bad_address(text, "the bracket of the IPv6 address is not closed");
        port = end[1] ? end + 2 : NULL;
    } else {
        end = strchr(text, ':');
        if (end)
            port = end + 1;
        else
            end = text + strlen(text);
        if (port && strchr(port, ':'))
            return bad_address(text, "an IPv6 address stands in brackets");
    }
    if (port)
        SYN_TRY(parse_port(text, port, &address.port));
    if (end == host && !port)
        return bad_address(text, "it is empty");
    if (end == host) {
        host = "127.0.0.1";
        end = host + strlen(host);
    }
    if ((size_t)(end - host) >= sizeof address.host)
        return bad_address(text, "the host name is too long");
    for (const char *c = host; c < end; c++)
        if ((unsigned char)*c <= ' ' || strchr("/@?#\\", *c))
            return bad_address(text, "a character of the host name is not allowed");
    memcpy(address.host, host, (size_t)(end - host));
    *address_out = address;
    return SYN_OK;
}

syn_status syn_rpc_address_check(const char *address)
{
    syn_address parsed;
    return syn_address_parse(address, &parsed);
}

void syn_address_format(const syn_address *address, char text[SYN_ADDRESS_TEXT])
{
    if (address->is_unix)
        (void)snprintf(text, SYN_ADDRESS_TEXT, "unix:%s%s", *address->path == '/' ? "//" : "",
                       address->path);
    else
        (void)snprintf(text, SYN_ADDRESS_TEXT, strchr(address->host, ':') ? "[%s]:%u" : "%s:%u",
                       address->host, address->port);
}

/* ---- listening ---- */

static syn_status refuse(const syn_address *address, syn_status code, const char *why)
{
    char text[SYN_ADDRESS_TEXT];

    syn_address_format(address, text);
    return SYN_FAIL(code, "cannot listen on %s: %s", text, why);
}

static syn_status refuse_errno(const syn_address *address)
{
    if (errno == EADDRINUSE)
        return refuse(address, SYN_ALREADY_EXISTS, "another process listens there");
    return refuse(address,
                  errno == EACCES || errno == EPERM ? SYN_PERMISSION_DENIED : SYN_UNAVAILABLE,
                  strerror(errno));
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)address;
        return ntohl(in->sin_addr.s_addr) >> 24 == 127;
    }
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)address;
        return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
    }
    return false;
}

static syn_status bind_tcp(const syn_address *address, const struct addrinfo *info, int *fd_out)
{
    const int one = 1;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return refuse_errno(address);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        syn_status status = refuse_errno(address);
        (void)close(fd);
        return status;
    }
    *fd_out = fd;
    return SYN_OK;
}

static uint16_t bound_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } bound = {.in6.sin6_port = 0};
    socklen_t length = sizeof bound;

    if (getsockname(fd, &bound.any, &length) != 0)
        return 0;
    return ntohs(bound.any.sa_family == AF_INET6 ? bound.in6.sin6_port : bound.in.sin_port);
}

static syn_status listen_tcp(const syn_address *address, syn_socket *socket_out)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    const struct addrinfo *chosen = NULL;
    char port[8];

    (void)snprintf(port, sizeof port, "%u", address->port);
    int error = getaddrinfo(address->host, port, &hints, &found);
    if (error)
        return refuse(address, SYN_INVALID_ARGUMENT, gai_strerror(error));
    syn_status status = SYN_OK;
    for (const struct addrinfo *i = found; i; i = i->ai_next) {
        if (!is_loopback(i->ai_addr))
            status =
                refuse(address, SYN_PERMISSION_DENIED,
                       "it is reachable from other machines, and without encryption and tokens "
                       "only 127.0.0.1, [::1], localhost or a unix socket are allowed");
        if (!chosen || (i->ai_family == AF_INET && chosen->ai_family != AF_INET))
            chosen = i;
    }
    if (!chosen)
        status = refuse(address, SYN_INVALID_ARGUMENT, "the name has no address");
    if (status == SYN_OK)
        status = bind_tcp(address, chosen, &socket_out->fd);
    freeaddrinfo(found);
    SYN_TRY(status);
    socket_out->address.port = bound_port(socket_out->fd);
    return SYN_OK;
}

/* Under the folder's lock: two servers that start at once must not both take a dead one's socket
 * for stale. */
static int lock_folder_of(const char *path)
{
    char folder[sizeof((syn_address *)0)->path] = ".";
    const char *slash = strrchr(path, '/');

    if (slash) {
        size_t length = slash == path ? 1 : (size_t)(slash - path);
        memcpy(folder, path, length);
        folder[length] = '\0';
    }
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd >= 0 && flock(fd, LOCK_EX) != 0 && errno == EINTR) {
    }
    return fd;
}

static syn_status remove_stale(const syn_address *address, const struct sockaddr_un *un)
{
    struct stat st;

    if (lstat(un->sun_path, &st) != 0)
        return errno == ENOENT ? SYN_OK : refuse_errno(address);
    if (!S_ISSOCK(st.st_mode))
        return refuse(address, SYN_ALREADY_EXISTS, "the file exists and is no socket");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return refuse_errno(address);
    int result = connect(fd, (const struct sockaddr *)un, sizeof *un), error = errno;
    (void)close(fd);
    if (result == 0 || error != ECONNREFUSED)
        return refuse(address, SYN_ALREADY_EXISTS,
                      result == 0 || error == EAGAIN ? "another process listens there"
                                                     : strerror(error));
    SYN_INFO("replacing %s, whose process is gone", un->sun_path);
    if (unlink(un->sun_path) != 0 && errno != ENOENT)
        return refuse_errno(address);
    return SYN_OK;
}

static syn_status bind_unix(const syn_address *address, const struct sockaddr_un *un,
                            syn_socket *socket_out)
{
    struct stat st;

    SYN_TRY(remove_stale(address, un));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return refuse_errno(address);
    /* Linux makes the file with the socket's own mode: there is no moment in which others could
     * connect. */
    if (fchmod(fd, S_IRUSR | S_IWUSR) != 0 ||
        bind(fd, (const struct sockaddr *)un, sizeof *un) != 0) {
        syn_status status = refuse_errno(address);
        (void)close(fd);
        return status;
    }
    if (chmod(un->sun_path, S_IRUSR | S_IWUSR) != 0 || lstat(un->sun_path, &st) != 0 ||
        listen(fd, BACKLOG) != 0) {
        syn_status status = refuse_errno(address);
        (void)unlink(un->sun_path);
        (void)close(fd);
        return status;
    }
    socket_out->fd = fd;
    socket_out->device = st.st_dev;
    socket_out->inode = st.st_ino;
    return SYN_OK;
}

static syn_status listen_unix(const syn_address *address, syn_socket *socket_out)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    memcpy(un.sun_path, address->path, sizeof un.sun_path);
    int lock = lock_folder_of(address->path);
    if (lock < 0)
        return refuse_errno(address);
    syn_status status = bind_unix(address, &un, socket_out);
    (void)close(lock);
    return status;
}

syn_status syn_socket_listen(const syn_address *address, syn_socket *socket_out)
{
    syn_socket s = {.fd = -1, .address = *address};

    SYN_TRY(address->is_unix ? listen_unix(address, &s) : listen_tcp(address, &s));
    *socket_out = s;
    return SYN_OK;
}

void syn_socket_close(syn_socket *socket)
{
    struct stat st;

    if (socket->fd < 0)
        return;
    if (socket->address.is_unix && lstat(socket->address.path, &st) == 0 &&
        st.st_dev == socket->device && st.st_ino == socket->inode)
        (void)unlink(socket->address.path);
    (void)close(socket->fd);
    socket->fd = -1;
}

void syn_socket_peer(int fd, char text[SYN_PEER_TEXT], bool *has_uid_out, uid_t *uid_out)
{
    struct sockaddr_storage peer = {0};
    socklen_t length = sizeof peer;
    struct ucred credentials;
    socklen_t credentials_length = sizeof credentials;
    char host[INET6_ADDRSTRLEN] = "?";

    *has_uid_out = false;
    (void)snprintf(text, SYN_PEER_TEXT, "unknown");
    if (getpeername(fd, (struct sockaddr *)&peer, &length) != 0)
        return;
    if (peer.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)&peer;
        (void)inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        (void)snprintf(text, SYN_PEER_TEXT, "%s:%u", host, ntohs(in->sin_port));
    } else if (peer.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)&peer;
        (void)inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
        (void)snprintf(text, SYN_PEER_TEXT, "[%s]:%u", host, ntohs(in6->sin6_port));
    } else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &credentials_length) == 0) {
        (void)snprintf(text, SYN_PEER_TEXT, "unix:pid %ld uid %ld", (long)credentials.pid,
                       (long)credentials.uid);
        *has_uid_out = true;
        *uid_out = credentials.uid;
    }
}
