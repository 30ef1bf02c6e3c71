// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/datapath/embed.h"

#include "shared/loom_config.h"
#include "shared/loom_maps.h"
/* After the types of its .rodata. */
#include "bpf/loom_sock.skel.h"
#include "bpf/loom_tc.skel.h"
#include "bpf/loom_xdp.skel.h"

struct image_object embedded_tc(void)
{
	struct image_object o = { .name = "loom_tc" };

	o.elf = loom_tc__elf_bytes(&o.elf_len);
	return o;
}

struct image_object embedded_sock(void)
{
	struct image_object o = { .name = "loom_sock" };

	o.elf = loom_sock__elf_bytes(&o.elf_len);
	return o;
}

struct image_object embedded_xdp(void)
{
	struct image_object o = { .name = "loom_xdp" };

	o.elf = loom_xdp__elf_bytes(&o.elf_len);
	return o;
}
