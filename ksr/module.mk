# Everything but main.c; tests use the parts too.
KSR_SRCS := $(addprefix ksr/,alive.c api.c config.c defaults.c endpoints.c fence.c folder.c intake.c kinds.c ksr.c lead.c lock.c manifest.c \
	reduce.c shape.c source_dir.c source_kube.c table.c writer.c)
KSR_LIBS := -lcurl -ljson-c -levent -lyaml -lcrypto -lm
PROGS += netloom-ksr
netloom-ksr_SRCS = ksr/main.c $(KSR_SRCS)
netloom-ksr_LIBS = $(KSR_LIBS)
