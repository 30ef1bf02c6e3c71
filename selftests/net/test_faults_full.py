# SPDX-License-Identifier: Apache-2.0
"""Maps run full: what has its place keeps it, what has none is told why, and room is used again."""
import json
import re

import pytest
from cluster import PYTHON, Cluster, pod, poll

EP_MAP = "/sys/fs/bpf/netloom/maps/loom_ep"
CT_ENTRIES = 1024
CONNTRACK = {
    "maxEntries": CT_ENTRIES,
    "maxNewEntries": CT_ENTRIES,
    "udp": "12s",
    "gcInterval": "1s",
}

# One connection, and an echo through it every 20 ms.
TALK = """
import select, socket, sys
with socket.create_connection((sys.argv[1], 7777), 30) as connection:
    stream = connection.makefile("rb")
    stream.readline()
    for _ in range(int(sys.argv[2])):
        connection.sendall(b"still there?\\n")
        assert stream.readline() == b"still there?\\n"
        select.select([], [], [], 0.02)
print("always there")
"""
# That many flows, each answered once, a hundred at a time: all are there before the first one is forgotten.
FILL = """
import socket, sys
ports = range(20000, 20000 + int(sys.argv[2]))
for some in (ports[i : i + 100] for i in range(0, len(ports), 100)):
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in some]
    for sock, port in zip(socks, some):
        sock.bind(("", port))
        sock.settimeout(30)
        sock.connect((sys.argv[1], 7777))
        sock.send(b"?")
    assert [sock.recv(10) for sock in socks] == [b"?"] * len(some)
"""


@pytest.fixture(scope="module")
def small():
    """One node with a small conntrack, and a pod that answers another."""
    with Cluster(
        "--nodes", "1", "--family", "v4", "--agent-config", json.dumps({"conntrack": CONNTRACK})
    ) as up:
        up.pods(("one", "node1"), ("two", "node1"))
        up.peer("one"), up.peer("two")
        yield up


def datapath(cluster):
    status = json.loads(cluster.node("node1", "netloom", "status", "-o", "json", check=False))
    return status["modules"]["datapath"]


def collections(cluster):
    """Runs of conntrack's collector, each of which counts."""
    text = cluster.node("node1", "curl", "-fsS", "http://127.0.0.1:9990/metrics")
    return int(re.search(r"^netloom_conntrack_gc_runs_total (\d+)$", text, re.M)[1])


def answers(cluster, target):
    return cluster.peer("one").ask("tcp", cluster.ips(target)[0])[1] is None


def ping(cluster, target):
    address = cluster.ips(target)[0]
    options = ("-nq", "-i", "0.02", "-c", "300", "-W", "10")
    return cluster.start("exec", "default/one", "--", "ping", *options, address)


def assert_nothing_was_lost(pinging):
    out = pinging.communicate(timeout=180)[0]
    assert " 300 received" in out, out


def test_a_full_conntrack_keeps_its_flows_says_so_and_empties_by_itself(small):
    address = small.ips("two")[0]
    talk = small.start("exec", "default/one", "--", PYTHON, "-c", TALK, address, "400")
    poll(lambda: "7777" in small.exec("one", "ss", "-Htn"), 60, "the connection stands")
    pinging = ping(small, "two")
    small.exec("one", PYTHON, "-c", FILL, address, str(CT_ENTRIES + 200))
    said = re.compile(rf"conntrack is nearly full: (\d+) of {CT_ENTRIES} entries")

    def overflowed():
        """The collector counts once a second; the first flows are forgotten soon after it is full."""
        found = datapath(small)
        counts = [int(match[1]) for a in found["alarms"] if (match := said.match(a))]
        return found["conntrack"]["didNotFit"] > 0 and counts and counts[0] > CT_ENTRIES * 0.9

    poll(overflowed, 60, lambda: datapath(small))
    assert answers(small, "two")
    log = lambda: small.demo("logs", "agent-node1", "--tail", "200").stdout  # noqa: E731
    poll(lambda: re.search(r"error datapath: conntrack is \d+ % full", log()), 60, log)

    poll(lambda: not datapath(small)["alarms"], 90, lambda: f"room again: {datapath(small)}")
    before = datapath(small)["conntrack"]["didNotFit"]
    assert answers(small, "two")
    counted = collections(small)
    poll(lambda: collections(small) > counted, 60, "what did not fit is counted again")
    assert datapath(small)["conntrack"]["didNotFit"] == before
    assert_nothing_was_lost(pinging)
    out = talk.communicate(timeout=180)[0]
    assert "always there" in out, out


def batch(cluster, command, keys):
    """bpftool on many keys of loom_ep at once; ends at the first that fails."""
    shape = json.loads(cluster.node("node1", "bpftool", "-j", "map", "show", "pinned", EP_MAP))
    value = f" value {' 0' * shape['bytes_value']}" if command == "update" else ""
    lines = (f"map {command} pinned {EP_MAP} key {key}{value}\n" for key in keys)
    return cluster.demo(
        "node", "node1", "--", "bpftool", "batch", "file", "-", check=False, stdin="".join(lines)
    )


def keys_of_nobody(entries):
    """Of a scope that no pod is in: the key is {scope, padding, address}."""
    return [f"7 0 0 0 0 0 0 0 253{' 0' * 13} {i >> 8} {i & 255}" for i in range(entries)]


def test_a_full_map_of_endpoints_is_named_and_pods_come_when_there_is_room(small):
    capacity = next(m["capacity"] for m in datapath(small)["maps"] if m["name"] == "loom_ep")
    keys = keys_of_nobody(capacity)
    assert "Argument list too long" in batch(small, "update", keys).stderr  # E2BIG: it is full
    full = f"map loom_ep is nearly full: {capacity} of {capacity} entries"
    poll(lambda: full in datapath(small)["alarms"], 60, lambda: datapath(small))
    pinging = ping(small, "two")
    small.apply(pod("late", "node1"))
    said = rf"ADD failed .*: loom_ep is full \({capacity} entries\): no room for 0:10\.244\."
    poll(
        lambda: re.search(
            said, small.kubectl("get", "events", "-o", "jsonpath={.items[*].message}")
        ),
        60,
        "an event names the map and the address",
    )
    assert answers(small, "two")

    def links():
        found = json.loads(small.node("node1", "ip", "-j", "link"))
        return [x["ifname"] for x in found if re.fullmatch(r"nl[0-9a-f]{12}", x["ifname"])]

    poll(lambda: len(links()) <= 3, 60, lambda: f"none of those who got no place: {links()}")

    batch(small, "delete", keys)
    small.ready("late")
    small.peer("late")
    assert answers(small, "late")
    assert_nothing_was_lost(pinging)
    status = lambda: json.loads(small.node("node1", "netloom", "status", "-o", "json", check=False))  # noqa: E731
    poll(lambda: status()["ready"] and not status()["itemsFailed"], 60, status)
    poll(lambda: not datapath(small)["alarms"], 60, lambda: datapath(small))
