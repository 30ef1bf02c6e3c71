# SPDX-License-Identifier: Apache-2.0
"""A small Kubernetes API server: enough REST for kubectl, controllers, a kubelet and netloom-ksr.

resources  what kinds there are (and what CRDs add)     store      objects, versions, watch history, journal
rest       verbs on paths                               http       the wire: TLS, tokens, chunked watches
defaults   what the API fills in, and refuses           selectors  label and field selectors
patch      json, merge and strategic patches            apply      server-side apply
table      what `kubectl get` prints                    openapi    the little of it that kubectl asks for
"""
