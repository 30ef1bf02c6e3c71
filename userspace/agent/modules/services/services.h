/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The service compiler: Services and EndpointSlices, as etcd has them, and the hostPorts of this
 * node's pods, become frontends, tables and backends in the maps (shared/loom_svc.h). What that
 * means for users is in docs/services.md.
 *
 * It reconciles on its own, past the scheduler: ten thousand services are as many writes to maps,
 * not items. Each service is compiled anew when one of its objects changes, and only what differs
 * is written. A write that fails is made good by the healing resync that it asks for, which also
 * undoes what others did to the maps.
 *
 * One thread, the loop's. State: the objects' readings, what was written, and the numbers of
 * backends, which are kept over a restart by reading the maps first.
 */
#include "agent/core/module.h"

extern const struct module services_module;

/* "default/web, port http" of the port that has this number in the maps; NULL: none has. In `buf`.
 * O(services), for people's questions. */
const char *services_name_of(struct agent *a, uint32_t number, char *buf, size_t len);
