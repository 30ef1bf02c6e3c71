# SPDX-License-Identifier: Apache-2.0
"""XDP on the uplink beyond the services' matrix: bulk, and the life of its program. The backend is on
node2; the client outside asks node1."""
import json
import re

import pytest
from cluster import PYTHON, Cluster, backend, poll, service
from services import node_ip

PORTS = {"udp": 31080, "iperf": 31081}
# argv: address, port, datagrams, datagrams a second. Prints how many were answered.
FLOOD = """
import select, socket, sys, time
to, n, pause = (sys.argv[1], int(sys.argv[2])), int(sys.argv[3]), 1 / int(sys.argv[4])
s = socket.socket(socket.AF_INET6 if ":" in to[0] else socket.AF_INET, socket.SOCK_DGRAM)
s.connect(to)
got, next_at, i = 0, time.monotonic(), 0
while i < n or select.select([s], [], [], 1)[0]:
    if i < n and time.monotonic() >= next_at:
        s.send(b"x")
        i, next_at = i + 1, next_at + pause
    if select.select([s], [], [], max(0, min(pause, next_at - time.monotonic())))[0]:
        s.recv(100)
        got += 1
print("answered", got)
"""


@pytest.fixture(scope="module", params=["vxlan", "native"])
def net(request):
    with Cluster("--nodes", "2", "--transport", request.param, "--xdp", "on") as cluster:
        ports = [
            {"name": "udp", "protocol": "UDP", "port": 80, "targetPort": 8080},
            {"name": "iperf", "protocol": "TCP", "port": 81, "targetPort": 5201},
        ]
        for port in ports:
            port["nodePort"] = PORTS[port["name"]]
        cluster.apply(backend("far", "node2"), service("far", ports=ports, type="NodePort"))
        cluster.ready("far")
        poll(lambda: ("default", "far") in cluster.services("node1"), 20, "the service is there")
        yield cluster


def xdp(cluster, node="node1"):
    """The program on the node's uplink: id, or None, and the id of its link."""
    link = json.loads(cluster.node(node, "ip", "-j", "link", "show", "eth0"))[0]
    pin = "/sys/fs/bpf/netloom/links/loom_xdp_uplink-uplink"
    shown = cluster.node(node, "bpftool", "-j", "link", "show", "pinned", pin, check=False)
    return link.get("xdp", {}).get("prog", {}).get("id"), json.loads(shown or "{}").get("id")


def restart(cluster, sed):
    """The agent of node1 dies, and another one starts with its configuration edited."""
    cluster.demo("agent", "node1", "kill")
    cluster.node("node1", "sed", "-i", sed, "/etc/netloom/agent.yaml")
    cluster.demo("agent", "node1", "start", "--wait")


@pytest.mark.parametrize("family", ("v4", "v6"))
def test_a_stream_through_a_node_port_is_whole(net, family):
    server = net.start("exec", "default/far", "--", "iperf3", "-s", "-1")
    poll(lambda: "5201" in net.exec("far", "ss", "-Hltn"), 10, "iperf3 listens")
    to = [node_ip(net, "node1", family), "-p", str(PORTS["iperf"])]
    said = net.demo("external", "--", "iperf3", "-J", "-t", "1", "-c", *to).stdout
    ends = json.loads(said)["end"]
    assert ends["sum_received"]["bytes"] > 10_000_000, ends["sum_received"]
    assert ends["sum_received"]["bytes"] <= ends["sum_sent"]["bytes"]
    server.communicate(timeout=10)


@pytest.mark.parametrize("family", ("v4", "v6"))
def test_no_packet_is_lost_when_the_program_is_replaced(net, family):
    before = xdp(net)
    to = [node_ip(net, "node1", family), str(PORTS["udp"])]
    flood = net.start("external", "--", PYTHON, "-c", FLOOD, *to, "3000", "1000")
    restart(net, f"s/maxNewEntries: .*/maxNewEntries: 1639{family[1]}/")
    out = flood.communicate(timeout=60)[0]
    assert re.search(r"answered (\d+)", out)[1] == "3000", out
    after = xdp(net)
    assert after[0] and after[0] != before[0] and after[1] == before[1], (before, after)


def test_it_goes_when_it_is_not_wanted_and_comes_back(net):
    to = [node_ip(net, "node1", "v4"), str(PORTS["udp"])]
    for word, native in (("'off'", False), ("'on'", True)):
        restart(net, f"s/xdp: .*/xdp: {word}/")
        assert bool(xdp(net)[0]) == native
        mode = "native" if native else "off"
        assert f"XDP {mode};" in net.node("node1", "netloom", "status")
        out = net.demo("external", "--", PYTHON, "-c", FLOOD, *to, "10", "100").stdout
        assert "answered 10" in out
