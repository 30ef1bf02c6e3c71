// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bpf/lib/pkt.h"
#include "bpf/loom_tc.skel.h"
#include "selftests/bpf/target.h"
#include "selftests/bpf/via_tunnel.skel.h"

#define TC_ACT_REDIRECT_RET 7

#define SOCKETS 4

static struct loom_tc *skel;
static struct via_tunnel *via;
static int cpus, cpu; /* how many there may be, and the one where packets run */
static int sockets[SOCKETS];
static unsigned int n_sockets;

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, fmt, ap) : 0;
}

/*
 * Scratch memory is one a CPU: the verdict is read from that of the CPU that ran the packet. Any of
 * those that are allowed will do, and two programs that run at once need not share one.
 */
static int stay_on_this_cpu(void)
{
	cpu_set_t set;

	cpu = sched_getcpu();
	if (cpu < 0 || cpu >= cpus)
		return -ERANGE;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

static int load(void)
{
	skel = loom_tc__open();
	via = via_tunnel__open();
	if (!skel || !via)
		return -errno;
	bpf_map__set_max_entries(skel->maps.loom_ct, 1024);
	bpf_map__set_max_entries(skel->maps.loom_ct_new, 1024);
	return loom_tc__load(skel) || via_tunnel__load(via) ? -errno : 0;
}

static int bpf_start(void)
{
	libbpf_set_print(quiet);
	cpus = libbpf_num_possible_cpus();
	if (unshare(CLONE_NEWNET) || stay_on_this_cpu())
		return -errno;
	return load() ? -errno : 0;
}

static void close_sockets(void)
{
	while (n_sockets)
		close(sockets[--n_sockets]);
}

static void bpf_stop(void)
{
	close_sockets();
	loom_tc__destroy(skel);
	via_tunnel__destroy(via);
	skel = NULL;
	via = NULL;
}

int target_bpf_map_fd(const char *name)
{
	return bpf_object__find_map_fd_by_name(skel->obj, name);
}

static void clear_hash(const char *name)
{
	__u8 key[64];
	int fd = target_bpf_map_fd(name);

	while (!bpf_map_get_next_key(fd, NULL, key))
		bpf_map_delete_elem(fd, key);
}

static void clear_array(const char *name, __u32 entries, size_t value_size, bool percpu)
{
	size_t size = (value_size + 7) / 8 * 8 * (percpu ? cpus : 1);
	void *zeros = calloc(1, size);
	__u32 i;

	for (i = 0; zeros && i < entries; i++)
		bpf_map_update_elem(target_bpf_map_fd(name), &i, zeros, 0);
	free(zeros);
}

static void bpf_reset(void)
{
	static const char *const hashes[] = { "loom_ep",    "loom_ip",	   "loom_cidr",
					      "loom_ct",    "loom_ct_new", "loom_frag",
					      "loom_svc",   "loom_aff",	   "loom_srcrange",
					      "loom_pol",   "loom_ident",  "loom_class",
					      "loom_denied" };
	unsigned int i;

	close_sockets();
	for (i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++)
		clear_hash(hashes[i]);
	clear_array("loom_state", 1, sizeof(struct loom_state), false);
	clear_array("loom_ifcfg", 256, sizeof(struct loom_ifcfg), false);
	clear_array("loom_node", 8, sizeof(struct loom_node), false);
	clear_array("loom_metrics", LOOM_DROP_MAX * LOOM_HOOK_MAX, sizeof(struct loom_counter),
		    true);
	clear_array("loom_epstats", 8, sizeof(struct loom_epstats), true);
	clear_array("loom_epol", 16, sizeof(struct loom_epol), false);
	clear_array("loom_evlimit", 2, sizeof(struct loom_evlimit), true);
}

static int bpf_put(const char *map, const void *key, const void *value)
{
	return bpf_map_update_elem(target_bpf_map_fd(map), key, value, BPF_ANY);
}

static bool is_percpu(const char *map)
{
	return !strcmp(map, "loom_metrics") || !strcmp(map, "loom_epstats");
}

static int bpf_get(const char *map, const void *key, void *ret_value)
{
	struct bpf_map *m = bpf_object__find_map_by_name(skel->obj, map);
	size_t size = bpf_map__value_size(m), step = (size + 7) / 8 * 8;
	__u8 *values;
	int err;

	if (!is_percpu(map))
		return bpf_map_lookup_elem(bpf_map__fd(m), key, ret_value);
	values = calloc(cpus, step);
	if (!values)
		return -ENOMEM;
	err = bpf_map_lookup_elem(bpf_map__fd(m), key, values);
	memcpy(ret_value, values + cpu * step, size);
	free(values);
	return err;
}

static int bpf_del(const char *map, const void *key)
{
	return bpf_map_delete_elem(target_bpf_map_fd(map), key);
}

static int prog_of(enum loom_hook hook)
{
	switch (hook) {
	case LOOM_HOOK_FROM_POD:
		return bpf_program__fd(skel->progs.loom_from_pod);
	case LOOM_HOOK_FROM_HOST:
		return bpf_program__fd(skel->progs.loom_from_host);
	case LOOM_HOOK_FROM_NET:
		return bpf_program__fd(skel->progs.loom_from_net);
	case LOOM_HOOK_TO_NET:
		return bpf_program__fd(skel->progs.loom_to_net);
	case LOOM_HOOK_FROM_OVERLAY:
		return bpf_program__fd(skel->progs.loom_from_ovl);
	default:
		return -EINVAL;
	}
}

/* What is to be run: the hook's program, or the one that calls it with what the packet came by. */
static int entry_of(enum loom_hook hook, const struct target_packet *p)
{
	union loom_addr src = p->outer_src;
	struct bpf_tunnel_key key = { .tunnel_id = p->vni, .local_ipv4 = ntohl(src.w[3]) };
	__u32 zero = 0, vlan = p->vlan;
	int fd = prog_of(hook);

	if (!vlan && hook != LOOM_HOOK_FROM_OVERLAY)
		return fd;
	if (bpf_map_update_elem(bpf_map__fd(via->maps.via_key), &zero, &key, 0) ||
	    bpf_map_update_elem(bpf_map__fd(via->maps.via_vlan), &zero, &vlan, 0) ||
	    bpf_map_update_elem(bpf_map__fd(via->maps.via_next), &zero, &fd, 0))
		return -errno;
	return bpf_program__fd(via->progs.via_tunnel);
}

/* Reason of the one drop that the counters show more than `before`. */
static int dropped_for(enum loom_hook hook, const struct loom_counter *before)
{
	struct loom_counter now;
	__u32 reason, key;

	for (reason = 1; reason < LOOM_DROP_MAX; reason++) {
		key = reason * LOOM_HOOK_MAX + hook;
		if (reason == LOOM_DROP_POLICY_LOGGED) /* no end: it passes */
			continue;
		if (!bpf_get("loom_metrics", &key, &now) && now.packets != before[reason].packets)
			return reason;
	}
	return 0;
}

int target_bpf_verdict(struct target_verdict *ret)
{
	size_t size = (sizeof(struct pkt) + 7) / 8 * 8;
	__u8 *all = calloc(cpus, size);
	const struct pkt *p;
	__u32 zero = 0;
	int err;

	if (!all)
		return -ENOMEM;
	p = (const struct pkt *)(all + cpu * size);
	err = bpf_map_lookup_elem(bpf_map__fd(skel->maps.loom_scratch), &zero, all);
	ret->kind = p->v_kind;
	ret->ifindex = p->v_ifindex;
	ret->node = p->v_node;
	free(all);
	return err;
}

/* What the program did must be what the core decided. */
static int read_verdict(int act, struct target_verdict *ret)
{
	int err = target_bpf_verdict(ret);

	if (!err && act != (ret->kind == VERDICT_DROP	 ? TC_ACT_SHOT
			    : ret->kind == VERDICT_STACK ? TC_ACT_OK
							 : TC_ACT_REDIRECT_RET))
		err = -EPROTO;
	return err;
}

static int bpf_run(enum loom_hook hook, struct target_packet *p, struct target_verdict *ret)
{
	struct loom_counter before[LOOM_DROP_MAX] = {};
	__u8 out[TARGET_PKT_MAX];
	__u32 reason, key;
	struct __sk_buff skb = { .gso_size = p->gso };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p->data, .data_size_in = p->len,
		    .data_out = out, .data_size_out = sizeof(out), .repeat = 1);
	int err;

	if (p->gso) {
		opts.ctx_in = &skb;
		opts.ctx_size_in = sizeof(skb);
	}
	for (reason = 0; reason < LOOM_DROP_MAX; reason++) {
		key = reason * LOOM_HOOK_MAX + hook;
		bpf_get("loom_metrics", &key, &before[reason]);
	}
	err = bpf_prog_test_run_opts(entry_of(hook, p), &opts);
	if (err)
		return err;
	p->len = opts.data_size_out;
	memcpy(p->data, out, p->len);
	ret->reason = dropped_for(hook, before);
	return read_verdict(opts.retval, ret);
}

