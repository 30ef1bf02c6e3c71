// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "hostlink"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "agent/modules/hostlink/items.h"
#include "lib/base/log.h"
#include "lib/json/json.h"

/*
 * Interface names may hold dots, so paths are written with slashes, and the item's name with them.
 * What was there before is in the log; it is not put back, since others may rely on it by now.
 */
static int open_path(const char *path, int flags)
{
	char full[256];
	int fd;

	snprintf(full, sizeof(full), "/proc/sys/%s", path);
	fd = open(full, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int host_sysctl_read(const char *path, char *buf, size_t len)
{
	_cleanup_(closep) int fd = open_path(path, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = read(fd, buf, len - 1);
	if (n < 0)
		return -errno;
	buf[n] = 0;
	buf[strcspn(buf, "\n")] = 0;
	return 0;
}

static bool satisfied(const struct host_sysctl *s, const char *found)
{
	return strcmp(found, s->value) == 0 || (s->accept && strcmp(found, s->accept) == 0);
}

/* 1: it is written; 0: it was as it should be. */
static int set(const char *name, const struct host_sysctl *s, char *found, size_t len,
	       struct err *e)
{
	_cleanup_(closep) int fd = -1;
	int err = host_sysctl_read(name, found, len);

	if (err < 0)
		return err_errno(e, err, "sysctl '%s'", name);
	if (satisfied(s, found))
		return 0;
	fd = open_path(name, O_WRONLY);
	if (fd < 0)
		return err_errno(e, fd, "sysctl '%s'", name);
	if (write(fd, s->value, strlen(s->value)) < 0)
		return err_errno(e, -errno, "sysctl '%s' = %s", name, s->value);
	return 1;
}

static int op_create(void *ctx, const char *name, const void *value, struct err *e)
{
	const struct host_sysctl *s = value;
	char found[32];
	int err = set(name, s, found, sizeof(found), e);

	if (err > 0)
		log_info("sysctl '%s' changed from %s to %s: %s", name, found, s->value, s->why);
	return MIN(err, 0);
}

int host_link_unfilter(const char *link)
{
	static const struct host_sysctl off = { "0", NULL, NULL };
	char path[96], found[32];

	snprintf(path, sizeof(path), "net/ipv4/conf/%s/rp_filter", link);
	return set(path, &off, found, sizeof(found), NULL);
}

static int op_update(void *ctx, const char *name, const void *old_value, const void *new_value,
		     struct err *e)
{
	return op_create(ctx, name, new_value, e);
}

static int op_delete(void *ctx, const char *name, const void *value, struct err *e)
{
	return 0;
}

struct host_sysctl_wish {
	char *path;
	struct host_sysctl s;
};

void host_sysctls_clear(struct host_sysctls *all)
{
	for (size_t i = 0; i < all->n; i++)
		free(all->v[i].path);
	free(all->v);
	*all = (struct host_sysctls){};
}

static int wish_add(struct host_sysctls *all, const char *path, const struct host_sysctl *s)
{
	struct host_sysctl_wish *grown = realloc(all->v, (all->n + 1) * sizeof(*grown));
	char *copy = strdup(path);

	if (grown)
		all->v = grown;
	if (!grown || !copy) {
		free(copy);
		return -ENOMEM;
	}
	all->v[all->n++] = (struct host_sysctl_wish){ copy, *s };
	return 0;
}

static struct host_sysctl *sysctl_dup(const struct host_sysctl *s)
{
	struct host_sysctl *copy = malloc(sizeof(*copy));

	if (copy)
		*copy = *s;
	return copy;
}

/* One that can't be read is as good as one that is wrong: creating it will say why. */
static int op_dump(void *ctx, struct dump_list *ret, struct err *e)
{
	const struct host_sysctls *all = ctx;

	for (size_t i = 0; i < all->n; i++) {
		const struct host_sysctl_wish *w = &all->v[i];
		struct host_sysctl *copy;
		char found[32];
		int err;

		if (host_sysctl_read(w->path, found, sizeof(found)) < 0 || !satisfied(&w->s, found))
			continue;
		copy = sysctl_dup(&w->s);
		err = copy ? dump_add(ret, w->path, copy) : -ENOMEM;
		if (err < 0)
			return err_errno(e, err, "sysctl '%s'", w->path);
	}
	return 0;
}

const char *host_sysctls_lost(const struct host_sysctls *all, struct scheduler *s)
{
	char found[32];

	for (size_t i = 0; i < all->n; i++) {
		const struct host_sysctl_wish *w = &all->v[i];

		if (host_sysctl_read(w->path, found, sizeof(found)) == 0 &&
		    !satisfied(&w->s, found) && scheduler_applied(s, "host-sysctl/%s", w->path))
			return w->path;
	}
	return NULL;
}

static struct json_object *op_describe(const char *name, const void *value)
{
	const struct host_sysctl *s = value;
	struct json_object *o = json_object_new_object();

	if (!o)
		return NULL;
	json_add_str(o, "value", s->value);
	json_add_str(o, "why", s->why);
	return o;
}

static bool op_equal(const void *a, const void *b)
{
	const struct host_sysctl *x = a, *y = b;

	return strcmp(x->value, y->value) == 0;
}

const struct descriptor host_sysctl_descriptor = {
	.name = "host-sysctl",
	.order = 20,
	.create = op_create,
	.update = op_update,
	.delete = op_delete,
	.dump = op_dump,
	.equal = op_equal,
	.free = free,
	.describe = op_describe,
};

int host_put_sysctl(struct host_sysctls *all, struct txn *txn, const char *path,
		    const struct host_sysctl *s)
{
	struct host_sysctl *copy;
	int err = wish_add(all, path, s);

	if (err < 0)
		return err;
	copy = sysctl_dup(s);
	return copy ? txn_put(txn, copy, "host-sysctl/%s", path) : -ENOMEM;
}
