// SPDX-License-Identifier: Apache-2.0
/*
 * The CNI specification, replayed: the real binary, run as a runtime runs it, against the real pods
 * module in an agent that is otherwise made up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "api/cni_spool.h"
#include "lib/base/clock.h"
#include "lib/json/json.h"
#include "selftests/unit/pods/fake_core.h"

#define ARGS                                                         \
	"IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;" \
	"K8S_POD_INFRA_CONTAINER_ID=c1;K8S_POD_UID=u-1"
#define PREV                                                                                \
	",\"prevResult\":{\"cniVersion\":\"1.0.0\",\"interfaces\":[{\"name\":\"nlfake1\"}," \
	"{\"name\":\"eth0\",\"mac\":\"02:fe:00:00:00:01\",\"sandbox\":\"/x\"}],"            \
	"\"ips\":[{\"interface\":1,\"address\":\"10.1.1.1/32\"},"                           \
	"{\"interface\":1,\"address\":\"fd00:10::7/128\"}]}"

static const char *const versions[] = { "0.3.1", "0.4.0", "1.0.0", "1.1.0" };
static struct sandbox pod;

static struct cni_call call(const char *command)
{
	return (struct cni_call){
		.command = command,
		.container = "c1",
		.ifname = "eth0",
		.netns = pod.netns,
		.args = ARGS,
		.path = "/opt/cni/bin",
		.config = "",
	};
}

static struct cni_answer run(struct agent *a, const char *command, const char *config)
{
	struct cni_call c = call(command);

	c.config = config;
	return cni_run(a, &c);
}

static void expect(struct agent *a, const char *command, const char *config, int code)
{
	struct cni_answer r = run(a, command, config);

	if (answer_code(&r) != code || r.exit_code != (code ? 1 : 0))
		fprintf(stderr, "%s %s:\nwant code %d, got exit %d: %s\n", command, config, code,
			r.exit_code, r.out);
	assert_int_equal(answer_code(&r), code);
	assert_int_equal(r.exit_code, code ? 1 : 0);
	cni_answer_clear(&r);
}

static int start_agent(void **state)
{
	struct agent *a = fake_agent_new();

	fake_agent_start(a, true);
	*state = a;
	return 0;
}

static int stop_agent(void **state)
{
	fake_agent_free(*state);
	return 0;
}

static const char *str(struct json_object *o, const char *path)
{
	const char *s = "";

	json_opt_str(o, path, &s, NULL);
	return s;
}

static struct json_object *item(struct json_object *o, const char *list, size_t i)
{
	return json_object_array_get_idx(json_field(o, list), i);
}

static void check_result(const struct cni_answer *r, int v)
{
	struct json_object *eth0 = item(r->json, "interfaces", 1), *ip = item(r->json, "ips", 0),
			   *ip6 = item(r->json, "ips", 1);

	assert_int_equal(r->exit_code, 0);
	assert_string_equal(str(r->json, "cniVersion"), versions[v]);
	assert_string_equal(str(item(r->json, "interfaces", 0), "name"), "nlfake1");
	assert_string_equal(str(item(r->json, "interfaces", 0), "sandbox"), "");
	assert_string_equal(str(eth0, "name"), "eth0");
	assert_string_equal(str(eth0, "mac"), "02:fe:00:00:00:01");
	assert_string_equal(str(eth0, "sandbox"), pod.netns);
	assert_true(!!json_field(eth0, "mtu") == (v == 3));
	assert_string_equal(str(ip, "address"), "10.1.1.1/32");
	assert_string_equal(str(ip, "gateway"), "169.254.1.1");
	assert_int_equal(json_object_get_int(json_field(ip, "interface")), 1);
	assert_string_equal(str(ip, "version"), v < 2 ? "4" : "");
	assert_string_equal(str(ip6, "version"), v < 2 ? "6" : "");
	assert_string_equal(str(ip6, "address"), "fd00:10::7/128");
	assert_string_equal(str(item(r->json, "routes", 0), "dst"), "0.0.0.0/0");
	assert_string_equal(str(item(r->json, "routes", 1), "dst"), "::/0");
	assert_true(json_object_is_type(json_field(r->json, "dns"), json_type_object));
}

static void a_pod_lives_through_every_version(void **state)
{
	for (int v = 0; v < 4; v++) {
		struct agent *a = fake_agent_new();
		struct cni_answer r;

		fake_agent_start(a, true);
		r = run(a, "ADD", config_for(a, versions[v], ""));
		check_result(&r, v);
		cni_answer_clear(&r);
		assert_int_equal(a->saved_before_wiring, 1);
		assert_non_null(strstr(fake_get(a->local, "c1/eth0"), "\"up\""));
		assert_non_null(fake_get(a->published, "/netloom/endpoint/shop/web-0"));
		expect(a, "ADD", config_for(a, versions[v], ""), 101);
		expect(a, "CHECK", config_for(a, versions[v], PREV), v < 1 ? 1 : 0);
		expect(a, "STATUS", config_for(a, versions[v], ""), v < 3 ? 1 : 0);
		expect(a, "GC",
		       config_for(a, versions[v],
				  ",\"cni.dev/valid-attachments\":[{\"containerID\":\"c1\","
				  "\"ifname\":\"eth0\"}]"),
		       v < 3 ? 1 : 0);
		assert_non_null(fake_get(a->local, "c1/eth0"));
		for (int twice = 0; twice < 2; twice++)
			expect(a, "DEL", config_for(a, versions[v], ""), 0);
		assert_null(fake_get(a->local, "c1/eth0"));
		assert_null(fake_get(a->published, "/netloom/endpoint/shop/web-0"));
		expect(a, "CHECK", config_for(a, versions[v], PREV), v < 1 ? 1 : 3);
		fake_agent_free(a);
	}
}

static void version_needs_nothing(void **state)
{
	static const struct {
		const char *config, *version;
	} cases[] = { { "{\"cniVersion\":\"0.4.0\"}", "0.4.0" },
		      { "{\"cniVersion\":\"9.9.9\"}", "1.1.0" },
		      { "not json", "1.1.0" },
		      { "", "1.1.0" } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cni_call c = { .command = "VERSION", .config = cases[i].config };
		struct cni_answer r = cni_run(*state, &c);

		assert_int_equal(r.exit_code, 0);
		assert_string_equal(str(r.json, "cniVersion"), cases[i].version);
		for (int v = 0; v < 4; v++)
			assert_string_equal(
				json_object_get_string(item(r.json, "supportedVersions", v)),
				versions[v]);
		cni_answer_clear(&r);
	}
}

/* NULL: the good value; "-": not set. */
static const struct {
	const char *name, *command, *container, *ifname, *netns, *args, *path;
	int code;
} envs[] = {
	{ "no command", "-", NULL, NULL, NULL, NULL, NULL, 4 },
	{ "unknown command", "UPDATE", NULL, NULL, NULL, NULL, NULL, 4 },
	{ "no container", "ADD", "-", NULL, NULL, NULL, NULL, 4 },
	{ "empty container", "ADD", "", NULL, NULL, NULL, NULL, 4 },
	{ "container with slash", "ADD", "a/b", NULL, NULL, NULL, NULL, 4 },
	{ "container with dots first", "DEL", "..", NULL, NULL, NULL, NULL, 4 },
	{ "no ifname", "ADD", NULL, "-", NULL, NULL, NULL, 4 },
	{ "ifname too long", "ADD", NULL, "abcdefghijklmnop", NULL, NULL, NULL, 4 },
	{ "ifname with colon", "ADD", NULL, "eth0:1", NULL, NULL, NULL, 4 },
	{ "ifname dot", "DEL", NULL, ".", NULL, NULL, NULL, 4 },
	{ "no netns for ADD", "ADD", NULL, NULL, "-", NULL, NULL, 4 },
	{ "no netns for CHECK", "CHECK", NULL, NULL, "-", NULL, NULL, 4 },
	{ "no netns for DEL", "DEL", NULL, NULL, "-", NULL, NULL, 0 },
	{ "no path for ADD", "ADD", NULL, NULL, NULL, NULL, "-", 4 },
	{ "no path for DEL", "DEL", NULL, NULL, NULL, NULL, "-", 0 },
	{ "no path for GC", "GC", NULL, NULL, NULL, NULL, "-", 4 },
	{ "DEL without ifname", "DEL", NULL, "-", NULL, NULL, NULL, 4 },
	{ "netns not there", "ADD", NULL, NULL, "/run/netns/nlt-none", NULL, NULL, 8 },
	{ "netns is a file", "ADD", NULL, NULL, "/etc/passwd", NULL, NULL, 8 },
	{ "netns is a folder", "ADD", NULL, NULL, "/", NULL, NULL, 8 },
	{ "netns is a device", "ADD", NULL, NULL, "/dev/zero", NULL, NULL, 8 },
	{ "netns is another kind", "ADD", NULL, NULL, "/proc/self/ns/mnt", NULL, NULL, 8 },
	{ "netns is the plugin's own", "ADD", NULL, NULL, "/proc/self/ns/net", NULL, NULL, 8 },
	{ "DEL, netns not there", "DEL", NULL, NULL, "/run/netns/nlt-none", NULL, NULL, 0 },
	{ "args without value", "ADD", NULL, NULL, NULL, "K8S_POD_NAME", NULL, 4 },
	{ "pod name with slash", "ADD", NULL, NULL, NULL, "K8S_POD_NAME=../x", NULL, 4 },
	{ "pod name with newline", "ADD", NULL, NULL, NULL, "K8S_POD_NAME=a\nb", NULL, 4 },
	{ "command of odd bytes", "ADD\xff", NULL, NULL, NULL, NULL, NULL, 4 },
	{ "container of odd bytes", "ADD", "c\xc3", NULL, NULL, NULL, NULL, 4 },
	{ "ifname of odd bytes", "ADD", NULL, "eth\xff", NULL, NULL, NULL, 4 },
	{ "netns of odd bytes", "ADD", NULL, NULL, "/run/netns/\xff", NULL, NULL, 4 },
	{ "DEL, netns of odd bytes", "DEL", NULL, NULL, "/run/netns/\xff", NULL, NULL, 0 },
	{ "pod name of odd bytes", "ADD", NULL, NULL, NULL, "K8S_POD_NAME=\xed\xa0\x80", NULL, 4 },
	{ "no args at all", "ADD", "c2", NULL, NULL, "-", NULL, 0 },
	{ "a pod that the API does not know", "ADD", "c3", NULL, NULL,
	  "K8S_POD_NAMESPACE=x;K8S_POD_NAME=y", NULL, 0 },
};

