// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
#include "selftests/bpf/golden.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* What a case remembers between its packets: the port that masquerade chose. */
struct run {
	const struct target *t;
	const struct golden *g;
	const struct golden_step *s;
	int family;
	__u16 nat_port;
	struct timespec sent; /* the latest packet */
};

#define check(r, ok)                                                                         \
	do {                                                                                 \
		if (!(ok))                                                                   \
			fail_msg("%s, IPv%d, %s, step %td: " #ok, (r)->g->name, (r)->family, \
				 (r)->t->name, (r)->s - (r)->g->steps + 1);                  \
	} while (0)

#define check_eq(r, have, want)                                                          \
	do {                                                                             \
		long long have_ = (have), want_ = (want);                                \
		if (have_ != want_)                                                      \
			fail_msg("%s, IPv%d, %s, step %td: " #have " is %lld, not %lld", \
				 (r)->g->name, (r)->family, (r)->t->name,                \
				 (r)->s - (r)->g->steps + 1, have_, want_);              \
	} while (0)

static __u16 port(const struct run *r, __u16 p)
{
	return p == NAT_PORT ? r->nat_port : p;
}

static union loom_addr dressed_up(const struct run *r, enum who who)
{
	return world_addr(who, r->s->v4_in_v6 ? 4 : r->family);
}

static void build(const struct run *r, struct packet *ret)
{
	const struct golden_step *s = r->s;

	*ret = (struct packet){ .src = world_addr(s->src, r->family),
				.dst = world_addr(s->dst, r->family),
				.proto = s->proto,
				.ttl = s->ttl ? s->ttl : 64,
				.ecn = s->ecn,
				.tcp_flags = s->tcp_flags,
				.icmp_type = s->icmp_type,
				.sport = port(r, s->sport),
				.dport = port(r, s->dport),
				.payload = s->payload ? s->payload : 32,
				.df = s->df,
				.no_csum = s->no_csum,
				.shape = s->shape,
				.quote_src = world_addr(s->quote_src, r->family),
				.quote_dst = world_addr(s->quote_dst, r->family),
				.quote_proto = s->quote_proto,
				.quote_sport = port(r, s->quote_sport),
				.quote_dport = port(r, s->quote_dport) };
	memcpy(ret->smac, (s->src == B) != s->bad_mac ? mac_b : mac_a, 6);
	memcpy(ret->dmac, s->src == B ? hmac_b : hmac_a, 6);
	ret->dmac[5] ^= s->others;
}

/* IPv6 header around v4-mapped addresses. */
static void dress_up(const struct run *r, struct target_packet *p)
{
	union loom_addr src = dressed_up(r, r->s->src), dst = dressed_up(r, r->s->dst);

	memcpy(p->data + 22, &src, 16);
	memcpy(p->data + 38, &dst, 16);
}

static bool addr_is(const struct run *r, const union loom_addr *have, enum who want,
		    enum who unchanged)
{
	union loom_addr a = world_addr(want ? want : unchanged, r->family);

	return !memcmp(have, &a, sizeof(a));
}

static void check_macs(const struct run *r, const struct packet *out)
{
	if (r->s->kind != VERDICT_PEER)
		return;
	check(r, !memcmp(out->dmac, r->s->ifindex == LINK_B ? mac_b : mac_a, 6));
	check(r, !memcmp(out->smac, r->s->ifindex == LINK_B ? hmac_b : hmac_a, 6));
}

static void check_ports(struct run *r, const struct packet *out)
{
	const struct golden_step *s = r->s;

	if (s->shape == PACKET_LATER_FRAG)
		return;
	if (s->want_sport == NAT_PORT && !r->nat_port)
		r->nat_port = out->sport;
	check_eq(r, out->sport, port(r, s->want_sport ? s->want_sport : s->sport));
	check_eq(r, out->dport, port(r, s->want_dport ? s->want_dport : s->dport));
	if (s->want_sport == NAT_PORT)
		check(r, out->sport >= 10240 && out->sport <= 29999);
}

static void check_quote(struct run *r, const struct packet *out)
{
	const struct golden_step *s = r->s;

	check(r, addr_is(r, &out->quote_src, s->want_quote_src, s->quote_src));
	check(r, addr_is(r, &out->quote_dst, s->want_quote_dst, s->quote_dst));
	check_eq(r, out->quote_proto, s->quote_proto ? s->quote_proto : IPPROTO_UDP);
	check_eq(r, out->quote_sport,
		 port(r, s->want_quote_sport ? s->want_quote_sport : s->quote_sport));
	check_eq(r, out->quote_dport,
		 port(r, s->want_quote_dport ? s->want_quote_dport : s->quote_dport));
}

