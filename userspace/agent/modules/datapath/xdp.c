// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/datapath/xdp.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "agent/modules/datapath/attach.h"
#include "lib/bpf/pins.h"
#include "lib/json/json.h"

#define LOG_NAME "datapath"
#include "lib/base/log.h"

#define ITEM "uplink"
#define PIN  XDP_PROG "-uplink"

struct xdp_item {
	char ifname[IFNAMSIZ];
	unsigned int ifindex; /* as dumped: 0 when the device is gone */
	bool complete;	      /* of the version that is loaded */
};

/* Descriptor of the pinned link and what it is; -ENOENT: there is none. */
static int open_link(const char *dir, struct bpf_link_info *ret, struct err *e)
{
	_cleanup_(closep) int fd = pin_open(dir, PIN_LINK, PIN, NULL);
	uint32_t len = sizeof(*ret);

	if (fd == -ENOENT)
		return fd;
	memset(ret, 0, sizeof(*ret));
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, ret, &len) < 0)
		return err_errno(e, fd < 0 ? fd : -errno, "the pinned link '" PIN "'");
	return TAKE_FD(fd);
}

int xdp_swap(const char *dir, int prog_fd, struct err *e)
{
	struct bpf_link_info info;
	_cleanup_(closep) int fd = open_link(dir, &info, e);

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	if (info.prog_id == prog_id_of(prog_fd))
		return 0;
	if (bpf_link_update(fd, prog_fd, NULL) == 0)
		return 1;
	return errno == ENOLINK ? 0 : err_errno(e, -errno, "can't replace " XDP_PROG);
}

/* What the interface has. Zeros when it has none, or can't be asked. */
static struct bpf_xdp_query_opts query(unsigned int ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, q);

	if (!ifindex || bpf_xdp_query(ifindex, 0, &q) < 0)
		return (struct bpf_xdp_query_opts){};
	return q;
}

const char *xdp_mode_name(const char *dir)
{
	struct bpf_link_info info;
	_cleanup_(closep) int fd = open_link(dir, &info, NULL);

	if (fd < 0 || info.type != BPF_LINK_TYPE_XDP)
		return "off";
	switch (query(info.xdp.ifindex).attach_mode) {
	case XDP_ATTACHED_DRV:
		return "native";
	case XDP_ATTACHED_SKB:
		return "generic";
	case XDP_ATTACHED_HW:
		return "offload";
	default:
		return "off";
	}
}

/* ---- the link ---- */

static int detach(const char *dir, struct err *e)
{
	struct bpf_link_info info;
	_cleanup_(closep) int fd = open_link(dir, &info, NULL);
	int err;

	if (fd == -ENOENT)
		return 0;
	/* Detached here, and not only when the last reference goes: somebody may hold one. */
	if (fd >= 0 && bpf_link_detach(fd) < 0 && errno != ENOLINK && errno != EOPNOTSUPP)
		return err_errno(e, -errno, "can't detach " XDP_PROG);
	err = pin_remove(dir, PIN_LINK, PIN);
	return err < 0 ? err_errno(e, err, "can't remove the pin of link '" PIN "'") : 0;
}

/* Somebody else's program is there: says which. */
static int refuse_other(const struct xdp_item *item, struct err *e)
{
	struct bpf_xdp_query_opts q = query(item->ifindex);
	uint32_t id = q.drv_prog_id ?: q.skb_prog_id ?: q.hw_prog_id ?: q.prog_id;
	_cleanup_(closep) int fd = id ? bpf_prog_get_fd_by_id(id) : -ENOENT;
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);

	if (!id)
		return 0;
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		snprintf(info.name, sizeof(info.name), "?");
	return err_set(e, -EBUSY, "'%s' has an XDP program of somebody else, id %u ('%s')",
		       item->ifname, id, info.name);
}

static int make_link(const struct xdp_items *c, const struct xdp_item *item, int prog_fd,
		     struct err *e)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);
	_cleanup_(closep) int fd = -1;
	int err = refuse_other(item, e);

	if (err < 0)
		return err;
	fd = bpf_link_create(prog_fd, item->ifindex, BPF_XDP, &opts);
	if (fd < 0 && errno == EOPNOTSUPP)
		return err_set(e, -EOPNOTSUPP, "the driver of '%s' has no native XDP",
			       item->ifname);
	if (fd < 0)
		return err_errno(e, -errno, "can't attach " XDP_PROG " to '%s' (ifindex %u)",
				 item->ifname, item->ifindex);
	return pin_put(fd, c->dir, PIN_LINK, PIN, e);
}