static const char *pick(const char *given, const char *good)
{
	return !given ? good : strcmp(given, "-") ? given : NULL;
}

static void the_environment_is_checked(void **state)
{
	struct agent *a = *state;

	for (size_t i = 0; i < ARRAY_SIZE(envs); i++) {
		struct cni_call c = { .command = pick(envs[i].command, NULL),
				      .container = pick(envs[i].container, "c1"),
				      .ifname = pick(envs[i].ifname, "eth0"),
				      .netns = pick(envs[i].netns, pod.netns),
				      .args = pick(envs[i].args, ARGS),
				      .path = pick(envs[i].path, "/opt/cni/bin"),
				      .config = config_for(a, "1.1.0", PREV) };
		struct cni_answer r = cni_run(a, &c);

		if (answer_code(&r) != envs[i].code)
			fprintf(stderr, "%s: %s\n", envs[i].name, r.out);
		assert_int_equal(answer_code(&r), envs[i].code);
		assert_int_equal(r.exit_code, envs[i].code ? 1 : 0);
		cni_answer_clear(&r);
	}
}

static const struct {
	const char *text; /* the whole of stdin, or NULL */
	const char *version, *more, *command;
	int code;
} configs[] = {
	{ "", 0, 0, "ADD", 6 },
	{ "{", 0, 0, "ADD", 6 },
	{ "{}{}", 0, 0, "ADD", 6 },
	{ "[]", 0, 0, "ADD", 6 },
	{ "\"x\"", 0, 0, "DEL", 6 },
	{ "{\"cniVersion\":7}", 0, 0, "ADD", 6 },
	{ "{\"name\":\"n\"}", 0, 0, "ADD", 1 },
	{ NULL, "0.2.0", "", "ADD", 1 },
	{ NULL, "0.3.0", "", "ADD", 1 },
	{ NULL, "1.2.0", "", "ADD", 1 },
	{ NULL, "1.0.0 ", "", "ADD", 1 },
	{ NULL, "1.1.0", ",\"name\":\"a/b\"", "ADD", 7 },
	{ NULL, "1.1.0", ",\"name\":5", "ADD", 7 },
	{ NULL, "1.1.0", ",\"socket\":\"relative\"", "ADD", 7 },
	{ NULL, "1.1.0", ",\"socket\":5", "DEL", 7 },
	{ NULL, "1.1.0", ",\"timeoutMs\":0", "ADD", 7 },
	{ NULL, "1.1.0", ",\"prevResult\":5", "ADD", 7 },
	{ NULL, "1.1.0", ",\"prevResult\":{\"ips\":[{\"address\":\"1.2.3.4\"}]}", "ADD", 7 },
	{ NULL, "1.1.0",
	  ",\"prevResult\":{\"interfaces\":[],\"ips\":[{\"address\":\"1.2.3.4/"
	  "8\",\"interface\":0}]}",
	  "ADD", 7 },
	{ NULL, "1.1.0", ",\"prevResult\":{\"interfaces\":[5]}", "ADD", 7 },
	{ NULL, "1.1.0", ",\"dns\":[]", "ADD", 7 },
	{ NULL, "1.1.0", "", "CHECK", 7 },
	{ NULL, "1.1.0", "", "GC", 7 },
	{ NULL, "1.1.0", ",\"cni.dev/valid-attachments\":{}", "GC", 7 },
	{ NULL, "1.1.0", ",\"cni.dev/valid-attachments\":[{}]", "GC", 7 },
	{ NULL, "1.1.0", ",\"runtimeConfig\":{\"portMappings\":[{\"hostPort\":80}]}", "ADD", 7 },
	{ NULL, "1.1.0", ",\"runtimeConfig\":{\"portMappings\":{\"a\":1}}", "ADD", 7 },
	{ NULL, "1.1.0", ",\"runtimeConfig\":{\"portMappings\":[5]}", "ADD", 7 },
	{ NULL, "1.1.0",
	  ",\"runtimeConfig\":{\"portMappings\":[{\"hostPort\":65536,\"containerPort\":80}]}",
	  "ADD", 7 },
	{ NULL, "1.1.0",
	  ",\"runtimeConfig\":{\"portMappings\":[{\"hostPort\":80,\"containerPort\":80,"
	  "\"protocol\":\"icmp\"}]}",
	  "ADD", 7 },
	{ NULL, "1.1.0",
	  ",\"runtimeConfig\":{\"portMappings\":[{\"hostPort\":80,\"containerPort\":80,"
	  "\"hostIP\":\"here\"}]}",
	  "ADD", 7 },
	{ NULL, "1.1.0",
	  ",\"runtimeConfig\":{\"portMappings\":[{\"hostPort\":80,\"containerPort\":80},"
	  "{\"hostPort\":80,\"containerPort\":81,\"protocol\":\"TCP\",\"hostIP\":\"0.0.0.0\"}]}",
	  "ADD", 7 },
	{ NULL, "1.1.0", ",\"runtimeConfig\":{\"ips\":[\"10.1.1.9/24\"]}", "ADD", 2 },
	{ NULL, "1.1.0", ",\"args\":{\"cni\":{\"mac\":\"02:00:00:00:00:01\"}}", "ADD", 2 },
	{ NULL, "1.1.0",
	  ",\"runtimeConfig\":{\"portMappings\":[],\"mac\":\"\"},\"unheardOf\":{\"a\":[1]}", "ADD",
	  0 },
};

