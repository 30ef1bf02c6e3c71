// SPDX-License-Identifier: Apache-2.0
#include "lib/netlink/netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>

int netns_enter(int netns_fd, int *ret_old, struct err *e)
{
	_cleanup_(closep) int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	if (home < 0)
		return err_errno(e, -errno, "/proc/thread-self/ns/net");
	if (setns(netns_fd, CLONE_NEWNET) < 0)
		return err_errno(e, -errno, "enter the network namespace");
	*ret_old = TAKE_FD(home);
	return 0;
}

void netns_leave(int *old_fd)
{
	/* Anything that this thread did next would be done to the wrong machine. */
	if (setns(*old_fd, CLONE_NEWNET) < 0)
		abort();
	closep(old_fd);
	*old_fd = -1;
}

int netns_open(const char *path, int *ret_fd, struct err *e)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return err_errno(e, -EBADF, "network namespace '%.200s' can't be opened", path);
	if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
		return err_set(e, -EBADF, "'%.200s' is not a network namespace", path);
	*ret_fd = TAKE_FD(fd);
	return 0;
}
