/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Names as Kubernetes checks them (RFC 1123, lower case): letters and digits, and '-' inside of a
 * label; a subdomain is one label or several, joined by dots.
 */
#include "lib/base/util.h"

#define NAME_MAX_LABEL	   63
#define NAME_MAX_SUBDOMAIN 253

bool name_is_label(const char *s);
bool name_is_subdomain(const char *s);
