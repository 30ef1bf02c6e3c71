// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include <cmocka.h>
#include <sched.h>
#include <sys/mount.h>

#include "ctl/ctl.h"
#include "lib/base/addr.h"
#include "lib/base/clock.h"
#include "lib/bpf/pins.h"
#include "lib/json/json.h"
#include "selftests/unit/ctl/fake_agent.h"
#include "shared/loom_maps.h"

static const struct fake_answer answers[] = {
	{ "/v1/status", 200,
	  "{\"ready\":true,\"node\":\"n1\",\"version\":\"9.9\",\"modules\":{\"datapath\":{"
	  "\"programs\":\"adopted\",\"attached\":{\"tcx\":3,\"clsact\":4,\"cgroup\":8,\"xdp\":"
	  "\"off\"},\"endpoints\":3,"
	  "\"alarms\":[],\"conntrack\":{\"entries\":50,\"capacity\":200,\"halfOpen\":4},"
	  "\"dropEvents\":2,\"dropEventsLost\":5},\"db\":{\"origin\":\"etcd\",\"connected\":true}}"
	  "}" },
	{ "/v1/nodes", 200,
	  "{\"nodes\":[{\"id\":1,\"name\":\"n1\",\"state\":\"ready\",\"thisNode\":true,"
	  "\"addresses\":[\"192.168.0.1\",\"fd00::1\"],\"podCIDRs\":[\"10.1.1.0/24\"],"
	  "\"transport\":\"vxlan\",\"version\":\"9.9\"},{\"id\":12,\"name\":\"another\","
	  "\"state\":\"refused\",\"reason\":\"its id is taken\"},{},7]}" },
	{ "/v1/pods", 200,
	  "{\"pods\":[{\"namespace\":\"default\",\"name\":\"web\\u001b[31m\",\"ips\":[\"10.1.1.5\"]"
	  ","
	  "\"state\":\"up\",\"hostInterface\":\"nl0123\",\"ep\":3,\"mtu\":1450,"
	  "\"since\":1700000000000}]}" },
	{ "/v1/services", 200,
	  "[{\"namespace\":\"default\",\"name\":\"web\","
	  "\"type\":\"NodePort\","
	  "\"policy\":{\"sessionAffinity\":\"None\"},"
	  "\"ports\":[{\"name\":\"http\",\"protocol\":\"TCP\","
	  "\"port\":80,\"number\":7,"
	  "\"frontends\":[{\"kind\":\"ClusterIP\","
	  "\"address\":\"10.96.0.10\",\"port\":80,"
	  "\"problem\":null},{\"kind\":\"NodePort\","
	  "\"address\":\"::\",\"port\":30080,\"problem\":null}],"
	  "\"backends\":[{\"address\":\"10.1.1.5\",\"port\":8080,"
	  "\"node\":\"n1\",\"pod\":\"default/web-1\","
	  "\"state\":\"ready\",\"local\":true,\"zone\":\"\","
	  "\"number\":12},{\"number\":-7},7]}],"
	  "\"problems\":[\"port 0: what\"]},{},7]" },
	{ "/v1/services/default/web", 200,
	  "[{\"namespace\":\"default\",\"name\":\"web\","
	  "\"type\":\"NodePort\","
	  "\"policy\":{\"sessionAffinity\":\"None\"},"
	  "\"ports\":[{\"name\":\"http\",\"protocol\":\"TCP\","
	  "\"port\":80,\"number\":7,"
	  "\"frontends\":[{\"kind\":\"ClusterIP\","
	  "\"address\":\"10.96.0.10\",\"port\":80,"
	  "\"problem\":null},{\"kind\":\"NodePort\","
	  "\"address\":\"::\",\"port\":30080,\"problem\":null}],"
	  "\"backends\":[{\"address\":\"10.1.1.5\",\"port\":8080,"
	  "\"node\":\"n1\",\"pod\":\"default/web-1\","
	  "\"state\":\"ready\",\"local\":true,\"zone\":\"\","
	  "\"number\":12},{\"number\":-7},7]}],"
	  "\"problems\":[\"port 0: what\"]}]" },
	{ "/v1/policies", 200,
	  "[{\"namespace\":\"default\",\"name\":\"web\",\"endpoint\":3,\"open\":true,\"ingress\":"
	  "{\"isolated\":true,\"policies\":[\"networkpolicy default/a\"],\"rules\":[]},"
	  "\"egress\":{}},{},7]" },
	{ "/v1/policies/default/web", 200,
	  "[{\"namespace\":\"default\",\"name\":\"web\",\"endpoint\":3,\"identity\":9,\"open\":"
	  "false,\"reason\":\"closed: so\",\"ingress\":{\"isolated\":true,\"policies\":[\"x\"],"
	  "\"rules\":[{\"text\":\"allow\\u001b[31m TCP 80\"},7]},\"egress\":{\"isolated\":false,"
	  "\"logOnly\":true,\"policies\":[\"y\"],\"rules\":[]}},7]" },
	{ "/v1/ipam", 200,
	  "{\"pools\":[{\"cidr\":\"10.1.1.0/24\",\"capacity\":253,\"used\":1,\"resting\":1,"
	  "\"free\":251}],\"allocations\":[{\"ips\":[\"10.1.1.5\"],\"state\":\"used\","
	  "\"owner\":\"abc/eth0\"},{\"ips\":[\"10.1.1.7\"],\"state\":\"used\",\"owner\":"
	  "\"def/"
	  "eth0\",\"namespace\":\"default\",\"pod\":\"web\"},{\"ips\":[\"10.1.1.6\"],\"state\":"
	  "\"resting\","
	  "\"restSeconds\":75}]}" },
	{ "/v1/drops?last=20", 200,
	  "{\"next\":3,\"lost\":4,\"skipped\":0,\"events\":[{\"seq\":2,\"time\":\"T1\","
	  "\"reason\":\"ttl\",\"text\":\"hop limit reached zero\",\"hook\":\"from_pod\","
	  "\"proto\":\"udp\",\"from\":\"10.1.1.5\",\"fromPort\":4000,\"fromName\":\"default/web\","
	  "\"to\":\"fd00::9\",\"toPort\":53,\"length\":60,\"ifindexName\":\"nl0123\"},{\"seq\":3,"
	  "\"time\":\"T2\",\"reason\":\"policy\",\"text\":\"denied by policy\",\"why\":"
	  "\"ingress of default/web: \\u001b[31misolated\"}]}" },
	{ "/v1/history", 200,
	  "{\"seq\":2,\"records\":[{\"seq\":1,\"event\":\"add-pod\",\"startMs\":1700000000000,"
	  "\"us\":3250,\"items\":{\"created\":4,\"failed\":0}},{\"seq\":2,\"event\":\"db-change\","
	  "\"handlers\":[{\"module\":\"ipam\",\"error\":\"no "
	  "route\"}],\"what\":{\"key\":\"/a\"}}]}" },
	{},
};

