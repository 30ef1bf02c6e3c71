// SPDX-License-Identifier: Apache-2.0
/* clang-format off */
/*
 * A life of Services and EndpointSlices, one step a line:
 *
 *	S<x> JSON   Service default/<x>; without JSON: gone
 *	E<x> JSON   EndpointSlice default/<x>
 *	N<x> JSON   what node<x> publishes
 *	P<x>, p<x>  a pod with hostPorts comes, goes
 *	F, f        flows have ended and slots are free; the collector fails
 *	T           services that were short of room are tried again
 *	R, U        full resync, upstream resync
 *	X, Y        the agent is restarted; all is reflected
 *
 * After each step the maps hold what invariants.c says.
 */
/* clang-format on */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "agent/modules/services/health.h"
#include "lib/base/log.h"
#include "lib/json/json.h"
#include "selftests/fuzz/services/memory_maps.h"
#include "selftests/unit/services/invariants.h"

#define MAX_STEPS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Nothing is opened. */
int health_new(struct event_base *base, struct health **ret)
{
	*ret = NULL;
	return 0;
}

void health_free(struct health *h)
{
}

int health_set(struct health *h, uint16_t port, const char *ns, const char *name,
	       unsigned int local, struct err *e)
{
	return port == 1 ? err_set(e, -98, "port %u is in use", port) : 0;
}

void health_set_proxy(struct health *h, bool healthy)
{
}

void health_drop(struct health *h, uint16_t port)
{
}

/* Timers go off when a step says so, not after a while. */
static void turn(struct fake *f, bool fails)
{
	void (*done)(struct agent * a, int err, void *arg) = f->flows_done;
	struct services *s = fake_services(f);

	f->flows_done = NULL;
	if (done)
		done(fake_agent(f), fails ? -5 : 0, f->flows_arg);
	fake_fire(s->flows.free_timer);
	fake_fire(s->flows.retry);
	fake_fire(s->flows.sockets);
	s->flows.next_ms = 0;
	fake_fire(s->flows.pause);
	event_base_loop(f->base, EVLOOP_NONBLOCK);
}

static void pod(struct fake *f, char which, bool add)
{
	static struct port_mapping ports[] = {
		{ .host_port = 80, .container_port = 80, .proto = 6 },
		{ .host_port = 81, .container_port = 80, .proto = 17 }
	};
	char name[] = { which, 0 };
	struct attachment att = { .container_id = name,
				  .ifname = "eth0",
				  .pod_namespace = "default",
				  .pod_name = name,
				  .ports = ports,
				  .n_ports = 2 };

	addr_from_v4(0x0a010000 + (uint8_t)which, &att.ips.ip4);
	if (which & 1)
		addr_parse("fd00:1::1", &att.ips.ip6, NULL);
	fake_pod(f, &att, add);
}

static void put(struct fake *f, const char *fmt, char which, const char *text, size_t len)
{
	struct json_object *o = NULL;
	char key[64];

	snprintf(key, sizeof(key), fmt, which);
	if (len && json_parse(text, len, &o, NULL) < 0)
		return;
	if (o && !json_object_is_type(o, json_type_object)) {
		json_object_put(o);
		return;
	}
	fake_change(f, key, o);
}

static void step(struct fake *f, const char *line, size_t len)
{
	char which = len > 1 && line[1] >= 'a' && line[1] <= 'd' ? line[1] : 'a';
	const char *rest = len > 2 ? line + 2 : line + len;
	size_t n = len > 2 ? len - 2 : 0;

	switch (line[0]) {
	case 'S':
		return put(f, "service/default/%c", which, rest, n);
	case 'E':
		return put(f, "endpointslice/default/%c", which, rest, n);
	case 'N':
		return put(f, "/netloom/node/node%c", which, rest, n);
	case 'P':
	case 'p':
		return pod(f, which, line[0] == 'P');
	case 'F':
	case 'f':
		return turn(f, line[0] == 'f');
	case 'T':
		fake_fire(fake_services(f)->short_timer);
		event_base_loop(f->base, EVLOOP_NONBLOCK);
		return;
	case 'R':
		fake_resync(f, EVENT_FULL_RESYNC);
		return;
	case 'U':
		fake_resync(f, EVENT_UPSTREAM_RESYNC);
		return;
	case 'X':
		fake_stop(f);
		fake_start(f);
		fake_resync(f, EVENT_FULL_RESYNC);
		return;
	case 'Y':
		return fake_synced(f);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *at = (const char *)data, *end = at + len;
	struct fake f = {};

	log_set_level(LOG_LVL_ERROR);
	memory_maps_reset(&f.maps);
	fake_init(&f);
	fake_start(&f);
	fake_resync(&f, EVENT_FULL_RESYNC);
	for (int i = 0; i < MAX_STEPS && at < end; i++) {
		const char *eol = memchr(at, '\n', end - at) ?: end;
		const char *broken;

		if (eol > at)
			step(&f, at, eol - at);
		broken = invariants_broken(&f, eol + 1 >= end);
		if (broken) {
			fprintf(stderr, "step %d: %s\n", i, broken);
			abort();
		}
		at = eol + 1;
	}
	free(fake_get(&f, "/v1/services"));
	fake_stop(&f);
	fake_fini(&f);
	return 0;
}
