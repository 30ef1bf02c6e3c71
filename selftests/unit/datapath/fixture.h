/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A place of its own for tests of the data plane's loader: a mount namespace, a network namespace
 * and a bpffs at a fresh folder, all gone with the process. Also stands in for the scheduler:
 * dump_add() and txn_put() keep what they are given.
 */
#include "agent/modules/datapath/attach_items.h"
#include "agent/modules/datapath/items.h"

#define MAX_SEEN 64

struct seen_item {
	char name[160];
	void *value;
};
struct seen_list {
	struct seen_item items[MAX_SEEN];
	size_t n;
};

/* cmocka group functions. */
int fixture_setup(void **state);
int fixture_teardown(void **state);
/* After each test: the bpffs goes, and with it what was pinned. All of it together is gigabytes. */
int fixture_forget(void **state);
/* A folder below the test's bpffs, not made yet. */
const char *fixture_dir(const char *name, char buf[static 128]);
int fixture_veth(const char *name, unsigned int ifindex); /* 0: the kernel chooses */
int fixture_link_del(const char *name);
/* The embedded object with a configuration of test values. */
struct image_config fixture_image(void);
struct loaded *fixture_load(const char *dir, const struct image_config *image, bool clsact);
struct seen_item *seen_find(struct seen_list *l, const char *name);
void seen_release(struct seen_list *l, void (*free_value)(void *));
