// SPDX-License-Identifier: Apache-2.0
#include "selftests/unit/explain/tests.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/explain.h"

static const struct {
	const char *name;
	const char *words[3];
	const char *error; /* NULL: it is good, and … */
	enum end_kind from, to;
	uint16_t port;
	uint8_t proto;
} cases[] = {
	{ "pods", { "a/b", "c/d" }, NULL, END_POD, END_POD, 0, IPPROTO_ICMP },
	{ "a port is of TCP", { "a/b", "c/d:80" }, NULL, END_POD, END_POD, 80, IPPROTO_TCP },
	{ "a protocol", { "a/b", "c/d:53/udp" }, NULL, END_POD, END_POD, 53, IPPROTO_UDP },
	{ "SCTP", { "a/b", "c/d:7/SCTP" }, NULL, END_POD, END_POD, 7, 132 },
	{ "addresses", { "10.1.1.1", "10.1.1.2:80" }, NULL, END_ADDR, END_ADDR, 80, IPPROTO_TCP },
	{ "IPv6", { "fd00::1", "fd00::2" }, NULL, END_ADDR, END_ADDR, 0, IPPROTO_ICMP },
	{ "IPv6 with port", { "host", "[fd00::2]:80" }, NULL, END_NAME, END_ADDR, 80, IPPROTO_TCP },
	{ "in brackets", { "host", "[fd00::2]" }, NULL, END_NAME, END_ADDR, 0, IPPROTO_ICMP },
	{ "a service",
	  { "n1", "service", "a/b:80" },
	  NULL,
	  END_NAME,
	  END_SERVICE,
	  80,
	  IPPROTO_TCP },
	{ "a port's name",
	  { "n1", "service", "a/b:http" },
	  NULL,
	  END_NAME,
	  END_SERVICE,
	  0,
	  IPPROTO_TCP },
	{ "no port of a service",
	  { "n1", "service", "a/b" },
	  NULL,
	  END_NAME,
	  END_SERVICE,
	  0,
	  IPPROTO_ICMP },
	{ "nothing", { NULL }, "want FROM and TO", 0, 0, 0, 0 },
	{ "one word", { "a/b" }, "want FROM and TO", 0, 0, 0, 0 },
	{ "three words", { "a/b", "c/d", "e/f" }, "want FROM and TO", 0, 0, 0, 0 },
	{ "an empty word", { "a/b", "" }, "TO: an empty name", 0, 0, 0, 0 },
	{ "port 0", { "a/b", "c/d:0" }, "port '0': want a number", 0, 0, 0, 0 },
	{ "port 65536", { "a/b", "c/d:65536" }, "want a number from 1 to 65535", 0, 0, 0, 0 },
	{ "a huge port", { "a/b", "c/d:99999999999999999999" }, "want a number", 0, 0, 0, 0 },
	{ "a negative port", { "a/b", "c/d:-1" }, "port '-1'", 0, 0, 0, 0 },
	{ "no port behind the colon", { "a/b", "c/d:" }, "port ''", 0, 0, 0, 0 },
	{ "a pod's port by name", { "a/b", "c/d:http" }, "port 'http'", 0, 0, 0, 0 },
	{ "an unknown protocol", { "a/b", "c/d:80/IGMP" }, "protocol 'IGMP'", 0, 0, 0, 0 },
	{ "an open bracket", { "a/b", "[fd00::1:80" }, "want [ADDRESS]:PORT", 0, 0, 0, 0 },
	{ "something behind it", { "a/b", "[fd00::1]80" }, "want [ADDRESS]:PORT", 0, 0, 0, 0 },
	{ "IPv6 port without brackets",
	  { "a/b", "fd00::1:80/TCP" },
	  "is [ADDRESS]:PORT",
	  0,
	  0,
	  0,
	  0 },
	{ "too many slashes",
	  { "a/b/c", "c/d" },
	  "FROM: 'a/b/c': want NAMESPACE/NAME",
	  0,
	  0,
	  0,
	  0 },
	{ "no namespace", { "/b", "c/d" }, "want NAMESPACE/NAME", 0, 0, 0, 0 },
	{ "no name", { "a/", "c/d" }, "want NAMESPACE/NAME", 0, 0, 0, 0 },
	{ "a service without namespace",
	  { "a/b", "service", "web:80" },
	  "service 'web'",
	  0,
	  0,
	  0,
	  0 },
};

void words_are_read_as_written(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ask ask = { .flow = 4711 };
		struct err e = {};
		size_t n = 0;
		int err;

		while (n < 3 && cases[i].words[n])
			n++;
		err = ask_parse((char *const *)cases[i].words, n, &ask, &e);
		if (!err != !cases[i].error || (err && !strstr(e.msg, cases[i].error)))
			fail_msg("%s: %d, '%s'", cases[i].name, err, e.msg);
		if (err)
			continue;
		if (ask.from.kind != cases[i].from || ask.to.kind != cases[i].to ||
		    ask.port != cases[i].port || ask.proto != cases[i].proto || ask.flow != 4711)
			fail_msg("%s: read as %d, %d, port %u, protocol %u", cases[i].name,
				 ask.from.kind, ask.to.kind, ask.port, ask.proto);
	}
}
