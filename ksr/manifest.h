/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A file of manifests, YAML (several documents) or JSON, to reduced objects, with what an API
 * server would have added: the namespace "default", a uid (made of kind and name, so that it
 * stays), a resourceVersion (made of the content), and the defaults that agents rely on. Lists
 * (`kind: List`, `PodList`) are taken apart. Pure; the text is hostile.
 */
#include "ksr/kinds.h"
#include "lib/base/err.h"

struct manifest_object {
	enum kind kind;
	char *key, *value;	     /* value NULL: it can't be read; keep what was there */
	char name_space[64];	     /* "" for cluster-scoped ones */
	unsigned int document, line; /* from 1; the line where the document starts */
};

struct manifest {
	struct manifest_object *objects;
	size_t n, cap;
};
void manifest_clear(struct manifest *m);

/* -EINVAL: not YAML; names document and line; nothing is returned then. Objects that are wrong in
 * themselves go to `bad`, and the others are returned. Kinds that aren't reflected are left out. */
int manifest_parse(const char *text, size_t len, struct manifest *ret,
		   void (*bad)(enum kind kind, const struct err *e, void *arg), void *arg,
		   struct err *e);
/* A Namespace that nobody declared. */
int manifest_implied_namespace(const char *name, struct manifest_object *ret);
