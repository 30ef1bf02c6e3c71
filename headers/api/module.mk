PROTOS += headers/api/cni.proto
