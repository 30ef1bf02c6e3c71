/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One resource of an API server, listed and then watched for ever, as client-go's reflector does:
 *
 *   list    pages of 500 at resourceVersion "" (the newest: an older answer would turn back what a
 *           predecessor has passed on); the version of the list is where the watch begins
 *   watch   with bookmarks, 5 to 10 minutes each; a stream that ends, or breaks when it is older
 *           than a second, is taken up at the last version; 410 in any form lists anew, and so do
 *           five failures in a row
 *   failure waits 0.8 s to 30 s with jitter, or as long as Retry-After says
 *
 * A resource that the server does not have (404) is tried under its other paths, then reported and
 * asked for again after 2 s, and from then on each 15 s, reported each time. Single-threaded, on
 * the loop. Callbacks may not free the reflector.
 */
#include <json-c/json.h>

#include "lib/kube/client.h"

#define KUBE_MAX_PATHS 3

struct kube_reflector_ops {
	/* A list begins; the one before, if it did not end, is void. */
	void (*on_list)(void *arg);
	void (*on_item)(struct json_object *obj, void *arg);
	/* Whole: what was not named since on_list() is gone. */
	void (*on_listed)(const char *revision, void *arg);
	/* Of a watch. Events may repeat. */
	void (*on_change)(struct json_object *obj, bool deleted, void *arg);
	/* Something that can't be read as an object was passed over. */
	void (*on_bad)(const struct err *e, void *arg);
	/* A list or a watch failed and is tried again; `missing`: the server has no such resource.
	 */
	void (*on_trouble)(const struct err *e, bool missing, void *arg);
};

struct kube_reflector_stats {
	uint64_t lists, watches, restarts, changes, failures;
	bool watching, missing;
};

struct kube_reflector;
/* `paths`: "/api/v1/pods", NULL-terminated, best first; kept by reference. Starts at once. */
int kube_reflector_new(struct event_base *base, struct kube *k, const char *const *paths,
		       const struct kube_reflector_ops *ops, void *arg,
		       struct kube_reflector **ret);
void kube_reflector_free(struct kube_reflector *r); /* accepts NULL */
const struct kube_reflector_stats *kube_reflector_stats(const struct kube_reflector *r);
