// SPDX-License-Identifier: Apache-2.0
/* netloom denied, and the table that it comes from. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/ctl.h"
#include "lib/base/addr.h"
#include "lib/json/json.h"
#include "selftests/unit/ctl/fake_agent.h"
#include "shared/loom_maps.h"

#define DB                                                                                       \
	"{\"pod\":\"shop/"                                                                       \
	"db\",\"direction\":\"ingress\",\"peer\":{\"address\":\"10.1.2.6\",\"pod\":"             \
	"\"shop/client-1\"},\"port\":5432,\"protocol\":\"TCP\",\"packets\":42,\"secondsAgo\":3," \
	"\"logged\":false,\"because\":\"isolated by networkpolicy shop/db-only\"}"

static const struct fake_answer answers[] = {
	{ "/v1/denied", 200,
	  "[" DB ",{\"pod\":\"shop/web\\u001b[31m\",\"direction\":\"egress\",\"peer\":{\"address\":"
	  "\"fd00::9\"},\"protocol\":\"icmp6\",\"packets\":7,\"secondsAgo\":75,\"logged\":true,"
	  "\"because\":\"clusternetworkpolicy \\u0007x\"},{\"peer\":{\"node\":\"n2\",\"address\":"
	  "\"192.168.0.2\"},\"port\":\"x\"},{},7,null]" },
	{ "/v1/denied/shop", 200, "[" DB "]" },
	{ "/v1/denied/shop/db", 200, "[]" },
	{ "/v1/denied/odd", 200, "{\"x\":1}" },
	{},
};

static struct fake_agent agent;

static const struct {
	const char *name;
	struct ctl c;
	int code;
	const char *out, *complaint;
} cases[] = {
	{ "by pod, peer and port",
	  {},
	  CTL_OK,
	  "shop/db        ingress    shop/client-1 (10.1.2.6)  5432/TCP       42  3s ago     "
	  "isolated by "
	  "networkpolicy shop/db-only\n",
	  "" },
	{ "names can't drive the terminal",
	  {},
	  CTL_OK,
	  "shop/web?[31m  egress     fd00::9                   icmp6           7  1m15s ago  only "
	  "logged: "
	  "clusternetworkpolicy ?x\n",
	  "" },
	{ "a node's name", {}, CTL_OK, "-              -          n2 (192.168.0.2) ", "" },
	{ "of a namespace", { .arg = "shop" }, CTL_OK, "shop/client-1", "" },
	{ "of a pod, nothing", { .arg = "shop/db" }, CTL_OK, "POD  DIRECTION  PEER", "" },
	{ "JSON", { .json = true }, CTL_OK, "\"pod\": \"shop/client-1\"", "" },
	{ "no such pod", { .arg = "shop/x" }, CTL_FAILED, "", "404" },
	{ "no list", { .arg = "odd" }, CTL_FAILED, "", "want an array" },
	{ "no name", { .arg = "a/b/c" }, CTL_USAGE, "", "want NAMESPACE or NAMESPACE/POD" },
	{ "no name either", { .arg = "A\x1b" }, CTL_USAGE, "", "found 'A?'" },
	{ "nor that", { .arg = "a/" }, CTL_USAGE, "", "found 'a/'" },
	{ "no agent",
	  { .socket = "/nonexistent/s" },
	  CTL_UNREACHABLE,
	  "",
	  "is netloom-agent running" },
};

static void denied_says_what_it_should(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(freep) char *out = NULL, *complaint = NULL;
		struct ctl c = cases[i].c;
		size_t out_len, complaint_len;
		int code;

		c.out = open_memstream(&out, &out_len);
		c.complain = open_memstream(&complaint, &complaint_len);
		c.socket = c.socket ?: agent.socket;
		code = cmd_denied(&c);
		fclose(c.out);
		fclose(c.complain);
		if (code != cases[i].code || !strstr(out, cases[i].out) ||
		    !strstr(complaint, cases[i].complaint))
			fail_msg("%s: exit code %d\n%s%s", cases[i].name, code, out, complaint);
		assert_null(strchr(out, '\x1b'));
	}
}

static const char *ep_name(void *arg, uint32_t ep)
{
	return ep == 3 ? "shop/db" : NULL;
}

static void a_denial_is_a_record(void **state)
{
	struct table_names names = { .ep = ep_name, .now_tick = 1000 };
	struct loom_deniedkey key = { .ep = 3,
				      .port = htons(5432),
				      .proto = 6,
				      .ingress = 1,
				      .reason = LOOM_DROP_POLICY_LOGGED };
	struct loom_denied d = { .packets = 42, .last_ns = 990ull << LOOM_TICK_SHIFT };
	const struct table *t = table_find("denied");
	_json_ *record = NULL;

	assert_int_equal(addr_parse("10.1.2.6", &key.peer, NULL), 0);
	record = table_record(t, &key, &d, &names);
	assert_string_equal(
		json_object_to_json_string_ext(record, JSON_C_TO_STRING_PLAIN |
							       JSON_C_TO_STRING_NOSLASHESCAPE),
		"{\"ep\":3,\"epName\":\"shop/db\",\"direction\":\"ingress\",\"scope\":0,\"peer\":"
		"\"10.1.2.6\",\"proto\":\"tcp\",\"destinationPort\":5432,\"reason\":"
		"\"policy_logged\",\"packets\":42,\"idleSeconds\":10}");
	assert_ptr_equal(table_of_map("loom_denied"), t);
}

static int setup(void **state)
{
	return fake_agent_start(&agent, answers);
}

static int teardown(void **state)
{
	fake_agent_stop(&agent);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(denied_says_what_it_should),
		cmocka_unit_test(a_denial_is_a_record),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
