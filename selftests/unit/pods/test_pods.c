// SPDX-License-Identifier: Apache-2.0
/*
 * What the pods module owes to a node that crashes, reboots and forgets: attachments that are
 * mended, replayed, collected. The agent around it is made up; the CNI binary is the real one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "agent/modules/modules.h"
#include "lib/json/json.h"
#include "lib/netlink/netns_path.h"
#include "selftests/unit/pods/fake_core.h"

#define KEY "/netloom/endpoint/shop/web-0"

static struct sandbox pod;

static struct cni_call call(const struct agent *a, const char *command, const char *container)
{
	return (struct cni_call){
		.command = command,
		.container = container,
		.ifname = "eth0",
		.netns = pod.netns,
		.args = "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_UID=u1",
		.path = "/opt/cni/bin",
		.config = config_for(a, "1.1.0", ""),
	};
}

static int code(struct agent *a, const struct cni_call *c)
{
	struct cni_answer r = cni_run(a, c);
	int ret = answer_code(&r);

	cni_answer_clear(&r);
	return ret;
}

static int verb(struct agent *a, const char *command, const char *container)
{
	struct cni_call c = call(a, command, container);

	return code(a, &c);
}

static int gc(struct agent *a, const char *name, const char *more)
{
	struct cni_call c = call(a, "GC", "");
	static char config[2048];

	snprintf(config, sizeof(config),
		 "{\"cniVersion\":\"1.1.0\",\"name\":\"%s\",\"socket\":\"%s\"%s}", name,
		 a->cfg.cni.socket, more);
	c.config = config;
	return code(a, &c);
}

static int finish(struct agent *a, struct running *r)
{
	struct cni_answer answer = cni_wait(a, r);
	int ret = answer_code(&answer);

	cni_answer_clear(&answer);
	return ret;
}

static int count_one(const struct attachment *att, void *arg)
{
	++*(int *)arg;
	return 0;
}

static int up(struct agent *a)
{
	int n = 0;

	pods_foreach(a, count_one, &n);
	return n;
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
	if (pod.pid)
		sandbox_end(&pod);
	return 0;
}

static void an_attachment_is_the_same_after_a_restart(void **state)
{
	struct agent *a = *state;
	const struct attachment *att;
	union loom_addr addr, other;

	assert_int_equal(verb(a, "ADD", "c1"), 0);
	fake_agent_crash(a);
	fake_agent_start(a, true);
	assert_int_equal(a->dels, 0);
	assert_int_equal(up(a), 1);
	addr_parse("10.1.1.1", &addr, NULL);
	addr_parse("10.1.1.2", &other, NULL);
	att = pods_find_ip(a, &addr);
	assert_non_null(att);
	assert_null(pods_find_ip(a, &other));
	assert_string_equal(att->host_ifname, "nlfake1");
	assert_int_equal(att->host_ifindex, 101);
	assert_int_equal(att->ep, 1);
	assert_int_equal(att->mtu, 1450);
	assert_int_equal(att->mac[1], 0xfe);
	assert_string_equal(att->pod_name, "web-0");
	assert_int_equal(verb(a, "ADD", "c1"), 101);
	assert_int_equal(verb(a, "DEL", "c1"), 0);
	assert_int_equal(a->dels, 1);
}

static void an_add_that_a_crash_cut_short_is_torn_down(void **state)
{
	struct agent *a = *state;
	struct cni_call c = call(a, "ADD", "c1");
	struct running r;

	a->die_in_add = true;
	r = cni_start(&c);
	fake_agent_await(a, 1);
	assert_non_null(strstr(fake_get(a->local, "c1/eth0"), "\"adding\""));
	fake_agent_crash(a);
	assert_int_equal(finish(a, &r), 11);
	fake_agent_start(a, true);
	assert_null(fake_get(a->local, "c1/eth0"));
	assert_string_equal(a->last_reserved, "c1/eth0");
	assert_string_equal(a->last_released, "c1/eth0");
	assert_int_equal(up(a), 0);
	assert_int_equal(verb(a, "ADD", "c1"), 0);
}

/* `text` in the stored attachment becomes `instead`, of the same length. */
static void a_reboot_ends_every_attachment(void **state)
{
	struct agent *a = *state;
	char *boot;

	assert_int_equal(verb(a, "ADD", "c1"), 0);
	fake_agent_crash(a);
	boot = strstr(fake_get(a->local, "c1/eth0"), "\"boot\":\"");
	assert_non_null(boot);
	boot[8] ^= 1;
	fake_agent_start(a, false);
	assert_int_equal(up(a), 0);
	fake_agent_resync(a);
	assert_null(fake_get(a->local, "c1/eth0"));
	assert_string_equal(a->last_reserved, "c1/eth0");
}

