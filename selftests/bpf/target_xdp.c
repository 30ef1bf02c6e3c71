// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * The XDP program before the tc programs, as on a node: what it passes must be what came in, and
 * goes on to them; what it sends must be what they would have sent.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>

#include "bpf/lib/pkt.h"
#include "bpf/loom_xdp.skel.h"
#include "selftests/bpf/target.h"
#include "selftests/bpf/uplink.h"
#include "selftests/bpf/world.h"

static struct loom_xdp *skel;

static int load(void)
{
	struct bpf_map *map;
	int fd, err = 0;

	skel = loom_xdp__open();
	if (!skel)
		return -errno;
	bpf_object__for_each_map(map, skel->obj)
	{
		fd = target_bpf_map_fd(bpf_map__name(map));
		if (fd >= 0)
			err = bpf_map__reuse_fd(map, fd);
		if (err)
			return err;
	}
	return loom_xdp__load(skel) ? -errno : 0;
}

static int xdp_start(void)
{
	int err = target_bpf.start();

	if (!err)
		err = load();
	if (!err)
		err = uplink_build();
	/* Only a link with a program has queues that a test run may come in by. */
	return err ? err
		   : bpf_xdp_attach(LINK_UPLINK, bpf_program__fd(skel->progs.loom_xdp_uplink),
				    XDP_FLAGS_DRV_MODE, NULL);
}

static void xdp_stop(void)
{
	loom_xdp__destroy(skel);
	skel = NULL;
	target_bpf.stop();
}

static void xdp_reset(void)
{
	target_bpf.reset();
}

static int xdp_put(const char *map, const void *key, const void *value)
{
	return target_bpf.put(map, key, value);
}

static int xdp_get(const char *map, const void *key, void *ret_value)
{
	return target_bpf.get(map, key, ret_value);
}

static int xdp_del(const char *map, const void *key)
{
	return target_bpf.del(map, key);
}

/* From whom and to whom it leaves; that is not the golden cases' to say. */
static int check_sent(const struct target_packet *p)
{
	if (memcmp(p->data, uplink_hop_mac, 6) || memcmp(p->data + 6, hmac_a, 6)) {
		fprintf(stderr, "sent with the wrong MACs\n");
		return -EPROTO;
	}
	return 0;
}

static int check_passed(const struct target_packet *in, const __u8 *out, __u32 len)
{
	if (in->len != len || memcmp(in->data, out, len)) {
		fprintf(stderr, "changed what was passed\n");
		return -EPROTO;
	}
	return 0;
}

static int xdp_run(enum loom_hook hook, struct target_packet *p, struct target_verdict *ret)
{
	static struct target_packet in;
	static __u8 out[TARGET_PKT_MAX];
	struct xdp_md md = { .ingress_ifindex = LINK_UPLINK };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in.data, .data_out = out,
		    .data_size_out = sizeof(out), .ctx_in = &md, .ctx_size_in = sizeof(md),
		    .repeat = 1);
	int err;

	if ((hook != LOOM_HOOK_FROM_NET && hook != LOOM_HOOK_FROM_OVERLAY) || p->len < 14)
		return target_bpf.run(hook, p, ret);
	uplink_wrap(p, &in);
	opts.data_size_in = md.data_end = in.len;
	err = bpf_prog_test_run_opts(bpf_program__fd(skel->progs.loom_xdp_uplink), &opts);
	if (err)
		return err;
	if (opts.retval == XDP_PASS) {
		err = check_passed(&in, out, opts.data_size_out);
		return err ? err : target_bpf.run(hook, p, ret);
	}
	if (opts.retval != XDP_TX)
		return -EPROTO;
	p->len = opts.data_size_out;
	memcpy(p->data, out, p->len);
	ret->reason = 0;
	ret->xdp = true;
	err = target_bpf_verdict(ret);
	return err ? err : check_sent(p);
}

static int xdp_gc(struct loom_gc_args *args)
{
	return target_bpf.gc(args);
}

static int xdp_connect(__u8 proto, const union loom_addr *src, __u16 sport,
		       const union loom_addr *dst, __u16 dport)
{
	return target_bpf.connect(proto, src, sport, dst, dport);
}

static int xdp_event(struct loom_event *ret)
{
	return target_bpf.event(ret);
}

const struct target target_xdp = {
	.name = "xdp",
	.has_xdp = true,
	.start = xdp_start,
	.stop = xdp_stop,
	.reset = xdp_reset,
	.put = xdp_put,
	.get = xdp_get,
	.del = xdp_del,
	.run = xdp_run,
	.gc = xdp_gc,
	.connect = xdp_connect,
	.event = xdp_event,
};
