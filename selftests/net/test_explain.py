# SPDX-License-Identifier: Apache-2.0
"""`netloom explain` says what real packets meet: pods, hosts and outside, by address and through services,
with and without policies."""
import json
import os
import random

import pytest
from cluster import Cluster, backend, build_dir, poll, service
from services import prepare, serves

NETLOOM = os.path.join(build_dir(), "netloom")
SERVERS = {"web-1": "node1", "web-2": "node2", "other-1": "node1", "other-2": "node2"}
CLIENTS = {"client": "node1", "web-1": "node1", "web-2": "node2", "node1": "node1", "node2": "node2"}
ONE_EACH = ("web-1", "web-2")  # backends of a service each: where there are more, one is taken at random
PORTS = {"TCP": (8080, 8081), "UDP": (8080, 8081)}
REAL_TIMEOUT = 1.0
GROUPS = {"client": "a", "web-1": "b", "web-2": "c", "other-1": "a", "other-2": "b"}


def of_groups(*groups):
    chosen = {"matchExpressions": [{"key": "group", "operator": "In", "values": [*groups]}]}
    return [{"podSelector": chosen}]


def ports(protocol, first=None, last=None):
    return [{"protocol": protocol, **({"port": first, "endPort": last} if first else {})}]


# What may hold for one direction of a pod: rules, without the word for the peer.
KINDS = (
    [],
    [{"ports": ports("TCP", 8080, 8080)}],
    [{"ports": ports("UDP")}, {"ports": ports("TCP", 80, 9000), "peers": of_groups("b")}],
    [{"peers": of_groups("a", "c")}],
    [{"peers": [{"ipBlock": {"cidr": "172.16.0.0/12"}}, {"ipBlock": {"cidr": "fd00::/8"}}]}],
)


