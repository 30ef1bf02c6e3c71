// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/agent_config.h"
#include "agent/modules/pods/pods_int.h"
#include "api/paths.h"
#include "lib/base/folders.h"
#include "lib/json/json.h"

#define MAX_CONFLIST 65536

/*
 * Old runtimes read cniVersion, new ones take the highest of cniVersions that they know. A runtime
 * hands over what is declared as a capability; what cannot be done must not be asked for in
 * silence.
 */
static struct json_object *conflist_json(const struct agent_config *cfg)
{
	static const char *const versions[] = CNI_VERSIONS;
	struct json_object *o = json_object_new_object(), *list = json_object_new_array(),
			   *plugins = json_object_new_array(), *plugin = json_object_new_object();
	_json_ *capabilities = json_object_new_object();

	for (size_t i = 0; i < ARRAY_SIZE(versions); i++)
		json_append_str(list, versions[i]);
	json_add_str(plugin, "type", "netloom-cni");
	if (strcmp(cfg->cni.socket, NETLOOM_CNI_SOCKET))
		json_add_str(plugin, "socket", cfg->cni.socket);
	if (strcmp(cfg->cni.spool_dir, NETLOOM_CNI_SPOOL))
		json_add_str(plugin, "spoolDir", cfg->cni.spool_dir);
	if (cfg->services.enabled) {
		json_add_bool(capabilities, "portMappings", true);
		json_add(plugin, "capabilities", json_object_get(capabilities));
	}
	json_append(plugins, plugin);
	json_add_str(o, "cniVersion", "1.0.0");
	json_add(o, "cniVersions", list);
	json_add_str(o, "name", "netloom");
	json_add(o, "plugins", plugins);
	return o;
}

static bool is_identical(int dir, const char *name, const char *text, size_t len)
{
	_cleanup_(closep) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char buf[MAX_CONFLIST];
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, buf, sizeof(buf));
	return n >= 0 && (size_t)n == len && memcmp(buf, text, len) == 0;
}

/* A name that runtimes do not read until it is whole. */
static int write_whole(int dir, const char *name, const char *text, size_t len)
{
	_cleanup_(closep) int fd = -1;
	char tmp[128];
	int err = 0;

	snprintf(tmp, sizeof(tmp), ".%s.new", name);
	fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != (ssize_t)len)
		err = errno ? -errno : -EIO;
	else if (fsync(fd) < 0 || renameat(dir, tmp, dir, name) < 0 || fsync(dir) < 0)
		err = -errno;
	if (err < 0)
		unlinkat(dir, tmp, 0);
	return err;
}

int conflist_write(const struct agent_config *cfg, struct err *e)
{
	const char *conf_dir = cfg->cni.conf_dir;
	_json_ *o = conflist_json(cfg);
	_cleanup_(freep) char *text = NULL;
	_cleanup_(closep) int dir = -1;
	int len, err;

	len = asprintf(&text, "%s\n",
		       json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
								 JSON_C_TO_STRING_NOSLASHESCAPE));
	if (len < 0)
		return err_set(e, -ENOMEM, "out of memory");
	err = make_folders(conf_dir, 0755);
	if (err < 0)
		return err_errno(e, err, "cni.confDir: '%s'", conf_dir);
	dir = open(conf_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_errno(e, -errno, "cni.confDir: '%s'", conf_dir);
	if (is_identical(dir, NETLOOM_CNI_CONFLIST, text, len))
		return 1;
	err = write_whole(dir, NETLOOM_CNI_CONFLIST, text, len);
	if (err < 0)
		return err_errno(e, err, "'%s/" NETLOOM_CNI_CONFLIST "'", conf_dir);
	return 0;
}
