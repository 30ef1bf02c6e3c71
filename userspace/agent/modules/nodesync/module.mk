AGENT_SRCS += $(addprefix userspace/agent/modules/nodesync/,nodesync.c items.c find.c show.c claim.c peers.c holders.c \
	node_object.c)
