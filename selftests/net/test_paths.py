# SPDX-License-Identifier: Apache-2.0
"""What the matrix does not cover: errors, odd packets, many at once; on both transports."""
import json
import re
import subprocess
from pathlib import Path

import pytest
from cluster import PYTHON, Cluster, pod, poll

FAMILIES = ("v4", "v6")


@pytest.fixture(scope="module", params=["vxlan", "native"])
def net(request):
    """Two nodes, two pods on each."""
    with Cluster("--nodes", "2", "--transport", request.param) as up:
        up.pods(("a1", "node1"), ("b1", "node1"), ("a2", "node2"), ("b2", "node2"))
        yield up


def of_family(addresses, family):
    return next(a for a in addresses if (":" in a) == (family == "v6"))


def ip(net, where, family):
    """Of a pod, a node, or the machine outside."""
    if where == "external":
        shown = net.demo("external", "--", "ip", "-j", "addr", "show", "dev", "eth0").stdout
        found = [a["local"] for a in json.loads(shown)[0]["addr_info"] if a["scope"] == "global"]
    elif where.startswith("node"):
        status = net.get("node", where)["status"]
        found = [a["address"] for a in status["addresses"] if a["type"] == "InternalIP"]
    else:
        found = net.ips(where)
    return of_family(found, family)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_packet_of_the_host_is_lost_while_its_next_hop_is_resolved(net, family):
    pings = " ".join(f"ping -nqc1 -W10 {ip(net, pod, family)} &" for pod in ("a2", "b2"))
    out = net.node("node1", "sh", "-c", f"ip neigh flush dev eth0; {pings} wait")
    assert out.count(" 1 received") == 2, out


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("target", ["a2", "external"])
def test_each_hop_on_a_packets_way_says_so(net, family, target):
    out = net.demo("node", "node2", "--", "ip", "-j", "route", "show", "default").stdout
    router = json.loads(out)[0]["gateway"] if family == "v4" else "fd00:30::1"
    second = ip(net, "node2", family) if target == "a2" else router
    to = ip(net, target, family)
    for ttl, hop in ((1, ip(net, "node1", family)), (2, second)):
        out = net.exec("a1", "ping", "-nc1", "-W10", "-t", str(ttl), to, check=False)
        assert f"From {hop} icmp_seq=1 Time" in out, out
    assert " 1 received" in net.exec("a1", "ping", "-nqc1", "-W10", "-t", "3", to)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_narrow_link_outside_is_learnt_through_masquerade(net, family):
    def set_mtu(mtu):
        router = f"--net=/run/netns/nl-{net.name}-router"
        subprocess.run(["nsenter", router, "ip", "link", "set", "eth1", "mtu", mtu], check=True)
        net.demo("external", "--", "ip", "link", "set", "eth0", "mtu", mtu)

    to = ip(net, "external", family)
    net.peer("external")
    set_mtu("1300")
    try:
        assert net.peer("a1").ask("pmtu", to) == (1300, None)
        assert net.peer("b1").ask("bulk", to)[1] is None
        # With IPv6 the first large datagram is what teaches the pod.
        assert None in [net.peer("b2").ask("udp", to)[1] for _ in range(2)]
    finally:
        set_mtu("1500")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("target", ["external", "a2", "node2", "b1"])
def test_a_port_that_nobody_listens_on_is_said_to_be_unreachable(net, family, target):
    assert net.peer("a1").ask("refused", ip(net, target, family)) == (True, None)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_hundred_connections_at_once_are_masqueraded(net, family):
    net.peer("external")
    to, node = ip(net, "external", family), ip(net, "node1", family)
    calls = [(p, p.call("tcp", to)) for p in (net.peer("a1"), net.peer("b1")) for _ in range(100)]
    assert {p.result(number) for p, number in calls} == {(node, None)}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pod_reaches_itself(net, family):
    for op, want in (("ping", True), ("udp", True), ("tcp", ip(net, "a1", family))):
        assert net.peer("a1").ask(op, ip(net, "a1", family)) == (want, None)


def test_a_pod_that_poses_as_another_is_cut_off_and_named(net):
    def told(reason):
        events = net.node("node1", "netloom", "events", "-o", "json", "--last", "100")
        found = [json.loads(line) for line in events.splitlines()]
        return [e for e in found if e["reason"] == reason and e["epName"] == "default/poser"]

    net.pods(("poser", "node1"))
    for family, false in (("v4", "10.9.9.9"), ("v6", "fd00:9::9")):
        net.exec("poser", "ip", "addr", "add", false, "dev", "lo")
        ping = ["ping", "-nqc1", "-W1", "-I", false, ip(net, "b1", family)]

        def named():
            assert " 0 received" in net.exec("poser", *ping, check=False)
            return [e for e in told("spoof_ip") if e["from"] == false]

        poll(named, 60, "the event")
    net.exec("poser", "ip", "link", "set", "eth0", "address", "02:00:00:00:00:99")

    def cut_off():
        net.exec("poser", "ping", "-nqc1", "-W1", ip(net, "b1", "v4"), check=False)
        return told("spoof_mac")

    poll(cut_off, 60, "the event")
    net.delete("poser")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pod_of_the_hosts_network_is_reached_by_pods(net, family):
    serve = {"name": "main", "image": "python", "command": [PYTHON, "-m", "http.server"]}
    serve["args"] = ["8099", "--bind", "::" if family == "v6" else "0.0.0.0"]
    net.apply(pod(f"host-{family}", "node2", hostNetwork=True, containers=[serve]))
    net.ready(f"host-{family}")
    address = of_family(net.ips(f"host-{family}"), family)
    assert address == ip(net, "node2", family)
    url = f"http://[{address}]:8099/" if family == "v6" else f"http://{address}:8099/"
    retry = ["--retry", "20", "--retry-connrefused", "--retry-delay", "1"]
    for source in ("a1", "a2"):
        net.exec(source, "curl", "-fsS", "-m30", *retry, "-o", "/dev/null", url)
    net.delete(f"host-{family}")


@pytest.mark.parametrize("where, port", [("node1", 9990), ("control", 9991)])
def test_every_metric_has_its_line_in_the_manual(net, where, port):
    manual = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `(\w+)` \| (\w+) \| (.*) \|$", manual, re.M))
    text = net.node(where, "curl", "-fsS", f"http://127.0.0.1:{port}/metrics")
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M))
    found = {(name, kinds[name], meaning) for name, meaning in re.findall(r"^# HELP (\w+) (.*)$", text, re.M)}
    assert len(found) > 10 and found <= told, found - told
