// SPDX-License-Identifier: Apache-2.0
/* The socket programs with real sockets. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "agent/modules/datapath/sockets.h"
#include "lib/base/addr.h"
#include "selftests/unit/datapath/sock_place.h"

static int fd_of(const struct bpf_map *map)
{
	return bpf_map__fd(map);
}

/* ---- services and sockets ---- */

static socklen_t sockaddr_of(const char *text, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *s6 = (void *)ret;
	struct sockaddr_in *s4 = (void *)ret;

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, text, &s4->sin_addr) == 1) {
		s4->sin_family = AF_INET;
		s4->sin_port = htons(port);
		return sizeof(*s4);
	}
	assert_int_equal(inet_pton(AF_INET6, text, &s6->sin6_addr), 1);
	s6->sin6_family = AF_INET6;
	s6->sin6_port = htons(port);
	return sizeof(*s6);
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	assert_int_equal(getsockname(fd, (void *)&ss, &len), 0);
	return ntohs(((struct sockaddr_in *)&ss)->sin_port);
}

static int server(const char *addr, int type)
{
	struct sockaddr_storage ss;
	socklen_t len = sockaddr_of(addr, 0, &ss);
	int fd = socket(ss.ss_family, type | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (void *)&ss, len), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static void put_backend(uint32_t number, const char *addr, uint16_t port, uint8_t proto,
			uint8_t flags)
{
	struct loom_backend b = { .port = htons(port), .proto = proto, .flags = flags, .gen = 7 };

	assert_int_equal(addr_parse(addr, &b.addr, NULL), 0);
	assert_int_equal(bpf_map_update_elem(fd_of(bpf->maps.loom_backend), &number, &b, BPF_ANY),
			 0);
}

/* One service, one slot with the same number as its backend; 0: no backend. */
static void put_svc(const char *addr, uint16_t port, uint8_t proto, uint32_t backend,
		    uint32_t flags)
{
	struct loom_svckey k = { .port = htons(port), .proto = proto };
	struct loom_svc svc = {
		.service = 1, .in = backend, .in_size = !!backend, .flags = flags, .affinity_s = 600
	};

	assert_int_equal(addr_parse(addr, &k.addr, NULL), 0);
	bpf_map_update_elem(fd_of(bpf->maps.loom_lut), &backend, &backend, BPF_ANY);
	assert_int_equal(bpf_map_update_elem(fd_of(bpf->maps.loom_svc), &k, &svc, BPF_ANY), 0);
}

/* The service of a frontend that is there gets a number, and so many slots. */
static void change_svc(const char *addr, uint16_t port, uint8_t proto, uint32_t service,
		       uint32_t slots)
{
	struct loom_svckey k = { .port = htons(port), .proto = proto };
	int fd = fd_of(bpf->maps.loom_svc);
	struct loom_svc svc;

	assert_int_equal(addr_parse(addr, &k.addr, NULL), 0);
	assert_int_equal(bpf_map_lookup_elem(fd, &k, &svc), 0);
	svc.service = service;
	svc.in_size = slots;
	assert_int_equal(bpf_map_update_elem(fd, &k, &svc, BPF_EXIST), 0);
}

/* A connected socket, or negative errno. */
static int dial(const char *addr, uint16_t port, int type)
{
	struct sockaddr_storage ss;
	socklen_t len = sockaddr_of(addr, port, &ss);
	int fd = socket(ss.ss_family, type | SOCK_CLOEXEC, 0);

	if (connect(fd, (void *)&ss, len) == 0)
		return fd;
	len = errno;
	close(fd);
	return -(int)len;
}

static void assert_peer(int fd, const char *addr, uint16_t port)
{
	struct sockaddr_storage is = {}, want;
	socklen_t len = sizeof(is), want_len = sockaddr_of(addr, port, &want);

	assert_int_equal(getpeername(fd, (void *)&is, &len), 0);
	assert_int_equal(len, want_len);
	assert_memory_equal(&is, &want, len);
}

#define UP (LOOM_BACKEND_PRESENT | LOOM_BACKEND_READY)

/* ---- tests ---- */

static void a_socket_reaches_a_backend_and_sees_the_frontend(void **state)
{
	static const struct {
		const char *vip, *asked, *backend;
		int type;
	} cases[] = {
		{ "10.96.0.1", "10.96.0.1", "127.0.0.1", SOCK_STREAM },
		{ "10.96.0.2", "10.96.0.2", "127.0.0.1", SOCK_DGRAM },
		{ "fd96::1", "fd96::1", "::1", SOCK_STREAM },
		{ "fd96::2", "fd96::2", "::1", SOCK_DGRAM },
		{ "10.96.0.3", "::ffff:10.96.0.3", "127.0.0.1", SOCK_STREAM },
		{ "10.96.0.4", "::ffff:10.96.0.4", "127.0.0.1", SOCK_DGRAM },
	};

	for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int s = server(cases[i].backend, cases[i].type), c;
		uint8_t proto = cases[i].type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;

		put_backend(10 + i, cases[i].backend, port_of(s), proto, UP);
		put_svc(cases[i].vip, 80, proto, 10 + i, LOOM_SVC_CLUSTER_IP);
		c = dial(cases[i].asked, 80, cases[i].type);
		if (c < 0)
			fail_msg("%s: %s", cases[i].asked, strerror(-c));
		assert_peer(c, cases[i].asked, 80);
		close(c);
		close(s);
	}
}

