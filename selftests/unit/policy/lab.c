// SPDX-License-Identifier: Apache-2.0
#include "selftests/unit/policy/lab.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MTU	     1500
#define THIS_NODE    1
#define OTHER_NODE   2
#define LINK_OVERLAY 91
#define LINK_UPLINK  90
#define LINK_HOST    92
#define FIRST_LINK   100 /* of pods */

static const uint32_t zero;

static void must(int err)
{
	assert_int_equal(err, 0);
}

static union loom_addr addr_of(const char *text)
{
	union loom_addr a;

	must(addr_parse(text, &a, NULL));
	return a;
}

/* The generator's nodes; v4, v6. */
static void node_addrs(int node, union loom_addr ret[2])
{
	ret[0] = addr_of(node == THIS_NODE ? "172.18.0.1" : "172.18.0.2");
	ret[1] = addr_of(node == THIS_NODE ? "fd01::1" : "fd01::2");
}

void lab_pod_addrs(size_t pod, union loom_addr ret[2])
{
	char text[32];

	snprintf(text, sizeof(text), pod % 2 ? "10.1.0.%zu" : "10.1.1.%zu", pod + 1);
	ret[0] = addr_of(text);
	snprintf(text, sizeof(text), "fd00::%zu", pod + 1);
	ret[1] = addr_of(text);
}

static bool has(const union loom_addr addrs[2], const union loom_addr *addr)
{
	return addr_equal(&addrs[0], addr) || addr_equal(&addrs[1], addr);
}

struct lab_place lab_place(const struct lab *lab, const union loom_addr *addr)
{
	union loom_addr addrs[2];

	for (size_t i = 0; i < MODEL_PODS; i++) {
		lab_pod_addrs(i, addrs);
		if (has(addrs, addr))
			return (struct lab_place){ lab->pods[i], i };
	}
	for (int node = THIS_NODE; node <= OTHER_NODE; node++) {
		node_addrs(node, addrs);
		if (has(addrs, addr))
			return (struct lab_place){ node == THIS_NODE ? LAB_HOST : LAB_REMOTE, 0 };
	}
	return (struct lab_place){ LAB_OUTSIDE, 0 };
}

enum loom_hook lab_hook(enum lab_kind kind)
{
	static const enum loom_hook hooks[] = {
		[LAB_OUTSIDE] = LOOM_HOOK_FROM_NET,
		[LAB_POD] = LOOM_HOOK_FROM_POD,
		[LAB_REMOTE] = LOOM_HOOK_FROM_OVERLAY,
		[LAB_HOST] = LOOM_HOOK_FROM_HOST,
	};

	return hooks[kind];
}

/* ---- services ---- */

static uint32_t backend_number(size_t service, size_t i)
{
	return 1 + service * LAB_BACKENDS + i;
}

/* Whose the backends are changes; the tables don't. */
static void put_backends(struct lab *lab, size_t n)
{
	const struct lab_service *s = &lab->services[n];

	for (size_t i = 0; i < s->n; i++) {
		struct lab_place at = lab_place(lab, &s->backends[i].addr);
		uint32_t number = backend_number(n, i);
		union loom_addr node[2];
		struct loom_backend b = { .addr = s->backends[i].addr,
					  .port = htons(s->backends[i].port),
					  .proto = s->proto,
					  .gen = 1,
					  .flags = LOOM_BACKEND_PRESENT | LOOM_BACKEND_READY };

		node_addrs(OTHER_NODE, node);
		if (at.kind == LAB_HOST || has(node, &b.addr))
			b.flags |= LOOM_BACKEND_HOST;
		if (at.kind == LAB_POD || at.kind == LAB_HOST)
			b.flags |= LOOM_BACKEND_LOCAL;
		b.node = at.kind == LAB_OUTSIDE	 ? 0
			 : at.kind == LAB_REMOTE ? OTHER_NODE
						 : THIS_NODE;
		must(lab->t->put("loom_backend", &number, &b));
	}
}

