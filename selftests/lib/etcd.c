// SPDX-License-Identifier: Apache-2.0
#include "selftests/lib/etcd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/base/clock.h"
#include "lib/base/util.h"

#define START_MS   60000
#define MAX_STARTS 5 /* another program may take the port that was found */

/* Below the range from which outgoing connections take theirs, so that none steals it between a
 * server's end and its restart. */
#define PORT_FIRST 20000
#define PORT_COUNT 12000

/* A socket that has the port, or -1. */
static int take_port(uint16_t port)
{
	_cleanup_(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in sa = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -1;
	return TAKE_FD(fd);
}

int refusing_port(uint16_t *ret)
{
	uint16_t port, noise = 0;
	int fd;

	for (int i = 0; i < 1000; i++) {
		if (getrandom(&noise, sizeof(noise), 0) != sizeof(noise))
			break;
		port = PORT_FIRST + noise % PORT_COUNT;
		fd = take_port(port);
		if (fd < 0)
			continue;
		*ret = port;
		return fd;
	}
	return -1;
}

/* Two of them, so that they differ. */
static int unused_ports(uint16_t *first, uint16_t *second)
{
	_cleanup_(closep) int a = refusing_port(first);
	_cleanup_(closep) int b = refusing_port(second);

	return a < 0 || b < 0 ? -EADDRINUSE : 0;
}

static void die_with_parent(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == 1)
		_exit(126);
}

static void exec_etcd(const struct etcd *e)
{
	char data[96], peer[64], cluster[96], token[64];
	char cert[160] = "", key[160] = "", ca[160] = "";
	/* A single member need not wait a second for its own election. */
	const char *argv[24] = { "etcd",
				 "--name",
				 "t",
				 "--logger",
				 "zap",
				 "--heartbeat-interval=20",
				 "--election-timeout=200" };
	unsigned int n = 7;

	snprintf(data, sizeof(data), "--data-dir=%s/data", e->dir);
	snprintf(peer, sizeof(peer), "http://127.0.0.1:%u", e->peer_port);
	snprintf(cluster, sizeof(cluster), "--initial-cluster=t=%s", peer);
	snprintf(token, sizeof(token), "--initial-cluster-token=t%u", e->cluster);
	argv[n++] = data;
	argv[n++] = cluster;
	argv[n++] = token;
	argv[n++] = "--listen-peer-urls";
	argv[n++] = peer;
	argv[n++] = "--initial-advertise-peer-urls";
	argv[n++] = peer;
	argv[n++] = "--listen-client-urls";
	argv[n++] = e->url;
	argv[n++] = "--advertise-client-urls";
	argv[n++] = e->url;
	if (e->tls) {
		snprintf(cert, sizeof(cert), "--cert-file=%s", e->tls->cert);
		snprintf(key, sizeof(key), "--key-file=%s", e->tls->key);
		snprintf(ca, sizeof(ca), "--trusted-ca-file=%s", e->tls->ca);
		argv[n++] = cert;
		argv[n++] = key;
		argv[n++] = ca;
		argv[n++] = "--client-cert-auth=true";
	}
	execvp("etcd", (char **)argv);
	_exit(127);
}

static pid_t spawn(const struct etcd *e, const char *log)
{
	int fd;
	pid_t pid = fork();

	if (pid)
		return pid;
	die_with_parent();
	fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd >= 0) {
		dup2(fd, 1);
		dup2(fd, 2);
	}
	exec_etcd(e);
	_exit(127);
}

static bool log_says_ready(const char *log)
{
	_cleanup_(closep) int fd = open(log, O_RDONLY | O_CLOEXEC);
	static char text[1 << 20];
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

	if (n < 0)
		return false;
	text[n] = 0;
	return strstr(text, "serving client traffic") || strstr(text, "serving client requests") ||
	       strstr(text, "serving insecure client requests");
}