static const struct fake_answer sick_answers[] = {
	{ "/v1/status", 200,
	  "{\"ready\":false,\"node\":\"n1\",\"itemsFailed\":1,\"waiting\":[{\"module\":"
	  "\"uplink\",\"reason\":\"no link has an "
	  "address\"}],\"modules\":{\"db\":{\"reason\":\"waiting for "
	  "etcd\"},\"datapath\":{\"alarms\":[\"conntrack is nearly full: 99 of 100 entries\"]}}}" },
	{ "/v1/nodes", 500, "{\"error\":\"out of memory\"}" },
	{ "/v1/pods", 200, "not JSON" },
	{ "/v1/items", 200,
	  "{\"items\":[{\"key\":\"bpf-ep/0:10.1.1.5\",\"state\":\"failed\",\"error\":\"loom_ep is "
	  "full\"},{\"key\":\"x/y\",\"state\":\"applied\"}]}" },
	{},
};

static struct fake_agent agent, sick_agent;

struct run {
	char *out, *complaint;
	int code;
};

static struct run run(int (*cmd)(const struct ctl *c), struct ctl c)
{
	struct run r = {};
	size_t out_len, complaint_len;

	c.out = open_memstream(&r.out, &out_len);
	c.complain = open_memstream(&r.complaint, &complaint_len);
	c.socket = c.socket ?: agent.socket;
	c.bpf_dir = c.bpf_dir ?: "/nonexistent";
	r.code = cmd(&c);
	fclose(c.out);
	fclose(c.complain);
	return r;
}

static void run_release(struct run *r)
{
	free(r->out);
	free(r->complaint);
}

static void assert_says(const char *where, const char *what)
{
	if (!where || !strstr(where, what))
		fail_msg("'%s' is missing in:\n%s", what, where ? where : "nothing");
}

