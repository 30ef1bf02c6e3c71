/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The compiler's maps, as those of the data plane's native build, with a fault to order. */
#include <stdbool.h>

#include "agent/modules/policy/polmaps.h"

struct native_maps {
	uint32_t bumps;
	uint32_t writes;
	uint32_t fail_at;	    /* this write fails; 0: none */
	bool ends;		    /* and all after it: the agent has ended there */
	void (*written)(void *arg); /* after each; NULL: nobody looks */
	void *arg;
};

/* Empties the native maps. */
void native_maps_init(struct native_maps *m, struct polmaps *ret);
/* Entries of a hash or trie. */
uint32_t native_maps_count(enum polmap map);
