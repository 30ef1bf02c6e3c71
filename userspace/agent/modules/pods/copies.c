// SPDX-License-Identifier: Apache-2.0
/*
 * A copy of every attachment, next to the agent's socket in /run, which lives as long as namespaces
 * do: until the machine stops. Were there the local store alone, one that is damaged or was removed
 * would cost all pods of the node their network, since links that belong to no attachment are
 * removed, and nobody would start those pods anew. Best effort: the local store is what counts.
 */
#define LOG_NAME "pods"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/core/agent_config.h"
#include "agent/modules/pods/pods_int.h"
#include "lib/base/folders.h"
#include "lib/base/log.h"

#define FOLDER	 "attachments"
#define MAX_COPY (1u << 20)

static int open_folder(const struct pods *p)
{
	const char *socket = agent_cfg(p->agent)->cni.socket, *slash = strrchr(socket, '/');
	char path[4096];
	int err, fd;

	snprintf(path, sizeof(path), "%.*s/" FOLDER, slash ? (int)(slash - socket) : 0, socket);
	err = make_folders(path, 0700);
	if (err < 0)
		return err;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* A key may be longer than a file's name may. FNV-1a; the file says whose it is. */
static void file_name(const char *key, char *ret, size_t size)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *key; key++)
		h = (h ^ (uint8_t)*key) * 0x100000001b3u;
	snprintf(ret, size, "%016llx", (unsigned long long)h);
}

static int write_copy(int dir, const char *name, const char *key, const char *text)
{
	_cleanup_(closep) int fd =
		openat(dir, ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || dprintf(fd, "%s\n%s", key, text) < 0 || renameat(dir, ".new", dir, name) < 0)
		return -errno;
	return 0;
}

void copy_save(const struct pods *p, const char *key, const char *text)
{
	_cleanup_(closep) int dir = open_folder(p);
	char name[32];
	int err = dir < 0 ? dir : 0;

	file_name(key, name, sizeof(name));
	if (!err)
		err = write_copy(dir, name, key, text);
	if (err < 0)
		log_limited(LOG_LVL_WARN, 1, "attachment '%s' has no copy: %s", key,
			    strerror(-err));
}

void copy_forget(const struct pods *p, const char *key)
{
	_cleanup_(closep) int dir = open_folder(p);
	char name[32];

	file_name(key, name, sizeof(name));
	if (dir >= 0)
		unlinkat(dir, name, 0);
}

/* Heap: the key, NUL, and the text; *ret_text is within. */
static char *read_copy(int dir, const char *name, const char **ret_text)
{
	_cleanup_(closep) int fd =
		openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	_cleanup_(freep) char *buf = malloc(MAX_COPY);
	char *end, own[32];
	struct stat st;
	ssize_t n;

	if (fd < 0 || !buf || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return NULL;
	n = read(fd, buf, MAX_COPY - 1);
	if (n < 0)
		return NULL;
	buf[n] = 0;
	end = strchr(buf, '\n');
	if (!end)
		return NULL;
	*end = 0;
	/* Somebody's copy of it has another name, and says the same again. */
	file_name(buf, own, sizeof(own));
	if (strcmp(own, name) != 0)
		return NULL;
	*ret_text = end + 1;
	return TAKE_PTR(buf);
}

char *copy_find(const struct pods *p, const char *key)
{
	_cleanup_(closep) int dir = open_folder(p);
	_cleanup_(freep) char *buf = NULL;
	const char *text = NULL;
	char name[32];

	file_name(key, name, sizeof(name));
	buf = dir < 0 ? NULL : read_copy(dir, name, &text);
	return buf && strcmp(buf, key) == 0 ? strdup(text) : NULL;
}

int copies_foreach(const struct pods *p, int (*fn)(const char *key, const char *text, void *arg),
		   void *arg)
{
	int fd = open_folder(p), err = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!d)
		return fd < 0 ? fd : (close(fd), -ENOMEM);
	while (!err && (entry = readdir(d))) {
		_cleanup_(freep) char *buf = NULL;
		const char *text = NULL;

		if (entry->d_name[0] != '.')
			buf = read_copy(dirfd(d), entry->d_name, &text);
		if (buf)
			err = fn(buf, text, arg);
	}
	closedir(d);
	return err;
}
