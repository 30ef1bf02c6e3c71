/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Leader election over a coordination.k8s.io/v1 Lease, by the rules of client-go's leaderelection:
 * the leader renews every 2 s, gives up after 10 s without success, and another may take over 15 s
 * after it last saw the Lease change, by its own clock: times that stand in the Lease are never
 * compared. Each write is guarded by the Lease's resourceVersion.
 *
 * Two leaders can overlap all the same (a process that was stopped for a while): fence what the
 * leader writes. Single-threaded, on the loop. on_lead() and on_lost() alternate; neither may free
 * the election.
 */
#include "lib/kube/client.h"

struct kube_elect_config {
	const char *name_space, *name, *identity; /* copied */
	/* 0 = 15,000, 10,000, 2,000 */
	unsigned int duration_ms, renew_deadline_ms, retry_ms;
};

struct kube_elect_ops {
	void (*on_lead)(void *arg);
	void (*on_lost)(const char *why, void *arg);
	/* May be NULL. A call failed and will be tried again. */
	void (*on_trouble)(const struct err *e, void *arg);
};

struct kube_elect;
int kube_elect_new(struct event_base *base, struct kube *k, const struct kube_elect_config *cfg,
		   const struct kube_elect_ops *ops, void *arg, struct kube_elect **ret);
/* Without a word to the server: others wait until the Lease expires. Accepts NULL. */
void kube_elect_free(struct kube_elect *el);
/*
 * Gives the Lease back so that another can lead at once; `done` is called once, with or without
 * success, within 3 s. No other callback follows.
 */
void kube_elect_release(struct kube_elect *el, void (*done)(void *arg), void *arg);
/* Steps down and waits like a candidate, for one whole duration. on_lost() isn't called. */
void kube_elect_yield(struct kube_elect *el);
/* The last word with the server was none of trouble. */
bool kube_elect_in_touch(const struct kube_elect *el);
/* clock_ms() of the server's last answer that was none of trouble; before any, of the start. */
uint64_t kube_elect_heard_ms(const struct kube_elect *el);
bool kube_elect_leads(const struct kube_elect *el);
/* Who holds the Lease, as last seen; "" when nobody. */
const char *kube_elect_holder(const struct kube_elect *el);
