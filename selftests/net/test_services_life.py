# SPDX-License-Identifier: Apache-2.0
"""Services as they live: backends come and go, policies hold, and what goes wrong is said."""
import json
import os
import threading

import pytest
from cluster import HERE, PYTHON, Cluster, backend, poll, service
from services import (
    FAMILIES,
    KINDS,
    PROTOCOLS,
    ask,
    gone,
    make,
    node_ip,
    of_family,
    place,
    prepare,
    serves,
    states,
    three,
)

_never = threading.Event()
OUTSIDE_CLIENTS = (("v4", "172.31.1."), ("v6", "fd00:31:0:1::"))
REFUSALS = 20
RETRANSMITTED_MS = 900  # the answer is to a later packet than the first one
CLIENTS = (("client", "ClusterIP"), ("external", "LoadBalancer"))


@pytest.fixture(scope="module")
def net():
    config = json.dumps({"ipam": {"quarantine": "1s"}, "conntrack": {"gcInterval": "1s"}})
    with Cluster("--nodes", "3", "--agent-config", config) as up:
        prepare(up)
        yield up


def test_a_service_without_backends_refuses_at_once(net):
    make(net, service("empty", type="LoadBalancer"))
    cells = [("client", "ClusterIP"), ("node1", "ClusterIP"), ("client", "LoadBalancer")]
    cells += [("external", "NodePort"), ("external", "LoadBalancer")]
    wrong = []
    for client, frontend in cells:
        for family, protocol in KINDS:
            to = place(net, "empty", family, protocol, frontend)
            for _ in range(REFUSALS):  # where the machine is busy, one of them is quick
                (found, took), error = net.client(client).ask("ask", to)
                if (found, error) != ("ECONNREFUSED", None) or took < RETRANSMITTED_MS:
                    break
            if (found, error) != ("ECONNREFUSED", None) or took >= RETRANSMITTED_MS:
                way = f"{client} -> {frontend} {family} {protocol}"
                wrong.append(f"{way}: {found} in {took:.0f} ms")
    assert not wrong, "\n".join(wrong)
    gone(net, "empty")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("client", ["client", "node1", "external"])
def test_when_a_backend_goes_udp_moves_tcp_ends_and_others_live_on(net, client, family):
    """The backend goes without a word: its link is down before its process ends."""
    name = f"move-{client}-{family}"
    make(net, service(name, type="NodePort"), *three(name))
    frontend = "NodePort" if client == "external" else "ClusterIP"
    helper, flows = net.client(client), {"TCP": [], "UDP": []}
    lost = f"{name}-2"
    for protocol, opened in flows.items():
        to = {"place": place(net, name, family, protocol, frontend)}
        while len(opened) < 8 or not {lost} < {f["name"] for f in opened}:
            flow, error = helper.ask("connect", to)
            assert error is None and len(opened) < 80, (error, opened)
            opened.append(flow)
    net.exec(lost, "ip", "link", "set", "eth0", "down")
    net.delete(lost)
    hit = [f["id"] for f in flows["TCP"] if f["name"] == lost]
    calls = [helper.call("ended", {"id": number, "seconds": 50}) for number in hit]
    ends = [helper.result(c)[0] for c in calls]
    # A socket of the host was connected to the backend itself: it may be told in other ways.
    ways = {"ECONNRESET"} if client != "node1" else {"ECONNRESET", "ECONNABORTED", "EHOSTUNREACH"}
    assert set(ends) <= ways, ends
    others = [f for f in flows["TCP"] if f["name"] != lost]
    assert {helper.ask("again", f["id"])[0] for f in others} == {"echo"}
    for flow in flows["UDP"]:
        asked = {"id": flow["id"], "timeout": 1.0}
        said = poll(lambda: stays(helper.ask("again", asked)[0], lost), 60, "it moves on")
        assert said == flow["name"] or flow["name"] == lost, (flow, said)
    assert lost not in ask(net, client, place(net, name, family, "UDP", frontend), times=20)
    helper.ask("close", [f["id"] for f in flows["TCP"] + flows["UDP"]])
    gone(net, name)


def stays(said, lost):
    return said if said not in (lost, "timeout", "ECONNREFUSED") else None