static int attach(const struct xdp_items *c, const struct xdp_item *item, struct err *e)
{
	const struct loaded_prog *p = loaded_prog(c->loaded, XDP_PROG);
	struct bpf_link_info info;
	_cleanup_(closep) int old = open_link(c->dir, &info, NULL);
	int err;

	if (!p)
		return err_set(e, -ENOENT, "the kernel has refused the XDP program");
	if (old >= 0 && info.type == BPF_LINK_TYPE_XDP && info.xdp.ifindex == item->ifindex &&
	    (info.prog_id == p->id || bpf_link_update(old, p->fd, NULL) == 0))
		return 0;
	err = detach(c->dir, e);
	return err < 0 ? err : make_link(c, item, p->fd, e);
}

/* ---- the item ---- */

static struct xdp_item *item_new(const char *ifname, unsigned int ifindex, bool complete)
{
	struct xdp_item *item = calloc(1, sizeof(*item));

	if (!item)
		return NULL;
	snprintf(item->ifname, sizeof(item->ifname), "%s", ifname);
	item->ifindex = ifindex;
	item->complete = complete;
	return item;
}

int xdp_put(struct txn *t, const char *ifname, unsigned int ifindex)
{
	struct xdp_item *item = item_new(ifname, ifindex, true);

	return item ? txn_put(t, item, XDP_DESCRIPTOR "/" ITEM) : -ENOMEM;
}

static int item_create(void *ctx, const char *name, const void *value, struct err *e)
{
	struct xdp_items *c = ctx;
	struct err why = {};
	int err = attach(c, value, &why);

	if (err == 0) {
		c->problem = (struct err){};
		return 0;
	}
	if (!c->must && strcmp(c->problem.msg, why.msg) != 0)
		log_info("uplink.xdp: %s; packets go by tc", why.msg);
	c->problem = why;
	return c->must ? err_set(e, err, "uplink.xdp: %s", why.msg) : 0;
}

static int item_update(void *ctx, const char *name, const void *old_value, const void *new_value,
		       struct err *e)
{
	return item_create(ctx, name, new_value, e);
}

static int item_delete(void *ctx, const char *name, const void *value, struct err *e)
{
	const struct xdp_items *c = ctx;

	return detach(c->dir, e);
}

static int item_dump(void *ctx, struct dump_list *ret, struct err *e)
{
	const struct xdp_items *c = ctx;
	const struct loaded_prog *p = loaded_prog(c->loaded, XDP_PROG);
	struct bpf_link_info info;
	_cleanup_(closep) int fd = open_link(c->dir, &info, NULL);
	char ifname[IFNAMSIZ] = "";
	struct xdp_item *item;

	if (fd < 0)
		return 0;
	if (info.xdp.ifindex)
		if_indextoname(info.xdp.ifindex, ifname);
	item = item_new(ifname, info.xdp.ifindex,
			info.type == BPF_LINK_TYPE_XDP && p && p->id == info.prog_id);
	return item ? dump_add(ret, ITEM, item) : -ENOMEM;
}

/* The name may change while the program runs. */
static bool item_equal(const void *a, const void *b)
{
	const struct xdp_item *x = a, *y = b;

	return x->ifindex == y->ifindex && x->complete == y->complete;
}

static struct json_object *item_describe(const char *name, const void *value)
{
	const struct xdp_item *item = value;
	_json_ *ret = json_object_new_object();

	if (!ret || json_add_str(ret, "interface", item->ifname) < 0 ||
	    json_add_int(ret, "ifindex", item->ifindex) < 0 ||
	    json_add_bool(ret, "complete", item->complete) < 0)
		return NULL;
	return TAKE_PTR(ret);
}

/* After the tc programs, which take what it passes. */
const struct descriptor xdp_descriptor = {
	.name = XDP_DESCRIPTOR,
	.order = 220,
	.create = item_create,
	.update = item_update,
	.delete = item_delete,
	.dump = item_dump,
	.equal = item_equal,
	.free = free,
	.describe = item_describe,
};