static void a_namespace_that_is_gone_takes_its_attachment_along(void **state)
{
	struct agent *a = *state;

	assert_int_equal(verb(a, "ADD", "c1"), 0);
	fake_agent_resync(a);
	assert_int_equal(up(a), 1);
	sandbox_end(&pod);
	pod.pid = 0;
	fake_agent_resync(a);
	assert_int_equal(up(a), 0);
	assert_null(fake_get(a->local, "c1/eth0"));
	assert_null(fake_get(a->published, KEY));
}

static void a_namespace_that_went_with_the_agent_away_is_noticed_at_start(void **state)
{
	struct agent *a = *state;

	assert_int_equal(verb(a, "ADD", "c1"), 0);
	fake_agent_crash(a);
	sandbox_end(&pod);
	pod.pid = 0;
	fake_agent_start(a, false);
	/* Not even the first resync wires it again. */
	assert_int_equal(up(a), 0);
	fake_agent_resync(a);
	assert_null(fake_get(a->local, "c1/eth0"));
}

static void a_del_with_the_agent_away_is_made_good_at_start(void **state)
{
	struct agent *a = *state;

	assert_int_equal(verb(a, "ADD", "c1"), 0);
	fake_agent_crash(a);
	assert_int_equal(verb(a, "DEL", "c1"), 0);
	assert_non_null(fake_get(a->local, "c1/eth0"));
	fake_agent_start(a, true);
	assert_null(fake_get(a->local, "c1/eth0"));
	assert_int_equal(a->dels, 1);
}

static void a_del_that_missed_the_agent_is_seen_in_the_spool(void **state)
{
	struct agent *a = *state;
	struct cni_call c = call(a, "DEL", "c1");
	char config[512];

	assert_int_equal(verb(a, "ADD", "c1"), 0);
	/* Also in a folder that is another by now. */
	assert_int_equal(rmdir(a->cfg.cni.spool_dir), 0);
	snprintf(config, sizeof(config),
		 "{\"cniVersion\":\"1.0.0\",\"name\":\"netloom\",\"socket\":\"%s/none\","
		 "\"spoolDir\":\"%s\"}",
		 a->dir, a->cfg.cni.spool_dir);
	c.config = config;
	assert_int_equal(code(a, &c), 0);
	while (fake_get(a->local, "c1/eth0"))
		event_base_loop(a->base, EVLOOP_ONCE);
	assert_int_equal(a->dels, 1);
}

static void rubbish_in_the_spool_is_dropped(void **state)
{
	struct agent *a = *state;
	char path[160], other[160];
	int fd;

	snprintf(path, sizeof(path), "%s/x.del", a->cfg.cni.spool_dir);
	snprintf(other, sizeof(other), "%s/notes.txt", a->cfg.cni.spool_dir);
	fake_agent_crash(a);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "\xff\xff\xff", 3), 3);
	close(fd);
	close(open(other, O_WRONLY | O_CREAT, 0600));
	fake_agent_start(a, true);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(access(other, F_OK), 0);
}

