BPF_OBJS += loom_tc
