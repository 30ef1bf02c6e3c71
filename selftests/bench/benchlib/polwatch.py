# SPDX-License-Identifier: Apache-2.0
"""Runs on a node: writes pods and policies into etcd as ksr would, and watches the node's policy maps.

usage: polwatch.py ETCD-URL     one JSON object a line on standard input, an answer for each on standard output

  {"op": "fill", "pods": N, "policies": N}    N pods of 100 namespaces; a tenth of the policies is about this cluster's pods
  {"op": "change", "to": TEXT}                one policy about all pods of namespace default: when it was put
  {"op": "gen"}                               loom_state.policy_gen
  {"op": "await", "gen": N}                   when it was another one
  {"op": "idents", "n": N}                    until so many addresses have an identity: CLOCK_BOOTTIME then
"""
import ctypes
import json
import struct
import sys
import time

from mapwatch import BATCH, LOOKUP, LOOKUP_BATCH, OBJ_GET, Etcd, attribute, bpf, put

MAPS = "/sys/fs/bpf/netloom/maps/"
STATE_SIZE = 72
IDENT = (24, 4)


def opened(name):
    path = ctypes.create_string_buffer((MAPS + name).encode())
    fd = bpf(OBJ_GET, attribute("=QII", ctypes.addressof(path), 0, 0))
    if fd < 0:
        raise OSError(-fd, name)
    return fd


class State:
    def __init__(self):
        self.key, self.value = ctypes.create_string_buffer(4), ctypes.create_string_buffer(STATE_SIZE + 64)
        self.fd = opened("loom_state")
        self.lookup = attribute("=I4xQQQ", self.fd, ctypes.addressof(self.key), ctypes.addressof(self.value), 0)

    def gen(self):
        if bpf(LOOKUP, self.lookup) < 0:
            raise OSError("loom_state")
        return struct.unpack_from("=I", self.value)[0]


def count(fd, key_size, value_size):
    """Entries of a hash."""
    at, after = ctypes.create_string_buffer(8), ctypes.create_string_buffer(8)
    keys, values = ctypes.create_string_buffer(BATCH * key_size), ctypes.create_string_buffer(BATCH * value_size)
    found, first, done = 0, True, 0
    while done == 0:
        attr = attribute("=QQQQIIQQ", 0 if first else ctypes.addressof(at), ctypes.addressof(after),
                         ctypes.addressof(keys), ctypes.addressof(values), BATCH, fd, 0, 0)
        done = bpf(LOOKUP_BATCH, attr)
        found += struct.unpack_from("=I", attr, 32)[0] if done in (0, -2) else 0
        at.raw, first = after.raw, False
    return found


def policy(where, name, pods, peer):
    rule = {"from": [peer], "ports": [{"protocol": "TCP", "port": 80}]}
    return {f"/netloom/k8s/networkpolicy/{where}/{name}": {
        "metadata": {"namespace": where, "name": name},
        "spec": {"podSelector": pods, "policyTypes": ["Ingress"], "ingress": [rule]}}}


def peer_of(i):
    return {"namespaceSelector": {"matchLabels": {"team": f"t{i % 100}"}},
            "podSelector": {"matchLabels": {"app": f"a{i % 50}"}}}


def objects(pods, policies):
    for n in range(100):
        yield {f"/netloom/k8s/namespace/big-{n}": {"metadata": {"name": f"big-{n}", "labels": {"team": f"t{n}"}}}}
    for i in range(pods):
        where, ip = f"big-{i % 100}", f"10.{200 + (i >> 16)}.{i >> 8 & 255}.{i & 255}"
        yield {f"/netloom/k8s/pod/{where}/p{i}": {
            "metadata": {"namespace": where, "name": f"p{i}", "uid": f"u{i}",
                         "labels": {"app": f"a{i // 100 % 50}", "pod-template-hash": f"{i // 100 % 50:08x}"}},
            "spec": {"nodeName": f"big-node-{i % 200}", "containers": [{"ports": [{"name": "web", "containerPort": 80}]}]},
            "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}}}
    for i in range(policies):
        where = "default" if i % 10 == 0 else f"big-{i % 100}"
        yield policy(where, f"big-{i}", {} if where == "default" else {"matchLabels": {"app": f"a{i % 50}"}}, peer_of(i))


class Node:
    def __init__(self, url):
        self.etcd, self.state = Etcd(url), State()

    def fill(self, pods, policies):
        batch = {}
        for one in objects(pods, policies):
            batch.update(one)
            if len(batch) == 100:
                self.write(batch)
                batch = {}
        self.write(batch)

    def write(self, batch):
        self.etcd.send("txn", {"success": [{"requestPut": put(k, v)} for k, v in batch.items()]})
        self.etcd.answer()

    def change(self, to):
        ((key, value),) = policy("default", "measured", {}, {"podSelector": {"matchLabels": {"to": to}}}).items()
        start = time.monotonic()
        self.etcd.send("put", put(key, value))
        self.etcd.answer()
        return start

    def gen(self):
        return self.state.gen()

    def await_gen(self, gen):
        deadline = time.monotonic() + 10
        while self.state.gen() == gen:
            if time.monotonic() > deadline:
                raise TimeoutError("no change of policy_gen")
            time.sleep(50e-6)
        return time.monotonic()

    def idents(self, n):
        fd, deadline = opened("loom_ident"), time.monotonic() + 120
        while (found := count(fd, *IDENT)) < n:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{found} of {n} addresses have an identity")
            time.sleep(0.02)
        return time.clock_gettime(time.CLOCK_BOOTTIME)


def main():
    node = Node(sys.argv[1])
    ops = {"fill": node.fill, "change": node.change, "gen": node.gen, "await": node.await_gen, "idents": node.idents}
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(ops[order.pop("op")](**order)), flush=True)


if __name__ == "__main__":
    main()