static void gc_frees_what_its_network_does_not_name(void **state)
{
	struct agent *a = *state;
	struct cni_call c = call(a, "ADD", "c4");
	char config[512];

	for (int i = 1; i < 4; i++) {
		char id[8];

		snprintf(id, sizeof(id), "c%d", i);
		assert_int_equal(verb(a, "ADD", id), 0);
	}
	snprintf(config, sizeof(config),
		 "{\"cniVersion\":\"1.1.0\",\"name\":\"second\",\"socket\":\"%s\"}",
		 a->cfg.cni.socket);
	c.config = config;
	assert_int_equal(code(a, &c), 0);
	assert_int_equal(
		gc(a, "netloom",
		   ",\"cni.dev/valid-attachments\":[{\"containerID\":\"c1\",\"ifname\":"
		   "\"eth0\"},{\"containerID\":\"c2\",\"ifname\":\"net1\"}],"
		   "\"cni.dev/attachments\":[{\"containerID\":\"c3\",\"ifname\":\"eth0\"}]"),
		0);
	assert_non_null(fake_get(a->local, "c1/eth0"));
	assert_null(fake_get(a->local, "c2/eth0"));
	assert_non_null(fake_get(a->local, "c3/eth0"));
	assert_non_null(fake_get(a->local, "c4/eth0"));
	assert_int_equal(gc(a, "netloom", ",\"cni.dev/valid-attachments\":[]"), 0);
	assert_int_equal(up(a), 1);
	assert_int_equal(verb(a, "ADD", "c1"), 0);
	assert_int_equal(gc(a, "netloom", ""), 7);
	assert_int_equal(up(a), 2);
	/* How libcni writes a list without entries: CRI-O's, when no pod of the network is left. */
	assert_int_equal(gc(a, "netloom", ",\"cni.dev/valid-attachments\":null"), 0);
	assert_int_equal(up(a), 1);
}

static void an_add_whose_caller_vanished_can_be_repeated(void **state)
{
	struct agent *a = *state;
	struct cni_call c = call(a, "ADD", "c1");
	struct running r;

	a->frozen = true;
	r = cni_start(&c);
	fake_agent_await(a, 1);
	kill(r.pid, SIGKILL);
	finish(a, &r);
	/* The connection's end comes before the event. */
	event_base_loop(a->base, EVLOOP_NONBLOCK);
	fake_agent_thaw(a);
	while (up(a) == 0)
		event_base_loop(a->base, EVLOOP_ONCE);
	assert_int_equal(verb(a, "ADD", "c1"), 0);
	assert_int_equal(a->adds, 2);
	assert_int_equal(a->dels, 1);
	assert_int_equal(up(a), 1);
	assert_int_equal(verb(a, "ADD", "c1"), 101);
}

static void a_del_behind_an_add_comes_after_it(void **state)
{
	struct agent *a = *state;
	struct cni_call add = call(a, "ADD", "c1"), del = call(a, "DEL", "c1");
	struct running first, second;
	struct cni_answer r;

	a->frozen = true;
	first = cni_start(&add);
	fake_agent_await(a, 1);
	assert_int_equal(verb(a, "ADD", "c1"), 11);
	second = cni_start(&del);
	fake_agent_thaw(a);
	r = cni_wait(a, &first);
	assert_int_equal(r.exit_code, 0);
	assert_non_null(strstr(r.out, "10.1.1.1/32"));
	cni_answer_clear(&r);
	assert_int_equal(finish(a, &second), 0);
	assert_int_equal(up(a), 0);
}

static void a_del_behind_an_add_that_waits_comes_after_it(void **state)
{
	struct agent *a = *state;
	struct cni_call add = call(a, "ADD", "c1"), del = call(a, "DEL", "c1");
	struct running first, second, third;

	a->frozen = true;
	first = cni_start(&add);
	fake_agent_await(a, 1);
	kill(first.pid, SIGKILL);
	finish(a, &first);
	event_base_loop(a->base, EVLOOP_NONBLOCK);
	fake_agent_thaw(a);
	while (up(a) == 0)
		event_base_loop(a->base, EVLOOP_ONCE);
	a->frozen = true;
	second = cni_start(&add);
	fake_agent_await(a, 1);
	third = cni_start(&del);
	assert_int_equal(verb(a, "ADD", "c1"), 11);
	fake_agent_thaw(a);
	assert_int_equal(finish(a, &second), 0);
	assert_int_equal(finish(a, &third), 0);
	assert_int_equal(a->adds, 2);
	assert_int_equal(up(a), 0);
}

