UNIT_TESTS += test_yaml
test_yaml_SRCS := selftests/unit/yaml/test_yaml.c
test_yaml_LIBS := -lyaml -ljson-c -lm
