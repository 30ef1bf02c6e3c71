/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The BPF objects that this agent was built with. */
#include "agent/modules/datapath/image.h"

struct image_object embedded_tc(void);	 /* forwarding, and the maps that all share */
struct image_object embedded_sock(void); /* services at the socket level; Linux 5.18 */
struct image_object embedded_xdp(void);	 /* services on the uplink, by XDP; Linux 5.18 */
