// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "ctl/explain.h"

static int parse_proto(const char *text, struct ask *ask, struct err *e)
{
	if (explain_proto_parse(text, &ask->proto) < 0 || ask->proto == IPPROTO_ICMP)
		return err_set(e, -EINVAL, "protocol '%s': want TCP, UDP or SCTP", text);
	ask->has_proto = true;
	return 0;
}

/* "80", "80/UDP"; of a service also "http". */
static int parse_port(char *text, struct ask *ask, struct err *e)
{
	char *slash = strchr(text, '/'), *end;
	unsigned long v;
	int err;

	ask->proto = IPPROTO_TCP;
	if (slash) {
		*slash = '\0';
		err = parse_proto(slash + 1, ask, e);
		if (err < 0)
			return err;
	}
	errno = 0;
	v = strtoul(text, &end, 10);
	if (*text >= '0' && *text <= '9' && !*end && !errno && v >= 1 && v <= 65535) {
		ask->port = v;
		return 0;
	}
	if (ask->to.kind != END_SERVICE || !*text || strlen(text) >= sizeof(ask->port_name))
		return err_set(e, -EINVAL, "port '%s': want a number from 1 to 65535", text);
	snprintf(ask->port_name, sizeof(ask->port_name), "%s", text);
	return 0;
}

/* Cuts the port off; *ret_port is what follows the colon, or NULL. */
static int cut_port(char *text, char **ret_port, struct err *e)
{
	union loom_addr addr;
	char *colon;

	*ret_port = NULL;
	if (*text == '[') {
		char *close = strchr(text, ']');

		if (!close || (close[1] && close[1] != ':'))
			return err_set(e, -EINVAL, "'%s': want [ADDRESS]:PORT", text);
		*ret_port = close[1] ? close + 2 : NULL;
		*close = '\0';
		memmove(text, text + 1, close - text);
		return 0;
	}
	colon = strrchr(text, ':');
	if (!colon || addr_parse(text, &addr, NULL) == 0)
		return 0;
	*colon = '\0';
	if (strchr(text, ':'))
		return err_set(e, -EINVAL, "'%s:%s': an IPv6 address with a port is [ADDRESS]:PORT",
			       text, colon + 1);
	*ret_port = colon + 1;
	return 0;
}

static int parse_end(const char *text, struct end *end, struct err *e)
{
	const char *slash = strchr(text, '/');

	if (!*text)
		return err_set(e, -EINVAL, "an empty name");
	if (text != end->text)
		snprintf(end->text, sizeof(end->text), "%s", text);
	if (addr_parse(text, &end->addrs[0], NULL) == 0) {
		end->kind = END_ADDR;
		end->n = 1;
		return 0;
	}
	if (end->kind == END_ADDR)
		end->kind = slash ? END_POD : END_NAME;
	if (slash && (slash == text || !slash[1] || strchr(slash + 1, '/')))
		return err_set(e, -EINVAL, "'%s': want NAMESPACE/NAME", text);
	if (end->kind == END_SERVICE && !slash)
		return err_set(e, -EINVAL, "service '%s': want NAMESPACE/NAME", text);
	return 0;
}

int ask_parse(char *const *words, size_t n, struct ask *ret, struct err *e)
{
	struct ask ask = { .proto = IPPROTO_ICMP, .flow = ret->flow };
	const char *last = n ? words[n - 1] : "";
	char *port;
	int err;

	if (n == 3 && strcmp(words[1], "service") == 0)
		ask.to.kind = END_SERVICE;
	else if (n != 2)
		return err_set(e, -EINVAL,
			       "want FROM and TO, or FROM service TO; --help says more");
	if (strlen(last) >= sizeof(ask.to.text) || strlen(words[0]) >= sizeof(ask.from.text))
		return err_set(e, -EINVAL, "a name of more than %zu letters",
			       sizeof(ask.to.text) - 1);
	snprintf(ask.to.text, sizeof(ask.to.text), "%s", last);
	err = cut_port(ask.to.text, &port, e);
	if (!err && port)
		err = parse_port(port, &ask, e);
	if (!err)
		err = parse_end(ask.to.text, &ask.to, e);
	if (err < 0)
		return err_prefix(e, "TO");
	err = parse_end(words[0], &ask.from, e);
	if (err < 0)
		return err_prefix(e, "FROM");
	*ret = ask;
	return 0;
}
