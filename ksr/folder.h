/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The manifest files of a folder, each parsed once a change and remembered as it was when it was
 * good. No inotify in here: the source says when to look.
 */
#include "ksr/manifest.h"

struct folder_file {
	struct folder_file *next; /* sorted by name */
	char *name;
	struct manifest good;
	bool was_good, broken, there;
	uint64_t busy_until_ms; /* being written: don't look before */
	/* what was parsed last */
	uint64_t inode, size, mtime_ns;
};

struct folder {
	char *path;
	struct folder_file *files;
	void (*bad)(enum kind kind, const struct err *e, void *arg);
	void *arg;
};

int folder_init(struct folder *f, const char *path);
void folder_fini(struct folder *f);
/* Is this a manifest's name? */
bool folder_takes(const char *name);
/* Somebody writes to `name`: it isn't read until then; 0 = the writer is done. */
void folder_busy(struct folder *f, const char *name, uint64_t until_ms);
/*
 * Reads what has changed. Negative errno when the folder can't be read (nothing changes then), else
 * 1 if anything did, 0 if not. *ret_again_ms: look again then, for busy files; 0 = no need.
 */
int folder_scan(struct folder *f, uint64_t *ret_again_ms, struct err *e);
