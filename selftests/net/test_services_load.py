# SPDX-License-Identifier: Apache-2.0
"""Services under load while agents die, nodes go away and Deployments are restarted; floods."""
import json
import threading

import pytest
from cluster import Cluster, backend, poll, service
from manyservices import vip
from services import ask, gone, make, of_family, place, prepare, serves, states, three


MANY = 64  # asks, so that each of three backends answers one


@pytest.fixture(scope="module")
def net():
    config = json.dumps({"ipam": {"quarantine": "1s"}, "conntrack": {"gcInterval": "1s"}})
    with Cluster("--nodes", "3", "--agent-config", config) as up:
        prepare(up)
        yield up


def test_no_request_fails_while_the_agent_is_killed_and_started(net):
    make(net, service("steady", type="LoadBalancer"), *three("steady"))
    loads = []
    ways = (("client", "ClusterIP"), ("node1", "ClusterIP"), ("external", "LoadBalancer"))
    for client, frontend in ways:
        helper = net.client(client)
        to = {"place": place(net, "steady", frontend=frontend), "rate": 60}
        loads.append((helper, helper.ask("load", to)[0]))
    helper, number = loads[0]
    net.demo("agent", "node1", "kill")
    before = helper.ask("load_state", number)[0]["sent"]
    poll(lambda: helper.ask("load_state", number)[0]["sent"] > before + 60, 60, "requests go on")
    net.demo("agent", "node1", "start", "--wait")
    results = [one.ask("load_end", n)[0] for one, n in loads]
    assert [r["failed"] for r in results] == [[], [], []]
    gone(net, "steady")


def test_an_agent_restarted_amid_ten_thousand_updates_ends_in_the_right_state(net):
    """Twice: while they come, and while they go."""
    net.apply(backend("many", "node2"))
    net.ready("many")
    made = {(s["metadata"]["namespace"], s["metadata"]["name"]) for s in net.get("services", "-A")["items"]}
    for node in ("node1", "node3"):
        poll(lambda: {*net.services(node)} == made, 60, lambda: f"{node}: {made} and {net.services(node)}")
    net.demo("ksr", "stop")  # it would remove what Kubernetes knows nothing of
    before, writer = frontends(net, "node1"), net.peer("node1", "manyservices.py")
    to = {"address": of_family(net.ips("many"), "v4"), "node": "node2"}
    half, count = 5000, 10000
    for op, slots in (("put", [1] * count), ("drop", [])):
        was = len(frontends(net, "node1"))
        first = writer.call(op, {**to, "range": [0, half]})
        done = lambda: abs(len(frontends(net, "node1")) - was)  # noqa: E731
        poll(lambda: done() > 500, 120, "the first ones are done")
        net.demo("agent", "node1", "kill")
        assert writer.result(first, 300) == (half, None)
        second = writer.call(op, {**to, "range": [half, count]})
        net.demo("agent", "node1", "start", "--wait")
        assert writer.result(second, 300) == (count - half, None)
        want = sorted(before + slots)
        for node in ("node1", "node3"):
            poll(lambda: sorted(frontends(net, node)) == want, 180, f"{node} has {len(want)}")
        for client in ("client", "node1"):
            places = [["TCP", vip(i), 80] for i in range(0, count, 37 if slots else 500)]
            to_ask = {"places": places, "timeout": 10.0 if slots else 0.5}
            answers, error = net.client(client).ask("batch", to_ask)
            assert error is None, error
            names = {found[0] if isinstance(found, list) else found for found, _ in answers}
            assert (names == {"many"}) == (op == "put"), names
    net.demo("ksr", "start", "--wait")
    gone(net, "many")


def frontends(net, node):
    """Slots that clients in the cluster have, of each frontend in loom_svc. One that goes while it is
    looked at has no value."""
    pinned = ["bpftool", "-j", "map", "dump", "pinned", "/sys/fs/bpf/netloom/maps/loom_svc"]
    found = json.loads(net.node(node, *pinned))
    return [one["formatted"]["value"]["in_size"] for one in found if "formatted" in one]


def test_a_flood_of_syns_to_a_service_harms_no_established_flow(net):
    make(net, service("flood", type="LoadBalancer"), *three("flood"))
    router = ["nsenter", f"--net=/run/netns/nl-{net.name}-router", "ip", "route"]
    net.node("control", *router, "add", "blackhole", "198.18.0.0/15")
    helper = net.client("external")
    to = {"place": place(net, "flood", frontend="LoadBalancer")}
    flows = [helper.ask("connect", to)[0]["id"] for _ in range(12)]
    running = helper.ask("load", {**to, "rate": 40})[0]
    flooding = helper.call("syn_flood", {**to, "count": 20000})
    while True:
        assert {helper.ask("again", f)[0] for f in flows} == {"echo"}
        if helper.ask("load_state", running)[0]["sent"] > 40:
            break
    assert helper.result(flooding, 180) == (20000, None)
    assert {helper.ask("again", f)[0] for f in flows} == {"echo"}
    result = helper.ask("load_end", running)[0]
    assert result["failed"] == [], result
    helper.ask("close", flows)
    net.node("control", *router, "del", "blackhole", "198.18.0.0/15")
    gone(net, "flood")