/* One that is not connected, and whose answers come from the backend's address. */
static void answers_to_an_unconnected_socket_come_from_the_frontend(void **state)
{
	int s = server("127.0.0.1", SOCK_DGRAM), c = server("127.0.0.1", SOCK_DGRAM);
	struct sockaddr_storage vip, from = {};
	socklen_t vip_len = sockaddr_of("10.96.1.1", 53, &vip), len = sizeof(from);
	char b[4];

	put_backend(30, "127.0.0.1", port_of(s), IPPROTO_UDP, UP);
	put_svc("10.96.1.1", 53, IPPROTO_UDP, 30, LOOM_SVC_CLUSTER_IP);
	assert_int_equal(sendto(c, "ask", 3, 0, (void *)&vip, vip_len), 3);
	assert_int_equal(recvfrom(s, b, sizeof(b), 0, (void *)&from, &len), 3);
	assert_int_equal(sendto(s, "tell", 4, 0, (void *)&from, len), 4);
	len = sizeof(from);
	assert_int_equal(recvfrom(c, b, sizeof(b), 0, (void *)&from, &len), 4);
	assert_memory_equal(&from, &vip, vip_len);
	close(c);
	close(s);
}

static void a_service_without_backends_refuses_at_once(void **state)
{
	put_svc("10.96.2.1", 80, IPPROTO_TCP, 0, LOOM_SVC_CLUSTER_IP);
	put_svc("10.96.2.2", 80, IPPROTO_TCP, 0, LOOM_SVC_CLUSTER_IP | LOOM_SVC_SILENT_IN);
	assert_int_equal(dial("10.96.2.1", 80, SOCK_STREAM), -ECONNREFUSED);
	assert_int_equal(dial("10.96.2.2", 80, SOCK_STREAM), -EHOSTUNREACH);
}

static void put_range(const char *addr)
{
	struct loom_srckey k = { .prefixlen = 160, .service = 1 };
	uint32_t one = 1;

	assert_int_equal(addr_parse(addr, &k.addr, NULL), 0);
	assert_int_equal(bpf_map_update_elem(fd_of(bpf->maps.loom_srcrange), &k, &one, BPF_ANY), 0);
}

