// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * The data plane's core, natively, under hostile packets: sequences of them at all hooks, some made
 * of bytes alone, some of well-formed packets with bytes changed, over the small cluster of the
 * golden cases with its state carried on. Besides what the sanitizers see, it holds that
 *
 *	- a verdict names a link, pod or node that exists, and the link it came from as a pod only
 *	  when that pod reaches itself by a service;
 *	- pods receive nothing but what is addressed to them;
 *	- what leaves a pod has its own address, the node's or that of a service;
 *	- checksums that were right stay right;
 *	- every packet is counted once.
 */
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/native/native.h"
#include "selftests/bpf/packet.h"
#include "selftests/bpf/world.h"

#define MAX_PACKETS 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define hold(what)                                                     \
	do {                                                           \
		if (!(what)) {                                         \
			fprintf(stderr, "does not hold: %s\n", #what); \
			abort();                                       \
		}                                                      \
	} while (0)

struct input {
	const uint8_t *data;
	size_t size;
};

static uint8_t take(struct input *in)
{
	if (!in->size)
		return 0;
	in->size--;
	return *in->data++;
}

static int put(const char *map, const void *key, const void *value)
{
	return nmap_update(native_map(map), key, value, BPF_ANY);
}

static int get(const char *map, const void *key, void *ret)
{
	struct nmap *m = native_map(map);
	void *v = nmap_lookup(m, key);

	if (!v)
		return -1;
	memcpy(ret, v, m->value_size);
	return 0;
}

static const struct target native = {
	.name = "fuzz", .put = put, .get = get, .reset = native_reset
};

static __u16 some_port(uint8_t byte)
{
	static const __u16 ports[] = { 53,    80,    1000,  32768, 33000, 60999, 0,	65535,
				       81,    82,    83,    84,	   85,	  86,	 87,	88,
				       89,    90,    91,    8080,  9090,  443,	 30080, 30081,
				       30082, 30083, 30084, 30085, 30086, 30087, 30088, 30090 };

	return ports[byte % 32];
}

/* A well-formed packet by a few bytes of the input, then some bytes of it changed. */
static void make_packet(struct input *in, struct target_packet *ret)
{
	static const __u8 protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_SCTP };
	int family = take(in) & 1 ? 6 : 4;
	struct packet p = { .src = world_addr(take(in) % WHO_MAX, family),
			    .dst = world_addr(take(in) % WHO_MAX, family),
			    .proto = protos[take(in) % 4],
			    .ttl = take(in),
			    .tcp_flags = take(in),
			    .icmp_type = take(in) & 1 ? 8 : 0,
			    .sport = some_port(take(in)),
			    .dport = some_port(take(in)),
			    .payload = take(in) * 6,
			    .shape = take(in) % 6,
			    .df = take(in) & 1,
			    .quote_src = world_addr(take(in) % WHO_MAX, family),
			    .quote_dst = world_addr(take(in) % WHO_MAX, family),
			    .quote_sport = some_port(take(in)),
			    .quote_dport = some_port(take(in)) };
	uint8_t changes = take(in) % 4;

	memcpy(p.smac, mac_a, 6);
	memcpy(p.dmac, hmac_a, 6);
	packet_build(&p, ret);
	while (changes--) {
		uint8_t at = take(in), byte = take(in);

		ret->data[at % ret->len] ^= byte;
	}
}

static void raw_packet(struct input *in, struct target_packet *ret)
{
	uint32_t len = take(in) % 128;

	memset(ret, 0, sizeof(*ret));
	for (ret->len = 0; ret->len < len; ret->len++)
		ret->data[ret->len] = take(in);
}

/* Does packet_parse() apply, and find all checksums right? */
static bool is_right(const struct target_packet *p, struct packet *ret)
{
	uint32_t room = p->len - 14, ip_len;
	bool v4;

	if (p->len < 14 + 40 + 48)
		return false;
	v4 = p->data[12] == 8 && p->data[13] == 0;
	if (!v4 && (p->data[12] != 0x86 || p->data[13] != 0xdd))
		return false;
	if (p->data[14] != (v4 ? 0x45 : 0x60))
		return false;
	ip_len = v4 ? p->data[16] << 8 | p->data[17] : (p->data[18] << 8 | p->data[19]) + 40u;
	if (ip_len > room || ip_len < 40 + 48)
		return false;
	if (packet_parse(p, ret) ||
	    (ret->proto != IPPROTO_TCP && ret->proto != IPPROTO_UDP && ret->proto != IPPROTO_SCTP))
		return false;
	return ret->csum_ok && ret->shape == PACKET_PLAIN;
}

/* Outer headers that the core wrote: the packet inside is what all else is about. */
static void unwrap(struct plat_ctx *ctx)
{
	if (!(ctx->pkt.flags & PKT_ENCAP))
		return;
	hold(ctx->pkt.v_kind == VERDICT_TUNNEL && ctx->len >= 64 + 20);
	hold(ctx->data[14] == 0x45 && ctx->data[23] == IPPROTO_UDP);
	hold((uint32_t)(ctx->data[16] << 8 | ctx->data[17]) == ctx->len - 14);
	hold((uint32_t)(ctx->data[38] << 8 | ctx->data[39]) == ctx->len - 34);
	ctx->data += 50;
	ctx->len -= 50;
}

static uint64_t counted(enum loom_hook hook)
{
	uint64_t sum = 0;
	uint32_t reason;

	for (reason = 0; reason < LOOM_DROP_MAX; reason++) {
		uint32_t key = reason * LOOM_HOOK_MAX + hook;
		struct loom_counter *c = nmap_lookup(&loom_metrics, &key);

		sum += c->packets;
	}
	return sum;
}

