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
    "udp": "6s",
    "gcInterval": "1s",
}

# One connection, and an echo through it every 20 ms.
TALK = """
import select, socket, sys
with socket.create_connection((sys.argv[1], 7777), 4) as connection:
    stream = connection.makefile("rb")
    stream.readline()
    for _ in range(int(sys.argv[2])):
        connection.sendall(b"still there?\\n")
        assert stream.readline() == b"still there?\\n"
        select.select([], [], [], 0.02)
print("always there")
"""
# That many flows, each answered once.
FILL = """
import socket, sys
for port in range(20000, 20000 + int(sys.argv[2])):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("", port))
        sock.settimeout(4)
        sock.connect((sys.argv[1], 7777))
        sock.send(b"?")
        assert sock.recv(10) == b"?"
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


def answers(cluster, target):
    return cluster.peer("one").ask("tcp", cluster.ips(target)[0])[1] is None


def ping(cluster, target):
    address = cluster.ips(target)[0]
    options = ("-nq", "-i", "0.02", "-c", "300", "-W", "2")
    return cluster.start("exec", "default/one", "--", "ping", *options, address)


def assert_nothing_was_lost(pinging):
    out = pinging.communicate(timeout=60)[0]
    assert " 300 received" in out, out


def test_a_full_conntrack_keeps_its_flows_says_so_and_empties_by_itself(small):
    address = small.ips("two")[0]
    talk = small.start("exec", "default/one", "--", PYTHON, "-c", TALK, address, "400")
    poll(lambda: "7777" in small.exec("one", "ss", "-Htn"), 10, "the connection stands")
    pinging = ping(small, "two")
    small.exec("one", PYTHON, "-c", FILL, address, str(CT_ENTRIES + 200))
    said = f"conntrack is nearly full: {CT_ENTRIES} of {CT_ENTRIES} entries"
    poll(lambda: any(said in a for a in datapath(small)["alarms"]), 5, lambda: datapath(small))
    assert datapath(small)["conntrack"]["didNotFit"] > 0
    assert answers(small, "two")
    log = small.demo("logs", "agent-node1", "--tail", "200").stdout
    assert re.search(r"error datapath: conntrack is \d+ % full", log), log

    poll(lambda: not datapath(small)["alarms"], 30, lambda: f"room again: {datapath(small)}")
    before = datapath(small)["conntrack"]["didNotFit"]
    assert answers(small, "two")
    assert datapath(small)["conntrack"]["didNotFit"] == before
    assert_nothing_was_lost(pinging)
    out = talk.communicate(timeout=60)[0]
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
    assert f"map loom_ep is nearly full: {capacity} of {capacity} entries" in (
        datapath(small)["alarms"]
    )
    pinging = ping(small, "two")
    small.apply(pod("late", "node1"))
    said = rf"ADD failed .*: loom_ep is full \({capacity} entries\): no room for 0:10\.244\."
    poll(
        lambda: re.search(
            said, small.kubectl("get", "events", "-o", "jsonpath={.items[*].message}")
        ),
        20,
        "an event names the map and the address",
    )
    assert answers(small, "two")
    links = json.loads(small.node("node1", "ip", "-j", "link"))
    assert len([x for x in links if re.fullmatch(r"nl[0-9a-f]{12}", x["ifname"])]) <= 3

    batch(small, "delete", keys)
    small.ready("late", seconds=30)
    small.peer("late")
    assert answers(small, "late")
    assert_nothing_was_lost(pinging)
    status = json.loads(small.node("node1", "netloom", "status", "-o", "json"))
    assert status["ready"] and not status["itemsFailed"], status
    assert datapath(small)["alarms"] == []
