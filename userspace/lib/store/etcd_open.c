// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "lib/store/etcd_config.h"

static int read_password(const char *path, char *buf, size_t size, struct err *e)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	if (n < 0)
		return err_errno(e, -errno, "etcd.passwordFile: '%s'", path);
	buf[n] = 0;
	buf[strcspn(buf, "\r\n")] = 0;
	return 0;
}

static const char *or_null(const char *s)
{
	return s && *s ? s : NULL;
}

int etcd_config_open(const struct etcd_config *cfg, struct event_base *base, struct store **ret,
		     struct err *e)
{
	char password[1024] = "";
	struct store_config sc = {
		.endpoints = (const char *const *)cfg->endpoints.v,
		.ca_file = or_null(cfg->ca_file),
		.cert_file = or_null(cfg->cert_file),
		.key_file = or_null(cfg->key_file),
		.username = or_null(cfg->username),
	};
	int err = 0;

	if (or_null(cfg->password_file))
		err = read_password(cfg->password_file, password, sizeof(password), e);
	if (err < 0)
		return err;
	sc.password = or_null(password);
	err = store_new(base, &sc, ret, e);
	return err < 0 ? err_prefix(e, "etcd") : 0;
}