static void the_configuration_is_checked(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(configs); i++) {
		const char *text =
			configs[i].text ? configs[i].text
					: config_for(*state, configs[i].version, configs[i].more);

		expect(*state, configs[i].command, text, configs[i].code);
	}
}

static void an_oversized_configuration_is_refused(void **state)
{
	struct cni_call c = call("ADD");
	size_t len = (8 << 20) + 10;
	char *big = malloc(len);
	struct cni_answer r;

	memset(big, ' ', len);
	c.config = big;
	c.config_len = len;
	r = cni_run(*state, &c);
	assert_int_equal(answer_code(&r), 6);
	cni_answer_clear(&r);
	memset(big, '[', len);
	c.config_len = 4 << 20;
	r = cni_run(*state, &c);
	assert_int_equal(answer_code(&r), 6);
	cni_answer_clear(&r);
	free(big);
}

static void a_previous_result_is_passed_on(void **state)
{
	struct cni_answer r =
		run(*state, "ADD",
		    config_for(*state, "1.0.0",
			       ",\"prevResult\":{\"interfaces\":[{\"name\":\"first0\"}],\"ips\":[{"
			       "\"address\":\"192.0.2.1/24\",\"interface\":0}],\"dns\":{\"domain\":"
			       "\"x\"}}"));

	assert_int_equal(r.exit_code, 0);
	assert_string_equal(str(item(r.json, "interfaces", 0), "name"), "first0");
	assert_string_equal(str(item(r.json, "interfaces", 2), "name"), "eth0");
	assert_string_equal(str(item(r.json, "ips", 0), "address"), "192.0.2.1/24");
	assert_int_equal(json_object_get_int(json_field(item(r.json, "ips", 1), "interface")), 2);
	assert_string_equal(str(r.json, "dns.domain"), "x");
	cni_answer_clear(&r);
}