static void put_node_addr(const char *addr4, const char *addr6)
{
	struct loom_state st = {};
	uint32_t zero = 0;

	assert_int_equal(addr_parse(addr4, &st.masq4, NULL), 0);
	assert_int_equal(addr_parse(addr6, &st.masq6, NULL), 0);
	assert_int_equal(bpf_map_update_elem(fd_of(bpf->maps.loom_state), &zero, &st, BPF_ANY), 0);
}

/* Connects from that address. 0 or negative errno. */
static int dial_from(const char *src, const char *addr, uint16_t port)
{
	struct sockaddr_storage from, to;
	socklen_t from_len = sockaddr_of(src, 0, &from), to_len = sockaddr_of(addr, port, &to);
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	assert_int_equal(bind(fd, (void *)&from, from_len), 0);
	err = connect(fd, (void *)&to, to_len) == 0 ? 0 : -errno;
	close(fd);
	return err;
}

static void source_ranges_hold_for_the_hosts_sockets(void **state)
{
	static const struct {
		const char *vip, *asked, *backend, *far;
	} cases[] = {
		{ "10.96.6.1", "10.96.6.1", "127.0.0.1", "127.0.0.2" },
		{ "10.96.6.2", "::ffff:10.96.6.2", "127.0.0.1", "::ffff:127.0.0.2" },
		{ "fd96::6", "fd96::6", "::1", "::1" },
	};

	put_range("192.0.2.1");
	put_range("2001:db8::1");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int s = server(cases[i].backend, SOCK_STREAM), c;

		put_backend(70 + i, cases[i].backend, port_of(s), IPPROTO_TCP, UP);
		put_svc(cases[i].vip, 80, IPPROTO_TCP, 70 + i,
			LOOM_SVC_LOADBALANCER | LOOM_SVC_EXTERNAL | LOOM_SVC_SRCRANGE);
		put_node_addr("192.0.2.2", "2001:db8::2");
		assert_int_equal(dial(cases[i].asked, 80, SOCK_STREAM), -EPERM);
		put_node_addr("192.0.2.1", "2001:db8::1");
		c = dial(cases[i].asked, 80, SOCK_STREAM);
		assert_true(c >= 0);
		close(c);
		assert_int_equal(dial_from(cases[i].far, cases[i].asked, 80), -EPERM);
		close(s);
	}
}

static void a_nodeport_is_reached_by_loopback(void **state)
{
	int s = server("127.0.0.1", SOCK_STREAM), c;

	put_backend(40, "127.0.0.1", port_of(s), IPPROTO_TCP, UP);
	put_svc("0.0.0.0", 30080, IPPROTO_TCP, 40, LOOM_SVC_NODEPORT | LOOM_SVC_EXTERNAL);
	c = dial("127.0.0.1", 30080, SOCK_STREAM);
	assert_true(c >= 0);
	assert_peer(c, "127.0.0.1", 30080);
	/* Not an address of this node's. */
	assert_int_equal(dial("192.0.2.1", 30080, SOCK_STREAM), -ENETUNREACH);
	close(c);
	close(s);
}

static bool hears(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char b;

	return poll(&p, 1, 5000) == 1 && recv(fd, &b, 1, 0) == 1;
}

/* Affinity, and what an unconnected socket has sent before, give way to a policy that has changed.
 */
