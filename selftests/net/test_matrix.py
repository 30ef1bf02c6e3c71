# SPDX-License-Identifier: Apache-2.0
"""Everybody reaches everybody: every pair of three nodes x {pod, host, outside} x {v4, v6} x transport."""
import json

import pytest
from cluster import Cluster

NODES = ("node1", "node2", "node3")
PODS = [(f"{letter}{node[4:]}", node) for node in NODES for letter in "ab"]


class World:
    def __init__(self, cluster, transport):
        self.cluster, self.transport = cluster, transport
        cluster.pods(*PODS)
        self.addresses = {name: cluster.ips(name) for name, _ in PODS}
        for node in cluster.get("nodes")["items"]:
            self.addresses[node["metadata"]["name"]] = [
                a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP"
            ]
        links = json.loads(
            cluster.demo("external", "--", "ip", "-j", "addr", "show", "dev", "eth0").stdout
        )
        self.addresses["external"] = [
            a["local"] for a in links[0]["addr_info"] if a["scope"] == "global"
        ]
        for where in self.addresses:
            cluster.peer(where)

    def address(self, where, family):
        return next(a for a in self.addresses[where] if (":" in a) == (family == "v6"))

    def pairs(self):
        pods, node_of = [name for name, _ in PODS], dict(PODS)
        for source in pods:
            yield from ((source, target) for target in pods if target != source)
            yield from ((source, node) for node in NODES)
            yield from ((node, source) for node in NODES)
            yield source, "external"
            if self.transport == "native":
                yield "external", source
        yield from (("external", node) for node in NODES)
        self.node_of = node_of

    def expected_source(self, source, target, family):
        """What the other side must see, or None when that is not netloom's to say."""
        pods = dict(PODS)
        if source in pods and target in pods:
            return self.address(source, family)
        if source in pods and target == "external":
            return self.address(pods[source], family)
        if source == "external":
            return self.address(source, family)
        return None


@pytest.fixture(scope="module", params=["vxlan", "native"])
def world(request):
    with Cluster("--nodes", "3", "--transport", request.param, "--family", "dual") as cluster:
        yield World(cluster, request.param)


@pytest.mark.parametrize("family", ["v4", "v6"])
@pytest.mark.parametrize("op", ["ping", "tcp", "udp", "bulk", "pmtu"])
def test_every_pair_reaches_each_other(world, family, op):
    calls = []
    for source, target in world.pairs():
        peer, to = world.cluster.peer(source), world.address(target, family)
        calls.append((source, target, peer, peer.call(op, to)))
    wrong = []
    for source, target, peer, number in calls:
        value, error = peer.result(number)
        want = world.expected_source(source, target, family) if op in ("tcp", "bulk") else None
        if error:
            wrong.append(f"{source} -> {target}: {error}")
        elif want and value != want:
            wrong.append(f"{source} -> {target}: it saw {value}, not {want}")
        elif op == "pmtu" and not 1280 <= value <= 1500:
            wrong.append(f"{source} -> {target}: path MTU {value}")
    assert not wrong, f"{len(wrong)} of {len(calls)} pairs:\n" + "\n".join(wrong)


@pytest.mark.unless(case=lambda world: world == "native")  # there they are reachable
def test_outside_cannot_reach_pods_through_an_overlay(world):
    _, error = world.cluster.peer("external").ask("tcp", world.address("a1", "v4"))
    assert error
