// SPDX-License-Identifier: Apache-2.0
#include "lib/base/folders.h"

#include <errno.h>
#include <linux/limits.h>
#include <string.h>
#include <sys/stat.h>

static int make_one(const char *path, mode_t mode)
{
	return mkdir(path, mode) < 0 && errno != EEXIST ? -errno : 0;
}

int make_parents(const char *path)
{
	char buf[PATH_MAX];
	size_t n = strlen(path);

	if (n >= sizeof(buf))
		return -ENAMETOOLONG;
	memcpy(buf, path, n + 1);
	for (size_t i = 1; i < n; i++) {
		int err;

		if (buf[i] != '/')
			continue;
		buf[i] = 0;
		err = make_one(buf, 0755);
		if (err < 0)
			return err;
		buf[i] = '/';
	}
	return 0;
}

int make_folders(const char *path, mode_t mode)
{
	int err = make_parents(path);

	return err < 0 ? err : make_one(path, mode);
}