/* The log tells; inotify says when to look. */
static int wait_ready(struct etcd *e, const char *log)
{
	_cleanup_(closep) int in = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	uint64_t end = clock_ms() + START_MS;
	struct pollfd p = { .fd = in, .events = POLLIN };
	char skip[4096];

	if (in < 0 || inotify_add_watch(in, e->dir, IN_MODIFY | IN_CREATE) < 0)
		return -errno;
	while (!log_says_ready(log)) {
		if (waitpid(e->pid, NULL, WNOHANG) == e->pid) {
			e->pid = 0;
			return -ECHILD;
		}
		if (clock_ms() >= end)
			return -ETIMEDOUT;
		poll(&p, 1, 200);
		while (read(in, skip, sizeof(skip)) > 0)
			;
	}
	return 0;
}

static int start_once(struct etcd *e)
{
	char log[96];
	int err;

	snprintf(log, sizeof(log), "%s/log", e->dir);
	unlink(log);
	e->pid = spawn(e, log);
	err = e->pid < 0 ? -errno : wait_ready(e, log);
	if (err < 0)
		etcd_kill(e);
	return err;
}

/* Who looks for a port elsewhere may hold this one for a moment: etcd ends at once then. */
int etcd_restart(struct etcd *e)
{
	int err = -ECHILD;

	for (int i = 0; i < MAX_STARTS && err == -ECHILD; i++)
		err = start_once(e);
	if (err < 0)
		fprintf(stderr, "etcd in %s did not start: %s\n", e->dir, strerror(-err));
	return err;
}

int etcd_start(struct etcd *e, const struct etcd_tls *tls)
{
	int err = -EADDRINUSE;

	*e = (struct etcd){ .tls = tls };
	snprintf(e->dir, sizeof(e->dir), "/tmp/nlt-etcd-XXXXXX");
	if (!mkdtemp(e->dir))
		return -errno;
	for (int i = 0; i < MAX_STARTS; i++) {
		if (unused_ports(&e->port, &e->peer_port) < 0)
			break;
		snprintf(e->url, sizeof(e->url), "%s://127.0.0.1:%u", tls ? "https" : "http",
			 e->port);
		err = start_once(e);
		if (err == 0)
			return 0;
		etcd_wipe(e);
	}
	fprintf(stderr, "etcd in %s did not start: %s\n", e->dir, strerror(-err));
	return err;
}

void etcd_kill(struct etcd *e)
{
	if (e->pid <= 0)
		return;
	kill(e->pid, SIGKILL);
	waitpid(e->pid, NULL, 0);
	e->pid = 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void etcd_wipe(struct etcd *e)
{
	char data[96];

	etcd_kill(e);
	snprintf(data, sizeof(data), "%s/data", e->dir);
	nftw(data, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void etcd_replace(struct etcd *e)
{
	etcd_wipe(e);
	e->cluster++;
}

static int copy_data(const struct etcd *e, const char *from, const char *to)
{
	char source[96], target[96];
	const char *const copy[] = { "cp", "-a", source, target, NULL };

	snprintf(source, sizeof(source), "%s/%s", e->dir, from);
	snprintf(target, sizeof(target), "%s/%s", e->dir, to);
	nftw(target, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return run_command(copy) == 0 ? 0 : -EIO;
}

int etcd_save(struct etcd *e)
{
	etcd_kill(e);
	return copy_data(e, "data", "saved");
}

int etcd_roll_back(struct etcd *e)
{
	etcd_kill(e);
	return copy_data(e, "saved", "data");
}

void etcd_pause(struct etcd *e)
{
	kill(e->pid, SIGSTOP);
}

void etcd_resume(struct etcd *e)
{
	kill(e->pid, SIGCONT);
}

void etcd_stop(struct etcd *e)
{
	etcd_kill(e);
	nftw(e->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int run_command(const char *const *argv)
{
	int status, out;
	pid_t pid = fork();

	if (pid == 0) {
		die_with_parent();
		out = open("/dev/null", O_RDWR);
		dup2(out, 0);
		dup2(out, 1);
		dup2(out, 2);
		execvp(argv[0], (char **)argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	if (WEXITSTATUS(status))
		fprintf(stderr, "%s: exit status %d\n", argv[0], WEXITSTATUS(status));
	return WEXITSTATUS(status);
}
