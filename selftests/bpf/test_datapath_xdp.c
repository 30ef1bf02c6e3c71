// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
#include "selftests/bpf/golden.h"

int main(void)
{
	return golden_main(&target_xdp);
}
