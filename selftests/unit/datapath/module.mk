UNIT_TESTS += test_datapath
test_datapath_SRCS = $(addprefix selftests/unit/datapath/,test_datapath.c test_drops.c test_items.c test_mapdef.c test_objects.c test_xdp.c fixture.c) $(datapath_CORE)
test_datapath_LIBS := -lbpf -lelf -lz -levent -ljson-c -lmnl
UNIT_TESTS += test_sock
test_sock_SRCS := $(addprefix selftests/unit/datapath/,test_sock.c sock_place.c) userspace/agent/modules/datapath/sockets.c
test_sock_LIBS := -lbpf -lelf -lz -lmnl
