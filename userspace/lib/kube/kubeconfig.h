/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Private to lib/kube: the pieces of reading a kubeconfig. */
#include "lib/kube/config.h"

/* "https://host:6443/", checked, without the slash; replaces cfg->server. */
int kubeconfig_set_server(struct kube_config *cfg, const char *url, struct err *e);
