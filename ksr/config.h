/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* /etc/netloom/ksr.yaml; the keys are documented in config.c, and so by --print-config. */
#include "lib/config/config.h"
#include "lib/store/etcd_config.h"

enum ksr_source { SOURCE_KUBERNETES, SOURCE_DIRECTORY };

struct ksr_config {
	int log_level; /* enum log_level */
	int source;    /* enum ksr_source */
	struct {
		char *kubeconfig, *api_server;
	} kubernetes;
	struct {
		char *path;
	} directory;
	struct etcd_config etcd;
	struct {
		bool enabled;
		char *name_space, *name, *identity;
	} election;
	struct {
		int64_t grace_ms;
	} endpoints;
	struct {
		union loom_addr address;
		int64_t port;
	} api;
};

extern const struct config_field ksr_config_fields[];
extern const size_t ksr_config_n_fields;

/* Reads and checks; fills in an identity where none is given. *cfg is zeroed by the caller. */
int ksr_config_load(const char *path, struct ksr_config *cfg, struct err *e);
void ksr_config_free(struct ksr_config *cfg);
