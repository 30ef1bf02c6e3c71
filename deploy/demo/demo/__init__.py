# SPDX-License-Identifier: Apache-2.0
"""The demo cluster: network namespaces as nodes, and as much of Kubernetes as a network needs."""
