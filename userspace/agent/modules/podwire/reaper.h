/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Takes retired pod links away, many at once, beside the agent's loop. The kernel waits 15 to 40 ms
 * for whoever may still use a link that is deleted, nearly all of it without a lock: as long again
 * for each link, or once for all that are deleted together. A link that is retired (down, in
 * POD_LINK_RETIRED_GROUP) carries nothing any more, so nobody has to wait for its end, but for who
 * needs its name, its index or the pod's interface back.
 *
 * Links go by their group and never by index, which may be another link's by then. What an agent
 * that was killed left behind is found by its name at the next start, like any other leftover.
 *
 * One thread owns the reaper; the thread that it runs works on a socket of its own.
 */
#include <stdbool.h>

#include "lib/base/err.h"
#include "lib/base/util.h"

struct reaper;

/* In the network namespace whose links it takes. */
int reaper_new(struct reaper **ret, struct err *e);
/* Finishes what it has been told. Accepts NULL. */
void reaper_free(struct reaper *r);
DEFINE_FREEP(struct reaper, reaper_free)
/* There are retired links. */
void reaper_kick(struct reaper *r);
/* Waits until all links that it has been told of are gone. True if there was anything to do. */
bool reaper_wait(struct reaper *r);
