/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * How to reach an API server: from kubeconfig files, or from what a pod finds mounted. The meaning
 * is that of client-go's clientcmd (Kubernetes 1.36): a colon-separated list of files is merged,
 * the first to define a name wins, relative paths are relative to the file that holds them, and
 * `*-data` wins over the file of the same purpose.
 *
 *	struct kube_config cfg = {};
 *	err = kube_config_load("/etc/kubernetes/ksr.conf", &cfg, &e);
 *	…
 *	kube_config_clear(&cfg);
 *
 * Credentials that need a program (`exec`), a provider plugin, or a password are refused by name.
 * Nothing is kept of the files; certificates and tokens given as files are read when they are used,
 * so that rotated ones count.
 */
#include "lib/base/err.h"

/* All strings heap or NULL. Of a file and a text (`pem`) for the same purpose one is set at most.
 */
struct kube_config {
	char *server; /* "https://10.96.0.1:443", without a slash at the end */
	char *ca_file, *ca_pem;
	char *cert_file, *cert_pem;
	char *key_file, *key_pem;
	char *server_name; /* to be verified in place of the server's host */
	char *proxy;
	char *token, *token_file; /* the file wins */
	char *as_user;		  /* impersonated user */
	char *name_space;	  /* of the context or the pod */
	char *origin;		  /* for messages: "context 'x' of /etc/…" */
	bool insecure;
};

/* `paths`: files joined by ':'. -ENOENT when none of them is there; -EINVAL names file and field.
 */
int kube_config_load(const char *paths, struct kube_config *ret, struct err *e);
/* KUBERNETES_SERVICE_HOST and _PORT and what is in `dir` (NULL: the usual folder). -ENOENT when
 * this is no pod. */
int kube_config_in_cluster(const char *dir, struct kube_config *ret, struct err *e);
void kube_config_clear(struct kube_config *cfg);

/*
 * What a program does with its own settings: `paths` when not empty, else the pod's, else
 * $KUBECONFIG. A non-empty `server` replaces the server's URL (in a cluster whose service addresses
 * this program itself helps to provide).
 */
int kube_config_find(const char *paths, const char *server, struct kube_config *ret, struct err *e);

/* A small file as text, at most 1 MiB; heap. */
int kube_read_file(const char *path, char **ret, size_t *ret_len, struct err *e);