/* The error that we made for the sender: from the node, about the packet as it was sent. */
static void check_made_error(struct run *r, const struct packet *in, const struct packet *out)
{
	/* The host's stack takes nothing from its own address that comes in by a link. */
	check(r, addr_is(r, &out->src, r->s->want_src, NODE));
	check(r, addr_is(r, &out->dst, r->s->src, r->s->src));
	check(r, !memcmp(&out->quote_src, &in->src, 16));
	check(r, !memcmp(&out->quote_dst, &in->dst, 16));
	check_eq(r, out->quote_sport, in->sport);
	if (r->s->kind == VERDICT_REDIRECT)
		check(r, !memcmp(out->dmac, in->smac, 6));
	if (r->s->reason == LOOM_DROP_MTU)
		check_eq(r, out->mtu, POD_MTU);
}

/* The reset that answers for whom the packet was for. */
static void check_made_reset(struct run *r, const struct packet *in, const struct packet *out)
{
	check(r, !memcmp(&out->src, &in->dst, 16) && !memcmp(&out->dst, &in->src, 16));
	check_eq(r, out->proto, IPPROTO_TCP);
	check_eq(r, out->sport, in->dport);
	check_eq(r, out->dport, in->sport);
	check_eq(r, out->tcp_flags, in->tcp_flags & 0x10 ? 0x04 : 0x14);
	check_eq(r, out->payload, 0);
	if (r->s->kind == VERDICT_REDIRECT)
		check(r, !memcmp(out->dmac, in->smac, 6));
}

/* Outer headers, byte by byte, which are cut off then. */
static void check_encap(struct run *r, struct target_packet *p)
{
	union loom_addr src = world_addr(NODE, 4), dst = world_addr(NODE2, 4);
	const __u8 *ip = p->data + 14, *udp = ip + 20, *vxlan = udp + 8;
	static const __u8 vxlan_want[8] = { 8, 0, 0, 0, 0, 0, LOOM_DEFAULT_VNI, 0 };
	__u32 sum = 0, i;

	check(r, p->len > 64);
	for (i = 0; i < 20; i += 2)
		sum += ip[i] << 8 | ip[i + 1];
	check_eq(r, (sum & 0xffff) + (sum >> 16), 0xffff);
	check_eq(r, ip[0], 0x45);
	check_eq(r, ip[1], r->s->ecn);
	check_eq(r, ip[2] << 8 | ip[3], p->len - 14);
	check_eq(r, ip[6] << 8 | ip[7], 0);
	check_eq(r, ip[8], 64);
	check_eq(r, ip[9], IPPROTO_UDP);
	check(r, !memcmp(ip + 12, &src.w[3], 4) && !memcmp(ip + 16, &dst.w[3], 4));
	check(r, udp[0] >= 0xc0);
	check_eq(r, udp[2] << 8 | udp[3], 4789);
	check_eq(r, udp[4] << 8 | udp[5], p->len - 34);
	check_eq(r, udp[6] << 8 | udp[7], 0);
	check(r, !memcmp(vxlan, vxlan_want, sizeof(vxlan_want)));
	p->len -= 50;
	memmove(p->data, p->data + 50, p->len);
	check_eq(r, p->data[0], 2);
}

static void check_packet(struct run *r, const struct packet *in, const struct target_packet *bytes)
{
	const struct golden_step *s = r->s;
	struct packet out;

	if (s->kind == VERDICT_DROP || s->v4_in_v6)
		return;
	check(r, !packet_parse(bytes, &out));
	check(r, out.csum_ok || s->shape == PACKET_LATER_FRAG);
	if (s->error) {
		if (s->reset)
			check_made_reset(r, in, &out);
		else
			check_made_error(r, in, &out);
		return;
	}
	check(r, addr_is(r, &out.src, s->want_src, s->src));
	check(r, addr_is(r, &out.dst, s->want_dst, s->dst));
	check_eq(r, out.ttl, s->same_ttl ? in->ttl : in->ttl - 1);
	check_eq(r, out.no_csum, s->no_csum);
	if (s->shape == PACKET_ERROR_TTL)
		check_quote(r, &out);
	else
		check_ports(r, &out);
	check_macs(r, &out);
}

