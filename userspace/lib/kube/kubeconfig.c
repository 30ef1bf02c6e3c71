// SPDX-License-Identifier: Apache-2.0
#include "lib/kube/kubeconfig.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "lib/json/json.h"
#include "lib/yaml/yaml.h"

#define MAX_FILES 32

struct file {
	char *path;
	struct json_object *doc;
};

struct files {
	struct file v[MAX_FILES];
	size_t n, named;
};

static void files_clear(struct files *fs)
{
	for (size_t i = 0; i < fs->n; i++) {
		free(fs->v[i].path);
		json_object_put(fs->v[i].doc);
	}
	fs->n = 0;
}

static const struct yaml_limits limits = { .max_bytes = 1u << 20, .max_nodes = 100000 };

/* ---- files ---- */

static int read_one(struct files *fs, const char *path, struct err *e)
{
	_cleanup_(freep) char *text = NULL;
	struct file *f = &fs->v[fs->n];
	_json_ *docs = NULL;
	size_t len;
	int err = kube_read_file(path, &text, &len, e);

	if (err < 0)
		return err;
	err = yaml_parse(text, len, &limits, &docs, e);
	if (err < 0)
		return err_prefix(e, "%s", path);
	if (json_object_array_length(docs) != 1 ||
	    !json_object_is_type(json_object_array_get_idx(docs, 0), json_type_object))
		return err_set(e, -EINVAL, "%s: want one mapping", path);
	f->path = strdup(path);
	if (!f->path)
		return err_set(e, -ENOMEM, "out of memory");
	f->doc = json_object_get(json_object_array_get_idx(docs, 0));
	fs->n++;
	return 0;
}

/* As kubectl does, files of a list that are not there are passed over. */
static int read_all(struct files *fs, const char *paths, struct err *e)
{
	_cleanup_(freep) char *copy = strdup(paths);
	char *save = NULL;
	int err = 0;

	if (!copy)
		return err_set(e, -ENOMEM, "out of memory");
	for (char *p = strtok_r(copy, ":", &save); p; p = strtok_r(NULL, ":", &save)) {
		if (fs->named++ == MAX_FILES)
			return err_set(e, -E2BIG, "more than %d kubeconfig files", MAX_FILES);
		err = read_one(fs, p, e);
		if (err < 0 && err != -ENOENT)
			return err;
	}
	if (!fs->n)
		return err < 0 ? err : err_set(e, -ENOENT, "'%s' names no kubeconfig", paths);
	return 0;
}

/* ---- names ---- */

/* contexts: [{name: x, context: {…}}]; *ret_file says whose paths are meant. */
static int find_named(const struct files *fs, const char *list, const char *name, const char *field,
		      struct json_object **ret, const struct file **ret_file, struct err *e)
{
	for (size_t i = 0; i < fs->n; i++) {
		struct json_object *items = NULL;
		int err = json_opt_array(fs->v[i].doc, list, &items, e);

		if (err < 0)
			return err_prefix(e, "%s", fs->v[i].path);
		for (size_t j = 0; items && j < json_object_array_length(items); j++) {
			struct json_object *item = json_object_array_get_idx(items, j);
			const char *has = "";

			if (json_opt_str(item, "name", &has, NULL) < 0 || strcmp(has, name) != 0)
				continue;
			err = json_get_object(item, field, ret, e);
			if (err < 0)
				return err_prefix(e, "%s: %s: '%s'", fs->v[i].path, list, name);
			*ret_file = &fs->v[i];
			return 0;
		}
	}
	return err_set(e, -EINVAL, "%s: no '%s' in %s%s", fs->v[0].path, name, list,
		       fs->n > 1 ? ", nor in the other files" : "");
}

static int current_context(const struct files *fs, const char **ret, struct err *e)
{
	*ret = "";
	for (size_t i = 0; i < fs->n && !**ret; i++) {
		if (json_opt_str(fs->v[i].doc, "current-context", ret, e) < 0)
			return err_prefix(e, "%s", fs->v[i].path);
	}
	if (!**ret)
		return err_set(e, -EINVAL, "%s: current-context: missing", fs->v[0].path);
	return 0;
}

/* ---- fields ---- */