static void a_container_in_a_new_namespace_replaces_the_old_one(void **state)
{
	struct agent *a = *state;
	struct sandbox old = pod;

	assert_int_equal(verb(a, "ADD", "c1"), 0);
	pod = sandbox_new();
	assert_int_equal(verb(a, "ADD", "c1"), 0);
	assert_int_equal(a->dels, 1);
	assert_int_equal(up(a), 1);
	sandbox_end(&old);
}

static void before_the_first_resync_dels_wait_and_adds_do_not(void **state)
{
	struct agent *a = *state;
	struct cni_call del = call(a, "DEL", "c1");
	struct running r;

	assert_int_equal(verb(a, "ADD", "c1"), 0);
	fake_agent_crash(a);
	fake_agent_start(a, false);
	assert_int_equal(verb(a, "ADD", "c2"), 11);
	assert_int_equal(verb(a, "STATUS", ""), 50);
	r = cni_start(&del);
	/* An answer to a later call shows that the DEL has been read, or comes after the resync. */
	assert_int_equal(verb(a, "STATUS", ""), 50);
	assert_int_equal(a->dels, 0);
	fake_agent_resync(a);
	assert_int_equal(finish(a, &r), 0);
	assert_null(fake_get(a->local, "c1/eth0"));
}

static void the_name_of_a_pod_belongs_to_its_newest_container(void **state)
{
	struct agent *a = *state;
	struct cni_call more = call(a, "ADD", "c2");

	assert_int_equal(verb(a, "ADD", "c1"), 0);
	assert_int_equal(verb(a, "ADD", "c2"), 0);
	assert_int_equal(verb(a, "DEL", "c1"), 0);
	assert_non_null(strstr(fake_get(a->published, KEY), "\"containerID\":\"c2\""));
	more.ifname = "net1";
	assert_int_equal(code(a, &more), 0);
	assert_non_null(strstr(fake_get(a->published, KEY), "\"fd00:10::7\",\"10.1.1.3"));
	assert_int_equal(verb(a, "DEL", "c2"), 0);
	assert_null(strstr(fake_get(a->published, KEY), "10.1.1.2"));
	more.command = "DEL";
	assert_int_equal(code(a, &more), 0);
	assert_null(fake_get(a->published, KEY));
}

static void what_happened_can_be_seen(void **state)
{
	struct agent *a = *state;
	struct json_object *first;
	_json_ *o = NULL;
	char text[4096] = "";
	FILE *f;

	assert_int_equal(verb(a, "ADD", "c1"), 0);
	assert_int_equal(verb(a, "ADD", "c1"), 101);
	o = fake_agent_get(a);
	first = json_object_array_get_idx(json_field(o, "pods"), 0);
	assert_string_equal(json_object_get_string(json_field(first, "name")), "web-0");
	assert_string_equal(json_object_get_string(json_field(first, "state")), "up");
	assert_string_equal(json_object_get_string(json_field(first, "hostInterface")), "nlfake1");
	assert_string_equal(
		json_object_get_string(json_object_array_get_idx(json_field(first, "ips"), 0)),
		"10.1.1.1");
	f = fmemopen(text, sizeof(text), "w");
	pods_module.metrics(a, (struct metrics *)f);
	fclose(f);
	assert_non_null(strstr(text, "netloom_attachments{state=up,=} 1\n"));
	assert_non_null(strstr(text, "netloom_cni_requests_total{verb=ADD,code=0} 1\n"));
	assert_non_null(strstr(text, "netloom_cni_requests_total{verb=ADD,code=101} 1\n"));
	assert_non_null(strstr(text, "netloom_cni_request_duration_seconds_count{verb=ADD,=} 2\n"));
}

