/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * For tests of the module with maps of the kernel: a world of its own for each test, objects to
 * put into it, and what the maps say then. What is asked for must be there, else the test fails.
 */
#include "selftests/unit/services/fake_agent.h"

int world_up(void **state); /* *state is a struct fake */
int world_down(void **state);
void restart(struct fake *f);
void sound(struct fake *f); /* invariants_broken() */

/* From text with ' for ". */
struct json_object *json(const char *fmt, ...) _printf_(1, 2);
union loom_addr addr(const char *text);

/* Ports in host order. */
bool front(struct fake *f, const char *at, uint16_t port, uint8_t proto, struct loom_svc *ret);
struct loom_svc tcp_front(struct fake *f, const char *at, uint16_t port);
bool has_front(struct fake *f, const char *at, uint16_t port);
struct loom_backend backend(struct fake *f, uint32_t number);
/* "10.1.0.1:8080 10.1.0.2:8080 ": a table's backends, each once, in the slots' order; static. */
const char *table(struct fake *f, uint32_t first, uint32_t size);
const char *in_of(struct fake *f, const char *at, uint16_t port);
/* What /v1/services says of default/<name>: "taken", "left out" or ""; static. */
const char *problem_of(struct fake *f, const char *name);
uint64_t writes(struct fake *f);
bool bit(struct fake *f, enum loom_port_set set, uint16_t port);

/* Service default/<name> with one port, 80; `more` goes into its spec, after a comma. */
void put_service(struct fake *f, const char *name, const char *vip, const char *more);
/* Its slice <service>-1: endpoints 10.1.0.<first> and so on, n of them, port 8080, on node1 when
 * they are even, else on node2. */
void put_slice(struct fake *f, const char *service, int first, int n);
void drop(struct fake *f, const char *kind, const char *name);
