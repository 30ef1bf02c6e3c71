// SPDX-License-Identifier: Apache-2.0
/*
 * Random clusters against the oracle, as test_oracle.c, but all of it real: the compiler writes the
 * maps of the loaded BPF programs, and a flow is packets that these are given. Flows are of TCP,
 * UDP, SCTP and ping, between pods of the node, of another one, nodes and the outside, by address
 * and through services, which are judged by the backend. Some stay, and are judged again after
 * every change, by packets of either end and ICMP errors. Needs root. SEED=…, FLOWS=… and SHOW=1
 * as in test_oracle.c.
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/modules/policy/kmaps.h"
#include "lib/json/json.h"
#include "selftests/unit/policy/history.h"
#include "selftests/unit/policy/lab.h"

#define FLOWS	      25000
#define STEPS	      10
#define FLOWS_OF_STEP 40
#define KEPT	      24

#define SYN 0x02
#define ACK 0x10

struct flow {
	enum loom_hook hook; /* by which its first packet came in */
	uint8_t proto;
	union loom_addr src, dst, to; /* dst: as the client has it; to: behind all services */
	uint16_t sport, dport, to_port;
	const struct lab_service *service; /* NULL: none */
	struct lab_place from, at;	   /* where src and to were when it began */
	struct packet seen;		   /* how packets of the client reach the other end */
};

struct run {
	struct history h; /* first: history's callback finds the run by it */
	struct lab lab;
	struct kmaps kmaps;
	bool closed[MODEL_PODS]; /* came after the latest commit */
	struct flow kept[KEPT];
	size_t n_kept, flows, denied, looks, cut, pending, services;
	uint16_t sport;
};

static bool enforced(const struct run *run)
{
	struct loom_epol node;
	uint32_t zero = 0;

	assert_int_equal(run->lab.t->get("loom_epol", &zero, &node), 0);
	return node.flags & LOOM_EPOL_ENFORCED;
}

/* ---- pods ---- */

/* What the runtime has wired has addresses, whether its object says so yet or not. */
static void tell_addrs(struct json_object *pod, const union loom_addr addrs[2])
{
	struct json_object *list = json_path(pod, "status.podIPs");
	char text[ADDR_STRLEN];

	if (json_object_array_length(list))
		return;
	for (int i = 0; i < 2; i++) {
		struct json_object *o = json_object_new_object();

		json_add_str(o, "ip", addr_format(&addrs[i], text));
		json_append(list, o);
	}
}

static enum lab_kind kind_of(struct json_object *pod, size_t i, const union loom_addr addrs[2])
{
	if (!oracle_counts(pod))
		return LAB_OUTSIDE;
	if (i < MODEL_PODS - LAB_REMOTE_PODS)
		return LAB_POD;
	return oracle_has_addr(pod, &addrs[0]) ? LAB_REMOTE : LAB_OUTSIDE;
}

static void set_endpoint(struct history *h, size_t i)
{
	struct run *run = (struct run *)h;
	enum lab_kind was = run->lab.pods[i], now;
	struct json_object *pod = h->model.pods[i];
	union loom_addr addrs[2];
	char key[64];

	lab_pod_addrs(i, addrs);
	now = kind_of(pod, i, addrs);
	if (was == LAB_POD && now != LAB_POD)
		world_del_endpoint(h->cluster.world, i + 1);
	lab_set_pod(&run->lab, i, now);
	if (now != LAB_POD)
		return;
	tell_addrs(pod, addrs);
	history_key(pod, key, sizeof(key));
	assert_int_equal(world_set_endpoint(h->cluster.world, i + 1, key, "", addrs, 2), 0);
	run->closed[i] |= was != LAB_POD;
}

/* ---- what is right ---- */

/* Does policy let a flow be that reaches that backend? */
static bool is_allowed(const struct run *run, const struct flow *f, const union loom_addr *to,
		       uint16_t port)
{
	const struct model *m = &run->h.model;
	struct lab_place src = lab_place(&run->lab, &f->src), dst = lab_place(&run->lab, to);

	if (src.kind == LAB_POD && !oracle_allows(m, m->pods[src.pod], false, to, f->proto, port))
		return false;
	if (dst.kind != LAB_POD)
		return true;
	if (src.kind == LAB_HOST && f->hook == LOOM_HOOK_FROM_HOST &&
	    !run->h.cluster.world->police_host)
		return true;
	return oracle_allows(m, m->pods[dst.pod], true, &f->src, f->proto, port);
}

