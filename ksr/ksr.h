/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The reflector as a whole: while this process leads, the source fills the table and the writer
 * keeps etcd in step with it; while it does not, it stands by with nothing running but the
 * election. Everything happens on one loop.
 */
#include <event2/event.h>

#include "ksr/config.h"

struct ksr;
/* `cfg` outlives it. */
int ksr_new(struct event_base *base, const struct ksr_config *cfg, struct ksr **ret, struct err *e);
void ksr_free(struct ksr *k); /* accepts NULL */
/* Hands the leadership over, then ends the loop; once. */
void ksr_stop(struct ksr *k);
