/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a verdict of the data plane was about, for people: an event of loom_events has numbers, and
 * the rules that the maps had at that moment are known by name here, as long as nothing has
 * changed. So it is to be asked as soon as the event comes in.
 */
#include <json-c/json.h>

#include "agent/modules/policy/world.h"

/*
 * {"pod", "peerName", "policies": ["networkpolicy ns/name", …], "why"} of an event whose `judged`
 * is set: those that isolate the pod in that direction, or the one whose rule denies, at most
 * VERDICT_POLICIES; fields that nobody knows are absent. "why" is a sentence with all of it. NULL:
 * out of memory.
 */
#define VERDICT_POLICIES 8
#define VERDICT_RULE \
	500 /* bytes of a rule's text: a pod may send as many denied packets as it likes */
struct json_object *verdict_json(const struct world *w, const struct loom_event *ev);
/*
 * {"pod", "direction", "peer": {"address", "scope", "pod" | "node"}, "port", "protocol", "reason",
 * "logged", "policies", "because"} of a key of loom_denied: names, and "because", which is the end
 * of the sentence above, are of now, and may be others than when it was denied. "pod", "scope" (0)
 * and "port" may be absent. NULL: out of memory.
 */
struct json_object *verdict_denied(const struct world *w, const struct loom_deniedkey *k);
