/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Keeps a DEL for an agent that is away; see api/cni_spool.h for the format. On return the request
 * is on disk (as far as the folder's file system has one) under its final name.
 */
#include <stdint.h>

#include "lib/base/err.h"

/* -ENOSPC when the folder holds CNI_SPOOL_MAX_FILES already; -EMSGSIZE. Makes the folder (0700). */
int spool_write(const char *dir, const char *container_id, const char *ifname, const uint8_t *msg,
		size_t len, struct err *e);