static const struct {
	const char *name;
	int (*cmd)(const struct ctl *c);
	struct ctl c;
	int code;
	const char *out, *complaint;
} cases[] = {
	{ "a ready node", cmd_status, {}, CTL_OK, "n1: ready, netloom 9.9\n", NULL },
	{ "the data path in words",
	  cmd_status,
	  {},
	  CTL_OK,
	  "programs adopted, attached by 3 tcx links, 4 clsact filters and 8 cgroup links; XDP "
	  "off; 3 endpoints\n",
	  NULL },
	{ "how full conntrack is",
	  cmd_status,
	  {},
	  CTL_OK,
	  "50 of 200 connections (25 %), 4 half open\n",
	  NULL },
	{ "a module that the CLI knows nothing of",
	  cmd_status,
	  {},
	  CTL_OK,
	  "db         origin etcd, connected true\n",
	  NULL },
	{ "nodes under headings",
	  cmd_nodes,
	  {},
	  CTL_OK,
	  "ID  NAME     STATE    ADDRESSES            POD CIDRS    TRANSPORT  VERSION  \n"
	  " 1  n1       ready    192.168.0.1,fd00::1  10.1.1.0/24  vxlan      9.9      this node\n"
	  "12  another  refused  -                    -            -          -        its id is "
	  "taken\n",
	  NULL },
	{ "pods, without letting them drive the terminal", cmd_pods, {}, CTL_OK, "web?[31m", NULL },
	{ "a time as a date", cmd_pods, {}, CTL_OK, "2023-11-14T22:13:20Z", NULL },
	{ "pools", cmd_ipam, {}, CTL_OK, "10.1.1.0/24       253     1        1   251\n", NULL },
	{ "what rests", cmd_ipam, {}, CTL_OK, "10.1.1.6  resting  -                1m15s\n", NULL },
	{ "the pod that has an address",
	  cmd_ipam,
	  {},
	  CTL_OK,
	  "10.1.1.7  used     default/web          -\n",
	  NULL },
	{ "a container that is no pod's",
	  cmd_ipam,
	  {},
	  CTL_OK,
	  "10.1.1.5  used     abc/eth0             -\n",
	  NULL },
	{ "drops in a line",
	  cmd_events,
	  {},
	  CTL_OK,
	  "T1  from_pod      ttl             udp  10.1.1.5:4000 (default/web) -> [fd00::9]:53  60 "
	  "bytes on nl0123: hop limit reached zero\n",
	  "4 more were not told" },
	{ "whose policy denied it",
	  cmd_events,
	  {},
	  CTL_OK,
	  "denied by policy: ingress of default/web: ?[31misolated\n",
	  "4 more" },
	{ "drops that match", cmd_events, { .filter = "10.1.1.5" }, CTL_OK, "from_pod", "4 more" },
	{ "history", cmd_history, {}, CTL_OK, "add-pod    3.2  4 created  ok        -", NULL },
	{ "history's failures", cmd_history, {}, CTL_OK, "no route  {\"key\":\"/a\"}", NULL },
	{ "both versions", cmd_version, {}, CTL_OK, "agent   9.9\n", NULL },
	{ "JSON", cmd_nodes, { .json = true }, CTL_OK, "\"podCIDRs\": [\n", NULL },
	{ "no agent",
	  cmd_status,
	  { .socket = "/nonexistent/s" },
	  CTL_UNREACHABLE,
	  "",
	  "is netloom-agent running" },
	{ "no agent to wait for",
	  cmd_status,
	  { .socket = "/nonexistent/s", .wait = true, .wait_s = 1 },
	  CTL_UNREACHABLE,
	  "",
	  "No such file" },
	{ "version without an agent",
	  cmd_version,
	  { .socket = "/nonexistent/s" },
	  CTL_OK,
	  "can't be reached",
	  NULL },
	{ "a node that is not ready",
	  cmd_status,
	  { .socket = sick_agent.socket },
	  CTL_FAILED,
	  "n1: NOT READY\n",
	  NULL },
	{ "a problem and what to try",
	  cmd_status,
	  { .socket = sick_agent.socket },
	  CTL_FAILED,
	  "  problem: db: waiting for etcd\n      try: see that etcd runs",
	  NULL },
	{ "an alarm",
	  cmd_status,
	  { .socket = sick_agent.socket },
	  CTL_FAILED,
	  "raise conntrack.maxEntries",
	  NULL },
	{ "an agent's error",
	  cmd_nodes,
	  { .socket = sick_agent.socket },
	  CTL_FAILED,
	  "",
	  "/v1/nodes: the agent says 500: out of memory" },
	{ "an answer that is no JSON",
	  cmd_pods,
	  { .socket = sick_agent.socket },
	  CTL_FAILED,
	  "",
	  "/v1/pods: " },
	{ "a table that is not there",
	  cmd_dump,
	  { .arg = "nonsense" },
	  CTL_USAGE,
	  "",
	  "there is no table 'nonsense'\ntables:\n  ct " },
	{ "services under headings",
	  cmd_services,
	  {},
	  CTL_OK,
	  "default    web   NodePort  80/TCP  10.96.0.10:80,[::]:30080      1",
	  NULL },
	{ "all about a service",
	  cmd_services,
	  { .arg = "default/web" },
	  CTL_OK,
	  "10.1.1.5:8080  ready  default/web-1  n1    -     true       12",
	  NULL },
	{ "what is wrong with a service",
	  cmd_services,
	  { .arg = "default/web" },
	  CTL_OK,
	  "  problem: port 0: what\n",
	  NULL },
	{ "a service that is not", cmd_services, { .arg = "a/b" }, CTL_FAILED, "", "404" },
	{ "no name of a service", cmd_services, { .arg = "a?b" }, CTL_USAGE, "", "NAMESPACE/NAME" },
	{ "policies of pods",
	  cmd_policies,
	  {},
	  CTL_OK,
	  "default    web         3  known   1 policy, isolated  open\n",
	  NULL },
	{ "rules in words",
	  cmd_policies,
	  { .arg = "default/web" },
	  CTL_OK,
	  "default/web: endpoint 3, identity 9\n  closed: so\n\ningress: what no rule allows is "
	  "denied\n  allow?[31m TCP 80\n  \n\negress: what no rule denies is allowed; what is "
	  "denied passes and is logged\n  no rule of y\n",
	  NULL },
	{ "no name of a pod", cmd_policies, { .arg = "web" }, CTL_USAGE, "", "NAMESPACE/POD" },
	{ "the tables that are", cmd_dump, {}, CTL_OK, "  epstats ", NULL },
	{ "no pins", cmd_dump, { .arg = "ct" }, CTL_FAILED, "", "say --bpf-dir DIR" },
	{ "an address that is none",
	  cmd_dump,
	  { .arg = "ct", .ip = "10.1" },
	  CTL_USAGE,
	  "",
	  "--ip '10.1'" },
};

