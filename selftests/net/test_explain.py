# SPDX-License-Identifier: Apache-2.0
"""`netloom explain` says what real packets meet: pods, hosts and outside, by address and through services,
with and without policies."""
import base64
import json
import os
import random
import re
import time

import pytest
from cluster import Cluster, backend, build_dir, poll, service
from services import prepare, serves

NETLOOM = os.path.join(build_dir(), "netloom")
SERVERS = {"web-1": "node1", "web-2": "node2", "other-1": "node1", "other-2": "node2"}
NODES = ("node1", "node2", "node3")  # nothing is on the third
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


CLUSTER_PORTS = (
    [],
    [{"tcp": {"destinationPort": {"number": 8080}}}],
    [{"udp": {"destinationPort": {"range": {"start": 8000, "end": 8080}}}}],
)
CLUSTER_OBJECTS = 4
RATE = 16  # questions of others that a node answers, a second and at once


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
            serves(cluster, f"to-{name}", name, nodes=NODES)
        serves(cluster, "empty", nodes=NODES)
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
        text, answers = self.net.node(node, "sh", "-c", "\n".join(lines)) if lines else "", []
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
        """What is said of each, by one node or another: it is the same wherever it is asked."""
        ways = [None] * len(pairs)
        for n, node in enumerate(NODES):
            mine = range(n, len(pairs), len(NODES))
            asked = [(self._who(pairs[i]), self._place(pairs[i])) for i in mine]
            for i, answer in zip(mine, self.explain_whole(node, asked)):
                ways[i] = answer
        return ways

    def explain_whole(self, node, questions):
        """explain(); where a busy node did not answer in time, it is asked again."""
        answers = self.explain(node, questions)

        def whole():
            late = [i for i, answer in enumerate(answers) if "unanswered" in answer]
            for i, answer in zip(late, self.explain(node, [questions[i] for i in late])):
                answers[i] = answer
            return not any("unanswered" in answer for answer in answers)

        poll(whole, 60, lambda: [a for a in answers if "unanswered" in a])
        return answers

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
    """What a client meets after this answer: True: a backend, False: silence, or the error."""
    if way["verdict"] == "allowed":
        return "ECONNREFUSED" if port == 8081 else True
    return "ECONNREFUSED" if way["reason"] == "svc_no_backend" else "timeout"


def texts(way):
    return [step["text"] for half in way["halves"] for step in half["steps"]]


def compare(world, pairs):
    ways, met = world.predict(pairs), world.meet(pairs)
    slow = [i for i, pair in enumerate(pairs) if met[i] == "timeout" != expected(ways[i], pair[3])]
    for i, again in zip(slow, world.meet([pairs[i] for i in slow], 5 * REAL_TIMEOUT)):
        met[i] = again  # the machine may have been busy
    wrong, verdicts = [], {}
    for pair, way, real in zip(pairs, ways, met):
        want = expected(way, pair[3])
        real = True if isinstance(real, list) else real
        verdicts[way["verdict"]] = verdicts.get(way["verdict"], 0) + 1
        if want != real:
            wrong.append(f"{pair}: met {real}, explained {want}: {texts(way)}")
    print(f"{len(pairs)} pairs: {verdicts}")
    assert not wrong, f"{len(wrong)} of {len(pairs)}:\n" + "\n".join(wrong[:10])
    return verdicts


@pytest.fixture(scope="module", params=[("vxlan", "host"), ("native", "all")], ids="-".join)
def world(request):
    transport, sockets = request.param
    options = ["--transport", transport, "--socket-lb", sockets, "--family", "dual"]
    with Cluster("--nodes", "3", *options) as cluster:
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


def some_groups(rng):
    return sorted(rng.sample(("a", "b", "c"), rng.randint(1, 3)))


def cluster_rule(rng, egress):
    (selected,) = of_groups(*some_groups(rng))
    peers = [{"pods": selected}, {"namespaces": {}}]
    if egress:  # hosts are among the peers of egress alone
        peers += [{"nodes": {}}, {"networks": ["172.16.0.0/12", "fd00:31::/64"]}]
    rule = {"action": rng.choice(("Accept", "Deny", "Pass"))}
    rule["to" if egress else "from"] = [rng.choice(peers)]
    protocols = rng.choice(CLUSTER_PORTS)
    return {**rule, **({"protocols": protocols} if protocols else {})}


