// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "selftests/bpf/world.h"

#define BACKENDS  4
#define NOT_THERE ((enum who)WHO_MAX) /* a number that no backend has */

#define NP  (LOOM_SVC_NODEPORT | LOOM_SVC_EXTERNAL)
#define LB  (LOOM_SVC_LOADBALANCER | LOOM_SVC_EXTERNAL)
#define CIP LOOM_SVC_CLUSTER_IP

struct end {
	enum who who;
	__u16 port;
};

/* front NOBODY: every address of every node. */
static const struct {
	enum who front;
	__u16 port;
	__u32 flags, affinity_s;
	struct end in[BACKENDS], out[BACKENDS];
} services[] = {
	{ VIP, 80, CIP, 0, { { E, 8080 } }, {} },
	{ VIP, 81, CIP, 0, { { C, 8080 } }, {} },
	{ VIP, 82, CIP, 0, { { D, 8080 } }, {} },
	{ VIP, 83, CIP, 0, {}, {} },
	{ VIP, 84, CIP | LOOM_SVC_LOCAL_IN | LOOM_SVC_SILENT_IN, 0, {}, {} },
	{ VIP, 85, CIP, 0, { { NODE, 9090 } }, {} },
	{ VIP, 86, CIP, 0, { { NODE2, 9090 } }, {} },
	{ VIP, 87, CIP, 0, { { OUT, 443 } }, {} },
	{ VIP, 88, CIP, 0, { { NOT_THERE, 1 } }, {} },
	{ VIP, 89, CIP, 0, { { A, 8080 } }, {} },
	{ VIP, 90, CIP, 0, { { NOT_THERE, 1 }, { C, 8080 } }, {} },
	{ VIP, 91, CIP | LOOM_SVC_AFFINITY, 60, { { E, 8080 }, { C, 8080 }, { D, 8080 } }, {} },
	{ VIP, 8080, CIP, 0, { { C, 8080 } }, {} },
	{ VIP2, 80, CIP, 0, { { C, 8080 } }, {} },
	{ EXT, 80, LB, 0, { { E, 8080 } }, { { E, 8080 } } },
	{ EXT, 81, LB | LOOM_SVC_SRCRANGE, 0, { { E, 8080 } }, { { E, 8080 } } },
	{ EXT, 82, LB, 0, { { C, 8080 } }, { { C, 8080 } } },
	{ EXT, 83, LB | LOOM_SVC_LOCAL_OUT | LOOM_SVC_SILENT_OUT, 0, { { C, 8080 } }, {} },
	{ EXT, 84, LB | LOOM_SVC_DSR, 0, { { C, 8080 } }, { { C, 8080 } } },
	{ EXT, 85, LB | LOOM_SVC_DSR, 0, { { D, 8080 } }, { { D, 8080 } } },
	{ EXT, 86, LB | LOOM_SVC_DSR, 0, { { E, 8080 } }, { { C, 8080 }, { E, 8080 } } },
	{ EXT, 88, LB, 0, { { NODE, 9090 } }, { { NODE, 9090 } } },
	{ EXT, 8080, LB, 0, { { E, 8080 } }, { { E, 8080 } } },
	{ NOBODY, 30080, NP, 0, { { E, 8080 } }, { { E, 8080 } } },
	{ NOBODY, 30081, NP, 0, { { C, 8080 } }, { { C, 8080 } } },
	{ NOBODY, 30082, NP, 0, { { D, 8080 } }, { { D, 8080 } } },
	{ NOBODY, 30083, NP, 0, { { NODE2, 9090 } }, { { NODE2, 9090 } } },
	{ NOBODY, 30084, NP | LOOM_SVC_LOCAL_OUT | LOOM_SVC_SILENT_OUT, 0, { { C, 8080 } }, {} },
	{ NOBODY, 30085, NP, 0, { { NODE, 9090 } }, { { NODE, 9090 } } },
	{ NOBODY, 30086, NP | LOOM_SVC_DSR, 0, { { E, 8080 } }, { { E, 8080 } } },
	{ NOBODY,
	  30087,
	  LOOM_SVC_HOSTPORT | LOOM_SVC_EXTERNAL,
	  0,
	  { { E, 8080 } },
	  { { E, 8080 } } },
	{ NOBODY, 30088, NP, 0, { { A, 8080 } }, { { A, 8080 } } },
	{ NOBODY, 30090, NP, 0, { { C, 8080 } }, { { C, 8080 } } },
	{ NOBODY, 30092, NP, 0, { { E, 8080 } }, { { E, 8080 }, { C, 8080 }, { D, 8080 } } },
	{ EXT, 87, LB, 0, { { E, 8080 } }, { { E, 8080 }, { C, 8080 }, { D, 8080 } } },
	{ NODE, 30090, LB, 0, { { E, 8080 } }, { { E, 8080 } } },
	{ VIP, 30080, CIP, 0, { { E, 8080 } }, {} },
};

#define SERVICES (sizeof(services) / sizeof(services[0]))

static const __u8 protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };

#define PROTOS (sizeof(protos) / sizeof(protos[0]))

static __u32 proto_number(__u8 proto)
{
	return proto == IPPROTO_TCP ? 0 : proto == IPPROTO_UDP ? 1 : 2;
}

static void must(int err)
{
	if (err)
		abort();
}

