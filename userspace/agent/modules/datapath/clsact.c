// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/datapath/clsact.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#define FILTER_HANDLE 1

static struct bpf_tc_hook tc_hook(unsigned int ifindex, bool egress)
{
	return (struct bpf_tc_hook){
		.sz = sizeof(struct bpf_tc_hook),
		.ifindex = ifindex,
		.attach_point = egress ? BPF_TC_EGRESS : BPF_TC_INGRESS,
	};
}

int clsact_put(const struct attach_hook *hook, int prog_fd, const char *ifname,
	       unsigned int ifindex, struct err *e)
{
	struct bpf_tc_hook tc = tc_hook(ifindex, hook->egress);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = FILTER_HANDLE,
		    .priority = DATAPATH_FILTER_PRIORITY, .prog_fd = prog_fd,
		    .flags = BPF_TC_F_REPLACE);
	int err = bpf_tc_hook_create(&tc);

	if (err < 0 && err != -EEXIST)
		return err_errno(e, err, "can't make a clsact qdisc on '%s'", ifname);
	err = bpf_tc_attach(&tc, &opts);
	if (err < 0)
		return err_errno(e, err, "can't attach %s to '%s' (ifindex %u)", hook->prog, ifname,
				 ifindex);
	return 0;
}

int clsact_del(const struct attach_hook *hook, const char *ifname, struct err *e)
{
	unsigned int ifindex = if_nametoindex(ifname);
	struct bpf_tc_hook tc = tc_hook(ifindex, hook->egress);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = FILTER_HANDLE,
		    .priority = DATAPATH_FILTER_PRIORITY);
	int err;

	if (!ifindex)
		return 0;
	err = bpf_tc_detach(&tc, &opts);
	/* -EINVAL: no clsact qdisc there. */
	if (err < 0 && err != -ENOENT && err != -EINVAL && err != -ENODEV)
		return err_errno(e, err, "can't detach %s from '%s'", hook->prog, ifname);
	return 0;
}

/* Full name of the hook whose program (cut by the kernel to 15 characters) this is; NULL: a
 * stranger's. */
static const struct attach_hook *hook_of_prog(uint32_t prog_id, bool egress)
{
	_cleanup_(closep) int fd = bpf_prog_get_fd_by_id(prog_id);
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return NULL;
	for (const struct attach_hook *h = attach_hooks; h->prog; h++)
		if (h->egress == egress && strncmp(h->prog, info.name, BPF_OBJ_NAME_LEN - 1) == 0)
			return h;
	return NULL;
}

static int look_at(const struct if_nameindex *link, bool egress,
		   int (*fn)(const struct attached *at, void *arg), void *arg)
{
	struct bpf_tc_hook tc = tc_hook(link->if_index, egress);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = FILTER_HANDLE,
		    .priority = DATAPATH_FILTER_PRIORITY);
	struct attached at = { .ifindex = link->if_index, .egress = egress };
	const struct attach_hook *hook;

	if (bpf_tc_query(&tc, &opts) < 0)
		return 0;
	hook = hook_of_prog(opts.prog_id, egress);
	if (!hook)
		return 0;
	at.prog_id = opts.prog_id;
	memcpy(at.prog, hook->prog, strlen(hook->prog));
	memcpy(at.ifname, link->if_name, strnlen(link->if_name, IFNAMSIZ - 1));
	return fn(&at, arg);
}

static void free_links(struct if_nameindex **links)
{
	if (*links)
		if_freenameindex(*links);
}

int clsact_foreach(int (*fn)(const struct attached *at, void *arg), void *arg)
{
	_cleanup_(free_links) struct if_nameindex *links = if_nameindex();

	if (!links)
		return -errno;
	for (const struct if_nameindex *l = links; l->if_index; l++) {
		int err = look_at(l, false, fn, arg);

		if (!err)
			err = look_at(l, true, fn, arg);
		if (err)
			return err;
	}
	return 0;
}
