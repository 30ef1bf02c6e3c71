// SPDX-License-Identifier: Apache-2.0
/* What is not well, or not there, must be seen in the lists too, and not only where it is from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <bpf/bpf.h>

#include "ctl/ctl.h"
#include "lib/json/json.h"
#include "selftests/unit/ctl/fake_agent.h"
#include "shared/loom_svc.h"

#define CLOSED                                                                         \
	"{\"namespace\":\"shop\",\"name\":\"new-0\",\"endpoint\":4,\"open\":false,"    \
	"\"reason\":\"closed: its Pod object is not known\",\"ingress\":{\"policies\"" \
	":[]},\"egress\":{\"policies\":[\"networkpolicy shop/a\"],\"isolated\":true}}"
#define EXTERNAL                                                                            \
	"{\"namespace\":\"shop\",\"name\":\"ext\",\"type\":\"ClusterIP\",\"policy\":{"      \
	"\"trafficDistribution\":\"\",\"sourceRanges\":[],\"affinitySeconds\":0},\"ports\"" \
	":[{\"port\":80,\"protocol\":\"TCP\",\"frontends\":[{\"kind\":\"ClusterIP\","       \
	"\"address\":\"10.96.0.14\",\"port\":80,\"problem\":null},{\"kind\":"               \
	"\"ExternalIP\",\"address\":\"172.29.0.10\",\"port\":80,\"problem\":\"service "     \
	"'shop/a' has it\"}],\"backends\":[]}],\"problems\":[\"one\"]}"
#define HEADLESS                                                                          \
	"{\"namespace\":\"shop\",\"name\":\"head\",\"type\":\"ClusterIP\",\"notServed\":" \
	"\"it is headless\",\"policy\":{},\"ports\":[],\"problems\":[]}"

static const struct fake_answer answers[] = {
	{ "/v1/status", 200,
	  "{\"ready\":true,\"node\":\"n1\",\"modules\":{\"db\":{\"connected\":false,\"error\":"
	  "\"etcd is away: connection refused\"},\"policy\":{\"closedPods\":1,"
	  "\"problems\":[\"pod 'shop/new-0' is closed: its Pod object is not known\"]},"
	  "\"services\":{\"services\":3,\"problems\":2}}}" },
	{ "/v1/nodes", 200, "{\"nodes\":[{\"id\":1,\"name\":\"n1\"}]}" },
	{ "/v1/policies", 200, "[" CLOSED "]" },
	{ "/v1/policies/shop/new-0", 200, "[" CLOSED "]" },
	{ "/v1/services", 200, "[" EXTERNAL "," HEADLESS "]" },
	{ "/v1/services/shop/ext", 200, "[" EXTERNAL "]" },
	{ "/v1/services/shop/head", 200, "[" HEADLESS "]" },
	{},
};

static struct fake_agent agent;

static const struct {
	const char *name;
	int (*run)(const struct ctl *c);
	struct ctl c;
	const char *out;
} cases[] = {
	{ "etcd by its name, and what helps",
	  cmd_status,
	  {},
	  "  problem: db: etcd is away: connection refused\n      try: see that etcd "
	  "runs" },
	{ "a pod that waits for its object",
	  cmd_status,
	  {},
	  "  problem: policy: pod 'shop/new-0' is closed: its Pod object is not known\n"
	  "      try: see that netloom-ksr runs" },
	{ "how many services have problems", cmd_status, {}, "services 3, problems 2\n" },
	{ "a closed pod is open in no direction",
	  cmd_policies,
	  {},
	  "closed  closed   1 policy, isolated\n" },
	{ "nor in words",
	  cmd_policies,
	  { .arg = "shop/new-0" },
	  "\ningress: closed, its policies are not known yet\n" },
	{ "a frontend's problem counts",
	  cmd_services,
	  {},
	  "10.96.0.14:80,172.29.0.10:80      0         0         2\n" },
	{ "what is not said",
	  cmd_services,
	  { .arg = "shop/ext" },
	  "  trafficDistribution    -\n  sourceRanges           -\n  affinitySeconds        0\n" },
	{ "why a service has no address",
	  cmd_services,
	  { .arg = "shop/head" },
	  "  not served: it is headless\n" },
};

static struct ctl ctl_of(struct ctl c, char **out, size_t *len)
{
	c.out = c.complain = open_memstream(out, len);
	c.socket = agent.socket;
	c.bpf_dir = "/nonexistent/netloom";
	return c;
}

static void trouble_is_seen(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(freep) char *out = NULL;
		size_t len;
		struct ctl c = ctl_of(cases[i].c, &out, &len);
		int code = cases[i].run(&c);

		fclose(c.out);
		if (code != CTL_OK || !strstr(out, cases[i].out))
			fail_msg("%s: exit code %d\n%s", cases[i].name, code, out);
	}
}

static void a_service_that_is_not_served_has_nothing_to_explain(void **state)
{
	static const char want[] = "service 'shop/head' is not served: it is headless; name one";
	char *words[] = { "10.1.1.5", "service", "shop/head:80" };
	_cleanup_(freep) char *out = NULL;
	size_t len;
	struct ctl c = ctl_of((struct ctl){ .args = words, .n_args = 3 }, &out, &len);
	int code = cmd_explain(&c);

	fclose(c.out);
	if (code != CTL_USAGE || !strstr(out, want))
		fail_msg("exit code %d\n%s", code, out);
}

static void the_list_of_tables_is_json_too(void **state)
{
	_cleanup_(freep) char *out = NULL;
	_json_ *list = NULL;
	size_t len;
	struct ctl c = ctl_of((struct ctl){ .json = true }, &out, &len);

	assert_int_equal(cmd_dump(&c), CTL_OK);
	fclose(c.out);
	assert_int_equal(json_parse(out, len, &list, NULL), 0);
	assert_string_equal(
		json_object_get_string(json_field(json_object_array_get_idx(list, 0), "name")),
		tables[0].name);
}

/* An empty table would say that such a pod has no connections. */
static void a_pod_that_is_not_here_is_no_empty_table(void **state)
{
	static const struct {
		const char *pod, *said;
		int code;
	} pods[] = {
		{ "web", "--pod: want NAMESPACE/NAME, found 'web'", CTL_USAGE },
		{ "shop/web", "--pod: no pod 'shop/web' on this node", CTL_FAILED },
	};

	for (size_t i = 0; i < ARRAY_SIZE(pods); i++) {
		_cleanup_(freep) char *out = NULL;
		size_t len;
		struct ctl c = ctl_of((struct ctl){ .arg = "ct", .pod = pods[i].pod }, &out, &len);
		int code = cmd_dump(&c);

		fclose(c.out);
		if (code != pods[i].code || !strstr(out, pods[i].said))
			fail_msg("%s: exit code %d\n%s", pods[i].pod, code, out);
	}
}

