# Programs that use it link with -lcurl -levent.
LIB_SRCS += userspace/lib/http/client.c userspace/lib/http/call.c userspace/lib/http/setup.c
