// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/datapath/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/modules/datapath/attach.h"
#include "lib/bpf/pins.h"
#include "lib/json/json.h"

#define ITEM "sockets"

struct cgroup_item {
	char path[PATH_MAX]; /* not known, and not compared, as dumped */
	uint64_t id;	     /* as dumped: 0 when the group is gone */
	bool complete;	     /* every program, and of the version that is loaded */
};

const struct cgroup_hook cgroup_hooks[] = {
	{ "loom_recvmsg4", BPF_CGROUP_UDP4_RECVMSG },
	{ "loom_recvmsg6", BPF_CGROUP_UDP6_RECVMSG },
	{ "loom_getpeer4", BPF_CGROUP_INET4_GETPEERNAME },
	{ "loom_getpeer6", BPF_CGROUP_INET6_GETPEERNAME },
	{ "loom_sendmsg4", BPF_CGROUP_UDP4_SENDMSG },
	{ "loom_sendmsg6", BPF_CGROUP_UDP6_SENDMSG },
	{ "loom_connect4", BPF_CGROUP_INET4_CONNECT },
	{ "loom_connect6", BPF_CGROUP_INET6_CONNECT },
	{},
};

static const char *pin_of(const struct cgroup_hook *hook, char buf[static LINK_PIN_STRLEN])
{
	snprintf(buf, LINK_PIN_STRLEN, "%s-cgroup", hook->prog);
	return buf;
}

/* Opens the hook's link and says what it is. Descriptor, -ENOENT: there is none. */
static int open_link(const char *dir, const struct cgroup_hook *hook, struct bpf_link_info *ret,
		     struct err *e)
{
	char pin[LINK_PIN_STRLEN];
	_cleanup_(closep) int fd = pin_open(dir, PIN_LINK, pin_of(hook, pin), NULL);
	uint32_t len = sizeof(*ret);

	if (fd == -ENOENT)
		return fd;
	if (fd < 0)
		return err_errno(e, fd, "the pinned link '%s'", pin);
	memset(ret, 0, sizeof(*ret));
	if (bpf_obj_get_info_by_fd(fd, ret, &len) < 0)
		return err_errno(e, -errno, "the pinned link '%s'", pin);
	return TAKE_FD(fd);
}

int cgroup_swap(const char *dir, const struct cgroup_hook *hook, int prog_fd, struct err *e)
{
	struct bpf_link_info info;
	_cleanup_(closep) int fd = open_link(dir, hook, &info, e);

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	if (info.prog_id == prog_id_of(prog_fd))
		return 0;
	if (bpf_link_update(fd, prog_fd, NULL) == 0)
		return 1;
	return errno == ENOLINK ? 0 : err_errno(e, -errno, "can't replace %s", hook->prog);
}

bool cgroup_programs_loaded(const struct loaded *l)
{
	for (const struct cgroup_hook *h = cgroup_hooks; h->prog; h++)
		if (!loaded_prog(l, h->prog))
			return false;
	return true;
}

static int open_cgroup(const char *path, struct err *e)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0 || fstatfs(fd, &fs) < 0)
		return err_errno(e, -errno, "control group '%s'", path);
	if (fs.f_type != CGROUP2_SUPER_MAGIC)
		return err_set(e, -EINVAL, "'%s' is not a control group of version 2", path);
	return TAKE_FD(fd);
}

/* kernfs gives a folder's id as its inode number (Linux 5.5, 64 bits). */
static int id_of(int fd, uint64_t *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	*ret = st.st_ino;
	return 0;
}

int cgroup_id(const char *path, uint64_t *ret, struct err *e)
{
	_cleanup_(closep) int fd = open_cgroup(path, e);
	int err = fd < 0 ? fd : id_of(fd, ret);

	return err;
}

unsigned int cgroup_count(const char *dir)
{
	unsigned int n = 0;

	for (const struct cgroup_hook *h = cgroup_hooks; h->prog; h++) {
		struct bpf_link_info info;
		_cleanup_(closep) int fd = open_link(dir, h, &info, NULL);

		n += fd >= 0 && info.cgroup.cgroup_id;
	}
	return n;
}

/* ---- one link ---- */

static int detach(const char *dir, const struct cgroup_hook *hook, struct err *e)
{
	char pin[LINK_PIN_STRLEN];
	struct bpf_link_info info;
	_cleanup_(closep) int fd = open_link(dir, hook, &info, NULL);
	int err;

	if (fd == -ENOENT)
		return 0;
	if (fd >= 0 && bpf_link_detach(fd) < 0 && errno != ENOLINK && errno != EOPNOTSUPP)
		return err_errno(e, -errno, "can't detach %s", hook->prog);
	err = pin_remove(dir, PIN_LINK, pin_of(hook, pin));
	return err < 0 ? err_errno(e, err, "can't remove the pin of link '%s'", pin) : 0;
}

