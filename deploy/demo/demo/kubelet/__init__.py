# SPDX-License-Identifier: Apache-2.0
"""A stand-in of kubelet: runs inside a node's namespaces, calls CNI plugins, starts processes."""
