// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "lib/base/addr.h"
#include "lib/base/folders.h"
#include "lib/httpd/httpd_int.h"

#define BACKLOG 64

/* ---- TCP ---- */

static socklen_t fill_sockaddr(const union loom_addr *addr, uint16_t port,
			       struct sockaddr_storage *ret)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	if (addr_is_v4(addr)) {
		*in = (struct sockaddr_in){ .sin_family = AF_INET,
					    .sin_port = htons(port),
					    .sin_addr.s_addr = htonl(addr_to_v4(addr)) };
		return sizeof(*in);
	}
	*in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(port) };
	memcpy(&in6->sin6_addr, addr, sizeof(in6->sin6_addr));
	return sizeof(*in6);
}

int httpd_socket_tcp(const char *address, uint16_t port, int *ret_fd, uint16_t *ret_port,
		     struct err *e)
{
	_cleanup_(closep) int fd = -1;
	struct sockaddr_storage sa = {};
	union loom_addr addr;
	socklen_t len;
	int one = 1, err = addr_parse(address, &addr, e);

	if (err < 0)
		return err;
	len = fill_sockaddr(&addr, port, &sa);
	fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_errno(e, -errno, "can't listen on %s port %u", address, port);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&sa, len) < 0 || listen(fd, BACKLOG) < 0 ||
	    getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		return err_errno(e, -errno, "can't listen on %s port %u", address, port);
	*ret_port = ntohs(sa.ss_family == AF_INET ? ((struct sockaddr_in *)&sa)->sin_port
						  : ((struct sockaddr_in6 *)&sa)->sin6_port);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* ---- unix ---- */

/* Whoever was killed leaves its socket; nobody answers there. */
static int remove_stale(const struct sockaddr_un *sa, struct err *e)
{
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return err_errno(e, -errno, "socket");
	if (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0 || errno == EAGAIN)
		return err_set(e, -EADDRINUSE, "'%s' is served by another process", sa->sun_path);
	if (errno == ECONNREFUSED && unlink(sa->sun_path) < 0)
		return err_errno(e, -errno, "can't remove '%s'", sa->sun_path);
	return 0;
}

int httpd_socket_unix(const char *path, unsigned int mode, int *ret_fd, struct err *e)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	_cleanup_(closep) int fd = -1;
	int err;

	if (strlen(path) >= sizeof(sa.sun_path))
		return err_set(e, -ENAMETOOLONG,
			       "'%s' is longer than the %zu bytes of a socket's path", path,
			       sizeof(sa.sun_path) - 1);
	memcpy(sa.sun_path, path, strlen(path));
	make_parents(path); /* bind() says what went wrong */
	err = remove_stale(&sa, e);
	if (err < 0)
		return err;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Linux gives the file the socket's own mode, less the umask: it is never more open than
	 * asked. */
	if (fd < 0 || fchmod(fd, mode) < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    chmod(path, mode) < 0 || listen(fd, BACKLOG) < 0)
		return err_errno(e, -errno, "can't listen on '%s'", path);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* ---- Host ---- */

/* Without port and brackets. */
static bool host_name(const char *host, char *ret, size_t len)
{
	const char *end;
	size_t n;

	if (*host == '[') {
		host++;
		end = strchr(host, ']');
		if (!end || (end[1] && end[1] != ':'))
			return false;
	} else {
		end = host + strcspn(host, ":");
	}
	n = end - host;
	if (!n || n >= len)
		return false;
	memcpy(ret, host, n);
	ret[n] = 0;
	return true;
}

static bool is_loopback(const union loom_addr *a)
{
	union loom_addr one;

	if (addr_is_v4(a))
		return addr_to_v4(a) >> 24 == 127;
	addr_parse("::1", &one, NULL);
	return addr_equal(a, &one);
}

bool httpd_host_allowed(const char *host, const char *address)
{
	union loom_addr asked, served;
	char name[256];

	if (!host || !host_name(host, name, sizeof(name)))
		return false;
	if (strcasecmp(name, "localhost") == 0)
		return true;
	if (addr_parse(name, &asked, NULL) < 0)
		return false;
	if (is_loopback(&asked))
		return true;
	if (!address || addr_parse(address, &served, NULL) < 0)
		return false;
	return addr_is_zero(&served) || addr_equal(&asked, &served);
}