def cluster_policy(number, rng):
    """A ClusterNetworkPolicy for pods of some groups, and the names of these pods."""
    groups = some_groups(rng)
    spec = {
        "tier": rng.choice(("Admin", "Baseline")),
        "priority": rng.randint(0, 3),
        "subject": {"pods": of_groups(*groups)[0]},
        "ingress": [cluster_rule(rng, False) for _ in range(rng.randint(0, 2))],
        "egress": [cluster_rule(rng, True) for _ in range(rng.randint(0, 2))],
    }
    kind = {"apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy"}
    made = {**kind, "metadata": {"name": f"cluster-{number}"}, "spec": spec}
    return made, [name for name, group in GROUPS.items() if group in groups]


def enforced(world):
    """(pod, direction) -> names of the policies that hold there."""
    found = {}
    for node in ("node1", "node2"):
        for pod in json.loads(world.net.node(node, NETLOOM, "policies", "-o", "json")):
            for direction in ("ingress", "egress"):
                found[pod["name"], direction] = sorted(pod[direction]["policies"])
    return found


def enforce(world, seed):
    rng = random.Random(seed)
    made = [policy(name, rng) for name in GROUPS]
    made = [one for one in made if one["spec"]["policyTypes"]]
    of_cluster = [cluster_policy(number, rng) for number in range(CLUSTER_OBJECTS)]
    world.net.apply(*made, *(one for one, _ in of_cluster))
    want = {(name, direction): [] for name in GROUPS for direction in ("ingress", "egress")}
    for one in made:
        for direction in one["spec"]["policyTypes"]:
            name = one["metadata"]["name"]
            want[name, direction.lower()] = [f"networkpolicy default/{name}"]
    for one, pods in of_cluster:
        for name in pods:
            for direction in ("ingress", "egress"):
                if one["spec"][direction]:
                    named = f"clusternetworkpolicy {one['metadata']['name']}"
                    want[name, direction] = sorted([named, *want[name, direction]])
    poll(lambda: enforced(world) == want, 60, lambda: f"{enforced(world)}, not {want}")


def relax(world):
    world.net.kubectl("delete", "networkpolicy", "--all")
    world.net.kubectl("delete", "clusternetworkpolicy", "--all")
    poll(lambda: not any(enforced(world).values()), 60, "the end of policies")


def test_explain_agrees_with_real_packets_under_policies(world):
    """One of a thousand worlds denies nothing: then there is another one."""
    verdicts = {}
    for _ in range(4):
        seed = random.randrange(1 << 32)
        print(f"seed {seed}")
        try:
            enforce(world, seed)
            # Twice at most: ICMP errors, as for a port that nobody listens on, are a few a second.
            pairs = random.Random(seed).sample(world.pairs() * 2, k=500)
            verdicts = compare(world, pairs)
        finally:
            relax(world)
        if verdicts.get("denied") and verdicts.get("allowed"):
            return
    raise AssertionError(verdicts)


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_the_address_that_the_outside_sees_is_the_one_that_was_told(world, family):
    outside, client = world.address("external", family), world.net.peer("client")
    world.net.peer("external")  # listens
    seen, error = client.ask("tcp", outside)
    assert error is None, error
    (answer,) = world.explain("node1", [("default/client", f"[{outside}]:7777")])
    steps = {step["step"]: step["text"] for step in answer["halves"][0]["steps"]}
    assert answer["verdict"] == "allowed" and "outside of the cluster" in steps["route"]
    assert seen == world.address("node1", family) and seen in steps["source"], (seen, steps)
    (answer,) = world.explain("node1", [("default/client", outside)])
    assert answer["verdict"] == "allowed" and answer["protocol"] == "ICMP"
    assert client.ask("ping", outside) == (True, None)


def test_explain_leaves_no_trace(world):
    ends = [world.address("client", "v4"), world.address("other-1", "v4")]
    target = f"{ends[1]}:9"

    def between():
        """Flows of these two; probes of others go on meanwhile."""
        found = json.loads(world.net.node("node1", NETLOOM, "dump", "ct-new", "-o", "json"))
        mine = [one for one in found if {one["from"], one["to"]} == {*ends}]
        return {(one["proto"], one["from"], one["fromPort"], one["toPort"]) for one in mine}

    before = between()
    world.explain("node1", [("default/client", target)] * 50)
    assert not between() - before
    assert target not in world.net.node("node1", NETLOOM, "dump", "ct-new")