static int copy_str(struct json_object *obj, const char *field, char **ret, struct err *e)
{
	const char *s = "";
	int err = json_opt_str(obj, field, &s, e);

	if (err < 0 || !*s)
		return err;
	*ret = strdup(s);
	return *ret ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static int copy_path(const struct file *f, struct json_object *obj, const char *field, char **ret,
		     struct err *e)
{
	const char *slash = strrchr(f->path, '/'), *s = "";
	int err = json_opt_str(obj, field, &s, e), n;

	if (err < 0 || !*s)
		return err;
	if (*s == '/' || !slash)
		n = asprintf(ret, "%s", s);
	else
		n = asprintf(ret, "%.*s/%s", (int)(slash - f->path), f->path, s);
	if (n < 0) {
		*ret = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	return 0;
}

static int decode(const char *text, char **ret)
{
	EVP_ENCODE_CTX *ctx = EVP_ENCODE_CTX_new();
	size_t len = strlen(text);
	_cleanup_(freep) unsigned char *out = malloc(len + 80);
	int n = 0, rest = 0, err = -EINVAL;

	if (!ctx || !out) {
		EVP_ENCODE_CTX_free(ctx);
		return -ENOMEM;
	}
	EVP_DecodeInit(ctx);
	if (EVP_DecodeUpdate(ctx, out, &n, (const unsigned char *)text, len) >= 0 &&
	    EVP_DecodeFinal(ctx, out + n, &rest) >= 0) {
		out[n + rest] = 0;
		*ret = (char *)TAKE_PTR(out);
		err = 0;
	}
	EVP_ENCODE_CTX_free(ctx);
	return err;
}

/* `name`-data as base64, else `name` as a path. */
static int copy_pem(const struct file *f, struct json_object *obj, const char *name,
		    char **ret_file, char **ret_pem, struct err *e)
{
	const char *data = "";
	char field[64];
	int err;

	snprintf(field, sizeof(field), "%s-data", name);
	err = json_opt_str(obj, field, &data, e);
	if (err < 0)
		return err;
	if (!*data)
		return copy_path(f, obj, name, ret_file, e);
	err = decode(data, ret_pem);
	if (err == -EINVAL)
		return err_set(e, err, "%s: not base64", field);
	return err < 0 ? err_set(e, err, "out of memory") : 0;
}

int kubeconfig_set_server(struct kube_config *cfg, const char *url, struct err *e)
{
	size_t n = strlen(url);
	char *copy;

	if (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0)
		return err_set(e, -EINVAL,
			       "server: '%.200s' does not start with https:// or http://", url);
	while (n && url[n - 1] == '/')
		n--;
	copy = strndup(url, n);
	if (!copy)
		return err_set(e, -ENOMEM, "out of memory");
	free(cfg->server);
	cfg->server = copy;
	return 0;
}

static int take_cluster(const struct file *f, struct json_object *obj, struct kube_config *cfg,
			struct err *e)
{
	const char *server;
	int err = json_get_str(obj, "server", &server, e);

	if (!err)
		err = kubeconfig_set_server(cfg, server, e);
	if (!err)
		err = copy_pem(f, obj, "certificate-authority", &cfg->ca_file, &cfg->ca_pem, e);
	if (!err)
		err = copy_str(obj, "tls-server-name", &cfg->server_name, e);
	if (!err)
		err = copy_str(obj, "proxy-url", &cfg->proxy, e);
	if (!err)
		err = json_opt_bool(obj, "insecure-skip-tls-verify", &cfg->insecure, e);
	if (!err && cfg->insecure && (cfg->ca_file || cfg->ca_pem))
		err = err_set(e, -EINVAL,
			      "insecure-skip-tls-verify: can't go with a certificate-authority");
	return err;
}

static int refuse_plugins(struct json_object *obj, struct err *e)
{
	static const char *const no[] = { "exec", "auth-provider", "username", "password" };

	for (size_t i = 0; i < ARRAY_SIZE(no); i++) {
		if (json_field(obj, no[i]))
			return err_set(e, -ENOTSUP,
				       "%s: not supported here; give a token, a tokenFile, or a "
				       "client certificate",
				       no[i]);
	}
	return 0;
}

static int take_user(const struct file *f, struct json_object *obj, struct kube_config *cfg,
		     struct err *e)
{
	int err = refuse_plugins(obj, e);

	if (!err)
		err = copy_pem(f, obj, "client-certificate", &cfg->cert_file, &cfg->cert_pem, e);
	if (!err)
		err = copy_pem(f, obj, "client-key", &cfg->key_file, &cfg->key_pem, e);
	if (!err)
		err = copy_str(obj, "token", &cfg->token, e);
	if (!err)
		err = copy_path(f, obj, "tokenFile", &cfg->token_file, e);
	if (!err)
		err = copy_str(obj, "as", &cfg->as_user, e);
	if (!err && !(cfg->cert_file || cfg->cert_pem) != !(cfg->key_file || cfg->key_pem))
		err = err_set(e, -EINVAL, "client-certificate and client-key go together");
	return err;
}

/* ---- together ---- */

static int take_named(const struct files *fs, const char *which, const char *list, const char *name,
		      int (*take)(const struct file *f, struct json_object *obj,
				  struct kube_config *cfg, struct err *e),
		      struct kube_config *cfg, struct err *e)
{
	const struct file *f;
	struct json_object *obj;
	int err = find_named(fs, list, name, which, &obj, &f, e);

	if (err < 0)
		return err;
	err = take(f, obj, cfg, e);
	return err < 0 ? err_prefix(e, "%s: %s '%s'", f->path, which, name) : 0;
}

static int resolve(const struct files *fs, struct kube_config *cfg, struct err *e)
{
	const char *name, *cluster, *user = "";
	struct json_object *context;
	const struct file *f;
	int err = current_context(fs, &name, e);

	if (err < 0)
		return err;
	err = find_named(fs, "contexts", name, "context", &context, &f, e);
	if (err < 0)
		return err_set(e, -EINVAL, "%s: current-context: no context is named '%.200s'",
			       fs->v[0].path, name);
	err = json_get_str(context, "cluster", &cluster, e);
	if (!err)
		err = json_opt_str(context, "user", &user, e);
	if (!err)
		err = copy_str(context, "namespace", &cfg->name_space, e);
	if (err < 0)
		return err_prefix(e, "%s: context '%s'", f->path, name);
	err = take_named(fs, "cluster", "clusters", cluster, take_cluster, cfg, e);
	if (!err && *user)
		err = take_named(fs, "user", "users", user, take_user, cfg, e);
	if (!err && asprintf(&cfg->origin, "context '%s' of %s", name, f->path) < 0) {
		cfg->origin = NULL;
		err = err_set(e, -ENOMEM, "out of memory");
	}
	return err;
}

int kube_config_load(const char *paths, struct kube_config *ret, struct err *e)
{
	_cleanup_(files_clear) struct files fs = {};
	struct kube_config cfg = {};
	int err = read_all(&fs, paths, e);

	if (!err)
		err = resolve(&fs, &cfg, e);
	if (err < 0) {
		kube_config_clear(&cfg);
		return err;
	}
	*ret = cfg;
	return 0;
}
