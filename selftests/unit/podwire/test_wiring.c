// SPDX-License-Identifier: Apache-2.0
/* The wiring modules together on the real scheduler and the real kernel, in namespaces of this
 * process alone. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/modules/nodesync/nodesync.h"
#include "agent/modules/podwire/podwire.h"
#include "lib/json/json.h"
#include "lib/netlink/netlink.h"
#include "selftests/unit/podwire/fake_agent.h"

static struct nl_sock *nl;
static struct fake_agent f;
static struct prefix cidrs[2];
static int home;

static void ok(int err, const struct err *e)
{
	if (err < 0)
		fail_msg("%d: %s", err, e->msg);
}

static void applied(struct txn_stats *s)
{
	struct err e = {};

	ok(fake_resync(&f, s, &e), &e);
	assert_int_equal(s->failed, 0);
	assert_int_equal(s->pending, 0);
}

static void add_uplink(void)
{
	struct nl_veth v = { .ifindex = 50,
			     .name = "up0",
			     .mtu = 1500,
			     .peer = { .name = "up0-far", .netns_fd = -1 } };
	struct nl_addr addr = { .ifindex = 50, .len = 24 };
	struct nl_link far;
	struct err e = {};

	ok(nl_link_add_veth(nl, &v, &e), &e);
	ok(nl_link_get(nl, 0, "up0-far", &far, &e), &e);
	ok(nl_link_set(nl, &(struct nl_link_set){ .ifindex = far.ifindex, .up = NL_ON }, &e), &e);
	ok(nl_link_set(nl, &(struct nl_link_set){ .ifindex = 50, .up = NL_ON }, &e), &e);
	addr_parse("192.168.0.1", &addr.addr, NULL);
	ok(nl_addr_add(nl, &addr, &e), &e);
}

static int setup(void **state)
{
	struct err e = {};

	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	ok(nl_open(-1, &nl, &e), &e);
	add_uplink();
	prefix_parse("10.1.0.0/16", &cidrs[0], NULL);
	prefix_parse("fd00:10::/48", &cidrs[1], NULL);
	f = (struct fake_agent){
		.base = event_base_new(),
		.nodes = json_object_new_object(),
		.cfg = { .node_name = "me",
			 .cluster = { .cidrs = { cidrs, 2 }, .block4 = 24, .block6 = 64 },
			 .transport = TRANSPORT_VXLAN,
			 .overlay = { .port = 4797 },
			 .uplink.interface = "up0",
			 .ipam.quarantine_ms = 60000,
			 .controller = { .retry_min_ms = 1000, .retry_max_ms = 30000 } },
	};
	snprintf(f.local[0].table, sizeof(f.local[0].table), "node");
	snprintf(f.local[0].key, sizeof(f.local[0].key), "id");
	snprintf(f.local[0].value, sizeof(f.local[0].value), "1");
	ok(fake_start(&f, &e), &e);
	return 0;
}

static int teardown(void **state)
{
	fake_stop(&f);
	json_object_put(f.nodes);
	event_base_free(f.base);
	nl_close(nl);
	close(home);
	return 0;
}

static int new_pod(struct attachment *att, char *id)
{
	struct stat st;
	int fd;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	assert_int_equal(fstat(fd, &st), 0);
	*att = (struct attachment){ .container_id = id,
				    .ifname = "eth0",
				    .pod_namespace = "default",
				    .pod_name = id,
				    .netns = "/nowhere",
				    .netns_dev = st.st_dev,
				    .netns_ino = st.st_ino };
	return fd;
}

static unsigned int index_of(int netns_fd, const char *name)
{
	_cleanup_(nl_closep) struct nl_sock *there = NULL;
	struct nl_link link;
	struct err e = {};

	ok(nl_open(netns_fd, &there, &e), &e);
	return nl_link_get(there, 0, name, &link, &e) < 0 ? 0 : link.ifindex;
}

static bool is_applied(const char *key)
{
	return scheduler_applied(f.scheduler, "%s", key);
}

static void a_node_comes_up_with_its_links_and_routes(void **state)
{
	struct txn_stats s;

	applied(&s);
	assert_int_equal(nodesync_self(fake_agent(&f))->id, 1);
	assert_true(is_applied("host-link/loom_host"));
	assert_true(is_applied("host-link/loom_vxlan"));
	assert_true(is_applied("host-route/10.1.0.0/16"));
	assert_true(is_applied("bpf/cidr/10.1.1.0/24"));
	assert_true(is_applied("bpf/ep/192.168.0.1"));
	assert_true(is_applied("bpf/attach/up0"));
	/* No IPv6 address, no IPv6 route. */
	assert_false(is_applied("host-route/fd00:10::/48"));
}

static void a_second_resync_changes_nothing(void **state)
{
	struct txn_stats s;

	applied(&s);
	applied(&s);
	assert_int_equal(s.created + s.updated + s.deleted, 0);
}

