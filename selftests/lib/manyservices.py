#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes thousands of Services into etcd as ksr would reflect them; commands as of peer.py.

Each is `many/s<i>`, with a ClusterIP of its own (vip(i), port 80) and one slice, whose only endpoint is a pod's port 8080.
"""
import base64
import http.client
import json
import os
import sys
import urllib.parse

sys.dont_write_bytecode = True
import peer  # noqa: E402

PAIRS = 60  # a transaction: etcd takes 128 operations in one
CREATED = "2026-01-01T00:00:00Z"


def vip(i):
    return f"10.96.{64 + (i >> 8)}.{i & 255}"


def _objects(i, to):
    port = {"port": 80, "protocol": "TCP"}
    meta = {"namespace": "many", "name": f"s{i}", "creationTimestamp": CREATED}
    spec = {"type": "ClusterIP", "clusterIPs": [vip(i)], "ipFamilies": ["IPv4"], "ports": [port]}
    labels = {"kubernetes.io/service-name": f"s{i}"}
    end = {"addresses": [to["address"]], "nodeName": to["node"], "conditions": {"ready": True}}
    return {
        f"service/many/s{i}": {"metadata": meta, "spec": spec},
        f"endpointslice/many/s{i}-x": {
            "metadata": {**meta, "name": f"s{i}-x", "labels": labels},
            "addressType": "IPv4",
            "ports": [{**port, "port": 8080}],
            "endpoints": [end],
        },
    }


def _coded(text):
    return base64.b64encode(text.encode()).decode()


def _key(name):
    return {"key": _coded(f"/netloom/k8s/{name}")}


def _put(name, value):
    return {"requestPut": {**_key(name), "value": _coded(json.dumps(value))}}


def _in_transactions(to, operation):
    etcd = http.client.HTTPConnection(
        urllib.parse.urlsplit(os.environ["ETCDCTL_ENDPOINTS"]).netloc, timeout=30
    )
    start, end = to["range"]
    for first in range(start, end, PAIRS):
        names = {}
        for i in range(first, min(first + PAIRS, end)):
            names.update(_objects(i, to))
        body = {"success": [operation(name, value) for name, value in names.items()]}
        etcd.request("POST", "/v3/kv/txn", json.dumps(body))
        reply = etcd.getresponse()
        text = reply.read()
        if reply.status != 200:
            raise OSError(f"etcd: {reply.status} {text[:200]}")
    return end - start


def put(to):
    """Services of the numbers in `range`, whose backend is the pod with `address` on `node`."""
    return _in_transactions(to, _put)


def drop(to):
    return _in_transactions(to, lambda name, _: {"requestDeleteRange": _key(name)})


peer.OPERATIONS.update({"put": put, "drop": drop})

if __name__ == "__main__":
    peer.commands()