static void fail_flow(const struct run *run, const struct flow *f, const char *what, int reason,
		      bool want)
{
	static const char *const reasons[] = {
#define X(name, text) #name,
		LOOM_DROP_REASONS(X)
#undef X
	};
	char src[ADDR_STRLEN], dst[ADDR_STRLEN], to[ADDR_STRLEN];

	if (getenv("SHOW"))
		history_show(&run->h);
	fail_msg(
		"seed %llu, world %zu, step %zu: %s, protocol %u, by hook %u from %s to %s port %u "
		"(%s port %u): %s, the oracle says %s",
		(unsigned long long)run->h.seed, run->h.world, run->h.step, what, f->proto, f->hook,
		addr_format(&f->src, src), addr_format(&f->dst, dst), f->dport,
		addr_format(&f->to, to), f->to_port, reasons[reason], want ? "allowed" : "denied");
}

/* ---- packets of a flow ---- */

static int send_first(struct run *run, struct flow *f)
{
	struct packet p = { .src = f->src,
			    .dst = f->dst,
			    .proto = f->proto,
			    .tcp_flags = SYN,
			    .icmp_type = 8,
			    .sport = f->sport,
			    .dport = f->dport };

	return lab_send(&run->lab, f->hook, &p, &f->seen);
}

static int send_next(struct run *run, const struct flow *f)
{
	struct packet out, p = { .src = f->src,
				 .dst = f->dst,
				 .proto = f->proto,
				 .tcp_flags = ACK,
				 .icmp_type = 8,
				 .sport = f->sport,
				 .dport = f->dport };

	return lab_send(&run->lab, f->hook, &p, &out);
}

static int send_answer(struct run *run, const struct flow *f, uint8_t tcp_flags)
{
	bool ping = f->proto == IPPROTO_ICMP;
	struct packet out, p = { .src = f->seen.dst,
				 .dst = f->seen.src,
				 .proto = f->proto,
				 .tcp_flags = tcp_flags,
				 .sport = ping ? f->seen.sport : f->seen.dport,
				 .dport = f->seen.sport };

	return lab_send(&run->lab, lab_hook(f->at.kind), &p, &out);
}

/* The other end can't make use of what came: an ICMP error that quotes it. */
static int send_error(struct run *run, const struct flow *f)
{
	struct packet out, p = { .src = f->seen.dst,
				 .dst = f->seen.src,
				 .shape = PACKET_ERROR_TTL,
				 .quote_proto = f->proto,
				 .quote_src = f->seen.src,
				 .quote_dst = f->seen.dst,
				 .quote_sport = f->seen.sport,
				 .quote_dport = f->seen.dport };

	return lab_send(&run->lab, lab_hook(f->at.kind), &p, &out);
}

/* ---- flows that stay ---- */

static bool is_place(const struct run *run, const union loom_addr *addr, struct lab_place place)
{
	struct lab_place now = lab_place(&run->lab, addr);

	return now.kind == place.kind && (now.kind != LAB_POD || now.pod == place.pod);
}

/* Some get their first answer after a change only. */
static void keep(struct run *run, const struct flow *f)
{
	int reason = random_below(&run->h.random, 4) ? send_answer(run, f, SYN | ACK) : 0;

	if (reason)
		fail_flow(run, f, "the answer", reason, true);
	run->kept[run->n_kept++] = *f;
}

/* Those whose ends have moved are no longer. */
static void forget_moved(struct run *run)
{
	size_t n = 0;

	for (size_t i = 0; i < run->n_kept; i++) {
		const struct flow *f = &run->kept[i];

		if (is_place(run, &f->src, f->from) && is_place(run, &f->to, f->at))
			run->kept[n++] = *f;
	}
	run->n_kept = n;
}

/* Packets of both ends and errors, whichever may be the first after a change. */
static void look_again(struct run *run)
{
	static const char *const names[] = { "a live flow", "a live flow's answer",
					     "an error about a live flow" };

	for (size_t i = 0; i < run->n_kept; i++) {
		const struct flow *f = &run->kept[i];
		bool want = is_allowed(run, f, &f->to, f->to_port);
		uint32_t first = random_below(&run->h.random, 3);

		for (uint32_t turn = 0; turn < 3; turn++) {
			uint32_t what = (first + turn) % 3;
			int reason;

			if (what == 2 && f->proto == IPPROTO_ICMP)
				continue;
			reason = what == 2   ? send_error(run, f)
				 : what == 1 ? send_answer(run, f, ACK)
					     : send_next(run, f);
			if (reason != (want ? 0 : LOOM_DROP_POLICY))
				fail_flow(run, f, names[what], reason, want);
		}
		run->looks++;
		run->cut += !want;
	}
}

