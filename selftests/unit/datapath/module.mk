UNIT_TESTS += test_datapath
test_datapath_SRCS = $(addprefix selftests/unit/datapath/,test_datapath.c test_items.c fixture.c) $(datapath_CORE)
test_datapath_LIBS := -lbpf -lelf -lz -levent -ljson-c -lmnl
