// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/datapath/attach.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/modules/datapath/clsact.h"
#include "lib/bpf/pins.h"

/* include/uapi/linux/bpf.h of Linux 6.6; Debian 12's headers are of 6.1. */
#define ATTACH_TCX_INGRESS 46
#define ATTACH_TCX_EGRESS  47
#define LINK_TYPE_TCX	   11
struct tcx_link_info {
	__u32 type;
	__u32 id;
	__u32 prog_id;
	__u32 hole;
	__u32 ifindex;
	__u32 attach_type;
};
_Static_assert(offsetof(struct bpf_link_info, xdp) == offsetof(struct tcx_link_info, ifindex),
	       "the union of bpf_link_info");

const struct attach_hook attach_hooks[] = {
	{ DATAPATH_OVERLAY, "loom_from_ovl", false, false },
	{ DATAPATH_UPLINK, "loom_from_net", false, false },
	{ DATAPATH_POD, "loom_to_pod", true, true },
	{ DATAPATH_UPLINK, "loom_to_net", true, true },
	{ DATAPATH_HOST, "loom_from_host", true, false },
	{ DATAPATH_POD, "loom_from_pod", false, false },
	{},
};

const struct attach_hook *attach_hook_find(const char *prog)
{
	for (const struct attach_hook *h = attach_hooks; h->prog; h++)
		if (strcmp(h->prog, prog) == 0)
			return h;
	return NULL;
}

/* A kernel without tcx does not know the attach type; one with it looks for the device first. */
enum attach_mode attach_mode_probe(int prog_fd)
{
	_cleanup_(closep) int fd = bpf_link_create(prog_fd, INT32_MAX, ATTACH_TCX_INGRESS, NULL);

	return fd < 0 && errno == ENODEV ? ATTACH_TCX : ATTACH_CLSACT;
}

const char *attach_mode_name(enum attach_mode mode)
{
	return mode == ATTACH_TCX ? "tcx" : "clsact";
}

uint32_t prog_id_of(int prog_fd)
{
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(prog_fd, &info, &len) < 0 ? 0 : info.id;
}

static int link_info(int link_fd, struct tcx_link_info *ret)
{
	union {
		struct bpf_link_info any;
		struct tcx_link_info tcx;
	} info = {};
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(link_fd, &info, &len) < 0)
		return -errno;
	*ret = info.tcx;
	return 0;
}

/* 1: the pinned link is on that interface and runs the program now. 0: there is none, or it was
 * dead and its pin is gone. */
static int tcx_update(const struct attacher *a, const char *pin, int prog_fd, unsigned int ifindex,
		      struct err *e)
{
	_cleanup_(closep) int fd = pin_open(a->dir, PIN_LINK, pin, NULL);
	struct tcx_link_info info;
	int err;

	if (fd == -ENOENT)
		return 0;
	err = fd < 0 ? fd : link_info(fd, &info);
	if (err < 0)
		return err_errno(e, err, "the pinned link '%s'", pin);
	if (info.ifindex == ifindex) {
		if (info.prog_id == prog_id_of(prog_fd) || bpf_link_update(fd, prog_fd, NULL) == 0)
			return 1;
		if (errno != ENOLINK)
			return err_errno(e, -errno, "can't replace the program of link '%s'", pin);
	}
	err = pin_remove(a->dir, PIN_LINK, pin);
	return err < 0 ? err_errno(e, err, "can't remove the pin of link '%s'", pin) : 0;
}

static int tcx_put(const struct attacher *a, const struct attach_hook *hook, int prog_fd,
		   const char *ifname, unsigned int ifindex, struct err *e)
{
	_cleanup_(closep) int fd = -1;
	char pin[LINK_PIN_STRLEN];
	int err;

	link_pin_name(hook->prog, ifname, pin);
	err = tcx_update(a, pin, prog_fd, ifindex, e);
	if (err)
		return MIN(err, 0);
	fd = bpf_link_create(prog_fd, ifindex,
			     hook->egress ? ATTACH_TCX_EGRESS : ATTACH_TCX_INGRESS, NULL);
	if (fd < 0)
		return err_errno(e, -errno, "can't attach %s to '%s' (ifindex %u)", hook->prog,
				 ifname, ifindex);
	return pin_put(fd, a->dir, PIN_LINK, pin, e);
}