static void check_names_the_first_difference(void **state)
{
	struct agent *a = *state;

	expect(a, "ADD", config_for(a, "1.0.0", ""), 0);
	expect(a, "CHECK", config_for(a, "1.0.0", PREV), 0);
	expect(a, "CHECK", config_for(a, "1.0.0", ",\"prevResult\":{}"), 102);
	expect(a, "CHECK",
	       config_for(
		       a, "1.0.0",
		       ",\"prevResult\":{\"interfaces\":[{\"name\":\"eth0\",\"sandbox\":\"/x\"}],"
		       "\"ips\":[{\"interface\":0,\"address\":\"10.1.1.2/32\"}]}"),
	       102);
	a->check_err = -EINVAL;
	expect(a, "CHECK", config_for(a, "1.0.0", PREV), 102);
}

static void failures_say_why_and_leave_nothing(void **state)
{
	struct agent *a = *state;
	struct cni_answer r;

	a->alloc_err = -ENOSPC;
	r = run(a, "ADD", config_for(a, "1.1.0", ""));
	assert_int_equal(answer_code(&r), 11);
	assert_non_null(strstr(r.out, "pool 10.1.1.0/24 is full: 253 of 253"));
	cni_answer_clear(&r);
	/* Not 51, by which pods that are there have limited connectivity: these have not. */
	expect(a, "STATUS", config_for(a, "1.1.0", ""), 50);
	a->alloc_err = 0;
	a->wire_err = -EIO;
	expect(a, "ADD", config_for(a, "1.1.0", ""), 100);
	assert_null(fake_get(a->local, "c1/eth0"));
	a->wire_err = 0;
	a->put_err = -EIO;
	expect(a, "ADD", config_for(a, "1.1.0", ""), 100);
	a->put_err = 0;
	a->on_ready(a, false);
	expect(a, "STATUS", config_for(a, "1.1.0", ""), 50);
	expect(a, "ADD", config_for(a, "1.1.0", ""), 0);
}

