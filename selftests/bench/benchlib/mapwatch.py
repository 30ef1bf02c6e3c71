# SPDX-License-Identifier: Apache-2.0
"""Runs on a node: writes Services and EndpointSlices into etcd and watches the node's frontends for them.

usage: mapwatch.py ETCD-URL     one JSON object a line on standard input, an answer for each on standard output

  {"op": "fill", "services": N, "endpoints": N}     puts them as ksr would reflect them
  {"op": "clear"}                                   removes them all
  {"op": "wait", "services": N, "endpoints": N}     until so many have that many: CLOCK_BOOTTIME then
  {"op": "changes", "services": N, "runs": N}       one endpoint more or less, of one service after the other:
                                                    [ms until the map says so, ms until etcd said so]
"""
import base64
import ctypes
import http.client
import json
import os
import random
import struct
import sys
import time
import urllib.parse

FRONTENDS = "/sys/fs/bpf/netloom/maps/loom_svc"
SYS_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
OBJ_GET, LOOKUP, LOOKUP_BATCH = 7, 1, 24
BATCH = 4096
KEY, VALUE = struct.Struct("=16sHBBI"), struct.Struct("=8I")  # struct loom_svckey, struct loom_svc
IN_SIZE = 3
NODE = "node1"

libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attr):
    done = libc.syscall(SYS_BPF, command, ctypes.byref(attr), len(attr))
    return done if done >= 0 else -ctypes.get_errno()


def attribute(fmt, *fields):
    return ctypes.create_string_buffer(struct.pack(fmt, *fields).ljust(64, b"\0"), 64)


class Frontends:
    def __init__(self):
        path = ctypes.create_string_buffer(FRONTENDS.encode())
        self.fd = bpf(OBJ_GET, attribute("=QII", ctypes.addressof(path), 0, 0))
        if self.fd < 0:
            raise OSError(-self.fd, FRONTENDS)
        self.key = ctypes.create_string_buffer(KEY.size)
        self.value = ctypes.create_string_buffer(VALUE.size)
        self.lookup = attribute("=I4xQQQ", self.fd, ctypes.addressof(self.key), ctypes.addressof(self.value), 0)

    def backends(self, key):
        """Slots of the frontend's table, which are as many as it has backends; -1 without a frontend."""
        self.key.raw = key
        return VALUE.unpack(self.value.raw)[IN_SIZE] if bpf(LOOKUP, self.lookup) == 0 else -1

    def count(self, endpoints):
        """Frontends that have so many backends."""
        at, after = ctypes.create_string_buffer(8), ctypes.create_string_buffer(8)
        keys = ctypes.create_string_buffer(BATCH * KEY.size)
        values = ctypes.create_string_buffer(BATCH * VALUE.size)
        found, first, done = 0, True, 0
        while done == 0:
            attr = attribute("=QQQQIIQQ", 0 if first else ctypes.addressof(at), ctypes.addressof(after),
                             ctypes.addressof(keys), ctypes.addressof(values), BATCH, self.fd, 0, 0)
            done = bpf(LOOKUP_BATCH, attr)
            n = struct.unpack_from("=I", attr, 32)[0] if done in (0, -2) else 0
            found += sum(v[IN_SIZE] == endpoints for v in VALUE.iter_unpack(values.raw[: n * VALUE.size]))
            at.raw, first = after.raw, False
        return found


def vip(i):
    return f"10.96.{64 + (i >> 8)}.{i & 255}"


def key_of(i):
    address = bytes(10) + b"\xff\xff" + bytes(int(b) for b in vip(i).split("."))
    return KEY.pack(address, struct.unpack("=H", struct.pack("!H", 80))[0], 6, 0, 0)


def meta(name, **labels):
    return {"namespace": "other", "name": name, "creationTimestamp": "2026-01-01T00:00:00Z", "labels": labels}


def service(i):
    return {"metadata": meta(f"s{i}", app=f"s{i}"),
            "spec": {"clusterIP": vip(i), "clusterIPs": [vip(i)], "type": "ClusterIP", "ipFamilies": ["IPv4"],
                     "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster", "selector": {"app": f"s{i}"},
                     "sessionAffinity": "None",
                     "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}]}}


def endpoint(i, k):
    n = i * 8 + k
    return {"addresses": [f"10.{128 + (n >> 16)}.{n >> 8 & 255}.{n & 255}"], "nodeName": NODE,
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "targetRef": {"kind": "Pod", "namespace": "other", "name": f"s{i}-{n:08x}",
                          "uid": f"00000000-0000-4000-8000-{n:012x}"}}


def slice_of(i, endpoints):
    return {"metadata": meta(f"s{i}-x", **{"kubernetes.io/service-name": f"s{i}",
                                           "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}),
            "addressType": "IPv4", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": [endpoint(i, k) for k in range(endpoints)]}


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def put(key, value):
    return {"key": encoded(key), "value": encoded(json.dumps(value, separators=(",", ":")))}


class Etcd:
    def __init__(self, url):
        self.http = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=30)

    def send(self, what, body):
        self.http.request("POST", f"/v3/kv/{what}", json.dumps(body))

    def answer(self):
        reply = self.http.getresponse()
        text = reply.read()
        if reply.status != 200:
            raise OSError(f"etcd: {reply.status} {text[:200]}")

    def fill(self, services, endpoints):
        for first in range(0, services, 60):
            pairs = []
            for i in range(first, min(first + 60, services)):
                pairs += [(f"/netloom/k8s/service/other/s{i}", service(i)),
                          (f"/netloom/k8s/endpointslice/other/s{i}-x", slice_of(i, endpoints))]
            self.send("txn", {"success": [{"requestPut": put(k, v)} for k, v in pairs]})
            self.answer()


def fill(etcd, maps, services, endpoints):
    etcd.fill(services, endpoints)


def clear(etcd, maps):
    for resource in ("service", "endpointslice"):
        first, last = f"/netloom/k8s/{resource}/other/", f"/netloom/k8s/{resource}/other0"
        etcd.send("deleterange", {"key": encoded(first), "range_end": encoded(last)})
        etcd.answer()


def wait(etcd, maps, services, endpoints):
    deadline = time.monotonic() + 120
    while maps.count(endpoints) != services:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{maps.count(endpoints)} of {services} services are programmed")
        time.sleep(0.02)
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def changes(etcd, maps, services, endpoints, runs):
    """Python's own part, a dozen µs a look, and its sleep of 50 µs between two looks are in the times."""
    times = []
    for i in random.Random(1).sample(range(services), runs):
        body, key = put(f"/netloom/k8s/endpointslice/other/s{i}-x", slice_of(i, endpoints + 1)), key_of(i)
        start = time.perf_counter()
        etcd.send("put", body)
        while maps.backends(key) != endpoints + 1:
            if time.perf_counter() > start + 10:
                raise TimeoutError(f"service {i} has {maps.backends(key)} backends")
            time.sleep(50e-6)
        end = time.perf_counter()
        etcd.answer()
        times.append([(end - start) * 1e3, (time.perf_counter() - start) * 1e3])
        etcd.send("put", put(f"/netloom/k8s/endpointslice/other/s{i}-x", slice_of(i, endpoints)))
        etcd.answer()
        while maps.backends(key) != endpoints:
            time.sleep(1e-3)
    return times


def main():
    etcd, maps = Etcd(sys.argv[1]), Frontends()
    for line in sys.stdin:
        order = json.loads(line)
        op = {"fill": fill, "clear": clear, "wait": wait, "changes": changes}[order.pop("op")]
        print(json.dumps(op(etcd, maps, **order)), flush=True)


if __name__ == "__main__":
    main()