static void flow_key(const struct run *r, struct loom_ctkey *k)
{
	union loom_addr a = world_addr(r->s->src, r->family), b = world_addr(r->s->dst, r->family);
	__u16 pa = port(r, r->s->sport), pb = port(r, r->s->dport);
	bool icmp = r->s->proto == IPPROTO_ICMP;
	int order = memcmp(&a, &b, sizeof(a));

	*k = (struct loom_ctkey){ .proto = icmp && r->family == 6 ? IPPROTO_ICMPV6 : r->s->proto };
	if (icmp) {
		pb = pa;
		k->kind = (order > 0) == (r->s->icmp_type == 8) ? LOOM_CT_ECHO_B : LOOM_CT_ECHO_A;
	}
	k->a = order < 0 ? a : b;
	k->b = order < 0 ? b : a;
	k->pa = htons(order < 0 ? pa : pb);
	k->pb = htons(order < 0 ? pb : pa);
}

static void check_table(const struct run *r)
{
	struct loom_ctkey k;
	struct loom_ct v;
	bool in_ct, in_new;

	if (r->s->table == ANY_TABLE)
		return;
	flow_key(r, &k);
	in_ct = !r->t->get("loom_ct", &k, &v);
	in_new = !r->t->get("loom_ct_new", &k, &v);
	check_eq(r, in_ct, r->s->table == IN_CT);
	check_eq(r, in_new, r->s->table == IN_CT_NEW);
}

/* Drop counter of the hook and reason, or that of forwarded packets, has gone up by one. */
static __u64 counter(const struct run *r)
{
	__u32 key = r->s->reason * LOOM_HOOK_MAX + r->s->hook;
	__u32 early = LOOM_DROP_FORWARDED * LOOM_HOOK_MAX + LOOM_HOOK_XDP_UPLINK;
	struct loom_counter c = {}, x = {};

	r->t->get("loom_metrics", &key, &c);
	if (!r->s->reason)
		r->t->get("loom_metrics", &early, &x);
	return c.packets + x.packets;
}

static __u64 full_total(const struct run *r)
{
	struct loom_state st = {};
	__u32 zero = 0;

	r->t->get("loom_state", &zero, &st);
	return st.ct_full_total;
}

static bool is_quiet(const struct golden_step *s)
{
	return s->reason == LOOM_DROP_MULTICAST || s->reason == LOOM_DROP_LINK_LOCAL;
}

/* Each drop that is not an everyday one is told, with its packet. */
static void check_event(struct run *r, const struct packet *in)
{
	struct loom_event ev;
	int err = r->t->event(&ev);

	if (!r->s->reason || is_quiet(r->s)) {
		check_eq(r, err, -ENOENT);
		return;
	}
	check_eq(r, err, 0);
	check_eq(r, ev.reason, r->s->reason);
	check_eq(r, ev.hook, r->s->hook);
	check_eq(r, ev.ifindex, LINK_A);
	if (ev.family && !r->s->v4_in_v6)
		check(r, !memcmp(&ev.saddr, &in->src, 16) && !memcmp(&ev.daddr, &in->dst, 16));
}

static bool tells_xdp(const struct golden *g)
{
	return g >= golden_xdp_cases && g < golden_xdp_cases + golden_xdp_count;
}

static void run_packet(struct run *r)
{
	const struct golden_step *s = r->s;
	struct target_verdict v = {};
	struct target_packet bytes;
	struct packet in;
	__u64 before;

	world_set_link(r->t, s->hook, s->src);
	build(r, &in);
	packet_build(&in, &bytes);
	if (s->v4_in_v6)
		dress_up(r, &bytes);
	if (s->cut)
		bytes.len = s->cut;
	bytes.gso = s->gso;
	bytes.vlan = s->vlan;
	if (s->hook == LOOM_HOOK_FROM_OVERLAY) {
		bytes.vni = s->vni ? s->vni : LOOM_DEFAULT_VNI;
		bytes.outer_src = world_addr(s->outer ? s->outer : NODE2, 4);
		bytes.tunnel = s->tunnel;
	}
	before = counter(r);
	check_eq(r, r->t->run(s->hook, &bytes, &v), 0);
	clock_gettime(CLOCK_MONOTONIC, &r->sent);
	check_eq(r, v.kind, s->kind);
	if (r->t->has_xdp && tells_xdp(r->g))
		check_eq(r, v.xdp, s->xdp);
	/* A drop that is answered is a success of the native call; its counter tells. */
	if (!s->error)
		check_eq(r, v.reason, s->reason);
	if (s->kind == VERDICT_PEER || s->kind == VERDICT_NEIGH || s->kind == VERDICT_REDIRECT)
		check_eq(r, v.ifindex, s->ifindex);
	if (s->kind == VERDICT_TUNNEL || s->kind == VERDICT_NEIGH)
		check_eq(r, v.node, s->node);
	if (s->encap)
		check_encap(r, &bytes);
	check_packet(r, &in, &bytes);
	check_table(r);
	check_event(r, &in);
	if (s->want_full)
		check_eq(r, full_total(r), s->want_full);
	if (s->kind != VERDICT_STACK)
		check_eq(r, counter(r) - before, 1);
}

