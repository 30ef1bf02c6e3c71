/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Inside of lib/config: one value, and the words for it. */
#include "lib/config/config.h"

/* Puts `value` where the field says, replacing nothing (the field must be zero). The message has no
 * path in front. */
int config_value_set(const struct config_field *f, struct json_object *value, void *cfg,
		     struct err *e);
void config_value_free(const struct config_field *f, void *cfg);

/* "1h30m" and the like, in milliseconds. */
int config_duration_parse(const char *text, int64_t *ret_ms);
