// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/datapath/build.h"

#include <bpf/bpf.h>
#include <errno.h>

#include "lib/bpf/pins.h"

int build_read(const char *dir, struct build_record *ret, struct err *e)
{
	_cleanup_(closep) int fd = pin_open(dir, PIN_MAP, BUILD_MAP, e);
	struct build_record b;
	uint32_t zero = 0;

	if (fd == -ENOENT) {
		*ret = (struct build_record){ .phase = BUILD_NONE };
		return 0;
	}
	if (fd < 0)
		return fd;
	if (bpf_map_lookup_elem(fd, &zero, &b) < 0)
		return err_errno(e, -errno, "reading " BUILD_MAP);
	*ret = b;
	return 0;
}

int build_write(const char *dir, const struct build_record *b, struct err *e)
{
	_cleanup_(closep) int fd = pin_open(dir, PIN_MAP, BUILD_MAP, NULL);
	bool fresh = fd == -ENOENT;
	uint32_t zero = 0;

	if (fresh)
		fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, BUILD_MAP, sizeof(zero), sizeof(*b), 1,
				    NULL);
	if (fd < 0)
		return err_errno(e, fresh ? -errno : fd, "making " BUILD_MAP);
	if (bpf_map_update_elem(fd, &zero, b, BPF_ANY) < 0)
		return err_errno(e, -errno, "writing " BUILD_MAP);
	return fresh ? pin_put(fd, dir, PIN_MAP, BUILD_MAP, e) : 0;
}
