// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "pods"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "agent/core/agent_config.h"
#include "agent/modules/pods/pods_int.h"
#include "api/cni_spool.h"
#include "headers/api/cni.pb-c.h"
#include "lib/base/folders.h"
#include "lib/base/log.h"
#include "lib/cni/cni_names.h"

/* Files are stamped with the clock of the last tick, which is up to 10 ms old. */
#define CLOCK_SLACK_MS 50

static const struct timeval no_inotify = { .tv_sec = 5 };

static const char *spool_dir(const struct pods *p)
{
	return agent_cfg(p->agent)->cni.spool_dir;
}

void spool_remove(struct pods *p, const char *name)
{
	_cleanup_(closep) int dir = open(spool_dir(p), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir >= 0)
		unlinkat(dir, name, 0);
}

static bool is_spool_name(const char *name)
{
	size_t n = strlen(name), suffix = strlen(CNI_SPOOL_SUFFIX);

	return name[0] != '.' && n > suffix && !strcmp(name + n - suffix, CNI_SPOOL_SUFFIX);
}

static int read_file(int dir, const char *name, uint8_t *buf, size_t size, size_t *ret_len,
		     uint64_t *ret_mtime_ms)
{
	_cleanup_(closep) int fd =
		openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size > (off_t)size)
		return -EINVAL;
	n = read(fd, buf, size);
	if (n < 0)
		return -errno;
	*ret_len = n;
	*ret_mtime_ms = (uint64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
	return 0;
}

static int take_request(struct pods *p, const char *name, const uint8_t *buf, size_t len,
			struct request **ret)
{
	Netloom__Cni__V1__CniRequest *msg = netloom__cni__v1__cni_request__unpack(NULL, len, buf);
	_cleanup_(request_freep) struct request *r = NULL;
	int err = -EINVAL;

	if (!msg)
		return err;
	if (cni_identifier_valid(msg->container_id) && cni_ifname_valid(msg->ifname) &&
	    strlen(msg->container_id) <= CNI_MAX_CONTAINER_ID)
		err = request_new(p, CNI_DEL, &r);
	if (!err) {
		r->container_id = strdup(msg->container_id);
		r->ifname = strdup(msg->ifname);
		r->spool_file = strdup(name);
		request_set_trace(r, msg->traceparent);
		if (!r->container_id || !r->ifname || !r->spool_file)
			err = -ENOMEM;
	}
	netloom__cni__v1__cni_request__free_unpacked(msg, NULL);
	if (!err)
		*ret = TAKE_PTR(r);
	return err;
}

static void replay_file(struct pods *p, int dir, const char *name)
{
	uint8_t buf[CNI_SPOOL_MAX_BYTES];
	uint64_t mtime_ms = 0;
	struct record *rec;
	struct request *r = NULL;
	size_t len = 0;
	int err;

	err = read_file(dir, name, buf, sizeof(buf), &len, &mtime_ms);
	if (!err)
		err = take_request(p, name, buf, len, &r);
	if (err == -ENOENT || err == -ENOMEM)
		return;
	if (err < 0) {
		log_warn("spooled DEL '%s/%s' is unreadable and dropped: %s", spool_dir(p), name,
			 strerror(-err));
		unlinkat(dir, name, 0);
		return;
	}
	rec = record_find(p, r->container_id, r->ifname);
	/* It was meant for what had that name before. */
	if (rec && rec->att.state == ATTACHMENT_UP && rec->since_ms > mtime_ms + CLOCK_SLACK_MS) {
		unlinkat(dir, name, 0);
		request_free(r);
		return;
	}
	log_info("spooled DEL of container '%.64s', interface '%s'", r->container_id, r->ifname);
	work_del(r);
}

void spool_replay(struct pods *p)
{
	DIR *d = opendir(spool_dir(p));
	struct dirent *entry;

	while (d && (entry = readdir(d))) {
		if (is_spool_name(entry->d_name))
			replay_file(p, dirfd(d), entry->d_name);
	}
	if (d)
		closedir(d);
}

/* The same folder twice is one watch. */
static int watch(const struct pods *p)
{
	int err = make_folders(spool_dir(p), 0700);

	if (!err && p->inotify_fd >= 0 &&
	    inotify_add_watch(p->inotify_fd, spool_dir(p),
			      IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF) < 0)
		err = -errno;
	return err;
}

static void on_change(evutil_socket_t fd, short what, void *arg)
{
	struct pods *p = arg;
	char buf[4096];
	int err;

	while (p->inotify_fd >= 0 && read(fd, buf, sizeof(buf)) > 0)
		;
	/* Somebody may have taken the folder away, and the plugin have made another. */
	err = watch(p);
	if (err < 0)
		log_limited(LOG_LVL_ERROR, 1, "cni.spoolDir: '%s': %s", spool_dir(p),
			    strerror(-err));
	if (p->synced)
		spool_replay(p);
}

/* All that root runs share what a machine has of these, and some run out of them. */
static void open_inotify(struct pods *p)
{
	p->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (p->inotify_fd < 0)
		log_warn("inotify: %s (fs.inotify.max_user_instances?): folders are looked at each "
			 "%lld s",
			 strerror(errno), (long long)no_inotify.tv_sec);
}

int spool_open(struct pods *p, struct err *e)
{
	int err;

	open_inotify(p);
	err = watch(p);
	if (err < 0)
		return err_errno(e, err, "cni.spoolDir: '%s'", spool_dir(p));
	p->inotify_ev =
		event_new(agent_base(p->agent), p->inotify_fd, EV_READ | EV_PERSIST, on_change, p);
	if (!p->inotify_ev || event_add(p->inotify_ev, p->inotify_fd < 0 ? &no_inotify : NULL) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	return 0;
}

void spool_close(struct pods *p)
{
	if (p->inotify_ev)
		event_free(p->inotify_ev);
	closep(&p->inotify_fd);
}
