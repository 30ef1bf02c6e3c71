/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * bpf-attach/<role>-<interface>: all programs of the role are on the interface that has this name
 * and this ifindex now. A link whose device went, or came back as another one, differs and is made
 * anew.
 */
#include "agent/modules/datapath/loader.h"

#define ATTACH_DESCRIPTOR "bpf-attach"

struct attach_item {
	enum datapath_role role;
	char ifname[IFNAMSIZ];
	unsigned int ifindex; /* as dumped: 0 when the device is gone */
	bool complete;	      /* every program of the role, and of the version that is loaded */
	char *needs_key;
};

struct attach_item *attach_item_new(enum datapath_role role, const char *ifname,
				    unsigned int ifindex, const char *needs_key);
const char *attach_role_name(enum datapath_role role);

/* ctx of the descriptor; the caller keeps it for as long as the scheduler lives. */
struct attach_items {
	const struct loaded *loaded;
	struct attacher attacher;
};
extern const struct descriptor attach_descriptor;
