// SPDX-License-Identifier: Apache-2.0
#include "ksr/source_dir.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <uthash.h>

#include "api/etcd_keys.h"
#include "ksr/folder.h"
#include "lib/base/clock.h"

#define SOON_MS	  50	/* several events at once are one look */
#define OPEN_MS	  2000	/* a file that stays open is read so long after its last write */
#define RETURN_MS 2000	/* a folder that comes back is being filled */
#define ABSENT_MS 1000	/* a folder that is not there is looked for */
#define ANYWAY_MS 60000 /* whatever inotify may miss: links to elsewhere, network file systems */
#define EVENTS                                                                              \
	(IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | \
	 IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB | IN_ONLYDIR)

/* Which file an object came from, while duplicates are sought. */
struct origin {
	UT_hash_handle hh;
	const struct manifest_object *object;
	const struct folder_file *file;
};

struct source_dir {
	struct intake *in;
	struct folder folder;
	int inotify, watch;
	uint64_t device, inode; /* of the folder that is watched */
	struct event *readable, *timer;
	uint64_t timer_ms, not_before_ms;
	bool listed, absent_said;
	struct source_dir_stats stats;
};

static void look_in(struct source_dir *s, unsigned int ms)
{
	uint64_t now = clock_ms();
	struct timeval tv;

	if (now + ms < s->not_before_ms)
		ms = s->not_before_ms - now;
	tv = (struct timeval){ .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	s->timer_ms = now + ms;
	event_add(s->timer, &tv);
}

/* ---- handing in ---- */

static void say_duplicate(struct source_dir *s, const struct folder_file *file,
			  const struct manifest_object *o, const struct origin *first)
{
	struct err e = {};

	err_set(&e, -EEXIST,
		"%s/%s: document %u (line %u): %s is in %s too (line %u), which counts",
		s->folder.path, file->name, o->document, o->line, o->key + strlen(KEY_K8S),
		first->file->name, first->object->line);
	s->in->bad(o->kind, &e, s->in->arg);
}

static int hand_in(struct source_dir *s, const struct manifest_object *o)
{
	if (!o->value)
		return table_hold(s->in->table, o->kind, o->key);
	return table_put(s->in->table, o->kind, o->key, o->value);
}

static int imply_namespace(struct source_dir *s, struct origin *origins, const char *name)
{
	struct manifest_object o = {};
	struct origin *found;
	int err = manifest_implied_namespace(name, &o);

	if (err < 0)
		return err;
	HASH_FIND_STR(origins, o.key, found);
	if (!found)
		err = hand_in(s, &o);
	free(o.key);
	free(o.value);
	return err;
}

static void clear_origins(struct origin **all)
{
	struct origin *o, *tmp;

	HASH_ITER (hh, *all, o, tmp) {
		HASH_DEL(*all, o);
		free(o);
	}
}

static int hand_in_file(struct source_dir *s, const struct folder_file *file,
			struct origin **origins)
{
	for (size_t i = 0; i < file->good.n; i++) {
		const struct manifest_object *object = &file->good.objects[i];
		struct origin *o;
		int err;

		HASH_FIND_STR(*origins, object->key, o);
		if (o) {
			say_duplicate(s, file, object, o);
			continue;
		}
		o = calloc(1, sizeof(*o));
		if (!o)
			return -ENOMEM;
		o->object = object;
		o->file = file;
		HASH_ADD_KEYPTR(hh, *origins, object->key, strlen(object->key), o);
		err = hand_in(s, object);
		if (err < 0)
			return err;
	}
	return 0;
}

static int hand_in_all(struct source_dir *s, bool *ret_partial)
{
	_cleanup_(clear_origins) struct origin *origins = NULL;
	struct origin *o, *tmp;
	int err = 0;

	*ret_partial = false;
	for (struct folder_file *f = s->folder.files; f && !err; f = f->next) {
		*ret_partial |= !f->was_good;
		err = hand_in_file(s, f, &origins);
	}
	HASH_ITER (hh, origins, o, tmp) {
		if (!err && *o->object->name_space)
			err = imply_namespace(s, origins, o->object->name_space);
	}
	return err;
}

/* One list of all kinds; its number is the revision. */
static int list_all(struct source_dir *s)
{
	char revision[24];
	bool partial;
	int err;

	for (enum kind k = 0; k < KIND_COUNT; k++)
		table_list(s->in->table, k);
	err = hand_in_all(s, &partial);
	if (err < 0)
		return err;
	snprintf(revision, sizeof(revision), "%llu", (unsigned long long)s->stats.scans);
	for (enum kind k = 0; k < KIND_COUNT && !err; k++)
		err = table_listed(s->in->table, k, revision, partial);
	return err;
}

/* ---- looking ---- */

static void rewatch(struct source_dir *s)
{
	struct stat st = {};

	if (stat(s->folder.path, &st) == 0 && s->watch >= 0 && st.st_dev == s->device &&
	    st.st_ino == s->inode)
		return;
	if (s->watch >= 0)
		inotify_rm_watch(s->inotify, s->watch);
	s->watch = inotify_add_watch(s->inotify, s->folder.path, EVENTS);
	if (s->watch < 0)
		return;
	/* In this order, a folder that is replaced in between is seen by the next look. */
	s->device = st.st_dev;
	s->inode = st.st_ino;
}

static void say_absent(struct source_dir *s, const struct err *e)
{
	s->stats.present = false;
	look_in(s, ABSENT_MS);
	if (s->absent_said)
		return;
	s->absent_said = true;
	s->in->trouble(KIND_COUNT, e, s->in->arg);
}

static void count_files(struct source_dir *s)
{
	s->stats.files = s->stats.broken = 0;
	for (struct folder_file *f = s->folder.files; f; f = f->next) {
		s->stats.files++;
		s->stats.broken += f->broken;
	}
}

/* Taken as it is, a folder that is just made again would delete what will be in it at once. */
static bool has_just_returned(struct source_dir *s)
{
	if (!s->listed || s->stats.present || access(s->folder.path, R_OK) < 0 || s->not_before_ms)
		return false;
	s->not_before_ms = clock_ms() + RETURN_MS;
	look_in(s, 0);
	return true;
}

static void look(struct source_dir *s)
{
	uint64_t again_ms = 0, now;
	struct err e = {};
	int changed;

	rewatch(s);
	if (has_just_returned(s))
		return;
	s->not_before_ms = 0;
	changed = folder_scan(&s->folder, &again_ms, &e);
	if (changed < 0) {
		say_absent(s, &e);
		return;
	}
	s->absent_said = false;
	s->stats.present = true;
	s->stats.scans++;
	count_files(s);
	now = clock_ms();
	look_in(s, again_ms ? (again_ms > now ? again_ms - now : 0) + 1 : ANYWAY_MS);
	if (s->listed && !changed)
		return;
	if (list_all(s) < 0) {
		err_set(&e, -ENOMEM, "%s: out of memory", s->folder.path);
		s->in->trouble(KIND_COUNT, &e, s->in->arg);
		look_in(s, ABSENT_MS);
		return;
	}
	s->listed = true;
	s->in->changed(s->in->arg);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	look(arg);
}

static void note_event(struct source_dir *s, const struct inotify_event *ev)
{
	const char *name = ev->len ? ev->name : "";

	if (ev->mask & (IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM))
		folder_busy(&s->folder, name, 0);
	else if (ev->mask & (IN_CREATE | IN_MODIFY))
		folder_busy(&s->folder, name, clock_ms() + OPEN_MS);
	if (ev->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF) && ev->wd == s->watch)
		s->watch = ev->mask & IN_IGNORED ? -1 : s->watch;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	char buf[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	struct source_dir *s = arg;
	uint64_t now = clock_ms();
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (char *at = buf; at < buf + n;) {
			struct inotify_event *ev = (struct inotify_event *)at;

			note_event(s, ev);
			at += sizeof(*ev) + ev->len;
		}
	}
	if (s->timer_ms > now + SOON_MS)
		look_in(s, SOON_MS);
}

