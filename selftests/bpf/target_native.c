// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
#include <errno.h>
#include <string.h>
#include <time.h>

#include "bpf/native/native.h"
#include "selftests/bpf/target.h"

#define SOCKETS 4

struct host_socket {
	union loom_addr src, dst;
	__be16 sport, dport;
	__u8 proto;
};

static struct host_socket sockets[SOCKETS];
static unsigned int n_sockets;

static void target_reset(void)
{
	native_reset();
	n_sockets = 0;
}

static int native_start(void)
{
	return 0;
}

static void native_stop(void)
{
	target_reset();
}

static int native_connect(__u8 proto, const union loom_addr *src, __u16 sport,
			  const union loom_addr *dst, __u16 dport)
{
	if (n_sockets == SOCKETS)
		return -EMFILE;
	sockets[n_sockets++] = (struct host_socket){ .src = *src,
						     .dst = *dst,
						     .sport = htons(sport),
						     .dport = htons(dport),
						     .proto = proto };
	return 0;
}

static int find_socket(const struct plat_ctx *ctx, const struct pkt *p)
{
	unsigned int i;

	for (i = 0; i < n_sockets; i++) {
		const struct host_socket *s = &sockets[i];

		if (s->proto == p->proto && s->sport == p->dport && s->dport == p->sport &&
		    !memcmp(&s->src, &p->daddr, 16) && !memcmp(&s->dst, &p->saddr, 16))
			return 1;
	}
	return 0;
}

static int native_put(const char *map, const void *key, const void *value)
{
	return nmap_update(native_map(map), key, value, BPF_ANY);
}

static int native_get(const char *map, const void *key, void *ret_value)
{
	struct nmap *m = native_map(map);
	void *value = nmap_lookup(m, key);

	if (!value)
		return -ENOENT;
	memcpy(ret_value, value, m->value_size);
	return 0;
}

static int native_del(const char *map, const void *key)
{
	return nmap_delete(native_map(map), key);
}

/* What is to happen after the next look into a map, whose own ops are put back before. */
static struct {
	const struct nmap_ops *ops;
	void (*fn)(void *arg);
	void *arg;
} pending;

static void *lookup_and_then(struct nmap *m, const void *key)
{
	void *value;

	m->ops = pending.ops;
	value = nmap_lookup(m, key);
	pending.fn(pending.arg);
	return value;
}

static void native_meanwhile(const char *map, void (*fn)(void *arg), void *arg)
{
	static struct nmap_ops ops;
	struct nmap *m = native_map(map);

	pending.ops = m->ops;
	pending.fn = fn;
	pending.arg = arg;
	ops = *m->ops;
	ops.lookup = lookup_and_then;
	m->ops = &ops;
}

static __u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static struct loom_event last_event;

static void keep_event(const struct loom_event *ev)
{
	last_event = *ev;
}

static int native_event(struct loom_event *ret)
{
	if (!last_event.time_ns)
		return -ENOENT;
	*ret = last_event;
	last_event.time_ns = 0;
	return 0;
}

static int native_packet(enum loom_hook hook, struct target_packet *p, struct target_verdict *ret)
{
	__u8 buf[PLAT_HEADROOM + TARGET_PKT_MAX];
	struct plat_ctx ctx = { .data = buf + PLAT_HEADROOM,
				.len = p->len,
				.cap = TARGET_PKT_MAX,
				.head = PLAT_HEADROOM,
				.ifindex = TARGET_IFINDEX,
				.gso_size = p->gso,
				.ethertype = p->data[12] << 8 | p->data[13],
				.vlan = p->vlan,
				.now_ns = now_ns(),
				.tunnel_vni = p->vni,
				.tunnel_src = p->outer_src,
				.socket = find_socket,
				.event = keep_event };
	int err;

	memcpy(ctx.data, p->data, p->len);
	err = native_run(&ctx, hook);
	p->len = ctx.len;
	memcpy(p->data, ctx.data, ctx.len);
	*ret = (struct target_verdict){ .reason = err < 0 ? -err : 0,
					.kind = ctx.pkt.v_kind,
					.ifindex = ctx.pkt.v_ifindex,
					.node = ctx.pkt.v_node };
	return 0;
}

static int native_collect(struct loom_gc_args *args)
{
	if (!args->now)
		args->now = now_ns() >> LOOM_TICK_SHIFT;
	native_gc(args);
	return 0;
}

const struct target target_native = {
	.name = "native",
	.start = native_start,
	.stop = native_stop,
	.reset = target_reset,
	.put = native_put,
	.get = native_get,
	.del = native_del,
	.run = native_packet,
	.gc = native_collect,
	.meanwhile = native_meanwhile,
	.connect = native_connect,
	.event = native_event,
};
