/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The source `directory`: the manifests of a folder (*.yaml, *.yml, *.json; not below it; hidden
 * files and editors' copies aside), followed with inotify. A file counts when its writer closes it
 * or moves it here, or 2 s after the last write to one that stays open.
 *
 * Of a file that can't be parsed the last good content stays. Where a file was never good in this
 * process, nothing is taken out of etcd that an earlier process may have read from it. A folder
 * that vanishes takes nothing along; it is waited for, and read 2 s after it is back. Two objects
 * of one name: the first file in alphabetical order wins, and the other is reported. Namespaces
 * that are used but not declared are implied.
 */
#include <event2/event.h>

#include "ksr/intake.h"

struct source_dir;
int source_dir_new(struct event_base *base, const char *path, struct intake *in,
		   struct source_dir **ret, struct err *e);
void source_dir_free(struct source_dir *s); /* accepts NULL */

struct source_dir_stats {
	uint64_t scans;
	size_t files, broken;
	bool present; /* the folder is there */
};
const struct source_dir_stats *source_dir_stats(const struct source_dir *s);