def run(world, node, *argv):
    done = world.net.demo("node", node, "--", NETLOOM, "explain", *argv, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("denied", [False, True], ids=["allowed", "denied"])
def test_a_pair_across_nodes_has_one_verdict_wherever_it_is_asked(world, denied):
    pairs = [("client", "default/web-2:8080"), ("web-2", "default/client:8080")]
    pairs += [("node1", "default/other-2:8080"), ("other-2", "node1:22")]
    isolated = {"podSelector": {}, "policyTypes": ["Ingress"]}
    kind = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
    try:
        if denied:
            world.net.apply({**kind, "metadata": {"name": "closed"}, "spec": isolated})
            poll(lambda: len([p for p in enforced(world).values() if p]) == 5, 60, "the policy")
        for client, target in pairs:
            source = client if client.startswith("node") else f"default/{client}"
            answers = [world.explain_whole(node, [(source, target)])[0] for node in NODES]
            said = {(a["code"], a["verdict"], a["node"], a.get("because")) for a in answers}
            assert len(said) == 1, said
            ways = [[half["node"] for half in a["halves"]] for a in answers]
            assert ways[0] == ways[1] == ways[2] and len(ways[0]) == 2, ways
            assert answers[0]["code"] == (1 if denied and not target.startswith("node") else 0)
            named = [text for text in texts(answers[2]) if "(default/" in text]
            assert named, texts(answers[2])
            if answers[0]["code"]:
                assert "networkpolicy default/closed isolates" in answers[0]["because"]
    finally:
        relax(world)


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_an_address_that_no_pod_has_ends_on_the_node_whose_range_it_is_of(world, family):
    nodes = json.loads(world.net.node("node1", NETLOOM, "nodes", "-o", "json"))["nodes"]
    ranges = next(node["podCIDRs"] for node in nodes if node["name"] == "node3")
    prefix = next(one for one in ranges if (":" in one) == (family == "v6")).split("/")[0]
    target = f"[{prefix}fade]:80" if family == "v6" else f"{prefix.rsplit('.', 1)[0]}.222:80"
    for source in ("default/client", "node1"):
        for node in NODES:
            (answer,) = world.explain_whole(node, [(source, target)])
            assert (answer["verdict"], answer["reason"], answer["node"]) == ("dropped", "no_route", "node3"), answer
            assert [half["node"] for half in answer["halves"]] == ["node1", "node3"], answer


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_a_cluster_address_asked_from_outside_ends_at_the_host(world, family):
    target = world.address("to-web-1", family)
    target = f"[{target}]:80" if family == "v6" else f"{target}:80"
    (answer,) = world.explain_whole("node1", [(world.address("external", family), target)])
    assert (answer["code"], answer["verdict"], answer["reason"]) == (1, "dropped", "no_route"), answer
    assert "the host's own routes lead it to 'loom_host'" in texts(answer), answer


def test_a_rule_of_thousands_of_peers_is_told_in_part(world):
    blocks = [{"ipBlock": {"cidr": f"172.30.{i // 256}.{i % 256}/32"}} for i in range(2000)]
    blocks += of_groups("a")
    spec = {"podSelector": {"matchLabels": {"app": "web-2"}}, "ingress": [{"from": blocks}]}
    kind = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
    try:
        world.net.apply({**kind, "metadata": {"name": "many"}, "spec": spec})
        poll(lambda: enforced(world)["web-2", "ingress"], 60, "the policy")
        (answer,) = world.explain_whole("node1", [("default/client", "default/web-2:8080")])
        assert answer["verdict"] == "allowed" and len(answer["halves"]) == 2, answer
        text = next(t for t in texts(answer) if "default/many, rule 0: allow everything" in t)
        assert "…" in text and len(text) < 1500, text
    finally:
        relax(world)


def test_a_node_that_does_not_answer_is_named_after_three_seconds(world):
    target = f"{world.address('web-2', 'v4')}:8080"
    closed = {"podSelector": {"matchLabels": {"app": "web-1"}}, "policyTypes": ["Egress"]}
    kind = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
    try:
        world.net.apply({**kind, "metadata": {"name": "shut"}, "spec": closed})
        poll(lambda: enforced(world)["web-1", "egress"], 60, "the policy")
        world.net.demo("agent", "node2", "kill")
        start = time.monotonic()
        code, text = run(world, "node1", "default/client", target)
        took = time.monotonic() - start
        assert code == 3 and took >= 3, (code, took, text)
        assert "node 'node2' did not answer within 3 s" in text and "not known: allowed on node1" in text
        command = next(line for line in text.splitlines() if "what happens then, on node node2" in line)
        code, text = run(world, "node1", "default/web-1", target)
        assert code == 1 and "denied on node1" in text, text
        assert run(world, "node1", "--local", "default/client", target)[0] == 0
        # The maps are there without the agent, so the command that is told works.
        code, text = run(world, "node2", "--local", *command.split(" explain ")[1].split())
        assert code == 0 and "into the pod at" in text, text
    finally:
        world.net.demo("agent", "node2", "start", "--wait")
        relax(world)


def asked(world, node):
    text = world.net.node(node, "curl", "-fsS", "http://localhost:9990/metrics")
    found = re.findall(r'^netloom_explain_questions_total{result="(.*)"} (\d+)$', text, re.M)
    return {result: int(n) for result, n in found}


def test_garbage_among_the_questions_harms_nothing(world):
    put = lambda *argv: world.net.node("control", "etcdctl", "put", *argv)  # noqa: E731
    lease = world.net.node("control", "etcdctl", "lease", "grant", "600").split()[1]
    ends = {"from": world.address("client", "v4"), "to": world.address("web-2", "v4")}
    good = {"asker": "node1", "until": 1 << 60, "question": {**ends, "port": 8080}}
    key, before = "/netloom/ask/node2/", asked(world, "node2")
    garbage = ["", "{", "7", "[]", json.dumps({**good, "asker": "../x"}), "x" * 100000]
    garbage += [json.dumps({**good, "question": {**ends, "port": -1}})]
    for number, value in enumerate(garbage):
        put(f"--lease={lease}", f"{key}{number:016x}", "--", value)
    put(f"--lease={lease}", f"{key}../../node/node2", json.dumps(good))
    put(f"{key}{0xFF:016x}", json.dumps(good))  # without a lease
    put(f"--lease={lease}", f"{key}{0xFE:016x}", json.dumps({**good, "until": 1}))
    put(f"--lease={lease}", f"{key}{0xFD:016x}", json.dumps(good))
    want = {"malformed": len(garbage) + 2, "late": 1, "answered": 1, "refused": 0}
    now = lambda: {k: v - before[k] for k, v in asked(world, "node2").items()}  # noqa: E731
    poll(lambda: now() == want, 60, lambda: f"{now()}, not {want}")
    answers = lambda: [*world.net.etcd("/netloom/answer/")]  # noqa: E731
    only = [f"/netloom/answer/node1/{0xFD:016x}"]
    poll(lambda: answers() == only, 60, lambda: f"{only}, and there is {answers()}")
    target = f"{world.address('web-2', 'v4')}:8080"
    (answer,) = world.explain_whole("node1", [("default/client", target)])
    assert answer["code"] == 0 and answer["halves"][1]["node"] == "node2", answer
    world.net.node("control", "etcdctl", "lease", "revoke", lease)
    world.net.node("control", "etcdctl", "del", "--prefix", "/netloom/ask/")
    poll(lambda: not world.net.etcd("/netloom/answer/"), 60, "no answer is left")


def test_questions_that_are_too_many_are_refused(world):
    lease = world.net.node("control", "etcdctl", "lease", "grant", "600").split()[1]
    ends = {"from": world.address("client", "v4"), "to": world.address("web-2", "v4")}
    good = json.dumps({"asker": "node1", "until": 1 << 60, "question": ends})
    before, began = asked(world, "node2"), time.monotonic()
    coded = lambda text: base64.b64encode(text.encode()).decode()  # noqa: E731
    same = {"value": coded(good), "lease": str(int(lease, 16))}
    puts = [{"key": coded(f"/netloom/ask/node2/{i:016x}"), **same} for i in range(100)]
    body = json.dumps({"success": [{"requestPut": put} for put in puts]})
    world.net.node(
        "control", "sh", "-c", f"curl -fsS $ETCDCTL_ENDPOINTS/v3/kv/txn -d '{body}' >/dev/null"
    )
    now = lambda: {k: v - before[k] for k, v in asked(world, "node2").items()}  # noqa: E731
    poll(lambda: now()["answered"] + now()["refused"] == 100, 60, lambda: f"100: {now()}")
    seconds = time.monotonic() - began
    assert 0 < now()["answered"] <= RATE * (1 + seconds) and not now()["malformed"], now()
    answers = lambda: world.net.etcd("/netloom/answer/node1/").values()  # noqa: E731
    told = poll(lambda: [a for a in answers() if "error" in a], 60, "refusals")
    assert all("asked too much" in a["error"] for a in told)
    world.net.node("control", "etcdctl", "lease", "revoke", lease)


def test_the_loopback_port_explains_nothing(world):
    url, data = "http://localhost:9990/v1/explain", json.dumps({"node": "node1"})
    for argv in ([url, "-d", data], [f"{url}/where?pod=default/client"]):
        out = world.net.node("node1", "curl", "-sS", *argv)
        assert "through the agent's socket only" in out, out
