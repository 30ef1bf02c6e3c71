UNIT_TESTS += test_http
test_http_SRCS := selftests/unit/http/test_http.c selftests/lib/fakehttp.c selftests/lib/etcd.c
test_http_LIBS := -lcurl -levent