/* ---- flows that begin ---- */

/* The backend that was chosen is where the packet went. */
static void find_backend(struct flow *f)
{
	f->to = f->seen.dst;
	f->to_port = f->seen.dport;
	for (size_t i = 0; i < f->service->n; i++)
		if (addr_equal(&f->service->backends[i].addr, &f->to) &&
		    f->service->backends[i].port == f->to_port)
			return;
	fail_msg("a packet to no backend of the service");
}

/* Of a service that was denied: some backend is. */
static bool wanted(const struct run *run, struct flow *f, int reason)
{
	const struct lab_service *s = f->service;

	if (!s)
		return is_allowed(run, f, &f->to, f->to_port);
	if (!reason)
		find_backend(f);
	for (size_t i = 0; reason && i < s->n; i++) {
		f->to = s->backends[i].addr;
		f->to_port = s->backends[i].port;
		if (!is_allowed(run, f, &f->to, f->to_port))
			return false;
	}
	return is_allowed(run, f, &f->to, f->to_port);
}

static void begin(struct run *run, struct flow *f)
{
	int reason;
	bool want;

	f->sport = run->sport++;
	if (run->sport < 1024)
		run->sport = 1024;
	reason = send_first(run, f);
	want = wanted(run, f, reason);
	if (reason != (want ? 0 : LOOM_DROP_POLICY))
		fail_flow(run, f, "a new flow", reason, want);
	run->flows++;
	run->denied += !want;
	run->services += f->service != NULL;
	f->from = lab_place(&run->lab, &f->src);
	f->at = lab_place(&run->lab, &f->to);
	if (want && run->n_kept < KEPT && random_below(&run->h.random, 4) == 0)
		keep(run, f);
}

/* The pod's address of the family; false when the pod is not on this node. */
static bool pod_addr(const struct run *run, size_t pod, bool v4, union loom_addr *ret)
{
	union loom_addr addrs[2];

	if (run->lab.pods[pod] != LAB_POD)
		return false;
	lab_pod_addrs(pod, addrs);
	*ret = addrs[v4 ? 0 : 1];
	return true;
}

/* By which hook what `f->src` sends comes; uplink instead of tunnel and host now and then. */
static void choose_hook(struct run *run, struct flow *f)
{
	enum lab_kind kind = lab_place(&run->lab, &f->src).kind;

	f->hook = lab_hook(kind);
	if (kind != LAB_POD && random_below(&run->h.random, 4) == 0)
		f->hook = kind == LAB_OUTSIDE ? LOOM_HOOK_FROM_HOST : LOOM_HOOK_FROM_NET;
}

/* From a pod to anybody, or the other way round. */
static void flow_by_address(struct run *run, size_t pod, bool out)
{
	struct random *r = &run->h.random;
	union loom_addr peer, own;
	struct flow f = {};

	random_addr(r, &peer);
	random_port(r, &f.proto, &f.dport);
	if (!pod_addr(run, pod, addr_is_v4(&peer), &own) || addr_equal(&own, &peer))
		return;
	f.src = out ? own : peer;
	f.dst = f.to = out ? peer : own;
	f.to_port = f.dport;
	choose_hook(run, &f);
	begin(run, &f);
}

/* Those of this node alone are reached by clients outside with the client's address. */
static bool is_local(const struct run *run, const struct lab_service *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (lab_place(&run->lab, &s->backends[i].addr).kind != LAB_POD)
			return false;
	return true;
}

static void flow_to_service(struct run *run, size_t pod, bool out)
{
	struct random *r = &run->h.random;
	const struct lab_service *s = &run->lab.services[random_below(r, LAB_SERVICES)];
	bool v4 = addr_is_v4(&s->front);
	struct flow f = { .service = s, .proto = s->proto, .dst = s->front, .dport = s->port };

	if (out) {
		if (!pod_addr(run, pod, v4, &f.src))
			return;
	} else {
		random_addr(r, &f.src);
		if (addr_is_v4(&f.src) != v4 || !is_local(run, s) ||
		    lab_place(&run->lab, &f.src).kind != LAB_OUTSIDE)
			return;
	}
	f.hook = out ? LOOM_HOOK_FROM_POD : LOOM_HOOK_FROM_NET;
	begin(run, &f);
}