def test_a_service_that_is_deleted_and_made_again_takes_new_flows(net):
    again = service("again", clusterIPs=["10.96.7.7", "fd00:96::707"])
    make(net, again, backend("again", "node2"))
    to = place(net, "again")
    assert ask(net, "client", to) == ["again"]
    net.kubectl("delete", "service", "again")
    poll(lambda: ("default", "again") not in net.services("node1"), 60, "the agent forgets it")
    assert ask(net, "client", to, timeout=0.5) != ["again"]
    net.apply(again)
    serves(net, "again", "again")
    for family, protocol in KINDS:
        assert ask(net, "client", place(net, "again", family, protocol)) == ["again"]
    gone(net, "again")


def test_affinity_keeps_a_client_on_its_backend_until_it_has_been_quiet(net):
    make(net, affine("stick", 3600), *three("stick"))
    net.apply(affine("brief", 1))
    serves(net, "brief", "stick-1", "stick-2", "stick-3")
    for client in ("client", "external"):
        frontend = "LoadBalancer" if client == "external" else "ClusterIP"
        for family, protocol in KINDS:
            to = place(net, "stick", family, protocol, frontend)
            assert len(set(ask(net, client, to, times=20))) == 1, (client, family, protocol)
    names = set()
    faces = [(f, own + str(i)) for f, own in OUTSIDE_CLIENTS for i in range(1, 9)]
    for family, own in faces:
        to = [*place(net, "stick", family, frontend="LoadBalancer"), own]
        found = set(ask(net, "external", to, times=8))
        assert len(found) == 1, (own, found)
        names |= found
    assert len(names) > 1, "sixteen clients have one backend"

    def moved():
        _never.wait(2.2)  # longer than the affinity lasts
        return ask(net, "client", place(net, "brief"))[0] != first

    first = ask(net, "client", place(net, "brief"))[0]
    poll(moved, 90, "another backend after a pause")
    gone(net, "brief", "stick")


def affine(name, seconds):
    """A service of the backends `stick`."""
    config = {"clientIP": {"timeoutSeconds": seconds}}
    spec = {"sessionAffinity": "ClientIP", "sessionAffinityConfig": config}
    return service(name, {"app": "stick"}, type="LoadBalancer", **spec)


def test_local_policy_drops_where_no_backend_is_and_the_health_port_says_so(net):
    local = {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}
    make(net, service("here", **local), backend("here", "node2"))
    for family, protocol in KINDS:
        to = place(net, "here", family, protocol, "NodePort", "node2")
        (found, _), _ = net.client("external").ask("ask", to)
        assert found[:2] == ["here", "172.31.0.10" if family == "v4" else "fd00:31::a"]
        to = place(net, "here", family, protocol, "NodePort", "node1")
        assert ask(net, "external", to, timeout=0.7) == ["timeout"]
        assert ask(net, "client", place(net, "here", family, protocol, "LoadBalancer")) == ["here"]
    port = net.get("service", "here")["spec"]["healthCheckNodePort"]
    for node, code, count in (("node1", "503", 0), ("node2", "200", 1)):
        for family in FAMILIES:
            url = f"http://{bracket(node_ip(net, node, family))}:{port}/"
            curl = ["curl", "-sS", "-m30", "-w", "\n%{http_code}", url]
            body, said = net.demo("external", "--", *curl).stdout.rsplit("\n", 1)
            assert said == code, (node, family, said, body)
            assert json.loads(body)["localEndpoints"] == count, body
            assert json.loads(body)["service"] == {"namespace": "default", "name": "here"}
    gone(net, "here")


def bracket(address):
    return f"[{address}]" if ":" in address else address


def test_internal_local_policy_stays_on_the_node(net):
    make(net, service("inner", internalTrafficPolicy="Local"), *three("inner"))
    assert set(ask(net, "client", place(net, "inner"), times=12)) == {"inner-1"}
    assert set(ask(net, "node2", place(net, "inner", "v6"), times=12)) == {"inner-2"}
    gone(net, "inner")


RANGES = ["172.31.1.1/32", "fd00:31:0:1::1/128"]
RANGES_ANNOTATION = "service.beta.kubernetes.io/load-balancer-source-ranges"


def ranged(how):
    if how == "field":
        return service("ranged", type="LoadBalancer", loadBalancerSourceRanges=RANGES)
    made = service("ranged", type="LoadBalancer")
    made["metadata"]["annotations"] = {RANGES_ANNOTATION: ",".join(RANGES)}
    return made


@pytest.mark.parametrize("how", ["field", "annotation"])
def test_source_ranges_let_in_whom_they_name(net, how):
    make(net, ranged(how), backend("ranged", "node2"))
    for family, own in OUTSIDE_CLIENTS:
        for protocol in PROTOCOLS:
            to = place(net, "ranged", family, protocol, "LoadBalancer")
            assert ask(net, "external", [*to, own + "1"]) == ["ranged"]
            assert ask(net, "external", [*to, own + "2"], timeout=0.7) != ["ranged"]
    gone(net, "ranged")


