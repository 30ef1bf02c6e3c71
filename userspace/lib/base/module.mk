LIB_SRCS += userspace/lib/base/addr.c userspace/lib/base/addr_legacy.c userspace/lib/base/chore.c userspace/lib/base/clock.c \
	userspace/lib/base/err.c userspace/lib/base/folders.c userspace/lib/base/log.c userspace/lib/base/name.c userspace/lib/base/utf8.c
