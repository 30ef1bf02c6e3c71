# SPDX-License-Identifier: Apache-2.0
"""Policies as they live: connections that are there when they change, agents and etcd that are away, services
and hosts, and what goes wrong.
"""
import itertools
import json
import re
import threading
import time

import pytest
from cluster import Cluster, poll, service
from policies import Pods, server
from services import node_ip, of_family, place, serves

KIND = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
NODES = {"a": "node1", "b": "node2", "c": "node1"}


def policy(name, pods, **spec):
    types = [d.capitalize() for d in ("ingress", "egress") if d in spec]
    selector = {"matchLabels": {"app": pods}} if pods else {}
    spec = {"podSelector": selector, "policyTypes": types, **spec}
    return {**KIND, "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def peers(*labels):
    return [{"podSelector": {"matchLabels": {"app": label}}} for label in labels]


@pytest.fixture(scope="module")
def world():
    with Cluster("--nodes", "2") as net:
        pods = Pods(net)
        made = [server("default", p, NODES[p], {"app": p}, [8080]) for p in NODES]
        pods.add(*made)
        yield pods


def cells(*pairs, families=("v4", "v6")):
    """(from, to, allowed) of pods -> what Pods.expect() takes."""
    return {
        (f"default/{source}", f"default/{to}", proto, 8080, family): allowed
        for source, to, allowed in pairs
        for proto in ("TCP", "UDP")
        for family in families
    }


@pytest.fixture(autouse=True)
def no_policy(world):
    """Each test begins when what the one before it denied is open again."""
    yield
    world.clean("networkpolicy")
    pairs = itertools.permutations(NODES, 2)
    world.expect(cells(*((*pair, True) for pair in pairs)), "no policy is left")


@pytest.mark.parametrize("server_pod", ["b", "c"])
def test_a_change_holds_for_live_connections_both_ways(world, server_pod):
    net, helper = world.net, world.net.client("default/a")
    to = ["TCP", world.ips[f"default/{server_pod}"]["v4"], 8080]
    flow = helper.ask("connect", {"place": to})[0]["id"]
    net.apply(policy("allowed", server_pod, ingress=[{"from": peers("a")}]))
    world.expect(cells(("a", server_pod, True)), "a is let in")
    assert helper.ask("again", flow)[0] == "echo"
    net.apply(policy("allowed", server_pod, ingress=[]))
    world.expect(cells(("a", server_pod, False)), "a is kept out")
    assert helper.ask("again", {"id": flow, "timeout": 1.0})[0] == "timeout"
    net.apply(policy("allowed", server_pod, ingress=[{"from": peers("a")}]))
    world.expect(cells(("a", server_pod, True)), "a is let in again")
    # What was sent meanwhile is sent again by TCP, sooner or later.
    goes_on = lambda: helper.ask("again", {"id": flow, "timeout": 1.0})[0] == "echo"  # noqa: E731
    poll(goes_on, 90, "the connection goes on")
    # Echoes of what was sent twice may still come on the first one.
    other = helper.ask("connect", {"place": to})[0]["id"]
    net.apply(policy("egress", "a", egress=[{"to": peers("nobody")}]))
    world.expect(cells(("a", server_pod, False)), "a may not ask")
    assert helper.ask("again", {"id": other, "timeout": 1.0})[0] == "timeout"
    helper.ask("close", [flow, other])


def test_connections_that_stay_allowed_fail_none_while_others_policies_change(world):
    net, helper = world.net, world.net.client("default/a")
    net.apply(policy("allowed", "b", ingress=[{"from": peers("a")}]))
    world.expect(cells(("a", "b", True), ("c", "b", False)), "a alone is let in")
    to = ["TCP", world.ips["default/b"]["v4"], 8080]
    flows = [helper.ask("connect", {"place": to})[0]["id"] for _ in range(8)]
    number = helper.ask("load", {"place": to, "rate": 100})[0]
    for turn in range(5):
        others = [
            policy(f"other-{i}", None if i % 2 else "b", ingress=[{"from": peers("a", f"x{turn}")}])
            for i in range(100)
        ]
        net.apply(*others)
        assert {helper.ask("again", f)[0] for f in flows} == {"echo"}
    result = helper.ask("load_end", number)[0]
    assert result["sent"] > 100 and result["failed"] == [], result
    world.expect(cells(("a", "b", True), ("c", "b", False)), "it is as before")


def test_policies_hold_while_the_agent_is_away_and_change_when_it_is_back(world):
    net = world.net
    net.apply(policy("closed", "b", ingress=[{"from": peers("a")}]))
    world.expect(cells(("a", "b", True), ("c", "b", False)), "a alone is let in")
    net.demo("agent", "node2", "kill")
    world.holds(cells(("a", "b", True), ("c", "b", False)))
    net.apply(policy("closed", "b", ingress=[{"from": peers("c")}]))
    flow = net.client("default/a").ask("connect", {"place": ["TCP", world.ips["default/b"]["v4"], 8080]})
    assert flow[1] is None, "the agent is away: what was allowed is"
    net.demo("agent", "node2", "start", "--wait")
    world.expect(cells(("a", "b", False), ("c", "b", True)), "c alone is let in")


def metric(net, node, name):
    lines = net.node(node, "curl", "-fsS", "http://127.0.0.1:9990/metrics").splitlines()
    return int([x for x in lines if x.startswith(f"netloom_{name} ")][0].split()[-1])


class Denied:
    """Asks a pod for as long as the block lasts, and wants no answer, ever."""

    def __init__(self, world, source, to):
        self.helper, self.to = world.net.client(source), ["TCP", world.ips[to]["v4"], 8080]
        self.asked, self.wrong, self.stop = 0, [], threading.Event()
        self.thread = threading.Thread(target=self.ask)

    def ask(self):
        while not self.stop.is_set():
            answers, error = self.helper.ask("batch", {"places": [self.to] * 8, "timeout": 0.1})
            self.wrong += [error] if error else [a for a, _ in answers if a != "timeout"]
            self.asked += 8

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, failed, *_):
        if not failed:
            poll(lambda: self.asked > 100, 60, lambda: f"it asks: {self.asked}")
        self.stop.set()
        self.thread.join()
        assert not self.wrong, (self.asked, self.wrong)


