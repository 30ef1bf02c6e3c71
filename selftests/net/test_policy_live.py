# SPDX-License-Identifier: Apache-2.0
"""NetworkPolicy with real sockets: cases of selftests/data/networkpolicy, at least one for each of its tags,
between nine pods on three nodes. The unit tests hold all 230 of them against the native core.
"""
import json
import os

import pytest
from cluster import HERE, PYTHON, Cluster, poll, pod

DATA = os.path.join(os.path.dirname(HERE), "data", "networkpolicy", "cases.json")
# Together they have every tag.
CASES = (1, 4, 11, 22, 36, 70, 123, 134, 145, 149, 179, 193, 195, 196, 197, 198, 199, 200, 216, 230)
NAMESPACES = ("x", "y", "z")
NODES = {"a": "node1", "b": "node2", "c": "node3", "d": "node1"}
PORTS = (80, 81)
KIND = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}  # some cases leave it out
# The data's addresses of pods, and the demo's: one block with all of them within another.
BLOCKS = {"192.168.242.0/24": "10.0.0.0/8", "192.168.242.240/28": "10.244.0.0/16"}


def server(namespace, name, labels):
    """A pod that serves TCP and UDP on both ports and names them as the cases do."""
    made = pod(name, NODES[name])
    made["metadata"].update({"namespace": namespace, "labels": labels})
    made["spec"]["containers"] = [
        {
            "name": f"c{port}",
            "image": "python",
            "command": [PYTHON, os.path.join(HERE, "whoami.py"), f"{namespace}/{name}", str(port)],
            "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
            "ports": [
                {"name": f"serve-{port}-{p.lower()}", "containerPort": port, "protocol": p}
                for p in ("TCP", "UDP", "SCTP")
            ],
        }
        for port in PORTS
    ]
    return made


def namespace(name, labels):
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {**labels, "kubernetes.io/metadata.name": name}},
    }


class World:
    def __init__(self, net):
        self.net = net
        self.ips = {}
        net.apply(*(namespace(n, {"ns": n}) for n in NAMESPACES))
        self.add(*((n, p, {"pod": p}) for n in NAMESPACES for p in ("a", "b", "c")))

    def add(self, *pods):
        self.net.apply(*(server(*one) for one in pods))
        for where, name, _ in pods:
            self.net.kubectl(
                "wait", "-n", where, "--for=condition=Ready", "--timeout=30s", f"pod/{name}"
            )
            found = json.loads(self.net.kubectl("get", "pod", "-n", where, name, "-o", "json"))
            ips = [i["ip"] for i in found["status"]["podIPs"]]
            self.ips[f"{where}/{name}"] = {("v6" if ":" in i else "v4"): i for i in ips}
            self.net.client(f"{where}/{name}")

    def remove(self, *pods):
        for name in pods:
            self.net.part(name)
            del self.ips[name]

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
            self.remove(*(p for p in list(self.ips) if p.startswith(how["Namespace"] + "/")))
            self.net.kubectl("delete", "namespace", how["Namespace"])
        elif what == "CreatePod":
            self.add((how["Namespace"], how["Pod"], how["Labels"]))
        elif what == "SetPodLabels":
            self.set_labels("pod", ["-n", how["Namespace"], how["Pod"]], how["Labels"])
        elif what == "DeletePod":
            self.remove(f"{how['Namespace']}/{how['Pod']}")
            where = ["-n", how["Namespace"], how["Pod"]]
            self.net.kubectl("delete", "pod", "--grace-period=0", *where)
        else:
            raise AssertionError(f"unknown action {what}")

    def ask(self, cells):
        """Which of the cells (from, to, protocol, port, family) connect, all clients at once."""
        asked = {}
        for source in dict.fromkeys(c[0] for c in cells):
            own = [c for c in cells if c[0] == source]
            places = [[proto, self.ips[to][family], port] for _, to, proto, port, family in own]
            client = self.net.client(source)
            asked[source] = (client, own, client.call("batch", {"places": places, "timeout": 0.4}))
        found = {}
        for client, own, number in asked.values():
            answers, error = client.result(number)
            assert error is None, error
            for cell, (answer, _) in zip(own, answers):
                found[cell] = isinstance(answer, list) and answer[0] == cell[1]
        return found

    def clean(self):
        self.net.kubectl("delete", "networkpolicy", "--all", "-A")


def expectations(step, families):
    """cell -> allowed, in the nesting of the data; nobody asks itself, and there is no SCTP here."""
    cells = {}
    bits = iter(zip(step["ingress"], step["egress"]))
    for source in step["pods"]:
        for to in step["pods"]:
            for port in step["ports"]:
                allowed = next(bits) == ("1", "1")
                proto, number = port.split("/")
                if source == to or proto == "SCTP":
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
            wanted = expectations(step, families)
            wrong = dict(wanted)

            def settled():
                found = world.ask(list(wrong))
                for cell, allowed in found.items():
                    if wanted[cell] == allowed:
                        wrong.pop(cell, None)
                return not wrong

            poll(settled, 8, lambda: f"step {number}: {len(wrong)} of {len(wanted)}: {wrong}")
            found = world.ask(list(wanted))
            assert found == wanted, {c: v for c, v in found.items() if wanted[c] != v}
    finally:
        world.clean()
