/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The names that CNI carries, judged alike by the CNI binary and the agent (CNI specification
 * 1.1.0, "Parameters" and "Network configuration"). No state; any thread.
 */
#include <stdbool.h>

/* [a-zA-Z0-9][a-zA-Z0-9_.-]*: container ids and network names. */
bool cni_identifier_valid(const char *s);
/* What Linux takes for an interface name: 1 to 15 bytes, no '/', ':', blanks, not "." or "..". */
bool cni_ifname_valid(const char *s);
