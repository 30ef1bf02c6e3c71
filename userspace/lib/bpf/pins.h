/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Where netloom's BPF objects are pinned: <dir>/maps/<map>, <dir>/progs/<program>, and
 * <dir>/links/<program>-<interface> for tcx links. `dir` is paths.bpf (headers/api/paths.h has the
 * default). The agent writes there; the CLI reads, without the agent.
 *
 * A pin is replaced by pinning beside it and renaming, so that a reader always finds one or the
 * other. bpffs refuses names with dots, so dots in interface names are written as "%2e".
 *
 * No state, no threads; file descriptors belong to the caller.
 */
#include <limits.h>
#include <net/if.h>

#include "lib/base/err.h"

#define PIN_NEW "-new" /* suffix of a pin that is about to take the place of another */

enum pin_kind { PIN_MAP, PIN_PROG, PIN_LINK };

/* Makes the three folders, and mounts a bpffs at the parent of `dir` when `dir` would not lie on
 * one. -EINVAL when that parent holds other files, which a mount would hide. */
int pins_prepare(const char *dir, struct err *e);
/* -ENAMETOOLONG, or 0. */
int pin_path(const char *dir, enum pin_kind kind, const char *name, char ret[static PATH_MAX]);
/* File descriptor (bpf_obj_get), or negative errno: -ENOENT when there is no such pin. */
int pin_open(const char *dir, enum pin_kind kind, const char *name, struct err *e);
/* The same, for reading only: needs no right to write. Maps only. */
int pin_open_map_readonly(const char *dir, const char *name, struct err *e);
/* Pins what `fd` refers to, in place of what has the name now. */
int pin_put(int fd, const char *dir, enum pin_kind kind, const char *name, struct err *e);
/* Gives "<name>-new" the name, in one step. */
int pin_promote(const char *dir, enum pin_kind kind, const char *name, struct err *e);
/* Succeeds when it is already gone. */
int pin_remove(const char *dir, enum pin_kind kind, const char *name);
bool pin_exists(const char *dir, enum pin_kind kind, const char *name);
/* In no order. `fn` may remove what it is called for; non-zero stops and is returned. */
int pin_foreach(const char *dir, enum pin_kind kind, int (*fn)(const char *name, void *arg),
		void *arg);

#define LINK_PIN_STRLEN (32 + 3 * IFNAMSIZ)
/* "<prog>-<ifname>", escaped. */
const char *link_pin_name(const char *prog, const char *ifname, char buf[static LINK_PIN_STRLEN]);
/* The way back; -EINVAL when it is no such name. */
int link_pin_parse(const char *pin, char ret_prog[static 32], char ret_ifname[static IFNAMSIZ]);