def tell(capsys, what, *results):
    with capsys.disabled():
        for r in results:
            counts = f"{r['sent']} requests, {len(r['failed'])} failed"
            print(f"\n{what}: {counts}, slowest good one {r['worst_ms']:.0f} ms")


def deployment(name, replicas, drain):
    one = backend(name, drain=drain, terminationGracePeriodSeconds=drain + 60)
    template = {"metadata": {"labels": {"app": name}}, "spec": one["spec"]}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    meta = {"name": name}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}


def test_a_rolling_restart_of_twenty_backends_under_500_requests_a_second_fails_none(net, capsys):
    net.apply(deployment("roll", 20, 10), service("roll", type="LoadBalancer"))
    net.kubectl("rollout", "status", "deployment/roll", "--timeout=240s")
    ready = lambda node: [s for s in states(net, node, "roll").values() if s == "ready"]  # noqa: E731
    for node in ("node1", "node2", "node3"):
        poll(lambda: len(ready(node)) == 20, 60, lambda: states(net, node, "roll"))
    loads = []
    ways = (("client", "ClusterIP", 300), ("external", "LoadBalancer", 200))
    for client, frontend, rate in ways:
        helper = net.client(client)
        to = {"place": place(net, "roll", frontend=frontend), "rate": rate}
        loads.append((helper, helper.ask("load", to)[0]))
    net.kubectl("rollout", "restart", "deployment/roll")
    net.kubectl("rollout", "status", "deployment/roll", "--timeout=280s")
    left = lambda: net.get("pods", "-l", "app=roll")["items"]  # noqa: E731
    poll(lambda: len(left()) == 20, 120, lambda: f"the old ones are gone: {len(left())}")
    results = [one.ask("load_end", number)[0] for one, number in loads]
    tell(capsys, "rolling restart of 20", *results)
    assert [r["failed"] for r in results] == [[], []]
    net.kubectl("delete", "deployment,service", "roll")


def test_a_node_that_dies_takes_only_the_requests_to_it_and_serves_again_when_back(net, capsys):
    """Its link goes down; what Kubernetes' node controller does then is done by hand, at once."""
    make(net, service("dies"), *three("dies"))
    fabric = ["nsenter", f"--net=/run/netns/nl-{net.name}-fabric", "ip", "link", "set", "node3"]
    helper = net.client("client")
    number = helper.ask("load", {"place": place(net, "dies"), "rate": 100})[0]
    flows = [helper.ask("connect", {"place": place(net, "dies")})[0] for _ in range(12)]
    net.node("control", *fabric, "down")
    condition = {"type": "Ready", "status": "False", "reason": "NodeNotReady"}
    patch = json.dumps({"status": {"conditions": [condition]}})
    net.kubectl("patch", "pod", "dies-3", "--subresource=status", "-p", patch)
    serves(net, "dies", "dies-1", "dies-2", nodes=("node1", "node2"))
    state = helper.ask("load_state", number)[0]
    poll(lambda: helper.ask("load_state", number)[0]["sent"] > state["sent"] + 200, 60, "more")
    net.node("control", *fabric, "up")
    serves(net, "dies", "dies-1", "dies-2", "dies-3")
    answers = lambda: helper.ask("load_state", number)[0]["names"].get("dies-3", 0)  # noqa: E731
    again = answers()
    poll(lambda: answers() > again + 10, 60, "it serves")
    others = [f["id"] for f in flows if f["name"] != "dies-3"]
    assert {helper.ask("again", f)[0] for f in others} == {"echo"}
    result = helper.ask("load_end", number)[0]
    tell(capsys, "node killed and returned", result)
    late = [f for f in result["failed"] if f[0] > state["seconds"]]
    assert late == [], (state, late)
    gone(net, "dies")


def test_two_nodes_that_disagree_for_a_while_serve_what_both_know(net):
    """node1's agent is away while a backend goes and another comes."""
    make(net, service("differ", type="NodePort"), *three("differ"))
    ways = [place(net, "differ", frontend="NodePort", node=n) for n in ("node1", "node2")]
    helper = net.client("external")
    flows = [helper.ask("connect", {"place": w})[0] for w in ways for _ in range(8)]
    kept = [f["id"] for f in flows if f["name"] != "differ-3"]
    net.demo("agent", "node1", "kill")
    new = backend("differ-4", "node2")
    new["metadata"]["labels"] = {"app": "differ"}
    net.apply(new)
    net.delete("differ-3")
    net.ready("differ-4")
    serves(net, "differ", "differ-1", "differ-2", "differ-4", nodes=("node2",))
    assert set(ask(net, "external", ways[1], times=MANY)) == {"differ-1", "differ-2", "differ-4"}
    old = ask(net, "external", ways[0], timeout=4.0, times=MANY)
    assert {"differ-1", "differ-2"} < set(old) and "differ-4" not in old, old
    assert {helper.ask("again", f)[0] for f in kept} == {"echo"}
    net.demo("agent", "node1", "start", "--wait")
    serves(net, "differ", "differ-1", "differ-2", "differ-4")
    for way in ways:
        assert set(ask(net, "external", way, times=MANY)) == {"differ-1", "differ-2", "differ-4"}
    assert {helper.ask("again", f)[0] for f in kept} == {"echo"}
    gone(net, "differ")


