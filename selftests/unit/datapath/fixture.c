// SPDX-License-Identifier: Apache-2.0
#include "selftests/unit/datapath/fixture.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "agent/modules/datapath/embed.h"

static char base[] = "/tmp/nlt-datapath-XXXXXX";

int fixture_setup(void **state)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || !mkdtemp(base)) {
		print_error("needs root: %s\n", strerror(errno));
		return -1;
	}
	image_quiet_libbpf();
	return 0;
}

int fixture_forget(void **state)
{
	char bpffs[64];

	snprintf(bpffs, sizeof(bpffs), "%s/bpf", base);
	umount2(bpffs, MNT_DETACH);
	rmdir(bpffs);
	return 0;
}

int fixture_teardown(void **state)
{
	fixture_forget(state);
	return rmdir(base);
}

const char *fixture_dir(const char *name, char buf[static 128])
{
	snprintf(buf, 128, "%s/bpf/%s", base, name);
	return buf;
}

static int run_ip(char *const argv[])
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execvp("ip", argv);
		_exit(127);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

int fixture_veth(const char *name, unsigned int ifindex)
{
	char index[16], peer[IFNAMSIZ];

	snprintf(index, sizeof(index), "%u", ifindex);
	snprintf(peer, sizeof(peer), "p%.12s", name);
	if (ifindex)
		return run_ip((char *[]){ "ip", "link", "add", (char *)name, "index", index, "type",
					  "veth", "peer", "name", peer, NULL });
	return run_ip((char *[]){ "ip", "link", "add", (char *)name, "type", "veth", "peer", "name",
				  peer, NULL });
}

int fixture_link_del(const char *name)
{
	return run_ip((char *[]){ "ip", "link", "del", (char *)name, NULL });
}

struct image_config fixture_image(void)
{
	static const struct image_size sizes[] = {
		{ "loom_ct", 4096 },
		{ "loom_ct_new", 1024 },
		{ "loom_ep", 4 },
	};
	struct image_config c = {
		.cfg = { .ct_tcp_new_s = 60,
			 .ct_tcp_s = 3600,
			 .ct_tcp_closing_s = 10,
			 .ct_udp_new_s = 30,
			 .ct_udp_s = 180,
			 .ct_icmp_s = 30,
			 .ct_other_s = 600,
			 .masq_port_min = 10240,
			 .masq_port_max = 29999,
			 .event_rate = 1000,
			 .event_burst = 1000,
			 .overlay_vni = 10 },
		.sizes = sizes,
		.n_sizes = ARRAY_SIZE(sizes),
	};

	c.objects[0] = embedded_tc();
	c.n_objects = 1;
	return c;
}

struct loaded *fixture_load(const char *dir, const struct image_config *image, bool clsact)
{
	struct loaded *l = NULL;
	struct err e = {};

	if (loader_run(dir, image, clsact, &l, &e) < 0)
		fail_msg("%s", e.msg);
	return l;
}

struct seen_item *seen_find(struct seen_list *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->items[i].name, name) == 0)
			return &l->items[i];
	return NULL;
}

void seen_release(struct seen_list *l, void (*free_value)(void *))
{
	for (size_t i = 0; i < l->n; i++)
		free_value(l->items[i].value);
	l->n = 0;
}

/* ---- in place of the scheduler ---- */

static int see(struct seen_list *l, const char *name, void *value)
{
	if (l->n == MAX_SEEN)
		fail_msg("more than %d items", MAX_SEEN);
	snprintf(l->items[l->n].name, sizeof(l->items[0].name), "%s", name);
	l->items[l->n++].value = value;
	return 0;
}

int dump_add(struct dump_list *dump, const char *name, void *value)
{
	return see((struct seen_list *)dump, name, value);
}

static int see_key(void *list, void *value, const char *fmt, va_list args)
{
	char key[160];

	vsnprintf(key, sizeof(key), fmt, args);
	return see(list, key, value);
}

int txn_put(struct txn *t, void *value, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	see_key(t, value, fmt, args);
	va_end(args);
	return 0;
}

int txn_delete(struct txn *t, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	see_key(t, NULL, fmt, args);
	va_end(args);
	return 0;
}

int dep_add(struct dep_list *deps, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	see_key(deps, NULL, fmt, args);
	va_end(args);
	return 0;
}
