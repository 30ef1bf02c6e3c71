// SPDX-License-Identifier: Apache-2.0
#include "selftests/unit/services/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/json/json.h"
#include "selftests/unit/services/invariants.h"
#include "selftests/unit/services/kernel_maps.h"
#include "selftests/unit/services/quotes.h"

int world_up(void **state)
{
	static const struct fake_maps small = { .max_fronts = 64,
						.max_backends = 64,
						.max_slots = 4096,
						.max_vips = LOOM_VIP_SERVICE_FIRST + 32,
						.max_ranges = 256 };
	struct fake *f = calloc(1, sizeof(*f));

	f->maps = small;
	if (kernel_maps_new(&f->maps) < 0)
		return -1;
	fake_init(f);
	fake_start(f);
	fake_resync(f, EVENT_FULL_RESYNC);
	fake_synced(f);
	*state = f;
	return 0;
}

int world_down(void **state)
{
	struct fake *f = *state;

	fake_stop(f);
	fake_fini(f);
	kernel_maps_close(&f->maps);
	free(f);
	return 0;
}

/* ---- asking ---- */

struct json_object *json(const char *fmt, ...)
{
	struct json_object *o;
	char text[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	o = quoted_json(text);
	assert_non_null(o);
	return o;
}

union loom_addr addr(const char *text)
{
	union loom_addr a;

	assert_int_equal(addr_parse(text, &a, NULL), 0);
	return a;
}

bool front(struct fake *f, const char *at, uint16_t port, uint8_t proto, struct loom_svc *ret)
{
	struct loom_svckey k = { .addr = addr(at), .port = htons(port), .proto = proto };

	return bpf_map_lookup_elem(f->maps.svc, &k, ret) == 0;
}

struct loom_svc tcp_front(struct fake *f, const char *at, uint16_t port)
{
	struct loom_svc v = {};

	if (!front(f, at, port, IPPROTO_TCP, &v))
		fail_msg("no frontend %s port %u", at, port);
	return v;
}

bool has_front(struct fake *f, const char *at, uint16_t port)
{
	struct loom_svc v;

	return front(f, at, port, IPPROTO_TCP, &v);
}

struct loom_backend backend(struct fake *f, uint32_t number)
{
	struct loom_backend b = {};

	assert_int_equal(bpf_map_lookup_elem(f->maps.backend, &number, &b), 0);
	return b;
}

/* "10.1.0.1:8080 10.1.0.2:8080": a table's backends, each once, in the slots' order. */
const char *table(struct fake *f, uint32_t first, uint32_t size)
{
	static char text[1024];
	char one[80], a[ADDR_STRLEN];

	text[0] = 0;
	for (uint32_t i = 0; i < size; i++) {
		struct loom_backend b = backend(f, svcmaps_slot(fake_services(f)->maps, first + i));

		snprintf(one, sizeof(one), "%s:%u ", addr_format(&b.addr, a), ntohs(b.port));
		if (!strstr(text, one))
			strncat(text, one, sizeof(text) - strlen(text) - 1);
	}
	return text;
}

const char *in_of(struct fake *f, const char *at, uint16_t port)
{
	struct loom_svc v = tcp_front(f, at, port);

	return table(f, v.in, v.in_size);
}

const char *problem_of(struct fake *f, const char *name)
{
	static char path[200];
	char *text, *at;

	snprintf(path, sizeof(path), "/v1/services/default/%s", name);
	text = fake_get(f, path);
	assert_non_null(text);
	at = strstr(text, " has it");
	snprintf(path, sizeof(path), "%s",
		 at			    ? "taken"
		 : strstr(text, "left out") ? "left out"
					    : "");
	free(text);
	return path;
}

uint64_t writes(struct fake *f)
{
	return fake_services(f)->maps->writes;
}

bool bit(struct fake *f, enum loom_port_set set, uint16_t port)
{
	uint32_t word = set * LOOM_PORTS_WORDS + port / 64;
	uint64_t v = 0;

	bpf_map_lookup_elem(f->maps.ports, &word, &v);
	return v >> (port & 63) & 1;
}

void sound(struct fake *f)
{
	const char *broken = invariants_broken(f, true);

	if (broken)
		fail_msg("%s", broken);
}

void restart(struct fake *f)
{
	fake_stop(f);
	fake_start(f);
	assert_int_equal(fake_resync(f, EVENT_FULL_RESYNC), 0);
}

/* ---- making ---- */

void put_service(struct fake *f, const char *name, const char *vip, const char *more)
{
	char key[200];

	snprintf(key, sizeof(key), "service/default/%s", name);
	fake_change(f, key,
		    json("{'spec':{'clusterIPs':['%s'],'ports':[{'port':80}]%s}}", vip, more));
}

/* Endpoints "10.1.0.<first>" and so on, n of them. */
void put_slice(struct fake *f, const char *service, int first, int n)
{
	struct json_object *o = json("{'metadata':{'labels':{'kubernetes.io/service-name':'%s'}},"
				     "'addressType':'IPv4','ports':[{'port':8080}],'endpoints':[]}",
				     service);
	char key[200];

	for (int i = first; i < first + n; i++)
		json_append(json_field(o, "endpoints"),
			    json("{'addresses':['10.1.%d.%d'],'nodeName':'node%d'}", i / 256,
				 i % 256, i % 2 + 1));
	snprintf(key, sizeof(key), "endpointslice/default/%s-1", service);
	fake_change(f, key, o);
}

void drop(struct fake *f, const char *kind, const char *name)
{
	char key[200];

	snprintf(key, sizeof(key), "%s/default/%s", kind, name);
	fake_change(f, key, NULL);
}