def storm(world, stop):
    """Texts of one policy, and labels of one pod, none of which lets in c; others' policies beside them."""
    net, turn = world.net, 0
    but_c = {"cidr": "10.0.0.0/8", "except": [f"{world.ips['default/c']['v4']}/32", "10.1.0.0/16"]}
    while not stop.is_set():
        turn += 1
        sources = [peers("a"), peers("a", f"x{turn}"), peers("a") + [{"ipBlock": but_c}]][turn % 3]
        rules = [{"from": peers("a", f"y{turn}")}]
        others = [policy(f"other-{i}", "a" if i % 2 else None, ingress=rules) for i in range(8)]
        net.apply(policy("storm", "b", ingress=[{"from": sources}]), *others)
        net.kubectl("label", "pod", "c", f"turn={turn}", "--overwrite")


def test_an_agent_killed_during_changes_lets_nothing_pass_that_is_denied(world):
    net, stop = world.net, threading.Event()
    net.apply(policy("storm", "b", ingress=[{"from": peers("a")}]))
    world.expect(cells(("a", "b", True), ("c", "b", False)), "a alone is let in")
    changes = threading.Thread(target=storm, args=(world, stop))
    with Denied(world, "default/c", "default/b"):
        changes.start()
        try:
            for _ in range(6):
                net.demo("agent", "node2", "kill")
                net.demo("agent", "node2", "start", "--wait")
        finally:
            stop.set()
            changes.join()
        net.apply(policy("storm", "b", ingress=[{"from": peers("a")}]))
        world.expect(cells(("a", "b", True)), "a is let in")
    net.kubectl("label", "pod", "c", "turn-")