static socklen_t end_of(const union loom_addr *a, __u16 port, struct sockaddr_storage *ret)
{
	bool v4 = !a->d[0] && a->w[2] == LOOM_V4_MARK;

	memset(ret, 0, sizeof(*ret));
	if (v4) {
		*(struct sockaddr_in *)ret = (struct sockaddr_in){ .sin_family = AF_INET,
								   .sin_port = htons(port),
								   .sin_addr.s_addr = a->w[3] };
		return sizeof(struct sockaddr_in);
	}
	*(struct sockaddr_in6 *)ret =
		(struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(port) };
	memcpy(&((struct sockaddr_in6 *)ret)->sin6_addr, a, 16);
	return sizeof(struct sockaddr_in6);
}

/* By the uplink, which is the test program's to build, and where nobody answers: TCP stays at its
 * SYN. */
static int bpf_connect(__u8 proto, const union loom_addr *src, __u16 sport,
		       const union loom_addr *dst, __u16 dport)
{
	int type = proto == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM, fd;
	struct sockaddr_storage from, to;
	socklen_t len = end_of(src, sport, &from);

	end_of(dst, dport, &to);
	fd = socket(from.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || n_sockets == SOCKETS)
		return -EMFILE;
	sockets[n_sockets++] = fd;
	if (bind(fd, (void *)&from, len))
		return -errno;
	if (!dport || !connect(fd, (void *)&to, len) || errno == EINPROGRESS)
		return 0;
	return -errno;
}

static int keep_event(void *ctx, void *data, size_t size)
{
	*(struct loom_event *)ctx = *(struct loom_event *)data;
	return 0;
}

static int bpf_event(struct loom_event *ret)
{
	struct loom_event ev = {};
	struct ring_buffer *ring;
	int n;

	ring = ring_buffer__new(bpf_map__fd(skel->maps.loom_events), keep_event, &ev, NULL);
	if (!ring)
		return -errno;
	n = ring_buffer__consume(ring);
	ring_buffer__free(ring);
	if (n <= 0)
		return n ? n : -ENOENT;
	*ret = ev;
	return 0;
}

static int bpf_collect(struct loom_gc_args *args)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = args, .ctx_size_in = sizeof(*args));

	return bpf_prog_test_run_opts(bpf_program__fd(skel->progs.loom_ct_gc), &opts);
}

const struct target target_bpf = {
	.name = "bpf",
	.start = bpf_start,
	.stop = bpf_stop,
	.reset = bpf_reset,
	.put = bpf_put,
	.get = bpf_get,
	.del = bpf_del,
	.run = bpf_run,
	.gc = bpf_collect,
	.connect = bpf_connect,
	.event = bpf_event,
};
