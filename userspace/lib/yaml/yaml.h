/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * YAML 1.1 (libyaml), or JSON, which is a subset, into json-c trees. Plain scalars resolve as
 * Kubernetes' YAML does: null/~/empty -> null, true/false, integers, floats; everything else, and
 * everything quoted, is a string. "yes", "on", and the like stay strings (as sigs.k8s.io/yaml with
 * strict types would need them quoted anyway). Merge keys (<<) and anchors/aliases are supported
 * with a bound on the expanded size ("billion laughs"); duplicate keys are an error that names line
 * and key.
 */
#include <json-c/json.h>

#include "lib/base/err.h"

struct yaml_limits {
	size_t max_bytes;	/* of text; 0 = 16 MiB */
	size_t max_nodes;	/* after alias expansion; 0 = 1,000,000 */
	unsigned int max_depth; /* 0 = 256 */
};

/* All documents of a stream; empty documents are skipped. On failure nothing is returned. `ret` is
 * a JSON array. */
int yaml_parse(const char *text, size_t len, const struct yaml_limits *limits,
	       struct json_object **ret, struct err *e);
/* Document by document: `fn` gets each good one with its index and line; a broken one ends the
 * stream with the error. */
int yaml_parse_each(const char *text, size_t len, const struct yaml_limits *limits,
		    int (*fn)(struct json_object *doc, unsigned int index, unsigned int line,
			      void *arg),
		    void *arg, struct err *e);