def with_host_ports(name, port, host_ip="", protocols=PROTOCOLS):
    made = backend(name, "node1")
    made["spec"]["containers"][0]["ports"] = [
        {
            "name": p.lower(),
            "containerPort": 8080,
            "hostPort": port,
            "hostIP": host_ip,
            "protocol": p,
        }
        for p in protocols
    ]
    return made


def not_served(net, name, clients, port):
    """Who does not get to that pod by node1's port, in which way, and what it got."""
    return [
        (client, family, protocol, found)
        for client in clients
        for family, protocol in KINDS
        if (found := ask(net, client, [protocol, node_ip(net, "node1", family), port]))
        != [name]
    ]


def test_a_host_port_is_served_on_its_own_node(net):
    clients = ("external", "far", "client", "node1", "node2")
    net.apply(with_host_ports("port", 8088), backend("far", "node2"))
    net.ready("port", "far")
    assert not not_served(net, "port", clients, 8088)
    assert ask(net, "external", ["TCP", node_ip(net, "node2", "v4"), 8088]) == ["ECONNREFUSED"]
    for address in ("127.0.0.1", "::1"):
        assert ask(net, "node1", ["TCP", address, 8088]) == ["port"]
    net.demo("agent", "node1", "kill")
    assert not not_served(net, "port", ("external", "far", "node1"), 8088)
    net.demo("agent", "node1", "start", "--wait")
    assert not not_served(net, "port", clients, 8088)
    net.delete("port", "far")
    for family, protocol in KINDS:
        to = [protocol, node_ip(net, "node1", family), 8088]
        poll(lambda: ask(net, "external", to, 0.5) == ["ECONNREFUSED"], 60, f"{to} is closed")


def test_a_sidecar_has_host_ports_and_an_init_container_has_none(net):
    made = with_host_ports("proxy", 8091)
    main = made["spec"]["containers"][0]
    sidecar = {**main, "name": "proxy", "restartPolicy": "Always"}
    once = {"name": "once", "image": "true", "command": ["/bin/true"]}
    once["ports"] = [{"containerPort": 8080, "hostPort": 8092}]
    made["spec"]["initContainers"] = [sidecar, once]
    made["spec"]["containers"] = [{"name": "main", "image": "pause"}]
    net.apply(made)
    net.ready("proxy")
    assert not not_served(net, "proxy", ["external", "node1"], 8091)
    to = ["TCP", node_ip(net, "node1", "v4"), 8092]
    assert ask(net, "external", to) == ["ECONNREFUSED"]
    net.delete("proxy")


def refused(net, pod, words):
    """The pod gets no network, and an event says why in these words."""
    found = lambda: [  # noqa: E731
        e["message"]
        for e in net.get("events")["items"]
        if e["involvedObject"]["name"] == pod and e["reason"] == "FailedCreatePodSandBox"
    ]
    poll(lambda: any(words in m for m in found()), 60, lambda: f"'{words}' in {found()}")


def test_a_host_port_has_one_holder_until_that_pod_is_gone(net):
    net.apply(with_host_ports("first", 8089))
    net.ready("first")
    net.apply(with_host_ports("second", 8089))
    refused(net, "second", "(code 11): hostPort 8089/tcp is taken by pod 'default/first'")
    assert not not_served(net, "first", ["external"], 8089)
    net.delete("first")
    net.ready("second")
    assert not not_served(net, "second", ["external", "node1"], 8089)
    net.delete("second")


def test_a_host_ip_is_one_address_of_the_node_and_nobody_elses(net):
    address = node_ip(net, "node1", "v4")
    victim = backend("victim", "node2")
    net.apply(with_host_ports("v4-only", 8090, address), victim)
    net.ready("v4-only", "victim")
    for protocol in PROTOCOLS:
        assert ask(net, "external", [protocol, address, 8090]) == ["v4-only"]
        other = [protocol, node_ip(net, "node1", "v6"), 8090]
        assert ask(net, "external", other) == ["ECONNREFUSED"]
    foreign = of_family(net.ips("victim"), "v4")
    net.apply(with_host_ports("thief", 8080, foreign, ["TCP"]))
    refused(net, "thief", f"hostPort 8080/tcp: hostIP {foreign} is no address of this node")
    assert ask(net, "client", ["TCP", foreign, 8080]) == ["victim"]
    net.delete("thief", "victim", "v4-only")


