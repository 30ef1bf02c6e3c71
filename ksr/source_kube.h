/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The source `kubernetes`: one reflector a resource, into the intake. */
#include "ksr/intake.h"
#include "lib/kube/reflector.h"

struct source_kube;
/* `k` and `in` outlive it. Starts at once. */
int source_kube_new(struct event_base *base, struct kube *k, struct intake *in,
		    struct source_kube **ret);
void source_kube_free(struct source_kube *s); /* accepts NULL */
const struct kube_reflector_stats *source_kube_stats(const struct source_kube *s, enum kind kind);