static void check_link(const struct plat_ctx *ctx, const struct pkt *p)
{
	struct loom_ifcfg *cfg;
	struct loom_node *n;
	__u32 key;

	switch (p->v_kind) {
	case VERDICT_PEER:
		key = p->v_ifindex;
		cfg = nmap_lookup(&loom_ifcfg, &key);
		hold(cfg && cfg->role == LOOM_IF_POD);
		hold(p->v_ifindex != ctx->ifindex || (p->flags & PKT_HAIRPIN));
		hold(!memcmp(ctx->data, cfg->mac, 6));
		hold(p->family != 4 || !memcmp(ctx->data + 30, &cfg->ip4, 4));
		hold(p->family != 6 || !memcmp(ctx->data + 38, &cfg->ip6, 16));
		break;
	case VERDICT_TUNNEL:
		key = p->v_node;
		n = nmap_lookup(&loom_node, &key);
		hold(n && (n->flags & LOOM_NODE_PRESENT));
		break;
	case VERDICT_NEIGH:
		hold(p->v_ifindex == LINK_NATIVE || p->v_ifindex == LINK_UPLINK ||
		     (p->hook == LOOM_HOOK_FROM_NET && p->v_ifindex == LINK_A));
		break;
	case VERDICT_REDIRECT:
	case VERDICT_INGRESS:
		hold(p->v_ifindex == ctx->ifindex);
		break;
	default:
		hold(p->v_kind == VERDICT_STACK || p->v_kind == VERDICT_DROP);
	}
}

static bool is_from(const struct pkt *p, const union loom_addr *src, enum who who)
{
	union loom_addr a = world_addr(who, p->family);

	return !memcmp(src, &a, sizeof(a));
}

/* From a pod only with its own address, the node's or, translated, a service's. */
static void check_source(const struct plat_ctx *ctx, const struct pkt *p)
{
	union loom_addr src = {};

	if (p->hook != LOOM_HOOK_FROM_POD || !p->family || p->v_kind == VERDICT_DROP ||
	    p->v_kind == VERDICT_REDIRECT)
		return;
	if (p->family == 4) {
		src.w[2] = LOOM_V4_MARK;
		memcpy(&src.w[3], ctx->data + 26, 4);
	} else {
		memcpy(&src, ctx->data + 22, 16);
	}
	if (is_from(p, &src, A) || is_from(p, &src, NODE))
		return;
	hold(p->flags & PKT_XLATED);
	hold(is_from(p, &src, VIP) || is_from(p, &src, VIP2) || is_from(p, &src, EXT) ||
	     is_from(p, &src, NODE2) || ((p->flags & PKT_HAIRPIN) && is_from(p, &src, HAIRPIN)));
}

static void run_one(enum loom_hook hook, struct target_packet *bytes, uint64_t now_ns)
{
	__u8 *buf = malloc(PLAT_HEADROOM + bytes->len);
	struct plat_ctx ctx = { .data = buf + PLAT_HEADROOM,
				.len = bytes->len,
				.cap = bytes->len,
				.head = PLAT_HEADROOM,
				.ifindex = TARGET_IFINDEX,
				.now_ns = now_ns,
				.tunnel_vni = bytes->vni,
				.tunnel_src = bytes->outer_src };
	uint64_t before = counted(hook), n;
	struct packet in, out;
	bool right;
	int err;

	if (!buf)
		return;
	memcpy(ctx.data, bytes->data, bytes->len);
	if (bytes->len >= 14)
		ctx.ethertype = bytes->data[12] << 8 | bytes->data[13];
	right = is_right(bytes, &in);
	err = native_run(&ctx, hook);
	n = counted(hook) - before;
	hold(n == 1 || (n == 0 && ctx.pkt.v_kind == VERDICT_STACK));
	hold(err == 0 || (ctx.pkt.v_kind == VERDICT_DROP && err > -LOOM_DROP_MAX));
	unwrap(&ctx);
	check_link(&ctx, &ctx.pkt);
	check_source(&ctx, &ctx.pkt);
	bytes->len = ctx.len;
	memcpy(bytes->data, ctx.data, ctx.len);
	if (right && ctx.pkt.v_kind != VERDICT_DROP) {
		hold(!packet_parse(bytes, &out));
		hold(out.csum_ok);
	}
	free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum loom_hook hooks[] = { LOOM_HOOK_FROM_POD, LOOM_HOOK_FROM_HOST,
						LOOM_HOOK_FROM_NET, LOOM_HOOK_FROM_OVERLAY,
						LOOM_HOOK_TO_NET };
	struct input in = { data, size };
	struct target_packet p;
	uint64_t now_ns = 1000000000000ull;
	unsigned int i;

	world_build(&native, LOOM_HOOK_FROM_POD);
	if (take(&in) & 1)
		world_tunnel_directly(&native);
	loom_ct.max_entries = take(&in) % 8;
	loom_ct_new.max_entries = 2 + take(&in) % 8;
	for (i = 0; i < MAX_PACKETS && in.size; i++) {
		uint8_t how = take(&in);
		enum loom_hook hook = hooks[how & 3 ? how & 3 : take(&in) % 5];

		world_set_link(&native, hook, A);
		if (how & 4)
			raw_packet(&in, &p);
		else
			make_packet(&in, &p);
		p.vni = how & 8 ? take(&in) : LOOM_DEFAULT_VNI;
		p.outer_src = world_addr(how & 16 ? OUT : NODE2, 4);
		if (how & 32)
			world_bump_route_gen(&native);
		if (how & 64)
			now_ns += 20000000000ull;
		run_one(hook, &p, now_ns);
		if (how & 128) {
			struct loom_gc_args gc = { .now = now_ns >> LOOM_TICK_SHIFT };

			native_gc(&gc);
		}
	}
	return 0;
}