static void run_gc(struct run *r)
{
	struct loom_gc_args args = { .addr = world_addr(r->s->src, r->family) };
	__u64 later = (r->sent.tv_sec + r->s->seconds) * 1000000000ull + r->sent.tv_nsec;

	args.mode = r->s->act == DO_GC_ADDR	  ? LOOM_GC_ADDR
		    : r->s->act == DO_GC_SERVICES ? LOOM_GC_SERVICES
						  : LOOM_GC_IDLE;
	args.now = later >> LOOM_TICK_SHIFT;
	check_eq(r, r->t->gc(&args), 0);
	check_eq(r, args.error, 0);
	check_eq(r, args.deleted + args.new_deleted, r->s->want_deleted);
	check_eq(r, args.marked, r->s->want_marked);
}

/* What the map refuses, and with it the data plane. */
static void fill_ct(struct run *r)
{
	struct loom_ctkey k = { .proto = 255 };
	struct loom_ct v = {};
	__u32 i;

	for (i = 0; i < 1 << 20; i++) {
		k.a.w[0] = i;
		if (r->t->put("loom_ct", &k, &v))
			return;
	}
	check(r, !"loom_ct has an end");
}

static void lose_entry(struct run *r)
{
	struct loom_ctkey k;

	flow_key(r, &k);
	check_eq(r, r->t->del("loom_ct_new", &k), 0);
}

static void rest(struct run *r)
{
	struct loom_ctkey k;
	struct loom_ct v;

	flow_key(r, &k);
	check_eq(r, r->t->get("loom_ct", &k, &v), 0);
	v.seen -= r->s->seconds;
	check_eq(r, r->t->put("loom_ct", &k, &v), 0);
}

/* As packet_build() numbers fragments. */
static void age_frag(struct run *r)
{
	static const __u8 ids[2][4] = { { 0x12, 0x34 }, { 0, 0, 0x12, 0x34 } };
	struct loom_fragkey k = { .saddr = world_addr(r->s->src, r->family),
				  .daddr = world_addr(r->s->dst, r->family),
				  .proto = r->s->proto };
	struct loom_frag f;

	memcpy(&k.id, ids[r->family == 6], sizeof(k.id));
	check_eq(r, r->t->get("loom_frag", &k, &f), 0);
	f.tick -= r->s->seconds;
	check_eq(r, r->t->put("loom_frag", &k, &f), 0);
}

static void connect_host(struct run *r)
{
	union loom_addr src = world_addr(r->s->src, r->family),
			dst = world_addr(r->s->dst, r->family);

	check_eq(r, r->t->connect(r->s->proto, &src, r->s->sport, &dst, r->s->dport), 0);
}

void golden_run(const struct target *t, const struct golden *g, int family)
{
	struct run r = { .t = t, .g = g, .s = g->steps, .family = family };
	unsigned int i;

	world_build(t, g->steps[0].hook);
	for (i = 0; i < GOLDEN_STEPS; i++) {
		r.s = &g->steps[i];
		if (r.s->only && r.s->only != family)
			continue;
		if (r.s->act == DO_BUMP_ROUTES)
			world_bump_route_gen(t);
		else if (r.s->act == DO_RENUMBER)
			world_renumber(t);
		else if (r.s->act == DO_GC_LATER || r.s->act == DO_GC_ADDR ||
			 r.s->act == DO_GC_SERVICES)
			run_gc(&r);
		else if (r.s->act == DO_FILL_CT)
			fill_ct(&r);
		else if (r.s->act == DO_DIRECT)
			world_tunnel_directly(t);
		else if (r.s->act == DO_REST)
			rest(&r);
		else if (r.s->act == DO_NATIVE)
			world_natively(t);
		else if (r.s->act == DO_LOSE_BACKEND)
			world_set_backend(t, r.s->src, r.s->seconds);
		else if (r.s->act == DO_LOSE_NEW)
			lose_entry(&r);
		else if (r.s->act == DO_CONNECT)
			connect_host(&r);
		else if (r.s->act == DO_AS_IT_IS)
			world_unmasquerade(t);
		else if (r.s->act == DO_LOSE_VIP)
			world_lose_vip(t, r.s->src, family);
		else if (r.s->act == DO_AGE_FRAG)
			age_frag(&r);
		else if (r.s->src)
			run_packet(&r);
	}
}