static void what_is_remembered_obeys_the_traffic_policy(void **state)
{
	const uint32_t flags = LOOM_SVC_CLUSTER_IP | LOOM_SVC_AFFINITY;
	int far = server("127.0.0.1", SOCK_DGRAM), near = server("127.0.0.1", SOCK_DGRAM), c;
	struct sockaddr_storage vip;
	socklen_t len = sockaddr_of("10.96.5.1", 53, &vip);
	int loose = server("127.0.0.1", SOCK_DGRAM);

	put_backend(60, "127.0.0.1", port_of(far), IPPROTO_UDP, UP);
	put_backend(61, "127.0.0.1", port_of(near), IPPROTO_UDP, UP | LOOM_BACKEND_LOCAL);
	put_svc("10.96.5.1", 53, IPPROTO_UDP, 60, flags);
	for (int turn = 0; turn < 2; turn++) {
		int s = turn ? near : far;

		c = dial("10.96.5.1", 53, SOCK_DGRAM);
		assert_true(c >= 0);
		assert_int_equal(send(c, "c", 1, 0), 1);
		assert_true(hears(s));
		assert_int_equal(sendto(loose, "l", 1, 0, (void *)&vip, len), 1);
		assert_true(hears(s));
		close(c);
		put_svc("10.96.5.1", 53, IPPROTO_UDP, 61, flags | LOOM_SVC_LOCAL_IN);
	}
	close(loose);
	close(near);
	close(far);
}

/* ---- two at the same moment ---- */

#define MOMENTS 1000

static atomic_uint arrived;
static uint32_t chosen[2][MOMENTS];

/* Of a connected socket: 90 or 91; 0: none of them. */
static uint32_t backend_of(int fd)
{
	socklen_t len = sizeof(uint64_t);
	struct loom_sockrev rev = {};
	struct loom_sockkey k = {};

	getsockopt(fd, SOL_SOCKET, SO_COOKIE, &k.cookie, &len);
	addr_parse("127.0.0.1", &k.addr, NULL);
	for (uint32_t number = 90; number <= 91; number++) {
		k.port = htons(number);
		if (bpf_map_lookup_elem(fd_of(bpf->maps.loom_sockrev), &k, &rev) == 0)
			return rev.backend;
	}
	return 0;
}

/* One of two clients, who each time wait for each other. */
static void *dial_at_each_moment(void *arg)
{
	uint32_t *ret = arg;

	for (unsigned int i = 0; i < MOMENTS; i++) {
		int fd;

		atomic_fetch_add(&arrived, 1);
		while (atomic_load(&arrived) < 2 * (i + 1))
			sched_yield();
		fd = dial("10.96.6.1", i + 1, SOCK_DGRAM);
		ret[i] = backend_of(fd);
		close(fd);
	}
	return NULL;
}

static void first_connections_of_one_moment_get_the_same_backend(void **state)
{
	pthread_t other;

	put_backend(90, "127.0.0.1", 90, IPPROTO_UDP, UP);
	put_backend(91, "127.0.0.1", 91, IPPROTO_UDP, UP);
	for (unsigned int i = 0; i < MOMENTS; i++) {
		put_svc("10.96.6.1", i + 1, IPPROTO_UDP, 90,
			LOOM_SVC_CLUSTER_IP | LOOM_SVC_AFFINITY);
		change_svc("10.96.6.1", i + 1, IPPROTO_UDP, 1000 + i, 2);
	}
	bpf_map_update_elem(fd_of(bpf->maps.loom_lut), &(uint32_t){ 91 }, &(uint32_t){ 91 },
			    BPF_ANY);
	assert_int_equal(pthread_create(&other, NULL, dial_at_each_moment, chosen[1]), 0);
	dial_at_each_moment(chosen[0]);
	pthread_join(other, NULL);
	for (unsigned int i = 0; i < MOMENTS; i++) {
		assert_in_range(chosen[0][i], 90, 91);
		assert_int_equal(chosen[0][i], chosen[1][i]);
	}
}

static void sockets_of_other_namespaces_are_left_alone(void **state)
{
	pid_t pid;
	int status;

	put_svc("10.96.3.1", 80, IPPROTO_TCP, 0, LOOM_SVC_CLUSTER_IP);
	pid = fork();
	if (pid == 0)
		_exit(unshare(CLONE_NEWNET) < 0 ? 1 : -dial("10.96.3.1", 80, SOCK_STREAM));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), ENETUNREACH);
}