def test_a_policy_deleted_during_its_update_is_gone(world):
    net = world.net
    net.apply(policy("keeps", "b", ingress=[{"from": peers("a")}]))
    world.expect(cells(("a", "b", True), ("c", "b", False)), "a alone is let in")
    with Denied(world, "default/c", "default/b"):
        for turn in range(20):
            net.apply(policy("short", "b", ingress=[{"from": peers("a", f"x{turn}")}], egress=[]))
            if turn % 2:
                net.apply(policy("short", "b", ingress=[{"from": peers(f"x{turn}")}]))
            net.kubectl("delete", "networkpolicy", "short")
    world.expect(cells(("a", "b", True), ("c", "b", False), ("b", "c", True)), "it is as before")
    # Its last text let in nobody of these, so that they do not tell whether it is there.
    words = lambda: net.node("node2", "netloom", "policies", "default/b")  # noqa: E731
    poll(lambda: "default/short" not in words(), 60, words)


def test_labels_that_change_while_etcd_is_away_count_when_it_is_back(world):
    net = world.net
    rule = [{"from": [{"podSelector": {"matchLabels": {"role": "client"}}}]}]
    net.apply(policy("by-role", "b", ingress=rule))
    net.kubectl("label", "pod", "a", "role=client")
    world.expect(cells(("a", "b", True), ("c", "b", False)), "a has the role")
    net.demo("etcd", "kill")
    net.kubectl("label", "pod", "a", "role-")
    net.kubectl("label", "pod", "c", "role=client")
    world.holds(cells(("a", "b", True), ("c", "b", False)))
    net.demo("etcd", "start")
    world.expect(cells(("a", "b", False), ("c", "b", True)), "c has it")
    net.kubectl("label", "pod", "c", "role-")


def test_a_new_pod_is_never_open_before_its_policy(world):
    """It is asked from the moment that its address is known, and never answers."""
    net, helper = world.net, world.net.client("default/a")
    net.apply(policy("closed", "late", ingress=[]))
    # Kubernetes tells pods and policies apart: which one comes first is nobody's promise.
    poll(lambda: metric(net, "node2", "policies") == 1, 60, "the policy is known")
    net.apply(server("default", "late", "node2", {"app": "late"}, [8080]))
    poll(lambda: net.ips("late"), 120, "an address")
    to = ["TCP", net.ips("late")[0], 8080]
    for _ in range(10):
        answers, error = helper.ask("batch", {"places": [to] * 16, "timeout": 0.1})
        assert error is None, error
        assert {a if isinstance(a, str) else a[0] for a, _ in answers} == {"timeout"}
    net.ready("late")
    net.delete("late")


def test_a_pod_that_stays_closed_is_told_with_the_reason(world):
    net = world.net
    net.apply(policy("some", "late", ingress=[]))
    poll(lambda: metric(net, "node2", "policies") == 1, 60, "the policy is known")
    net.demo("ksr", "stop")
    try:
        net.apply(server("default", "late", "node2", {"app": "late"}, [8080]))
        poll(lambda: metric(net, "node2", "policy_pods_closed") == 1, 60, "its Pod object does not come")
        assert re.search(r"late +\d+ +closed +closed +closed\n", net.node("node2", "netloom", "policies"))
        assert "ingress: closed" in net.node("node2", "netloom", "policies", "default/late")
        status = net.node("node2", "netloom", "status")
        assert "policy: pod 'default/late' is closed: its Pod object is not known\n      try: " in status
    finally:
        net.demo("ksr", "start", "--wait")
    poll(lambda: "problem: " not in net.node("node2", "netloom", "status"), 60, "it is open")
    net.delete("late")


