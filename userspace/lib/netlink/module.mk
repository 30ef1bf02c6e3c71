LIB_SRCS += $(addprefix userspace/lib/netlink/,socket.c attr.c netns.c netns_path.c link.c address.c route.c monitor.c settle.c)