/* In a pod's namespace, where nobody listens and no route leads to services. */
static int talk_as_pod(void)
{
	struct sockaddr_storage vip;
	socklen_t len = sockaddr_of("10.96.7.1", 80, &vip);
	int loose;

	if (enter_netns() < 0)
		return 1;
	if (dial("10.96.7.1", 80, SOCK_STREAM) != -ECONNREFUSED)
		return 2;
	if (dial("10.96.7.1", 80, SOCK_DGRAM) != -ENETUNREACH)
		return 3;
	loose = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return sendto(loose, "x", 1, 0, (void *)&vip, len) == 1 ? 0 : 4;
}

static void pods_sockets_get_backends_but_for_connected_datagrams(void **state)
{
	unsigned int before = attached();
	struct loom_sock *all = attach(LOOM_SOCKETS_ALL, own_netns(), bpf);
	pid_t pid;
	int status;

	assert_non_null(all);
	put_backend(80, "127.0.0.1", 9, IPPROTO_TCP, UP);
	put_backend(81, "127.0.0.1", 9, IPPROTO_UDP, UP);
	put_svc("10.96.7.1", 80, IPPROTO_TCP, 80, LOOM_SVC_CLUSTER_IP);
	put_svc("10.96.7.1", 80, IPPROTO_UDP, 81, LOOM_SVC_CLUSTER_IP);
	pid = fork();
	if (pid == 0)
		_exit(talk_as_pod());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	detach(all, before);
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void sockets_of_a_backend_that_is_gone_are_destroyed(void **state)
{
	int s = server("127.0.0.1", SOCK_STREAM), gone, other, rev, ends;
	struct pollfd p = { .events = POLLIN };
	struct err e = {};
	char b;

	rev = fd_of(bpf->maps.loom_sockrev);
	ends = fd_of(bpf->maps.loom_backend);
	put_backend(50, "127.0.0.1", port_of(s), IPPROTO_TCP, UP);
	put_svc("10.96.4.1", 80, IPPROTO_TCP, 50, LOOM_SVC_CLUSTER_IP);
	gone = dial("10.96.4.1", 80, SOCK_STREAM);
	other = dial("127.0.0.1", port_of(s), SOCK_STREAM);
	assert_true(gone >= 0 && other >= 0);
	put_backend(50, "127.0.0.1", port_of(s), IPPROTO_TCP,
		    LOOM_BACKEND_PRESENT | LOOM_BACKEND_GONE);
	if (sockets_end(rev, ends, 50, &e) != 1)
		fail_msg("%s", e.msg);
	p.fd = gone;
	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_int_equal(recv(gone, &b, 1, 0), -1);
	assert_int_equal(errno, ECONNABORTED);
	assert_int_equal(send(other, "x", 1, MSG_NOSIGNAL), 1);
	assert_int_equal(sockets_end(rev, ends, 50, &e), 0);
	assert_int_equal(dial("10.96.4.1", 80, SOCK_STREAM), -ECONNREFUSED);
	close(gone);
	close(other);
	close(s);
}

static int run_group(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_socket_reaches_a_backend_and_sees_the_frontend),
		cmocka_unit_test(answers_to_an_unconnected_socket_come_from_the_frontend),
		cmocka_unit_test(a_service_without_backends_refuses_at_once),
		cmocka_unit_test(source_ranges_hold_for_the_hosts_sockets),
		cmocka_unit_test(a_nodeport_is_reached_by_loopback),
		cmocka_unit_test(what_is_remembered_obeys_the_traffic_policy),
		cmocka_unit_test(first_connections_of_one_moment_get_the_same_backend),
		cmocka_unit_test(sockets_of_other_namespaces_are_left_alone),
		cmocka_unit_test(pods_sockets_get_backends_but_for_connected_datagrams),
		cmocka_unit_test(sockets_of_a_backend_that_is_gone_are_destroyed),
	};

	return cmocka_run_group_tests(tests, sock_setup, sock_teardown);
}

int main(void)
{
	return in_a_cgroup(run_group);
}
