/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Who may use a Service's load balancer addresses (loom_srcrange), for each port that has some. The
 * list is one for the whole Service:
 *
 *	ranges_list(obj, &v, &n);
 *	ranges_open(s, p, v, n);     who may pass from now on, before the frontends say "restricted"
 *	…
 *	ranges_close(s, p, v, n);    who may not any more, after they have said what they say
 *
 * A Service has a share of the map: it can't keep the others' clients away, which are refused when
 * their range is left out.
 */
#include "agent/modules/services/private.h"

/* Entries that let in whom the object's ranges let in: sorted, none within another, IPv6 without
 * the part of it that IPv4 addresses are in the maps. Heap, NULL for none; 0 or -ENOMEM. */
int ranges_list(const struct service_object *obj, struct prefix **ret, size_t *ret_n);
/* `v` is of ranges_list(). What has no room is told, and tried again when there is some. */
void ranges_open(struct services *s, struct program *p, const struct prefix *v, size_t n);
void ranges_close(struct services *s, struct program *p, const struct prefix *v, size_t n);
