/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What an API server fills into objects before it stores them, as far as agents rely on it
 * (pkg/apis/.../defaults.go of Kubernetes 1.36). Fields of wrong types are left alone: the shape
 * refuses them later. */
#include <json-c/json.h>

#include "ksr/kinds.h"

/* 0 or -ENOMEM. */
int defaults_fill(enum kind kind, struct json_object *obj);
