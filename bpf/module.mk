BPF_OBJS += loom_tc loom_sock loom_xdp
