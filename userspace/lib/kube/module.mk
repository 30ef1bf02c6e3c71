# Programs that use it link with -lcurl -levent -ljson-c -lyaml -lcrypto.
LIB_SRCS += $(addprefix userspace/lib/kube/,client.c config.c elect.c kubeconfig.c reflector.c text.c)