static void put_service(struct lab *lab, size_t n)
{
	const struct lab_service *s = &lab->services[n];
	struct loom_svckey k = { .addr = s->front, .port = htons(s->port), .proto = s->proto };
	struct loom_svc v = { .service = 1 + n,
			      .vip = LOOM_VIP_SERVICE_FIRST + n,
			      .in = n * LAB_BACKENDS,
			      .in_size = s->n,
			      .out = n * LAB_BACKENDS,
			      .out_size = s->n,
			      .flags = LOOM_SVC_EXTERNAL | LOOM_SVC_LOADBALANCER |
				       LOOM_SVC_MAGLEV_IN };

	for (size_t i = 0; i < s->n; i++) {
		uint32_t slot = v.in + i, number = backend_number(n, i);

		must(lab->t->put("loom_lut", &slot, &number));
	}
	must(lab->t->put("loom_vip", &v.vip, &s->front));
	must(lab->t->put("loom_svc", &k, &v));
}

static void random_service(struct random *r, size_t n, struct lab_service *ret)
{
	bool v4 = n % 2 == 0;
	char text[32];

	*ret = (struct lab_service){ .port = 9000 + n, .n = 1 + random_below(r, LAB_BACKENDS) };
	snprintf(text, sizeof(text), v4 ? "10.96.0.%zu" : "fd96::%zu", n + 1);
	ret->front = addr_of(text);
	for (size_t i = 0; i < ret->n; i++) {
		do
			random_addr(r, &ret->backends[i].addr);
		while (addr_is_v4(&ret->backends[i].addr) != v4);
		do
			random_port(r, &ret->proto, &ret->backends[i].port);
		while (ret->proto == IPPROTO_ICMP);
	}
}

/* ---- the node ---- */

static void put_state(struct lab *lab)
{
	union loom_addr node[2];
	struct loom_state st = { .policy_gen = 1,
				 .route_gen = 1,
				 .node_id = THIS_NODE,
				 .host_ifindex = LINK_HOST,
				 .overlay_ifindex = LINK_OVERLAY,
				 .uplink_ifindex = LINK_UPLINK,
				 .uplink_mtu = MTU,
				 .flags = LOOM_STATE_MASQUERADE | LOOM_STATE_TUNNEL |
					  LOOM_STATE_SERVICES };

	node_addrs(THIS_NODE, node);
	st.masq4 = node[0];
	st.masq6 = node[1];
	must(lab->t->put("loom_state", &zero, &st));
}

static void put_nodes(struct lab *lab)
{
	struct loom_remote r = { .node = OTHER_NODE, .flags = LOOM_REMOTE_NODE };
	struct loom_node other = { .flags = LOOM_NODE_PRESENT | LOOM_NODE_TUNNEL, .mtu = MTU };
	struct loom_ep own = { .flags = LOOM_EP_HOST };
	union loom_addr here[2], there[2];
	uint32_t id = OTHER_NODE;

	node_addrs(THIS_NODE, here);
	node_addrs(OTHER_NODE, there);
	other.underlay = there[0];
	must(lab->t->put("loom_node", &id, &other));
	for (int i = 0; i < 2; i++) {
		struct loom_ipkey mine = { .addr = here[i] }, its = { .addr = there[i] };

		own.ep = LOOM_VIP_NODE_FIRST + i;
		must(lab->t->put("loom_ep", &mine, &own));
		must(lab->t->put("loom_ip", &its, &r));
	}
}

void lab_build(struct lab *lab, const struct target *t, struct random *r)
{
	*lab = (struct lab){ .t = t };
	t->reset();
	put_state(lab);
	put_nodes(lab);
	for (size_t i = 0; i < LAB_SERVICES; i++) {
		random_service(r, i, &lab->services[i]);
		put_service(lab, i);
		put_backends(lab, i);
	}
}

static void macs(size_t pod, uint8_t mac[6], uint8_t hmac[6])
{
	memcpy(mac, (uint8_t[]){ 2, 0, 0, 0, 0, pod + 1 }, 6);
	memcpy(hmac, (uint8_t[]){ 2, 0, 0, 0, 1, pod + 1 }, 6);
}

