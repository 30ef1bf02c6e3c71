// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "lib/explain/private.h"

const char *who_addr(const struct explain_names *n, const union loom_addr *addr)
{
	return n->addr ? n->addr(n->arg, addr) : NULL;
}

const char *who_node(const struct explain_names *n, uint32_t id)
{
	return n->node ? n->node(n->arg, id) : NULL;
}

const char *who_text(const struct explain_names *names, const union loom_addr *addr, uint16_t port,
		     char buf[static WHO_STRLEN])
{
	const char *name = who_addr(names, addr);
	bool brackets = port && !addr_is_v4(addr);
	char text[ADDR_STRLEN];
	int n;

	n = snprintf(buf, WHO_STRLEN, "%s%s%s", brackets ? "[" : "", addr_format(addr, text),
		     brackets ? "]" : "");
	if (port)
		n += snprintf(buf + n, WHO_STRLEN - n, ":%u", port);
	if (name)
		snprintf(buf + n, WHO_STRLEN - n, " (%s)", name);
	return buf;
}
