// SPDX-License-Identifier: Apache-2.0
#include "ksr/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/clock.h"

#define MAX_FILE (16u << 20)

static void dirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

int folder_init(struct folder *f, const char *path)
{
	f->files = NULL;
	f->path = strdup(path);
	return f->path ? 0 : -ENOMEM;
}

static void file_free(struct folder_file *file)
{
	manifest_clear(&file->good);
	free(file->name);
	free(file);
}

void folder_fini(struct folder *f)
{
	while (f->files) {
		struct folder_file *file = f->files;

		f->files = file->next;
		file_free(file);
	}
	free(TAKE_PTR(f->path));
}

bool folder_takes(const char *name)
{
	static const char *const ends[] = { ".yaml", ".yml", ".json" };
	size_t n = strlen(name);

	if (*name == '.' || *name == '#')
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		size_t m = strlen(ends[i]);

		if (n > m && strcmp(name + n - m, ends[i]) == 0)
			return true;
	}
	return false;
}

static struct folder_file *find_or_add(struct folder *f, const char *name)
{
	struct folder_file **at = &f->files, *file;

	while (*at && strcmp((*at)->name, name) < 0)
		at = &(*at)->next;
	if (*at && strcmp((*at)->name, name) == 0)
		return *at;
	file = calloc(1, sizeof(*file));
	if (!file || !(file->name = strdup(name))) {
		free(file);
		return NULL;
	}
	file->next = *at;
	*at = file;
	return file;
}

void folder_busy(struct folder *f, const char *name, uint64_t until_ms)
{
	struct folder_file *file;

	if (!folder_takes(name))
		return;
	file = find_or_add(f, name);
	if (file)
		file->busy_until_ms = until_ms;
}

/* ---- one file ---- */

/* Opened without blocking, since a FIFO may carry a manifest's name. */
static int read_text(int dir, const char *name, char **ret, size_t *ret_len, struct err *e)
{
	_cleanup_(closep) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_(freep) char *text = NULL;
	struct stat st;
	size_t len = 0;
	ssize_t n = 1;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(e, -errno, "can't be opened");
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "is no regular file");
	if (st.st_size > MAX_FILE)
		return err_set(e, -EFBIG, "%lld bytes are more than %u", (long long)st.st_size,
			       MAX_FILE);
	text = malloc(st.st_size + 1);
	if (!text)
		return err_set(e, -ENOMEM, "out of memory");
	while (n > 0 && len < (size_t)st.st_size) {
		n = read(fd, text + len, st.st_size - len);
		if (n < 0 && errno != EINTR)
			return err_errno(e, -errno, "can't be read");
		len += n > 0 ? n : 0;
	}
	*ret = TAKE_PTR(text);
	*ret_len = len;
	return 0;
}

struct bad_file {
	const struct folder *folder;
	const char *name;
};

static void say_bad(enum kind kind, const struct err *why, void *arg)
{
	const struct bad_file *b = arg;
	struct err e = *why;

	err_prefix(&e, "%s/%s", b->folder->path, b->name);
	b->folder->bad(kind, &e, b->folder->arg);
}

static void read_file(struct folder *f, int dir, struct folder_file *file)
{
	struct bad_file b = { .folder = f, .name = file->name };
	_cleanup_(freep) char *text = NULL;
	struct manifest m = {};
	struct err e = {};
	size_t len = 0;
	int err;

	err = read_text(dir, file->name, &text, &len, &e);
	if (!err)
		err = manifest_parse(text, len, &m, say_bad, &b, &e);
	file->broken = err < 0;
	if (err < 0) {
		say_bad(KIND_COUNT, &e, &b);
		return;
	}
	manifest_clear(&file->good);
	file->good = m;
	file->was_good = true;
}

static bool note_stat(struct folder_file *file, const struct stat *st)
{
	uint64_t mtime = st->st_mtim.tv_sec * 1000000000ull + st->st_mtim.tv_nsec;

	if (file->inode == st->st_ino && file->size == (uint64_t)st->st_size &&
	    file->mtime_ns == mtime)
		return false;
	file->inode = st->st_ino;
	file->size = st->st_size;
	file->mtime_ns = mtime;
	return true;
}

/* ---- all files ---- */

static int look_at(struct folder *f, int dir, const char *name, uint64_t *again_ms)
{
	struct folder_file *file = find_or_add(f, name);
	uint64_t now = clock_ms();
	struct stat st;

	if (!file)
		return -ENOMEM;
	file->there = true;
	if (file->busy_until_ms > now) {
		*again_ms = *again_ms ? MIN(*again_ms, file->busy_until_ms) : file->busy_until_ms;
		return 0;
	}
	file->busy_until_ms = 0;
	/* A link to nowhere, or gone meanwhile: read_file() says which. */
	if (fstatat(dir, name, &st, 0) < 0)
		st = (struct stat){};
	if (!note_stat(file, &st) && (file->was_good || file->broken))
		return 0;
	read_file(f, dir, file);
	return 1;
}

static int drop_gone(struct folder *f)
{
	struct folder_file **at = &f->files;
	int changed = 0;

	while (*at) {
		struct folder_file *file = *at;

		if (file->there) {
			at = &file->next;
			continue;
		}
		*at = file->next;
		file_free(file);
		changed = 1;
	}
	return changed;
}

int folder_scan(struct folder *f, uint64_t *ret_again_ms, struct err *e)
{
	_cleanup_(dirp) DIR *d = opendir(f->path);
	uint64_t again_ms = 0;
	struct dirent *de;
	int changed = 0, err;

	if (!d)
		return err_errno(e, -errno, "%s", f->path);
	for (struct folder_file *file = f->files; file; file = file->next)
		file->there = false;
	for (errno = 0; (de = readdir(d)); errno = 0) {
		if (!folder_takes(de->d_name) || de->d_type == DT_DIR)
			continue;
		err = look_at(f, dirfd(d), de->d_name, &again_ms);
		if (err < 0)
			return err_set(e, err, "out of memory");
		changed |= err;
	}
	if (errno)
		return err_errno(e, -errno, "%s", f->path);
	changed |= drop_gone(f);
	*ret_again_ms = again_ms;
	return changed;
}
