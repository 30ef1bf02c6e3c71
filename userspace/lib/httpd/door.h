/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The door of an HTTP server: connections are taken in only while the process has descriptors to
 * spare. Anybody on the node can connect to the loopback port; without this, connections that say
 * nothing would take every descriptor from the rest of the process, and accept() would fail in a
 * loop that never sleeps. Whoever comes while the door is shut waits in the socket's backlog; it is
 * opened again after a second.
 *
 *	door_new(base, &d);
 *	door_listen(d, evhttp, fd);     the evhttp owns the descriptor
 *	evhttp_free(evhttp);
 *	door_free(d);                   after the servers, and without the loop turning in between
 */
#include <event2/event.h>
#include <event2/http.h>

#include "lib/base/util.h"

struct door;
int door_new(struct event_base *base, struct door **ret);
void door_free(struct door *d); /* accepts NULL */
/* Takes connections from `fd`, which listens, for `server`; at most DOOR_SOCKETS of them. -ENOMEM:
 * `fd` is still the caller's. */
int door_listen(struct door *d, struct evhttp *server, int fd);

#define DOOR_SOCKETS 4
/* Shut from this many descriptors of the process on, or from half of what it may have. */
#define DOOR_MAX_DESCRIPTORS 512
