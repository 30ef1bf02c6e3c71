/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Tells everybody that a ksr leads: /netloom/ksr/alive stands under an etcd lease for as long. What
 * agents have in etcd looks the same when nobody reflects Kubernetes any more, and with a Lease of
 * Kubernetes they could not see who leads.
 */
#include "ksr/fence.h"

struct alive;
/* The lease, and with it the key, is kept until alive_free(), which gives it back. */
int alive_new(struct event_base *base, struct store *s, struct alive **ret);
void alive_free(struct alive *a); /* accepts NULL */
/* Writes the key, and again whenever the lease had to be renewed; as long as the fence is this. */
void alive_say(struct alive *a, const struct fence_value *fence);
