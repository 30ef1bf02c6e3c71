// SPDX-License-Identifier: Apache-2.0
#include "lib/netlink/netns_path.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

/*
 * Within a foreign root, absolute symbolic links have to stay inside of it. That mode refuses the
 * links of /proc/PID/ns, which are looked up the plain way.
 */
static int open_below(const char *root, const char *path)
{
	struct open_how how = { .flags = OPEN_FLAGS, .resolve = RESOLVE_IN_ROOT };
	_cleanup_(closep) int root_fd = -1;
	char full[8192];
	int fd;

	if (!*root || !strcmp(root, "/"))
		fd = open(path, OPEN_FLAGS);
	else {
		root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (root_fd < 0)
			return -errno;
		fd = syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
		if (fd < 0 && (errno == ELOOP || errno == EXDEV || errno == ENOSYS)) {
			snprintf(full, sizeof(full), "%s%s", root, path);
			fd = open(full, OPEN_FLAGS);
		}
	}
	return fd < 0 ? -errno : fd;
}

static int identify(int fd, struct netns_path *ret)
{
	struct statfs fs;
	struct stat st;

	if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (fs.f_type != NSFS_MAGIC || ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
		return -EINVAL;
	ret->dev = st.st_dev;
	ret->ino = st.st_ino;
	return 0;
}

static int try_open(const char *root, const char *path, struct netns_path *ret)
{
	_cleanup_(closep) int fd = open_below(root, path);
	int err;

	if (fd < 0)
		return fd;
	err = identify(fd, ret);
	if (err < 0)
		return err;
	ret->fd = TAKE_FD(fd);
	return 0;
}

static bool is_own(const struct netns_path *ns)
{
	struct stat st;

	return stat("/proc/self/ns/net", &st) == 0 && st.st_dev == ns->dev && st.st_ino == ns->ino;
}

/* Its number may be another process's by now; if it still lives afterwards, it never was. */
static int try_as_peer(struct netns_peer peer, const char *path, struct netns_path *ret)
{
	struct netns_path ns = { .fd = -1 };
	char root[64];
	int err;

	if (peer.pid <= 0 || peer.pidfd < 0)
		return -ESRCH;
	snprintf(root, sizeof(root), "/proc/%d/root", peer.pid);
	err = try_open(root, path, &ns);
	if (err < 0)
		return err;
	if (pidfd_send_signal(peer.pidfd, 0, NULL, 0) < 0) {
		close(ns.fd);
		return -ESRCH;
	}
	*ret = ns;
	return 0;
}

int netns_path_open(const char *root, const char *path, struct netns_peer peer,
		    struct netns_path *ret, struct err *e)
{
	struct netns_path ns = { .fd = -1 };
	int err;

	if (path[0] != '/')
		return err_set(e, -EINVAL, "network namespace '%s': not an absolute path", path);
	err = try_open(root, path, &ns);
	if (err < 0 && try_as_peer(peer, path, &ns) == 0)
		err = 0;
	if (err == -EINVAL)
		return err_set(e, err, "'%s' is no network namespace", path);
	if (err < 0)
		return err_errno(e, err, "network namespace '%s'", path);
	if (is_own(&ns)) {
		close(ns.fd);
		return err_set(e, -EINVAL, "'%s' is the agent's own network namespace", path);
	}
	*ret = ns;
	return 0;
}

static bool folder_exists(const char *root, const char *path)
{
	_cleanup_(closep) int fd = -1;
	const char *slash = strrchr(path, '/');
	char folder[4096];

	/* A process that has ended takes the whole folder with it, and /proc is always in sight. */
	if (!strncmp(path, "/proc/", 6))
		return true;
	if (!slash || slash == path)
		return true;
	snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
	fd = open_below(root, folder);
	return fd >= 0;
}

bool netns_path_gone(const char *root, const char *path, uint64_t dev, uint64_t ino)
{
	struct netns_path ns = { .fd = -1 };
	int err = try_open(root, path, &ns);

	if (err == 0) {
		close(ns.fd);
		return ns.dev != dev || ns.ino != ino;
	}
	if (err == -EINVAL)
		return true;
	return (err == -ENOENT || err == -ESRCH) && folder_exists(root, path);
}
