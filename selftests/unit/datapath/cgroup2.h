/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * A path for a control group of this process alone, "nlt-NAME-PID" below where cgroup2 is mounted.
 * 0, -ENOENT: it is not mounted, or -ENAMETOOLONG.
 */
static inline int cgroup2_path(const char *name, char *ret, size_t len)
{
	FILE *f = fopen("/proc/self/mounts", "re");
	char line[512], path[256], type[32];
	int err = -ENOENT;

	while (f && err && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %255s %31s", path, type) == 2 && !strcmp(type, "cgroup2"))
			err = snprintf(ret, len, "%s/nlt-%s-%d", path, name, getpid()) < (int)len
				      ? 0
				      : -ENAMETOOLONG;
	if (f)
		fclose(f);
	return err;
}