/* Files in the spool that are whole. */
static size_t spooled(const struct agent *a)
{
	DIR *d = opendir(a->cfg.cni.spool_dir);
	struct dirent *entry;
	size_t n = 0;

	while (d && (entry = readdir(d)))
		n += entry->d_name[0] != '.' && strstr(entry->d_name, ".del");
	if (d)
		closedir(d);
	return n;
}

static void an_absent_agent_is_told_apart_by_verb(void **state)
{
	struct agent *a = fake_agent_new();

	expect(a, "ADD", config_for(a, "1.1.0", ""), 11);
	expect(a, "CHECK", config_for(a, "1.1.0", PREV), 11);
	expect(a, "STATUS", config_for(a, "1.1.0", ""), 50);
	expect(a, "GC", config_for(a, "1.1.0", ",\"cni.dev/valid-attachments\":[]"), 11);
	for (int twice = 0; twice < 2; twice++)
		expect(a, "DEL", config_for(a, "1.1.0", ""), 0);
	assert_int_equal(spooled(a), 1);
	fake_agent_start(a, true);
	assert_int_equal(spooled(a), 0);
	fake_agent_free(a);
}

/* A listener that takes the connection and never says a word, or hangs up on it. */
static int listener(const struct agent *a)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	char dir[80];

	snprintf(dir, sizeof(dir), "%s/run", a->dir);
	mkdir(dir, 0755);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", a->cfg.cni.socket);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static void hang_up(evutil_socket_t fd, short what, void *arg)
{
	int peer = accept(fd, NULL, NULL);

	if (peer >= 0)
		close(peer);
}

static void an_agent_that_dies_or_hangs_in_a_call_is_away(void **state)
{
	struct agent *a = fake_agent_new();
	int fd = listener(a);
	struct event *ev = event_new(a->base, fd, EV_READ | EV_PERSIST, hang_up, NULL);

	/* The last of two equal keys counts. */
	expect(a, "ADD", config_for(a, "1.1.0", ",\"timeoutMs\":50"), 11);
	expect(a, "DEL", config_for(a, "1.1.0", ",\"timeoutMs\":50"), 0);
	assert_int_equal(spooled(a), 1);
	event_add(ev, NULL);
	expect(a, "ADD", config_for(a, "1.1.0", ""), 11);
	expect(a, "DEL", config_for(a, "1.1.0", ""), 0);
	event_free(ev);
	close(fd);
	fake_agent_start(a, true);
	assert_int_equal(spooled(a), 0);
	fake_agent_free(a);
}

