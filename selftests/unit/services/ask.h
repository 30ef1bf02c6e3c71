/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * An HTTP client that runs in the server's own loop, and ports that nobody else has: the process
 * has a loopback of its own, and no connection of its own begins at such a port. Each step must
 * succeed, else the test fails.
 */
#include <event2/event.h>
#include <stdint.h>

int own_loopback(void **state); /* a group's setup; 0 or -1 */
int occupy(uint16_t *ret_port); /* listens */
uint16_t free_port(void);
int call(int family, uint16_t port); /* a connection on loopback, or -1 */
/* Sends, and reads until the other side closes; static. */
const char *ask(struct event_base *base, int family, uint16_t port, const char *request);