/* ---- life ---- */

static void on_bad(enum kind kind, const struct err *e, void *arg)
{
	struct source_dir *s = arg;

	s->in->bad(kind, e, s->in->arg);
}

void source_dir_free(struct source_dir *s)
{
	if (!s)
		return;
	if (s->readable)
		event_free(s->readable);
	if (s->timer)
		event_free(s->timer);
	closep(&s->inotify);
	folder_fini(&s->folder);
	free(s);
}

int source_dir_new(struct event_base *base, const char *path, struct intake *in,
		   struct source_dir **ret, struct err *e)
{
	struct source_dir *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	s->in = in;
	s->watch = -1;
	s->folder.bad = on_bad;
	s->folder.arg = s;
	s->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (s->inotify < 0) {
		err_errno(e, -errno, "inotify");
		source_dir_free(s);
		return e ? e->code : -EMFILE;
	}
	s->readable = event_new(base, s->inotify, EV_READ | EV_PERSIST, on_readable, s);
	s->timer = evtimer_new(base, on_timer, s);
	if (folder_init(&s->folder, path) < 0 || !s->readable || !s->timer ||
	    event_add(s->readable, NULL) < 0) {
		source_dir_free(s);
		return err_set(e, -ENOMEM, "out of memory");
	}
	look_in(s, 0);
	*ret = s;
	return 0;
}

const struct source_dir_stats *source_dir_stats(const struct source_dir *s)
{
	return &s->stats;
}
