# SPDX-License-Identifier: Apache-2.0
"""ClusterNetworkPolicy with real sockets: cases of selftests/data/clusternetworkpolicy, at least one for each
feature and tier. The unit tests hold all of them against the native core.
"""
import json
import os
import re

import pytest
from cluster import HERE, Cluster
from policies import Pods, namespace, server

DATA = os.path.join(os.path.dirname(HERE), "data", "clusternetworkpolicy")
# Named ports, node peers, CIDR peers, SCTP, both directions, tiers together, priorities; Admin, then Baseline.
CASES = (1, 2, 3, 4, 7, 12, 13, 15, 16, 17, 21, 22)


def load(name):
    with open(os.path.join(DATA, name), encoding="utf-8") as file:
        return json.load(file)


def made(one):
    ports = sorted({p["port"] for p in one["listens"] if p["protocol"] != "SCTP"})
    node = "node1" if one["name"].endswith("0") else "node2"
    spec = {"hostNetwork": True} if one["hostNetwork"] else {}
    named = [] if one["hostNetwork"] else one["containerPorts"]
    return server(one["namespace"], one["name"], node, one["labels"], ports, named, **spec)


@pytest.fixture(scope="module")
def world():
    described = load("world.json")
    with Cluster("--nodes", "2") as net:
        for node in ("node1", "node2"):
            labels = [f"{k}={v}" for k, v in described["nodes"]["labels"].items()]
            net.kubectl("label", "--overwrite", "node", node, *labels)
        net.apply(*(namespace(n["name"], n["labels"]) for n in described["namespaces"]))
        pods = Pods(net)
        for one in described["pods"]:
            pods.add(made(one), sctp=[p["port"] for p in one["listens"] if p["protocol"] == "SCTP"])
        pods.namespaces = described["namespaces"]
        yield pods


def act(world, action):
    ((what, how),) = action.items()
    if what == "Delete":
        where = ["-n", how["namespace"]] if how.get("namespace") else []
        world.net.kubectl("delete", how["kind"].lower(), *where, how["name"])
    elif how["kind"] == "Namespace":
        patch = json.dumps({"metadata": {"labels": how["metadata"]["labels"]}})
        name = how["metadata"]["name"]
        world.net.kubectl("patch", "namespace", name, "--type=merge", "-p", patch)
    else:
        world.net.apply(how)


@pytest.mark.parametrize(
    "case", [c for c in load("cases.json") if c["id"] in CASES], ids=lambda c: c["test"]
)
def test_a_case_holds_for_real_connections(world, case):
    address = lambda match: world.ips[match[1]]["v4"]  # noqa: E731
    steps = json.loads(re.sub(r"\$\{podIP:([^}]*)\}", address, json.dumps(case["steps"])))
    try:
        for step in steps:
            for action in step["actions"]:
                act(world, action)
            wanted = {}
            for p in step["probes"]:
                cell = (p["from"], p["to"].removeprefix("podIP:"), p["protocol"], p["port"])
                wanted[(*cell, "v4")] = p["allow"]
            world.expect(wanted, step["description"])
    finally:
        world.clean("networkpolicy", "clusternetworkpolicy")
        for one in world.namespaces:
            act(world, {"Replace": {"kind": "Namespace", "metadata": one}})