def test_the_nodes_own_host_may_always_and_others_not(world):
    net = world.net
    net.apply(policy("closed", "b", ingress=[]))
    world.expect(cells(("a", "b", False)), "it is closed")
    for family in ("v4", "v6"):
        to = ["TCP", world.ips["default/b"][family], 8080]
        own, other = (
            net.client(node).ask("batch", {"places": [to], "timeout": seconds})[0][0][0]
            for node, seconds in (("node2", 10.0), ("node1", 0.5))
        )
        assert isinstance(own, list) and other == "timeout", (own, other)


def test_services_are_judged_by_backend_and_client(world):
    net = world.net
    ports = [{"name": "tcp", "protocol": "TCP", "port": 80, "targetPort": 8080}]
    net.apply(
        service("b", {"app": "b"}, ports, type="NodePort", externalTrafficPolicy="Local"),
        policy("egress", "a", egress=[{"to": peers("b"), "ports": [{"port": 8080}]}]),
    )
    serves(net, "b", "b", nodes=("node1", "node2"))
    world.expect(cells(("a", "c", False)), "a reaches b alone")

    def ask(who, to, timeout=10.0):
        return net.client(who).ask("batch", {"places": [to], "timeout": timeout})[0][0][0]

    assert ask("default/a", place(net, "b"))[0] == "default/b"
    outside = place(net, "b", frontend="NodePort", node="node2")
    assert ask("external", outside)[0] == "default/b"
    net.apply(policy("ingress", "b", ingress=[{"from": [{"ipBlock": {"cidr": "172.31.0.0/16"}}]}]))
    world.expect(cells(("c", "b", False), families=("v4",)), "b takes clients outside")
    assert ask("external", outside)[0] == "default/b"
    assert ask("default/a", place(net, "b"), 0.5) == "timeout"
    net.apply(policy("ingress", "b", ingress=[{"from": [{"ipBlock": {"cidr": "172.30.0.0/16"}}]}]))
    kept_out = lambda: ask("external", outside, 0.5) == "timeout"  # noqa: E731
    poll(kept_out, 60, "they are kept out by their own address")
    net.kubectl("delete", "service", "b")


def test_what_changes_together_is_committed_together(world):
    """60 policies in one transaction, as ksr writes many: events are handled one by one."""
    net, prefix = world.net, "/netloom/k8s/networkpolicy/default/many-"
    puts = []
    for i in range(60):
        made = policy(f"many-{i}", "b", ingress=[{"ports": [{"port": 1000 + i}]}])
        text = json.dumps({k: made[k] for k in ("metadata", "spec")})
        puts.append(f"put {prefix}{i} {json.dumps(text)}")
    net.demo("ksr", "stop")  # it would remove what Kubernetes knows nothing of
    before = metric(net, "node2", "policy_commits_total")
    net.demo("node", "control", "--", "etcdctl", "txn", stdin="\n" + "\n".join(puts) + "\n\n\n")
    poll(lambda: metric(net, "node2", "policies") == 60, 60, "all are known")
    assert metric(net, "node2", "policy_commits_total") - before < 30
    net.demo("ksr", "start", "--wait")
    poll(lambda: metric(net, "node2", "policies") == 0, 60, "all are gone")


def test_log_only_denies_nothing_and_is_counted(world):
    net = world.net
    logged = policy("logged", "b", ingress=[])
    logged["metadata"]["annotations"] = {"netloom.io/policy-mode": "log"}
    metrics = ["curl", "-fsS", "http://127.0.0.1:9990/metrics"]

    def counted():
        lines = net.node("node2", *metrics).splitlines()
        found = [x for x in lines if 'reason="policy_logged"' in x and "packets_total" in x]
        return sum(int(x.split()[-1]) for x in found)

    before = counted()
    net.apply(logged)

    def logs():
        world.holds(cells(("a", "b", True)))
        return counted() > before

    poll(logs, 60, "what would be denied is counted")


