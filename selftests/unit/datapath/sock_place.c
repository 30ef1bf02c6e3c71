// SPDX-License-Identifier: Apache-2.0
#include "selftests/unit/datapath/sock_place.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "selftests/unit/datapath/cgroup2.h"

static char cgroup[128];
static struct bpf_link *links[32];
static unsigned int n_links;
struct loom_sock *bpf;

/* ---- place ---- */

static int enter_cgroup(void)
{
	char path[160];
	FILE *f;

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	f = fopen(path, "we");
	if (!f)
		return -errno;
	fprintf(f, "%d\n", getpid());
	return fclose(f) ? -errno : 0;
}

uint64_t own_netns(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(uint64_t);
	uint64_t cookie = 0;

	getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len);
	close(fd);
	return cookie;
}

int enter_netns(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int s, err;

	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	err = ioctl(s, SIOCSIFFLAGS, &lo) < 0 ? -errno : 0;
	close(s);
	return err;
}

struct loom_sock *attach(enum loom_svc_sockets whose, uint64_t host_netns,
			 const struct loom_sock *maps)
{
	int cg = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct loom_sock *new = loom_sock__open();
	struct bpf_program *prog;
	struct bpf_map *map;

	if (!new || cg < 0)
		return NULL;
	((struct loom_config *)(void *)&new->rodata->loom_cfg)->svc_sockets = whose;
	((struct loom_config *)(void *)&new->rodata->loom_cfg)->host_netns = host_netns;
	bpf_object__for_each_map(map, new->obj)
	{
		const char *name = bpf_map__name(map);
		int fd = maps && !strchr(name, '.')
				 ? bpf_object__find_map_fd_by_name(maps->obj, name)
				 : -1;

		if (fd >= 0 && bpf_map__reuse_fd(map, fd) < 0)
			return NULL;
	}
	if (loom_sock__load(new) < 0)
		return NULL;
	bpf_object__for_each_program(prog, new->obj)
	{
		struct bpf_link *link = bpf_program__attach_cgroup(prog, cg);

		if (!link)
			return NULL;
		links[n_links++] = link;
	}
	close(cg);
	return new;
}

unsigned int attached(void)
{
	return n_links;
}

void detach(struct loom_sock *of, unsigned int before)
{
	while (n_links > before)
		bpf_link__destroy(links[--n_links]);
	loom_sock__destroy(of);
}

int sock_setup(void **state)
{
	if (enter_cgroup() < 0 || enter_netns() < 0)
		return -1;
	bpf = attach(LOOM_SOCKETS_HOST, own_netns(), NULL);
	return bpf ? 0 : -1;
}

int sock_teardown(void **state)
{
	detach(bpf, 0);
	return 0;
}

int in_a_cgroup(int (*run)(void))
{
	int status = 1, err = cgroup2_make("sock", cgroup, sizeof(cgroup));
	pid_t pid;

	if (err < 0) {
		fprintf(stderr, "needs root and cgroup2: %s\n", strerror(-err));
		return 1;
	}
	pid = fork();
	if (pid == 0)
		exit(run());
	waitpid(pid, &status, 0);
	rmdir(cgroup);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
