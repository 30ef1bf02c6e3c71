// SPDX-License-Identifier: Apache-2.0
/*
 * Host ports from ADD to DEL: who may have one, what is said to who may not, and what is left of
 * them after a restart. The agent around the pods module is made up; the CNI binary is the real
 * one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lib/json/json.h"
#include "selftests/unit/pods/fake_core.h"
#include "shared/loom_config.h"

#define E(host, more)	 "{\"hostPort\":" #host ",\"containerPort\":" #host more "}"
#define PORTS(entries)	 ",\"runtimeConfig\":{\"portMappings\":[" entries "]}"
#define POD(name, uid)	 "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=" name ";K8S_POD_UID=" uid
#define HOST_IP(address) ",\"hostIP\":\"" address "\""

static struct sandbox pod;
static char said[1024]; /* with the last code: message and details */

static int run(struct agent *a, const char *command, const char *container, const char *args,
	       const char *more)
{
	const struct cni_call c = { .command = command,
				    .container = container,
				    .ifname = "eth0",
				    .netns = pod.netns,
				    .args = args,
				    .path = "/opt/cni/bin",
				    .config = config_for(a, "1.1.0", more) };
	struct cni_answer r = cni_run(a, &c);
	const char *msg = "", *details = "";
	int code = answer_code(&r);

	json_opt_str(r.json, "msg", &msg, NULL);
	json_opt_str(r.json, "details", &details, NULL);
	snprintf(said, sizeof(said), "%s|%s", msg, details);
	cni_answer_clear(&r);
	return code;
}

static int add(struct agent *a, const char *container, const char *args, const char *more)
{
	return run(a, "ADD", container, args, more);
}

static int start_agent(void **state)
{
	struct agent *a = fake_agent_new();

	pod = sandbox_new();
	fake_agent_start(a, true);
	*state = a;
	return 0;
}

static int stop_agent(void **state)
{
	fake_agent_free(*state);
	sandbox_end(&pod);
	return 0;
}

static void a_port_has_one_holder_until_it_is_gone(void **state)
{
	struct agent *a = *state;

	assert_int_equal(add(a, "c1", POD("web-0", "u1"), PORTS(E(53, ))), 0);
	assert_int_equal(add(a, "c2", POD("web-1", "u2"), PORTS(E(54, ) "," E(53, ))), 11);
	assert_string_equal(said, "hostPort 53/tcp is taken by pod 'shop/web-0'|");
	assert_int_equal(add(a, "c2", POD("web-1", "u2"), PORTS(E(53, HOST_IP("192.0.2.1")))), 11);
	assert_int_equal(add(a, "c2", "", PORTS(E(53, ",\"protocol\":\"UDP\""))), 0);
	assert_int_equal(add(a, "c3", "", PORTS(E(53, ",\"protocol\":\"udp\""))), 11);
	assert_string_equal(said, "hostPort 53/udp is taken by container c2|");
	/* The same pod in a new sandbox, whose old one is not deleted yet. */
	assert_int_equal(add(a, "c4", POD("web-0", "u1"), PORTS(E(53, ))), 0);
	assert_int_equal(run(a, "DEL", "c1", POD("web-0", "u1"), ""), 0);
	assert_int_equal(add(a, "c5", POD("web-1", "u2"), PORTS(E(53, ))), 11);
	assert_int_equal(run(a, "DEL", "c4", POD("web-0", "u1"), ""), 0);
	assert_int_equal(add(a, "c5", POD("web-1", "u2"), PORTS(E(53, ))), 0);
}

static void a_failed_add_holds_no_port(void **state)
{
	struct agent *a = *state;

	a->wire_err = -EIO;
	assert_int_not_equal(add(a, "c1", POD("web-0", "u1"), PORTS(E(53, ))), 0);
	a->wire_err = 0;
	assert_int_equal(add(a, "c2", POD("web-1", "u2"), PORTS(E(53, ))), 0);
}

static void ports_are_the_same_after_a_restart(void **state)
{
	struct agent *a = *state;
	const struct attachment *att;

	assert_int_equal(
		add(a, "c1", POD("web-0", "u1"),
		    PORTS(E(0, ) "," E(
			    53, HOST_IP(FAKE_NODE_ADDRESS) ",\"protocol\":\"udp\"") "," E(80, ))),
		0);
	assert_int_equal(add(a, "c2", POD("web-1", "u2"), ""), 0);
	fake_agent_crash(a);
	fake_agent_start(a, true);
	att = pods_find(a, "c1/eth0");
	assert_non_null(att);
	assert_int_equal(att->n_ports, 2);
	assert_int_equal(att->ports[0].host_port, 53);
	assert_int_equal(att->ports[0].container_port, 53);
	assert_int_equal(att->ports[0].proto, IPPROTO_UDP);
	assert_false(addr_is_zero(&att->ports[0].host_ip));
	assert_int_equal(att->ports[1].proto, IPPROTO_TCP);
	assert_true(addr_is_zero(&att->ports[1].host_ip));
	att = pods_find(a, "c2/eth0");
	assert_non_null(att);
	assert_int_equal(att->n_ports, 0);
	assert_null(strstr(fake_get(a->local, "c2/eth0"), "portMappings"));
	assert_int_equal(add(a, "c3", POD("web-2", "u3"), PORTS(E(80, ))), 11);
}

