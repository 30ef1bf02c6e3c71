/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Which addresses the blocks of a rule are about, all excepts cut out: spans that are sorted and do
 * not touch, so that one of thousands of blocks is found in a few steps. Made once, for rules that
 * are asked about every pod.
 */
#include "agent/modules/policy/object.h"

/* Fills rule->spans. 0 or -ENOMEM. */
int rule_find_spans(struct rule *rule);
/* Some block has it, and none of its own excepts. */
bool rule_reaches(const struct rule *rule, const union loom_addr *addr);
