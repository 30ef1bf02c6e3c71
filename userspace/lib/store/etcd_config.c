// SPDX-License-Identifier: Apache-2.0
#include "lib/store/etcd_config.h"

#include <errno.h>
#include <string.h>

int etcd_config_check(const struct etcd_config *cfg, struct err *e)
{
	for (size_t i = 0; i < cfg->endpoints.n; i++) {
		const char *url = cfg->endpoints.v[i];

		if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
			return err_set(e, -EINVAL,
				       "etcd.endpoints: entry %zu: '%.128s' does not start with "
				       "http:// or https://",
				       i, url);
	}
	if (!*cfg->cert_file != !*cfg->key_file)
		return err_set(e, -EINVAL, "etcd.certFile and etcd.keyFile go together");
	if (!*cfg->username != !*cfg->password_file)
		return err_set(e, -EINVAL, "etcd.username and etcd.passwordFile go together");
	return 0;
}