static void one_flow(struct run *run)
{
	struct random *r = &run->h.random;
	size_t pod = random_below(r, MODEL_PODS);
	bool out = random_below(r, 2);

	if (random_below(r, 3))
		flow_by_address(run, pod, out);
	else
		flow_to_service(run, pod, out);
}

/* ---- while it changes ---- */

/* A pod whose policies are not compiled yet neither sends nor is sent to. */
static void try_closed(struct run *run)
{
	struct flow f = { .proto = IPPROTO_TCP, .dport = 80, .to_port = 80 };
	union loom_addr pod[2], outside;

	assert_int_equal(addr_parse("9.9.9.9", &outside, NULL), 0);
	for (size_t i = 0; i < MODEL_PODS; i++) {
		int want = enforced(run) ? LOOM_DROP_POLICY_PENDING : 0, reason;

		if (!run->closed[i] || run->lab.pods[i] != LAB_POD)
			continue;
		lab_pod_addrs(i, pod);
		for (int in = 0; in < 2; in++) {
			f.src = in ? outside : pod[0];
			f.dst = f.to = in ? pod[0] : outside;
			f.hook = in ? LOOM_HOOK_FROM_NET : LOOM_HOOK_FROM_POD;
			f.sport = run->sport++;
			reason = send_first(run, &f);
			if (reason != want)
				fail_flow(run, &f, "a pod that is not known", reason, !want);
		}
		run->pending++;
	}
}

static void one_world(struct run *run, const struct polmaps *maps)
{
	struct history *h = &run->h;

	run->n_kept = 0;
	memset(run->closed, 0, sizeof(run->closed));
	lab_build(&run->lab, &target_bpf, &h->random);
	cluster_begin(&h->cluster, maps);
	h->cluster.world->police_host = random_below(&h->random, 4) == 0;
	history_fill(h);
	for (h->step = 0; h->step < STEPS; h->step++) {
		cluster_settle(&h->cluster);
		memset(run->closed, 0, sizeof(run->closed));
		look_again(run);
		for (int i = 0; i < FLOWS_OF_STEP; i++)
			one_flow(run);
		history_change(h);
		forget_moved(run);
		try_closed(run);
		/* A new agent that has read all, and written nothing yet. */
		if (h->restarted)
			look_again(run);
	}
	history_forget(h);
}

static void the_programs_do_what_the_objects_say(void **state)
{
	uint64_t flows = history_number("FLOWS", FLOWS);
	struct run run = { .sport = 1024 };
	struct polmaps maps = {
		.ops = &kmaps_ops,
		.arg = &run.kmaps,
		.max_sets = LOOM_POL_SETS,
		.max_rules = LOOM_POL_RULES,
		.max_classes = LOOM_POL_CLASSES,
		.max_idents = LOOM_POL_IDENTS,
		.max_eps = LOOM_MAX_EPS,
	};

	history_start(&run.h, set_endpoint);
	run.kmaps = (struct kmaps){ .bump = lab_bump, .arg = &run.lab };
	for (enum polmap i = 0; i < POLMAPS; i++)
		run.kmaps.fds[i] = target_bpf_map_fd(polmap_name(i));
	for (; run.flows < flows; run.h.world++)
		one_world(&run, &maps);
	printf("%zu flows in %zu worlds, %zu denied, %zu through services; %zu times a live flow "
	       "was "
	       "judged again, %zu cut; %zu pods tried before they were known\n",
	       run.flows, run.h.world, run.denied, run.services, run.looks, run.cut, run.pending);
	assert_true(run.denied > run.flows / 10 && run.denied < run.flows * 9 / 10);
	/* A few worlds need not have had all of it. */
	if (run.h.world >= 100)
		assert_true(run.services > run.flows / 20 && run.cut > 0 && run.pending > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_programs_do_what_the_objects_say),
	};
	int err = target_bpf.start();

	if (err) {
		printf("[  ERROR   ] the programs can't be loaded: %s\n", strerror(-err));
		return 1;
	}
	err = cmocka_run_group_tests(tests, NULL, NULL);
	target_bpf.stop();
	return err;
}