static void ports_that_are_kept_wrong_harm_no_other(void **state)
{
	struct agent *a = *state;
	char *kept;

	assert_int_equal(add(a, "c1", POD("web-0", "u1"), PORTS(E(53, ))), 0);
	assert_int_equal(add(a, "c2", POD("web-1", "u2"), PORTS(E(54, ))), 0);
	fake_agent_crash(a);
	kept = strstr(fake_get(a->local, "c1/eth0"), "\"containerPort\":");
	assert_non_null(kept);
	memcpy(kept, "\"containerPost\"", 15);
	fake_remove_copies(a);
	fake_agent_start(a, true);
	assert_null(pods_find(a, "c1/eth0"));
	assert_int_equal(pods_find(a, "c2/eth0")->n_ports, 1);
	assert_non_null(fake_get(a->local, "c1/eth0"));
}

static const struct {
	const char *more;
	int sockets, code;
	const char *said;
} asked[] = {
	{ PORTS(E(53, HOST_IP("192.0.2.1"))), LOOM_SOCKETS_NONE, 0, "|" },
	{ PORTS(E(53, HOST_IP("192.0.2.2"))), LOOM_SOCKETS_HOST, 11,
	  "hostPort 53/tcp: hostIP 192.0.2.2 is no address of this node|" },
	{ PORTS(E(54, ) "," E(53, HOST_IP("10.1.1.7"))), LOOM_SOCKETS_HOST, 11,
	  "hostPort 53/tcp: hostIP 10.1.1.7 is no address of this node|" },
	{ PORTS(E(53, HOST_IP("fd00::1"))), LOOM_SOCKETS_HOST, 11,
	  "hostPort 53/tcp: hostIP fd00::1 is no address of this node|" },
	{ PORTS(E(53, HOST_IP("127.0.0.1"))), LOOM_SOCKETS_HOST, 0, "|" },
	{ PORTS(E(53, HOST_IP("::1"))), LOOM_SOCKETS_HOST, 0, "|" },
	{ PORTS(E(53, HOST_IP("127.0.0.1"))), LOOM_SOCKETS_ALL, 0, "|" },
	{ PORTS(E(53, HOST_IP("127.0.0.1"))), LOOM_SOCKETS_NONE, 2,
	  "hostPort 53/tcp: hostIP 127.0.0.1 is not supported|" },
	{ PORTS(E(53, HOST_IP("::1"))), LOOM_SOCKETS_NONE, 2,
	  "hostPort 53/tcp: hostIP ::1 is not supported|" },
	{ PORTS(E(53, ",\"protocol\":\"sctp\"" HOST_IP("127.0.0.1"))), LOOM_SOCKETS_HOST, 2,
	  "hostPort 53/sctp: hostIP 127.0.0.1 is not supported|" },
	{ PORTS(E(53, ",\"protocol\":\"SCTP\"")), LOOM_SOCKETS_HOST, 0, "|" },
	{ PORTS("{\"hostPort\":1,\"containerPort\":2,\"protocol\":\"sctp\"}"), LOOM_SOCKETS_HOST, 0,
	  "|" },
	{ PORTS(E(53, ) "," E(99999, )), LOOM_SOCKETS_HOST, 7,
	  "network configuration is invalid|runtimeConfig.portMappings[1]: hostPort: " },
	{ ",\"runtimeConfig\":{\"portMappings\":{}}", LOOM_SOCKETS_HOST, 7,
	  "network configuration is invalid|runtimeConfig.portMappings: want an array, found an "
	  "object" },
	{ ",\"runtimeConfig\":[]", LOOM_SOCKETS_HOST, 7,
	  "network configuration is invalid|runtimeConfig: want an object" },
	{ ",\"runtimeConfig\":{\"portMappings\":null}", LOOM_SOCKETS_HOST, 0, "|" },
	{ ",\"runtimeConfig\":null", LOOM_SOCKETS_HOST, 0, "|" },
};

static void what_is_not_served_is_refused_in_words(void **state)
{
	struct agent *a = *state;

	for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
		int code;

		a->cfg.services.sockets = asked[i].sockets;
		code = add(a, "c1", POD("web-0", "u1"), asked[i].more);
		if (code != asked[i].code || strncmp(said, asked[i].said, strlen(asked[i].said)))
			fail_msg("%s: %d %s, want %d %s", asked[i].more, code, said, asked[i].code,
				 asked[i].said);
		assert_int_equal(run(a, "DEL", "c1", POD("web-0", "u1"), asked[i].more), 0);
	}
}

static void without_services_there_are_no_host_ports(void **state)
{
	struct agent *a = *state;

	a->cfg.services.enabled = false;
	assert_int_equal(add(a, "c1", POD("web-0", "u1"), PORTS(E(53, ))), 2);
	assert_int_equal(add(a, "c1", POD("web-0", "u1"), PORTS(E(0, ))), 0);
}

static void the_ports_of_a_pod_can_be_seen(void **state)
{
	struct agent *a = *state;
	_json_ *o = NULL;

	assert_int_equal(add(a, "c1", POD("web-0", "u1"), PORTS(E(53, HOST_IP("192.0.2.1")))), 0);
	o = fake_agent_get(a);
	assert_non_null(strstr(json_text(o),
			       "\"portMappings\":[{\"hostPort\":53,\"containerPort\":53,"
			       "\"protocol\":\"tcp\",\"hostIP\":\"192.0.2.1\"}]"));
}

static int ignore_pipe(void **state)
{
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

#define with_agent(f) cmocka_unit_test_setup_teardown(f, start_agent, stop_agent)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_agent(a_port_has_one_holder_until_it_is_gone),
		with_agent(a_failed_add_holds_no_port),
		with_agent(ports_are_the_same_after_a_restart),
		with_agent(ports_that_are_kept_wrong_harm_no_other),
		with_agent(what_is_not_served_is_refused_in_words),
		with_agent(without_services_there_are_no_host_ports),
		with_agent(the_ports_of_a_pod_can_be_seen),
	};

	return cmocka_run_group_tests(tests, ignore_pipe, NULL);
}
