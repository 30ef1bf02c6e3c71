BPF_OBJS += loom_tc loom_sock
