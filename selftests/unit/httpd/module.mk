UNIT_TESTS += test_httpd
test_httpd_SRCS := selftests/unit/httpd/test_httpd.c
test_httpd_LIBS := -levent -ljson-c -lm
