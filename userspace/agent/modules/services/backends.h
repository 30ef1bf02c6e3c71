/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Backends of one side: numbers for those that are used, and the end of those that are gone. */
#include "agent/modules/services/private.h"

/* What backends_set() found out. backends_end() releases it. */
struct backends_change {
	uint32_t *numbers;    /* of w->v[i]; 0: it has none */
	struct backend *gone; /* to be ended when no table names them any more */
	size_t n_gone;
};

/*
 * side->backends follows `w`. A backend that takes new flows gets a number; one that does not keeps
 * the one it has, for its old flows. 0 or -ENOMEM; what does not fit is a problem of the service.
 */
int backends_set(struct services *s, struct side *side, const struct wants *w,
		 struct backends_change *ret);
void backends_end(struct services *s, struct backends_change *c);
