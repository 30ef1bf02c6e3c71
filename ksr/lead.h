/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Who may write: an election (a Kubernetes Lease, or a key under an etcd lease, or none), and then
 * the fence in etcd. Only who has won the one and taken the other leads.
 *
 * Without an election the process that started last leads: it takes the fence, and the older one,
 * seeing that, stands by until the fence is gone.
 */
#include "ksr/fence.h"
#include "lib/kube/client.h"

struct lead_config {
	bool enabled;	   /* hold elections */
	struct kube *kube; /* by a Lease there; NULL = in etcd */
	const char *name_space, *name, *identity;
};

struct lead_ops {
	/* Write, or go on writing, with this fence. */
	void (*on_lead)(const struct fence_value *fence, void *arg);
	/* Write no more. */
	void (*on_stop)(const char *why, void *arg);
	/* Retried. */
	void (*on_trouble)(const char *error, void *arg);
};

struct lead;
int lead_new(struct event_base *base, struct store *s, const struct lead_config *cfg,
	     const struct lead_ops *ops, void *arg, struct lead **ret);
void lead_free(struct lead *l); /* accepts NULL */
/* The writer met another's fence in etcd, or none (NULL). on_lead() or on_stop() follows. */
void lead_fenced(struct lead *l, const char *text);
/* Hands over; `done` is called once, no other callback follows. */
void lead_release(struct lead *l, void (*done)(void *arg), void *arg);

/* The election goes on; false when its server does not answer. */
bool lead_in_touch(const struct lead *l);
/* clock_ms() of the API server's last answer in the election; 0: it has none to give. */
uint64_t lead_heard_ms(const struct lead *l);
bool lead_leads(const struct lead *l);
/* Who holds the fence, as last seen; "" when nobody is known. */
const char *lead_holder(const struct lead *l);
int64_t lead_epoch(const struct lead *l);