static void commands_say_what_they_should(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct run r = run(cases[i].cmd, cases[i].c);

		if (r.code != cases[i].code)
			fail_msg("%s: exit code %d, not %d\n%s", cases[i].name, r.code,
				 cases[i].code, r.complaint);
		assert_says(r.out, cases[i].out);
		if (cases[i].complaint)
			assert_says(r.complaint, cases[i].complaint);
		else
			assert_string_equal(r.complaint, "");
		run_release(&r);
	}
}

/* ---- records ---- */

static union loom_addr addr(const char *text)
{
	union loom_addr a;

	assert_int_equal(addr_parse(text, &a, NULL), 0);
	return a;
}

static struct loom_ctkey flow_key(void)
{
	return (struct loom_ctkey){ .a = addr("10.1.1.5"),
				    .b = addr("10.1.2.6"),
				    .pa = htons(80),
				    .pb = htons(40000),
				    .proto = 6 };
}

static const char *text_of(const char *table, const void *key, const void *value, char *buf)
{
	struct table_names names = { .now_tick = 1000 };
	const struct table *t = table_find(table);
	_json_ *record = table_record(t, key, value, &names);
	_json_ *rows = json_object_new_array();
	FILE *out = fmemopen(buf, 1024, "w");

	assert_non_null(record);
	json_append(rows, json_object_get(record));
	print_table(out, t->columns, rows);
	fclose(out);
	return strchr(buf, '\n') + 1;
}

static void a_connection_reads_from_its_initiator(void **state)
{
	struct loom_ctkey key = flow_key();
	struct loom_ct ct = { .seen = 990,
			      .created = 900,
			      .flags = LOOM_CT_FROM_B | LOOM_CT_REPLIED,
			      .out_a = LOOM_OUT(LOOM_OUT_PEER, 1000),
			      .out_b = LOOM_OUT(LOOM_OUT_TUNNEL, 2) };
	char buf[1024];

	assert_string_equal(text_of("ct", &key, &ct, buf),
			    "tcp    10.1.2.6:40000  10.1.1.5:80  -    -         -         10s  "
			    "1m47s  pod 1000  tunnel 2  "
			    "from-b,replied\n");
}