/*
 * Making a tcx link waits for a grace period of RCU (12 ms here), a clsact filter does not (0.3
 * ms), and a pod waits for it in CNI ADD. Links that are attached once a boot are tcx where there
 * is tcx.
 */
static enum attach_mode hook_mode(const struct attacher *a, const struct attach_hook *hook)
{
	return hook->role == DATAPATH_POD ? ATTACH_CLSACT : a->mode;
}

int attach_put(const struct attacher *a, const struct attach_hook *hook, int prog_fd,
	       const char *ifname, unsigned int ifindex, struct err *e)
{
	if (hook_mode(a, hook) == ATTACH_CLSACT)
		return clsact_put(hook, prog_fd, ifname, ifindex, e);
	return tcx_put(a, hook, prog_fd, ifname, ifindex, e);
}

int attach_del(const struct attacher *a, const struct attach_hook *hook, const char *ifname,
	       struct err *e)
{
	_cleanup_(closep) int fd = -1;
	char pin[LINK_PIN_STRLEN];
	int err;

	if (hook_mode(a, hook) == ATTACH_CLSACT)
		return clsact_del(hook, ifname, e);
	link_pin_name(hook->prog, ifname, pin);
	fd = pin_open(a->dir, PIN_LINK, pin, NULL);
	if (fd == -ENOENT)
		return 0;
	/* Detached here, and not only when the last reference goes: somebody may hold one. */
	if (fd >= 0 && bpf_link_detach(fd) < 0 && errno != ENOLINK && errno != EOPNOTSUPP)
		return err_errno(e, -errno, "can't detach %s from '%s'", hook->prog, ifname);
	err = pin_remove(a->dir, PIN_LINK, pin);
	return err < 0 ? err_errno(e, err, "can't remove the pin of link '%s'", pin) : 0;
}

struct each {
	const struct attacher *a;
	int (*fn)(const struct attached *at, void *arg);
	void *arg;
};

static int each_pin(const char *name, void *arg)
{
	const struct each *each = arg;
	_cleanup_(closep) int fd = -1;
	struct attached at = {};
	struct tcx_link_info info;

	if (link_pin_parse(name, at.prog, at.ifname) < 0)
		return 0;
	fd = pin_open(each->a->dir, PIN_LINK, name, NULL);
	if (fd < 0 || link_info(fd, &info) < 0 || info.type != LINK_TYPE_TCX)
		return 0;
	at.ifindex = info.ifindex;
	at.prog_id = info.prog_id;
	at.link_id = info.id;
	at.egress = info.attach_type == ATTACH_TCX_EGRESS;
	return each->fn(&at, each->arg);
}

int attach_foreach(const struct attacher *a, int (*fn)(const struct attached *at, void *arg),
		   void *arg)
{
	struct each each = { a, fn, arg };
	int err = clsact_foreach(fn, arg);

	if (err || a->mode == ATTACH_CLSACT)
		return err;
	return pin_foreach(a->dir, PIN_LINK, each_pin, &each);
}

struct swap {
	const struct attacher *a;
	const struct attach_hook *hook;
	int prog_fd;
	uint32_t prog_id;
	int n;
	struct err *e;
};

static int swap_one(const struct attached *at, void *arg)
{
	struct swap *s = arg;
	int err;

	if (strcmp(at->prog, s->hook->prog) != 0 || !at->ifindex || at->prog_id == s->prog_id)
		return 0;
	err = attach_put(s->a, s->hook, s->prog_fd, at->ifname, at->ifindex, s->e);
	if (err < 0)
		return err;
	s->n++;
	return 0;
}

int attach_swap(const struct attacher *a, const struct attach_hook *hook, int prog_fd,
		struct err *e)
{
	struct swap s = { a, hook, prog_fd, prog_id_of(prog_fd), 0, e };
	int err = attach_foreach(a, swap_one, &s);

	return err < 0 ? err : s.n;
}