def slices(name, count, each):
    """EndpointSlices of a service without selector, at addresses of nobody."""
    meta = {"labels": {"kubernetes.io/service-name": name, "many": "yes"}}
    port = {"name": "tcp", "port": 8080, "protocol": "TCP"}
    return [
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**meta, "name": f"{name}-{i}"},
            "addressType": "IPv4",
            "ports": [port],
            "endpoints": [{"addresses": [f"198.18.{i}.{k}"]} for k in range(1, each + 1)],
        }
        for i in range(count)
    ]


def backend_problems(net, node, name):
    known = net.services(node).get(("default", name))
    return [p for p in known["problems"] if "endpoints are left out" in p] if known else []


def test_endpoints_beyond_the_maps_are_told_and_harm_nobody():
    """The maps hold 1,023 endpoints; one service comes with 1,500."""
    config = {"services": {"maxBackends": 1024, "maxSlots": 4096}, "conntrack": {"gcInterval": "1s"}}
    with Cluster("--nodes", "1", "--agent-config", json.dumps(config)) as small:
        net = small
        net.apply(backend("client", "node1"))
        net.ready("client")
        make_on(net, "good")
        helper, to = net.client("client"), place(net, "good")
        flow = helper.ask("connect", {"place": to})[0]["id"]
        running = helper.ask("load", {"place": to, "rate": 100})[0]
        huge = service("huge", {}, ports=[{"name": "tcp", "port": 80}], ipFamilyPolicy="SingleStack")
        del huge["spec"]["selector"]
        net.apply(huge, *slices("huge", 15, 100))
        written = lambda: len(net.etcd("/netloom/k8s/endpointslice/default/huge"))  # noqa: E731
        poll(lambda: written() == 15, 60, lambda: f"15 slices: {written()}")
        poll(lambda: backend_problems(net, "node1", "huge"), 60, "the ones left out are told")
        assert not backend_problems(net, "node1", "good")
        assert set(ask(net, "client", to, times=20)) == {"good"}
        net.kubectl("delete", "endpointslice", "-l", "many=yes")
        poll(lambda: not backend_problems(net, "node1", "huge"), 60, "there is room again")
        make_on(net, "late")
        assert set(ask(net, "client", place(net, "late"), times=20)) == {"late"}
        assert helper.ask("again", flow)[0] == "echo"
        assert helper.ask("load_end", running)[0]["failed"] == []


def make_on(net, name):
    net.apply(service(name), backend(name, "node1"))
    net.ready(name)
    serves(net, name, name, nodes=("node1",))


def test_without_services_nothing_is_translated_and_the_rest_works():
    with Cluster("--nodes", "2", "--agent-config", '{"services": {"enabled": false}}') as plain:
        net = plain
        net.apply(backend("client", "node1"), backend("server", "node2"), service("server"))
        net.ready("client", "server")
        pod = ["TCP", net.ips("server")[0], 8080]
        assert ask(net, "client", pod) == ["server"]
        assert ask(net, "client", place(net, "server"), timeout=0.5) != ["server"]
        lacking = net.node("node1", "netloom", "services", check=False)
        assert "default/server" not in lacking, lacking
        pinned = ["bpftool", "-j", "map", "dump", "pinned", "/sys/fs/bpf/netloom/maps/loom_svc"]
        assert json.loads(net.node("node1", *pinned)) == []


def test_at_the_limit_of_conntrack_established_flows_live_and_new_ones_are_counted():
    config = {"conntrack": {"maxEntries": 1024, "maxNewEntries": 1024, "gcInterval": "1s"}}
    config["conntrack"]["tcpClosing"] = "1s"
    with Cluster("--nodes", "2", "--agent-config", json.dumps(config)) as full:
        net = full
        net.apply(backend("client", "node1"))
        net.ready("client")
        net.apply(service("full"), backend("full", "node1"))
        net.ready("full")
        serves(net, "full", "full", nodes=("node1",))
        helper, to = net.client("client"), {"place": place(net, "full"), "timeout": 5.0}
        first = [helper.ask("connect", to)[0]["id"] for _ in range(10)]
        calls = [helper.call("connect", to) for _ in range(1000)]
        results = [helper.result(c) for c in calls]
        assert {helper.ask("again", f)[0] for f in first} == {"echo"}
        metrics = ["curl", "-fsS", "http://127.0.0.1:9990/metrics"]

        def counted():
            lines = net.node("node1", *metrics).splitlines()
            name = "netloom_conntrack_full_total "
            return [x for x in lines if x.startswith(name) and x != name + "0"]

        poll(counted, 60, "the full table is counted")
        helper.ask("close", [v["id"] for v, _ in results if v])
        poll(lambda: ask(net, "client", to["place"], 0.5) == ["full"], 90, "room for new flows")
        assert {helper.ask("again", f)[0] for f in first} == {"echo"}