static void a_service_is_read_back_in_words(void **state)
{
	struct loom_svckey key = { .port = htons(80), .proto = 6 };
	struct loom_svc svc = { .service = 7,
				.in_size = 3,
				.out_size = 251,
				.affinity_s = 3600,
				.flags = LOOM_SVC_NODEPORT | LOOM_SVC_AFFINITY | 1u << 31 };
	_json_ *record = table_record(table_find("svc"), &key, &svc, NULL);

	assert_string_equal(json_object_get_string(json_field(record, "frontend")), "::");
	assert_int_equal(json_object_get_int(json_field(record, "frontendPort")), 80);
	assert_int_equal(json_object_get_int(json_field(record, "inSize")), 3);
	assert_int_equal(json_object_get_int(json_field(record, "outSize")), 251);
	assert_int_equal(json_object_get_int(json_field(record, "affinitySeconds")), 3600);
	assert_string_equal(json_object_to_json_string_ext(json_field(record, "flags"), 0),
			    "[\"node-port\",\"affinity\",\"0x80000000\"]");
}

static void both_halves_of_a_service_s_flow_name_frontend_and_backend(void **state)
{
	struct loom_ctkey front = { .a = addr("10.1.1.9"),
				    .pa = htons(4000),
				    .proto = 6,
				    .b = addr("10.96.0.10"),
				    .pb = htons(80) };
	struct loom_ctkey back = { .a = addr("10.1.1.9"),
				   .pa = htons(4000),
				   .proto = 6,
				   .b = addr("10.1.2.6"),
				   .pb = htons(8080) };
	struct loom_ct to = { .flags = LOOM_CT_SVC | LOOM_CT_REPLIED,
			      .xaddr = back.b,
			      .xport = back.pb,
			      .xport2 = back.pa,
			      .backend = 12 };
	struct loom_ct from = { .flags = LOOM_CT_SVC_BACK, .xaddr = front.b, .xport = front.pb };
	char buf[1024];

	assert_says(text_of("ct", &front, &to, buf), "10.96.0.10:80  10.1.2.6:8080");
	assert_says(buf, "replied,service\n");
	assert_says(text_of("ct", &back, &from, buf), "10.96.0.10:80  10.1.2.6:8080");
	assert_says(buf, "service-back\n");
}

static void ports_are_those_whose_bits_are_set(void **state)
{
	uint32_t word = LOOM_PORTS_WORDS + 8080 / 64;
	uint64_t bits = 1ull << 8080 % 64 | 1ull << 63;
	char buf[256];

	assert_string_equal(text_of("ports", &word, &bits, buf), "host-backend  8080,8127\n");
}

static void affinity_tells_addresses_from_namespaces(void **state)
{
	struct loom_affkey key = { .client = addr("10.1.1.5"), .service = 7 };
	struct loom_aff aff = { .backend = 3 };
	char buf[256];

	assert_says(text_of("affinity", &key, &aff, buf), "10.1.1.5          -        7");
	key.client = (union loom_addr){ .d = { 0, 4026 } };
	assert_says(text_of("affinity", &key, &aff, buf), "-            4026        7");
}

static void unknown_numbers_are_shown_and_not_hidden(void **state)
{
	struct loom_ctkey key = { .a = addr("fd00::1"), .b = addr("fd00::2"), .proto = 253 };
	struct loom_ct ct = { .flags = 1 << 15, .out_a = LOOM_OUT(15, 3) };
	char buf[1024];
	const char *row = text_of("ct", &key, &ct, buf);

	assert_says(row, "253 ");
	assert_says(row, "0x8000");
	assert_says(row, "? 3");
}

static void every_table_survives_zeros_and_ones(void **state)
{
	_Alignas(8) uint8_t key[64], value[128];
	char cell[128];

	for (int fill = 0; fill < 256; fill += 255) {
		memset(key, fill, sizeof(key));
		memset(value, fill, sizeof(value));
		for (const struct table *t = tables; t->name; t++) {
			_json_ *record = table_record(t, key, value, NULL);

			assert_non_null(record);
			for (const struct column *c = t->columns; c->heading; c++)
				assert_true(column_text(c, record, cell, sizeof(cell))[0]);
		}
	}
}

/* ---- dump, on a bpffs of its own ---- */

