/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Folders as `mkdir -p` makes them: what is there already is fine, whatever it is (opening what is
 * in it tells), and what is made on the way is there for others too if a later step fails.
 */
#include <sys/types.h>

#include "lib/base/util.h"

/* Every folder above `path`, mode 0755. 0, -ENAMETOOLONG (4,095 bytes), or what mkdir(2) says. */
int make_parents(const char *path);
/* The same, and `path` itself with `mode`. */
int make_folders(const char *path, mode_t mode);
