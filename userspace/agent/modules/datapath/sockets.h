/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Ends sockets that were translated to a backend that is gone. The map loom_sockrev tells which:
 * the socket's cookie and the backend's address. They are found by sock_diag in the network
 * namespace of the calling thread, by both, and destroyed (SOCK_DESTROY, Linux 4.5, with
 * CONFIG_INET_DIAG_DESTROY). Sockets of other namespaces are left alone (docs/socket-lb.md).
 */
#include <stdint.h>

#include "lib/base/err.h"

/*
 * Those of the backend and of the generation that loom_backend has; their entries in loom_sockrev
 * go as well. A map that is not there (-1) has no sockets. The number of sockets that were
 * destroyed, or negative errno.
 */
int sockets_end(int sockrev_fd, int backend_fd, uint32_t backend, struct err *e);
