// SPDX-License-Identifier: Apache-2.0
#include "lib/bpf/pins.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

static const char *const kind_dirs[] = {
	[PIN_MAP] = "maps",
	[PIN_PROG] = "progs",
	[PIN_LINK] = "links",
};

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

static bool on_bpffs(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == BPF_FS_MAGIC;
}

static int make_dirs(const char *path, struct err *e)
{
	char part[PATH_MAX];

	if (snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part))
		return err_set(e, -ENAMETOOLONG, "'%.64s…': path is too long", path);
	for (char *slash = part + 1; *slash; slash++) {
		if (*slash != '/')
			continue;
		*slash = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST && errno != EROFS)
			return err_errno(e, -errno, "can't make '%s'", part);
		*slash = '/';
	}
	if (mkdir(part, 0755) < 0 && errno != EEXIST)
		return err_errno(e, -errno, "can't make '%s'", part);
	return 0;
}

static bool dir_is_empty(const char *path)
{
	_cleanup_(closedirp) DIR *d = opendir(path);
	const struct dirent *ent;

	while (d && (ent = readdir(d)))
		if (strcmp(ent->d_name, ".") != 0 && strcmp(ent->d_name, "..") != 0)
			return false;
	return true;
}

static int mount_parent(const char *dir, struct err *e)
{
	char parent[PATH_MAX];
	char *slash;
	int err;

	if (snprintf(parent, sizeof(parent), "%s", dir) >= (int)sizeof(parent))
		return err_set(e, -ENAMETOOLONG, "'%.64s…': path is too long", dir);
	slash = strrchr(parent, '/');
	if (!slash || slash == parent)
		return err_set(e, -EINVAL, "'%s': want an absolute path two levels deep at least",
			       dir);
	*slash = '\0';
	if (on_bpffs(parent))
		return 0;
	err = make_dirs(parent, e);
	if (err < 0)
		return err;
	if (!dir_is_empty(parent))
		return err_set(e, -EINVAL,
			       "'%s' is not on a bpffs, and '%s' is not empty, so none is mounted "
			       "there; mount one, or name another folder",
			       dir, parent);
	if (mount("bpf", parent, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0)
		return err_errno(e, -errno, "can't mount a bpffs at '%s'", parent);
	return 0;
}

int pins_prepare(const char *dir, struct err *e)
{
	int err;

	if (!on_bpffs(dir)) {
		err = mount_parent(dir, e);
		if (err < 0)
			return err;
	}
	for (size_t i = 0; i < ARRAY_SIZE(kind_dirs); i++) {
		char sub[PATH_MAX];

		if (snprintf(sub, sizeof(sub), "%s/%s", dir, kind_dirs[i]) >= (int)sizeof(sub))
			return err_set(e, -ENAMETOOLONG, "'%.64s…': path is too long", dir);
		err = make_dirs(sub, e);
		if (err < 0)
			return err;
	}
	return 0;
}

int pin_path(const char *dir, enum pin_kind kind, const char *name, char ret[static PATH_MAX])
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%s/%s", dir, kind_dirs[kind], name) >=
	    (int)sizeof(path))
		return -ENAMETOOLONG;
	memcpy(ret, path, sizeof(path));
	return 0;
}

static int open_flags(const char *dir, enum pin_kind kind, const char *name, unsigned int flags,
		      struct err *e)
{
	LIBBPF_OPTS(bpf_obj_get_opts, opts, .file_flags = flags);
	char path[PATH_MAX];
	int fd, err;

	err = pin_path(dir, kind, name, path);
	if (err < 0)
		return err_errno(e, err, "'%s/%s'", dir, name);
	fd = bpf_obj_get_opts(path, &opts);
	if (fd < 0)
		return err_errno(e, -errno, "can't open the pin '%s'", path);
	return fd;
}

int pin_open(const char *dir, enum pin_kind kind, const char *name, struct err *e)
{
	return open_flags(dir, kind, name, 0, e);
}

int pin_open_map_readonly(const char *dir, const char *name, struct err *e)
{
	return open_flags(dir, PIN_MAP, name, BPF_F_RDONLY, e);
}

