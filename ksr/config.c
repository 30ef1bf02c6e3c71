// SPDX-License-Identifier: Apache-2.0
#include "ksr/config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/name.h"
#include "lib/kube/client.h"

#define FIELD(p, t, f, d, text, ...)                                                            \
	{                                                                                       \
		.path = (p), .type = (t), .offset = offsetof(struct ksr_config, f), .def = (d), \
		.doc = (text), ##__VA_ARGS__                                                    \
	}
#define WORDS(...)                     \
	.words = (const char *const[]) \
	{                              \
		__VA_ARGS__, NULL      \
	}

/* The order is that of the printed file. */
const struct config_field ksr_config_fields[] = {
	FIELD("logLevel", CONFIG_ENUM, log_level, "info", "How much is logged, to stderr.",
	      WORDS("error", "warn", "info", "debug")),
	FIELD("source", CONFIG_ENUM, source, "kubernetes",
	      "Where objects come from: kubernetes is an API server, directory is a folder of YAML "
	      "or JSON manifests, for a cluster without Kubernetes.",
	      WORDS("kubernetes", "directory")),

	FIELD("kubernetes.kubeconfig", CONFIG_STRING, kubernetes.kubeconfig, "\"\"",
	      "Kubeconfig file, or several joined by ':'. Empty: the pod's service account, or "
	      "$KUBECONFIG outside of a pod."),
	FIELD("kubernetes.apiServer", CONFIG_STRING, kubernetes.api_server, "\"\"",
	      "URL of the API server, in place of the one in the kubeconfig or of the service "
	      "'kubernetes', whose address may need this network first."),

	FIELD("directory.path", CONFIG_STRING, directory.path, "/etc/netloom/manifests",
	      "The folder with manifests (*.yaml, *.yml, *.json). Changes count at once."),

	ETCD_CONFIG_FIELDS(struct ksr_config, etcd),

	FIELD("leaderElection.enabled", CONFIG_BOOL, election.enabled, "true",
	      "Elect one leader among several replicas: by a Lease (source kubernetes), or in etcd "
	      "(source directory). Without, the replica that started last writes."),
	FIELD("leaderElection.namespace", CONFIG_STRING, election.name_space, "\"\"",
	      "Namespace of the Lease. Empty: the pod's, or the kubeconfig's, or kube-system."),
	FIELD("leaderElection.name", CONFIG_STRING, election.name, "netloom-ksr",
	      "Name of the Lease."),
	FIELD("leaderElection.identity", CONFIG_STRING, election.identity, "\"\"",
	      "Name of this replica, different for each. Empty: the host's name and a random "
	      "number."),

	FIELD("endpoints.grace", CONFIG_DURATION, endpoints.grace_ms, "60s",
	      "How long a node must be missing before what its agent published of its pods is "
	      "removed from etcd.",
	      .min = 100, .max = 24 * 3600 * 1000),

	FIELD("api.address", CONFIG_ADDRESS, api.address, "127.0.0.1",
	      "Address that /livez, /readyz and /metrics are served on."),
	FIELD("api.port", CONFIG_INT, api.port, "9991",
	      "Port that /livez, /readyz and /metrics are served on.", .min = 1, .max = 65535),
};
const size_t ksr_config_n_fields = ARRAY_SIZE(ksr_config_fields);

void ksr_config_free(struct ksr_config *cfg)
{
	config_free(ksr_config_fields, ksr_config_n_fields, cfg);
}

static int fill_identity(struct ksr_config *cfg, struct err *e)
{
	char host[HOST_NAME_MAX + 1] = "netloom-ksr";
	char *identity;

	if (*cfg->election.identity)
		return 0;
	gethostname(host, sizeof(host) - 1);
	if (asprintf(&identity, "%s_%08x", host, kube_random(0, UINT_MAX - 1)) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	free(cfg->election.identity);
	cfg->election.identity = identity;
	return 0;
}

static int check_identity(const char *identity, struct err *e)
{
	for (const char *c = identity; *c; c++) {
		if (*c <= ' ' || *c > '~' || *c == '"' || *c == '\\')
			return err_set(e, -EINVAL,
				       "leaderElection.identity: only letters, digits and signs");
	}
	if (strlen(identity) > 200)
		return err_set(e, -EINVAL, "leaderElection.identity: longer than 200 characters");
	return 0;
}

/* They become part of a URL. */
static int check_name(const char *key, const char *name, struct err *e)
{
	if (*name && !name_is_subdomain(name))
		return err_set(e, -EINVAL, "%s: '%.64s' is not a DNS name in lower case", key,
			       name);
	return 0;
}

static int check(const struct ksr_config *cfg, struct err *e)
{
	int err = etcd_config_check(&cfg->etcd, e);

	if (err < 0)
		return err;
	if (cfg->source == SOURCE_DIRECTORY && !*cfg->directory.path)
		return err_set(e, -EINVAL, "directory.path: is empty");
	if (!*cfg->election.name)
		return err_set(e, -EINVAL, "leaderElection.name: is empty");
	err = check_name("leaderElection.name", cfg->election.name, e);
	if (!err)
		err = check_name("leaderElection.namespace", cfg->election.name_space, e);
	return err ?: check_identity(cfg->election.identity, e);
}

int ksr_config_load(const char *path, struct ksr_config *cfg, struct err *e)
{
	int err = config_load(ksr_config_fields, ksr_config_n_fields, path, cfg, e);

	if (err < 0)
		return err;
	err = fill_identity(cfg, e);
	if (!err)
		err = check(cfg, e);
	if (err < 0) {
		err_prefix(e, "%s", path);
		ksr_config_free(cfg);
	}
	return err;
}
