// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/datapath/embed.h"

#include "shared/loom_config.h"
#include "shared/loom_maps.h"
/* After the types of its .rodata. */
#include "bpf/loom_tc.skel.h"

const void *embedded_object(size_t *ret_len)
{
	return loom_tc__elf_bytes(ret_len);
}
