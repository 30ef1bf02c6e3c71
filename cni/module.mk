PROGS += netloom-cni
netloom-cni_SRCS := cni/main.c cni/params.c cni/spool.c
# Static, so that it runs on whatever the host is; sanitizers need a dynamic one.
netloom-cni_LDFLAGS = -Wl,--gc-sections $(if $(SAN),,-static)
netloom-cni_LIBS := -lnghttp2 -lprotobuf-c -ljson-c