static __u32 vip_number(enum who who, int family)
{
	if (who == NODE)
		return LOOM_VIP_NODE_FIRST + (family == 6);
	return LOOM_VIP_SERVICE_FIRST + 2 * who + (family == 6);
}

static __u32 backend_number(struct end e, __u8 proto, int family)
{
	return 1 + ((e.who * 4 + (e.port == 9090)) * PROTOS + proto_number(proto)) * 2 +
	       (family == 6);
}

static void put_backend(const struct target *t, struct end e, __u8 proto, int family)
{
	__u32 number = backend_number(e, proto, family);
	struct loom_backend b = { .port = htons(e.port), .proto = proto, .gen = 7 };

	if (e.who == NOT_THERE)
		return;
	b.addr = world_addr(e.who, family);
	b.flags = LOOM_BACKEND_PRESENT | LOOM_BACKEND_READY;
	b.node = e.who == C || e.who == NODE2 ? 2 : e.who == D ? 3 : e.who == OUT ? 0 : 1;
	if (b.node == 1)
		b.flags |= LOOM_BACKEND_LOCAL;
	if (e.who == NODE || e.who == NODE2)
		b.flags |= LOOM_BACKEND_HOST;
	must(t->put("loom_backend", &number, &b));
}

/* A table of as many slots as there are backends; returns its size. */
static __u32 put_table(const struct target *t, const struct end *ends, __u8 proto, int family,
		       __u32 base)
{
	__u32 i, slot, number;

	for (i = 0; i < BACKENDS && ends[i].port; i++) {
		slot = base + i;
		put_backend(t, ends[i], proto, family);
		number = ends[i].who == NOT_THERE ? 0x7fffffff
						  : backend_number(ends[i], proto, family);
		must(t->put("loom_lut", &slot, &number));
	}
	return i;
}

static void put_ports(const struct target *t)
{
	__u64 front[LOOM_PORTS_WORDS] = {}, bits = 1ull << 9090 % 64;
	__u32 i, word;

	for (i = 0; i < SERVICES; i++) {
		if (services[i].port >= 30000)
			front[services[i].port / 64] |= 1ull << services[i].port % 64;
	}
	for (i = 0; i < LOOM_PORTS_WORDS; i++) {
		word = LOOM_PORTS_FRONT * LOOM_PORTS_WORDS + i;
		if (front[i])
			must(t->put("loom_ports", &word, &front[i]));
	}
	word = LOOM_PORTS_HOST_BACKEND * LOOM_PORTS_WORDS + 9090 / 64;
	must(t->put("loom_ports", &word, &bits));
}

static void put_source(const struct target *t, __u32 service, enum who who, int family)
{
	struct loom_srckey src = { .prefixlen = 160,
				   .service = service,
				   .addr = world_addr(who, family) };
	__u32 one = 1;

	must(t->put("loom_srcrange", &src, &one));
}

static void put_service(const struct target *t, __u32 i, __u8 proto, int family)
{
	__u32 base = ((i * PROTOS + proto_number(proto)) * 2 + (family == 6)) * 2 * BACKENDS, vip;
	struct loom_svckey k = { .port = htons(services[i].port), .proto = proto };
	struct loom_svc v = { .service = 1 + base / BACKENDS,
			      .flags = services[i].flags,
			      .affinity_s = services[i].affinity_s,
			      .in = base,
			      .out = base + BACKENDS };
	union loom_addr addr = world_addr(services[i].front, family);

	v.in_size = put_table(t, services[i].in, proto, family, v.in);
	v.out_size = put_table(t, services[i].out, proto, family, v.out);
	if (services[i].front != NOBODY) {
		k.addr = addr;
		vip = v.vip = vip_number(services[i].front, family);
		must(t->put("loom_vip", &vip, &addr));
	} else if (family == 4) {
		k.addr.w[2] = LOOM_V4_MARK;
	}
	must(t->put("loom_svc", &k, &v));
	if (v.flags & LOOM_SVC_SRCRANGE) {
		put_source(t, v.service, PEERED, family);
		put_source(t, v.service, A, family);
	}
}

void world_add_services(const struct target *t)
{
	union loom_addr addr;
	__u32 i, n, vip;
	int family;

	for (family = 4; family <= 6; family += 2) {
		for (i = 0; i < SERVICES; i++) {
			for (n = 0; n < PROTOS; n++)
				put_service(t, i, protos[n], family);
		}
		vip = vip_number(NODE, family);
		addr = world_addr(NODE, family);
		must(t->put("loom_vip", &vip, &addr));
	}
	put_ports(t);
}

void world_set_backend(const struct target *t, enum who who, __u8 flags)
{
	static const __u16 ports[] = { 8080, 9090 };
	const __u8 keep = LOOM_BACKEND_LOCAL | LOOM_BACKEND_HOST;
	struct loom_backend b;
	__u32 number, i;

	for (i = 0; i < 4 * PROTOS; i++) {
		struct end e = { who, ports[i & 1] };

		number = backend_number(e, protos[i >> 2], i & 2 ? 6 : 4);
		if (t->get("loom_backend", &number, &b) || !b.port)
			continue;
		b.flags = (b.flags & keep) | flags;
		must(t->put("loom_backend", &number, &b));
	}
}

void world_lose_vip(const struct target *t, enum who who, int family)
{
	__u32 vip = vip_number(who, family);
	union loom_addr none = {};

	must(t->put("loom_vip", &vip, &none));
}
