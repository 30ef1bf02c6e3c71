// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
#include "selftests/bpf/golden.h"
#include "selftests/bpf/uplink.h"

static int start(void)
{
	int err = target_bpf.start();

	return err ? err : uplink_build();
}

int main(void)
{
	struct target with_uplink = target_bpf;

	with_uplink.start = start;
	return golden_main(&with_uplink);
}