def test_a_named_target_port_may_differ_from_pod_to_pod(net):
    pods = [backend("named-1", "node1", 8080), backend("named-2", "node2", 9090)]
    for one in pods:
        one["metadata"]["labels"]["app"] = "named"
    ports = [{"port": 80, "targetPort": "web"}]
    make(net, service("named", ports=ports), *pods)
    for family in FAMILIES:
        found = ask(net, "client", place(net, "named", family), times=40)
        assert set(found) == {"named-1", "named-2"}
    gone(net, "named")


def test_connections_outlive_the_name_of_their_port(net):
    """The first of two ports must get a name when the second one comes."""
    made = lambda *ports: service("late", type="LoadBalancer", ports=ports)  # noqa: E731
    make(net, made({"port": 80, "targetPort": 8080}), backend("late", "node2"))
    ways = [(c, place(net, "late", f, "TCP", w)) for f in FAMILIES for c, w in CLIENTS]
    flows = [(c, net.client(c).ask("connect", {"place": to})[0]["id"]) for c, to in ways]
    first, second = {"name": "http", "port": 80}, {"name": "more", "port": 81}
    net.apply(made({**first, "targetPort": 8080}, {**second, "targetPort": 8080}))
    serves(net, "late", "late")
    assert {net.client(c).ask("again", flow)[0] for c, flow in flows} == {"echo"}
    for client, to in ways:
        assert ask(net, client, [*to[:2], 81]) == ["late"]
    gone(net, "late")


def test_addresses_of_unready_pods_are_served_when_published(net):
    unready = backend("unready", "node2")
    unready["spec"]["containers"][0]["readinessProbe"] = {"exec": {"command": ["false"]}}
    hidden = service("hidden", {"app": "unready"})
    published = service("published", {"app": "unready"}, publishNotReadyAddresses=True)
    net.apply(unready, hidden, published)
    serves(net, "published", "unready")
    serves(net, "hidden")
    to = place(net, "published")
    poll(lambda: ask(net, "client", to) == ["unready"], 60, "the backend listens")
    assert ask(net, "client", place(net, "hidden")) == ["ECONNREFUSED"]
    gone(net, "hidden", "published", "unready")


def test_a_terminating_backend_serves_while_no_ready_one_is_left(net):
    first = backend("last-1", "node2", drain=600, terminationGracePeriodSeconds=600)
    second = backend("last-2", "node3")
    for one in (first, second):
        one["metadata"]["labels"]["app"] = "last"
    make(net, service("last"), first)
    flow, error = net.client("client").ask("connect", {"place": place(net, "last")})
    assert error is None, error
    net.kubectl("delete", "pod", "--wait=false", "last-1")
    poll(lambda: states(net, "node1", "last") == {"last-1": "serving"}, 60, "it terminates")
    for family, protocol in KINDS:
        to = place(net, "last", family, protocol)
        assert set(ask(net, "client", to, times=10)) == {"last-1"}
    net.apply(second)
    net.ready("last-2")
    poll(lambda: states(net, "node1", "last").get("last-2") == "ready", 60, "the new one is known")
    assert set(ask(net, "client", place(net, "last"), times=20)) == {"last-2"}
    assert net.client("client").ask("again", flow["id"]) == ("echo", None)
    gone(net, "last")


def test_two_services_that_claim_one_address_are_named_and_the_first_one_serves(net):
    claim = {"externalIPs": ["172.29.2.2"]}
    make(net, service("claim-a", **claim), backend("claim-a", "node1"))
    to = ["TCP", "172.29.2.2", 80]
    assert ask(net, "external", to) == ["claim-a"]
    make(net, service("claim-b", **claim), backend("claim-b", "node1"))

    def told():
        return [p for p in problems(net, "claim-b") if "claim-a" in p and "172.29.2.2" in p]

    poll(told, 60, lambda: f"the problem: {net.services('node1')[('default', 'claim-b')]}")
    assert "claim-a" in net.node("node1", "netloom", "services", "default/claim-b", check=False)
    assert set(ask(net, "external", to, times=10)) == {"claim-a"}
    net.kubectl("delete", "service", "claim-a")
    asked = lambda: ask(net, "external", to, timeout=0.5)  # noqa: E731
    poll(lambda: asked() == ["claim-b"], 60, "the other one takes over")
    gone(net, "claim-a", "claim-b")