static void a_pod_is_added_and_deleted_with_all_its_items(void **state)
{
	int before = (applied(&(struct txn_stats){}), f.bpf_items), fd;
	struct attachment att;
	struct err e = {};

	fd = new_pod(&att, "one");
	ok(fake_add(&f, &att, fd, &e), &e);
	assert_true(index_of(fd, "eth0"));
	assert_int_equal(att.mtu, 1450);
	/* ifcfg, two endpoints, attachment */
	assert_int_equal(f.bpf_items - before, 4);
	ok(podwire_check(fake_agent(&f), &att, fd, &e), &e);
	ok(fake_del(&f, &att, &e), &e);
	/* The link goes beside the loop; whoever looks at what there is waits for that. */
	applied(&(struct txn_stats){});
	assert_false(index_of(fd, "eth0"));
	assert_int_equal(f.bpf_items, before);
	assert_int_equal(f.ep_held, 0);
	assert_int_equal(f.forgotten, 2);
	close(fd);
}

static void an_address_is_shown_with_the_pod_that_has_it(void **state)
{
	struct attachment att, nameless;
	int fd = (applied(&(struct txn_stats){}), new_pod(&att, "one")),
	    fd2 = new_pod(&nameless, "two");
	struct err e = {};
	_json_ *o = NULL;

	nameless.pod_namespace = nameless.pod_name = "";
	ok(fake_add(&f, &att, fd, &e), &e);
	ok(fake_add(&f, &nameless, fd2, &e), &e);
	o = fake_get("/v1/ipam");
	assert_non_null(strstr(json_text(o), "\"owner\":\"one/eth0\",\"namespace\":\"default\","
					     "\"pod\":\"one\"}"));
	assert_non_null(strstr(json_text(o), "\"owner\":\"two/eth0\"}"));
	ok(fake_del(&f, &att, &e), &e);
	ok(fake_del(&f, &nameless, &e), &e);
	close(fd);
	close(fd2);
}

/* Its link went before the agent came back, but its flows may still stand in conntrack. */
static void the_flows_of_a_pod_that_went_unseen_are_forgotten(void **state)
{
	struct attachment att;
	int fd = (applied(&(struct txn_stats){}), new_pod(&att, "one"));
	struct err e = {};

	ok(fake_add(&f, &att, fd, &e), &e);
	att.host_ifname[0] = 0;
	att.ep = 0;
	ok(fake_del(&f, &att, &e), &e);
	assert_int_equal(f.forgotten, 2);
	close(fd);
}

static void an_agent_that_restarts_leaves_a_pod_alone(void **state)
{
	unsigned int eth0, hpeer;
	struct attachment att, next;
	struct txn_stats s;
	struct err e = {};
	int fd, fd2;

	applied(&s);
	fd = new_pod(&att, "stays");
	ok(fake_add(&f, &att, fd, &e), &e);
	eth0 = index_of(fd, "eth0");
	hpeer = index_of(-1, "loom_hpeer");
	fake_stop(&f);
	ok(fake_start(&f, &e), &e);
	applied(&s);
	assert_int_equal(index_of(fd, "eth0"), eth0);
	assert_int_equal(index_of(-1, "loom_hpeer"), hpeer);
	ok(podwire_check(fake_agent(&f), &att, fd, &e), &e);
	/* Its address is not given again. */
	fd2 = new_pod(&next, "next");
	ok(fake_add(&f, &next, fd2, &e), &e);
	assert_false(addr_equal(&next.ips.ip4, &att.ips.ip4));
	assert_int_not_equal(next.host_ifindex, att.host_ifindex);
	ok(fake_del(&f, &next, &e), &e);
	ok(fake_del(&f, &att, &e), &e);
	close(fd);
	close(fd2);
}

static void make(const char *root, const char *folder)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", root, folder);
	assert_int_equal(mkdir(path, 0700), 0);
}

/* The agent sees the host's files below a folder, where /var/run leads to /run of the host. */
static void a_link_is_made_again_in_the_namespace_that_the_runtime_named(void **state)
{
	char root[] = "/tmp/nlt-wiring-XXXXXX", from[64], to[128];
	struct attachment att, other;
	struct txn_stats s = {};
	struct nl_link link;
	struct err e = {};
	int fd, other_fd;

	assert_int_equal(unshare(CLONE_NEWNS), 0);
	assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	assert_non_null(mkdtemp(root));
	assert_int_equal(mount("tmpfs", root, "tmpfs", 0, NULL), 0);
	make(root, "run");
	make(root, "var");
	snprintf(to, sizeof(to), "%s/var/run", root);
	assert_int_equal(symlink("/run", to), 0);
	applied(&(struct txn_stats){});
	fd = new_pod(&att, "found");
	snprintf(to, sizeof(to), "%s/run/nlt-found", root);
	snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
	close(open(to, O_WRONLY | O_CREAT, 0600));
	assert_int_equal(mount(from, to, NULL, MS_BIND, NULL), 0);
	att.netns = "/var/run/nlt-found";
	f.cfg.cni.netns_prefix = root;
	ok(fake_add(&f, &att, fd, &e), &e);
	event_base_loop(f.base, EVLOOP_NONBLOCK); /* the ADD's own descriptor is closed */
	ok(nl_link_get(nl, 0, att.host_ifname, &link, &e), &e);
	ok(nl_link_del(nl, link.ifindex, &e), &e);
	assert_int_equal(index_of(fd, "eth0"), 0);
	applied(&(struct txn_stats){});
	ok(podwire_check(fake_agent(&f), &att, fd, &e), &e);
	/* But not in another one that stands there by now. */
	assert_int_equal(umount2(to, MNT_DETACH), 0);
	other_fd = new_pod(&other, "other");
	snprintf(from, sizeof(from), "/proc/self/fd/%d", other_fd);
	assert_int_equal(mount(from, to, NULL, MS_BIND, NULL), 0);
	ok(nl_link_get(nl, 0, att.host_ifname, &link, &e), &e);
	ok(nl_link_del(nl, link.ifindex, &e), &e);
	fake_resync(&f, &s, &e);
	assert_int_equal(s.failed, 1);
	assert_int_equal(nl_link_get(nl, 0, att.host_ifname, &link, &e), -ENODEV);
	ok(fake_del(&f, &att, &e), &e);
	close(fd);
	close(other_fd);
	umount2(root, MNT_DETACH);
	rmdir(root);
}