static char bpffs[] = "/tmp/nlt-ctl-bpf-XXXXXX";

static void dump_shows_pinned_maps_with_names(void **state)
{
	struct ctl c = { .arg = "ct" };
	struct loom_ctkey key = flow_key();
	struct loom_ct ct = { .seen = clock_ns() >> LOOM_TICK_SHIFT, .flags = LOOM_CT_REPLIED };
	struct err e = {};
	char dir[64];
	struct run r;
	int fd;

	snprintf(dir, sizeof(dir), "%s/netloom", bpffs);
	assert_int_equal(mount("bpf", bpffs, "bpf", 0, NULL), 0);
	assert_int_equal(pins_prepare(dir, &e), 0);
	fd = bpf_map_create(BPF_MAP_TYPE_HASH, "loom_ct", sizeof(key), sizeof(ct), 64, NULL);
	assert_int_equal(pin_put(fd, dir, PIN_MAP, "loom_ct", &e), 0);
	bpf_map_update_elem(fd, &key, &ct, BPF_ANY);
	key.pa = htons(81);
	key.a = addr("10.1.1.7");
	bpf_map_update_elem(fd, &key, &ct, BPF_ANY);
	c.bpf_dir = dir;

	r = run(cmd_dump, c);
	assert_int_equal(r.code, CTL_OK);
	assert_says(r.out, "10.1.1.5:80 (default/web");
	assert_says(r.out, "10.1.1.7:81");
	run_release(&r);

	c.port = 81;
	r = run(cmd_dump, c);
	assert_null(strstr(r.out, "10.1.1.5:80"));
	assert_says(r.out, "10.1.1.7:81");
	run_release(&r);

	c = (struct ctl){ .arg = "ct", .bpf_dir = dir, .ip = "10.1.1.5", .json = true };
	r = run(cmd_dump, c);
	assert_says(r.out, "\"fromPort\": 80");
	assert_null(strstr(r.out, "10.1.1.7"));
	run_release(&r);

	c = (struct ctl){ .arg = "ct", .bpf_dir = dir, .pod = "x/y", .socket = "/nonexistent/s" };
	r = run(cmd_dump, c);
	assert_int_equal(r.code, CTL_FAILED);
	assert_says(r.complaint, "names are known to the agent");
	run_release(&r);

	ct.flags |= LOOM_CT_SVC;
	ct.backend = 12;
	bpf_map_update_elem(fd, &key, &ct, BPF_ANY);
	c = (struct ctl){ .arg = "default/web", .bpf_dir = dir };
	r = run(cmd_services, c);
	assert_says(r.out, "true       12      1\n");
	run_release(&r);
	close(fd);
}

static void a_map_of_another_version_is_refused(void **state)
{
	struct ctl c = { .arg = "ep" };
	struct err e = {};
	char dir[64];
	struct run r;
	int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "loom_ep", 4, 8, 64, NULL);

	snprintf(dir, sizeof(dir), "%s/netloom", bpffs);
	assert_int_equal(pin_put(fd, dir, PIN_MAP, "loom_ep", &e), 0);
	c.bpf_dir = dir;
	r = run(cmd_dump, c);
	assert_int_equal(r.code, CTL_FAILED);
	assert_says(r.complaint, "another version");
	run_release(&r);
	close(fd);
}

static int setup(void **state)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    !mkdtemp(bpffs)) {
		print_error("needs root: %s\n", strerror(errno));
		return -1;
	}
	return fake_agent_start(&agent, answers) ?: fake_agent_start(&sick_agent, sick_answers);
}

static int teardown(void **state)
{
	fake_agent_stop(&agent);
	fake_agent_stop(&sick_agent);
	umount2(bpffs, MNT_DETACH);
	return rmdir(bpffs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_say_what_they_should),
		cmocka_unit_test(a_connection_reads_from_its_initiator),
		cmocka_unit_test(a_service_is_read_back_in_words),
		cmocka_unit_test(both_halves_of_a_service_s_flow_name_frontend_and_backend),
		cmocka_unit_test(ports_are_those_whose_bits_are_set),
		cmocka_unit_test(affinity_tells_addresses_from_namespaces),
		cmocka_unit_test(unknown_numbers_are_shown_and_not_hidden),
		cmocka_unit_test(every_table_survives_zeros_and_ones),
		cmocka_unit_test(dump_shows_pinned_maps_with_names),
		cmocka_unit_test(a_map_of_another_version_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
