// SPDX-License-Identifier: Apache-2.0
#include "cni/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "api/cni_spool.h"
#include "lib/base/folders.h"

/* Two 64-bit FNV-1a hashes with different bases: a name of fixed length for a key of any. */
static uint64_t fnv1a(uint64_t h, const char *s)
{
	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 0x100000001b3u;
	return (h ^ 0xff) * 0x100000001b3u;
}

static void spool_name(const char *container_id, const char *ifname, char *ret, size_t size)
{
	uint64_t a = fnv1a(fnv1a(0xcbf29ce484222325u, container_id), ifname);
	uint64_t b = fnv1a(fnv1a(0x6c62272e07bb0142u, ifname), container_id);

	snprintf(ret, size, "%016llx%016llx" CNI_SPOOL_SUFFIX, (unsigned long long)a,
		 (unsigned long long)b);
}

/* Without those that somebody did not live to rename: they are no requests, and nobody's to remove.
 */
static int count_files(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), n = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!d) {
		int err = -errno;

		closep(&fd);
		return err;
	}
	while ((entry = readdir(d)))
		n += entry->d_name[0] != '.';
	closedir(d);
	return n;
}

static int write_all(int fd, const uint8_t *msg, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, msg, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		msg += n;
		len -= n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

int spool_write(const char *dir, const char *container_id, const char *ifname, const uint8_t *msg,
		size_t len, struct err *e)
{
	_cleanup_(closep) int dir_fd = -1, fd = -1;
	char name[64], tmp[96];
	int err;

	if (len > CNI_SPOOL_MAX_BYTES)
		return err_set(e, -EMSGSIZE, "request of %zu bytes is too long to keep", len);
	err = make_folders(dir, 0700);
	if (err < 0)
		return err_errno(e, err, "'%s'", dir);
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return err_errno(e, -errno, "'%s'", dir);
	spool_name(container_id, ifname, name, sizeof(name));
	if (count_files(dir_fd) >= CNI_SPOOL_MAX_FILES && faccessat(dir_fd, name, F_OK, 0) < 0)
		return err_set(e, -ENOSPC, "'%s' holds %d requests already", dir,
			       CNI_SPOOL_MAX_FILES);
	snprintf(tmp, sizeof(tmp), ".%s.%d", name, getpid());
	fd = openat(dir_fd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_errno(e, -errno, "'%s/%s'", dir, tmp);
	err = write_all(fd, msg, len);
	if (!err && renameat(dir_fd, tmp, dir_fd, name) < 0)
		err = -errno;
	if (err < 0) {
		unlinkat(dir_fd, tmp, 0);
		return err_errno(e, err, "'%s/%s'", dir, name);
	}
	fsync(dir_fd);
	return 0;
}