def problems(net, name):
    found = net.services("node1")[("default", name)]
    frontends = [f for p in found["ports"] for f in p["frontends"] if f["problem"]]
    return found["problems"] + [f"{f['address']}: {f['problem']}" for f in frontends]


def test_an_external_address_that_is_taken_away_is_still_its_flows_own(net):
    """The backend is on another node: the node that was asked stands for the client."""
    ours = {"v4": "172.29.3.1", "v6": "fd00:29::301"}
    kept = ["172.29.3.2", "fd00:29::302"]
    leave = service("leave", externalIPs=[*ours.values(), *kept])
    make(net, leave, backend("leave", "node2"))
    helper, flows = net.client("external"), {}
    for family, protocol in KINDS:
        flow, error = helper.ask("connect", {"place": [protocol, ours[family], 80]})
        assert error is None and flow["seen"] == node_ip(net, "node1", family), (flow, error)
        flows[family, protocol] = flow["id"]
    net.apply(service("leave", externalIPs=kept))
    known = lambda: net.services("node1")[("default", "leave")]["ports"]  # noqa: E731
    fronts = lambda: {f["address"] for p in known() for f in p["frontends"]}  # noqa: E731
    poll(lambda: not fronts() & {*ours.values()}, 60, lambda: f"they are gone: {fronts()}")
    said = {way: helper.ask("again", number)[0] for way, number in flows.items()}
    assert said == {way: "echo" if way[1] == "TCP" else "leave" for way in flows}
    for address in kept:
        assert ask(net, "external", ["TCP", address, 80]) == ["leave"]
    helper.ask("close", list(flows.values()))
    gone(net, "leave")


def manual_slice(name, family, addresses, port):
    """An EndpointSlice that somebody writes by hand, for a service without a selector."""
    labels = {"kubernetes.io/service-name": name}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-{family}-{port}", "labels": labels},
        "addressType": "IPv6" if family == "v6" else "IPv4",
        "ports": [{"name": p.lower(), "port": port, "protocol": p} for p in PROTOCOLS],
        "endpoints": [{"addresses": [a], "conditions": {"ready": True}} for a in addresses],
    }


def test_an_endpoint_outside_of_the_cluster_sees_the_node_in_place_of_the_pod(net):
    whoami = os.path.join(HERE, "whoami.py")
    net.start("external", "--", PYTHON, whoami, "beyond", "8200")
    outside = {"v4": "172.31.0.10", "v6": "fd00:31::a"}
    direct = ["TCP", outside["v4"], 8200]
    poll(lambda: ask(net, "client", direct) == ["beyond"], 60, "the machine outside listens")
    slices = [manual_slice("beyond", f, [a], 8200) for f, a in outside.items()]
    plain = service("beyond")
    del plain["spec"]["selector"]
    net.apply(plain, *slices)
    for family, protocol in KINDS:
        to = place(net, "beyond", family, protocol)
        for client in ("client", "node1"):
            poll(lambda: ask(net, client, to, 1.0) == ["beyond"], 60, lambda: f"{client} {to}")
            (found, _), _ = net.client(client).ask("ask", to)
            assert found[1] == node_ip(net, "node1", family), (client, family, protocol, found)
    gone(net, "beyond")
    net.kubectl("delete", "endpointslice", *(s["metadata"]["name"] for s in slices))


def test_malformed_endpoints_are_named_and_the_good_ones_beside_them_serve(net):
    net.apply(backend("odd", "node2"))
    net.ready("odd")
    good = of_family(net.ips("odd"), "v4")
    bad = manual_slice("odd", "v4", ["10.244.300.1", "fd00::1", "0.0.0.0", good], 8080)
    worse = manual_slice("odd", "v4", [good], 0)
    plain = service("odd", {})
    del plain["spec"]["selector"]
    net.apply(plain, bad, worse)
    poll(lambda: ask(net, "client", place(net, "odd"), 1.0) == ["odd"], 60, "the good one serves")
    assert set(ask(net, "client", place(net, "odd"), times=20)) == {"odd"}
    named = lambda: "10.244.300.1" in " ".join(problems(net, "odd"))  # noqa: E731
    poll(named, 60, lambda: f"the problem: {problems(net, 'odd')}")
    assert json.loads(net.node("node1", "netloom", "status", "-o", "json"))["ready"]
    gone(net, "odd")
    net.kubectl("delete", "endpointslice", bad["metadata"]["name"], worse["metadata"]["name"])