static void a_del_that_cannot_be_kept_is_to_be_tried_again(void **state)
{
	struct agent *a = fake_agent_new();
	char *dir = a->cfg.cni.spool_dir;

	a->cfg.cni.spool_dir = strdup("/proc/nlt-nowhere");
	expect(a, "DEL", config_for(a, "1.1.0", ""), 11);
	free(a->cfg.cni.spool_dir);
	a->cfg.cni.spool_dir = dir;
	fake_agent_start(a, true);
	fake_agent_free(a);
}

static void make_files(const struct agent *a, const char *format)
{
	char path[160];
	size_t n = snprintf(path, sizeof(path), "%s/", a->cfg.cni.spool_dir);

	for (int i = 0; i < CNI_SPOOL_MAX_FILES; i++) {
		snprintf(path + n, sizeof(path) - n, format, i);
		close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	}
}

static void only_whole_requests_fill_the_spool(void **state)
{
	struct agent *a = fake_agent_new();

	expect(a, "DEL", config_for(a, "1.1.0", ""), 0);
	/* What killed processes leave. */
	make_files(a, ".%d.del.77");
	fake_agent_start(a, true);
	fake_agent_crash(a);
	expect(a, "DEL", config_for(a, "1.1.0", ""), 0);
	assert_int_equal(spooled(a), 1);
	fake_agent_start(a, true);
	fake_agent_crash(a);
	make_files(a, "%d.del");
	expect(a, "DEL", config_for(a, "1.1.0", ""), 11);
	fake_agent_start(a, true);
	assert_int_equal(spooled(a), 0);
	fake_agent_free(a);
}

/* 2 MB is what users were promised; a millisecond is what the process may cost by itself. */
static void the_binary_is_small_and_static(void **state)
{
	char elf[64 << 10];
	struct stat st;
	int fd = open(binary_path(), O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(st.st_size < 2 << 20);
	assert_true(read(fd, elf, sizeof(elf)) > 0);
	close(fd);
#ifndef __SANITIZE_ADDRESS__
	assert_null(memmem(elf, sizeof(elf), "ld-linux", 8));
#endif
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void an_add_costs_little_more_than_starting_a_process(void **state)
{
	struct agent *a = *state;
	uint64_t ns[41];

	for (size_t i = 0; i < ARRAY_SIZE(ns); i++) {
		struct cni_call c = call("ADD");
		struct cni_answer r;
		uint64_t start = clock_ns();
		char id[16];

		snprintf(id, sizeof(id), "t%zu", i);
		c.container = id;
		c.config = config_for(a, "1.0.0", "");
		r = cni_run(a, &c);
		ns[i] = clock_ns() - start;
		assert_int_equal(r.exit_code, 0);
		cni_answer_clear(&r);
	}
	qsort(ns, ARRAY_SIZE(ns), sizeof(*ns), by_value);
	print_message("ADD from start to exit against a made-up agent: median %.2f ms, "
		      "worst %.2f ms\n",
		      ns[ARRAY_SIZE(ns) / 2] / 1e6, ns[ARRAY_SIZE(ns) - 1] / 1e6);
}

static int make_pod(void **state)
{
	signal(SIGPIPE, SIG_IGN);
	pod = sandbox_new();
	return 0;
}

static int end_pod(void **state)
{
	sandbox_end(&pod);
	return 0;
}

#define with_agent(f) cmocka_unit_test_setup_teardown(f, start_agent, stop_agent)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pod_lives_through_every_version),
		with_agent(version_needs_nothing),
		with_agent(the_environment_is_checked),
		with_agent(the_configuration_is_checked),
		with_agent(an_oversized_configuration_is_refused),
		with_agent(a_previous_result_is_passed_on),
		with_agent(check_names_the_first_difference),
		with_agent(failures_say_why_and_leave_nothing),
		cmocka_unit_test(an_absent_agent_is_told_apart_by_verb),
		cmocka_unit_test(an_agent_that_dies_or_hangs_in_a_call_is_away),
		cmocka_unit_test(a_del_that_cannot_be_kept_is_to_be_tried_again),
		cmocka_unit_test(only_whole_requests_fill_the_spool),
		cmocka_unit_test(the_binary_is_small_and_static),
		with_agent(an_add_costs_little_more_than_starting_a_process),
	};

	return cmocka_run_group_tests(tests, make_pod, end_pod);
}
