datapath_CORE := $(addprefix userspace/agent/modules/datapath/,attach.c attach_items.c build.c cgroup.c clsact.c \
	ctgc.c denied.c drops.c embed.c epnum.c image.c items.c loaded.c loader.c \
	mapdef.c put.c sockets.c xdp.c)
AGENT_SRCS += $(datapath_CORE) $(addprefix userspace/agent/modules/datapath/,datapath.c services.c view.c)
