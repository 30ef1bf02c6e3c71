# SPDX-License-Identifier: Apache-2.0
"""A small Kubernetes API server: enough REST for kubectl, controllers, a kubelet and netloom-ksr.

resources  what kinds there are, built-in and of CRDs
store      objects, versions, watch history, journal
rest       verbs on paths: create, update, patch, scale, bind
deletion   grace periods and finalizers
listing    list with limit and continue, watch with bookmarks
defaults   what the API fills in, and what it refuses
services   address families, cluster IPs, node ports
selectors  label and field selectors
patch      json, merge and strategic patches
apply      server-side apply
table      what `kubectl get` prints
openapi    the little of it that kubectl asks for
protobuf   bodies of `kubectl create`
http       the wire: TLS, tokens, chunked watches
"""
