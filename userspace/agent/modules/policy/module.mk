# SPDX-License-Identifier: Apache-2.0
policy_CORE := $(addprefix userspace/agent/modules/policy/,strs.c labels.c portmap.c identity.c peers.c object.c \
	object_policy.c object_cluster.c reach.c rules.c lists.c setmap.c classes.c polmaps.c ruleset.c ruleset_idents.c ruleset_classes.c \
	ruleset_keep.c) userspace/agent/modules/services/slots.c
policy_CORE += $(addprefix userspace/agent/modules/policy/,world.c world_addrs.c world_pods.c world_commit.c world_rules.c \
	world_again.c world_keep.c)
policy_AGENT := $(addprefix userspace/agent/modules/policy/,denied.c find.c kmaps.c policy.c show.c verdict.c words.c)
AGENT_SRCS += $(filter-out %/slots.c,$(policy_CORE)) $(policy_AGENT)
