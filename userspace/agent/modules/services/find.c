// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "agent/modules/services/private.h"

static const struct program *program_of(const struct services *s, uint32_t number)
{
	for (const struct service *svc = s->all; svc; svc = svc->hh.next)
		for (const struct program *p = svc->programs; p; p = p->next)
			if (p->number == number)
				return p;
	return NULL;
}

const char *services_name_of(struct agent *a, uint32_t number, char *buf, size_t len)
{
	const struct services *s = services_get(a);
	const struct program *p = s && number ? program_of(s, number) : NULL;

	if (!p)
		return NULL;
	snprintf(buf, len, "%s%s%s", p->service->title, *p->port_name ? ", port " : "",
		 p->port_name);
	return buf;
}