static int attach(const struct cgroup_items *c, const struct cgroup_hook *hook, int cgroup_fd,
		  uint64_t id, struct err *e)
{
	const struct loaded_prog *p = loaded_prog(c->loaded, hook->prog);
	char pin[LINK_PIN_STRLEN];
	struct bpf_link_info info;
	_cleanup_(closep) int old = open_link(c->dir, hook, &info, NULL);
	_cleanup_(closep) int fd = -1;
	int err;

	if (!p)
		return err_set(e, -ENOENT, "there is no program %s", hook->prog);
	if (old >= 0 && info.type == BPF_LINK_TYPE_CGROUP && info.cgroup.cgroup_id == id &&
	    (info.prog_id == p->id || bpf_link_update(old, p->fd, NULL) == 0))
		return 0;
	err = detach(c->dir, hook, e);
	if (err < 0)
		return err;
	fd = bpf_link_create(p->fd, cgroup_fd, hook->type, NULL);
	if (fd < 0)
		return err_errno(e, -errno, "can't attach %s to the control group", hook->prog);
	return pin_put(fd, c->dir, PIN_LINK, pin_of(hook, pin), e);
}

/* ---- the item ---- */

static struct cgroup_item *item_new(const char *path, uint64_t id, bool complete)
{
	struct cgroup_item *item = calloc(1, sizeof(*item));

	if (!item)
		return NULL;
	snprintf(item->path, sizeof(item->path), "%s", path);
	item->id = id;
	item->complete = complete;
	return item;
}

int cgroup_put(struct txn *t, const char *path, uint64_t id)
{
	struct cgroup_item *item = item_new(path, id, true);

	return item ? txn_put(t, item, CGROUP_DESCRIPTOR "/" ITEM) : -ENOMEM;
}

static int item_create(void *ctx, const char *name, const void *value, struct err *e)
{
	const struct cgroup_item *item = value;
	_cleanup_(closep) int fd = open_cgroup(item->path, e);
	uint64_t id;
	int err = fd < 0 ? fd : id_of(fd, &id);

	for (const struct cgroup_hook *h = cgroup_hooks; h->prog && !err; h++)
		err = attach(ctx, h, fd, id, e);
	return err;
}

static int item_update(void *ctx, const char *name, const void *old_value, const void *new_value,
		       struct err *e)
{
	return item_create(ctx, name, new_value, e);
}

/* The ways there go first: whoever got a backend by them can still see its service's address. */
static int item_delete(void *ctx, const char *name, const void *value, struct err *e)
{
	const struct cgroup_items *c = ctx;
	int err = 0;

	for (int i = ARRAY_SIZE(cgroup_hooks) - 2; i >= 0 && !err; i--)
		err = detach(c->dir, &cgroup_hooks[i], e);
	return err;
}

static int item_dump(void *ctx, struct dump_list *ret, struct err *e)
{
	const struct cgroup_items *c = ctx;
	struct cgroup_item *item;
	bool any = false, all = true;
	uint64_t id = 0;

	for (const struct cgroup_hook *h = cgroup_hooks; h->prog; h++) {
		const struct loaded_prog *p = loaded_prog(c->loaded, h->prog);
		struct bpf_link_info info;
		_cleanup_(closep) int fd = open_link(c->dir, h, &info, NULL);
		bool good = fd >= 0 && info.type == BPF_LINK_TYPE_CGROUP && p &&
			    p->id == info.prog_id && (!any || info.cgroup.cgroup_id == id);

		if (fd >= 0 && !any)
			id = info.cgroup.cgroup_id;
		any |= fd >= 0;
		all &= good;
	}
	if (!any)
		return 0;
	item = item_new("", id, all);
	return item ? dump_add(ret, ITEM, item) : -ENOMEM;
}

static bool item_equal(const void *a, const void *b)
{
	const struct cgroup_item *x = a, *y = b;

	return x->id == y->id && x->complete == y->complete;
}

static struct json_object *item_describe(const char *name, const void *value)
{
	const struct cgroup_item *item = value;
	_json_ *ret = json_object_new_object();

	if (!ret || json_add_str(ret, "path", item->path) < 0 ||
	    json_add_int(ret, "id", item->id) < 0 ||
	    json_add_bool(ret, "complete", item->complete) < 0)
		return NULL;
	return TAKE_PTR(ret);
}

const struct descriptor cgroup_descriptor = {
	.name = CGROUP_DESCRIPTOR,
	.order = 210,
	.create = item_create,
	.update = item_update,
	.delete = item_delete,
	.dump = item_dump,
	.equal = item_equal,
	.free = free,
	.describe = item_describe,
};