int pin_put(int fd, const char *dir, enum pin_kind kind, const char *name, struct err *e)
{
	char path[PATH_MAX], beside[NAME_MAX];
	int err;

	if (snprintf(beside, sizeof(beside), "%s" PIN_NEW, name) >= (int)sizeof(beside))
		return err_set(e, -ENAMETOOLONG, "pin name '%.64s…' is too long", name);
	err = pin_path(dir, kind, beside, path);
	if (err < 0)
		return err_errno(e, err, "'%s/%s'", dir, beside);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_errno(e, -errno, "can't remove '%s'", path);
	if (bpf_obj_pin(fd, path) < 0)
		return err_errno(e, -errno, "can't pin '%s'", path);
	return pin_promote(dir, kind, name, e);
}

int pin_promote(const char *dir, enum pin_kind kind, const char *name, struct err *e)
{
	char from[PATH_MAX], to[PATH_MAX], beside[NAME_MAX];
	int err;

	if (snprintf(beside, sizeof(beside), "%s" PIN_NEW, name) >= (int)sizeof(beside))
		return err_set(e, -ENAMETOOLONG, "pin name '%.64s…' is too long", name);
	err = pin_path(dir, kind, beside, from);
	if (!err)
		err = pin_path(dir, kind, name, to);
	if (err < 0)
		return err_errno(e, err, "'%s/%s'", dir, name);
	if (rename(from, to) < 0)
		return err_errno(e, -errno, "can't rename '%s'", from);
	return 0;
}

int pin_remove(const char *dir, enum pin_kind kind, const char *name)
{
	char path[PATH_MAX];
	int err = pin_path(dir, kind, name, path);

	if (err < 0)
		return err;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

bool pin_exists(const char *dir, enum pin_kind kind, const char *name)
{
	char path[PATH_MAX];

	return pin_path(dir, kind, name, path) == 0 && access(path, F_OK) == 0;
}

int pin_foreach(const char *dir, enum pin_kind kind, int (*fn)(const char *name, void *arg),
		void *arg)
{
	_cleanup_(closedirp) DIR *d = NULL;
	const struct dirent *ent;
	char path[PATH_MAX];
	int err;

	err = pin_path(dir, kind, "", path);
	if (err < 0)
		return err;
	d = opendir(path);
	if (!d)
		return -errno;
	while ((ent = readdir(d))) {
		if (ent->d_name[0] == '.')
			continue;
		err = fn(ent->d_name, arg);
		if (err)
			return err;
	}
	return 0;
}

const char *link_pin_name(const char *prog, const char *ifname, char buf[static LINK_PIN_STRLEN])
{
	size_t len = snprintf(buf, 32, "%s-", prog);

	for (const char *c = ifname; *c && len + 4 < LINK_PIN_STRLEN; c++) {
		if (*c == '.' || *c == '%')
			len += snprintf(buf + len, LINK_PIN_STRLEN - len, "%%%02x", *c);
		else
			buf[len++] = *c;
	}
	buf[len] = '\0';
	return buf;
}

static int unescape(const char **from)
{
	unsigned int c;

	if (**from != '%')
		return *(*from)++;
	if (strlen(*from) < 3 || sscanf(*from, "%%%2x", &c) != 1)
		return -EINVAL;
	*from += 3;
	return c;
}

int link_pin_parse(const char *pin, char ret_prog[static 32], char ret_ifname[static IFNAMSIZ])
{
	const char *dash = strchr(pin, '-');
	char ifname[IFNAMSIZ] = {};
	size_t len = 0;

	if (!dash || dash == pin || dash - pin >= 32 || !dash[1])
		return -EINVAL;
	for (const char *c = dash + 1; *c;) {
		int byte = len < IFNAMSIZ - 1 ? unescape(&c) : -EINVAL;

		if (byte <= 0)
			return -EINVAL;
		ifname[len++] = byte;
	}
	memcpy(ret_prog, pin, dash - pin);
	ret_prog[dash - pin] = '\0';
	memcpy(ret_ifname, ifname, sizeof(ifname));
	return 0;
}