def test_a_policy_that_cannot_be_read_is_named_and_the_one_before_it_holds(world):
    net = world.net
    net.apply(policy("good", "b", ingress=[{"from": peers("a")}]))
    world.expect(cells(("a", "b", True), ("c", "b", False)), "a alone is let in")
    key = "/netloom/k8s/networkpolicy/default/good"
    found = net.etcd(key)[key]
    found["spec"]["ingress"] = [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/8"]}}]}]
    net.demo("ksr", "stop")  # it would put back what Kubernetes says
    net.node("control", "etcdctl", "put", key, json.dumps(found))
    status = lambda: json.loads(net.node("node2", "netloom", "status", "-o", "json"))  # noqa: E731
    refused = lambda: status()["modules"]["policy"]["refused"]  # noqa: E731
    poll(lambda: refused() == 1, 60, "it is refused")
    world.expect(cells(("a", "b", True), ("c", "b", False)), "a alone is let in")
    # An agent that is new does not know the text of before.
    net.demo("agent", "node2", "kill")
    net.demo("agent", "node2", "start", "--wait")
    poll(lambda: refused() == 1, 60, "it is refused again")
    world.expect(cells(("a", "b", False), ("c", "b", False), ("b", "c", True)), "it lets in nobody")
    net.demo("ksr", "start")
    poll(lambda: refused() == 0, 60, "it is as Kubernetes has it")


def test_a_policy_that_does_not_fit_is_named_and_others_go_on(world):
    net = world.net
    net.apply(policy("good", "b", ingress=[{"from": peers("a")}]))
    world.expect(cells(("a", "b", True), ("c", "b", False)), "a alone is let in")
    net.apply(policy("large", "b", ingress=[{"ports": [{"port": p} for p in range(1000, 2000, 3)]}]))

    def problems():
        found = json.loads(net.node("node2", "netloom", "status", "-o", "json"))["modules"]["policy"]
        return found["problems"] if found["refused"] == 1 else []

    poll(lambda: any("networkpolicy default/large" in p for p in problems()), 60, "it is named")
    net.apply(policy("good", "b", ingress=[{"from": peers("c")}]))
    world.expect(cells(("a", "b", False), ("c", "b", True)), "c alone is let in")
    net.apply(policy("large", "b", ingress=[{"ports": [{"port": 8080}]}]))
    poll(lambda: not problems(), 60, "it fits")
    world.holds(cells(("c", "b", True)))


def test_policies_says_it_in_words(world):
    net = world.net
    net.apply(policy("words", "b", ingress=[{"from": peers("a"), "ports": [{"port": 8080}]}]))
    world.expect(cells(("c", "b", False)), "c is kept out")
    text = net.node("node2", "netloom", "policies", "default/b")
    assert "networkpolicy default/words" in text and "app=a" in text and "8080" in text, text
    assert "isolated" in net.node("node2", "netloom", "policies")
    # The rules are for who asks about one pod.
    pods = json.loads(net.node("node2", "netloom", "policies", "-o", "json"))
    assert all("policies" in p["ingress"] and "rules" not in p["ingress"] for p in pods), pods
    (pod,) = json.loads(net.node("node2", "netloom", "policies", "default/b", "-o", "json"))
    assert [r["policy"] for r in pod["ingress"]["rules"]] == ["networkpolicy default/words"], pod


def test_events_say_whose_policy_denied_it(world):
    net = world.net
    ports = [{"name": "tcp", "protocol": "TCP", "port": 80, "targetPort": 8080}]
    net.apply(
        service("events", {"app": "b"}, ports),
        policy("first", "b", ingress=[{"from": peers("a")}]),
        policy("second", None, ingress=[{"from": peers("nobody")}]),
        policy("out", "a", egress=[{"to": peers("b")}]),
    )
    serves(net, "events", "b", nodes=("node1", "node2"))
    world.expect(cells(("a", "b", True), ("c", "b", False), ("a", "c", False)), "they hold")

    def known(node, name, peer):
        """Events of policy `name` and TCP with that address, the last one first."""
        lines = net.node(node, "netloom", "events", "--last", "4096", "--filter", name, "-o", "json")
        found = [json.loads(line) for line in reversed(lines.splitlines())]
        mine = [x for x in found if x["reason"] == "policy" and x["flowProto"] == "tcp"]
        return [x for x in mine if x["peer"] == peer]

    def told(node, name, source, to, peer):
        """What that node has to say of a connection that fails."""
        before = known(node, name, peer)[:1]

        def later():
            asked = net.client(source).ask("batch", {"places": [to], "timeout": 0.3})
            assert asked[0][0][0] == "timeout", asked
            found = known(node, name, peer)[:1]
            return found if found != before else None

        return poll(later, 60, f"an event of {name} at {node}")[0]

    to, of_c = ["TCP", world.ips["default/b"]["v4"], 8080], world.ips["default/c"]["v4"]
    for source, place_of in (("default/c", to), ("default/c", place(net, "events"))):
        event = told("node2", "default/second", source, place_of, of_c)
        assert (event["pod"], event["direction"], event["port"]) == ("default/b", "ingress", 8080), event
        assert event["peerName"] == "default/c" and event["peer"] == of_c, event
        assert event["policies"] == ["networkpolicy default/first", "networkpolicy default/second"], event
    event = told("node1", "default/out", "default/a", ["TCP", of_c, 8080], of_c)
    assert (event["pod"], event["direction"], event["peerName"]) == ("default/a", "egress", "default/c"), event
    text = net.node("node1", "netloom", "events", "--last", "4096", "--filter", "default/out")
    assert "egress of default/a to" in text and "isolated by networkpolicy default/out" in text, text
    net.kubectl("delete", "service", "events")


def denied(net, node, *args):
    return json.loads(net.node(node, "netloom", "denied", *args, "-o", "json"))


def denied_rows(net, node, pod, peer, protocol="TCP", logged=False):
    """Of `netloom denied`: what of the peer's was denied to the pod at port 8080."""
    return [
        row
        for row in denied(net, node, pod)
        if row["peer"].get("pod") == peer and row.get("port") == 8080
        and row["protocol"] == protocol and row["logged"] == logged
    ]


def denied_packets(net, node, pod, direction):
    """The metric of the pod."""
    lines = net.node(node, "curl", "-fsS", "http://127.0.0.1:9990/metrics").splitlines()
    name, where = pod.split("/")[1], pod.split("/")[0]
    labels = f'{{namespace="{where}",pod="{name}",direction="{direction}"}}'
    found = [x for x in lines if x.startswith(f"netloom_policy_denied_packets_total{labels}")]
    assert len(found) == 1, found
    return int(found[0].split()[-1])


def test_denied_counts_packets_by_pod_peer_and_port_until_the_pod_goes(world):
    net, attempts = world.net, 24
    world.add(server("default", "db", "node2", {"app": "db"}, [8080]))
    number = json.loads(net.node("node2", "netloom", "pods", "-o", "json"))["pods"]
    number = next(p["ep"] for p in number if p["name"] == "db")
    assert denied(net, "node2", "default/db") == []
    net.apply(policy("db-only", "db", ingress=[{"from": peers("a")}]))
    world.expect(cells(("a", "db", True), ("c", "db", False), families=("v4",)), "a alone is let in")
    assert not denied_rows(net, "node2", "default/db", "default/a")
    before = denied_rows(net, "node2", "default/db", "default/c")[0]["packets"]
    sum_before = denied_packets(net, "node2", "default/db", "ingress")
    to, began = ["TCP", world.ips["default/db"]["v4"], 8080], time.monotonic()
    answers, error = net.client("default/c").ask("batch", {"places": [to] * attempts, "timeout": 0.5})
    assert error is None and {a for a, _ in answers} == {"timeout"}, (answers, error)
    (row,) = denied_rows(net, "node2", "default/db", "default/c")
    since = time.monotonic() - began
    assert (row["pod"], row["direction"]) == ("default/db", "ingress"), row
    assert row["peer"]["address"] == world.ips["default/c"]["v4"], row
    assert row["packets"] >= before + attempts, (before, row)
    assert row["policies"] == ["networkpolicy default/db-only"] and row["secondsAgo"] <= since + 1, row
    assert denied_packets(net, "node2", "default/db", "ingress") >= sum_before + attempts
    assert denied_packets(net, "node2", "default/db", "egress") == 0
    text = net.node("node2", "netloom", "denied", "default")
    (line,) = [x for x in text.splitlines() if x.startswith("default/db ") and "8080/TCP" in x]
    assert "default/c" in line and "isolated by networkpolicy default/db-only" in line, text
    # A connection that was given up may still send: the text tells what was counted between two others.
    (later,) = denied_rows(net, "node2", "default/db", "default/c")
    told = int(re.search(r" 8080/TCP +(\d+) ", line)[1])
    assert row["packets"] <= told <= later["packets"], (row, line, later)
    packets = [r["packets"] for r in denied(net, "node2")]
    assert packets == sorted(packets, reverse=True), packets
    # It is in the kernel, not in the agent.
    net.demo("agent", "node2", "kill")
    net.client("default/c").ask("batch", {"places": [to] * attempts, "timeout": 0.5})
    net.demo("agent", "node2", "start", "--wait")
    (again,) = denied_rows(net, "node2", "default/db", "default/c")
    assert again["packets"] >= row["packets"] + attempts, (row, again)
    # Whoever gets the number next finds nothing.
    world.part("default/db")
    net.delete("db")
    dump = lambda: json.loads(net.node("node2", "netloom", "dump", "denied", "-o", "json"))  # noqa: E731
    poll(lambda: not [r for r in dump() if r["ep"] == number], 60, "the pod's entries go")
    assert not [r for r in denied(net, "node2", "default") if r["pod"] == "default/db"]


def test_denied_forgets_pods_that_went_while_the_agent_was_away(world):
    net = world.net
    world.add(server("default", "brief", "node2", {"app": "brief"}, [8080]))
    net.apply(policy("brief", "brief", ingress=[]))
    world.expect(cells(("c", "brief", False), families=("v4",)), "it is closed")
    to = ["TCP", world.ips["default/brief"]["v4"], 8080]

    def counted():
        net.client("default/c").ask("batch", {"places": [to], "timeout": 0.3})
        return denied_rows(net, "node2", "default/brief", "default/c")

    poll(counted, 60, "a denial is counted")
    number = next(
        p["ep"]
        for p in json.loads(net.node("node2", "netloom", "pods", "-o", "json"))["pods"]
        if p["name"] == "brief"
    )
    net.demo("agent", "node2", "kill")
    world.part("default/brief")
    net.kubectl("delete", "pod", "brief", "--wait=false")
    net.demo("agent", "node2", "start", "--wait")
    dump = lambda: json.loads(net.node("node2", "netloom", "dump", "denied", "-o", "json"))  # noqa: E731
    poll(lambda: not [r for r in dump() if r["ep"] == number], 120, "the pod's entries go")


def test_denied_tells_what_was_only_logged(world):
    net = world.net
    logged = policy("logged", "b", ingress=[])
    logged["metadata"]["annotations"] = {"netloom.io/policy-mode": "log"}
    net.apply(logged)

    def logs():
        world.holds(cells(("a", "b", True), families=("v6",)))
        rows = denied_rows(net, "node2", "default/b", "default/a", protocol="UDP", logged=True)
        return rows and rows[0]["policies"] == ["networkpolicy default/logged"]

    poll(logs, 60, "what would be denied is counted")
    assert "only logged: isolated by" in net.node("node2", "netloom", "denied", "default/b")
