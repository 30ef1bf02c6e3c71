/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Makes a control group of this process alone, "nlt-NAME-" and something that nobody else has: who
 * shares the machine's groups need not share its process numbers. 0, -ENOENT: cgroup2 is not
 * mounted, or a negative errno of mkdir().
 */
static inline int cgroup2_make(const char *name, char *ret, size_t len)
{
	FILE *f = fopen("/proc/self/mounts", "re");
	char line[512], path[256], type[32];
	int err = -ENOENT;

	while (f && err && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %255s %31s", path, type) == 2 && !strcmp(type, "cgroup2"))
			err = 0;
	if (f)
		fclose(f);
	if (err)
		return err;
	if (snprintf(ret, len, "%s/nlt-%s-XXXXXX", path, name) >= (int)len)
		return -ENAMETOOLONG;
	return mkdtemp(ret) ? 0 : -errno;
}
