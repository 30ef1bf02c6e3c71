// SPDX-License-Identifier: Apache-2.0
#include "lib/kube/config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/kube/kubeconfig.h"

#define POD_DIR	 "/var/run/secrets/kubernetes.io/serviceaccount"
#define MAX_FILE (1u << 20)

static void filep(FILE **f)
{
	if (*f)
		fclose(*f);
}

void kube_config_clear(struct kube_config *cfg)
{
	char **all[] = {
		&cfg->server,	  &cfg->ca_file, &cfg->ca_pem, &cfg->cert_file,	 &cfg->cert_pem,
		&cfg->key_file,	  &cfg->key_pem, &cfg->proxy,  &cfg->token,	 &cfg->server_name,
		&cfg->token_file, &cfg->as_user, &cfg->origin, &cfg->name_space,
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		free(*all[i]);
	*cfg = (struct kube_config){};
}

int kube_read_file(const char *path, char **ret, size_t *ret_len, struct err *e)
{
	_cleanup_(filep) FILE *f = fopen(path, "re");
	_cleanup_(freep) char *buf = NULL;
	size_t n;

	if (!f)
		return err_errno(e, -errno, "%s", path);
	buf = malloc(MAX_FILE + 1);
	if (!buf)
		return err_set(e, -ENOMEM, "out of memory");
	n = fread(buf, 1, MAX_FILE + 1, f);
	if (ferror(f))
		return err_set(e, -EIO, "%s: can't be read", path);
	if (n > MAX_FILE)
		return err_set(e, -EFBIG, "%s: is larger than %u bytes", path, MAX_FILE);
	buf[n] = 0;
	*ret = strndup(buf, n);
	if (!*ret)
		return err_set(e, -ENOMEM, "out of memory");
	if (ret_len)
		*ret_len = n;
	return 0;
}

/* An IPv6 address needs brackets. */
static int server_url(const char *host, const char *port, char **ret)
{
	bool v6 = strchr(host, ':') && host[0] != '[';

	if (asprintf(ret, "https://%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "",
		     port && *port ? port : "443") < 0) {
		*ret = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int in_dir(const char *dir, const char *name, char **ret)
{
	if (asprintf(ret, "%s/%s", dir, name) < 0) {
		*ret = NULL;
		return -ENOMEM;
	}
	return 0;
}

int kube_config_in_cluster(const char *dir, struct kube_config *ret, struct err *e)
{
	_cleanup_(kube_config_clear) struct kube_config cfg = {};
	_cleanup_(freep) char *ns = NULL;
	const char *host = getenv("KUBERNETES_SERVICE_HOST");

	dir = dir ? dir : POD_DIR;
	if (!host || !*host)
		return err_set(e, -ENOENT,
			       "this is no pod: KUBERNETES_SERVICE_HOST is not in the environment");
	if (server_url(host, getenv("KUBERNETES_SERVICE_PORT"), &cfg.server) < 0 ||
	    in_dir(dir, "ca.crt", &cfg.ca_file) < 0 || in_dir(dir, "token", &cfg.token_file) < 0 ||
	    in_dir(dir, "namespace", &ns) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	if (access(cfg.token_file, R_OK) < 0)
		return err_errno(e, -errno, "the pod's token %s", cfg.token_file);
	kube_read_file(ns, &cfg.name_space, NULL, NULL);
	cfg.origin = strdup("the pod's service account");
	if (!cfg.origin)
		return err_set(e, -ENOMEM, "out of memory");
	*ret = cfg;
	cfg = (struct kube_config){};
	return 0;
}

static int find_any(const char *paths, struct kube_config *ret, struct err *e)
{
	const char *env = getenv("KUBECONFIG");
	int err;

	if (paths && *paths)
		return kube_config_load(paths, ret, e);
	err = kube_config_in_cluster(NULL, ret, e);
	if (err != -ENOENT || getenv("KUBERNETES_SERVICE_HOST"))
		return err;
	if (!env || !*env)
		return err_set(e, -ENOENT,
			       "no kubeconfig is given, KUBECONFIG is not set, and this is no pod "
			       "(KUBERNETES_SERVICE_HOST is not set)");
	return kube_config_load(env, ret, e);
}

int kube_config_find(const char *paths, const char *server, struct kube_config *ret, struct err *e)
{
	struct kube_config cfg = {};
	int err = find_any(paths, &cfg, e);

	if (!err && server && *server)
		err = kubeconfig_set_server(&cfg, server, e);
	if (err < 0) {
		kube_config_clear(&cfg);
		return err;
	}
	*ret = cfg;
	return 0;
}
