/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Inside of lib/httpd: sockets to listen on, and who may ask. */
#include "lib/httpd/httpd.h"

DEFINE_FREEP(struct httpd, httpd_free)

/* Listening and non-blocking. */
int httpd_socket_tcp(const char *address, uint16_t port, int *ret_fd, uint16_t *ret_port,
		     struct err *e);
/* Takes the place of a socket that nobody listens on; -EADDRINUSE when somebody does. Folders above
 * it are made. */
int httpd_socket_unix(const char *path, unsigned int mode, int *ret_fd, struct err *e);

/*
 * A Host header (RFC 9110, 7.2; may be NULL) that names localhost, a loopback address or `address`.
 * With a wildcard address, any IP address will do: rebinding needs a name.
 */
bool httpd_host_allowed(const char *host, const char *address);
