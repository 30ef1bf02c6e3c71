// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/core/agent_config.h"
#include "lib/base/log.h"

static int load_text(const char *text, struct agent_config *cfg, struct err *e)
{
	char path[] = "/tmp/nlt-config-XXXXXX";
	int fd = mkstemp(path), err;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	err = agent_config_load(path, cfg, e);
	unlink(path);
	return err;
}

static void the_defaults_are_what_the_documentation_says(void **state)
{
	struct agent_config cfg = {};
	char text[PREFIX_STRLEN];
	struct err e = {};

	if (load_text("", &cfg, &e) < 0)
		fail_msg("%s", e.msg);
	assert_true(strlen(cfg.node_name) > 0);
	assert_int_equal(cfg.log_level, LOG_LVL_INFO);
	assert_int_equal(cfg.transport, TRANSPORT_VXLAN);
	assert_int_equal(cfg.etcd.endpoints.n, 1);
	assert_string_equal(prefix_format(&cfg.cluster.cidrs.v[0], text), "10.1.0.0/16");
	assert_int_equal(cfg.cluster.source, POD_CIDR_NODE_ID);
	assert_int_equal(cfg.conntrack.tcp_ms, 6 * 3600 * 1000);
	assert_int_equal(cfg.uplink.xdp, XDP_AUTO);
	assert_true(addr_is_zero(&cfg.uplink.address4));
	assert_true(cfg.masquerade.enabled);
	assert_int_equal(cfg.masquerade.except.n, 0);
	assert_int_equal(cfg.api.port, 9990);
	assert_string_equal(cfg.api.socket, "/run/netloom/agent.sock");
	agent_config_free(&cfg);
}

static void what_is_wrong_is_named(void **state)
{
	static const struct {
		const char *text, *error;
	} bad[] = {
		{ "nodeName: Node_1", "nodeName: 'Node_1' is not a DNS name" },
		{ "transprot: vxlan", "transprot: unknown key; did you mean 'transport'?" },
		{ "cluster: {podCIDRs: [10.1.0.0/16, 10.2.0.0/16]}",
		  "cluster.podCIDRs: two prefixes of IPv4" },
		{ "cluster: {podCIDRs: []}", "cluster.podCIDRs: is empty" },
		{ "cluster: {podCIDRs: [10.96.0.0/16]}",
		  "cluster.podCIDRs: 10.96.0.0/16 overlaps with 10.96.0.0/12" },
		{ "cluster: {podCIDRs: [10.1.0.0/24]}", "cluster.blockSize4: /24 leaves no room" },
		{ "cluster: {podCIDRs: [10.1.0.7/16]}", "cluster.podCIDRs: entry 0: " },
		{ "uplink: {address4: 'fd00::1'}", "uplink.address4: fd00::1 is not an IPv4" },
		{ "uplink: {address6: 10.0.0.1}", "uplink.address6: 10.0.0.1 is not an IPv6" },
		{ "etcd: {endpoints: [10.0.0.1:2379]}",
		  "etcd.endpoints: entry 0: '10.0.0.1:2379'" },
		{ "etcd: {certFile: /x}", "etcd.certFile and etcd.keyFile go together" },
		{ "etcd: {username: joe}", "etcd.username and etcd.passwordFile go together" },
		{ "masquerade: {portMin: 20000, portMax: 10000}", "masquerade.portMin: 20000" },
		{ "controller: {retryMin: 1m}", "controller.retryMin: is longer" },
		{ "paths: {state: ''}", "paths.state: is empty" },
		{ "uplink: {interface: averylonginterfacename}", "uplink.interface: is longer" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct agent_config cfg = {};
		struct err e = {};

		assert_int_equal(load_text(bad[i].text, &cfg, &e), -EINVAL);
		if (!strstr(e.msg, bad[i].error))
			fail_msg("%s: '%s' does not say '%s'", bad[i].text, e.msg, bad[i].error);
	}
}

static void pod_cidrs_of_kubernetes_need_no_room_for_blocks(void **state)
{
	struct agent_config cfg = {};

	assert_int_equal(load_text("cluster: {podCIDRs: [10.1.0.0/24], podCIDRSource: kubernetes}",
				   &cfg, NULL),
			 0);
	agent_config_free(&cfg);
}

static void a_missing_file_is_named(void **state)
{
	struct agent_config cfg = {};
	struct err e = {};

	assert_int_equal(agent_config_load("/nonexistent/agent.yaml", &cfg, &e), -ENOENT);
	assert_string_equal(e.msg,
			    "/nonexistent/agent.yaml: can't open: No such file or directory");
}

/* docs/configuration.md shows the file that --print-config prints. */
static void the_page_shows_the_printed_file(void **state)
{
	_cleanup_(freep) char *text = config_template(agent_config_fields, agent_config_n_fields);
	_cleanup_(freep) char *page = calloc(1, 65536);
	FILE *f = fopen("docs/configuration.md", "re");

	if (!f) {
		printf("SKIP: docs/configuration.md is not below the working directory\n");
		skip();
	}
	assert_true(fread(page, 1, 65535, f) > 0);
	fclose(f);
	if (!strstr(page, text))
		fail_msg("docs/configuration.md differs from what netloom-agent --print-config "
			 "prints: put that into its block");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_defaults_are_what_the_documentation_says),
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(pod_cidrs_of_kubernetes_need_no_room_for_blocks),
		cmocka_unit_test(a_missing_file_is_named),
		cmocka_unit_test(the_page_shows_the_printed_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
