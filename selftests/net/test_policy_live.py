# SPDX-License-Identifier: Apache-2.0
"""NetworkPolicy with real sockets: cases of selftests/data/networkpolicy, at least one for each of its tags,
between nine pods on three nodes; SCTP by packets of its own making. The unit tests hold all 230 of them
against the native core.
"""
import json
import os

import pytest
from cluster import HERE, Cluster
from policies import Pods, namespace, server

DATA = os.path.join(os.path.dirname(HERE), "data", "networkpolicy", "cases.json")
# Together they have every tag.
CASES = (1, 4, 11, 22, 36, 70, 123, 134, 145, 149, 179, 193, 195, 196, 197, 198, 199, 200, 216, 230)
NAMESPACES = ("x", "y", "z")
NODES = {"a": "node1", "b": "node2", "c": "node3", "d": "node1"}
PORTS = (80, 81)
KIND = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}  # some cases leave it out
# The data's addresses of pods, and the demo's: one block with all of them within another.
BLOCKS = {"192.168.242.0/24": "10.0.0.0/8", "192.168.242.240/28": "10.244.0.0/16"}


def served(where, name, labels):
    """A pod that names its ports as the cases do."""
    named = [
        {"name": f"serve-{port}-{p.lower()}", "containerPort": port, "protocol": p}
        for port in PORTS
        for p in ("TCP", "UDP", "SCTP")
    ]
    return server(where, name, NODES[name], labels, PORTS, named)


class World(Pods):
    def __init__(self, net):
        super().__init__(net)
        net.apply(*(namespace(n, {"ns": n}) for n in NAMESPACES))
        pods = (served(n, p, {"pod": p}) for n in NAMESPACES for p in ("a", "b", "c"))
        self.add(*pods, sctp=PORTS)

    def set_labels(self, kind, where, labels):
        found = json.loads(self.net.kubectl("get", kind, *where, "-o", "json"))
        kept = ("kubernetes.io/metadata.name",)
        old = {k: None for k in found["metadata"]["labels"] if k not in kept}
        patch = json.dumps({"metadata": {"labels": {**old, **labels}}})
        self.net.kubectl("patch", kind, *where, "--type=merge", "-p", patch)

    def act(self, action):
        ((what, how),) = action.items()
        if what in ("CreatePolicy", "UpdatePolicy"):
            self.net.apply({**KIND, **how["Policy"]})
        elif what == "DeletePolicy":
            self.net.kubectl("delete", "networkpolicy", "-n", how["Namespace"], how["Name"])
        elif what == "CreateNamespace":
            self.net.apply(namespace(how["Namespace"], how["Labels"]))
        elif what == "SetNamespaceLabels":
            self.set_labels("namespace", [how["Namespace"]], how["Labels"])
        elif what == "DeleteNamespace":
            self.part(*(p for p in list(self.ips) if p.startswith(how["Namespace"] + "/")))
            self.net.kubectl("delete", "namespace", how["Namespace"])
        elif what == "CreatePod":
            self.add(served(how["Namespace"], how["Pod"], how["Labels"]), sctp=PORTS)
        elif what == "SetPodLabels":
            self.set_labels("pod", ["-n", how["Namespace"], how["Pod"]], how["Labels"])
        elif what == "DeletePod":
            self.part(f"{how['Namespace']}/{how['Pod']}")
            where = ["-n", how["Namespace"], how["Pod"]]
            self.net.kubectl("delete", "pod", "--grace-period=0", *where)
        else:
            raise AssertionError(f"unknown action {what}")


def expectations(step, families):
    """cell -> allowed, in the nesting of the data; nobody asks itself."""
    cells = {}
    bits = iter(zip(step["ingress"], step["egress"]))
    for source in step["pods"]:
        for to in step["pods"]:
            for port in step["ports"]:
                allowed = next(bits) == ("1", "1")
                proto, number = port.split("/")
                if source == to:
                    continue
                for family in families:
                    cells[source, to, proto, int(number), family] = allowed
    return cells


def cases():
    with open(DATA, encoding="utf-8") as file:
        known = {c["id"]: c for c in json.load(file)}
    tags = {t for c in known.values() for t in c["tags"]}
    assert tags == {t for i in CASES for t in known[i]["tags"]}
    return [known[i] for i in CASES]


@pytest.fixture(scope="module")
def world():
    with Cluster("--nodes", "3") as net:
        yield World(net)


@pytest.mark.parametrize("case", cases(), ids=lambda c: str(c["id"]))
def test_a_case_holds_for_real_connections(world, case):
    text = json.dumps(case["steps"])
    families = ("v4",) if "ipBlock" in text else ("v4", "v6")
    for theirs, ours in BLOCKS.items():
        text = text.replace(theirs, ours)
    try:
        for number, step in enumerate(json.loads(text)):
            for action in step["actions"]:
                world.act(action)
            world.expect(expectations(step, families), f"step {number}")
    finally:
        world.clean("networkpolicy")