static void an_add_that_fails_gives_everything_back(void **state)
{
	struct attachment att, again;
	int before, fd;
	struct err e = {};

	applied(&(struct txn_stats){});
	before = f.bpf_items;
	fd = new_pod(&att, "twice");
	ok(fake_add(&f, &att, fd, &e), &e);
	again = att;
	again.container_id = "intruder";
	assert_int_equal(fake_add(&f, &again, fd, &e), -EEXIST);
	assert_non_null(strstr(e.msg, "has an interface 'eth0' already"));
	assert_int_equal(f.ep_held, 1);
	assert_int_equal(f.bpf_items - before, 4);
	ok(podwire_check(fake_agent(&f), &att, fd, &e), &e);
	ok(fake_del(&f, &att, &e), &e);
	close(fd);
}

static void links_of_nobody_are_removed_at_a_resync(void **state)
{
	struct nl_veth v = { .name = "nl0123456789ab",
			     .peer = { .name = "stray", .netns_fd = -1 } };
	struct nl_link link;
	struct err e = {};

	ok(nl_link_add_veth(nl, &v, &e), &e);
	applied(&(struct txn_stats){});
	applied(&(struct txn_stats){});
	assert_int_equal(nl_link_get(nl, 0, v.name, &link, &e), -ENODEV);
}

static void another_node_comes_changes_and_goes(void **state)
{
	static const char first[] = "{\"id\":2,\"name\":\"n2\",\"addresses\":[\"192.168.0.2\"],"
				    "\"podCIDRs\":[\"10.1.2.0/24\"],\"underlay\":\"192.168.0.2\","
				    "\"transport\":\"vxlan\"}",
			  moved[] = "{\"id\":2,\"name\":\"n2\",\"addresses\":[\"192.168.0.3\"],"
				    "\"podCIDRs\":[\"10.1.2.0/24\"],\"underlay\":\"192.168.0.3\","
				    "\"transport\":\"vxlan\"}";
	struct err e = {};
	int changes;

	applied(&(struct txn_stats){});
	ok(fake_node(&f, "n2", first, &e), &e);
	assert_true(is_applied("bpf/node/2"));
	assert_true(is_applied("bpf/cidr/10.1.2.0/24"));
	assert_true(is_applied("bpf/ip/192.168.0.2"));
	changes = f.bpf_changes;
	ok(fake_node(&f, "n2", moved, &e), &e);
	assert_false(is_applied("bpf/ip/192.168.0.2"));
	assert_true(is_applied("bpf/ip/192.168.0.3"));
	/* Old address, new address, tunnel end point; the pod CIDR is not touched. */
	assert_int_equal(f.bpf_changes - changes, 3);
	ok(fake_node(&f, "n2", "{\"id\":\"x\"}", &e), &e);
	assert_true(is_applied("bpf/node/2"));
	ok(fake_node(&f, "n2", NULL, &e), &e);
	assert_false(is_applied("bpf/node/2"));
	assert_false(is_applied("bpf/cidr/10.1.2.0/24"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_node_comes_up_with_its_links_and_routes, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_second_resync_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(a_pod_is_added_and_deleted_with_all_its_items,
						setup, teardown),
		cmocka_unit_test_setup_teardown(an_address_is_shown_with_the_pod_that_has_it, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_flows_of_a_pod_that_went_unseen_are_forgotten,
						setup, teardown),
		cmocka_unit_test_setup_teardown(an_agent_that_restarts_leaves_a_pod_alone, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			a_link_is_made_again_in_the_namespace_that_the_runtime_named, setup,
			teardown),
		cmocka_unit_test_setup_teardown(an_add_that_fails_gives_everything_back, setup,
						teardown),
		cmocka_unit_test_setup_teardown(links_of_nobody_are_removed_at_a_resync, setup,
						teardown),
		cmocka_unit_test_setup_teardown(another_node_comes_changes_and_goes, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