static void an_event_tells_the_trace_that_it_belongs_to(void **state)
{
	static const char *const malformed[] = {
		"", "x", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
		"00-4bf92f3577b34da6a3ce929d0e0e473X-00f067aa0ba902b7-01",
		"00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	};
	static const char add_trace[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
			  del_trace[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b8-01";
	struct agent *a = *state;
	struct cni_call add = call(a, "ADD", "c1"), del = call(a, "DEL", "c1");

	add.traceparent = add_trace;
	del.traceparent = del_trace;
	assert_int_equal(code(a, &add), 0);
	assert_non_null(strstr(a->described, "add-pod"));
	assert_non_null(strstr(a->described, add_trace));
	assert_int_equal(code(a, &del), 0);
	assert_non_null(strstr(a->described, "del-pod"));
	assert_non_null(strstr(a->described, del_trace));
	for (size_t i = 0; i < ARRAY_SIZE(malformed); i++) {
		add.traceparent = malformed[i];
		assert_int_equal(code(a, &add), 0);
		assert_null(strstr(a->described, "traceparent"));
		assert_int_equal(verb(a, "DEL", "c1"), 0);
	}
}

static void a_namespace_is_found_where_the_runtime_sees_it(void **state)
{
	const struct netns_peer nobody = { 0, -1 }, self = { getpid(), pidfd_open(getpid(), 0) };
	struct netns_path ns = { .fd = -1 };
	struct err e = {};

	assert_int_equal(netns_path_open("", pod.netns, nobody, &ns, &e), 0);
	close(ns.fd);
	assert_int_equal(netns_path_open("/nlt-none", pod.netns, nobody, &ns, &e), -ENOENT);
	assert_int_equal(netns_path_open("/nlt-none", pod.netns, self, &ns, &e), 0);
	close(ns.fd);
	close(self.pidfd);
	assert_false(netns_path_gone("", pod.netns, ns.dev, ns.ino));
	assert_true(netns_path_gone("", pod.netns, ns.dev, ns.ino + 1));
	assert_true(netns_path_gone("", "/proc/2147483647/ns/net", ns.dev, ns.ino));
	assert_false(netns_path_gone("", "/nlt-none/x", ns.dev, ns.ino));
	assert_true(netns_path_gone("", "/tmp/nlt-none", ns.dev, ns.ino));
	assert_int_equal(netns_path_open("", "relative", nobody, &ns, &e), -EINVAL);
	assert_int_equal(netns_path_open("", "/proc/self/ns/net", nobody, &ns, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "the agent's own"));
}

/* As if this process had been given the number of one that asked and died. */
static void who_took_over_the_number_of_a_runtime_is_not_asked(void **state)
{
	struct netns_path ns = { .fd = -1 };
	struct netns_peer peer = { .pid = getpid() };
	struct err e = {};
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	peer.pidfd = pidfd_open(pid, 0);
	assert_true(peer.pidfd >= 0);
	waitpid(pid, &status, 0);
	assert_int_equal(netns_path_open("/nlt-none", pod.netns, peer, &ns, &e), -ENOENT);
	assert_int_equal(ns.fd, -1);
	close(peer.pidfd);
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
		with_agent(an_attachment_is_the_same_after_a_restart),
		with_agent(an_add_that_a_crash_cut_short_is_torn_down),
		with_agent(a_reboot_ends_every_attachment),
		with_agent(a_namespace_that_is_gone_takes_its_attachment_along),
		with_agent(a_namespace_that_went_with_the_agent_away_is_noticed_at_start),
		with_agent(a_del_with_the_agent_away_is_made_good_at_start),
		with_agent(a_del_that_missed_the_agent_is_seen_in_the_spool),
		with_agent(rubbish_in_the_spool_is_dropped),
		with_agent(gc_frees_what_its_network_does_not_name),
		with_agent(an_add_whose_caller_vanished_can_be_repeated),
		with_agent(a_del_behind_an_add_comes_after_it),
		with_agent(a_del_behind_an_add_that_waits_comes_after_it),
		with_agent(a_container_in_a_new_namespace_replaces_the_old_one),
		with_agent(before_the_first_resync_dels_wait_and_adds_do_not),
		with_agent(the_name_of_a_pod_belongs_to_its_newest_container),
		with_agent(what_happened_can_be_seen),
		with_agent(an_event_tells_the_trace_that_it_belongs_to),
		with_agent(a_namespace_is_found_where_the_runtime_sees_it),
		with_agent(who_took_over_the_number_of_a_runtime_is_not_asked),
	};

	return cmocka_run_group_tests(tests, ignore_pipe, NULL);
}
