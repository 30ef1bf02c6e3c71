# SPDX-License-Identifier: Apache-2.0
"""XDP on the uplink beyond the services' matrix: bulk, and the life of its program. The backend is on
node2; the client outside asks node1."""
import json

import pytest
from cluster import Cluster, backend, poll, service
from services import ask, node_ip, serves

PORTS = {"udp": 31080, "iperf": 31081}
BYTES = 50_000_000


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
        serves(cluster, "far", "far", nodes=("node1", "node2"))
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
    poll(lambda: "5201" in net.exec("far", "ss", "-Hltn"), 60, "iperf3 listens")
    to = [node_ip(net, "node1", family), "-p", str(PORTS["iperf"])]
    said = net.demo("external", "--", "iperf3", "-J", "-n", str(BYTES), "-c", *to).stdout
    ends = json.loads(said)["end"]
    # The server is told that it is over while the last megabytes are still on their way.
    assert BYTES / 2 < ends["sum_received"]["bytes"] <= ends["sum_sent"]["bytes"], ends
    server.communicate(timeout=60)


@pytest.mark.parametrize("family", ("v4", "v6"))
def test_no_packet_is_lost_when_the_program_is_replaced(net, family):
    before, helper = xdp(net), net.client("external")
    to = ["UDP", node_ip(net, "node1", family), PORTS["udp"]]
    stream, error = helper.ask("stream", {"place": to, "rate": 1000})
    assert error is None, error
    went = lambda: helper.ask("stream_state", stream)[0]  # noqa: E731
    poll(lambda: went() > 100, 60, "datagrams go")
    restart(net, f"s/maxNewEntries: .*/maxNewEntries: 1639{family[1]}/")
    since = went()
    poll(lambda: went() > since + 100, 60, "datagrams go on")
    result = helper.ask("stream_end", stream)[0]
    assert result["answered"] == result["sent"], result
    after = xdp(net)
    assert after[0] and after[0] != before[0] and after[1] == before[1], (before, after)


def test_it_goes_when_it_is_not_wanted_and_comes_back(net):
    to = ["UDP", node_ip(net, "node1", "v4"), PORTS["udp"]]
    for word, native in (("'off'", False), ("'on'", True)):
        restart(net, f"s/xdp: .*/xdp: {word}/")
        assert bool(xdp(net)[0]) == native
        mode = "native" if native else "off"
        assert f"XDP {mode};" in net.node("node1", "netloom", "status")
        assert ask(net, "external", to, times=10) == ["far"] * 10