static int count_record(struct json_object *record, void *arg)
{
	json_object_put(record);
	++*(int *)arg;
	return 0;
}

static void numbers_of_backends_that_are_free_are_not_listed(void **state)
{
	struct loom_backend used = { .flags = LOOM_BACKEND_PRESENT, .gen = 1 },
			    freed = { .gen = 1 };
	_cleanup_(closep) int fd =
		bpf_map_create(BPF_MAP_TYPE_ARRAY, "loom_backend", 4, sizeof(used), 8, NULL);
	int n = 0;

	assert_true(fd >= 0);
	assert_int_equal(bpf_map_update_elem(fd, &(uint32_t){ 3 }, &used, BPF_ANY), 0);
	assert_int_equal(bpf_map_update_elem(fd, &(uint32_t){ 4 }, &freed, BPF_ANY), 0);
	assert_int_equal(table_read(fd, table_find("backends"), NULL, count_record, &n, NULL), 0);
	assert_int_equal(n, 1);
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
		cmocka_unit_test(trouble_is_seen),
		cmocka_unit_test(a_service_that_is_not_served_has_nothing_to_explain),
		cmocka_unit_test(the_list_of_tables_is_json_too),
		cmocka_unit_test(a_pod_that_is_not_here_is_no_empty_table),
		cmocka_unit_test(numbers_of_backends_that_are_free_are_not_listed),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