static void wire(struct lab *lab, size_t pod, const union loom_addr addrs[2])
{
	struct loom_ep ep = { .ifindex = FIRST_LINK + pod, .ep = pod + 1, .mtu = MTU };
	struct loom_ifcfg link = { .ep = pod + 1,
				   .role = LOOM_IF_POD,
				   .mtu = MTU,
				   .ip4 = addrs[0].w[3],
				   .ip6 = addrs[1] };

	macs(pod, ep.mac, ep.hmac);
	macs(pod, link.mac, link.hmac);
	must(lab->t->put("loom_ifcfg", &ep.ifindex, &link));
	for (int i = 0; i < 2; i++)
		must(lab->t->put("loom_ep", &(struct loom_ipkey){ .addr = addrs[i] }, &ep));
}

static void put_remote(struct lab *lab, const union loom_addr addrs[2])
{
	struct loom_remote r = { .node = OTHER_NODE };

	for (int i = 0; i < 2; i++)
		must(lab->t->put("loom_ip", &(struct loom_ipkey){ .addr = addrs[i] }, &r));
}

/* What the agent does when a pod's endpoint is gone. */
static void unwire(struct lab *lab, enum lab_kind was, const union loom_addr addrs[2])
{
	for (int i = 0; i < 2; i++) {
		struct loom_gc_args gc = { .mode = LOOM_GC_ADDR, .addr = addrs[i] };
		struct loom_ipkey k = { .addr = addrs[i] };

		must(lab->t->del(was == LAB_POD ? "loom_ep" : "loom_ip", &k));
		must(lab->t->gc(&gc));
	}
}

static int bump(struct lab *lab, bool routes, bool policies)
{
	struct loom_state st;
	int err = lab->t->get("loom_state", &zero, &st);

	st.route_gen += routes;
	st.policy_gen += policies;
	return err ?: lab->t->put("loom_state", &zero, &st);
}

int lab_bump(void *arg)
{
	return bump(arg, false, true);
}

void lab_set_pod(struct lab *lab, size_t pod, enum lab_kind kind)
{
	enum lab_kind was = lab->pods[pod];
	union loom_addr addrs[2];

	if (kind == was)
		return;
	lab_pod_addrs(pod, addrs);
	lab->pods[pod] = kind;
	if (was != LAB_OUTSIDE)
		unwire(lab, was, addrs);
	if (kind == LAB_POD)
		wire(lab, pod, addrs);
	else if (kind == LAB_REMOTE)
		put_remote(lab, addrs);
	for (size_t i = 0; i < LAB_SERVICES; i++)
		put_backends(lab, i);
	must(bump(lab, true, false));
}

/* ---- packets ---- */

/* The link that packets of a test run come in by is whatever the hook wants. */
static void set_link(struct lab *lab, enum loom_hook hook, size_t pod)
{
	uint32_t from = FIRST_LINK + pod, to = TARGET_IFINDEX;
	struct loom_ifcfg link = { .role = hook == LOOM_HOOK_FROM_HOST	? LOOM_IF_HOST
					   : hook == LOOM_HOOK_FROM_NET ? LOOM_IF_UPLINK
									: LOOM_IF_OVERLAY };

	if (hook == LOOM_HOOK_FROM_POD)
		must(lab->t->get("loom_ifcfg", &from, &link));
	must(lab->t->put("loom_ifcfg", &to, &link));
}

int lab_send(struct lab *lab, enum loom_hook hook, struct packet *p, struct packet *ret)
{
	struct lab_place from = lab_place(lab, &p->src);
	struct target_verdict v = {};
	struct target_packet bytes;
	union loom_addr other[2];

	set_link(lab, hook, from.pod);
	macs(from.pod, p->smac, p->dmac);
	p->ttl = 64;
	p->payload = 8;
	packet_build(p, &bytes);
	if (hook == LOOM_HOOK_FROM_OVERLAY) {
		node_addrs(OTHER_NODE, other);
		bytes.vni = LOOM_DEFAULT_VNI;
		bytes.outer_src = other[0];
	}
	must(lab->t->run(hook, &bytes, &v));
	if (v.reason)
		return v.reason;
	must(packet_parse(&bytes, ret));
	return 0;
}
