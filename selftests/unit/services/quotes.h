/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* JSON in C sources, with ' for ". NULL when it is none. */
#include <json-c/json.h>

struct json_object *quoted_json(const char *text);