class World:
    def __init__(self, cluster):
        self.net = cluster
        prepare(cluster)
        cluster.apply(
            *(backend(name, node) for name, node in SERVERS.items()),
            *(service(f"to-{name}", {"app": name}, type="NodePort") for name in ONE_EACH),
            service("empty"),
        )
        for name, group in GROUPS.items():
            cluster.kubectl("label", "pod", name, f"group={group}")
        cluster.ready(*SERVERS)
        for name in ONE_EACH:
            serves(cluster, f"to-{name}", name, nodes=("node1", "node2"))
        serves(cluster, "empty", nodes=("node1", "node2"))
        self.addresses = {name: cluster.ips(name) for name in ("client", *SERVERS)}
        for node in cluster.get("nodes")["items"]:
            found = [a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP"]
            self.addresses[node["metadata"]["name"]] = found
        self.addresses["external"] = ["172.31.0.10", "fd00:31::a"]
        self.node_ports = []
        for name in (*(f"to-{name}" for name in ONE_EACH), "empty"):
            spec = cluster.get("service", name)["spec"]
            self.addresses[name] = spec["clusterIPs"]
            self.node_ports += [spec["ports"][0]["nodePort"]] if name != "empty" else []
        for client in (*CLIENTS, "external"):
            cluster.client(client)

    def address(self, who, family):
        return next(a for a in self.addresses[who] if (":" in a) == (family == "v6"))

    def pairs(self):
        """(client, target, protocol, port, family): all that make sense."""
        found = []
        node_ports = [(n, p) for n in ("node1", "node2") for p in self.node_ports]
        for family in ("v4", "v6"):
            for protocol in PORTS:
                found += [("external", n, protocol, p, family) for n, p in node_ports]
            for client in CLIENTS:
                for protocol, ports in PORTS.items():
                    targets = [(name, port) for name in SERVERS if name != client for port in ports]
                    targets += [(f"to-{name}", 80) for name in ONE_EACH] + [("empty", 80)]
                    targets += node_ports
                    found += [(client, name, protocol, port, family) for name, port in targets]
        return found

    def explain(self, node, questions):
        """Answers to (from, to), in one go: a process for each would take a second."""
        lines = [
            f"{NETLOOM} explain -o json {source} {target} 2>&1; printf ' %d\\n' $?"
            for source, target in questions
        ]
        text, answers = self.net.node(node, "sh", "-c", "\n".join(lines)), []
        decoder, at = json.JSONDecoder(), 0
        while at < len(text):
            assert text[at] == "{", text[at : at + 300]
            answer, at = decoder.raw_decode(text, at)
            code, at = text[at:].split(maxsplit=1)[0], text.find("\n", text.index(" ", at)) + 1
            answer["code"] = int(code)
            answers.append(answer)
        assert len(answers) == len(questions), text
        return answers

    def predict(self, pairs):
        """What the nodes say of each: the answers along its way, which may come back to where it began."""
        ways = [[] for _ in pairs]
        first = lambda pair: CLIENTS.get(pair[0], pair[1])  # noqa: E731
        next_up = [(i, first(p), (self._who(p), self._place(p))) for i, p in enumerate(pairs)]
        while next_up:
            for node in ("node1", "node2"):
                mine = [(i, asked) for i, at, asked in next_up if at == node]
                for (i, _), answer in zip(mine, self.explain(node, [asked for _, asked in mine])):
                    ways[i].append(answer)
            asked = [(i, ways[i][-1].get("after")) for i, _, _ in next_up]
            next_up = [(i, a["node"], a["command"].split()[2:]) for i, a in asked if a]
            assert all(len(way) < 5 for way in ways), "a packet goes round in circles"
        return ways

    def _who(self, pair):
        if pair[0] == "external":
            return self.address("external", pair[4])
        return pair[0] if pair[0].startswith("node") else f"default/{pair[0]}"

    def _place(self, pair):
        _, target, protocol, port, family = pair
        return f"[{self.address(target, family)}]:{port}/{protocol}"

    def meet(self, pairs, timeout=REAL_TIMEOUT):
        """What real connections meet: a name of a backend, or of an error."""
        found = [None] * len(pairs)
        calls = []
        for client in (*CLIENTS, "external"):
            mine = [i for i, pair in enumerate(pairs) if pair[0] == client]
            places = []
            for i in mine:
                _, target, protocol, port, family = pairs[i]
                own = self.address(client, family) if client.startswith("node") else None
                places.append([protocol, self.address(target, family), port, own])
            to = {"places": places, "timeout": timeout}
            calls.append((client, mine, self.net.client(client).call("batch", to)))
        for client, mine, number in calls:
            answers, error = self.net.client(client).result(number, 120)
            assert error is None, (client, error)
            for i, (answer, _) in zip(mine, answers):
                found[i] = answer
        return found


def expected(way, port):
    """What a client meets after these answers: True: a backend, False: silence, or the error."""
    last = way[-1]
    if last["verdict"] == "allowed":
        return "ECONNREFUSED" if port == 8081 else True
    return "ECONNREFUSED" if last["reason"] == "svc_no_backend" else "timeout"


def compare(world, pairs):
    ways, met = world.predict(pairs), world.meet(pairs)
    slow = [i for i, pair in enumerate(pairs) if met[i] == "timeout" != expected(ways[i], pair[3])]
    for i, again in zip(slow, world.meet([pairs[i] for i in slow], 5 * REAL_TIMEOUT)):
        met[i] = again  # the machine may have been busy
    wrong, verdicts = [], {}
    for pair, way, real in zip(pairs, ways, met):
        want = expected(way, pair[3])
        real = True if isinstance(real, list) else real
        verdicts[way[-1]["verdict"]] = verdicts.get(way[-1]["verdict"], 0) + 1
        if want != real:
            steps = [s["text"] for answer in way for s in answer["steps"]]
            wrong.append(f"{pair}: met {real}, explained {want}: {steps}")
    print(f"{len(pairs)} pairs: {verdicts}")
    assert not wrong, f"{len(wrong)} of {len(pairs)}:\n" + "\n".join(wrong[:10])
    return verdicts


@pytest.fixture(scope="module", params=[("vxlan", "host"), ("native", "all")], ids="-".join)
def world(request):
    transport, sockets = request.param
    options = ["--transport", transport, "--socket-lb", sockets, "--family", "dual"]
    with Cluster("--nodes", "2", *options) as cluster:
        yield World(cluster)


def test_explain_agrees_with_real_packets_without_policy(world):
    verdicts = compare(world, world.pairs())
    assert verdicts["allowed"] > 100 and verdicts["dropped"] >= 10, verdicts


def rules(kind, peers):
    return [{(peers if k == "peers" else k): v for k, v in rule.items()} for rule in kind]


def policy(name, rng):
    """A policy for one pod, of which each direction is open or of a kind at random."""
    spec = {"podSelector": {"matchLabels": {"app": name}}, "policyTypes": []}
    for direction, peers in (("Ingress", "from"), ("Egress", "to")):
        if rng.random() < 0.6:
            spec["policyTypes"].append(direction)
            spec[direction.lower()] = rules(rng.choice(KINDS), peers)
    kind = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
    return {**kind, "metadata": {"name": name}, "spec": spec}


def enforced(world):
    """(pod, direction) -> names of the policies that hold there."""
    found = {}
    for node in ("node1", "node2"):
        for pod in json.loads(world.net.node(node, NETLOOM, "policies", "-o", "json")):
            for direction in ("ingress", "egress"):
                found[pod["name"], direction] = pod[direction]["policies"]
    return found


def enforce(world, seed):
    rng = random.Random(seed)
    made = [policy(name, rng) for name in GROUPS]
    made = [one for one in made if one["spec"]["policyTypes"]]
    world.net.apply(*made)
    want = {(name, direction): [] for name in GROUPS for direction in ("ingress", "egress")}
    for one in made:
        for direction in one["spec"]["policyTypes"]:
            name = one["metadata"]["name"]
            want[name, direction.lower()] = [f"networkpolicy default/{name}"]
    poll(lambda: enforced(world) == want, 10, lambda: f"{enforced(world)}, not {want}")


def relax(world):
    world.net.kubectl("delete", "networkpolicy", "--all")
    poll(lambda: not any(enforced(world).values()), 10, "the end of policies")


def test_explain_agrees_with_real_packets_under_policies(world):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    try:
        enforce(world, seed)
        pairs = random.Random(seed).choices(world.pairs(), k=500)
        verdicts = compare(world, pairs)
    finally:
        relax(world)
    assert verdicts.get("denied", 0) > 0 and verdicts.get("allowed", 0) > 0, (seed, verdicts)


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_the_address_that_the_outside_sees_is_the_one_that_was_told(world, family):
    outside, client = world.address("external", family), world.net.peer("client")
    world.net.peer("external")  # listens
    seen, error = client.ask("tcp", outside)
    assert error is None, error
    (answer,) = world.explain("node1", [("default/client", f"[{outside}]:7777")])
    steps = {step["step"]: step["text"] for step in answer["steps"]}
    assert answer["verdict"] == "allowed" and "outside of the cluster" in steps["route"]
    assert seen == world.address("node1", family) and seen in steps["source"], (seen, steps)
    (answer,) = world.explain("node1", [("default/client", outside)])
    assert answer["verdict"] == "allowed" and answer["protocol"] == "ICMP"
    assert client.ask("ping", outside) == (True, None)


def test_explain_leaves_no_trace(world):
    count = lambda: len(json.loads(world.net.node("node1", NETLOOM, "dump", "ct-new", "-o", "json")))  # noqa: E731
    target = f"{world.address('other-1', 'v4')}:9"
    before = count()
    world.explain("node1", [("default/client", target)] * 50)
    assert count() <= before + 5  # probes go on meanwhile
    assert target not in world.net.node("node1", NETLOOM, "dump", "ct-new")
